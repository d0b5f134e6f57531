// What the server has told: rows by table and key. Whoever shows them is told which changed.

/** @typedef {Record<string, any>} Row */
/** Keys of rows that changed, by table. @typedef {Record<string, Set<string>>} Changed */

export const SEPARATOR = '\u001f';

const NAMES = ['brains', 'fleet', 'frontends', 'members', 'backends', 'overrides'];
/** @type {Record<string, Map<string, Row>>} */
export const tables = Object.fromEntries(NAMES.map((name) => [name, new Map()]));

/** The newest events, oldest first. @type {Row[]} */
export const events = [];
const EVENTS = 2000;

/** Keys of the members of a frontend. @type {Map<string, Set<string>>} */
const membersOf = new Map();

/** @type {Set<(changed: Changed, happened: Row[]) => void>} */
const listeners = new Set();

/** @param {(changed: Changed, happened: Row[]) => void} listener */
export const listen = (listener) => void listeners.add(listener);

/** @param {...string} parts */
export const key = (...parts) => parts.join(SEPARATOR);

function index(/** @type {string} */ member, /** @type {boolean} */ there) {
  const of = key(...member.split(SEPARATOR).slice(0, 2)), set = membersOf.get(of) ?? new Set();
  membersOf.set(of, set);
  if (there) set.add(member); else set.delete(member);
  if (!set.size) membersOf.delete(of);
}

/** Takes the whole state. @param {Record<string, Record<string, Row>>} given @param {Row[]} happened */
export function replace(given, happened) {
  /** @type {Changed} */
  const changed = {};
  membersOf.clear();
  for (const [name, table] of Object.entries(tables)) {
    const rows = Object.entries(given[name] ?? {});
    changed[name] = new Set([...table.keys(), ...rows.map(([key]) => key)]);
    table.clear();
    for (const [key, row] of rows) table.set(key, row);
  }
  for (const member of tables.members.keys()) index(member, true);
  events.splice(0, events.length, ...happened);
  for (const listener of listeners) listener(changed, []);
}

/** Merges what changed. @param {Record<string, Record<string, Row|null>>} patch @param {Row[]} happened */
export function merge(patch, happened) {
  /** @type {Changed} */
  const changed = {};
  for (const [name, rows] of Object.entries(patch)) {
    const table = tables[name];
    if (!table) continue;
    changed[name] = new Set(Object.keys(rows));
    for (const [key, fields] of Object.entries(rows)) {
      if (name === 'members') index(key, fields !== null);
      if (fields === null) { table.delete(key); continue; }
      const row = { ...table.get(key), ...fields };
      for (const [field, value] of Object.entries(fields)) if (value === null) delete row[field];
      table.set(key, row);
    }
  }
  events.push(...happened);
  events.splice(0, events.length - EVENTS);
  for (const listener of listeners) listener(changed, happened);
}

/** Names of all load balancers, in their order. */
export const servers = () => [...tables.brains.keys()];

/** The rows of a frontend's backends, by pool and name. @param {string} server @param {string} frontend */
export function members(server, frontend) {
  const keys = membersOf.get(key(server, frontend)) ?? new Set();
  const rows = [...keys].map((key) => /** @type {Row} */ (tables.members.get(key)));
  return rows.sort((a, b) => a.pool_at - b.pool_at || (a.backend < b.backend ? -1 : 1));
}

/** What operators have set, the newest first. @param {string} server */
export const overrides = (server) =>
  [...tables.overrides.values()].filter((row) => row.server === server).sort((a, b) => b.since_unix_ms - a.since_unix_ms);

/** @param {string} server @param {string} name @returns {Row} */
export const frontendOf = (server, name) => tables.frontends.get(key(server, name)) ?? {};
/** @param {string} server @param {string} name @returns {Row} */
export const backendOf = (server, name) => tables.backends.get(key(server, name)) ?? {};
/** Load balancers that have a frontend. @param {string} name */
export const having = (name) => servers().filter((server) => tables.frontends.has(key(server, name)));
/** The address of a frontend's page. @param {string} name */
export const pageOf = (name) => `#/f/${encodeURIComponent(name)}`;
