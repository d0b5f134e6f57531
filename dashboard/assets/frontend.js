// One frontend on every load balancer that has it.

import { ask, clockTime, h, heading, keyed, percent, put, quiet, redraw, since, state, warning, whole } from './dom.js';
import { backendOf, frontendOf, having, key, members, tables } from './store.js';
import { beatListeners, look } from './stream.js';
import { heart, latency, share, strip, timeline, traffic } from './pictures.js';
import { change } from './change.js';
import { isAdmin } from './login.js';

const COLUMNS = ['Pool', 'Backend', 'State', 'Last check', '#Weight', '#Programmed', '#Buckets', 'Share', '#Flows', ''];
/** Class and, where columns have no heads, label of each cell. */
const LABELS = [['pool'], ['who'], ['where'], ['check'], ['number', 'weight'], ['number', 'programmed'],
  ['number', 'buckets'], ['shares'], ['number', 'flows'], ['do']];
const ACTIONS = ['pause', 'resume', 'enable', 'disable', 'weight', 'clear'];
/** Probes of a backend that are remembered, as many as the server does. */
const PROBES = 120;

/** @param {HTMLElement} main @param {string} name */
export function frontend(main, name) {
  const description = h('p.description'), missing = h('p.is-down'), parts = h('div');
  const back = h('p', h('a', { href: '#/' }, '← Fleet'), quiet('  Esc'));
  main.append(back, h('div.title', h('h1', name), description), missing, parts);
  const balancers = keyed(parts, (server) => balancer(server, name));

  function all() {
    const servers = having(name);
    put(missing, servers.length ? '' : 'No load balancer has a frontend of this name.');
    put(description, frontendOf(servers[0], name).description ?? '');
    for (const balancer of balancers.show(servers)) balancer.show();
  }

  const beats = (/** @type {any[]} */ list) => {
    for (const [server, backend, ended] of list) balancers.map.get(server)?.beat(backend, ended);
  };
  beatListeners.add(beats);
  look(name);
  const pictures = setInterval(() => { for (const balancer of balancers.map.values()) balancer.draw(); }, 1000);
  all();
  return {
    update: all,
    close() { beatListeners.delete(beats); clearInterval(pictures); look(''); },
  };
}

/** @param {string} server @param {string} name */
function balancer(server, name) {
  /** @type {{ traffic: number[][], probes: Record<string, any[][]> }} */
  let history = { traffic: [], probes: {} };
  let counted = '';
  const moved = new Map(), summary = h('div.summary'), actions = h('span.actions'), body = h('tbody');
  const [traffics, buckets, probes] = [h('div'), h('div'), h('div.probes')];
  const rows = keyed(body, (id) => member(server, name, id));
  const heads = COLUMNS.map((column) =>
    h(`th${column[0] === '#' ? '.number' : ''}`, { scope: 'col' }, heading(column)));
  const element = h('section.balancer', { 'aria-label': server }, h('div.bar', h('h2', server), summary, actions),
    h('div.scroll', { tabindex: 0, role: 'group', 'aria-label': `Backends on ${server}` },
      h('table.members', h('thead', h('tr', heads)), body)),
    h('h3', 'Buckets'), buckets, h('h3', 'Traffic'), traffics, h('h3', 'Checks and states, last hour'), probes);

  async function load() {
    const query = new URLSearchParams({ server, frontend: name });
    try {
      history = await ask(`/view/api/history?${query}`);
    } catch { /* the head says that the server is away; live samples come by themselves */ }
    draw();
  }

  function show() {
    const frontend = frontendOf(server, name), list = members(server, name), { packets, new_flows } = frontend;
    const serving = new Set(list.filter((row) => row.effective_weight).map((row) => row.pool));
    element.classList.toggle('old', !tables.brains.get(server)?.connected);
    redraw(summary, frontend, () => summarise(frontend));
    const button = (action, words) =>
      h('button', { onclick: () => change({ server, frontend: name, actions: [action] }) }, words);
    redraw(actions, isAdmin(), () => isAdmin() && [button('sync', 'Sync now…'), button('recreate', 'Re-create VIP…')]);
    rows.show(list.map((row) => `${row.pool}\n${row.backend}`)).forEach((row, place) => {
      row.show(list[place], list[place].pool !== list[place - 1]?.pool, !serving.has(list[place].pool));
    });
    const now = `${packets} ${new_flows}`, newest = history.traffic.at(-1)?.[0] ?? 0;
    if (packets != null && counted && (now !== counted || Date.now() - newest > 4500)) {
      history.traffic.push([Date.now(), packets, new_flows]);
    }
    counted = now;
  }

  /** What moves by itself, once a second. */
  function draw() {
    const list = members(server, name);
    traffics.replaceChildren(traffic(history.traffic));
    buckets.replaceChildren(strip(list, moved));
    probes.replaceChildren(...[...new Set(list.map((row) => row.backend))].map((backend) => {
      const { transitions = [], state = 'unknown', healthcheck } = backendOf(server, backend);
      return h('div.probe', h('b', backend), timeline(transitions, state),
        healthcheck ? latency(history.probes[backend] ?? []) : quiet('no check'));
    }));
  }

  /** @param {string} backend @param {any} ended */
  function beat(backend, ended) {
    if (!ended) return rows.map.forEach((row) => { if (row.backend === backend) row.beat(); });
    const known = history.probes[backend] ??= [];
    known.push(ended);
    if (known.length > PROBES) known.shift();
  }

  load();
  return { element, show, draw, beat };
}

/** @param {any} frontend */
function summarise({ state: now = 'unknown', vip, protocol, sync, dropped, panic_pool: panic, ...frontend }) {
  const { worst_share_error_percent: off, vpp_figures_error: unknown, slow_start_ms: slow, panic_threshold } = frontend;
  const decided = frontend.announcement === 'unspecified' ? 'left alone' : frontend.announcement;
  const route = frontend.announcement_reason && decided;
  const why = frontend.not_in_vpp ? `: ${frontend.not_in_vpp}` : '';
  return [
    state(now), h('span', `${vip} ${protocol}`),
    h('span', frontend.active_pool ? `pool ${frontend.active_pool}` : 'no pool serves'),
    h('span', `${frontend.up} of ${frontend.total} up`),
    sync === 'synced' ? h('span', 'synced with VPP')
      : h(`span.is-${sync === 'failed' ? 'down' : 'warn'}`, `sync ${sync}${why}`),
    route && h(route === 'announced' ? 'span' : 'span.is-warn', `route ${route}: ${frontend.announcement_reason}`),
    panic && h('span.is-down', `panic in pool ${panic}: all of it takes new flows`),
    quiet(`table ${whole(frontend.kept_table_length ?? frontend.new_flows_table_length)}`),
    off > 1 && warning(`shares off by up to ${percent(off)}`),
    dropped && warning(`${whole(dropped)} packets dropped without a server since the VIP was made`),
    unknown && warning(`buckets and flows not known: ${unknown}`),
    frontend.src_ip_sticky && quiet('sticky by source'), frontend.flush_on_down && quiet('flushes on down'),
    slow && quiet(`slow start ${slow / 1000} s`),
    panic_threshold && quiet(`panic below ${panic_threshold}%`)];
}

/** A backend in a pool, as a row. @param {string} server @param {string} name @param {string} id */
function member(server, name, id) {
  const [pool, backend] = id.split('\n'), pulse = heart();
  const about = { server, frontend: name, pool, backend, actions: ACTIONS };
  const cells = LABELS.map(([kind, label]) => h(`td.${kind}`, { data: { label } })), element = h('tr', cells);
  const [first, who, where, check, weight, programmed, buckets, shares, flows, action] = cells;

  /** @param {any} row @param {boolean} isFirst Of its pool. @param {boolean} rests Whether its pool does. */
  function show({ address, configured_weight, operator_weight, expected, measured, ...row }, isFirst, rests) {
    const own = backendOf(server, backend), { state: now = 'unknown', transitions: [newest] = [] } = own;
    const by = tables.overrides.get(key(server, backend, name, pool));
    const operator = tables.overrides.get(key(server, backend, '', ''));
    put(first, isFirst ? pool : '');
    element.classList.toggle('first', isFirst);
    element.classList.toggle('resting', rests);
    pulse.rest(own.healthcheck ? now : 'disabled');
    redraw(who, address, () => [pulse.element, h('b', backend), quiet(` ${address}`)]);
    redraw(where, [now, newest, operator, by], () => [
      state(now), ' ', since(newest?.at_unix_ms),
      operator && h('span.set', `${operator.operator_state} `, operator.operator_state !== now && since(operator.since_unix_ms),
        said(operator)),
      by && h('span.set', 'weight', said(by))], true);
    redraw(check, [own.healthcheck, now, own.last_probe, newest, own.counter], () => last(own), true);
    redraw(weight, [configured_weight, operator_weight, row.effective_weight], () => [
      operator_weight == null ? configured_weight : [h('s.quiet', configured_weight), h('b.set', ` ${operator_weight}`)],
      quiet(' → '), h('b', { title: 'effective: after health and failover' }, row.effective_weight)], true);
    redraw(programmed, row.programmed_weight, () => whole(row.programmed_weight), true);
    redraw(buckets, row.buckets, () => whole(row.buckets), true);
    put(flows, whole(row.flows));
    redraw(shares, [expected, measured], () => [share(expected, measured), percent(measured ?? expected)], true);
    const label = `Change ${backend} in pool ${pool}`;
    redraw(action, isAdmin(), () =>
      isAdmin() && h('button', { 'aria-label': label, onclick: () => change(about) }, 'Change…'));
  }
  return { element, backend, beat: pulse.beat, show };
}

/** Who set an override, without the program in between, and why. @param {any} set */
function said({ set_by, reason, until_unix_ms: until }) {
  const who = set_by ?? 'an operator', why = reason ? `: ${reason}` : '';
  const end = until ? ` until ${clockTime(until)}` : '';
  return h('span', { title: who + why + end }, ` by ${who.split(', by ')[0]}${why}${end}`);
}

/** The last check, and how far it is between up and down. @param {any} own */
function last({ healthcheck, state: now, last_probe, transitions: [newest] = [], counter }) {
  if (!healthcheck) return quiet('no check');
  const { code, detail, passed } = last_probe ?? {}, { value = 0, rise = 0, fall = 0 } = counter ?? {};
  const isOver = ['paused', 'disabled'].includes(now), most = rise + fall - 1;
  const kind = isOver ? 'quiet' : passed === false ? 'is-down' : 'fine';
  return [h(`span.${kind}`, { title: newest?.cause }, `${code ?? ''} `, quiet(detail)),
    isOver && code && ' (before)',
    value > 0 && value < most && h('span.quiet', { title: 'counter of checks: up from rise on' }, ` ${value}/${most}`)];
}
