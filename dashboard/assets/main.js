// Which page is shown, the head above it, and keys.

import { ago, h, icon, put, redraw } from './dom.js';
import { listen, servers, tables } from './store.js';
import { begin, start, status, statusListeners } from './stream.js';
import { fleet } from './fleet.js';
import { frontend } from './frontend.js';
import { balancers } from './balancers.js';
import { eventsPage } from './events.js';
import { identify, login, me, onAdmin } from './login.js';

/** @typedef {import('./store.js').Changed} Changed */
/**
 * @typedef {{ update(changed: Changed, happened: any[]): void, close?(): void,
 *   key?(event: KeyboardEvent): boolean }} Page
 */

/** Time after which a stream that does not flow is told. */
const PATIENCE = 1500;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const [main, banner, top] = ['main', 'banner', 'top'].map(byId);

/** @type {Page|null} */
let page = null;

const PAGES = [['#/', 'Fleet'], ['#/lb', 'Load balancers'], ['#/events', 'Events']];
const links = PAGES.map(([href, words]) => h('a', { href }, words));
const [dots, stream, person] = [h('span.dots'), h('span.stream', { role: 'status' }), h('span.person')];
top.append(h('nav', { 'aria-label': 'Pages' }, h('a.brand', { href: '#/' }, 'maglev'), links), dots, stream, person);

function route() {
  const [, where = '', name = ''] = location.hash.split('/');
  page?.close?.();
  main.replaceChildren();
  const here = ['lb', 'events'].includes(where) ? `#/${where}` : '#/';
  if (where === 'login' || (onAdmin() && !me.may_change) || !me.may_read) page = login(main, entered);
  else if (where === 'f') page = frontend(main, decodeURIComponent(name));
  else if (where === 'lb') page = balancers(main);
  else if (where === 'events') page = eventsPage(main);
  else page = fleet(main);
  document.title = where === 'f' ? `${decodeURIComponent(name)} – Maglev` : 'Maglev';
  for (const link of links) {
    if (link.getAttribute('href') === here) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function showBrains() {
  const rows = servers().map((name) => [name, tables.brains.get(name)?.connected, tables.brains.get(name)?.vpp?.state]);
  redraw(dots, rows, () => rows.map(([name, connected, vpp = 'unknown']) => {
    const words = connected ? `connected to VPP: ${vpp}` : 'disconnected';
    const [shape, kind] = connected && vpp === 'connected' ? ['link', 'up'] : ['warn', 'down'];
    const given = { href: '#/lb', title: `${name}: ${words}` };
    return h(`a.dot.is-${kind}`, given, icon(shape, kind), name, h('span.sr', `: ${words}`));
  }));
}

/** What is wrong with a load balancer, if anything is: how much, and in words. @param {any} brain @returns {any} */
function trouble({ connected, last, error, vpp, warmup, frontends_held_back: held_back }) {
  if (!connected) return ['down', `brain disconnected${last ? `, state as of ${ago(last)} ago` : ''}: ${error}`];
  if (!vpp?.agent.connected) return ['down', `agent disconnected: ${vpp?.agent.reason ?? ''}`];
  if (vpp.state !== 'connected') return ['down', `VPP ${vpp.state}: ${vpp.reason ?? ''}`];
  return warmup !== 'over' && ['warn', `warming up (${warmup}): ${held_back} frontends held back`];
}

function showTrouble() {
  const isLost = !status.open && Date.now() - status.since > PATIENCE;
  document.body.classList.toggle('stale', isLost);
  put(stream, status.open ? 'live' : 'not live');
  stream.classList.toggle('is-down', !status.open);
  const age = ago(status.since, Date.now());
  const lost = ['down', `No connection to the dashboard for ${age}: what you see is old. Trying again …`];
  const found = [...tables.brains].map(([name, brain]) => [name, trouble(brain)]).filter(([, found]) => found);
  const lines = [...isLost ? [lost] : [], ...found.map(([name, [kind, words]]) => [kind, `${name}: ${words}`])];
  redraw(banner, lines, () => lines.map(([kind, words]) =>
    h(`p.is-${kind}`, icon(kind === 'down' ? 'warn' : 'unknown', kind), words)));
}

/** What changed since the page was last drawn. @type {Changed} */
let changed = {};
/** @type {any[]} */
let happened = [];
let drawing = 0;

listen((more, news) => {
  for (const [table, keys] of Object.entries(more)) {
    const known = changed[table] ??= new Set();
    for (const key of keys) known.add(key);
  }
  happened.push(...news);
  drawing ||= requestAnimationFrame(draw);
});

function draw() {
  drawing = 0;
  const [tables, news] = [changed, happened];
  [changed, happened] = [{}, []];
  if (tables.brains) { showBrains(); showTrouble(); }
  page?.update(tables, news);
}

setInterval(showTrouble, 500);
statusListeners.add(showTrouble);

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const target = event.target instanceof HTMLElement ? event.target : main;
  if (/INPUT|TEXTAREA|SELECT/.test(target.tagName)) {
    if (event.key === 'Escape') target.blur();
    return;
  }
  const place = { 1: '#/', 2: '#/lb', 3: '#/events' }[event.key];
  if (place) location.hash = place;
  else if (event.key === '/') /** @type {HTMLElement|null} */ (document.querySelector('input[type=search]'))?.focus();
  else if (event.key === 'Escape' && location.hash.startsWith('#/f/')) location.hash = '#/';
  else if (!page?.key?.(event)) return;
  event.preventDefault();
});

window.addEventListener('hashchange', () => { identify(person); route(); });
document.querySelector('.skip')?.addEventListener('click', (event) => { event.preventDefault(); main.focus(); });

let began = false;

async function read() {
  if (!me.may_read) return;
  if (!began) await begin(); else if (!status.open) await start();
  began = true;
}

/** After a login. */
async function entered() {
  await identify(person);
  await read();
  route();
}

await entered();
