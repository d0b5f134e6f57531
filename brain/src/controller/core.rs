//! The controller's state and decisions, without a clock or I/O.

mod command;
mod event;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{SyncReport, VipKey, VipSpec};
use tokio::time::Instant;
use tracing::{debug, info, warn};

pub use command::{Command, CommandError};
pub use event::Event;

use super::snapshot::{AgentStatus, BackendView, FrontendView, LastProbe, Snapshot, SyncStatus};
use crate::agent::AgentEvent;
use crate::config::Config;
use crate::desired::{self, Wanted};
use crate::health::{Health, Input as HealthInput, Refused, State};
use crate::probe::{Pace, ProbeCode, ProbeOutcome, Report, Verdict};
use crate::weights::{self, EffectiveWeights};

/// Everything that can happen to the controller.
#[derive(Debug)]
pub enum Input {
    /// A probe ended.
    Probe(Report),
    /// Something about the agent or VPP.
    Agent(AgentEvent),
}

/// What an input leads to, besides the state itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The wanted state of VPP changed.
    pub wanted: bool,
    /// A state changed that readers shall see at once.
    pub state: bool,
    /// Backends whose pace of probing may have changed.
    pub paces: BTreeMap<Arc<str>, Pace>,
    /// Changes of state, in their order.
    pub events: Vec<Event>,
}

impl Effects {
    /// Adds the effects of a later input.
    pub fn merge(&mut self, later: Self) {
        self.wanted |= later.wanted;
        self.state |= later.state;
        self.paces.extend(later.paces);
        self.events.extend(later.events);
    }
}

/// The brain's whole state.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    backends: OrdMap<Arc<str>, Arc<BackendView>>,
    frontends: OrdMap<Arc<str>, Arc<FrontendView>>,
    by_vip: BTreeMap<VipKey, Arc<str>>,
    agent: Arc<AgentStatus>,
    wanted: Wanted,
    /// Backends whose newest probe could not be made.
    unprobed: usize,
}

impl Core {
    /// The state at the start: static backends are up, disabled ones are out, of the others nothing is known.
    pub fn new(config: Arc<Config>, agent_socket: PathBuf, now: SystemTime) -> Self {
        let connection = Err("not connected yet".to_owned());
        let agent = Arc::new(AgentStatus { socket: agent_socket, connection, vpp: None });
        let mut users: BTreeMap<&str, Vec<Arc<str>>> = BTreeMap::new();
        for (name, frontend) in &config.frontends {
            let name: Arc<str> = name.as_str().into();
            for backend in frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
                let users = users.entry(backend).or_default();
                if users.last() != Some(&name) {
                    users.push(Arc::clone(&name));
                }
            }
        }
        let backends = config.backends.keys().map(|name| {
            let frontends = users.remove(name.as_str()).unwrap_or_default().into();
            (Arc::from(name.as_str()), Arc::new(first_view(&config, name, frontends, now)))
        });
        let backends = backends.collect();
        let wanted = Wanted {
            conf: desired::lb_conf(&config.lb),
            vips: OrdMap::new(),
            keep: OrdSet::new(),
            sync_interval: config.lb.sync_interval,
        };
        let (frontends, by_vip) = (OrdMap::new(), BTreeMap::new());
        let mut core = Self { config, backends, frontends, by_vip, agent, wanted, unprobed: 0 };
        for name in Arc::clone(&core.config).frontends.keys() {
            let name: Arc<str> = name.as_str().into();
            if let Some(view) = core.weigh(&name) {
                core.by_vip.insert(view.spec.key, Arc::clone(&name));
                core.want(&view);
                core.frontends.insert(name, Arc::new(view));
            }
        }
        core
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The backends that have a check, with their addresses and the pace at which to begin.
    pub fn checked_backends(&self) -> impl Iterator<Item = (&Arc<str>, IpAddr, &str, Pace)> {
        self.backends.iter().filter_map(|(name, view)| {
            let backend = self.config.backends.get(&**name)?;
            Some((name, backend.address, backend.healthcheck.as_deref()?, view.health.pace()))
        })
    }

    /// What readers shall see now.
    pub fn snapshot(&self, made: Instant) -> Snapshot {
        Snapshot {
            made,
            config: Arc::clone(&self.config),
            frontends: self.frontends.clone(),
            backends: self.backends.clone(),
            agent: Arc::clone(&self.agent),
        }
    }

    /// What VPP shall have now.
    pub fn wanted(&self) -> Wanted {
        self.wanted.clone()
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: SystemTime) -> Effects {
        match input {
            Input::Probe(report) => self.probed(report, now),
            Input::Agent(event) => self.agent_event(event, now),
        }
    }

    fn probed(&mut self, report: Report, now: SystemTime) -> Effects {
        let Some(view) = self.backends.get_mut(&report.backend) else {
            return Effects::default();
        };
        let view = Arc::make_mut(view);
        let verdict = report.outcome.code.verdict();
        let before = view.last_probe.as_ref().map(|last| last.outcome.code.verdict());
        if before != Some(verdict) && verdict != Verdict::Passed {
            debug!(backend = %report.backend, outcome = %report.outcome, "probe failed");
        }
        // One line for all: whatever keeps the probes of one backend from being made mostly keeps them all.
        match (before == Some(Verdict::NotKnown), verdict == Verdict::NotKnown) {
            (false, true) => {
                self.unprobed += 1;
                if self.unprobed == 1 {
                    warn!(
                        backend = %report.backend, outcome = %report.outcome,
                        "some backends cannot be probed, and keep their states"
                    );
                }
            }
            (true, false) => {
                self.unprobed -= 1;
                if self.unprobed == 0 {
                    info!("all backends can be probed again");
                }
            }
            _ => {}
        }
        let Report { backend, outcome, late, ended } = report;
        view.last_probe = Some(LastProbe { outcome: outcome.clone(), at: now, ended, late });
        let pace = view.health.pace();
        let mut effects = self.input(&backend, HealthInput::Probe(outcome), now).unwrap_or_else(|refused| {
            warn!(%backend, %refused, "probe's result does not fit");
            Effects::default()
        });
        if let Some(next) = self.backends.get(&backend).map(|view| view.health.pace())
            && next != pace
        {
            effects.paces.insert(backend, next);
        }
        effects
    }

    /// Gives an input to a backend's health, and follows what comes of it.
    fn input(&mut self, name: &Arc<str>, input: HealthInput, now: SystemTime) -> Result<Effects, Refused> {
        let mut effects = Effects::default();
        let Some(view) = self.backends.get_mut(name) else {
            return Ok(effects);
        };
        let view = Arc::make_mut(view);
        let Some(transition) = view.health.handle(input, now)? else {
            return Ok(effects);
        };
        let frontends = Arc::clone(&view.frontends);
        effects.state = true;
        effects.paces.insert(Arc::clone(name), view.health.pace());
        effects.tell(Event::Backend { backend: Arc::clone(name), transition });
        for frontend in frontends.iter() {
            self.reweigh(frontend, now, &mut effects);
        }
        Ok(effects)
    }

    /// Computes a frontend's weights anew.
    fn reweigh(&mut self, name: &Arc<str>, now: SystemTime, effects: &mut Effects) {
        let Some(next) = self.weigh(name) else {
            return;
        };
        let Some(view) = self.frontends.get(name) else {
            return;
        };
        let held_back = next.sync == SyncStatus::HeldBack;
        log_failover(name, &self.config, &view.weights, &next.weights, held_back);
        let (from, to) = (view.weights.state, next.weights.state);
        if from != to {
            effects.tell(Event::Frontend { frontend: Arc::clone(name), from, to, at: now, held_back });
        }
        let released = view.sync == SyncStatus::HeldBack && !held_back;
        if released {
            info!(frontend = %name, "all backends known; released");
        }
        let wanted = !held_back && (released || view.spec != next.spec);
        // The same spec, computed anew, keeps what is known of it.
        let next = if wanted || held_back {
            next
        } else {
            FrontendView {
                spec: Arc::clone(&view.spec),
                sync: view.sync.clone(),
                kept_table_length: view.kept_table_length,
                ..next
            }
        };
        if wanted {
            self.want(&next);
        }
        effects.wanted |= wanted;
        self.frontends.insert(Arc::clone(name), Arc::new(next));
    }

    /// Makes a frontend's spec part of what VPP shall have, unless the frontend is held back.
    fn want(&mut self, view: &FrontendView) {
        let key = view.spec.key;
        if view.sync == SyncStatus::HeldBack {
            self.wanted.keep.insert(key);
        } else {
            self.wanted.keep.remove(&key);
            self.wanted.vips.insert(key, Arc::clone(&view.spec));
        }
    }

    fn weigh(&self, name: &str) -> Option<FrontendView> {
        let frontend = self.config.frontends.get(name)?;
        let state_of = |backend: &str| self.state_of(backend);
        let weights = weights::effective(frontend, state_of);
        let spec = Arc::new(desired::vip_spec(&self.config, frontend, &weights));
        let mut backends = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
        let was_released = self.frontends.get(name).is_some_and(|view| view.sync != SyncStatus::HeldBack);
        let known = was_released || backends.all(|backend| state_of(backend) != State::Unknown);
        let sync = if known { SyncStatus::Pending } else { SyncStatus::HeldBack };
        Some(FrontendView { weights, spec, sync, kept_table_length: None })
    }

    fn state_of(&self, backend: &str) -> State {
        self.backends.get(backend).map_or(State::Removed, |view| view.health.state())
    }

    fn agent_event(&mut self, event: AgentEvent, now: SystemTime) -> Effects {
        match event {
            AgentEvent::Connected { version } => Arc::make_mut(&mut self.agent).connection = Ok(version),
            AgentEvent::Disconnected { reason } => {
                let agent = Arc::make_mut(&mut self.agent);
                agent.connection = Err(reason);
                agent.vpp = None;
                self.forget_syncs();
            }
            AgentEvent::Vpp(info) => {
                Arc::make_mut(&mut self.agent).vpp = Some((info, now));
                self.forget_syncs();
            }
            AgentEvent::Synced { specs, result: Ok(report) } => self.synced(&specs, &report),
            AgentEvent::Synced { specs, result: Err(reason) } => {
                for spec in &specs {
                    self.set_sync(spec, SyncStatus::Failed(reason.clone()), None);
                }
            }
        }
        Effects { state: true, ..Effects::default() }
    }

    /// What VPP has is not known any more.
    fn forget_syncs(&mut self) {
        for name in self.by_vip.values() {
            let view = self.frontends.get_mut(name).filter(|view| view.sync != SyncStatus::HeldBack);
            if let Some(view) = view {
                Arc::make_mut(view).sync = SyncStatus::Pending;
            }
        }
    }

    fn synced(&mut self, specs: &[Arc<VipSpec>], report: &SyncReport) {
        for spec in specs {
            let vip = report.vips.iter().find(|vip| vip.key == spec.key);
            let kept = vip.and_then(|vip| vip.table_length).map(|kept| kept.has);
            let status = match vip.and_then(|vip| vip.errors.first()) {
                Some(error) => SyncStatus::Failed(format!("{}: {}", error.step, error.meaning)),
                None => SyncStatus::Synced,
            };
            self.set_sync(spec, status, kept);
        }
    }

    fn set_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus, kept_table_length: Option<u32>) {
        let view = self.by_vip.get(&spec.key).and_then(|name| self.frontends.get_mut(name));
        // The answer to an older spec says nothing about the newest one.
        if let Some(view) = view.filter(|view| view.sync != SyncStatus::HeldBack && view.spec == *spec) {
            let view = Arc::make_mut(view);
            view.sync = status;
            view.kept_table_length = kept_table_length;
        }
    }
}

fn first_view(config: &Config, name: &str, frontends: Arc<[Arc<str>]>, now: SystemTime) -> BackendView {
    let backend = config.backends.get(name);
    let check = backend.and_then(|backend| config.healthchecks.get(backend.healthcheck.as_ref()?));
    let (rise, fall) = check.map_or((1, 1), |check| (check.rise, check.fall));
    let mut health = Health::new(rise, fall, config.healthchecker.transition_history);
    let first = match backend {
        Some(backend) if !backend.enabled => Some(HealthInput::Disable),
        Some(backend) if backend.healthcheck.is_none() => Some(static_pass()),
        _ => None,
    };
    if let Some(Err(refused)) = first.map(|input| health.handle(input, now)) {
        warn!(backend = name, %refused, "first state does not fit");
    }
    BackendView { health, last_probe: None, frontends }
}

/// What a backend without a check gets instead of a probe, at once.
fn static_pass() -> HealthInput {
    HealthInput::Probe(ProbeOutcome {
        code: ProbeCode::Static,
        detail: "no health check: always up".to_owned(),
        duration: Duration::ZERO,
    })
}

fn log_failover(
    name: &str,
    config: &Config,
    before: &EffectiveWeights,
    after: &EffectiveWeights,
    held_back: bool,
) {
    let pool_name = |weights: &EffectiveWeights| {
        let pools = config.frontends.get(name).map(|frontend| &frontend.pools);
        pools
            .zip(weights.active_pool)
            .and_then(|(pools, index)| pools.get(index))
            .map_or("none", |pool| pool.name.as_str())
    };
    if before.active_pool != after.active_pool {
        let (from, to) = (pool_name(before), pool_name(after));
        if held_back {
            debug!(frontend = name, from, to, "active pool would change, but the frontend is held back");
        } else {
            info!(frontend = name, from, to, "active pool changed");
        }
    }
}

#[cfg(test)]
mod tests;
