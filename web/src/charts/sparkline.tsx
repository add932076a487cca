// A small line of recent values, as an SVG path. Decoration beside a number that says the same: hidden from assistive technology.
export function Sparkline({ values, width = 120, height = 28, from0 = true, class: extra = '' }: { values: (number | null)[]; width?: number; height?: number; from0?: boolean; class?: string }) {
  const present = values.filter((v): v is number => v !== null && Number.isFinite(v));
  if (present.length < 2) return <svg class={`spark ${extra}`} viewBox={`0 0 ${width} ${height}`} aria-hidden="true" preserveAspectRatio="none" />;
  const high = Math.max(...present);
  const low = from0 ? Math.min(0, ...present) : Math.min(...present);
  const span = high - low || 1;
  const stepX = width / Math.max(1, values.length - 1);
  const y = (v: number) => height - 2 - ((v - low) / span) * (height - 4);
  let line = '';
  let pen = false;
  values.forEach((v, i) => {
    if (v === null || !Number.isFinite(v)) {
      pen = false;
      return;
    }
    line += `${pen ? 'L' : 'M'}${(i * stepX).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = true;
  });
  return (
    <svg class={`spark ${extra}`} viewBox={`0 0 ${width} ${height}`} aria-hidden="true" preserveAspectRatio="none">
      <path class="spark-area" d={`${line}L${width} ${height}L0 ${height}Z`} />
      <path class="spark-line" d={line} />
    </svg>
  );
}
