// The one stream of this browser: whichever tab holds the lock reads it, and passes it on to the others.

import { clock } from './dom.js';
import { merge, replace } from './store.js';

/** The server sends something every 15 s. */
const SILENCE = 40_000;
/** A pause of the clock that only a sleep explains. */
const SLEPT = 20_000;
/** Time after which what could not be had is asked for again. */
const AGAIN = 2000;
/** Frames that the tab that reads keeps for the others. */
const RECENT = 200;

const channel = new BroadcastChannel('maglev-dashboard');
const tab = crypto.randomUUID();

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
/** Frontends that tabs look at, and when each said so. @type {Map<string, { name: string, at: number }>} */
const looks = new Map();
let followed = '', looking = '';
/** @type {any[]} */
const recent = [];

const number = (/** @type {string} */ id) => Number(id.split('-')[1]);
const epoch = (/** @type {string} */ id) => id.split('-')[0];
const follows = (frame, id) => epoch(frame.id) === epoch(id) && number(frame.id) === number(id) + 1;

function setOpen(/** @type {boolean} */ open) {
  if (status.open === open) return;
  Object.assign(status, { open, since: Date.now() });
  for (const listener of statusListeners) listener();
}

/** A tab that does not read has the one that does pass on again what it lacks. */
const catchUp = () => { if (!status.leads && last) channel.postMessage({ kind: 'lacks', data: last }); };

function passAgain(/** @type {string} */ id) {
  if (!status.leads) return;
  const first = recent.findIndex((frame) => follows(frame, id));
  if (first >= 0) for (const frame of recent.slice(first)) channel.postMessage({ kind: 'patch', data: frame });
  else if (epoch(id) !== epoch(last) || number(id) < number(last)) channel.postMessage({ kind: 'resync' });
}

/** Takes a frame, if it is the next one; asks for everything if one is missing. @param {any} frame */
function take(frame) {
  clock.offset = frame.at - Date.now();
  if (early) return void early.push(frame);
  if (epoch(frame.id) === epoch(last) && number(frame.id) <= number(last)) return;
  if (!follows(frame, last)) return void start();
  last = frame.id;
  const missed = { kind: 'log', icon: 'unknown', at: frame.at, text: `${frame.left_out} events were left out` };
  merge(frame.patch, frame.left_out ? [...frame.events, missed] : frame.events);
}

let starting = false;

/** Asks for the whole state, then takes what came meanwhile. */
export async function start() {
  if (starting) return;
  starting = true;
  early = [];
  try {
    const answer = await fetch('/view/api/state');
    if (answer.status === 401) { location.hash = '#/login'; return; }
    if (!answer.ok) throw new Error(answer.statusText);
    const state = await answer.json();
    last = state.id;
    clock.offset = state.at - Date.now();
    replace(state.tables, state.events);
    const frames = early;
    early = null;
    for (const frame of frames) if (follows(frame, last)) take(frame);
    if (status.leads) open(); else catchUp();
  } catch {
    setOpen(false);
    setTimeout(start, AGAIN);
  } finally {
    early = null;
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
  const opened = source = new EventSource(`/view/api/events?${query}`);
  heard = Date.now();
  opened.onopen = () => pass('open', true);
  opened.onerror = () => {
    pass('open', false);
    // A refusal is final for an EventSource.
    if (opened.readyState === EventSource.CLOSED) setTimeout(start, AGAIN);
  };
  for (const kind of ['patch', 'beats']) opened.addEventListener(kind, (event) => pass(kind, JSON.parse(event.data)));
  opened.addEventListener('ping', () => { heard = Date.now(); });
  opened.addEventListener('resync', () => { opened.close(); pass('resync', null); });
}

/** Names of frontends whose probes are followed, a line each. */
function wanted() {
  const names = new Set([...looks.values()].map((look) => look.name).filter(Boolean));
  return [...names].sort().slice(0, 16).join('\n');
}

function looked(/** @type {string} */ from, /** @type {string} */ name) {
  looks.set(from, { name, at: Date.now() });
  if (status.leads && source && wanted() !== followed) open();
}

/** Follows the probes of a frontend's backends. @param {string} frontend Its name, or nothing. */
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
    return new Promise(() => {});
  };
  if (navigator.locks) navigator.locks.request('maglev-dashboard-stream', lead); else lead();
  await start();
  channel.postMessage({ kind: 'asked' });
}

let ticked = Date.now();
setInterval(() => {
  const now = Date.now(), slept = now - ticked > SLEPT;
  ticked = now;
  for (const [from, { at }] of looks) if (from !== tab && now - at > 30_000) looks.delete(from);
  look(looking);
  if (status.leads && last && (slept || now - heard > SILENCE)) open();
  else if (slept && !status.leads) start();
}, 5000);
