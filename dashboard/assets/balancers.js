// The load balancers themselves: brain, agent, VPP, what operators have set, what VPP counts.

import { ago, ask, clockTime, h, icon, keyed, put, quiet, redraw, since, state, table, warning, whole } from './dom.js';
import { overrides, pageOf, servers, tables } from './store.js';
import { change } from './change.js';
import { isAdmin } from './login.js';

/** Problems, overrides and VIPs that are listed. */
const PROBLEMS = 10, OVERRIDES = 500, VIPS = 2000;
const MEMBER = ['Member', 'etcd', 'Revision', 'VPP', 'Overrides only there', 'Version', 'Problem'];
const DIFFERENT = ['VIP', 'Members with another table'];
const SET = ['What', 'Set to', 'Since', 'By', 'Why', ''];
const VIP = ['Frontend', 'VIP', 'Encapsulation', '#Table', '#Servers', '#Flows', '#Known-flow packets', '#New flows',
  '#Unpinned packets', '#Dropped packets'];

/** @param {HTMLElement} main */
export function balancers(main) {
  const shared = h('div'), parts = h('div'), cards = keyed(parts, (server) => new Card(server));
  main.append(h('h1.sr', 'Load balancers'), shared, parts);
  const all = () => {
    const list = fleets();
    redraw(shared, list, () => list.map(fleetOf));
    for (const card of cards.show(servers())) card.show();
  };
  all();
  const timer = setInterval(() => { for (const card of cards.map.values()) card.count(); }, 5000);
  return {
    update(/** @type {import('./store.js').Changed} */ changed) { if (changed.brains || changed.overrides) all(); },
    close() { clearInterval(timer); },
  };
}

/** Facts under a heading; those without a value are left out. @param {string} of @param {[string, any][]} lines */
function facts(of, lines) {
  const shown = lines.filter(([, value]) => value).map(([name, value]) => [h('dt', name), h('dd', value)]);
  return h('div', h('h3', of), h('dl', shown));
}

const bad = (/** @type {string|undefined} */ words) => words && h('span.is-down', words);
const source = (/** @type {string|undefined} */ address) =>
  !address || /^(ffff:){7}ffff$|^255(\.255){3}$/.test(address) ? 'none' : address;

/** What the brain says is wrong, and what to do about it. @param {any} brain */
function problems({ problems = [], problems_left_out: more = 0 }) {
  const line = ({ severity, kind, name, what, remedy, since_unix_ms: at }) =>
    h('li', { class: severity === 'danger' ? 'is-down' : 'is-warn' }, icon('warn', severity === 'danger' ? 'down' : 'warn'),
      h('span', [kind, name].filter(Boolean).join(' '), `: ${what} `), remedy && quiet(remedy, ' '), at && since(at));
  return [problems.slice(0, PROBLEMS).map(line),
    more + problems.length > PROBLEMS && h('li.quiet', `and ${more + problems.length - PROBLEMS} more`)];
}

/** Each fleet as one of its members sees it, which follows etcd, if one does. */
function fleets() {
  /** @type {Map<string, any>} */
  const found = new Map();
  for (const server of servers()) {
    const { connected, fleet, fleet_tables: digests = {} } = tables.brains.get(server) ?? {};
    if (!connected || !fleet) continue;
    const known = found.get(fleet.fleet);
    if (!known || fleet.connected && !known.connected) found.set(fleet.fleet, { ...fleet, digests });
  }
  return [...found.values()];
}

/** How far the rollout is, the members, and the tables that differ. @param {any} fleet */
function fleetOf({ fleet: name, member, members, rollout, connected, reason, refused = [], digests }) {
  const { all = 0, differ = 0, tables: different = [], unknown = [] } = digests;
  const stage = rollout && [rollout.stage, rollout.reason].filter(Boolean).join(': ');
  const shown = facts('Configuration', [
    ['revision', rollout ? [rollout.revision, quiet(` ${rollout.comment}`)] : 'each member has its own file'],
    ['rollout', rollout?.stage === 'done' ? stage : stage && warning(stage)], ['since', rollout && since(rollout.since_unix_ms)],
    ['by', rollout?.who], ['etcd', bad(connected ? '' : reason)],
    ['refused', refused.length && warning(refused.map((/** @type {any} */ one) => `${one.key}: ${one.reason}`).join('; '))],
    ['equal tables', `${whole(all - differ)} of ${whole(all)}`],
    ['not known', unknown.length && `the tables of ${unknown.join(', ')}`]]);
  const difference = (/** @type {any} */ { vip, frontend, differences }) => [
    frontend ? h('a', { href: pageOf(frontend) }, vip) : vip,
    h('ul', differences.map((/** @type {any} */ one) => h('li', { class: one.lasting ? 'is-down' : 'is-warn' }, `${one.member}: ${one.reason}`)))];
  return h('section.balancer', { 'aria-label': `Fleet ${name}` },
    h('div.bar', h('h2', `Fleet ${name}`), h('span.summary',
      state(connected ? 'up' : 'down', connected ? 'etcd connected' : 'etcd disconnected'), quiet(`as ${member} sees it`))),
    h('div.facts', shown), h('h3', 'Members'), table(MEMBER, members.map(memberRow)),
    different.length > 0 && [h('h3', 'Tables that differ'), table(DIFFERENT, different.map(difference))],
    differ > different.length && h('p.quiet', `and ${whole(differ - different.length)} more`));
}

/** @param {any} member */
function memberRow({ name, connected, revision, vpp_connected: vpp, local_overrides: local, version, ...member }) {
  const counts = Object.entries({ 'backends went down': member.downs, 'syncs failed': member.sync_errors,
    'differences in VPP': member.drift, 'routes withdrawn': member.withdrawn_routes });
  const problems = [member.rival_since_unix_ms && 'another machine has the same name',
    member.refused_revision && `refused revision ${member.refused_revision}: ${member.refused_reason}`,
    member.not_programmed, ...counts.map(([words, count]) => count && `${words}: ${whole(count)}`)].filter(Boolean);
  const here = (/** @type {any} */ shown) => connected ? shown : '–';
  return [name, state(connected ? 'up' : 'down', connected ? 'connected' : 'away'), here(revision || 'own file'),
    here(state(vpp ? 'up' : 'down', vpp ? 'connected' : 'disconnected')), local ? warning(whole(local)) : here('none'),
    version || '–', problems.length > 0 && warning(problems.join('; '))];
}

class Card {
  constructor(/** @type {string} */ server) {
    this.server = server;
    this.problems = h('ul.problems');
    this.facts = h('div.facts');
    this.overrides = h('div');
    this.counters = h('div.tall');
    this.actions = h('span.actions');
    this.title = h('span.summary');
    this.element = h('section.balancer', { 'aria-label': server },
      h('div.bar', h('h2', server), this.title, this.actions), this.problems, this.facts,
      h('h3', 'Set by operators'), this.overrides, h('h3', 'VIPs in VPP'), this.counters);
    this.count();
  }

  show() {
    const { server } = this, brain = tables.brains.get(server) ?? {}, { connected, address = '', may_change } = brain;
    this.element.classList.toggle('old', !connected);
    redraw(this.title, [connected, address], () =>
      [state(connected ? 'up' : 'down', connected ? 'connected' : 'disconnected'), quiet(address)]);
    const offered = isAdmin() && may_change;
    redraw(this.actions, offered, () =>
      offered && h('button', { onclick: () => change({ server, actions: ['sync'] }) }, 'Sync everything now…'));
    redraw(this.facts, brain, () => [this.brain(brain), this.agent(brain.vpp?.agent ?? {}), this.vpp(brain)]);
    redraw(this.problems, brain.problems, () => problems(brain));
    const list = overrides(server);
    redraw(this.overrides, [list, isAdmin()], () => list.length ? [
      table(SET, list.slice(0, OVERRIDES).map((set) => this.override(set))),
      list.length > OVERRIDES && h('p.quiet', `and ${list.length - OVERRIDES} older ones`),
    ] : h('p.quiet', 'Nothing: all is as configured.'));
  }

  /** @param {any} brain */
  brain({ connected, since: at, error, version = '–', started, warmup = '–', may_change, not_kept, ...brain }) {
    const { frontends_held_back: held_back, last_reload: reload } = brain;
    return facts('Brain', [
      [connected ? 'connected' : 'disconnected', since(at)], ['why', bad(error)], ['version', version],
      ['started', since(started)], ['configuration', [brain.config_file ?? '–', ' ', since(brain.config_since_unix_ms)]],
      ['reload', reload && !reload.taken && bad(`refused ${ago(reload.at_unix_ms)} ago: ${reload.result}`)],
      ['warm-up', warmup === 'over' ? warmup : `${warmup}, ${held_back ?? 0} frontends held back`],
      ['frontends', `${whole(brain.frontends)}, ${whole(brain.frontends_up)} up and programmed, `
        + `${whole(brain.frontends_failed)} refused in part`],
      ['backends', `${whole(brain.backends)}, ${whole(brain.backends_up)} up`],
      ['overrides', not_kept && bad(`would not survive a restart: ${not_kept}`)],
      ['dashboard is', `${brain.who ?? '–'}: ${may_change ? 'may make changes' : 'may only read'}`],
      ['for more', brain.why_not && quiet(brain.why_not)]]);
  }

  /** @param {any} agent */
  agent({ connected, reason, version = '–', protocol, foreign = [], drift = [], drift_total: drifted, ...agent }) {
    const outside = quiet(' (outside the policy, left alone)');
    return facts('Agent', [
      ['is', [state(connected ? 'up' : 'down', connected ? 'connected' : 'disconnected'), ' ', bad(reason)]],
      ['since', since(agent.connected_unix_ms)], ['started', since(agent.started_unix_ms)],
      ['version', [version, protocol && quiet(` protocol ${protocol}`)]], ['process', agent.pid ?? '–'],
      ['connections', whole(agent.connections)], ['socket', agent.socket ?? '–'],
      ['no ping', bad(agent.no_echo)], ['settings refused', bad(agent.settings_refused)],
      ['foreign VIPs', foreign.length ? [foreign.join(', '), outside] : 'none'],
      ['drift', drifted ? [warning(`${whole(drifted)} differences, corrected; last `), since(agent.drift_at_unix_ms),
        h('ul', drift.map((/** @type {string} */ line) => h('li', line)))] : 'none']]);
  }

  /** VPP, and what it answered since this dashboard has followed the brain. @param {any} brain */
  vpp({ vpp = {}, activity = {} }) {
    const { state: now = 'unknown', reason, version = '–', build_date, pid = '–' } = vpp;
    const { writes = 0, flushes = 0, refused = 0, at_unix_ms: at, error, error_unix_ms: failed } = activity;
    return facts('VPP', [
      ['is', [state({ connected: 'up', unknown: 'unknown' }[now] ?? 'down', now), ' ', bad(reason)]],
      ['since', since(vpp.connected_unix_ms)], ['booted', since(vpp.boot_time_unix_ms)],
      ['version', [version, build_date && quiet(` built ${build_date}`)]], ['process', pid],
      ['API writes', `${whole(writes)} done, ${whole(flushes)} of them with a flush`], ['last write', since(at)],
      ['API errors', refused ? [bad(`${whole(refused)} refused; last: ${error} `), since(failed)] : 'none']]);
  }

  /** @param {any} set */
  override({ backend, frontend, pool, configured, configured_weight: weight, until_unix_ms: until, ...set }) {
    const drained = backend == null && set.lb_drain !== 'unspecified' && set.lb_drain;
    const about = { server: this.server, frontend, pool, backend, actions: ['clear'], ofState: !frontend };
    return [
      drained ? 'this load balancer' : frontend ? `${backend} in pool ${pool} of ${frontend}` : backend,
      [drained ? `drained (${drained})` : frontend ? `weight ${set.operator_weight}` : set.operator_state, until && ` until ${clockTime(until)}`,
        !configured ? warning(' (not in the configuration)') : frontend && quiet(` (configured ${weight ?? '–'})`)],
      since(set.since_unix_ms), set.set_by ?? '–', set.reason ?? '',
      isAdmin() && !drained && h('button', { onclick: () => change(about) }, 'Clear…'),
    ];
  }

  async count() {
    try {
      const { counters, state: found } = await ask(`/view/api/vips?${new URLSearchParams({ server: this.server })}`);
      const { conf = {}, vips, age_ms } = found;
      const id = ({ prefix, protocol, port }) => `${prefix} ${protocol}${port ? `/${port}` : ''}`;
      const counted = new Map(counters.vips.map((vip) => [id(vip), vip]));
      const rows = vips.slice(0, VIPS).map((vip) => {
        const own = counted.get(id(vip)) ?? {}, servers = vip.application_servers;
        const flows = servers.reduce((sum, server) => sum + server.flows, 0);
        const numbers = [vip.new_flows_table_length, servers.length, flows, own.existing_sessions, own.first_session,
          own.untracked, own.no_server];
        const link = vip.frontend ? h('a', { href: pageOf(vip.frontend) }, vip.frontend) : warning('no frontend');
        return [link, id(vip), vip.encap, ...numbers.map(whole)];
      });
      const sources = [conf.ip4_src_address, conf.ip6_src_address].map(source).join(' and ');
      const words = `read from VPP ${clockTime(Date.now() - age_ms)}; tunnel sources ${sources}, `
        + `${whole(conf.sticky_buckets_per_core)} sticky buckets a core, `
        + `flow timeout ${conf.flow_timeout_seconds ?? '–'} s`;
      this.counters.replaceChildren(h('p.quiet', words), table(VIP, rows));
      this.counters.classList.remove('old');
    } catch (error) {
      if (this.counters.firstElementChild) this.counters.classList.add('old');
      else put(this.counters, `Not known: ${/** @type {Error} */ (error).message}`);
    }
  }
}
