// Pictures where people would rather look than read. Each has its numbers as text for those who cannot.

import { clock, clockTime, h, icon, percent, quiet, redraw, restart, s, short } from './dom.js';

const MINUTE = 60_000, WIDTH = 600, HEIGHT = 90;
/** Probes that are drawn. */
const PROBES = 60;
/** How long a part of the bucket table counts as just moved. */
const JUST = 20_000;

const rect = (kind, x, y, width, height, title) =>
  s('rect', { class: kind, x, y, width: Math.max(0, width), height }, title && s('title', title));
const svg = (width, height, words, ...inner) =>
  s('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words }, inner);

/** Packets and new flows of the last 15 minutes. @param {number[][]} samples `[time, packets, new flows]` */
export function traffic(samples) {
  const span = 15 * MINUTE, begin = clock.now() - span, seen = samples.filter(([at]) => at > begin);
  const newest = seen.at(-1), most = (field) => Math.max(0, ...seen.map((sample) => sample[field]));
  const line = (field) => {
    const unit = (field === 1 ? HEIGHT - 12 : .7 * (HEIGHT - 12)) / (most(field) || 1);
    const points = seen.map((sample) =>
      `${((sample[0] - begin) / span * WIDTH).toFixed(1)},${(HEIGHT - 4 - sample[field] * unit).toFixed(1)}`);
    return s(`polyline.line-${field}`, { points: points.join(' '), fill: 'none' });
  };
  const grid = [1 / 3, 2 / 3].map((part) => s('line.grid', { x1: part * WIDTH, x2: part * WIDTH, y1: 0, y2: HEIGHT }));
  const key = (field, words) =>
    h(`span.key.key-${field}`, `${words}/s: ${short(newest?.[field])}, most ${short(most(field))}`);
  const words = newest ? `${short(newest[1])} packets/s, ${short(newest[2])} new flows/s` : 'not known yet';
  const isLine = seen.length > 1;
  return h('figure.traffic',
    h('figcaption', key(1, 'packets'), key(2, 'new flows'), quiet('last 15 minutes, each to its own scale')),
    svg(WIDTH, HEIGHT, words, grid, isLine && [line(1), line(2)]),
    !isLine && h('p.quiet.over', 'VPP is counting; a line needs two samples, 5 s apart'));
}

/**
 * Who owns how much of the bucket table, and what just moved: a part that grew is hatched for a while.
 * @param {any[]} members
 * @param {Map<string, { buckets: number, at: number, change: number }>} memory What was shown before.
 */
export function strip(members, memory) {
  const owners = [...new Map(members.filter((row) => row.buckets != null).map((row) => [row.address, row])).values()];
  const all = owners.reduce((sum, row) => sum + row.buckets, 0);
  if (!all) return h('p.quiet', members.length && 'Buckets are not known, or nobody owns any.');
  /** @type {any[]} */
  const parts = [], /** @type {any[]} */ legend = [], /** @type {string[]} */ words = [];
  owners.forEach(({ address, backend, buckets }, place) => {
    const known = memory.get(address) ?? { buckets, at: 0, change: 0 };
    if (known.buckets !== buckets) Object.assign(known, { change: buckets - known.buckets, buckets, at: Date.now() });
    memory.set(address, known);
    const moved = Date.now() - known.at < JUST ? known.change : 0, sign = moved > 0 ? '+' : '−';
    const change = moved ? ` ${sign}${Math.abs(moved)}` : '', owned = `${backend} ${percent(buckets / all * 100)}`;
    const hatch = moved > 0 && h('i.moved');
    if (hatch) hatch.style.width = `${Math.min(100, moved / buckets * 100)}%`;
    const title = `${owned}: ${buckets} of ${all} buckets${change}`;
    const part = h(`div.owner-${place % 8}`, { title }, h('span', backend), hatch);
    part.style.flexGrow = String(buckets);
    if (buckets) { parts.push(part); words.push(owned); }
    const swatch = h(`span.swatch.owner-${place % 8}`);
    if (buckets || moved) legend.push(h('span', swatch, `${backend} ${buckets}`, h('b', change)));
  });
  const bar = h('div.table', { role: 'img', 'aria-label': `Buckets: ${words.join(', ')}` }, parts);
  return h('figure.strip', bar, h('figcaption', legend));
}

/** Shares expected and measured, as two bars. @param {number} [expected] @param {number} [measured] */
export function share(expected, measured) {
  const words = `expected ${percent(expected)}, measured ${percent(measured)}`;
  return h('span.share', { title: words }, svg(100, 10, words, rect('ground', 0, 0, 100, 10),
    rect('expected', 0, 1, expected ?? 0, 3.5), rect('measured', 0, 5.5, measured ?? 0, 3.5)));
}

/** States of the last hour. @param {any[]} history Transitions, newest first. @param {string} now */
export function timeline(history, now) {
  const end = clock.now(), begin = end - 60 * MINUTE, unit = 600 / (end - begin);
  const changes = [...history].reverse(), first = changes[0];
  const part = (from, to, state) => {
    const [x, right] = [Math.max(from, begin), Math.min(to, end)];
    const [y, height] = { down: [0, 16], unknown: [7, 2] }[state] ?? [4, 8];
    return right > x && rect(`is-${state}`, (x - begin) * unit, y, Math.max(1.5, (right - x) * unit), height,
      `${state} from ${clockTime(from)}`);
  };
  // How long the state before the oldest change that is remembered had lasted, nobody knows.
  const before = first ? part(0, first.at_unix_ms, 'unknown') : part(begin, end, now);
  const after = changes.map(({ at_unix_ms: at, to }, place) => part(at, changes[place + 1]?.at_unix_ms ?? end, to));
  const words = history.slice(0, 3).map((change) =>
    `${clockTime(change.at_unix_ms)} ${change.from} to ${change.to}: ${change.cause}`);
  return h('div.timeline', svg(600, 16, `Last hour: ${words.join('; ') || `${now} all the time`}`, before, after));
}

/** How long probes took. @param {any[][]} probes `[time, milliseconds, passed]` */
export function latency(probes) {
  if (!probes.length) return quiet('no probes yet');
  const seen = probes.slice(-PROBES), times = seen.map(([, took]) => took).sort((a, b) => a - b);
  const most = Math.max(0.1, ...times), failed = seen.filter(([, , passed]) => !passed).length;
  const bars = seen.map(([at, took, passed], place) => {
    const height = passed ? Math.max(1, took / most * 18) : 20;
    const title = `${clockTime(at)}: ${took.toFixed(1)} ms${passed ? '' : ', failed'}`;
    return rect(passed ? 'took' : 'failed', place * 3, 20 - height, 2, height, title);
  });
  const words = `${short(times[Math.floor(times.length / 2)])} ms typical, ${short(most)} most`
    + (failed ? `, ${failed}/${seen.length} failed` : '');
  return h('span.latency', svg(3 * PROBES, 20, words, bars), quiet(words));
}

/**
 * A probe's heart: a sign at rest, paused or stopped by the state, and a beat at the start of each probe. Its box has
 * one size, so that rows stay where they are.
 */
export function heart() {
  const element = h('span.heart', { 'aria-hidden': 'true' });
  let resting = 'unknown', timer = 0;
  const show = (/** @type {string} */ name) =>
    redraw(element, name, () => icon(name, name === 'heart' ? name : 'quiet'));

  function rest(/** @type {string} */ state) {
    resting = state;
    if (!timer) show({ paused: 'paused', disabled: 'disabled', removed: 'disabled' }[state] ?? 'play');
  }

  function beat() {
    clearTimeout(timer);
    show('heart');
    restart(element, 'beats');
    timer = setTimeout(() => {
      timer = 0;
      element.classList.remove('beats');
      rest(resting);
    }, 400);
  }
  return { element, rest, beat };
}
