// Elements, icons, numbers and times. Text is always set as text: no name can become markup.

/** @typedef {Record<string, any>} Row */

/**
 * An element: `tag.class`, then attributes, listeners (`on…`) and `data`, if any, then children. Null and false are
 * left out.
 * @param {string} tag @param {...any} rest @returns {any}
 */
export const h = (tag, ...rest) => make((name) => document.createElement(name), tag, rest);

/** The same of SVG. @param {string} tag @param {...any} rest @returns {any} */
export const s = (tag, ...rest) =>
  make((name) => document.createElementNS('http://www.w3.org/2000/svg', name), tag, rest);

const isGiven = (value) => value && Object.getPrototypeOf(value) === Object.prototype;
const children = (list) => list.flat(9).filter((child) => child != null && child !== false && child !== '');

function make(create, tag, rest) {
  const [kind, ...classes] = tag.split('.');
  const element = create(kind);
  const { class: more = '', data = {}, ...given } = isGiven(rest[0]) ? rest.shift() : {};
  element.classList.add(...classes, ...more.split(' ').filter(Boolean));
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(given)) {
    const isAria = name.startsWith('aria-');
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value != null && (isAria || value !== false)) {
      element.setAttribute(name, value === true && !isAria ? '' : String(value));
    }
  }
  if (!element.classList.length) element.removeAttribute('class');
  element.append(...children(rest));
  return element;
}

/** Sets a text if it is another one. @param {Element} element @param {string} text */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Begins an animation, also if it is under way. @param {HTMLElement} element @param {string} name */
export function restart(element, name) {
  element.classList.remove(name);
  void element.offsetWidth;
  element.classList.add(name);
}

/** What elements were drawn from. @type {WeakMap<Element, string>} */
const drawn = new WeakMap();

/**
 * Draws the content of an element again if the values behind it are others than last time.
 * @param {HTMLElement} element @param {any} values @param {() => any} draw @param {boolean} [flashes] If drawn before.
 */
export function redraw(element, values, draw, flashes = false) {
  const words = JSON.stringify(values), before = drawn.get(element);
  if (words === before) return;
  drawn.set(element, words);
  element.replaceChildren(...children([draw()]));
  if (flashes && before !== undefined) restart(element, 'flash');
}

/**
 * Elements by key, made when they are needed and removed when they are not.
 * @param {HTMLElement} parent @param {(key: string) => any} create What has an `element`.
 */
export function keyed(parent, create) {
  /** @type {Map<string, any>} */
  const map = new Map();
  /** Those of exactly these keys, in their order. @param {string[]} keys @returns {any[]} */
  function show(keys) {
    const wanted = new Set(keys);
    for (const [key, { element }] of map) if (!wanted.has(key) && map.delete(key)) element.remove();
    return keys.map((key, place) => {
      const item = map.get(key) ?? create(key), there = parent.children[place] ?? null;
      map.set(key, item);
      if (there !== item.element) parent.insertBefore(item.element, there);
      return item;
    });
  }
  return { map, show };
}

/** @param {string} name Of a column; one without is for controls. */
export const heading = (name) => name.replace('#', '') || h('span.sr', 'Change');

/** A table. A column whose name begins with # has numbers. @param {string[]} names @param {any[][]} rows */
export function table(names, rows) {
  const kind = (place) => names[place].startsWith('#') ? '.number' : '';
  const head = names.map((name, place) => h(`th${kind(place)}`, { scope: 'col' }, heading(name)));
  const cells = (row) => row.map((cell, place) => h(`td${kind(place)}`, cell));
  return h('div.scroll', { tabindex: 0 },
    h('table', h('thead', h('tr', head)), h('tbody', rows.map((row) => h('tr', cells(row))))));
}

const SHAPES = {
  up: 'M8 3l5 9H3z', down: 'M3 4h10l-5 9z', paused: 'M4 3h3v10H4zM9 3h3v10H9z', disabled: 'M3 3h10v10H3z',
  unknown: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM7 10.5h2v2H7zM7 4.5h2v4.5H7z', removed: 'M3 7h10v2H3z',
  play: 'M5 3l8 5-8 5z', heart: 'M8 13.5L2.8 8.3A3.2 3.2 0 0 1 8 4.6a3.2 3.2 0 0 1 5.2 3.7z',
  warn: 'M8 2l6.5 12h-13zM7.2 6v4h1.6V6zM7.2 11.2v1.6h1.6v-1.6z', link: 'M3 8a5 5 0 1 0 10 0a5 5 0 1 0-10 0z',
};

/** A small picture; the words beside it say the same. @param {string} name @param {string} [kind] */
export function icon(name, kind = name) {
  const path = s('path', { d: SHAPES[name] ?? SHAPES.unknown, 'fill-rule': 'evenodd' });
  return s('svg', { viewBox: '0 0 16 16', class: `icon is-${kind}`, 'aria-hidden': 'true' }, path);
}

/** A state, as picture and word. @param {string} state @param {string} [word] */
export const state = (state, word = state) => h(`span.state.is-${state}`, icon(state), h('span', word));

/** @param {...any} inner */
export const quiet = (...inner) => h('span.quiet', inner);
/** @param {...any} inner */
export const warning = (...inner) => h('span.is-warn', inner);

/** The time at the server, which this machine's clock may not know. */
export const clock = { offset: 0, now() { return Date.now() + this.offset; } };

/** How long ago, in at most two units. @param {number} at @param {number} [now] */
export function ago(at, now = clock.now()) {
  const seconds = Math.floor((now - at) / 1000);
  if (seconds < 1) return 'now';
  const lengths = [86400, 3600, 60, 1], units = 'dhms', first = lengths.findIndex((length) => seconds >= length);
  const whole = Math.floor(seconds / lengths[first]);
  const rest = first < 3 ? Math.floor(seconds % lengths[first] / lengths[first + 1]) : 0;
  return `${whole}${units[first]}${rest ? ` ${rest}${units[first + 1]}` : ''}`;
}

/** The time of day, with the date if it was another one. @param {number} at */
export function clockTime(at) {
  const date = new Date(at), pad = (number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} `;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return (date.toDateString() === new Date().toDateString() ? '' : day) + time;
}

/** An age that stays right, with the time itself beside it. @param {number|undefined} at */
export function since(at) {
  if (!at) return quiet('–');
  const age = h('time', { data: { at }, datetime: new Date(at).toISOString() }, ago(at));
  return h('span.since', age, quiet(` (${clockTime(at)})`));
}

setInterval(() => {
  for (const time of document.querySelectorAll('time[data-at]')) put(time, ago(Number(time.getAttribute('data-at'))));
}, 1000);

/** A number with a unit's prefix where it is large. @param {number|undefined|null} number */
export function short(number) {
  if (number == null) return '–';
  if (number < 10_000) return number < 10 && number % 1 ? number.toFixed(1) : String(Math.round(number));
  const [size, unit] = number < 1e6 ? [1e3, 'k'] : number < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  return `${(number / size).toFixed(number / size < 100 ? 1 : 0)}${unit}`;
}

/** @param {number|undefined|null} number */
export const whole = (number) => number == null ? '–' : number.toLocaleString('en-US');
/** @param {number|undefined|null} number */
export const percent = (number) => number == null ? '–' : `${number.toFixed(number < 10 ? 2 : 1)}%`;

/** What somebody chose on a page, kept over reloads. @param {string} page @param {Row} initial @returns {any} */
export function remembered(page, initial) {
  try { return { ...initial, ...JSON.parse(localStorage.getItem(page) ?? '{}') }; } catch { return initial; }
}

/** @param {string} page @param {Row} chosen */
export function remember(page, chosen) {
  try { localStorage.setItem(page, JSON.stringify(chosen)); } catch { /* then it is forgotten */ }
}

/** Asks the server. An answer that is no success is thrown, with its words. @param {string} path @param {any} [body] */
export async function ask(path, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(path, body && { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  let json;
  try { json = JSON.parse(text); } catch { json = { error: text || answer.statusText }; }
  if (!answer.ok) throw Object.assign(new Error(json.error ?? answer.statusText), { status: answer.status });
  return json;
}
