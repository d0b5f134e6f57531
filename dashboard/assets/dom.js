// Elements, icons, numbers and times. Text is always set as text: no name can become markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element. `class`, `on…` and `data` are what they say, everything else is an attribute; null and false are left out.
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function h(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

/**
 * The same of SVG.
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function s(tag, given = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value == null || (value === false && !name.startsWith('aria-'))) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
  }
  for (const child of children) if (child != null && child !== false) element.append(child instanceof Node ? child : String(child));
  return element;
}

/** Sets a text if it is another one; whether it was. @param {Element} element @param {string} text */
export function put(element, text) {
  if (element.textContent === text) return false;
  element.textContent = text;
  return true;
}

/** Sets a text, and lets it flash if it was another one before. @param {HTMLElement} element @param {string} text */
export function flash(element, text) {
  const before = element.textContent;
  if (put(element, text) && before !== '' && before !== '–') {
    element.classList.remove('flash');
    void element.offsetWidth;
    element.classList.add('flash');
  }
}

const SHAPES = {
  up: 'M8 3l5 9H3z', down: 'M3 4h10l-5 9z', unknown: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM7 10.5h2v2H7zM7 4.5h2v4.5H7z',
  paused: 'M4 3h3v10H4zM9 3h3v10H9z', disabled: 'M3 3h10v10H3z', removed: 'M3 7h10v2H3z',
  play: 'M5 3l8 5-8 5z', heart: 'M8 13.5L2.8 8.3A3.2 3.2 0 0 1 8 4.6a3.2 3.2 0 0 1 5.2 3.7z',
  warn: 'M8 2l6.5 12h-13zM7.2 6v4h1.6V6zM7.2 11.2v1.6h1.6v-1.6z', link: 'M3 8a5 5 0 1 0 10 0a5 5 0 1 0-10 0z',
};

/** A small picture; the words beside it say the same. @param {string} name @param {string} [kind] */
export function icon(name, kind = name) {
  const path = s('path', { d: SHAPES[name] ?? SHAPES.unknown, 'fill-rule': 'evenodd' });
  return s('svg', { viewBox: '0 0 16 16', class: `icon is-${kind}`, 'aria-hidden': 'true' }, path);
}

/** A state, as picture and word. @param {string} state @param {string} [word] */
export function state(state, word = state) {
  return h('span', { class: `state is-${state}` }, icon(state), h('span', {}, word));
}

/** The time at the server, which this machine's clock may not know. */
export const clock = { offset: 0, now() { return Date.now() + this.offset; } };

/** How long ago, in at most two units. @param {number} at @param {number} [now] */
export function ago(at, now = clock.now()) {
  const seconds = Math.floor((now - at) / 1000);
  if (seconds < 1) return 'now';
  const units = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']];
  const first = units.findIndex(([length]) => seconds >= Number(length));
  const [length, unit] = units[first];
  const whole = Math.floor(seconds / Number(length));
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds - whole * Number(length)) / Number(next[0])) : 0;
  return rest ? `${whole}${unit} ${rest}${next[1]}` : `${whole}${unit}`;
}

/** The time of day, with the date if it was another one. @param {number} at */
export function clockTime(at) {
  const date = new Date(at), pad = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

/** An age that stays right, with the time itself beside it. @param {number|undefined} at @param {boolean} [both] */
export function since(at, both = false) {
  if (!at) return h('span', { class: 'quiet' }, '–');
  const age = h('time', { data: { at }, title: clockTime(at), datetime: new Date(at).toISOString() }, ago(at));
  return both ? h('span', {}, age, h('span', { class: 'quiet' }, ` (${clockTime(at)})`)) : age;
}

setInterval(() => {
  for (const element of document.querySelectorAll('time[data-at]')) {
    put(element, ago(Number(/** @type {HTMLElement} */ (element).dataset.at)));
  }
}, 1000);

/** A number with a unit's prefix where it is large. @param {number|undefined|null} number */
export function short(number) {
  if (number == null) return '–';
  if (number < 10 && number % 1) return number.toFixed(1);
  if (number < 10_000) return String(Math.round(number));
  const [size, unit] = number < 1e6 ? [1e3, 'k'] : number < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  const scaled = number / Number(size);
  return `${scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`;
}

/** @param {number|undefined|null} number */
export const whole = (number) => number == null ? '–' : number.toLocaleString('en-US');

/** @param {number|undefined|null} number */
export const percent = (number) => number == null ? '–' : `${number.toFixed(number < 10 ? 2 : 1)}%`;

/** Asks the server. An answer that is no success is an error with its words. @param {string} path @param {any} [body] */
export async function ask(path, body) {
  const options = body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const text = await answer.text();
  let json;
  try { json = JSON.parse(text); } catch { json = { error: text || answer.statusText }; }
  if (!answer.ok) throw Object.assign(new Error(json.error ?? answer.statusText), { status: answer.status });
  return json;
}
