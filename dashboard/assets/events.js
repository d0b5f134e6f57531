// What happens, as it happens.

import { clockTime, h, icon, put, remember, remembered } from './dom.js';
import { events } from './store.js';

const SHOWN = 500;
const KINDS = {
  backend: 'Backends', frontend: 'Frontends', write: 'VPP writes', command: 'Commands', reload: 'Reloads',
  connection: 'Connections', log: 'Log',
};
/** @type {{ filter: string, off: string[] }} */
const memory = remembered('events', { filter: '', off: [] });

const ALSO = { refused: 'write', agent: 'connection', vpp: 'connection', brain: 'connection', missed: 'log' };
const kindOf = ({ kind }) => ALSO[kind] ?? kind;

/** How an event is to be read: its picture and its words. @param {any} event @returns {[string, string]} */
function read({ kind, name = '', from, to = '', text = '', who, error, level }) {
  const change = from ? `${from} → ${to}` : to, because = text && `: ${text}`;
  switch (kind) {
    case 'backend': return [to, `backend ${name} ${change}${because}`];
    case 'frontend': return [['down', 'up'].includes(to) ? to : 'warn', `frontend ${name} ${change}${because}`];
    case 'vpp': return [to === 'connected' ? 'up' : 'down', `VPP ${change}${because}`];
    case 'agent': case 'brain': return [to === 'connected' ? 'up' : 'down', `${kind} ${change}${because}`];
    case 'command': return ['play', `${who ? `${who}: ` : ''}${text}`];
    case 'reload': return ['play', `configuration reloaded${who ? ` by ${who}` : ''}${because}`];
    case 'write': return ['link', `VPP: ${name} ${text}`];
    case 'refused': return ['warn', `VPP refused: ${name} ${text}: ${error}`];
    case 'log': return ['warn', `${level}: ${text}`];
    default: return ['unknown', text];
  }
}

/** @param {any} event */
function item(event) {
  const [shape, words] = read(event), at = new Date(event.at);
  const time = `${clockTime(event.at)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return h(`li.event.kind-${event.kind}`, h('time', { datetime: at.toISOString() }, time),
    h('span.of.quiet', event.server ?? ''), icon(shape), h('span', words));
}

/** @param {any} event */
function has(event) {
  if (memory.off.includes(kindOf(event))) return false;
  const text = `${event.server ?? ''} ${read(event)[1]}`.toLowerCase();
  return memory.filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** @param {HTMLElement} main */
export function eventsPage(main) {
  let paused = false, waiting = 0;
  const search = h('input', { type: 'search', placeholder: 'Filter  ( / )', 'aria-label': 'Filter events' });
  const pause = h('button', { onclick: () => { paused = !paused; if (!paused) draw(); label(); } });
  const follow = h('input', { type: 'checkbox', id: 'follow', checked: true });
  const kinds = Object.entries(KINDS).map(([kind, words]) => {
    const toggle = () => {
      memory.off = memory.off.includes(kind) ? memory.off.filter((off) => off !== kind) : [...memory.off, kind];
      button.setAttribute('aria-pressed', String(!memory.off.includes(kind)));
      chosen();
    };
    const button = h('button.plain', { 'aria-pressed': !memory.off.includes(kind), onclick: toggle }, words);
    return button;
  });
  const list = h('ol.events', { tabindex: 0, 'aria-label': 'Events, oldest first' }), empty = h('p.quiet');
  const counts = h('div.counts', { role: 'group', 'aria-label': 'Kinds' }, kinds);
  main.append(h('h1.sr', 'Events'), h('div.tools', search, pause, h('label', follow, ' Follow'), counts), empty, list);
  search.value = memory.filter;

  const label = () => put(pause, paused ? `Go on (${waiting} new)` : 'Pause  ( p )');
  const atEnd = () => { if (follow.checked) list.scrollTop = list.scrollHeight; };
  function draw() {
    waiting = 0;
    const shown = events.filter(has).slice(-SHOWN);
    list.replaceChildren(...shown.map(item));
    put(empty, shown.length ? '' : 'No events match.');
    atEnd();
  }
  function chosen() {
    remember('events', memory);
    draw();
  }
  search.addEventListener('input', () => { memory.filter = search.value; chosen(); });
  const isAtEnd = () => list.scrollTop + list.clientHeight > list.scrollHeight - 40;
  list.addEventListener('scroll', () => { follow.checked = isAtEnd(); }, { passive: true });
  label();
  draw();
  return {
    update(/** @type {any} */ _, /** @type {any[]} */ happened) {
      if (!happened.length) return;
      if (paused) { waiting += happened.length; return void label(); }
      list.append(...happened.filter(has).map(item));
      while (list.childElementCount > SHOWN) list.firstChild?.remove();
      if (list.childElementCount) put(empty, '');
      atEnd();
    },
    key(/** @type {KeyboardEvent} */ event) {
      if (event.key === 'p') pause.click();
      return event.key === 'p';
    },
  };
}
