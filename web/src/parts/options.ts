// What a combobox chooses from.

export interface Option {
  value: string;
  label: string;
  hint?: string;
}

const fold = (text: string) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

// Options that hold every word of the text, those whose label begins with it first.
export function filterOptions(options: Option[], text: string): Option[] {
  const words = fold(text).split(/\s+/).filter(Boolean);
  if (words.length === 0) return options;
  const found = options.filter((o) => {
    const body = fold(`${o.label} ${o.hint ?? ''} ${o.value}`);
    return words.every((word) => body.includes(word));
  });
  const start = fold(text).trim();
  const rank = (o: Option) => (o.value === text.trim() ? 0 : fold(o.label).startsWith(start) ? 1 : 2);
  return found.map((option, i) => ({ option, i })).sort((a, b) => rank(a.option) - rank(b.option) || a.i - b.i).map(({ option }) => option);
}
