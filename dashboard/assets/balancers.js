// The load balancers themselves: brain, agent, VPP, what operators have set, what VPP counts.

import { ask, clockTime, h, put, since, state, whole } from './dom.js';
import { overrides, servers, tables } from './store.js';
import { change } from './change.js';
import { isAdmin } from './main.js';

/** @param {HTMLElement} main */
export function balancers(main) {
  const parts = h('div', {});
  main.append(h('h1', { class: 'sr' }, 'Load balancers'), parts);
  /** @type {Map<string, Card>} */
  const cards = new Map();
  const all = () => {
    for (const server of servers()) {
      let card = cards.get(server);
      if (!card) { cards.set(server, card = new Card(server)); parts.append(card.element); }
      card.show();
    }
  };
  all();
  const timer = setInterval(() => { for (const card of cards.values()) card.count(); }, 5000);
  return { update(/** @type {any} */ changed) { if (changed.brains || changed.overrides) all(); }, close() { clearInterval(timer); } };
}

const line = (/** @type {string} */ name, /** @type {any[]} */ ...inner) => [h('dt', {}, name), h('dd', {}, ...inner)];
const source = (/** @type {string|undefined} */ address) => !address || /^(ffff:){7}ffff$|^255(\.255){3}$/.test(address) ? 'none' : address;
const bad = (/** @type {string|undefined} */ words) => words ? h('span', { class: 'is-down' }, words) : '';

class Card {
  constructor(/** @type {string} */ server) {
    this.server = server;
    this.words = '';
    this.facts = h('div', { class: 'facts' });
    this.overrides = h('div', {});
    this.counters = h('div', {});
    this.actions = h('span', { class: 'actions' });
    this.title = h('span', { class: 'summary' });
    this.element = h('section', { class: 'balancer', 'aria-label': server },
      h('div', { class: 'bar' }, h('h2', {}, server), this.title, this.actions), this.facts,
      h('h3', {}, 'Set by operators'), this.overrides, h('h3', {}, 'VIPs in VPP'), this.counters);
    this.count();
  }

  show() {
    const brain = tables.brains.get(this.server) ?? {};
    this.element.classList.toggle('old', !brain.connected);
    this.showOverrides();
    const words = JSON.stringify([brain, isAdmin()]);
    if (words === this.words) return;
    this.words = words;
    const agent = brain.agent ?? {}, vpp = brain.vpp ?? {};
    this.title.replaceChildren(state(brain.connected ? 'up' : 'down', brain.connected ? 'connected' : 'disconnected'), ' ', h('span', { class: 'quiet' }, brain.address ?? ''));
    this.actions.replaceChildren(...isAdmin() && brain.may_change ? [h('button', { onclick: () => change({ server: this.server, actions: ['sync'] }) }, 'Sync everything now…')] : []);
    this.facts.replaceChildren(
      h('dl', {}, h('dt', { class: 'of' }, 'Brain'), h('dd', {}),
        ...line(brain.connected ? 'connected' : 'away', since(brain.since, true)), ...brain.error ? line('why', bad(brain.error)) : [],
        ...line('version', brain.version ?? '–'), ...line('started', since(brain.started, true)),
        ...line('warm-up', brain.warmup === 'over' ? 'over' : `${brain.warmup ?? '–'}, ${brain.held_back ?? 0} frontends held back`),
        ...line('has', `${whole(brain.frontends)} frontends, ${whole(brain.backends)} backends`), ...line('configuration', brain.config_file ?? '–'),
        ...line('dashboard is', `${brain.who ?? '–'}: ${brain.may_change ? 'may make changes' : 'may only read'}`), ...brain.why_not ? line('for more', h('span', { class: 'quiet' }, brain.why_not)) : []),
      h('dl', {}, h('dt', { class: 'of' }, 'Agent'), h('dd', {}),
        ...line('is', state(agent.connected ? 'up' : 'down', agent.connected ? 'connected' : 'disconnected'), ' ', bad(agent.reason)),
        ...line('since', since(agent.since, true)), ...line('version', agent.version ?? '–', agent.protocol ? h('span', { class: 'quiet' }, ` protocol ${agent.protocol}`) : ''),
        ...line('process', agent.pid ?? '–'), ...line('connections', whole(agent.connections)), ...line('socket', agent.socket ?? '–'),
        ...agent.no_echo ? line('no ping', bad(agent.no_echo)) : [], ...agent.settings_refused ? line('settings refused', bad(agent.settings_refused)) : [],
        ...line('foreign VIPs', agent.foreign?.length ? h('span', {}, agent.foreign.join(', '), h('span', { class: 'quiet' }, ' (outside the policy, left alone)')) : 'none')),
      h('dl', {}, h('dt', { class: 'of' }, 'VPP'), h('dd', {}),
        ...line('is', state(vpp.state === 'connected' ? 'up' : vpp.state === 'unknown' ? 'unknown' : 'down', vpp.state ?? 'unknown'), ' ', bad(vpp.reason)),
        ...line('since', since(vpp.connected, true)), ...line('booted', since(vpp.booted, true)),
        ...line('version', vpp.version ?? '–', vpp.build_date ? h('span', { class: 'quiet' }, ` built ${vpp.build_date}`) : ''), ...line('process', vpp.pid ?? '–')));
  }

  showOverrides() {
    const list = overrides(this.server), words = JSON.stringify([list, isAdmin()]);
    if (words === this.shown) return;
    this.shown = words;
    if (!list.length) return void this.overrides.replaceChildren(h('p', { class: 'quiet' }, 'Nothing: all is as configured.'));
    const rows = list.slice(0, 500).map((set) => h('tr', {},
      h('td', {}, set.frontend ? `${set.backend} in pool ${set.pool} of ${set.frontend}` : set.backend),
      h('td', {}, set.frontend ? `weight ${set.weight}` : set.state, set.configured ? set.frontend ? h('span', { class: 'quiet' }, ` (configured ${set.configured_weight ?? '–'})`) : '' : h('span', { class: 'is-warn' }, ' (not in the configuration)')),
      h('td', {}, since(set.since, true)), h('td', {}, set.who ?? '–'), h('td', {}, set.comment ?? ''),
      h('td', {}, isAdmin() ? h('button', { onclick: () => change({ server: this.server, frontend: set.frontend, pool: set.pool, backend: set.backend, actions: ['clear'], ofState: !set.frontend }) }, 'Clear…') : '')));
    this.overrides.replaceChildren(h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ...['What', 'Set to', 'Since', 'By', 'Why', ''].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', {}, ...rows))), list.length > 500 ? h('p', { class: 'quiet' }, `and ${list.length - 500} older ones`) : '');
  }

  async count() {
    try {
      const query = new URLSearchParams({ server: this.server });
      const { counters, state: found } = await ask(`/view/api/vips?${query}`);
      const counted = new Map(counters.vips.map((/** @type {any} */ vip) => [`${vip.prefix} ${vip.protocol} ${vip.port}`, vip]));
      const rows = found.vips.slice(0, 2000).map((/** @type {any} */ vip) => {
        const own = counted.get(`${vip.prefix} ${vip.protocol} ${vip.port}`) ?? {};
        const flows = vip.application_servers.reduce((/** @type {number} */ sum, /** @type {any} */ server) => sum + server.flows, 0);
        return h('tr', {}, h('td', {}, vip.frontend ? h('a', { href: `#/f/${encodeURIComponent(vip.frontend)}` }, vip.frontend) : h('span', { class: 'is-warn' }, 'no frontend')),
          h('td', {}, `${vip.prefix} ${vip.protocol}${vip.port ? `/${vip.port}` : ''}`), h('td', {}, vip.encap), ...[vip.new_flows_table_length, vip.application_servers.length, flows, own.existing_sessions, own.first_session, own.untracked, own.no_server]
            .map((number) => h('td', { class: 'number' }, whole(number))));
      });
      const head = ['Frontend', 'VIP', 'Encapsulation', 'Table', 'Servers', 'Flows', 'Known-flow packets', 'New flows', 'Unpinned packets', 'Dropped packets'];
      this.counters.replaceChildren(h('p', { class: 'quiet' }, `read from VPP ${clockTime(Date.now() - found.age_ms)}; tunnel sources ${source(found.conf?.ip4_src_address)} and ${source(found.conf?.ip6_src_address)}, ${whole(found.conf?.sticky_buckets_per_core)} sticky buckets a core, flow timeout ${found.conf?.flow_timeout_seconds ?? '–'} s`),
        h('div', { class: 'scroll tall' }, h('table', {}, h('thead', {}, h('tr', {}, ...head.map((word, place) => h('th', { scope: 'col', class: place > 2 ? 'number' : '' }, word)))), h('tbody', {}, ...rows))));
    } catch (error) {
      if (this.counters.firstChild) this.counters.classList.add('old');
      else put(this.counters, `Not known: ${/** @type {Error} */ (error).message}`);
      return;
    }
    this.counters.classList.remove('old');
  }
}
