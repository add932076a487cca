// Light and dark: the system's choice unless the reader has chosen, which is kept in this browser.
import { computed, effect, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';
const KEY = 'sightline.theme';

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;  // storage is off in this browser
  }
}

const system = matchMedia('(prefers-color-scheme: light)');
const systemTheme = signal<Theme>(system.matches ? 'light' : 'dark');
system.addEventListener('change', () => (systemTheme.value = system.matches ? 'light' : 'dark'));

const chosen = signal<Theme | null>(stored());
export const theme = computed<Theme>(() => chosen.value ?? systemTheme.value);

export function toggleTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, chosen.value);
  } catch {
    // Not kept beyond this page then.
  }
}

const motion = matchMedia('(prefers-reduced-motion: reduce)');
export const reducedMotion = signal(motion.matches);
motion.addEventListener('change', () => (reducedMotion.value = motion.matches));

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
