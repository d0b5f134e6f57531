// A change in two steps: what the brains say that it would do, then that.

import { ask, h, icon, percent, whole } from './dom.js';
import { backend, key, servers, tables } from './store.js';

const ACTIONS = {
  pause: ['Pause', 'no probes and no new flows; existing flows are left to finish'], resume: ['Resume', 'take back a pause'],
  enable: ['Enable', 'into service, even if disabled in the configuration'], disable: ['Disable', 'out of service, existing flows too'],
  weight: ['Set weight', 'instead of the configured one, until cleared'], clear: ['Clear override', 'back to the configuration'],
  recreate: ['Re-create VIP', 'delete it in VPP and add it again; pinned flows are forgotten'], sync: ['Sync now', 'compare VPP with the desired state and fix any difference'],
};
const FATES = { stay: 'stay', finish: 'left to finish', move: 'move at once', cut: 'cut', rehash: 'rehashed', unspecified: '' };
const IN_VPP = {
  acknowledged: 'done; programmed in VPP', 'not-asked': 'done; queued for VPP', 'held-back': 'done; will be programmed when the warm-up releases the frontend',
  away: 'done; VPP disconnected, will be programmed on reconnect', refused: 'done here, but refused by VPP; will be retried', late: 'done here, but VPP has not answered yet; will be retried',
};

/**
 * @param {{ server: string, frontend?: string, pool?: string, backend?: string, actions: string[], ofState?: boolean }} about
 */
export function change(about) {
  const before = document.activeElement;
  const own = about.backend ? backend(about.server, about.backend) : {};
  const member = about.pool ? tables.members.get(key(about.server, about.frontend ?? '', about.pool, about.backend ?? '')) ?? {} : {};
  const offered = about.actions.filter((action) => ({
    pause: own.state !== 'paused', resume: own.operator === 'paused', enable: own.state === 'disabled', disable: own.state !== 'disabled',
    clear: about.frontend ? member.override != null || own.operator != null : true,
  }[action] ?? true));
  let action = offered[0], token = '', asked = 0, danger = false;
  const plan = h('div', { class: 'plan', 'aria-live': 'polite' });
  const confirm = h('button', { class: 'primary', disabled: true }, 'Confirm');
  const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');

  const others = servers().filter((server) => about.frontend ? tables.frontends.has(key(server, about.frontend)) : about.backend ? tables.backends.has(key(server, about.backend)) : true);
  const boxes = others.map((server) => h('input', { type: 'checkbox', id: `on-${server}`, value: server, checked: server === about.server, onchange: () => ask_plan() }));
  const where = others.length > 1 ? h('fieldset', {}, h('legend', {}, 'On'), ...boxes.map((box) => h('label', {}, box, ` ${box.value}`))) : '';

  const number = h('input', { type: 'number', min: 0, max: 100, value: member.override ?? member.configured ?? 100, 'aria-label': 'Weight' });
  const slider = h('input', { type: 'range', min: 0, max: 100, value: number.value, 'aria-label': 'Weight' });
  const flush = h('input', { type: 'checkbox', id: 'flush' });
  slider.addEventListener('input', () => { number.value = slider.value; soon(); });
  number.addEventListener('input', () => { slider.value = number.value; soon(); });
  flush.addEventListener('change', () => ask_plan());
  const weight = h('div', { class: 'weights', hidden: true }, slider, number, h('span', { class: 'quiet' }, `configured ${member.configured ?? '–'}`), h('label', {}, flush, ' Flush: existing flows move at once'));

  const radios = offered.map((name) => h('label', { class: 'choice' }, h('input', { type: 'radio', name: 'action', value: name, checked: name === action, onchange: () => { action = name; ask_plan(); } }),
    ` ${ACTIONS[name][0]}`, h('span', { class: 'quiet' }, ` – ${ACTIONS[name][1]}`)));
  const title = about.backend ? `Change ${about.backend}` : ACTIONS[action][0];
  const scope = about.backend ? about.pool ? `pause, resume, enable and disable concern ${about.backend} in all its frontends; a weight only pool ${about.pool} of ${about.frontend}` : about.backend : about.frontend ? `frontend ${about.frontend}` : 'everything';
  const form = h('form', { method: 'dialog' }, h('h2', {}, title), h('p', { class: 'quiet' }, scope), where,
    h('fieldset', { class: 'choices' }, h('legend', {}, 'What'), ...radios), weight, plan, h('div', { class: 'buttons' }, cancel, confirm));
  const dialog = h('dialog', { 'aria-label': title }, form);

  let timer = 0;
  const soon = () => { clearTimeout(timer); confirm.disabled = true; timer = setTimeout(ask_plan, 150); };

  function wanted() {
    const { backend, frontend, pool } = about;
    if (action === 'weight') return { action, frontend, pool, backend, weight: Number(number.value), flush: flush.checked };
    if (action === 'clear') return member.override != null ? { action, backend, frontend, pool } : about.frontend && !about.ofState && own.operator == null ? { action, backend, frontend, pool } : { action, backend };
    if (action === 'recreate') return { action, frontend };
    if (action === 'sync') return frontend ? { action, frontend } : { action };
    return { action, backend };
  }

  async function ask_plan() {
    const turn = ++asked;
    clearTimeout(timer);
    token = '';
    confirm.disabled = true;
    weight.hidden = action !== 'weight';
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!chosen.length) return void plan.replaceChildren(h('p', {}, 'Choose a load balancer.'));
    try {
      const answer = await ask('/admin/api/plan', { change: wanted(), servers: others.length > 1 ? chosen : [about.server] });
      if (turn === asked) show(answer, '');
    } catch (error) {
      if (turn === asked) plan.replaceChildren(h('p', { class: 'is-down', role: 'alert' }, /** @type {Error} */ (error).message));
    }
  }

  function show(/** @type {any} */ answer, /** @type {string} */ why) {
    token = answer.token ?? '';
    danger = answer.parts.some((/** @type {any} */ part) => part.preview?.severity === 'danger') || action === 'recreate';
    const [words] = ACTIONS[action];
    confirm.textContent = danger ? `${words} anyway` : words;
    confirm.className = danger ? 'danger' : 'primary';
    confirm.disabled = !token;
    plan.replaceChildren(why ? h('p', { class: 'is-warn', role: 'alert' }, icon('warn'), why) : '', ...answer.parts.map(part));
  }

  confirm.addEventListener('click', async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!token) return;
    confirm.disabled = true;
    const words = confirm.textContent;
    confirm.textContent = 'Waiting for VPP …';
    try {
      const outcome = await ask('/admin/api/confirm', { token });
      if (outcome.again) {
        show(outcome.again, 'The state has moved on meanwhile, and nothing was changed there. This is what it would do now:');
        plan.append(...outcome.results.filter((/** @type {any} */ done) => !done.moved).map(result));
        return;
      }
      plan.replaceChildren(...outcome.results.map(result));
      confirm.hidden = true;
      form.querySelectorAll('fieldset').forEach((/** @type {any} */ set) => { set.disabled = true; });
      weight.hidden = true;
      cancel.textContent = 'Close';
      cancel.focus();
    } catch (error) {
      confirm.textContent = words;
      plan.replaceChildren(h('p', { class: 'is-down', role: 'alert' }, /** @type {Error} */ (error).message), h('button', { type: 'button', onclick: () => ask_plan() }, 'Plan again'));
    }
  });

  // Judged by where the button went down: who selects text and ends outside does not close it.
  let outside = false;
  dialog.addEventListener('pointerdown', (/** @type {Event} */ event) => { outside = event.target === dialog; });
  dialog.addEventListener('click', (/** @type {Event} */ event) => { if (outside && event.target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => { dialog.remove(); if (before instanceof HTMLElement) before.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  ask_plan();
}

/** What one load balancer says that it would do. @param {any} part */
function part({ server, preview, error }) {
  const head = h('h3', {}, server);
  if (error) return h('section', {}, head, h('p', { class: 'is-down' }, icon('warn', 'down'), error));
  if (!preview) return h('section', {}, head, h('p', {}, 'VPP is read and compared with the desired state; what differs is written. A sync cannot be previewed.'));
  const touched = preview.frontends ?? [];
  const danger = preview.severity === 'danger';
  return h('section', { class: `severity-${preview.severity}` }, head,
    h('p', {}, danger ? h('b', { class: 'is-down' }, icon('warn', 'down'), 'Danger: traffic is lost, or pinned flows are forgotten. ') : preview.severity === 'none' || !touched.length ? 'No traffic changes.' : 'Traffic moves, none is lost.'),
    ...preview.sentences.map((/** @type {string} */ words) => h('p', {}, words)), ...touched.slice(0, 20).map(touchedFrontend),
    touched.length > 20 ? h('p', { class: 'quiet' }, `and ${touched.length - 20} more frontends`) : '');
}

function touchedFrontend(/** @type {any} */ frontend) {
  const share = (/** @type {any} */ side, /** @type {any} */ of) => side && of?.table_length ? `${side.effective_weight} (${percent(side.buckets / of.table_length * 100)})` : side ? String(side.effective_weight) : '–';
  const rows = frontend.backends.map((/** @type {any} */ row) => {
    const [was, is] = [share(row.before, frontend.before), share(row.after, frontend.after)];
    return h('tr', { class: was === is ? 'quiet' : '' }, h('td', {}, row.pool), h('td', {}, row.backend), h('td', { class: 'number' }, was), h('td', { class: 'number' }, was === is ? '' : '→ ', is),
      h('td', { class: 'number' }, whole(row.flows)), h('td', {}, FATES[row.fate] ?? row.fate));
  });
  return h('div', { class: 'touched' }, h('p', {}, h('b', {}, frontend.frontend), ` ${frontend.vip}`, frontend.held_back ? h('span', { class: 'is-warn' }, ' (held back by the warm-up)') : ''),
    h('ul', {}, ...frontend.sentences.map((/** @type {string} */ words) => h('li', { class: frontend.severity === 'danger' ? 'is-down' : '' }, words))),
    h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ...['Pool', 'Backend', 'Weight (share) now', 'then', 'Flows', 'which'].map((word, place) => h('th', { scope: 'col', class: place > 1 && place < 5 ? 'number' : '' }, word)))), h('tbody', {}, ...rows))));
}

/** What one load balancer did. @param {any} done */
function result({ server, answer, error }) {
  if (error) return h('section', {}, h('h3', {}, server), h('p', { class: 'is-down', role: 'alert' }, icon('warn', 'down'), `not done: ${error}`));
  const outcome = answer.outcome;
  if (!outcome) {
    const changes = [...answer.drift ?? [], ...(answer.vips ?? []).flatMap((/** @type {any} */ vip) => [...vip.changes.map((/** @type {string} */ words) => `${vip.frontend || vip.vip}: ${words}`), ...vip.errors.map((/** @type {string} */ words) => `${vip.frontend || vip.vip}: refused: ${words}`)])];
    return h('section', {}, h('h3', {}, server), h('p', {}, `${answer.vips_read ?? 0} VIPs compared; ${changes.length ? `${changes.length} differences or changes:` : 'nothing differed.'}`),
      h('ul', {}, ...changes.slice(0, 50).map((words) => h('li', {}, words))), answer.settings_refused ? h('p', { class: 'is-down' }, `settings refused: ${answer.settings_refused}`) : '');
  }
  const good = ['acknowledged', 'not-asked'].includes(outcome.in_vpp);
  const extra = 'recreated' in answer && !answer.recreated ? ' (there was nothing to re-create)' : '';
  return h('section', {}, h('h3', {}, server), h('p', { class: good ? '' : 'is-warn' }, icon(good ? 'up' : 'warn'), `${IN_VPP[outcome.in_vpp] ?? outcome.in_vpp}${extra}${outcome.vpp_error ? `: ${outcome.vpp_error}` : ''}`),
    outcome.frontends?.length > 1 ? h('ul', {}, ...outcome.frontends.map((/** @type {any} */ one) => h('li', {}, `${one.frontend}: ${IN_VPP[one.in_vpp] ?? one.in_vpp}${one.vpp_error ? `: ${one.vpp_error}` : ''}`))) : '',
    outcome.not_kept ? h('p', { class: 'is-warn' }, `A restart of the brain would undo it: ${outcome.not_kept}`) : '');
}
