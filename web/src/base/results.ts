// Stored results: pages of rows, all rows up to a limit, and their CSV.
import { getJson } from './api';

export type Row = Record<string, string | number | boolean | null>;
export interface Page {
  rows: Row[];
  next_cursor: string | null;
}

export type Filters = Record<string, string | number | null | undefined>;

export function resultsPath(pipeline: string, filters: Filters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
  return `/v1/pipelines/${encodeURIComponent(pipeline)}/results?${query}`;
}

const PAGE_ROWS = 10_000;

// All rows that fit the filters, page by page, up to `most`.
export async function allRows(pipeline: string, filters: Filters, most: number, abort?: AbortSignal, progress?: (rows: number) => void): Promise<{ rows: Row[]; whole: boolean }> {
  const rows: Row[] = [];
  let cursor: string | null = null;
  do {
    const page: Page = await getJson<Page>(resultsPath(pipeline, { ...filters, limit: PAGE_ROWS, cursor }), abort);
    rows.push(...page.rows);
    progress?.(rows.length);
    cursor = page.next_cursor;
  } while (cursor !== null && rows.length < most);
  return { rows, whole: cursor === null };
}

// RFC 4180 with LF, as the program writes it.
export function toCsv(columns: string[], rows: (string | number | boolean | null | undefined)[][]): string {
  const cell = (value: string | number | boolean | null | undefined) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(',')).join('\n') + '\n';
}

export function download(name: string, text: string, type = 'text/csv'): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
