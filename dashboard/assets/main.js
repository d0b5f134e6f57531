// Which page is shown, the head above it, and keys.

import { ago, ask, clock, h, icon, put } from './dom.js';
import { listen, servers, tables } from './store.js';
import { begin, start, status, statusListeners } from './stream.js';
import { fleet } from './fleet.js';
import { frontend } from './frontend.js';
import { balancers } from './balancers.js';
import { eventsPage } from './events.js';
import { login, logout } from './login.js';

/** @typedef {{ update(changed: Record<string, Set<string>>, happened: any[]): void, close?(): void, key?(event: KeyboardEvent): boolean }} Page */

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const banner = /** @type {HTMLElement} */ (document.getElementById('banner'));
const top = /** @type {HTMLElement} */ (document.getElementById('top'));

/** Who looks, and what may be offered. */
export const me = { name: '', may_change: false, may_read: true, has_users: false };
export const isAdmin = () => location.pathname.startsWith('/admin') && me.may_change;

/** @type {Page|null} */
let page = null;

const PAGES = [['#/', 'Fleet'], ['#/lb', 'Load balancers'], ['#/events', 'Events']];
const links = PAGES.map(([href, words]) => h('a', { href }, words));
const dots = h('span', { class: 'dots' });
const stream = h('span', { class: 'stream', role: 'status' });
const person = h('span', { class: 'person' });
top.append(h('nav', { 'aria-label': 'Pages' }, h('a', { href: '#/', class: 'brand' }, 'maglev'), ...links), dots, stream, person);

function route() {
  const [, where = '', name = ''] = location.hash.split('/');
  page?.close?.();
  main.replaceChildren();
  let current = '#/';
  if (where === 'login' || (location.pathname.startsWith('/admin') && !me.may_change) || !me.may_read) page = login(main, me, identify);
  else if (where === 'f') page = frontend(main, decodeURIComponent(name));
  else if (where === 'lb') { page = balancers(main); current = '#/lb'; }
  else if (where === 'events') { page = eventsPage(main); current = '#/events'; }
  else page = fleet(main);
  document.title = where === 'f' ? `${decodeURIComponent(name)} – Maglev` : 'Maglev';
  for (const link of links) {
    if (link.getAttribute('href') === current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

/** Finds out who looks. */
async function identify() {
  try { Object.assign(me, { name: '', ...await ask('/view/api/me') }); } catch { /* the stream says that the server is away */ }
  const admin = location.pathname.startsWith('/admin');
  const leave = async () => { await logout(); location.href = '/view/'; };
  person.replaceChildren(
    me.name ? h('span', { class: 'quiet' }, me.name) : '',
    me.may_change && !admin ? h('a', { href: `/admin/${location.hash}` }, 'Make changes') : '',
    admin ? h('a', { href: `/view/${location.hash}` }, 'Only look') : '',
    me.name ? h('button', { class: 'plain', onclick: leave }, 'Log out') : '',
    !me.name && !admin && me.has_users ? h('a', { href: '/admin/' }, 'Log in') : '',
  );
}

function showBrains() {
  dots.replaceChildren(...servers().map((name) => {
    const brain = /** @type {any} */ (tables.brains.get(name));
    const words = brain.connected ? `connected to VPP: ${brain.vpp?.state ?? 'unknown'}` : 'disconnected';
    const isFine = brain.connected && brain.vpp?.state === 'connected';
    const kind = isFine ? 'up' : 'down';
    return h('a', { href: '#/lb', class: `dot is-${kind}`, title: `${name}: ${words}` }, icon(isFine ? 'link' : 'warn', kind), name,
      h('span', { class: 'sr' }, `: ${words}`));
  }));
}

function showTrouble() {
  const lines = [];
  if (!status.open && Date.now() - status.since > 1500) lines.push(['down', `No connection to the dashboard for ${ago(status.since, Date.now())}: what you see is old. Trying again …`]);
  for (const [name, brain] of tables.brains) {
    if (!brain.connected) {
      const age = brain.last ? `, state as of ${ago(brain.last)} ago` : '';
      lines.push(['down', `${name}: brain disconnected${age}: ${brain.error}`]);
    } else if (!brain.agent?.connected) lines.push(['down', `${name}: agent disconnected: ${brain.agent?.reason ?? ''}`]);
    else if (brain.vpp?.state !== 'connected') lines.push(['down', `${name}: VPP ${brain.vpp?.state}: ${brain.vpp?.reason ?? ''}`]);
    else if (brain.warmup !== 'over') lines.push(['warn', `${name}: warming up (${brain.warmup}): ${brain.held_back ?? 0} frontends held back`]);
  }
  document.body.classList.toggle('stale', !status.open && Date.now() - status.since > 1500);
  const text = JSON.stringify(lines);
  if (banner.dataset.text === text) return;
  banner.dataset.text = text;
  banner.replaceChildren(...lines.map(([kind, words]) => h('p', { class: `is-${kind}` }, icon(kind === 'down' ? 'warn' : 'unknown', kind), words)));
}

/** What changed since the page was last drawn. @type {Record<string, Set<string>>} */
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

setInterval(() => {
  showTrouble();
  put(stream, status.open ? 'live' : 'not live');
  stream.className = `stream is-${status.open ? 'up' : 'down'}`;
}, 500);
statusListeners.add(showTrouble);

const isTyping = (/** @type {EventTarget|null} */ target) => target instanceof HTMLElement && /INPUT|TEXTAREA|SELECT/.test(target.tagName);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (isTyping(event.target)) {
    if (event.key === 'Escape') /** @type {HTMLElement} */ (event.target).blur();
    return;
  }
  const places = { 1: '#/', 2: '#/lb', 3: '#/events' };
  if (places[event.key]) location.hash = places[event.key];
  else if (event.key === '/') document.querySelector('input[type=search]')?.focus();
  else if (event.key === 'Escape' && location.hash.startsWith('#/f/')) location.hash = '#/';
  else if (!page?.key?.(event)) return;
  event.preventDefault();
});

window.addEventListener('hashchange', () => { identify(); route(); });
document.querySelector('.skip')?.addEventListener('click', (event) => { event.preventDefault(); main.focus(); });

await identify();
let began = me.may_read;
if (began) await begin();
route();
window.addEventListener('maglev-login', async () => {
  if (!began) await begin();
  else if (!status.open) await start();
  began = true;
  route();
});
