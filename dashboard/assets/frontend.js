// One frontend on every load balancer that has it.

import { ask, flash, h, percent, put, since, state, whole } from './dom.js';
import { backend, key, members, servers, tables } from './store.js';
import { beatListeners, look } from './stream.js';
import { Heart, latency, share, strip, timeline, traffic } from './pictures.js';
import { change } from './change.js';
import { isAdmin } from './main.js';

const COLUMNS = ['Pool', 'Backend', 'State', 'Last check', 'Weight', 'In VPP', 'Buckets', 'Share', 'Flows', ''];

/** @param {HTMLElement} main @param {string} name */
export function frontend(main, name) {
  const title = h('h1', {}, name), description = h('p', { class: 'description' });
  const missing = h('p', { class: 'is-down' });
  const parts = h('div', {});
  main.append(h('p', {}, h('a', { href: '#/' }, '← Fleet'), h('span', { class: 'quiet' }, '  Esc')), h('div', { class: 'title' }, title, description), missing, parts);
  /** @type {Map<string, Balancer>} */
  const shown = new Map();

  function all() {
    const having = servers().filter((server) => tables.frontends.has(key(server, name)));
    put(missing, having.length ? '' : 'No load balancer has a frontend of this name.');
    for (const [server, balancer] of shown) if (!having.includes(server)) { balancer.element.remove(); shown.delete(server); }
    for (const server of having) {
      let balancer = shown.get(server);
      if (!balancer) { shown.set(server, balancer = new Balancer(server, name)); parts.append(balancer.element); }
      balancer.show();
    }
    put(description, tables.frontends.get(key(having[0] ?? '', name))?.description ?? '');
  }

  const beats = (/** @type {any[]} */ list) => {
    for (const [server, backend, ended] of list) shown.get(server)?.beat(backend, ended);
  };
  beatListeners.add(beats);
  look(name);
  const pictures = setInterval(() => { for (const balancer of shown.values()) balancer.draw(); }, 1000);
  all();
  return {
    update: all,
    close() { beatListeners.delete(beats); clearInterval(pictures); look(''); },
  };
}

class Balancer {
  constructor(/** @type {string} */ server, /** @type {string} */ name) {
    this.server = server;
    this.name = name;
    /** @type {any} */
    this.history = { traffic: [], probes: {} };
    this.counted = '';
    this.moved = new Map();
    /** @type {Map<string, any>} */
    this.rows = new Map();
    this.summary = h('div', { class: 'summary' });
    this.actions = h('span', { class: 'actions' });
    this.body = h('tbody', {});
    this.traffic = h('div', {});
    this.strip = h('div', {});
    this.probes = h('div', { class: 'probes' });
    this.probeRows = new Map();
    this.element = h('section', { class: 'balancer', 'aria-label': server },
      h('div', { class: 'bar' }, h('h2', {}, server), this.summary, this.actions),
      h('div', { class: 'scroll' }, h('table', { class: 'members' }, h('thead', {}, h('tr', {}, ...COLUMNS.map((column, place) =>
        h('th', { scope: 'col', class: place >= 4 && place <= 8 && place !== 7 ? 'number' : '' }, column || h('span', { class: 'sr' }, 'Change'))))), this.body)),
      h('h3', {}, 'Buckets'), this.strip, h('h3', {}, 'Traffic'), this.traffic, h('h3', {}, 'Checks and states, last hour'), this.probes);
    this.load();
  }

  async load() {
    try {
      const query = new URLSearchParams({ server: this.server, frontend: this.name });
      this.history = await ask(`/view/api/history?${query}`);
    } catch { /* the head says that the server is away; live samples come by themselves */ }
    this.draw();
  }

  beat(/** @type {string} */ name, /** @type {any} */ ended) {
    if (!ended) { for (const row of this.rows.values()) if (row.backend === name) row.heart.beat(); return; }
    const probes = this.history.probes[name] ??= [];
    probes.push(ended);
    if (probes.length > 120) probes.shift();
  }

  show() {
    const frontend = tables.frontends.get(key(this.server, this.name)) ?? {}, brain = tables.brains.get(this.server) ?? {};
    this.element.classList.toggle('old', !brain.connected);
    this.sum(frontend);
    const list = members(this.server, this.name), keys = new Set(list.map((row) => `${row.pool}\n${row.backend}`));
    for (const [id, row] of this.rows) if (!keys.has(id)) { row.element.remove(); this.rows.delete(id); }
    let pool = null;
    list.forEach((member, place) => {
      const id = `${member.pool}\n${member.backend}`;
      let row = this.rows.get(id);
      if (!row) this.rows.set(id, row = this.make(member));
      if (this.body.children[place] !== row.element) this.body.insertBefore(row.element, this.body.children[place] ?? null);
      this.fill(row, member, member.pool !== pool);
      const resting = list.filter((other) => other.pool === member.pool).every((other) => !other.effective);
      row.element.classList.toggle('resting', resting);
      pool = member.pool;
    });
    if (frontend.packets != null) {
      const id = `${frontend.packets} ${frontend.new_flows}`;
      const newest = this.history.traffic.at(-1)?.[0] ?? 0;
      if (this.counted && (id !== this.counted || Date.now() - newest > 4500)) this.history.traffic.push([Date.now(), frontend.packets, frontend.new_flows]);
      this.counted = id;
    }
  }

  sum(/** @type {any} */ frontend) {
    const words = JSON.stringify([frontend, isAdmin()]);
    if (this.words === words) return;
    this.words = words;
    const fact = (/** @type {string} */ kind, /** @type {any[]} */ ...inner) => h('span', { class: `fact ${kind}` }, ...inner);
    this.summary.replaceChildren(
      state(frontend.state ?? 'unknown'),
      fact('', `${frontend.vip} ${frontend.protocol}`),
      fact('', frontend.active ? `pool ${frontend.active}` : 'no pool serves'),
      fact('', `${frontend.up} of ${frontend.total} up`),
      fact(`sync-${frontend.sync}`, frontend.sync === 'synced' ? 'synced with VPP' : `sync ${frontend.sync}${frontend.error ? `: ${frontend.error}` : ''}`),
      frontend.panic ? fact('is-down', `panic in pool ${frontend.panic}: all of it takes new flows`) : '',
      fact('quiet', `table ${whole(frontend.table)}`),
      frontend.share_error > 1 ? fact('is-warn', `shares off by up to ${percent(frontend.share_error)}`) : '',
      frontend.dropped ? fact('is-warn', `${whole(frontend.dropped)} packets dropped without a server since the VIP was made`) : '',
      frontend.unknown_figures ? fact('is-warn', `buckets and flows not known: ${frontend.unknown_figures}`) : '',
      frontend.sticky ? fact('quiet', 'sticky by source') : '', frontend.flush ? fact('quiet', 'flushes on down') : '',
      frontend.slow_start ? fact('quiet', `slow start ${frontend.slow_start / 1000} s`) : '',
      frontend.panic_threshold ? fact('quiet', `panic below ${frontend.panic_threshold}%`) : '');
    const [server, name] = [this.server, this.name];
    this.actions.replaceChildren(...isAdmin() ? [
      h('button', { onclick: () => change({ server, frontend: name, actions: ['sync'] }) }, 'Sync now…'),
      h('button', { onclick: () => change({ server, frontend: name, actions: ['recreate'] }) }, 'Re-create VIP…')] : []);
  }

  make(/** @type {any} */ member) {
    const cell = (/** @type {string} */ kind = '', /** @type {any[]} */ ...inner) => h('td', { class: kind }, ...inner);
    const row = {
      backend: member.backend, heart: new Heart(), pool: cell('pool'), state: cell('where'), check: cell('check'), weight: cell('number weight'), vpp: cell('number'),
      buckets: cell('number'), share: cell('shares'), flows: cell('number'), action: cell('do'), words: /** @type {any} */ ({}), element: null,
    };
    for (const [label, one] of [['weight', row.weight], ['in VPP', row.vpp], ['buckets', row.buckets], ['flows', row.flows]]) one.dataset.label = label;
    row.element = h('tr', {}, row.pool, cell('who', row.heart.element, h('b', {}, member.backend), h('span', { class: 'quiet' }, ` ${member.address}`)),
      row.state, row.check, row.weight, row.vpp, row.buckets, row.share, row.flows, row.action);
    return row;
  }

  fill(/** @type {any} */ row, /** @type {any} */ member, /** @type {boolean} */ first) {
    const own = backend(this.server, member.backend);
    const changed = (/** @type {string} */ what, /** @type {any[]} */ ...values) => {
      const words = JSON.stringify(values), is = row.words[what] !== words;
      const before = row.words[what];
      row.words[what] = words;
      if (is && before !== undefined && row[what] instanceof HTMLElement) { row[what].classList.remove('flash'); void row[what].offsetWidth; row[what].classList.add('flash'); }
      return is;
    };
    put(row.pool, first ? member.pool : '');
    row.element.classList.toggle('first', first);
    row.heart.rest(own.check ? own.state ?? 'unknown' : 'disabled');
    if (changed('state', own.state, own.since, own.operator, own.operator_since)) {
      const by = own.operator_who ?? 'an operator', why = own.operator_why ? `: ${own.operator_why}` : '';
      const set = own.operator === own.state ? ` by ${by}` : ` ${own.operator} by ${by}`;
      row.state.replaceChildren(state(own.state ?? 'unknown'), ' ', since(own.since),
        own.operator ? h('span', { class: 'set' }, `${set}${why}`, own.operator === own.state ? '' : ' ', own.operator === own.state ? '' : since(own.operator_since)) : '');
    }
    if (changed('check', own.code, own.detail, own.cause, own.state, own.health)) {
      const stopped = own.state === 'paused' || own.state === 'disabled';
      const [value, rise, fall] = own.health ?? [0, 0, 0];
      const between = value > 0 && value < rise + fall - 1 ? h('span', { class: 'quiet', title: 'HAProxy\'s counter: up from rise on' }, ` ${value}/${rise + fall - 1}`) : '';
      row.check.replaceChildren(own.check
        ? h('span', { class: stopped ? 'quiet' : own.passed === false ? 'is-down' : '', title: `${own.cause ?? ''}` }, own.code ? `${own.code} ` : '', h('span', { class: 'quiet' }, own.detail ?? ''), stopped && own.code ? ' (before)' : '')
        : h('span', { class: 'quiet' }, 'no check'), between);
    }
    if (changed('weight', member.configured, member.override, member.effective)) {
      row.weight.replaceChildren(member.override != null ? h('s', { class: 'quiet' }, member.configured) : '', member.override != null ? h('b', { class: 'set', title: 'set by an operator' }, ` ${member.override}`) : String(member.configured),
        h('span', { class: 'quiet' }, ' → '), h('b', { title: 'effective: after health and failover' }, member.effective));
    }
    flash(row.vpp, String(member.programmed));
    flash(row.buckets, whole(member.buckets));
    put(row.flows, whole(member.flows));
    if (changed('share', member.expected, member.measured)) row.share.replaceChildren(share(member.expected, member.measured), h('span', {}, percent(member.measured ?? member.expected)));
    if (changed('action', isAdmin()) && isAdmin()) {
      const about = { server: this.server, frontend: this.name, pool: member.pool, backend: member.backend, actions: ['pause', 'resume', 'enable', 'disable', 'weight', 'clear'] };
      row.action.replaceChildren(h('button', { 'aria-label': `Change ${member.backend} in pool ${member.pool}`, onclick: () => change(about) }, 'Change…'));
    }
  }

  /** What moves by itself, once a second. */
  draw() {
    this.traffic.replaceChildren(traffic(this.history.traffic));
    const list = members(this.server, this.name);
    this.strip.replaceChildren(strip(list, this.moved));
    const names = [...new Set(list.map((row) => row.backend))];
    const lines = names.map((name) => {
      const own = backend(this.server, name);
      return h('div', { class: 'probe' }, h('b', {}, name), timeline(own.history ?? [], own.state ?? 'unknown'), own.check ? latency(this.history.probes[name] ?? []) : h('span', { class: 'quiet' }, 'no check'));
    });
    this.probes.replaceChildren(...lines);
  }
}
