// All frontends of all load balancers, worst first. Only the rows that are visible exist.

import { h, icon, keyed, put, quiet, redraw, remember, remembered, short, state } from './dom.js';
import { SEPARATOR, frontendOf, having, members, pageOf, servers, tables } from './store.js';

/** What may be wrong with a frontend, with its picture and what it means. */
const FAULTS = {
  down: ['down', 'no backend takes new flows'], failed: ['down', 'VPP refused a part'], panic: ['warn', 'in panic'],
  short: ['warn', 'a pool is below its min-up'], failover: ['warn', 'a standby pool serves'],
  degraded: ['warn', 'backends are down'], waiting: ['unknown', 'not programmed yet'],
  override: ['paused', 'set by an operator'], differs: ['warn', 'the load balancers differ'],
  fine: ['up', 'nothing is wrong'],
};
/** Of one that is not known yet, its word. @param {string} kind */
const fault = (kind) => FAULTS[kind] ?? ['unknown', kind];
const SORTS = { worst: 'Worst first', name: 'By name', packets: 'Most packets' };
const HINT = 'Filter: down, differs, a name, pool or address  ( / )';
/** Rows that are drawn above and below those that are visible. */
const SPARE = 8;

const collator = new Intl.Collator('en', { numeric: true });
const memory = { ...remembered('fleet', { filter: '', sort: 'worst' }), scroll: 0, selected: '' };

/** What a frontend is found by. @type {Map<string, string>} */
const texts = new Map();

function text(/** @type {string} */ name) {
  let found = texts.get(name);
  if (found !== undefined) return found;
  const words = [name, ...kinds(name), ...tables.fleet.get(name)?.differs ?? []];
  for (const server of having(name)) {
    const { vip, state, sync, description = '', pools } = frontendOf(server, name);
    words.push(server, vip, state, sync, description, ...pools);
    for (const member of members(server, name)) words.push(member.backend, member.address);
  }
  texts.set(name, found = words.join('\n').toLowerCase());
  return found;
}

/** All that is wrong with a frontend, the worst first, or `fine`. @param {string} name @returns {string[]} */
function kinds(name) {
  const { faults = [], differs } = tables.fleet.get(name) ?? {};
  const all = [...faults, ...differs ? ['differs'] : []];
  return all.length ? all : ['fine'];
}

/** A figure of a frontend over all load balancers. @param {string} name @param {string} field */
function sum(name, field) {
  const known = having(name).map((server) => frontendOf(server, name)[field]).filter((number) => number != null);
  return known.length ? known.reduce((all, number) => all + number, 0) : undefined;
}

/** @param {HTMLElement} main */
export function fleet(main) {
  const search = h('input', { type: 'search', placeholder: HINT, 'aria-label': 'Filter frontends' });
  const sorts = Object.entries(SORTS).map(([value, words]) => h('option', { value }, words));
  const sort = h('select', { 'aria-label': 'Sort' }, sorts);
  const counts = h('div.counts', { role: 'group', 'aria-label': 'Filter by state' });
  const head = h('div.row.head', { role: 'row' }), body = h('div.rows', { role: 'rowgroup' });
  const box = h('div.fleet', { role: 'table', 'aria-label': 'Frontends', tabindex: 0 },
    h('div', { role: 'rowgroup' }, head), body);
  const empty = h('p.quiet');
  main.append(h('h1.sr', 'Fleet'), h('div.tools', search, sort, counts), box, empty);
  [search.value, sort.value] = [memory.filter, memory.sort];

  /** Names that are shown, in their order. @type {string[]} */
  let names = [];
  const rows = keyed(body, line);
  const height = () => matchMedia('(max-width: 700px)').matches ? 36 + 22 * servers().length : 30;

  function arrange() {
    const words = memory.filter.toLowerCase().split(/\s+/);
    names = [...tables.fleet.keys()].filter((name) => words.every((word) => text(name).includes(word)));
    const rank = (name) => memory.sort === 'worst' ? tables.fleet.get(name)?.rank ?? 9
      : memory.sort === 'packets' ? -(sum(name, 'packets') ?? 0) : 0;
    const ranks = new Map(names.map((name) => [name, rank(name)]));
    names.sort((a, b) => ranks.get(a) - ranks.get(b) || collator.compare(a, b));
    box.setAttribute('aria-rowcount', String(names.length + 1));
    put(empty, names.length ? '' : tables.fleet.size ? 'No frontend matches this filter.' : 'No frontends yet.');
    summarise();
    requestAnimationFrame(draw);
  }

  function summarise() {
    const found = Object.fromEntries(Object.keys(FAULTS).map((kind) => [kind, 0]));
    for (const name of tables.fleet.keys()) for (const kind of kinds(name)) found[kind] += 1;
    const button = (words, kind, shown) => h('button.plain', {
      class: kind && `is-${fault(kind)[0]}`, 'aria-pressed': memory.filter === kind, title: kind && fault(kind)[1],
      onclick: () => filter(memory.filter === kind ? '' : kind),
    }, `${words} ${shown}`);
    redraw(counts, [found, memory.filter, tables.fleet.size], () => [button(tables.fleet.size, '', 'frontends'),
      Object.entries(found).filter(([, count]) => count).map(([kind, count]) => button(count, kind, kind))]);
  }

  function filter(/** @type {string} */ words) {
    memory.filter = search.value = words;
    box.scrollTop = 0;
    chosen();
  }

  function chosen() {
    remember('fleet', { filter: memory.filter, sort: memory.sort });
    arrange();
  }

  function draw() {
    const list = servers();
    redraw(head, list, () => {
      box.style.setProperty('--servers', String(list.length));
      rows.show([]);
      const cell = (kind) => (word) => h(`span${kind}`, { role: 'columnheader' }, word);
      return [['What', 'Frontend', 'VIP', ...list].map(cell('')), ['Packets/s', 'New flows/s'].map(cell('.number'))];
    });
    const each = height(), first = Math.max(0, Math.floor(box.scrollTop / each) - SPARE);
    box.style.setProperty('--height', `${each}px`);
    const visible = names.slice(first, first + Math.ceil(box.clientHeight / each) + 2 * SPARE);
    body.style.height = `${names.length * each}px`;
    rows.show(visible).forEach((row, place) => row.show(first + place, each));
  }

  function select(/** @type {number} */ place) {
    if (!names.length) return;
    const at = Math.min(names.length - 1, Math.max(0, place)), each = height();
    memory.selected = names[at];
    box.scrollTop = Math.min(at * each, Math.max(box.scrollTop, (at + 2) * each - box.clientHeight));
    draw();
    rows.map.get(memory.selected)?.element.focus({ preventScroll: true });
  }

  const enter = (name) => { location.hash = pageOf(name); };
  search.addEventListener('input', () => filter(search.value));
  search.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    if (!['Enter', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    select(0);
  });
  sort.addEventListener('change', () => { memory.sort = sort.value; chosen(); });
  box.addEventListener('scroll', () => { memory.scroll = box.scrollTop; draw(); }, { passive: true });
  box.addEventListener('click', (/** @type {MouseEvent} */ event) => {
    const row = event.target instanceof Element && event.target.closest('.row[data-name]');
    if (row instanceof HTMLElement && !getSelection()?.toString()) enter(row.dataset.name ?? '');
  });
  const resized = new ResizeObserver(draw);
  resized.observe(box);
  texts.clear();
  arrange();
  const scroll = memory.scroll;
  requestAnimationFrame(() => { box.scrollTop = scroll; });

  return {
    update(/** @type {import('./store.js').Changed} */ changed) {
      for (const name of changed.fleet ?? []) texts.delete(name);
      for (const key of [...changed.frontends ?? [], ...changed.members ?? []]) texts.delete(key.split(SEPARATOR)[1]);
      const { filter, sort } = memory, isSorted = sort === 'packets' && changed.frontends;
      if (changed.fleet || isSorted || filter && (changed.frontends || changed.members)) arrange();
      else if (changed.frontends || changed.brains) draw();
    },
    close() { resized.disconnect(); },
    key(/** @type {KeyboardEvent} */ event) {
      const at = names.indexOf(memory.selected), screen = Math.max(1, Math.floor(box.clientHeight / height()) - 2);
      const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: screen, PageUp: -screen }[event.key];
      if (step) select(at < 0 ? 0 : at + step);
      else if (event.key === 'Home') select(0);
      else if (event.key === 'End') select(names.length - 1);
      else if (event.key === 'Enter' && at >= 0 && !(event.target instanceof HTMLButtonElement)) enter(names[at]);
      else return false;
      return true;
    },
  };
}

/** @param {string} name */
function line(name) {
  const cell = (/** @type {string} */ kind, ...inner) => h(`span.${kind}`, { role: 'cell' }, inner);
  const what = cell('what'), description = h('span.description'), vips = cell('vip');
  const balancers = servers().map((server) => /** @type {[string, any]} */ ([server, h('span.lb', { role: 'cell', data: { label: server } })]));
  const packets = cell('number.packets'), flows = cell('number.flows');
  const link = cell('name', h('a', { href: pageOf(name), tabindex: -1 }, name), description);
  const element = h('div.row', { role: 'row', tabindex: -1, data: { name } },
    what, link, vips, balancers.map(([, cell]) => cell), packets, flows);

  function show(/** @type {number} */ place, /** @type {number} */ height) {
    const differs = tables.fleet.get(name)?.differs ?? [], found = kinds(name), [worst] = found;
    const [shape] = fault(worst);
    element.style.transform = `translateY(${place * height}px)`;
    element.setAttribute('aria-rowindex', String(place + 2));
    element.classList.toggle('selected', name === memory.selected);
    element.classList.toggle('odd', place % 2 === 1);
    const title = found.map((kind) => fault(kind)[1]).join('; ');
    redraw(what, [found, differs], () => [
      h(`span.state.is-${shape}`, { title }, icon(shape, shape), worst === 'fine' ? 'up' : worst),
      differs.length > 0 && h('span.differs', { title: FAULTS.differs[1] }, `≠ ${differs.join(', ')}`)]);
    const { vip, protocol, description: words = '' } = frontendOf(having(name)[0], name);
    put(description, words);
    put(vips, vip ? `${vip} ${protocol}` : '');
    for (const [server, cell] of balancers) {
      cell.classList.toggle('old', !tables.brains.get(server)?.connected);
      const { state: now, active_pool: active, panic_pool: panic, up, total, sync } = frontendOf(server, name);
      const marked = (words, ...of) => h(of.some((one) => differs.includes(one)) ? 'span.marked' : 'span', words);
      redraw(cell, [now, active, panic, up, total, sync, differs], () => !now ? quiet('–') : [
        marked(state(now), 'state'), ' ',
        marked(active ?? (panic ? `panic ${panic}` : 'no pool'), 'pool', 'weights'), ' ', quiet(`${up}/${total}`),
        sync !== 'synced' && h(`span.is-${sync === 'failed' ? 'down' : 'warn'}`, ` ${sync}`)], true);
    }
    put(packets, short(sum(name, 'packets')));
    put(flows, short(sum(name, 'new_flows')));
  }
  return { element, show };
}
