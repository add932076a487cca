// A ranked list whose counts and bars move. The order and the ranks are the server's: a row glides to its new place when its rank
// changes. Rows stand in the document in rank order, so that readers of the page meet them so; the gliding is a transform.
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { formatCount } from '../base/format';
import { reducedMotion } from '../base/theme';
import type { Item } from '../live/protocol';

const EASE_MS = 130;
const FRAME_MS = 30;       // gentle on walls without a GPU
const MARK_MS = 2600;   // how long a climb or fall is marked

interface RowState {
  y: number;
  width: number;
  count: number;
  wantY: number;
  wantWidth: number;
  wantCount: number;
  rank: number;
  moved: number;        // when the rank last changed; 0: never
  element: HTMLElement | null;
}

class Mover {
  private readonly rows = new Map<string, RowState>();
  private frame = 0;
  private last = 0;

  // Takes the new list, after its elements are in the document.
  take(items: Item[], elements: Map<string, HTMLElement>): void {
    const height = elements.values().next().value?.offsetHeight ?? 28;
    const most = Math.max(1, ...items.map((item) => item.count));
    const still = reducedMotion.peek();
    const now = performance.now();
    for (const name of this.rows.keys()) if (!elements.has(name)) this.rows.delete(name);
    items.forEach((item, place) => {
      const want = { wantY: place * height, wantWidth: item.count / most, wantCount: item.count };
      let row = this.rows.get(item.name);
      if (!row || still) {
        const fresh = { y: want.wantY, width: want.wantWidth, count: item.count, rank: item.rank, moved: 0, element: null, ...want };
        this.rows.set(item.name, (row = fresh));
      }
      if (item.rank !== row.rank) {
        row.moved = now;
        row.element?.closest('li')?.setAttribute('data-moved', item.rank < row.rank ? 'up' : 'down');
      }
      Object.assign(row, want, { rank: item.rank, element: elements.get(item.name)! });
      row.element!.dataset.slot = String(place);
    });
    for (const row of this.rows.values()) this.draw(row);
    this.wake();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private wake(): void {
    if (this.frame === 0) {
      this.last = performance.now();
      this.frame = requestAnimationFrame((now) => this.tick(now));
    }
  }

  private tick(now: number): void {
    this.frame = 0;
    if (now - this.last < FRAME_MS) {
      this.frame = requestAnimationFrame((next) => this.tick(next));
      return;
    }
    const step = 1 - Math.exp(-Math.min(100, Math.max(0, now - this.last)) / EASE_MS);
    this.last = now;
    let moving = false;
    for (const row of this.rows.values()) {
      row.y = this.near(row.y, row.wantY, step, 0.3);
      row.width = this.near(row.width, row.wantWidth, step, 0.002);
      row.count = this.near(row.count, row.wantCount, step, 0.5);
      if (row.moved && now - row.moved > MARK_MS) {
        row.moved = 0;
        row.element?.removeAttribute('data-moved');
      }
      moving ||= row.y !== row.wantY || row.width !== row.wantWidth || row.count !== row.wantCount || row.moved > 0;
      this.draw(row);
    }
    if (moving) this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  private near(from: number, to: number, step: number, enough: number): number {
    return Math.abs(to - from) <= enough ? to : from + (to - from) * step;
  }

  private draw(row: RowState): void {
    const element = row.element;
    if (!element) return;
    element.style.transform = row.y === row.wantY ? '' : `translateY(${(row.y - row.wantY).toFixed(1)}px)`;
    const bar = element.querySelector<HTMLElement>('.top-bar-fill');
    if (bar) bar.style.transform = `scaleX(${row.width.toFixed(4)})`;
    const count = element.querySelector<HTMLElement>('.top-count');
    const text = formatCount(Math.round(row.count));
    if (count && count.textContent !== text) count.textContent = text;
  }
}

export interface TopListProps {
  items: Item[];
  label: string;
  selected?: string | null;
  onSelect?: (item: string) => void;
  colour?: (item: string) => string;
}

export function TopList({ items, label, selected = null, onSelect, colour }: TopListProps) {
  const mover = useRef<Mover | null>(null);
  const list = useRef<HTMLOListElement>(null);
  mover.current ??= new Mover();
  useLayoutEffect(() => {
    const elements = new Map<string, HTMLElement>();
    for (const element of list.current!.children) elements.set((element as HTMLElement).dataset.name!, element as HTMLElement);
    mover.current!.take(items, elements);
  }, [items]);
  useEffect(() => () => mover.current!.stop(), []);
  return (
    <ol class="top-list" ref={list} aria-label={label}>
      {items.map((item) => (
        <li key={item.name} data-name={item.name} class={selected === item.name ? 'is-selected' : ''}>
          <RowBody item={item} selected={selected === item.name} onSelect={onSelect} colour={colour?.(item.name)} />
        </li>
      ))}
    </ol>
  );
}

function RowBody({ item, selected, onSelect, colour }: { item: Item; selected: boolean; onSelect?: ((item: string) => void) | undefined; colour?: string | undefined }) {
  // The count's text belongs to the mover, which counts it up; an empty child keeps Preact away from it.
  const inside = (
    <>
      <span class="top-rank">{item.rank}</span>
      <span class="top-name" title={item.name}>{item.name}</span>
      <span class="top-bar" aria-hidden="true"><span class="top-bar-fill" style={colour ? { backgroundColor: colour } : undefined} /></span>
      <span class="top-count" />
    </>
  );
  if (!onSelect) return <div class="top-row">{inside}</div>;
  return <button type="button" class="top-row" aria-pressed={selected} onClick={() => onSelect(item.name)}>{inside}</button>;
}
