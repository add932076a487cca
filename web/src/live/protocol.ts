// Messages of GET /v1/pipelines/{p}/live.
export interface Group {
  window_start: number;
  window_end: number;
  state: 'open' | 'final' | 'corrected';
  revision: number;
  key: Record<string, string | number | null>;
  rows: Record<string, string | number | null>[];
}

export type LiveMessage =
  | { type: 'snapshot' | 'resumed' | 'change'; pipeline?: string; token: string; groups: Group[] }
  | { type: 'ping' };

export interface Item {
  name: string;
  count: number;
  rank: number;
}

export interface WindowItems {
  start: number;
  end: number;
  state: Group['state'];
  revision: number;
  items: Item[];
}

export interface BoardColumns {
  key: string | null;  // null: one group over all
  item: string;
  count: string;
}
