// Counts by window as stacked bars. A cursor, moved by pointer or arrow keys, reads out one window. The table beside it holds the same
// numbers, so the canvas is an image to assistive technology, and the cursor's window is announced.
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatCompact, formatCount, formatTime, formatDate } from '../base/format';
import { theme } from '../base/theme';
import { ticksTo, timeTicks } from './ticks';

export interface Series {
  name: string;
  colour: string;
}
export interface Bar {
  start: number;
  end: number;
  open: boolean;
  values: number[];   // in the order of the series
}

export interface StackChartProps {
  series: Series[];
  bars: Bar[];
  from: number;
  to: number;
  label: string;
}

const LEFT = 46;
const BOTTOM = 24;
const TOP = 8;
const RIGHT = 8;

interface Drawing extends StackChartProps {
  cursor: number;
}

function draw(canvas: HTMLCanvasElement, { series, bars, from, to, cursor }: Drawing): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return;
  const ratio = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d')!;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  context.scale(ratio, ratio);
  context.font = '11px "Plex", ui-sans-serif, system-ui, sans-serif';
  const high = Math.max(1, ...bars.map((bar) => bar.values.reduce((a, b) => a + b, 0)));
  const ticks = ticksTo(high, Math.max(2, Math.floor(height / 60)));
  const top = ticks.at(-1)!;
  const x = (ms: number) => LEFT + ((ms - from) / (to - from)) * (width - LEFT - RIGHT);
  const y = (value: number) => height - BOTTOM - (value / top) * (height - BOTTOM - TOP);
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const tick of ticks) {
    context.fillStyle = colour('--line');
    context.fillRect(LEFT, Math.round(y(tick)), width - LEFT - RIGHT, 1);
    context.fillStyle = colour('--faint');
    context.fillText(formatCompact(tick), LEFT - 8, y(tick));
  }
  context.textAlign = 'center';
  for (const at of timeTicks(from, to, Math.max(2, Math.floor(width / 90)))) {
    context.fillStyle = colour('--faint');
    context.fillText(to - from > 2 * 86400e3 ? formatDate(at).slice(5) : formatTime(at, 'minutes'), x(at), height - BOTTOM / 2 + 1);
  }
  bars.forEach((bar, i) => {
    const left = Math.max(LEFT, x(bar.start));
    const right = Math.min(width - RIGHT, x(bar.end));
    const gap = right - left > 4 ? 1 : 0;
    let below = 0;
    context.globalAlpha = cursor >= 0 && cursor !== i ? 0.55 : bar.open ? 0.6 : 1;
    bar.values.forEach((value, s) => {
      if (value <= 0) return;
      context.fillStyle = series[s]!.colour;
      context.fillRect(left, y(below + value), Math.max(0.6, right - left - gap), y(below) - y(below + value));
      below += value;
    });
    context.globalAlpha = 1;
    if (bar.open) {
      context.strokeStyle = colour('--accent');
      context.setLineDash([3, 2]);
      context.strokeRect(left - 0.5, y(below) - 0.5, Math.max(1, right - left - gap), y(0) - y(below));
      context.setLineDash([]);
    }
  });
  context.fillStyle = colour('--line-strong');
  context.fillRect(LEFT, height - BOTTOM, width - LEFT - RIGHT, 1);
}

export function StackChart(props: StackChartProps) {
  const { series, bars, from, to, label } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cursor, setCursor] = useState(-1);
  const [keyed, setKeyed] = useState(false);
  const at = bars[cursor] ? cursor : -1;
  useEffect(() => {
    const element = canvas.current!;
    const paint = () => draw(element, { ...props, cursor: at });
    paint();
    const size = new ResizeObserver(paint);
    size.observe(element);
    void document.fonts.ready.then(paint);
    return () => size.disconnect();
  }, [series, bars, from, to, at, theme.value]);

  const under = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const ms = from + ((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * (to - from);
    setKeyed(false);
    setCursor(bars.findIndex((bar) => ms >= bar.start && ms < bar.end));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = bars.length - 1;
    const from0 = at < 0 ? last + 1 : at;
    const next = { ArrowLeft: from0 - 1, ArrowRight: from0 + 1, Home: 0, End: last, PageUp: from0 - 10, PageDown: from0 + 10 }[event.key];
    if (event.key === 'Escape') setCursor(-1);
    else if (next === undefined) return;
    else {
      setKeyed(true);
      setCursor(Math.max(0, Math.min(last, next)));
    }
    event.preventDefault();
  };
  const bar = bars[at];
  const place = bar ? (bar.start + (bar.end - bar.start) / 2 - from) / (to - from) : 0;
  return (
    <div class="chart">
      <canvas ref={canvas} role="img" aria-label={`${label}. Arrow keys read out one window after the other.`} tabIndex={0} onPointerMove={under} onPointerLeave={() => setCursor(-1)} onKeyDown={onKeyDown} onBlur={() => setCursor(-1)} />
      {bar && <Readout bar={bar} series={series} place={place} />}
      <div class="visually-hidden" role="status">{bar && keyed ? `${formatTime(bar.start, 'minutes')}: ${series.map((s, i) => `${s.name} ${bar.values[i]}`).join(', ')}` : ''}</div>
    </div>
  );
}

function Readout({ bar, series, place }: { bar: Bar; series: Series[]; place: number }) {
  const sum = bar.values.reduce((a, b) => a + b, 0);
  return (
    <div class={`chart-readout ${place > 0.5 ? 'is-left' : ''}`} style={{ left: `calc(${LEFT}px + (100% - ${LEFT + RIGHT}px) * ${place})` }} aria-hidden="true">
      <strong>{formatTime(bar.start, 'minutes')} – {formatTime(bar.end, 'minutes')}{bar.open && <em> open</em>}</strong>
      {series.map((s, i) => <span key={s.name}><i style={{ backgroundColor: s.colour }} />{s.name}<b>{formatCount(bar.values[i])}</b></span>)}
      <span class="chart-sum">all<b>{formatCount(sum)}</b></span>
    </div>
  );
}
