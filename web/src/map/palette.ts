// Colours of the canvases. The heat ramp is one hue, dark to bright on dark and pale to deep on light, like a city's lights from above
// and like ink on paper: it reads without telling hues apart. Items take their colours from a set that stays apart for colour-blind
// readers, by the order in which they are first seen; the overall ranking comes first.
import type { Theme } from '../base/theme';

type Rgb = [number, number, number];

const RAMPS: Record<Theme, Rgb[]> = {
  dark: [[27, 34, 40], [62, 49, 33], [122, 83, 28], [190, 124, 30], [242, 177, 60], [255, 226, 156]],
  light: [[233, 228, 215], [246, 219, 160], [240, 181, 82], [217, 128, 32], [165, 76, 12], [99, 38, 8]],
};

export interface MapColours {
  sea: string;
  seaLine: string;
  land: string;
  coast: string;
  border: string;
  label: string;
  labelHalo: string;
  grout: string;
  select: string;
  hover: string;
}

export const MAP_COLOURS: Record<Theme, MapColours> = {
  dark: {
    sea: '#0d1216', seaLine: '#151c22', land: '#1b2228', coast: '#46535e', border: 'rgba(8, 11, 14, 0.75)', label: '#e9edf0',
    labelHalo: 'rgba(10, 13, 16, 0.72)', grout: 'rgba(13, 18, 22, 0.55)', select: '#ffffff', hover: 'rgba(255, 255, 255, 0.55)',
  },
  light: {
    sea: '#eaf0f1', seaLine: '#dfe7e9', land: '#e9e4d7', coast: '#8d9a9e', border: 'rgba(255, 254, 250, 0.95)', label: '#23282c',
    labelHalo: 'rgba(255, 254, 250, 0.82)', grout: 'rgba(255, 254, 250, 0.5)', select: '#14181b', hover: 'rgba(20, 24, 27, 0.55)',
  },
};

export const SERIES: Record<Theme, string[]> = {
  dark: ['#f2b13c', '#5cb8e6', '#6fce9a', '#f08a5d', '#b79cf0', '#e8799f', '#9bc53d', '#4fd0c7', '#d7b58c', '#8fa3b5'],
  light: ['#c77f00', '#0f78b4', '#1c8a55', '#c8501c', '#7653c4', '#bd3a6e', '#5f8700', '#0b8a82', '#8b6335', '#5b6d7d'],
};

export const RAMP_STEPS = 48;

function mix(stops: Rgb[], at: number): string {
  const place = Math.min(1, Math.max(0, at)) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  const share = place - low;
  const [a, b] = [stops[low]!, stops[low + 1]!];
  const [r, g, bl] = a.map((value, i) => Math.round(value + (b[i]! - value) * share)) as Rgb;
  return `rgb(${r}, ${g}, ${bl})`;
}

const cache = new Map<Theme, string[]>();
export function heatRamp(theme: Theme): string[] {
  let ramp = cache.get(theme);
  if (!ramp) cache.set(theme, (ramp = Array.from({ length: RAMP_STEPS }, (_, i) => mix(RAMPS[theme], i / (RAMP_STEPS - 1)))));
  return ramp;
}

// Share of full heat (0 to 1) to its place on the ramp. A little above the straight line, so that quiet places still stand out
// from the ground.
export function rampPlace(share: number): number {
  return Math.round(Math.min(1, Math.max(0, share)) ** 0.8 * (RAMP_STEPS - 1));
}

const itemPlaces = new Map<string, number>();
export function itemColour(item: string, theme: Theme): string {
  let place = itemPlaces.get(item);
  if (place === undefined) itemPlaces.set(item, (place = itemPlaces.size));
  return SERIES[theme][place % SERIES[theme].length]!;
}

// Gives the items their colours in this order, unless they have one.
export function claimColours(items: { name: string }[]): void {
  for (const { name } of items) if (!itemPlaces.has(name)) itemPlaces.set(name, itemPlaces.size);
}
