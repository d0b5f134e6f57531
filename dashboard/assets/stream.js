// The one stream of this browser: whichever tab holds the lock reads it, and passes it on to the others.

import { clock } from './dom.js';
import { merge, replace } from './store.js';

/** The server sends something every 15 s. */
const SILENCE = 40_000;
/** A pause of the clock that only a sleep explains. */
const SLEPT = 20_000;

const channel = new BroadcastChannel('maglev-dashboard');
const tab = crypto.randomUUID();

/** @type {{ open: boolean, since: number, leads: boolean }} */
export const status = { open: false, since: Date.now(), leads: false };
/** @type {Set<(beats: any[]) => void>} */
export const beatListeners = new Set();
/** @type {Set<() => void>} */
export const statusListeners = new Set();

/** The last frame that was merged. */
let last = '';
/** Frames that came while the whole state was asked for. @type {any[]|null} */
let early = null;
/** @type {EventSource|null} */
let source = null;
let heard = Date.now();
/** Frontends that tabs look at: by tab, with the time at which it said so. @type {Map<string, { name: string, at: number }>} */
const looks = new Map();
let followed = '';
let looking = '';

const number = (/** @type {string} */ id) => Number(id.split('-')[1]);
const epoch = (/** @type {string} */ id) => id.split('-')[0];

function setOpen(/** @type {boolean} */ open) {
  if (status.open === open) return;
  Object.assign(status, { open, since: Date.now() });
  for (const listener of statusListeners) listener();
}

/** The newest frames, which the tab that reads keeps for the others. @type {any[]} */
const recent = [];
const RECENT = 200;

/** A tab that does not read has the one that does pass on again what it lacks. */
const catchUp = () => { if (!status.leads && last) channel.postMessage({ kind: 'lacks', data: last }); };

function passAgain(/** @type {string} */ since) {
  if (!status.leads) return;
  const first = recent.findIndex((frame) => epoch(frame.id) === epoch(since) && number(frame.id) === number(since) + 1);
  if (first >= 0) for (const frame of recent.slice(first)) channel.postMessage({ kind: 'patch', data: frame });
  else if (epoch(since) !== epoch(last) || number(since) < number(last)) channel.postMessage({ kind: 'resync' });
}

/** Takes a frame, if it is the next one; asks for everything if one is missing. @param {any} frame */
function take(frame) {
  clock.offset = frame.at - Date.now();
  if (early) return void early.push(frame);
  if (epoch(frame.id) !== epoch(last) || number(frame.id) > number(last) + 1) return void start();
  if (number(frame.id) <= number(last)) return;
  last = frame.id;
  const missing = frame.left_out ? [{ kind: 'missed', at: frame.at, text: `${frame.left_out} events were left out` }] : [];
  merge(frame.patch, [...frame.events, ...missing]);
}

let starting = false;

/** Asks for the whole state, then takes what came meanwhile. */
export async function start() {
  if (starting) return;
  starting = true;
  early = [];
  try {
    const answer = await fetch('/view/api/state');
    if (answer.status === 401) { early = null; location.hash = '#/login'; return; }
    if (!answer.ok) throw new Error(answer.statusText);
    const state = await answer.json();
    last = state.id;
    clock.offset = state.at - Date.now();
    replace(state.tables, state.events);
    const frames = /** @type {any[]} */ (early);
    early = null;
    for (const frame of frames) if (epoch(frame.id) === epoch(last) && number(frame.id) === number(last) + 1) take(frame);
    if (status.leads) open(); else catchUp();
  } catch {
    early = null;
    setOpen(false);
    setTimeout(start, 2000);
  } finally {
    starting = false;
  }
}

/** What is read is for all tabs. @param {string} kind @param {any} data */
function pass(kind, data) {
  heard = Date.now();
  if (kind === 'patch') recent.push(data);
  if (recent.length > RECENT) recent.shift();
  channel.postMessage({ kind, data });
  receive(kind, data);
}

function receive(/** @type {string} */ kind, /** @type {any} */ data) {
  if (kind === 'patch') take(data);
  else if (kind === 'beats') for (const listener of beatListeners) listener(data);
  else if (kind === 'resync') start();
  else if (kind === 'open') { setOpen(data); if (data) catchUp(); }
}

function open() {
  source?.close();
  followed = wanted();
  const query = new URLSearchParams({ since: last });
  for (const name of followed.split('\n')) if (name) query.append('frontend', name);
  source = new EventSource(`/view/api/events?${query}`);
  heard = Date.now();
  source.onopen = () => pass('open', true);
  source.onerror = () => {
    pass('open', false);
    // A refusal is final for an EventSource.
    if (source?.readyState === EventSource.CLOSED) setTimeout(start, 2000);
  };
  source.addEventListener('patch', (event) => pass('patch', JSON.parse(event.data)));
  source.addEventListener('beats', (event) => pass('beats', JSON.parse(event.data)));
  source.addEventListener('ping', () => { heard = Date.now(); });
  source.addEventListener('resync', () => { source?.close(); pass('resync', null); });
}

const wanted = () => [...new Set([...looks.values()].map((look) => look.name))].filter(Boolean).sort().slice(0, 16).join('\n');

function looked(/** @type {string} */ from, /** @type {string} */ name) {
  looks.set(from, { name, at: Date.now() });
  if (status.leads && source && wanted() !== followed) open();
}

/** Has the probes of a frontend's backends told. @param {string} frontend Its name, or nothing. */
export function look(frontend) {
  looking = frontend;
  channel.postMessage({ kind: 'look', tab, data: frontend });
  looked(tab, frontend);
}

channel.onmessage = ({ data: { kind, tab: from, data } }) => {
  if (kind === 'look') looked(from, data);
  else if (kind === 'lacks') passAgain(data);
  else if (kind === 'asked' && status.leads) channel.postMessage({ kind: 'open', data: status.open });
  else receive(kind, data);
};

/** Begins; the tab that gets the lock reads for all. */
export async function begin() {
  const lead = () => {
    status.leads = true;
    if (last) open();
  };
  if (navigator.locks) navigator.locks.request('maglev-dashboard-stream', () => { lead(); return new Promise(() => {}); });
  else lead();
  await start();
  channel.postMessage({ kind: 'asked' });
}

let ticked = Date.now();
setInterval(() => {
  const now = Date.now(), slept = now - ticked > SLEPT;
  ticked = now;
  for (const [from, look] of looks) if (from !== tab && now - look.at > 30_000) looks.delete(from);
  looked(tab, looking);
  if (!status.leads) channel.postMessage({ kind: 'look', tab, data: looking });
  if (status.leads && last && (slept || now - heard > SILENCE)) open();
  else if (slept && !status.leads) start();
}, 5000);
