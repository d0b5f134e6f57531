// Who looks: logging in and out.

import { ask, h, quiet, warning } from './dom.js';

/** Who looks, and what may be offered. */
export const me = { name: '', may_change: false, may_read: true, has_users: false };
export const onAdmin = () => location.pathname.startsWith('/admin');
export const isAdmin = () => onAdmin() && me.may_change;

/** Finds out who looks, and shows it. @param {HTMLElement} person */
export async function identify(person) {
  try { Object.assign(me, { name: '', ...await ask('/view/api/me') }); } catch { /* the stream says that it is away */ }
  const leave = async () => { await ask('/admin/api/logout', {}); location.href = '/view/'; };
  const link = (path, words) => h('a', { href: `${path}${location.hash}` }, words);
  person.replaceChildren(...[
    me.name && quiet(me.name), me.may_change && !onAdmin() && link('/admin/', 'Make changes'),
    onAdmin() && link('/view/', 'Only look'), me.name && h('button.plain', { onclick: leave }, 'Log out'),
    !me.name && !onAdmin() && me.has_users && link('/admin/', 'Log in'),
  ].filter(Boolean));
}

/** @param {HTMLElement} main @param {() => Promise<void>} entered */
export function login(main, entered) {
  const field = (id, type, autocomplete) => h('input', { id, type, autocomplete, required: true });
  const name = field('name', 'text', 'username'), password = field('password', 'password', 'current-password');
  const error = h('p.is-down', { role: 'alert' }), button = h('button.primary', 'Log in');
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = '';
    try {
      await ask('/admin/api/login', { name: name.value, password: password.value });
      if (location.hash === '#/login') history.replaceState(null, '', '#/');
      await entered();
    } catch (failure) {
      error.textContent = /** @type {Error} */ (failure).message;
      password.value = '';
      password.focus();
    } finally {
      button.disabled = false;
    }
  };
  const why = !me.may_read ? 'To see this dashboard, log in.' : !me.name ? 'To make changes, log in.'
    : `${me.name} may only look; log in as somebody who may make changes.`;
  main.append(h('form.login', { onsubmit: submit }, h('h1', 'Log in'), h('p', quiet(why)),
    !me.has_users && h('p', warning('Nobody can log in yet. On the dashboard\'s host: maglev-dashboard user add NAME')),
    h('label', { for: 'name' }, 'Name'), name, h('label', { for: 'password' }, 'Password'), password, error, button,
    me.may_read && h('a', { href: '/view/' }, 'Only look')));
  name.focus();
  return { update() {} };
}
