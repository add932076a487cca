// The map as a part of the page: keeps the canvas in step with the live arrays, moves the view with pointer, wheel, touch and keys, and
// tells assistive technology what is selected.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { shortName, type Place } from '../base/model';
import { reducedMotion, theme } from '../base/theme';
import { heat, leaderItems, onHeat } from '../live/feed';
import { Icon } from '../parts/icons';
import { hasCoordinates, mapOf, neighbour, tilesOf, type Geometry } from './geometry';
import { itemColour } from './palette';
import { Painter, type Scene, type View } from './painter';

interface MapProps {
  places: Place[];
  selected: string | null;
  colourBy: 'heat' | 'leader';
  describe: (id: string) => string;      // one line on a place, for the tooltip and the live region
  onSelect: (id: string | null) => void;
  onOpen: (id: string) => void;
}

const ZOOM_MAX = 14;
const FRAME_MS = 1000 / 20;   // for the easing of heat; the view itself moves at the screen's rate
const EASE_MS = 160;

class Controller {
  readonly painter = new Painter();
  readonly context: CanvasRenderingContext2D;
  scene: Scene;
  private frame = 0;
  private last = 0;
  private size: ResizeObserver;
  private stops: (() => void)[] = [];
  moved = false;
  private viewMoved = false;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    geometry: Geometry,
    names: string[],
  ) {
    this.context = canvas.getContext('2d', { alpha: false })!;
    this.scene = {
      geometry, names, theme: theme.peek(), view: { k: 1, tx: 0, ty: 0 }, fitted: 1, width: 1, height: 1, ratio: 1,
      shown: new Float32Array(geometry.x.length), colours: null, selected: -1, hovered: -1, focused: false, pulses: [],
    };
    this.size = new ResizeObserver(() => this.resize());
    this.size.observe(canvas);
    this.stops.push(onHeat(() => this.wake()), theme.subscribe((value) => { this.scene.theme = value; this.wake(); }));
    void document.fonts.ready.then(() => this.wake());
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.size.disconnect();
    for (const stop of this.stops) stop();
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || height === 0) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    Object.assign(this.scene, { width, height, ratio });
    const fit = this.fit();
    this.scene.fitted = fit.k;
    if (!this.moved) this.scene.view = fit;
    this.paint();
    this.wake();
  }

  private fit(): View {
    const { geometry, width, height } = this.scene;
    const k = Math.min(width / geometry.width, height / geometry.height) * (geometry.kind === 'tiles' ? 0.97 : 1.06);
    return { k, tx: (width - geometry.width * k) / 2, ty: (height - geometry.height * k) / 2 };
  }

  reset(): void {
    this.moved = false;
    this.scene.view = this.fit();
    this.viewMoved = true;
    this.wake();
  }

  zoom(factor: number, x = this.scene.width / 2, y = this.scene.height / 2): void {
    const { view, fitted } = this.scene;
    const k = Math.min(fitted * ZOOM_MAX, Math.max(fitted, view.k * factor));
    if (k <= fitted * 1.001) return this.reset();
    const share = k / view.k;
    this.moved = true;
    this.scene.view = this.inside({ k, tx: x - (x - view.tx) * share, ty: y - (y - view.ty) * share });
    this.viewMoved = true;
    this.wake();
  }

  pan(dx: number, dy: number): void {
    this.moved = true;
    const { view } = this.scene;
    this.scene.view = this.inside({ k: view.k, tx: view.tx + dx, ty: view.ty + dy });
    this.viewMoved = true;
    this.wake();
  }

  // Keeps the middle of the screen over the world.
  private inside(view: View): View {
    const { geometry, width, height } = this.scene;
    const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
    return {
      k: view.k,
      tx: clamp(view.tx, width / 2 - geometry.width * view.k, width / 2),
      ty: clamp(view.ty, height / 2 - geometry.height * view.k, height / 2),
    };
  }

  show(place: number): void {
    const { view, geometry, width, height } = this.scene;
    const x = geometry.x[place]! * view.k + view.tx;
    const y = geometry.y[place]! * view.k + view.ty;
    if (x > 30 && y > 30 && x < width - 30 && y < height - 30) return;
    this.pan(width / 2 - x, height / 2 - y);
  }

  at(x: number, y: number): number {
    const { view, geometry } = this.scene;
    return geometry.find((x - view.tx) / view.k, (y - view.ty) / view.k);
  }

  pulse(place: number): void {
    if (!reducedMotion.peek()) this.scene.pulses.push({ place, age: 0 });
    this.wake();
  }

  wake(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  private tick(now: number): void {
    this.frame = 0;
    const passed = now - this.last;
    if (passed < FRAME_MS * 0.9 && !this.viewMoved) return this.wake();
    this.viewMoved = false;
    this.last = now;
    const moving = this.ease(Math.min(passed, 100));
    this.paint();
    if (moving) this.wake();
  }

  // Moves what is shown towards the newest heat. True while there is still a way to go.
  private ease(passed: number): boolean {
    const { shown, pulses } = this.scene;
    const step = reducedMotion.peek() ? 1 : 1 - Math.exp(-passed / EASE_MS);
    let farthest = 0;
    for (let i = 0; i < shown.length; ++i) {
      const want = Math.min(1.2, (heat.values[i] ?? 0) / heat.scale);
      const way = want - shown[i]!;
      farthest = Math.max(farthest, Math.abs(way));
      shown[i] = Math.abs(way) < 0.002 ? want : shown[i]! + way * step;
    }
    for (const pulse of pulses) pulse.age += passed / 900;
    this.scene.pulses = pulses.filter((pulse) => pulse.age < 1);
    return farthest > 0.004 || this.scene.pulses.length > 0;
  }

  private paint(): void {
    this.painter.paint(this.context, this.scene);
  }
}

export function MapView({ places, selected, colourBy, describe, onSelect, onOpen }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const controller = useRef<Controller | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState(-1);
  const [announced, setAnnounced] = useState('');
  const geometry = useMemo(() => (hasCoordinates(places) ? mapOf(places) : tilesOf(places)), [places]);
  const index = useMemo(() => new Map(places.map((place, i) => [place.id, i])), [places]);
  const selectedIndex = selected === null ? -1 : (index.get(selected) ?? -1);

  useEffect(() => {
    const made = new Controller(canvas.current!, geometry, places.map(shortName));
    controller.current = made;
    return () => made.stop();
  }, [geometry]);

  useEffect(() => {
    const { scene } = controller.current!;
    scene.selected = selectedIndex;
    scene.hovered = hovered === selectedIndex ? -1 : hovered;
    controller.current!.wake();
  }, [selectedIndex, hovered, geometry]);

  useEffect(() => {
    const update = () => {
      const { scene } = controller.current!;
      const names = leaderItems.peek();
      scene.colours = colourBy === 'leader' ? Array.from(heat.leader, (i) => (i < 0 ? null : itemColour(names[i] ?? '', theme.peek()))) : null;
    };
    update();
    controller.current!.wake();
    return onHeat(update);
  }, [colourBy, geometry, theme.value]);

  const choose = (i: number) => {
    const place = places[i];
    if (!place) return;
    onSelect(place.id);
    controller.current!.show(i);
    controller.current!.pulse(i);
    setAnnounced(`${place.name}: ${describe(place.id)}`);
  };

  usePointer(canvas, controller, setHovered, choose, tip);
  const onKeyDown = (event: KeyboardEvent) => {
    const arrows: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && event.shiftKey) controller.current!.pan(-arrow[0] * 60, -arrow[1] * 60);
    else if (arrow) {
      const from = selectedIndex >= 0 ? selectedIndex : 0;
      const to = selectedIndex >= 0 ? neighbour(geometry, from, arrow[0], arrow[1]) : from;
      if (to >= 0) choose(to);
    } else if (event.key === '+' || event.key === '=') controller.current!.zoom(1.5);
    else if (event.key === '-') controller.current!.zoom(1 / 1.5);
    else if (event.key === '0') controller.current!.reset();
    else if (event.key === 'Enter' && selected !== null) onOpen(selected);
    else if (event.key === 'Escape') onSelect(null);
    else return;
    event.preventDefault();
  };

  const place = hovered >= 0 ? places[hovered] : undefined;
  return (
    <div class="map">
      <canvas
        ref={canvas} class="map-canvas" tabIndex={0} role="application" aria-roledescription={geometry.kind === 'map' ? 'map' : 'grid of locations'}
        aria-label={`${places.length} locations. Arrow keys move between locations, plus and minus zoom, Enter opens the location.`}
        onKeyDown={onKeyDown} onDblClick={() => hovered >= 0 && onOpen(places[hovered]!.id)}
      />
      <div class="map-tip" ref={tip} hidden={!place} aria-hidden="true">
        {place && <><strong>{place.name}</strong><span>{describe(place.id)}</span></>}
      </div>
      <div class="map-zoom" role="group" aria-label="Zoom">
        <button type="button" class="icon-button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => controller.current!.zoom(1.5)}><Icon name="plus" /></button>
        <button type="button" class="icon-button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => controller.current!.zoom(1 / 1.5)}><Icon name="minus" /></button>
        <button type="button" class="icon-button" aria-label="Show all" title="Show all (0)" onClick={() => controller.current!.reset()}><Icon name="fit" /></button>
      </div>
      <div class="visually-hidden" role="status" aria-live="polite">{announced}</div>
    </div>
  );
}

type Ref<T> = { current: T };

function usePointer(canvas: Ref<HTMLCanvasElement | null>, controller: Ref<Controller | null>, setHovered: (i: number) => void, choose: (i: number) => void, tip: Ref<HTMLDivElement | null>): void {
  const chooseNow = useRef(choose);
  chooseNow.current = choose;
  useEffect(() => {
    const element = canvas.current!;
    const down = new Map<number, { x: number; y: number }>();
    let travelled = 0;
    const place = (event: PointerEvent | WheelEvent) => {
      const box = element.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const onDown = (event: PointerEvent) => {
      if (down.size === 0) travelled = 0;
      down.set(event.pointerId, place(event));
      element.setPointerCapture(event.pointerId);
    };
    const onMove = (event: PointerEvent) => {
      const here = place(event);
      const before = down.get(event.pointerId);
      if (!before) {
        setHovered(event.pointerType === 'touch' ? -1 : controller.current!.at(here.x, here.y));
        const { scene } = controller.current!;
        if (tip.current) {
          tip.current.style.left = `${Math.min(here.x + 14, scene.width - 250)}px`;
          tip.current.style.top = `${Math.min(here.y + 14, scene.height - 60)}px`;
        }
        return;
      }
      const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const [was, is] = [Math.hypot(before.x - other.x, before.y - other.y), Math.hypot(here.x - other.x, here.y - other.y)];
        controller.current!.zoom(is / Math.max(1, was), (here.x + other.x) / 2, (here.y + other.y) / 2);
        travelled += 10;
      } else {
        travelled += Math.hypot(here.x - before.x, here.y - before.y);
        if (travelled > 4) controller.current!.pan(here.x - before.x, here.y - before.y);
      }
      down.set(event.pointerId, here);
    };
    const onUp = (event: PointerEvent) => {
      const was = down.delete(event.pointerId);
      if (!was || travelled > 4 || event.type === 'pointercancel') return;
      const here = place(event);
      const i = controller.current!.at(here.x, here.y);
      if (i >= 0) chooseNow.current(i);
    };
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const here = place(event);
      controller.current!.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), here.x, here.y);
    };
    const onLeave = () => setHovered(-1);
    element.addEventListener('pointerdown', onDown);
    element.addEventListener('pointermove', onMove);
    element.addEventListener('pointerup', onUp);
    element.addEventListener('pointercancel', onUp);
    element.addEventListener('pointerleave', onLeave);
    element.addEventListener('wheel', onWheel, { passive: false });
    return () => {
      element.removeEventListener('pointerdown', onDown);
      element.removeEventListener('pointermove', onMove);
      element.removeEventListener('pointerup', onUp);
      element.removeEventListener('pointercancel', onUp);
      element.removeEventListener('pointerleave', onLeave);
      element.removeEventListener('wheel', onWheel);
    };
  }, []);
}
