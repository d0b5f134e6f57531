// Logging in and out.

import { ask, h } from './dom.js';

/** @param {HTMLElement} main @param {any} me @param {() => Promise<void>} identify */
export function login(main, me, identify) {
  const name = h('input', { id: 'name', name: 'username', autocomplete: 'username', required: true, maxlength: 64 });
  const password = h('input', { id: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const error = h('p', { class: 'is-down', role: 'alert' });
  const button = h('button', { class: 'primary' }, 'Log in');
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = '';
    try {
      await ask('/admin/api/login', { name: name.value, password: password.value });
      if (location.hash === '#/login') history.replaceState(null, '', '#/');
      await identify();
      window.dispatchEvent(new Event('maglev-login'));
    } catch (failure) {
      error.textContent = /** @type {Error} */ (failure).message;
      password.value = '';
      password.focus();
    } finally {
      button.disabled = false;
    }
  };
  const why = me.name ? `${me.name} may only look; log in as somebody who may make changes.` : 'To make changes, log in.';
  main.append(h('form', { class: 'login', onsubmit: submit },
    h('h1', {}, 'Log in'),
    h('p', { class: 'quiet' }, me.may_read ? why : 'To see this dashboard, log in.'),
    me.has_users ? '' : h('p', { class: 'is-warn' }, 'Nobody can log in yet. On the host of the dashboard: maglev-dashboard user add NAME'),
    h('label', { for: 'name' }, 'Name'), name, h('label', { for: 'password' }, 'Password'), password, error, button,
    me.may_read ? h('a', { href: '/view/' }, 'Only look') : ''));
  name.focus();
  return { update() {} };
}

export const logout = () => ask('/admin/api/logout', {});
