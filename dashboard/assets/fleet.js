// All frontends of all load balancers, worst first. Only the rows that are visible exist.

import { h, icon, put, short, state } from './dom.js';
import { key, members, servers, tables } from './store.js';

const FAULTS = {
  down: 'no backend takes new flows', failed: 'VPP refused a part', panic: 'in panic', failover: 'a standby pool serves',
  degraded: 'backends are down', waiting: 'not programmed yet', override: 'set by an operator',
};
const collator = new Intl.Collator('en', { numeric: true });
const memory = { filter: '', sort: 'worst', scroll: 0, selected: '' };

/** What a frontend is found by. @type {Map<string, string>} */
const texts = new Map();

function text(/** @type {string} */ name) {
  let found = texts.get(name);
  if (found !== undefined) return found;
  const row = tables.fleet.get(name) ?? {}, words = [name, ...(row.faults ?? []), ...(row.differs ? ['differs', ...row.differs] : [])];
  if (!row.faults?.length && !row.differs) words.push('fine');
  for (const server of servers()) {
    const frontend = tables.frontends.get(key(server, name));
    if (!frontend) continue;
    words.push(server, frontend.vip, frontend.state, frontend.sync, frontend.description ?? '', ...frontend.pools);
    for (const member of members(server, name)) words.push(member.backend, member.address);
  }
  texts.set(name, found = words.join('\n').toLowerCase());
  return found;
}

/** @param {HTMLElement} main */
export function fleet(main) {
  const search = h('input', { type: 'search', placeholder: 'Filter: down, differs, a name, pool or address  ( / )', 'aria-label': 'Filter frontends', value: memory.filter });
  const sort = h('select', { 'aria-label': 'Sort' }, h('option', { value: 'worst' }, 'Worst first'), h('option', { value: 'name' }, 'By name'), h('option', { value: 'packets' }, 'Most packets'));
  sort.value = memory.sort;
  const counts = h('div', { class: 'counts', role: 'group', 'aria-label': 'Filter by state' });
  const head = h('div', { class: 'row head', role: 'row' });
  const body = h('div', { class: 'rows', role: 'rowgroup' });
  const box = h('div', { class: 'fleet', role: 'table', 'aria-label': 'Frontends' }, head, body);
  const empty = h('p', { class: 'quiet' });
  main.append(h('h1', { class: 'sr' }, 'Fleet'), h('div', { class: 'tools' }, search, sort, counts), box, empty);

  /** Names that are shown, in their order. @type {string[]} */
  let names = [];
  /** @type {Map<string, any>} */
  const rows = new Map();
  let shownServers = '';

  const height = () => matchMedia('(max-width: 700px)').matches ? 58 : 30;

  function arrange() {
    const words = memory.filter.toLowerCase().split(/\s+/).filter(Boolean);
    names = [...tables.fleet.keys()].filter((name) => words.every((word) => text(name).includes(word)));
    const rank = (/** @type {string} */ name) => tables.fleet.get(name)?.rank ?? 9;
    const packets = (/** @type {string} */ name) => servers().reduce((sum, server) => sum + (tables.frontends.get(key(server, name))?.packets ?? 0), 0);
    names.sort((a, b) => (memory.sort === 'worst' ? rank(a) - rank(b) : memory.sort === 'packets' ? packets(b) - packets(a) : 0) || collator.compare(a, b));
    box.setAttribute('aria-rowcount', String(names.length + 1));
    put(empty, names.length ? '' : tables.fleet.size ? 'No frontend matches this filter.' : 'No frontends yet.');
    summarise();
    window.requestAnimationFrame(draw);
  }

  function summarise() {
    /** @type {Record<string, number>} */
    const found = {};
    for (const row of tables.fleet.values()) {
      for (const fault of row.faults ?? []) found[fault] = (found[fault] ?? 0) + 1;
      if (row.differs) found.differs = (found.differs ?? 0) + 1;
      if (!row.faults?.length && !row.differs) found.fine = (found.fine ?? 0) + 1;
    }
    const kinds = [...Object.keys(FAULTS), 'differs', 'fine'].filter((kind) => found[kind]);
    const words = JSON.stringify([kinds.map((kind) => found[kind]), memory.filter, tables.fleet.size]);
    if (counts.dataset.words === words) return;
    counts.dataset.words = words;
    counts.replaceChildren(
      h('button', { class: 'plain', 'aria-pressed': memory.filter === '', onclick: () => filter('') }, `${tables.fleet.size} frontends`),
      ...kinds.map((kind) => h('button', { class: `plain fault-${kind}`, 'aria-pressed': memory.filter === kind, title: FAULTS[kind] ?? kind, onclick: () => filter(memory.filter === kind ? '' : kind) }, `${found[kind]} ${kind}`)));
  }

  function filter(/** @type {string} */ words) {
    memory.filter = search.value = words;
    box.scrollTop = 0;
    arrange();
  }

  function columns() {
    const list = servers(), words = list.join('\n');
    if (words === shownServers) return;
    shownServers = words;
    box.style.setProperty('--servers', String(list.length));
    head.replaceChildren(...['What', 'Frontend', 'VIP', ...list, 'Packets/s', 'New flows/s'].map((word, place) =>
      h('span', { role: 'columnheader', class: place > 2 + list.length - 1 && place >= 3 + list.length ? 'number' : '' }, word)));
    for (const row of rows.values()) row.element.remove();
    rows.clear();
  }

  function make(/** @type {string} */ name) {
    const link = h('a', { href: `#/f/${encodeURIComponent(name)}`, tabindex: -1 }, name);
    const cell = (/** @type {string} */ kind, /** @type {any[]} */ ...inner) => h('span', { role: 'cell', class: kind }, ...inner);
    const row = {
      what: cell('what'), description: h('span', { class: 'description' }), vip: cell('vip'),
      servers: servers().map((server) => ({ server, cell: cell('lb'), words: '' })), packets: cell('number packets'), flows: cell('number flows'), element: null, words: '',
    };
    row.element = h('div', { class: 'row', role: 'row', tabindex: -1, data: { name } }, row.what, cell('name', link, row.description), row.vip, ...row.servers.map(({ cell }) => cell), row.packets, row.flows);
    return row;
  }

  function show(/** @type {string} */ name, /** @type {any} */ row) {
    const fleet = tables.fleet.get(name) ?? {}, differs = fleet.differs ?? [];
    const faults = fleet.faults ?? [], words = [...faults, ...differs].join();
    if (row.words !== words || !row.what.firstChild) {
      row.words = words;
      const worst = faults[0] ?? (differs.length ? 'differs' : 'fine');
      const shape = { down: 'down', failed: 'warn', panic: 'warn', failover: 'warn', degraded: 'warn', waiting: 'unknown', override: 'paused', differs: 'warn' }[worst] ?? 'up';
      row.what.replaceChildren(h('span', { class: `state fault-${worst}`, title: faults.map((fault) => FAULTS[fault]).join('; ') }, icon(shape, shape), worst === 'fine' ? 'up' : worst),
        differs.length ? h('span', { class: 'differs', title: 'The load balancers differ' }, `≠ ${differs.join(', ')}`) : '');
    }
    const of = servers().map((server) => tables.frontends.get(key(server, name))).filter(Boolean);
    put(row.description, of[0]?.description ?? '');
    put(row.vip, of[0] ? `${of[0].vip} ${of[0].protocol}` : '');
    for (const own of row.servers) {
      const frontend = tables.frontends.get(key(own.server, name)), brain = tables.brains.get(own.server) ?? {};
      const shown = frontend ? JSON.stringify([frontend.state, frontend.active, frontend.panic, frontend.up, frontend.total, frontend.sync, differs]) : '';
      own.cell.classList.toggle('old', !brain.connected);
      if (own.words === shown && own.cell.firstChild) continue;
      const changed = own.words !== '';
      own.words = shown;
      if (!frontend) { own.cell.replaceChildren(h('span', { class: 'quiet' }, '–')); continue; }
      const marked = (/** @type {string} */ what) => differs.includes(what) ? 'marked' : '';
      own.cell.replaceChildren(
        h('span', { class: marked('state') }, state(frontend.state)), ' ',
        h('span', { class: `${marked('pool')} ${marked('weights')}` }, frontend.active ?? (frontend.panic ? `panic ${frontend.panic}` : 'no pool')), ' ',
        h('span', { class: 'quiet' }, `${frontend.up}/${frontend.total}`),
        frontend.sync === 'synced' ? '' : h('span', { class: `sync-${frontend.sync}` }, ` ${frontend.sync}`));
      if (changed) { own.cell.classList.remove('flash'); void own.cell.offsetWidth; own.cell.classList.add('flash'); }
    }
    const sum = (/** @type {string} */ field) => of.some((frontend) => frontend?.[field] != null) ? of.reduce((all, frontend) => all + (frontend?.[field] ?? 0), 0) : undefined;
    put(row.packets, short(sum('packets')));
    put(row.flows, short(sum('new_flows')));
  }

  function draw() {
    columns();
    const each = height(), first = Math.max(0, Math.floor(box.scrollTop / each) - 8);
    const visible = names.slice(first, first + Math.ceil(box.clientHeight / each) + 16);
    body.style.height = `${names.length * each}px`;
    const wanted = new Set(visible);
    for (const [name, row] of rows) if (!wanted.has(name)) { row.element.remove(); rows.delete(name); }
    visible.forEach((name, place) => {
      let row = rows.get(name);
      if (!row) { rows.set(name, row = make(name)); body.append(row.element); }
      row.element.style.transform = `translateY(${(first + place) * each}px)`;
      row.element.setAttribute('aria-rowindex', String(first + place + 2));
      row.element.classList.toggle('selected', name === memory.selected);
      row.element.classList.toggle('odd', (first + place) % 2 === 1);
      show(name, row);
    });
  }

  function select(/** @type {number} */ place) {
    if (!names.length) return;
    const at = Math.min(names.length - 1, Math.max(0, place)), each = height();
    memory.selected = names[at];
    if (at * each < box.scrollTop) box.scrollTop = at * each;
    else if ((at + 2) * each > box.scrollTop + box.clientHeight) box.scrollTop = (at + 2) * each - box.clientHeight;
    draw();
    rows.get(memory.selected)?.element.focus({ preventScroll: true });
  }

  search.addEventListener('input', () => { memory.filter = search.value; box.scrollTop = 0; arrange(); });
  search.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => { if (event.key === 'Enter' || event.key === 'ArrowDown') { event.preventDefault(); select(0); } });
  sort.addEventListener('change', () => { memory.sort = sort.value; arrange(); });
  box.addEventListener('scroll', () => { memory.scroll = box.scrollTop; draw(); }, { passive: true });
  box.addEventListener('click', (/** @type {MouseEvent} */ event) => {
    const row = event.target instanceof Element ? event.target.closest('.row[data-name]') : null;
    if (row instanceof HTMLElement && !getSelection()?.toString()) location.hash = `#/f/${encodeURIComponent(row.dataset.name ?? '')}`;
  });
  const resized = new ResizeObserver(draw);
  resized.observe(box);
  texts.clear();
  arrange();
  box.scrollTop = memory.scroll;

  return {
    update(/** @type {Record<string, Set<string>>} */ changed) {
      for (const table of ['fleet', 'frontends', 'members']) {
        for (const key of changed[table] ?? []) texts.delete(table === 'fleet' ? key : key.split('\u001f')[1]);
      }
      if (changed.fleet || (memory.filter && (changed.frontends || changed.members)) || (memory.sort === 'packets' && changed.frontends)) arrange();
      else if (changed.frontends || changed.brains) draw();
    },
    close() { resized.disconnect(); },
    key(/** @type {KeyboardEvent} */ event) {
      const at = names.indexOf(memory.selected), screen = Math.max(1, Math.floor(box.clientHeight / height()) - 2);
      const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: screen, PageUp: -screen };
      if (event.key in steps) select(at < 0 ? 0 : at + steps[event.key]);
      else if (event.key === 'Home') select(0);
      else if (event.key === 'End') select(names.length - 1);
      else if (event.key === 'Enter' && at >= 0 && !(event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement)) location.hash = `#/f/${encodeURIComponent(names[at])}`;
      else return false;
      return true;
    },
  };
}
