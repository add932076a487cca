// The state of one pipeline's live view: for each location the open windows and the newest closed ones. Groups replace each other
// as a unit, and rows keep the order and the rank that the server gave them. Not shared between threads.
import type { BoardColumns, Group, Item, WindowItems } from './protocol';

const STARTS_KEPT = 256;
const CLOSED_KEPT = 2;  // the newest final window and the one before it, to compare with

export interface Change {
  kind: 'leader' | 'corrected';
  id: string;
  item: string;
  before: string | null;
  count: number;
  windowStart: number;
}

export class Board {
  readonly windows = new Map<string, Map<number, WindowItems>>();
  private readonly starts = new Set<number>();
  private newestFinal_ = Number.NEGATIVE_INFINITY;

  constructor(private readonly columns: BoardColumns) {}

  // Start of the newest window that has begun at `now`; -Infinity before the first. A camera whose clock is fast opens the next window
  // early, which must not hide the present one. When all windows are ahead of `now` it is the clocks that differ: the newest then.
  newestAt(now: number): number {
    let begun = Number.NEGATIVE_INFINITY;
    let newest = Number.NEGATIVE_INFINITY;
    for (const start of this.starts) {
      if (start > newest) newest = start;
      if (start > begun && start <= now) begun = start;
    }
    return begun === Number.NEGATIVE_INFINITY ? newest : begun;
  }
  get newestFinal(): number {
    return this.newestFinal_;
  }

  reset(): void {
    this.windows.clear();
    this.starts.clear();
    this.newestFinal_ = Number.NEGATIVE_INFINITY;
  }

  idOf(group: Group): string {
    return this.columns.key === null ? '' : String(group.key[this.columns.key] ?? '');
  }

  // Takes in groups and says what is worth telling of: a location whose first item changed, a result that was corrected.
  apply(groups: Group[]): Change[] {
    const changes: Change[] = [];
    for (const group of groups) {
      const id = this.idOf(group);
      let windows = this.windows.get(id);
      if (!windows) this.windows.set(id, (windows = new Map()));
      const before = windows.get(group.window_start);
      if (group.rows.length === 0) {
        windows.delete(group.window_start);
        if (group.state !== 'open') this.prune(windows, group.window_start);
        if (windows.size === 0) this.windows.delete(id);
        continue;
      }
      const after: WindowItems = {
        start: group.window_start, end: group.window_end, state: group.state, revision: group.revision, items: this.itemsOf(group),
      };
      windows.set(group.window_start, after);
      this.starts.add(after.start);
      if (after.state !== 'open') {
        if (after.start > this.newestFinal_) this.newestFinal_ = after.start;
        this.prune(windows, after.start);
      }
      this.note(id, before, after, changes);
    }
    // In order of arrival, which is near enough to the order of time.
    for (const start of this.starts) {
      if (this.starts.size <= STARTS_KEPT) break;
      this.starts.delete(start);
    }
    return changes;
  }

  at(id: string, start: number): WindowItems | null {
    return this.windows.get(id)?.get(start) ?? null;
  }

  // All windows of one location, oldest first.
  of(id: string): WindowItems[] {
    return [...(this.windows.get(id)?.values() ?? [])].sort((a, b) => a.start - b.start);
  }

  private itemsOf(group: Group): Item[] {
    return group.rows.map((row, index) => ({
      name: String(row[this.columns.item] ?? '(none)'),
      count: Number(row[this.columns.count] ?? 0),
      rank: Number(row.rank ?? index + 1),
    }));
  }

  private note(id: string, before: WindowItems | undefined, after: WindowItems, changes: Change[]): void {
    const first = after.items[0];
    if (!first) return;
    if (after.state === 'corrected' && (!before || before.revision !== after.revision)) {
      changes.push({ kind: 'corrected', id, item: first.name, before: null, count: first.count, windowStart: after.start });
    } else if (after.state === 'open' && before?.items[0] && before.items[0].name !== first.name) {
      changes.push({ kind: 'leader', id, item: first.name, before: before.items[0].name, count: first.count, windowStart: after.start });
    }
  }

  // A final window closes the older ones of its location, with rows or without: what was open there will not come again.
  private prune(windows: Map<number, WindowItems>, finalStart: number): void {
    for (const window of windows.values()) if (window.state === 'open' && window.start < finalStart) windows.delete(window.start);
    const closed = [...windows.values()].filter((w) => w.state !== 'open').sort((a, b) => b.start - a.start);
    for (const old of closed.slice(CLOSED_KEPT)) windows.delete(old.start);
  }
}

export function total(window: WindowItems | null, item: string | null): number {
  if (!window) return 0;
  let sum = 0;
  for (const row of window.items) if (item === null || row.name === item) sum += row.count;
  return sum;
}
