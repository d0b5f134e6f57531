// A change in two steps: what the brains say that it would do, then that.

import { ask, h, icon, percent, quiet, table, warning, whole } from './dom.js';
import { backendOf, having, key, servers, tables } from './store.js';

/**
 * What a change is about; the first of the actions that would do anything is offered first.
 * @typedef {{ server: string, frontend?: string, pool?: string, backend?: string, actions: string[],
 *   ofState?: boolean }} About
 */

const ACTIONS = {
  pause: ['Pause', 'no probes and no new flows; existing flows are left to finish'],
  resume: ['Resume', 'take back a pause'], enable: ['Enable', 'into service, even if disabled in the configuration'],
  disable: ['Disable', 'out of service, existing flows too'], clear: ['Clear override', 'back to the configuration'],
  weight: ['Set weight', 'instead of the configured one, until cleared'],
  recreate: ['Re-create VIP', 'delete it in VPP and add it again; pinned flows are forgotten'],
  sync: ['Sync now', 'compare VPP with the desired state and fix any difference'],
};
const FATES = { stay: 'stay', finish: 'left to finish', move: 'move at once', cut: 'cut', rehash: 'rehashed' };
const IN_VPP = {
  acknowledged: 'done; programmed in VPP', 'not-asked': 'done; queued for VPP',
  'held-back': 'done; will be programmed when the warm-up releases the frontend',
  away: 'done; VPP disconnected, will be programmed on reconnect',
  refused: 'done here, but refused by VPP; will be retried',
  late: 'done here, but VPP has not answered yet; will be retried',
};
const SHARES = ['Pool', 'Backend', '#Weight (share) now', '#then', '#Flows', 'which'];
const MOVED = 'The state has moved on meanwhile, and nothing was changed there. This is what it would do now:';
/** Frontends of a plan, and lines of an answer, that are listed. */
const FRONTENDS = 20, LINES = 50;
/** Time without a move of the slider after which it is planned. */
const REST = 150;

/** Actions that would do anything. @param {About} about @param {any} own @param {any} member */
function offered({ actions, frontend }, own, member) {
  const is = {
    pause: own.state !== 'paused', resume: own.operator_state === 'paused', enable: own.state === 'disabled',
    disable: own.state !== 'disabled',
    clear: !frontend || member.operator_weight != null || own.operator_state !== 'none',
  };
  return actions.filter((action) => is[action] ?? true);
}

/** @param {About} about */
export function change(about) {
  const { server, frontend = '', pool = '', backend = '' } = about, before = document.activeElement;
  const own = backend ? backendOf(server, backend) : {};
  const member = tables.members.get(key(server, frontend, pool, backend)) ?? {};
  const actions = offered(about, own, member);
  let [action] = actions, token = '', asked = 0, timer = 0;

  const plan = h('div.plan', { 'aria-live': 'polite' });
  const confirm = h('button.primary', { disabled: true, onclick: carryOut }, 'Confirm');
  const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const isThere = (one) => !backend || tables.backends.has(key(one, backend));
  const others = frontend ? having(frontend) : servers().filter(isThere);
  const boxes = others.map((value) =>
    h('input', { type: 'checkbox', value, checked: value === server, onchange: () => ask_plan() }));
  const labels = boxes.map((box) => h('label', box, ` ${box.value}`));
  const where = h('fieldset', { hidden: others.length < 2 }, h('legend', 'On'), labels);

  const { configured_weight: configured, operator_weight: override } = member, value = override ?? configured ?? 100;
  const range = (type) => h('input', { type, min: 0, max: 100, value, 'aria-label': 'Weight' });
  const [slider, number] = [range('range'), range('number')];
  const flush = h('input', { type: 'checkbox', onchange: () => ask_plan() });
  for (const [one, other] of [[slider, number], [number, slider]]) {
    one.addEventListener('input', () => {
      other.value = one.value;
      clearTimeout(timer);
      confirm.disabled = true;
      timer = setTimeout(ask_plan, REST);
    });
  }
  const weight = h('div.weights', slider, number, quiet(`configured ${configured ?? '–'}`),
    h('label', flush, ' Flush: existing flows move at once'));
  const reason = h('input', { type: 'text', maxlength: 200, placeholder: 'Why (optional)', 'aria-label': 'Why' });
  const radios = actions.map((value) => {
    const choose = () => { action = value; ask_plan(); };
    const radio = h('input', { type: 'radio', name: 'action', value, checked: value === action, onchange: choose });
    return h('label.choice', radio, ` ${ACTIONS[value][0]}`, quiet(` – ${ACTIONS[value][1]}`));
  });
  const title = backend ? `Change ${backend}` : ACTIONS[action][0];
  const scope = !backend ? frontend ? `frontend ${frontend}` : 'everything' : !pool ? backend
    : `a weight concerns ${backend} in pool ${pool} of ${frontend} only, the rest ${backend} in all its frontends`;
  const form = h('form', { method: 'dialog' }, h('h2', title), h('p.quiet', scope), where,
    h('fieldset.choices', h('legend', 'What'), radios), weight, reason, plan, h('div.buttons', cancel, confirm));
  const dialog = h('dialog', { 'aria-label': title }, form);

  function wanted() {
    const ofPool = { action, frontend, pool, backend };
    if (action === 'weight') return { ...ofPool, weight: Number(number.value), flush: flush.checked };
    if (action === 'recreate' || action === 'sync') return { action, frontend };
    const isWeight = override != null || frontend && !about.ofState && (own.operator_state ?? 'none') === 'none';
    return action === 'clear' && isWeight ? ofPool : { action, backend };
  }

  function failed(/** @type {any} */ error, button = '') {
    plan.replaceChildren(h('p.is-down', { role: 'alert' }, error.message), button);
  }

  async function ask_plan() {
    const turn = ++asked, chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    clearTimeout(timer);
    token = '';
    confirm.disabled = true;
    weight.hidden = action !== 'weight';
    reason.hidden = ['recreate', 'sync', 'clear'].includes(action);
    try {
      if (!chosen.length) throw new Error('Choose a load balancer.');
      const answer = await ask('/admin/api/plan', { change: wanted(), servers: chosen });
      if (turn === asked) show(answer);
    } catch (error) {
      if (turn === asked) failed(error);
    }
  }

  function show(/** @type {any} */ answer, why = '') {
    const isDanger = answer.parts.some((part) => part.preview?.severity === 'danger') || action === 'recreate';
    token = answer.token ?? '';
    confirm.textContent = ACTIONS[action][0] + (isDanger ? ' anyway' : '');
    confirm.className = isDanger || action === 'disable' ? 'danger' : 'primary';
    confirm.disabled = !token;
    plan.replaceChildren(why && h('p.is-warn', { role: 'alert' }, icon('warn'), why), ...answer.parts.map(part));
  }

  async function carryOut(/** @type {Event} */ event) {
    event.preventDefault();
    if (!token) return;
    const words = confirm.textContent;
    confirm.disabled = true;
    confirm.textContent = 'Waiting for VPP …';
    try {
      const { again, results } = await ask('/admin/api/confirm', { token, reason: reason.value });
      if (again) {
        show(again, MOVED);
        return void plan.append(...results.filter((done) => !done.moved).map(result));
      }
      plan.replaceChildren(...results.map(result));
      for (const part of [confirm, weight, reason]) part.hidden = true;
      for (const set of form.querySelectorAll('fieldset')) set.disabled = true;
      cancel.textContent = 'Close';
      cancel.focus();
    } catch (error) {
      confirm.textContent = words;
      failed(error, h('button', { type: 'button', onclick: () => ask_plan() }, 'Plan again'));
    }
  }

  // Judged by where the button went down: who selects text and ends outside does not close it.
  let outside = false;
  dialog.addEventListener('pointerdown', (event) => { outside = event.target === dialog; });
  dialog.addEventListener('click', (event) => { if (outside && event.target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => { dialog.remove(); if (before instanceof HTMLElement) before.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  ask_plan();
}

const section = (kind, server, ...inner) => h(`section${kind}`, h('h3', server), inner);
const wrong = (words, given = {}) => h('p.is-down', given, icon('warn', 'down'), words);
const listed = (lines) => lines.length > 0 && h('ul', lines.slice(0, LINES).map((line) => h('li', line)));

/** What one load balancer says that it would do. @param {any} part */
function part({ server, preview, error }) {
  if (error) return section('', server, wrong(error));
  const sync = 'VPP is read and compared with the desired state; what differs is written. A sync cannot be previewed.';
  if (!preview) return section('', server, h('p', sync));
  const { severity, sentences, frontends = [] } = preview;
  const danger = h('b.is-down', icon('warn', 'down'), 'Danger: traffic is lost, or pinned flows are forgotten. ');
  const harmless = severity === 'none' || !frontends.length ? 'No traffic changes.' : 'Traffic moves, none is lost.';
  return section(`.severity-${severity}`, server, h('p', severity === 'danger' ? danger : harmless),
    sentences.map((words) => h('p', words)), frontends.slice(0, FRONTENDS).map(touched),
    frontends.length > FRONTENDS && h('p.quiet', `and ${frontends.length - FRONTENDS} more frontends`));
}

/** What would become of a frontend. @param {any} frontend */
function touched({ frontend, vip, held_back, severity, sentences, before, after, backends }) {
  const share = (side, of) => !side ? '–'
    : `${side.effective_weight}${of?.table_length ? ` (${percent(side.buckets / of.table_length * 100)})` : ''}`;
  const rows = backends.map((row) => {
    const [was, is] = [share(row.before, before), share(row.after, after)];
    return [row.pool, row.backend, was, was === is ? quiet(is) : `→ ${is}`, whole(row.flows), FATES[row.fate] ?? ''];
  });
  const said = sentences.map((words) => h('li', { class: severity === 'danger' ? 'is-down' : '' }, words));
  return h('div.touched', h('p', h('b', frontend), ` ${vip}`, held_back && warning(' (held back by the warm-up)')),
    h('ul', said), table(SHARES, rows));
}

/** What one load balancer did. @param {any} done */
function result({ server, answer, error }) {
  if (error) return section('', server, wrong(`not done: ${error}`, { role: 'alert' }));
  const { outcome, recreated, vips = [], drift = [], vips_read = 0, settings_refused } = answer;
  if (!outcome) {
    const of = ({ frontend, vip, changes, errors }) =>
      [...changes, ...errors.map((words) => `refused: ${words}`)].map((words) => `${frontend || vip}: ${words}`);
    const lines = [...drift, ...vips.flatMap(of)];
    const found = lines.length ? `${lines.length} differences or changes:` : 'nothing differed.';
    return section('', server, h('p', `${vips_read} VIPs compared; ${found}`), listed(lines),
      settings_refused && wrong(`settings refused: ${settings_refused}`));
  }
  const said = ({ in_vpp, vpp_error }) => `${IN_VPP[in_vpp] ?? in_vpp}${vpp_error ? `: ${vpp_error}` : ''}`;
  const isGood = ['acknowledged', 'not-asked'].includes(outcome.in_vpp), all = outcome.frontends ?? [];
  const extra = recreated === false ? ' (there was nothing to re-create)' : '';
  return section('', server,
    h('p', { class: isGood ? '' : 'is-warn' }, icon(isGood ? 'up' : 'warn'), said(outcome), extra),
    listed(all.length > 1 ? all.map((one) => `${one.frontend}: ${said(one)}`) : []),
    outcome.not_kept && h('p.is-warn', `A restart of the brain would undo it: ${outcome.not_kept}`));
}
