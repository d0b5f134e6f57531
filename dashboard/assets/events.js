// What happens, as it happens.

import { clockTime, h, icon, put, remember, remembered } from './dom.js';
import { events } from './store.js';

const SHOWN = 500;
const KINDS = {
  backend: 'Backends', frontend: 'Frontends', route: 'Routes', write: 'VPP writes', command: 'Commands', reload: 'Reloads', fleet: 'Fleet',
  connection: 'Connections', log: 'Log',
};
/** @type {{ filter: string, off: string[] }} */
const memory = remembered('events', { filter: '', off: [] });

/** @param {any} event */
function item(event) {
  const at = new Date(event.at);
  const time = `${clockTime(event.at)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return h(`li.event.kind-${event.kind}`, h('time', { datetime: at.toISOString() }, time),
    h('span.of.quiet', event.server ?? ''), icon(event.icon), h('span', event.text));
}

/** @param {any} event */
function has(event) {
  if (memory.off.includes(event.kind)) return false;
  const text = `${event.server ?? ''} ${event.text}`.toLowerCase();
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
