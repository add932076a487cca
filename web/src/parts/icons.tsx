// The mark and the few icons, drawn for this dashboard on a grid of 16.
import type { JSX } from 'preact';

const PATHS: Record<string, string> = {
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  fit: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3.1 3.1l1.1 1.1M11.8 11.8l1.1 1.1M12.9 3.1l-1.1 1.1M4.2 11.8l-1.1 1.1',
  moon: 'M13.6 9.6A6 6 0 0 1 6.4 2.4a6 6 0 1 0 7.2 7.2Z',
  help: 'M5.8 6a2.2 2.2 0 1 1 3.3 1.9c-.7.4-1.1.8-1.1 1.6M8 12v.1',
  out: 'M6.5 2.5h-4v11h4M10.5 5 13.5 8l-3 3M13 8H6',
  check: 'M3 8.5 6.5 12 13 4.5',
  cross: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  warn: 'M8 2 1.5 13.5h13L8 2Zm0 4.2v3.6M8 11.6v.1',
  down: 'M8 2.5v8M4.5 7.5 8 11l3.5-3.5M2.5 13.5h11',
  right: 'M6 3.5 10.5 8 6 12.5',
  left: 'M10 3.5 5.5 8l4.5 4.5',
  target: 'M8 12.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM8 1v4M8 11v4M1 8h4M11 8h4',
};

export function Icon({ name, size = 16 }: { name: keyof typeof PATHS | string; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

// A camera as maps draw it: a point and its field of view.
export function Mark({ size = 26 }: { size?: number }): JSX.Element {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="mark-view" d="M7.5 16 23 6.6a18 18 0 0 1 0 18.8Z" />
      <path class="mark-line" d="M26.6 4.4a22.4 22.4 0 0 1 0 23.2" />
      <circle class="mark-eye" cx="7.5" cy="16" r="4" />
    </svg>
  );
}
