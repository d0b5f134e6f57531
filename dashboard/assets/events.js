// What happens, as it happens.

import { clockTime, h, icon, put } from './dom.js';
import { events } from './store.js';

const SHOWN = 500;
const KINDS = { backend: 'Backends', frontend: 'Frontends', write: 'VPP writes', command: 'Commands', reload: 'Reloads', connection: 'Connections', log: 'Log' };
const memory = { filter: '', off: new Set() };

const kindOf = (/** @type {any} */ event) => ({ refused: 'write', agent: 'connection', vpp: 'connection', brain: 'connection', missed: 'log' }[event.kind] ?? event.kind);

/** How an event is to be read. @param {any} event @returns {[string, string]} its picture and its words */
function read(event) {
  const change = event.from ? `${event.from} → ${event.to}` : event.to ?? '';
  const because = event.text ? `: ${event.text}` : '';
  switch (event.kind) {
    case 'backend': return [event.to, `backend ${event.name} ${change}${because}`];
    case 'frontend': return [['down', 'up'].includes(event.to) ? event.to : 'warn', `frontend ${event.name} ${change}${because}`];
    case 'agent': case 'vpp': case 'brain': return [event.to === 'connected' ? 'up' : 'down', `${event.kind === 'vpp' ? 'VPP' : event.kind} ${change}${because}`];
    case 'command': return ['play', `${event.who ? `${event.who}: ` : ''}${event.text ?? ''}`];
    case 'reload': return ['play', `configuration reloaded${event.who ? ` by ${event.who}` : ''}${because}`];
    case 'write': return ['link', `VPP: ${event.name ?? ''} ${event.text ?? ''}`];
    case 'refused': return ['warn', `VPP refused: ${event.name ?? ''} ${event.text ?? ''}: ${event.error}`];
    case 'log': return ['warn', `${event.level}: ${event.text ?? ''}`];
    default: return ['unknown', event.text ?? ''];
  }
}

/** @param {HTMLElement} main */
export function eventsPage(main) {
  let paused = false, waiting = 0;
  const search = h('input', { type: 'search', placeholder: 'Filter  ( / )', 'aria-label': 'Filter events', value: memory.filter });
  const pause = h('button', { onclick: () => { paused = !paused; if (!paused) draw(); told(); } });
  const follow = h('input', { type: 'checkbox', id: 'follow', checked: true });
  const kinds = Object.entries(KINDS).map(([kind, words]) => h('button', { class: 'plain', 'aria-pressed': !memory.off.has(kind), onclick: (/** @type {any} */ event) => {
    if (memory.off.has(kind)) memory.off.delete(kind); else memory.off.add(kind);
    event.currentTarget.setAttribute('aria-pressed', String(!memory.off.has(kind)));
    draw();
  } }, words));
  const list = h('ol', { class: 'events', tabindex: 0, 'aria-label': 'Events, oldest first' });
  const empty = h('p', { class: 'quiet' });
  main.append(h('h1', { class: 'sr' }, 'Events'), h('div', { class: 'tools' }, search, pause, h('label', {}, follow, ' Follow'), h('div', { class: 'counts', role: 'group', 'aria-label': 'Kinds' }, ...kinds)), empty, list);

  const has = (/** @type {any} */ event) => !memory.off.has(kindOf(event)) && memory.filter.toLowerCase().split(/\s+/).every((word) => `${event.server ?? ''} ${read(event)[1]}`.toLowerCase().includes(word));
  function item(/** @type {any} */ event) {
    const [shape, words] = read(event);
    return h('li', { class: `event kind-${event.kind}` }, h('time', { datetime: new Date(event.at).toISOString() }, `${clockTime(event.at)}.${String(event.at % 1000).padStart(3, '0')}`),
      h('span', { class: 'of quiet' }, event.server ?? ''), icon(shape, shape), h('span', {}, words));
  }
  const told = () => put(pause, paused ? `Go on (${waiting} new)` : 'Pause  ( p )');
  const atEnd = () => { if (follow.checked) list.scrollTop = list.scrollHeight; };
  function draw() {
    waiting = 0;
    const shown = events.filter(has).slice(-SHOWN);
    list.replaceChildren(...shown.map(item));
    put(empty, shown.length ? '' : 'No events match.');
    atEnd();
  }
  search.addEventListener('input', () => { memory.filter = search.value; draw(); });
  list.addEventListener('scroll', () => { follow.checked = list.scrollTop + list.clientHeight > list.scrollHeight - 40; }, { passive: true });
  told();
  draw();
  return {
    update(/** @type {any} */ _, /** @type {any[]} */ happened) {
      if (!happened.length) return;
      if (paused) { waiting += happened.length; return void told(); }
      list.append(...happened.filter(has).map(item));
      while (list.childElementCount > SHOWN) list.firstChild?.remove();
      if (list.childElementCount) put(empty, '');
      atEnd();
    },
    key(/** @type {KeyboardEvent} */ event) {
      if (event.key !== 'p') return false;
      pause.click();
      return true;
    },
  };
}
