//! The controller's state and decisions, without a clock or I/O.

mod backends;
mod command;
mod event;
mod frontends;
mod syncs;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use imbl::{OrdMap, OrdSet};
use maglev_protocol::VipKey;
use tokio::time::Instant;
use tracing::warn;

pub use command::{Command, CommandError};
pub use event::Event;

use super::snapshot::{AgentStatus, BackendView, FrontendView, Snapshot};
use crate::agent::AgentEvent;
use crate::config::Config;
use crate::desired::{self, Wanted};
use crate::health::{Health, Input as HealthInput};
use crate::probe::{Pace, ProbeCode, ProbeOutcome, Report};

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

#[cfg(test)]
mod tests;
