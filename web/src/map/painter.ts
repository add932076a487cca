// Draws the map. The sea, coast, borders and names are painted once per view onto a sheet with the land cut out of it; each frame
// fills the cells below and lays the sheet over them. That keeps a frame with 1000 moving cells to a few milliseconds without a GPU.
import type { Theme } from '../base/theme';
import type { Geometry } from './geometry';
import { heatRamp, MAP_COLOURS, RAMP_STEPS, rampPlace } from './palette';

export interface View {
  k: number;   // screen pixels a world unit
  tx: number;
  ty: number;
}

export interface Scene {
  geometry: Geometry;
  names: string[];             // per place
  theme: Theme;
  view: View;
  fitted: number;              // k of the view that shows all
  width: number;               // CSS pixels
  height: number;
  ratio: number;
  shown: Float32Array;         // share of full heat, per place
  colours: (string | null)[] | null;  // per place, instead of the ramp
  selected: number;
  hovered: number;
  focused: boolean;
  pulses: { place: number; age: number }[];  // age 0 to 1
}

const FONT = '"Plex", ui-sans-serif, system-ui, sans-serif';

function tracePolygons(path: Path2D, loops: Float64Array[], view: View): void {
  for (const loop of loops) {
    for (let i = 0; i < loop.length; i += 2) {
      const x = loop[i]! * view.k + view.tx;
      const y = loop[i + 1]! * view.k + view.ty;
      if (i === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    path.closePath();
  }
}

export class Painter {
  private readonly sheet = document.createElement('canvas');
  private sheetFor = '';

  paint(context: CanvasRenderingContext2D, scene: Scene): void {
    const { ratio, width, height, theme } = scene;
    const colours = MAP_COLOURS[theme];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = scene.geometry.kind === 'map' ? colours.land : colours.sea;
    context.fillRect(0, 0, width, height);
    this.paintCells(context, scene);
    if (scene.geometry.kind === 'map') {
      this.prepareSheet(scene);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(this.sheet, 0, 0);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.paintMarks(context, scene);
  }

  private paintCells(context: CanvasRenderingContext2D, scene: Scene): void {
    const { geometry, view, shown, theme, colours } = scene;
    const ramp = heatRamp(theme);
    const buckets = new Map<string, number[]>();
    const margin = 40;
    for (let i = 0; i < geometry.cells.length; ++i) {
      const x = geometry.x[i]! * view.k + view.tx;
      const y = geometry.y[i]! * view.k + view.ty;
      const far = margin + view.k * 60;
      if (x < -far || y < -far || x > scene.width + far || y > scene.height + far) continue;
      const place = rampPlace(shown[i] ?? 0);
      const own = colours?.[i];
      // An item's colour is laid over the ground as strongly as the place is busy.
      const style = colours ? (own && place > 0 ? `${own}${Math.round(70 + (185 * place) / (RAMP_STEPS - 1)).toString(16).padStart(2, '0')}` : ramp[0]!) : ramp[place]!;
      const bucket = buckets.get(style);
      if (bucket) bucket.push(i);
      else buckets.set(style, [i]);
    }
    for (const [style, places] of buckets) {
      context.beginPath();
      for (const i of places) {
        const cell = geometry.cells[i]!;
        for (let p = 0; p < cell.length; p += 2) {
          const x = cell[p]! * view.k + view.tx;
          const y = cell[p + 1]! * view.k + view.ty;
          if (p === 0) context.moveTo(x, y);
          else context.lineTo(x, y);
        }
      }
      context.fillStyle = style;
      context.fill();
      if (geometry.kind === 'map') {
        context.strokeStyle = MAP_COLOURS[theme].grout;
        context.lineWidth = 1;
        context.stroke();
      }
    }
  }

  private prepareSheet(scene: Scene): void {
    const { geometry, view, theme, width, height, ratio } = scene;
    const key = [theme, view.k, view.tx, view.ty, width, height, ratio, geometry.cells.length, document.fonts.status].join();
    if (key === this.sheetFor) return;
    this.sheetFor = key;
    this.sheet.width = Math.round(width * ratio);
    this.sheet.height = Math.round(height * ratio);
    const colours = MAP_COLOURS[theme];
    const context = this.sheet.getContext('2d')!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.sea;
    context.fillRect(0, 0, width, height);
    const land = new Path2D();
    tracePolygons(land, geometry.coast, view);
    // Depth lines along the coast, as on a chart.
    context.lineJoin = 'round';
    for (const reach of [26, 16, 7]) {
      context.strokeStyle = colours.seaLine;
      context.lineWidth = reach * 2 + 1.2;
      context.stroke(land);
      context.strokeStyle = colours.sea;
      context.lineWidth = reach * 2 - 1.2;
      context.stroke(land);
    }
    context.globalCompositeOperation = 'destination-out';
    context.fill(land, 'evenodd');
    context.globalCompositeOperation = 'source-over';
    this.paintBorders(context, scene, land);
    context.strokeStyle = colours.coast;
    context.lineWidth = 1.1;
    context.stroke(land);
    this.paintLabels(context, scene);
  }

  private paintBorders(context: CanvasRenderingContext2D, { geometry, view, theme }: Scene, land: Path2D): void {
    context.save();
    context.clip(land, 'evenodd');
    context.beginPath();
    for (let i = 0; i < geometry.borders.length; i += 4) {
      context.moveTo(geometry.borders[i]! * view.k + view.tx, geometry.borders[i + 1]! * view.k + view.ty);
      context.lineTo(geometry.borders[i + 2]! * view.k + view.tx, geometry.borders[i + 3]! * view.k + view.ty);
    }
    context.strokeStyle = MAP_COLOURS[theme].border;
    context.lineWidth = 1.8;
    context.stroke();
    context.restore();
  }

  // Names of areas, the greatest first, where they do not cover one another; close up, names of places.
  private paintLabels(context: CanvasRenderingContext2D, scene: Scene): void {
    const { geometry, view, theme, names, width, height } = scene;
    const colours = MAP_COLOURS[theme];
    const zoom = view.k / scene.fitted;
    const taken: [number, number, number, number][] = [];
    const write = (text: string, wx: number, wy: number, size: number, weight: number, dy: number) => {
      const x = wx * view.k + view.tx;
      const y = wy * view.k + view.ty + dy;
      if (x < -80 || y < -20 || x > width + 80 || y > height + 20) return;
      context.font = `${weight} ${size}px ${FONT}`;
      const half = context.measureText(text).width / 2 + 3;
      const box: [number, number, number, number] = [x - half, y - size * 0.75, x + half, y + size * 0.75];
      if (taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1])) return;
      taken.push(box);
      context.lineWidth = 3;
      context.strokeStyle = colours.labelHalo;
      context.strokeText(text, x, y);
      context.fillStyle = colours.label;
      context.fillText(text, x, y);
    };
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    const small = width < 560;
    for (const label of geometry.labels.slice(0, small && zoom < 2 ? 10 : geometry.labels.length)) write(label.text, label.x, label.y, small ? 10 : 11, 600, 0);
    if (zoom >= 3) this.paintPlaces(context, scene);
    if (zoom >= 5) geometry.x.forEach((x, i) => write(names[i] ?? '', x, geometry.y[i]!, 10, 400, 14));
  }

  private paintPlaces(context: CanvasRenderingContext2D, { geometry, view, theme }: Scene): void {
    context.beginPath();
    geometry.x.forEach((wx, i) => {
      const x = wx * view.k + view.tx;
      const y = geometry.y[i]! * view.k + view.ty;
      context.moveTo(x + 2.2, y);
      context.arc(x, y, 2.2, 0, 7);
    });
    context.fillStyle = MAP_COLOURS[theme].label;
    context.strokeStyle = MAP_COLOURS[theme].labelHalo;
    context.lineWidth = 1.5;
    context.stroke();
    context.fill();
  }

  private paintMarks(context: CanvasRenderingContext2D, scene: Scene): void {
    const { geometry, view, theme } = scene;
    const colours = MAP_COLOURS[theme];
    const outline = (i: number, style: string, width: number) => {
      const cell = geometry.cells[i];
      if (!cell) return;
      const path = new Path2D();
      tracePolygons(path, [cell], view);
      context.strokeStyle = style;
      context.lineWidth = width;
      context.lineJoin = 'round';
      context.stroke(path);
    };
    for (const pulse of scene.pulses) {
      context.beginPath();
      context.arc(geometry.x[pulse.place]! * view.k + view.tx, geometry.y[pulse.place]! * view.k + view.ty, 4 + pulse.age * 22, 0, 7);
      context.strokeStyle = colours.select;
      context.globalAlpha = (1 - pulse.age) * 0.7;
      context.lineWidth = 1.5;
      context.stroke();
      context.globalAlpha = 1;
    }
    if (scene.hovered >= 0) this.pin(context, scene, scene.hovered, colours.hover, 5);
    if (scene.selected >= 0) {
      if (geometry.kind === 'tiles') outline(scene.selected, colours.select, 2);
      else this.pin(context, scene, scene.selected, colours.select, 7);
    }
  }

  // The sight on a place: a ring with four ticks.
  private pin(context: CanvasRenderingContext2D, { geometry, view, theme }: Scene, i: number, style: string, radius: number): void {
    const x = geometry.x[i]! * view.k + view.tx;
    const y = geometry.y[i]! * view.k + view.ty;
    const trace = () => {
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        context.moveTo(x + dx * (radius - 2), y + dy * (radius - 2));
        context.lineTo(x + dx * (radius + 5), y + dy * (radius + 5));
      }
    };
    trace();
    context.strokeStyle = MAP_COLOURS[theme].labelHalo;
    context.lineWidth = 5;
    context.stroke();
    trace();
    context.strokeStyle = style;
    context.lineWidth = 1.8;
    context.stroke();
  }
}
