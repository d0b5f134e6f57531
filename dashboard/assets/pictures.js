// Pictures where people would rather look than read. Each has its numbers as text for those who cannot.

import { clock, clockTime, h, icon, percent, s, short } from './dom.js';

const WIDTH = 600, HEIGHT = 90;

/** Packets and new flows of the last 15 minutes. @param {number[][]} samples `[time, packets, new flows]` */
export function traffic(samples) {
  const newest = samples.at(-1);
  const span = 15 * 60_000, end = clock.now();
  const seen = samples.filter(([at]) => at > end - span);
  const line = (/** @type {number} */ field) => {
    const most = Math.max(1e-9, ...seen.map((sample) => sample[field]));
    const points = seen.map((sample) => `${((sample[0] - end + span) / span * WIDTH).toFixed(1)},${(HEIGHT - 4 - sample[field] / most * (HEIGHT - 12) * (field === 1 ? 1 : .7)).toFixed(1)}`);
    return s('polyline', { points: points.join(' '), class: `line-${field}`, fill: 'none' });
  };
  const most = (/** @type {number} */ field) => short(Math.max(0, ...seen.map((sample) => sample[field])));
  const words = newest ? `${short(newest[1])} packets/s, ${short(newest[2])} new flows/s` : 'not known yet';
  return h('figure', { class: 'traffic' },
    h('figcaption', {},
      h('span', { class: 'key key-1' }, `packets/s: ${newest ? short(newest[1]) : '–'}, most ${most(1)}`),
      h('span', { class: 'key key-2' }, `new flows/s: ${newest ? short(newest[2]) : '–'}, most ${most(2)}`),
      h('span', { class: 'quiet' }, 'last 15 minutes, each to its own scale')),
    s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
      ...[5, 10].map((minutes) => s('line', { x1: minutes / 15 * WIDTH, x2: minutes / 15 * WIDTH, y1: 0, y2: HEIGHT, class: 'grid' })),
      seen.length > 1 ? line(1) : null, seen.length > 1 ? line(2) : null),
    seen.length > 1 ? null : h('p', { class: 'quiet over' }, 'VPP is counting; a line needs two samples, 5 s apart'));
}

/**
 * Who owns how much of the bucket table, and what just moved: a part that grew or shrank is hatched for a while.
 * @param {any[]} members
 * @param {Map<string, { buckets: number, at: number, change: number }>} memory What was shown before.
 */
export function strip(members, memory) {
  const servers = [...new Map(members.filter((row) => row.buckets != null).map((row) => [row.address, row])).values()];
  const all = servers.reduce((sum, row) => sum + row.buckets, 0);
  if (!all) return h('p', { class: 'quiet' }, members.length ? 'Buckets are not known, or nobody owns any.' : '');
  let x = 0;
  const parts = servers.map((row, place) => {
    const known = memory.get(row.address);
    if (known && known.buckets !== row.buckets) Object.assign(known, { change: row.buckets - known.buckets, buckets: row.buckets, at: Date.now() });
    else if (!known) memory.set(row.address, { buckets: row.buckets, at: 0, change: 0 });
    const moved = known && Date.now() - known.at < 20_000 ? known.change : 0;
    const width = row.buckets / all * 1000, own = Math.min(width, Math.abs(moved) / all * 1000);
    const title = `${row.backend}: ${row.buckets} of ${all} buckets, ${percent(row.buckets / all * 100)}${moved ? `, ${moved > 0 ? '+' : ''}${moved} just now` : ''}`;
    const part = s('g', {}, s('title', {}, title), s('rect', { x, y: 0, width: Math.max(0, width - 1), height: 24, class: `owner-${place % 8}` }),
      moved > 0 ? s('rect', { x: x + width - own, y: 0, width: own, height: 24, class: 'moved' }) : null);
    x += width;
    return { part, row, place, moved };
  });
  const label = parts.map(({ row }) => `${row.backend} ${percent(row.buckets / all * 100)}`).join(', ');
  return h('figure', { class: 'strip' },
    s('svg', { viewBox: '0 0 1000 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': `Buckets: ${label}` }, hatch(), ...parts.map(({ part }) => part)),
    h('figcaption', {}, ...parts.filter(({ row, moved }) => row.buckets || moved).map(({ row, place, moved }) =>
      h('span', {}, h('span', { class: `swatch owner-${place % 8}` }), `${row.backend} ${row.buckets}`,
        moved ? h('b', {}, ` ${moved > 0 ? '+' : '−'}${Math.abs(moved)}`) : null))));
}

const hatch = () => s('defs', {}, s('pattern', { id: 'hatch', width: 8, height: 8, patternUnits: 'userSpaceOnUse' },
  s('path', { d: 'M0 8L8 0', class: 'hatch' })));

/** Share expected and measured, as two bars above each other. @param {number|undefined} expected @param {number|undefined} measured */
export function share(expected, measured) {
  const words = `expected ${percent(expected)}, measured ${percent(measured)}`;
  return s('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', class: 'share', role: 'img', 'aria-label': words }, s('title', {}, words),
    s('rect', { x: 0, y: 0, width: 100, height: 10, class: 'ground' }),
    s('rect', { x: 0, y: 1, width: expected ?? 0, height: 3.5, class: 'expected' }),
    s('rect', { x: 0, y: 5.5, width: measured ?? 0, height: 3.5, class: 'measured' }));
}

/** States of a backend over the last hour. @param {any[][]} history `[time, from, to, cause]`, newest first @param {string} now */
export function timeline(history, now) {
  const span = 3600_000, end = clock.now(), begin = end - span;
  const changes = [...history].reverse();
  const parts = [];
  const add = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ state) => {
    const [x, right] = [Math.max(from, begin), Math.min(to, end)];
    if (right > x) parts.push(s('rect', { x: (x - begin) / span * 600, width: Math.max(1.5, (right - x) / span * 600), y: { down: 0, unknown: 7 }[state] ?? 4, height: { down: 16, unknown: 2 }[state] ?? 8, class: `is-${state}` },
      s('title', {}, `${state} from ${clockTime(from)}`)));
  };
  if (!changes.length) add(begin, end, now);
  else add(0, changes[0][0], changes[0][1] === 'unspecified' ? 'unknown' : changes[0][1]);
  changes.forEach(([at, , to], place) => add(at, changes[place + 1]?.[0] ?? end, to));
  const words = changes.slice(-3).reverse().map(([at, from, to, cause]) => `${clockTime(at)} ${from} to ${to}: ${cause}`).join('; ');
  return s('svg', { viewBox: '0 0 600 16', preserveAspectRatio: 'none', class: 'timeline', role: 'img', 'aria-label': `Last hour: ${words || `${now} all the time`}` }, ...parts);
}

/** How long probes took. @param {any[][]} probes `[time, milliseconds, passed]` */
export function latency(probes) {
  if (!probes.length) return h('span', { class: 'quiet' }, 'no probes yet');
  const seen = probes.slice(-60), most = Math.max(0.1, ...seen.map(([, took]) => took));
  const bars = seen.map(([at, took, passed], place) => {
    const height = Math.max(1, took / most * 18);
    return s('rect', { x: place * 3, y: passed ? 20 - height : 0, width: 2, height: passed ? height : 20, class: passed ? 'took' : 'failed' },
      s('title', {}, `${clockTime(at)}: ${took.toFixed(1)} ms${passed ? '' : ', failed'}`));
  });
  const sorted = seen.map(([, took]) => took).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const failed = seen.filter(([, , passed]) => !passed).length;
  const words = `${short(middle)} ms typical, ${short(most)} ms most${failed ? `, ${failed} of ${seen.length} failed` : ''}`;
  return h('span', { class: 'latency' }, s('svg', { viewBox: '0 0 180 20', role: 'img', 'aria-label': words }, ...bars), h('span', { class: 'quiet' }, words));
}

/**
 * A probe's heart: a sign at rest, paused or stopped by the state, and a beat at the start of each probe. Its box has
 * one size, so that rows stay where they are.
 */
export class Heart {
  constructor() {
    this.element = h('span', { class: 'heart', 'aria-hidden': 'true' });
    this.shown = '';
    this.timer = 0;
    this.state = 'unknown';
  }

  rest(/** @type {string} */ state) {
    this.state = state;
    if (!this.timer) this.show({ paused: 'paused', disabled: 'disabled', removed: 'disabled' }[state] ?? 'play');
  }

  beat() {
    clearTimeout(this.timer);
    this.show('heart');
    this.element.classList.remove('beats');
    void this.element.offsetWidth;
    this.element.classList.add('beats');
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.element.classList.remove('beats');
      this.rest(this.state);
    }, 400);
  }

  show(/** @type {string} */ name) {
    if (this.shown === name) return;
    this.shown = name;
    this.element.replaceChildren(icon(name, name === 'heart' ? 'heart' : 'quiet'));
  }
}
