//! The controller's state and decisions, without a clock or I/O.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use maglev_protocol::{SyncReport, VipKey, VipSpec};
use tracing::{debug, info, warn};

use super::snapshot::{AgentStatus, BackendView, FrontendView, LastProbe, Snapshot, SyncStatus};
use crate::agent::AgentEvent;
use crate::config::{Config, HealthCheck};
use crate::desired::{self, Wanted};
use crate::health::{Health, Input as HealthInput, State};
use crate::probe::{Pace, ProbeCode, ProbeOutcome, Report};
use crate::weights::{self, EffectiveWeights, FrontendState};

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
}

impl Effects {
    /// Adds the effects of a later input.
    pub fn merge(&mut self, later: Self) {
        self.wanted |= later.wanted;
        self.state |= later.state;
        self.paces.extend(later.paces);
    }
}

/// The brain's whole state.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    backends: BTreeMap<Arc<str>, Arc<BackendView>>,
    frontends: BTreeMap<Arc<str>, Arc<FrontendView>>,
    by_vip: BTreeMap<VipKey, Arc<str>>,
    agent: Arc<AgentStatus>,
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
            (name.as_str().into(), Arc::new(first_view(&config, name, frontends, now)))
        });
        let backends = backends.collect();
        let mut core = Self { config, backends, frontends: BTreeMap::new(), by_vip: BTreeMap::new(), agent };
        for name in Arc::clone(&core.config).frontends.keys() {
            let name: Arc<str> = name.as_str().into();
            if let Some(view) = core.weigh(&name) {
                core.by_vip.insert(view.spec.key, Arc::clone(&name));
                core.frontends.insert(name, Arc::new(view));
            }
        }
        core
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The backends that are to be probed, with their addresses and checks.
    pub fn probed_backends(&self) -> impl Iterator<Item = (&Arc<str>, IpAddr, &HealthCheck)> {
        self.backends.iter().filter(|(_, view)| view.health.pace() != Pace::Stopped).filter_map(
            |(name, _)| {
                let backend = self.config.backends.get(&**name)?;
                let check = self.config.healthchecks.get(backend.healthcheck.as_ref()?)?;
                Some((name, backend.address, check))
            },
        )
    }

    /// What readers shall see now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            config: Arc::clone(&self.config),
            frontends: self.frontends.clone(),
            backends: self.backends.clone(),
            agent: Arc::clone(&self.agent),
        }
    }

    /// What VPP shall have now.
    pub fn wanted(&self) -> Wanted {
        let (held, released): (Vec<_>, Vec<_>) =
            self.frontends.values().partition(|view| view.sync == SyncStatus::HeldBack);
        Wanted {
            conf: desired::lb_conf(&self.config.lb),
            vips: released.iter().map(|view| (view.spec.key, Arc::clone(&view.spec))).collect(),
            keep: held.iter().map(|view| view.spec.key).collect(),
            sync_interval: self.config.lb.sync_interval,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: SystemTime) -> Effects {
        match input {
            Input::Probe(report) => self.probed(report, now),
            Input::Agent(event) => self.agent_event(event, now),
        }
    }

    fn probed(&mut self, report: Report, now: SystemTime) -> Effects {
        let mut effects = Effects::default();
        let Some(view) = self.backends.get_mut(&report.backend) else {
            return effects;
        };
        let view = Arc::make_mut(view);
        let passed = report.outcome.passed();
        let failed_anew = !passed && view.last_probe.as_ref().is_none_or(|last| last.outcome.passed());
        if failed_anew {
            debug!(backend = %report.backend, outcome = %report.outcome, "probe failed");
        }
        view.last_probe = Some(LastProbe { outcome: report.outcome.clone(), at: now });
        let transition = match view.health.handle(HealthInput::Probe(report.outcome), now) {
            Ok(transition) => transition,
            Err(refused) => {
                warn!(backend = %report.backend, %refused, "probe's result does not fit");
                None
            }
        };
        effects.paces.insert(Arc::clone(&report.backend), view.health.pace());
        if let Some(transition) = transition {
            info!(
                backend = %report.backend, from = %transition.from, to = %transition.to,
                cause = %transition.cause, "backend changed"
            );
            effects.state = true;
            let frontends = Arc::clone(&view.frontends);
            for frontend in frontends.iter() {
                effects.wanted |= self.reweigh(frontend);
            }
        }
        effects
    }

    /// Computes a frontend's weights anew; whether what VPP shall have changed.
    fn reweigh(&mut self, name: &Arc<str>) -> bool {
        let Some(next) = self.weigh(name) else {
            return false;
        };
        let Some(view) = self.frontends.get(name) else {
            return false;
        };
        let held_back = next.sync == SyncStatus::HeldBack;
        log_change(name, &self.config, &view.weights, &next.weights, held_back);
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
        self.frontends.insert(Arc::clone(name), Arc::new(next));
        wanted
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
        for view in self.frontends.values_mut().filter(|view| view.sync != SyncStatus::HeldBack) {
            Arc::make_mut(view).sync = SyncStatus::Pending;
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
        Some(backend) if backend.healthcheck.is_none() => Some(HealthInput::Probe(ProbeOutcome {
            code: ProbeCode::Static,
            detail: "no health check: always up".to_owned(),
            duration: std::time::Duration::ZERO,
        })),
        _ => None,
    };
    if let Some(Err(refused)) = first.map(|input| health.handle(input, now)) {
        warn!(backend = name, %refused, "first state does not fit");
    }
    BackendView { health, last_probe: None, frontends }
}

fn log_change(
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
    if before.state != after.state {
        let (from, to) = (before.state.word(), after.state.word());
        if after.state == FrontendState::Down {
            warn!(frontend = name, from, to, "frontend changed: no backend takes new flows");
        } else {
            info!(frontend = name, from, to, "frontend changed");
        }
    }
}

#[cfg(test)]
mod tests;
