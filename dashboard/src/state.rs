//! All that is known of all load balancers, and the rows and events that browsers get of it. Pure.

mod events;
mod need;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::{
    Backend, BackendEvent, BackendState, Event, Frontend, FrontendEvent, FrontendState, Override, ProbeEvent,
    Transition, VppWriteEvent, VpplbCounters, WeightsEvent, probe_event,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::{Document, Documents, Table};
use crate::fleet;
use crate::history::Histories;
use crate::rows::{self, key, prefix, rounded};

pub(crate) use events::connection;
pub(crate) use need::Need;

/// Events that a browser gets when it begins.
const EVENTS: usize = 1_000;
/// Events in one frame. More are counted, and left out.
const FRESH: usize = 500;
/// Transitions of a backend that are shown, as many as the brain itself remembers.
const TRANSITIONS: usize = 5;

/// Something that happened, as browsers show it.
pub(crate) type Entry = Arc<Document>;

/// The beginning or the end of a probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beat {
    pub(crate) server: Arc<str>,
    pub(crate) backend: String,
    /// The result's time, milliseconds and whether it passed; absent for a beginning.
    pub(crate) ended: Option<(u64, f64, bool)>,
}

/// What one brain has said.
#[derive(Debug, Default)]
struct Model {
    frontends: BTreeMap<String, Frontend>,
    backends: BTreeMap<String, Backend>,
    histories: Histories,
    activity: Activity,
}

/// What VPP answered since the dashboard began to follow the brain.
#[derive(Debug, Default, Serialize)]
struct Activity {
    writes: u64,
    refused: u64,
    flushes: u64,
    /// When it answered last.
    at_unix_ms: u64,
    /// Its last refusal.
    error: Option<String>,
    error_unix_ms: u64,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// What browsers have of it.
    pub(crate) documents: Documents,
    models: BTreeMap<String, Model>,
    events: VecDeque<Entry>,
    fresh: Vec<Entry>,
    left_out: u64,
}

impl State {
    /// Replaces the row of a load balancer itself.
    pub(crate) fn set_brain(&mut self, server: &str, row: Document) {
        self.documents.put(Table::Brains, server, Some(row));
    }

    /// Takes all frontends there are, except those that have changed since they were asked for.
    pub(crate) fn set_frontends(&mut self, server: &str, frontends: Vec<Frontend>, newer: &Need) {
        let model = self.models.entry(server.to_owned()).or_default();
        let gone = gone(&model.frontends, frontends.iter().map(|frontend| &frontend.name));
        for name in gone {
            self.remove_frontend(server, &name);
        }
        for frontend in frontends {
            self.set_frontend(server, frontend, newer);
        }
    }

    pub(crate) fn set_frontend(&mut self, server: &str, frontend: Frontend, newer: &Need) {
        if newer.frontends.contains(&frontend.name) {
            return;
        }
        let (model, name) = (self.models.entry(server.to_owned()).or_default(), frontend.name.clone());
        model.frontends.insert(name.clone(), frontend);
        self.show_frontend(server, &name);
    }

    /// Takes all backends there are, except those that have changed since they were asked for.
    pub(crate) fn set_backends(&mut self, server: &str, backends: Vec<Backend>, newer: &Need) {
        let model = self.models.entry(server.to_owned()).or_default();
        let gone = gone(&model.backends, backends.iter().map(|backend| &backend.name));
        for name in gone {
            self.remove_backend(server, &name);
        }
        for backend in backends {
            self.set_backend(server, backend, newer);
        }
    }

    pub(crate) fn set_backend(&mut self, server: &str, backend: Backend, newer: &Need) {
        if newer.backends.contains(&backend.name) {
            return;
        }
        let model = self.models.entry(server.to_owned()).or_default();
        if let Some(probe) = &backend.last_probe {
            model.histories.probes.entry(backend.name.clone()).or_default().add(probe);
        }
        let name = backend.name.clone();
        let before = model.backends.insert(name.clone(), backend);
        self.show_backend(server, &name, before.map(|before| before.state));
    }

    /// Takes all that operators have set.
    pub(crate) fn set_overrides(&mut self, server: &str, overrides: &[Override]) {
        let own = |set: &Override| key(server, &[&set.backend, &set.frontend, &set.pool]);
        let rows = overrides.iter().map(|set| (own(set), rows::of(server, set))).collect();
        self.documents.put_all(Table::Overrides, &prefix(server), rows);
    }

    /// Takes an event as it came, and tells what must be asked for to know all of what it means.
    pub(crate) fn apply(&mut self, server: &str, event: Event) -> Need {
        if event.initial {
            return Need::default();
        }
        if let Some(entry) = events::entry(server, &event) {
            self.happened(entry);
        }
        match event.what {
            Some(What::Backend(change)) => self.backend_changed(server, event.at_unix_ms, change),
            Some(What::Note(note)) => {
                let name = Some(note.backend).filter(|name| !name.is_empty());
                Need { backends: name.into_iter().collect(), ..Need::default() }
            }
            Some(What::Frontend(change)) => self.frontend_changed(server, &change),
            // A frontend states its route itself, so it is read again.
            Some(What::Route(change)) => {
                Need { frontends: change.frontends.into_iter().collect(), ..Need::default() }
            }
            Some(What::Weights(change)) => self.weights_changed(server, change),
            Some(What::Fleet(_)) => Need::fleet(),
            Some(What::Configuration(change)) if change.command => Need::overrides(),
            // Without an agent or VPP, no frontend is in VPP as it should be.
            Some(What::Agent(_) | What::Vpp(_) | What::Configuration(_) | What::Missed(_)) => Need::all(),
            Some(What::VppWrite(write)) => self.written(server, event.at_unix_ms, write),
            Some(What::Log(_) | What::Router(_) | What::InitialStateEnd(_) | What::Probe(_)) | None => {
                Need::default()
            }
        }
    }

    /// Takes a probe's beginning or end.
    pub(crate) fn probe(&mut self, server: &Arc<str>, probe: ProbeEvent) -> Option<Beat> {
        let ended = match probe.what? {
            probe_event::What::Started(_) => None,
            probe_event::What::Result(result) => {
                let model = self.models.get_mut(&**server)?;
                model.histories.probes.entry(probe.backend.clone()).or_default().add(&result);
                if let Some(backend) = model.backends.get_mut(&probe.backend) {
                    let is_other = backend.last_probe.as_ref().is_none_or(|last| {
                        (last.passed, &last.code, &last.detail)
                            != (result.passed, &result.code, &result.detail)
                    });
                    backend.last_probe = Some(result.clone());
                    if is_other {
                        self.show_backend(server, &probe.backend, None);
                    }
                }
                Some((result.at_unix_ms, result.duration_ms, result.passed))
            }
        };
        Some(Beat { server: Arc::clone(server), backend: probe.backend, ended })
    }

    pub(crate) fn count(&mut self, server: &str, now_ms: u64, counters: &VpplbCounters) {
        let Some(model) = self.models.get_mut(server) else { return };
        let at_ms = now_ms.saturating_sub(counters.age_ms);
        model.histories.traffic.retain(|name, _| model.frontends.contains_key(name));
        for vip in counters.vips.iter().filter(|vip| model.frontends.contains_key(&vip.frontend)) {
            let traffic = model.histories.traffic.entry(vip.frontend.clone()).or_default();
            if let Some(rate) = traffic.count(at_ms, vip) {
                let (packets, new_flows) = (rounded(rate.packets), rounded(rate.new_flows));
                let dropped = (vip.no_server > 0).then_some(vip.no_server);
                let fields = json!({ "packets": packets, "new_flows": new_flows, "dropped": dropped });
                self.documents.change(Table::Frontends, &key(server, &[&vip.frontend]), rows::object(fields));
            }
        }
    }

    pub(crate) fn happened(&mut self, mut entry: Document) {
        entry.retain(|_, value| !value.is_null());
        if self.fresh.len() < FRESH { self.fresh.push(Arc::new(entry)) } else { self.left_out += 1 }
    }

    /// Events since the last call in the order of their times, which is not the one in which brains tell of different
    /// kinds; and how many more there were.
    pub(crate) fn take_events(&mut self) -> (Vec<Entry>, u64) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_by_key(|entry| entry.get("at").and_then(Value::as_u64));
        self.events.extend(fresh.iter().cloned());
        let surplus = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..surplus);
        (fresh, std::mem::take(&mut self.left_out))
    }

    /// The newest events, oldest first.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Entry> {
        self.events.iter()
    }

    /// Rates of a frontend, and the probes of its backends by name.
    pub(crate) fn history(&self, server: &str, frontend: &str) -> Option<Value> {
        let model = self.models.get(server)?;
        let rows = model.frontends.get(frontend)?.pools.iter().flat_map(|pool| &pool.backends);
        let probes =
            rows.filter_map(|row| Some((&row.backend, model.histories.probes.get(&row.backend)?.samples())));
        let probes: BTreeMap<_, _> = probes.collect();
        let traffic = model.histories.traffic.get(frontend).map(|traffic| traffic.samples());
        let traffic = traffic.unwrap_or_else(|| Value::Array(Vec::new()));
        Some(json!({ "traffic": traffic, "probes": probes }))
    }

    /// Backends of frontends, each with the name of its load balancer.
    pub(crate) fn backends_of(&self, frontends: &[String]) -> BTreeSet<(String, String)> {
        let of = |(server, model): (&String, &Model)| {
            let rows = frontends.iter().filter_map(|name| model.frontends.get(name));
            let rows = rows.flat_map(|frontend| &frontend.pools).flat_map(|pool| &pool.backends);
            rows.map(|row| (server.clone(), row.backend.clone())).collect::<Vec<_>>()
        };
        self.models.iter().flat_map(of).collect()
    }

    fn backend_changed(&mut self, server: &str, at_ms: u64, change: BackendEvent) -> Need {
        let model = self.models.entry(server.to_owned()).or_default();
        let BackendEvent { backend: name, from, to, cause } = change;
        let Some(backend) = model.backends.get_mut(&name) else { return Need::all() };
        if to == i32::from(BackendState::Removed) {
            return Need::all();
        }
        let before = std::mem::replace(&mut backend.state, to);
        let transition = Transition { from, to, at_unix_ms: at_ms, cause };
        if backend.transitions.first() != Some(&transition) {
            backend.transitions.insert(0, transition);
            backend.transitions.truncate(TRANSITIONS);
        }
        let frontends = backend.frontends.iter().cloned().collect();
        self.show_backend(server, &name, Some(before));
        Need { backends: [name].into(), frontends, ..Need::default() }
    }

    fn frontend_changed(&mut self, server: &str, change: &FrontendEvent) -> Need {
        let model = self.models.entry(server.to_owned()).or_default();
        let name = &change.frontend;
        if change.changed == Some(Changed::Removed(true)) {
            self.remove_frontend(server, name);
            return Need::default();
        }
        let Some(frontend) = model.frontends.get_mut(name) else { return Need::all() };
        frontend.state = FrontendState::try_from(change.state).unwrap_or_default().into();
        frontend.active_pool.clone_from(&change.active_pool);
        frontend.panic_pool.clone_from(&change.panic_pool);
        for pool in &mut frontend.pools {
            pool.below_min_up = change.pools_below_min_up.contains(&pool.name);
        }
        self.show_frontend(server, name);
        Need { frontends: [name.clone()].into(), ..Need::default() }
    }

    fn written(&mut self, server: &str, at_ms: u64, write: VppWriteEvent) -> Need {
        let activity = &mut self.models.entry(server.to_owned()).or_default().activity;
        activity.at_unix_ms = at_ms;
        if write.error.is_empty() {
            activity.writes += 1;
            activity.flushes += u64::from(write.flush);
        } else {
            activity.refused += 1;
            (activity.error, activity.error_unix_ms) = (Some(write.error), at_ms);
        }
        self.documents.change(Table::Brains, server, rows::object(json!({ "activity": activity })));
        Need::default()
    }

    fn weights_changed(&mut self, server: &str, change: WeightsEvent) -> Need {
        let model = self.models.entry(server.to_owned()).or_default();
        let Some(frontend) = model.frontends.get_mut(&change.frontend) else { return Need::all() };
        for weight in change.weights {
            let rows = frontend.pools.iter_mut().filter(|pool| pool.name == weight.pool);
            for row in rows.flat_map(|pool| &mut pool.backends).filter(|row| row.backend == weight.backend) {
                row.effective_weight = weight.effective_weight;
                row.programmed_weight = weight.programmed_weight;
            }
        }
        (frontend.sync, frontend.not_in_vpp) = (change.sync, change.sync_error);
        self.show_frontend(server, &change.frontend);
        Need { frontends: [change.frontend].into(), ..Need::default() }
    }

    fn remove_frontend(&mut self, server: &str, name: &str) {
        if let Some(model) = self.models.get_mut(server) {
            model.frontends.remove(name);
            model.histories.traffic.remove(name);
        }
        let own = key(server, &[name]);
        self.documents.put(Table::Frontends, &own, None);
        self.documents.put_all(Table::Members, &prefix(&own), BTreeMap::new());
        self.show_fleet(name);
    }

    fn remove_backend(&mut self, server: &str, name: &str) {
        if let Some(model) = self.models.get_mut(server) {
            model.backends.remove(name);
            model.histories.probes.remove(name);
        }
        self.documents.put(Table::Backends, &key(server, &[name]), None);
    }

    fn show_backend(&mut self, server: &str, name: &str, state_before: Option<i32>) {
        let Some(backend) = self.models.get(server).and_then(|model| model.backends.get(name)) else {
            return;
        };
        let (row, state) = (rows::backend(server, backend), backend.state);
        let frontends = backend.frontends.clone();
        self.documents.put(Table::Backends, &key(server, &[name]), Some(row));
        if state_before.is_some_and(|before| before != state) {
            for frontend in frontends {
                self.show_frontend(server, &frontend);
            }
        }
    }

    fn show_frontend(&mut self, server: &str, name: &str) {
        let Some(model) = self.models.get(server) else { return };
        let Some(frontend) = model.frontends.get(name) else { return };
        let state = |name: &str| model.backends.get(name).map(Backend::state);
        let (mut row, members) = (rows::frontend(server, frontend, state), rows::members(server, frontend));
        let own = key(server, &[name]);
        if let Some(before) = self.documents.get(Table::Frontends, &own) {
            let kept = ["packets", "new_flows", "dropped"];
            row.extend(
                kept.into_iter().filter_map(|field| Some((field.to_owned(), before.get(field)?.clone()))),
            );
        }
        self.documents.put(Table::Frontends, &own, Some(row));
        self.documents.put_all(Table::Members, &prefix(&own), members);
        self.show_fleet(name);
    }

    fn show_fleet(&mut self, name: &str) {
        let of: Vec<_> = self
            .models
            .iter()
            .filter_map(|(server, model)| Some((server.as_str(), model.frontends.get(name)?)))
            .collect();
        let state =
            |server: &str, backend: &str| Some(self.models.get(server)?.backends.get(backend)?.state());
        let row = fleet::row(name, &of, state);
        self.documents.put(Table::Fleet, name, row);
    }
}

/// Names that are known and are not among those there are now.
fn gone<'a, T>(known: &BTreeMap<String, T>, now: impl Iterator<Item = &'a String>) -> Vec<String> {
    let now: BTreeSet<_> = now.collect();
    known.keys().filter(|name| !now.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests;
