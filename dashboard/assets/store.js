// What the server has told: rows by table and key. Whoever shows them is told which changed.

/** @typedef {Record<string, any>} Row */
/** @typedef {Record<string, Record<string, Row|null>>} Patch */

export const SEPARATOR = '\u001f';

/** @type {Record<string, Map<string, Row>>} */
export const tables = { brains: new Map(), fleet: new Map(), frontends: new Map(), members: new Map(), backends: new Map(), overrides: new Map() };

/** The newest events, oldest first. @type {Row[]} */
export const events = [];
const EVENTS = 2000;

/** Keys of the members of a frontend. @type {Map<string, Set<string>>} */
const membersOf = new Map();

/** @type {Set<(changed: Record<string, Set<string>>, happened: Row[]) => void>} */
const listeners = new Set();

/** @param {(changed: Record<string, Set<string>>, happened: Row[]) => void} listener */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {string} server @param {...string} parts */
export const key = (server, ...parts) => [server, ...parts].join(SEPARATOR);

function frontendOf(/** @type {string} */ member) {
  return member.split(SEPARATOR).slice(0, 2).join(SEPARATOR);
}

function index(/** @type {string} */ member, /** @type {boolean} */ there) {
  const of = frontendOf(member);
  let set = membersOf.get(of);
  if (!set) membersOf.set(of, set = new Set());
  if (there) set.add(member); else set.delete(member);
  if (!set.size) membersOf.delete(of);
}

/** Takes the whole state, in place of what there was. @param {Record<string, Record<string, Row>>} given @param {Row[]} happened */
export function replace(given, happened) {
  /** @type {Record<string, Set<string>>} */
  const changed = {};
  membersOf.clear();
  for (const [name, table] of Object.entries(tables)) {
    changed[name] = new Set(table.keys());
    table.clear();
    for (const [key, row] of Object.entries(given[name] ?? {})) {
      table.set(key, row);
      changed[name].add(key);
      if (name === 'members') index(key, true);
    }
  }
  events.splice(0, events.length, ...happened);
  for (const listener of listeners) listener(changed, []);
}

/** Merges what changed. @param {Patch} patch @param {Row[]} happened */
export function merge(patch, happened) {
  /** @type {Record<string, Set<string>>} */
  const changed = {};
  for (const [name, rows] of Object.entries(patch)) {
    const table = tables[name];
    if (!table) continue;
    changed[name] = new Set();
    for (const [key, fields] of Object.entries(rows)) {
      changed[name].add(key);
      if (fields === null) {
        table.delete(key);
        if (name === 'members') index(key, false);
        continue;
      }
      const row = { ...table.get(key) };
      for (const [field, value] of Object.entries(fields)) {
        if (value === null) delete row[field]; else row[field] = value;
      }
      if (name === 'members' && !table.has(key)) index(key, true);
      table.set(key, row);
    }
  }
  events.push(...happened);
  if (events.length > EVENTS) events.splice(0, events.length - EVENTS);
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
export const overrides = (server) => [...tables.overrides.values()].filter((row) => row.server === server).sort((a, b) => b.since - a.since);

/** @param {string} server @param {string} name */
export const backend = (server, name) => tables.backends.get(key(server, name)) ?? {};
