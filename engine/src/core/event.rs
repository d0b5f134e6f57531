//! Changes of state as data, for the log and for watchers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{debug, info, warn};

use super::{Core, Effects};
use crate::health::Transition;
use crate::kind::Kind;
use crate::outcome::Share;
use crate::overrides::Override;
use crate::routes::Announcement;
use crate::snapshot::{AgentStatus, FrontendView, RouteView, RouterStatus, SyncStatus};
use crate::votes::Overruled;
use crate::weights::{Capacity, FrontendState};

/// A change of state. A snapshot and all later events together yield the next snapshot's states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A backend changed its state.
    Backend {
        /// Its name.
        backend: Arc<str>,
        /// From, to, when and why.
        transition: Transition,
    },
    /// Flap damping holds a backend down that went down again and again.
    Damped {
        /// Its name.
        backend: Arc<str>,
        /// For how long, unless it goes down again.
        left: Duration,
    },
    /// A backend's server asks for another share of its weight.
    Asked {
        /// The backend.
        backend: Arc<str>,
        /// The share before.
        from: Share,
        /// The share from now on.
        to: Share,
    },
    /// The fleet's votes overrule a backend's state here, or no longer do.
    Overruled {
        /// The backend.
        backend: Arc<str>,
        /// Its state by the votes; `None`: its state here counts again.
        overruled: Option<Overruled>,
    },
    /// Much is unreachable only from this load balancer, or no longer is.
    CutOff {
        /// True if it is.
        is_cut_off: bool,
    },
    /// More backends than the guard allows went down within one second.
    Guard {
        /// How many.
        down: usize,
        /// Number of backends in the configuration.
        backends: usize,
    },
    /// A new configuration added a backend. It is unknown at first.
    BackendAdded {
        /// Its name.
        backend: Arc<str>,
    },
    /// A frontend changed.
    Frontend {
        /// Its name.
        frontend: Arc<str>,
        /// The change.
        change: FrontendChange,
        /// The frontend after the change.
        now: FrontendNow,
    },
    /// A new configuration removed a frontend.
    FrontendRemoved {
        /// Its name.
        frontend: Arc<str>,
    },
    /// The agent connected, disconnected, or is disconnected for another reason.
    Agent {
        /// Its current status.
        status: Arc<AgentStatus>,
    },
    /// VPP connected, disconnected, or became unknown.
    Vpp {
        /// Its current status.
        status: Arc<AgentStatus>,
    },
    /// Another decision was made on the route of an address.
    Route {
        /// The address.
        address: IpAddr,
        /// The decision before; `None` if there was none.
        from: Option<Announcement>,
        /// The route after it.
        view: Arc<RouteView>,
    },
    /// The router connected, disconnected, or lacks other protocols than before.
    Router {
        /// Its current status.
        status: Arc<RouterStatus>,
    },
    /// The configuration was reloaded.
    Reloaded {
        /// The differences, on one line.
        changes: String,
    },
    /// Something that was decided outside the core.
    Announced(Notice),
    /// An operator set or removed an override.
    Operator {
        /// The command, as an operator would type it.
        command: String,
        /// Why; empty if no reason was given.
        reason: String,
    },
    /// An override will end soon.
    Expires {
        /// The override.
        entry: Override,
        /// Time until then.
        left: Duration,
    },
    /// The time of an override was over, so it was cleared.
    Expired {
        /// The override.
        entry: Override,
    },
}

/// Something that was decided outside the core: what became of a configuration, or news of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its subject.
    pub kind: Kind,
    /// A sentence without its end.
    pub what: String,
    /// True if somebody should look at it.
    pub is_problem: bool,
}

/// The part of a frontend that events contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendNow {
    /// Its state.
    pub state: FrontendState,
    /// The pool that takes new flows in normal operation, if any.
    pub active_pool: Option<String>,
    /// The pool in a panic, with too few backends up, if there is one.
    pub panic_pool: Option<String>,
    /// The pools below their `min-up`; none while the frontend is held back.
    pub below_min_up: Vec<String>,
    /// Whether the warm-up holds the frontend back, so that VPP is not programmed yet.
    pub held_back: bool,
}

impl FrontendNow {
    /// Extracts it from a view.
    pub fn of(view: &FrontendView) -> Self {
        let [active_pool, panic_pool] = pools(view).map(|pool| pool.map(str::to_owned));
        let held_back = view.sync == SyncStatus::HeldBack;
        let below_min_up = view.below_min_up.clone();
        Self { state: view.weights.state, active_pool, panic_pool, below_min_up, held_back }
    }
}

/// A frontend's change, with the value before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontendChange {
    /// It is new in the configuration.
    Added,
    /// The warm-up holds it back, or released it.
    HeldBack,
    /// Another pool is active.
    ActivePool(Option<String>),
    /// A panic began or ended: with too few backends of a pool up, all take new flows.
    Panic(Option<String>),
    /// It has another state.
    State(FrontendState),
    /// A pool went below its `min-up`, or is no longer below it.
    MinUp {
        /// Its name.
        pool: String,
        /// Its capacity after the change.
        capacity: Capacity,
    },
}

/// A numbered and timed change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// 1 for the first since the start, then consecutive.
    pub number: u64,
    /// Time of the change.
    pub at: SystemTime,
    /// The change.
    pub event: Event,
    /// The operator who made the change, if known.
    pub who: Option<Arc<str>>,
}

impl Event {
    /// Logs the event, unless it was logged with its reasons where it was decided.
    pub fn log(&self) {
        match self {
            Self::Backend { backend, transition } => info!(
                %backend, from = %transition.from, to = %transition.to, cause = %transition.cause,
                "backend changed"
            ),
            Self::Damped { backend, .. } => warn!(%backend, "{}", self.remark()),
            Self::Asked { backend, .. } | Self::Overruled { backend, .. } => {
                info!(%backend, "{}", self.remark());
            }
            Self::CutOff { is_cut_off: false } => info!("{}", self.remark()),
            Self::CutOff { is_cut_off: true } => warn!("{}", self.remark()),
            Self::Guard { .. } => warn!("{}", self.remark()),
            Self::Frontend { frontend, change, now } => change.log(frontend, now),
            Self::Route { address, from, view } => {
                let [from, to] = [*from, view.route.announcement]
                    .map(|route| route.map_or("left alone", Announcement::word));
                let reason = &view.route.reason;
                match view.route.announcement {
                    Some(Announcement::Withdrawn) => warn!(%address, from, to, %reason, "route changed"),
                    _ => info!(%address, from, to, %reason, "route changed"),
                }
            }
            Self::Router { status } => match (&status.connection, status.missing.join(" ")) {
                (Ok(_), _) if status.refused.is_some() => {
                    warn!(refused = status.refused, "a change of a route is refused; retrying");
                }
                (Ok(_), _) if !status.restored.is_empty() => warn!(
                    routes = status.restored.len(), first = ?status.restored.first(),
                    "routes that somebody else had changed are restored"
                ),
                (Err(reason), _) => {
                    let router = status.router.name();
                    warn!(router, %reason, "the router cannot be controlled; it keeps its routes");
                }
                (Ok(version), missing) if missing.is_empty() => info!(%version, "router connected"),
                (Ok(version), missing) => {
                    warn!(%version, %missing, "BIRD lacks protocols: see `maglevc generate bird`")
                }
            },
            Self::BackendAdded { .. }
            | Self::FrontendRemoved { .. }
            | Self::Agent { .. }
            | Self::Vpp { .. }
            | Self::Reloaded { .. }
            | Self::Operator { .. } => {}
            Self::Expires { entry, left } => {
                warn!(%entry, left = %humantime::format_duration(seconds(*left)), "override ends soon");
            }
            Self::Announced(Notice { what, is_problem: true, .. }) => warn!("{what}"),
            Self::Announced(Notice { what, .. }) => info!("{what}"),
            Self::Expired { entry } => warn!(%entry, "override cleared: its time is over"),
        }
    }
}

impl Event {
    /// The sentence that says all of an event of flap damping, a server's own word, the fleet's votes or the guard; empty for
    /// others.
    pub fn remark(&self) -> String {
        match self {
            Self::Damped { left, .. } => {
                let left = humantime::format_duration(seconds(*left));
                format!("damped: it went down too often, and stays down for at least {left}")
            }
            Self::Asked { to: Share::DRAIN, .. } => "its server drains: it asks for no new flows".to_owned(),
            Self::Asked { to: Share::WHOLE, .. } => "its server takes its whole weight again".to_owned(),
            Self::Asked { to, .. } => format!("its server asks for {to} of its weight"),
            Self::Overruled { overruled: Some(overruled), .. } => overruled.to_string(),
            Self::Overruled { overruled: None, .. } => "its state here counts again".to_owned(),
            Self::CutOff { is_cut_off: true } => {
                "cut off: most backends are unreachable only from this load balancer".to_owned()
            }
            Self::CutOff { is_cut_off: false } => "no longer cut off from the backends".to_owned(),
            Self::Guard { down, backends } => format!(
                "{down} of {backends} backends went down within one second: the cause is probably here, not there"
            ),
            _ => String::new(),
        }
    }
}

/// In whole seconds, rounded up.
fn seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

impl FrontendChange {
    fn log(&self, frontend: &str, now: &FrontendNow) {
        match self {
            Self::Added | Self::HeldBack => {}
            Self::ActivePool(from) => {
                let [from, to] = [from, &now.active_pool].map(|pool| pool.as_deref().unwrap_or("none"));
                if now.held_back {
                    debug!(%frontend, from, to, "active pool would change, but the frontend is held back");
                } else {
                    info!(%frontend, from, to, "active pool changed");
                }
            }
            Self::Panic(from) => {
                if let Some(pool) = from {
                    info!(%frontend, pool, "panic is over");
                }
                if let Some(pool) = &now.panic_pool {
                    warn!(%frontend, pool, "panic: too few backends are up, so all backends of the pool get traffic");
                }
            }
            Self::State(from) => {
                let (from, to) = (from.word(), now.state.word());
                match to {
                    // Only some of its backends are known so far, while VPP goes on serving with its old
                    // state.
                    _ if now.held_back => debug!(%frontend, from, to, "frontend changed, but is held back"),
                    "down" => warn!(%frontend, from, to, "frontend changed: no backend takes new flows"),
                    _ => info!(%frontend, from, to, "frontend changed"),
                }
            }
            Self::MinUp { pool, capacity } if now.below_min_up.contains(pool) => {
                warn!(%frontend, pool, %capacity, "pool is below its min-up");
            }
            Self::MinUp { pool, capacity } => {
                info!(%frontend, pool, %capacity, "pool is no longer below its min-up");
            }
        }
    }
}

impl Effects {
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Emits the changes of a frontend, in causal order.
    pub(super) fn tell_frontend(&mut self, name: &Arc<str>, before: &FrontendView, view: &FrontendView) {
        let ([old_pool, old_panic], [pool, panic]) = (pools(before), pools(view));
        let (old_state, state) = (before.weights.state, view.weights.state);
        let owned = |pool: Option<&str>| pool.map(str::to_owned);
        let mut changes = Vec::new();
        if old_pool != pool {
            changes.push(FrontendChange::ActivePool(owned(old_pool)));
        }
        if old_panic != panic {
            changes.push(FrontendChange::Panic(owned(old_panic)));
        }
        if old_state != state {
            changes.push(FrontendChange::State(old_state));
        }
        let held_back = |view: &FrontendView| view.sync == SyncStatus::HeldBack;
        if changes.is_empty() && held_back(before) != held_back(view) {
            changes.push(FrontendChange::HeldBack);
        }
        let capacities = |view: &FrontendView| {
            let pools = view.frontend.pools.iter().map(|pool| pool.name.clone());
            pools.zip(view.weights.capacity.clone()).collect::<Vec<_>>()
        };
        // A pool that a reload removed is no longer below, either.
        let mut pools = capacities(before);
        pools.retain(|(pool, _)| view.frontend.pools.iter().all(|other| other.name != *pool));
        pools.iter_mut().for_each(|(_, capacity)| capacity.min_up = None);
        pools.extend(capacities(view));
        for (pool, capacity) in pools {
            if before.below_min_up.contains(&pool) != view.below_min_up.contains(&pool) {
                changes.push(FrontendChange::MinUp { pool, capacity });
            }
        }
        for change in changes {
            self.tell(Event::Frontend { frontend: Arc::clone(name), change, now: FrontendNow::of(view) });
        }
    }
}

impl Core {
    /// Emits the change of the agent's status since `before`.
    pub(super) fn tell_agent(&self, before: &AgentStatus) -> Effects {
        let mut effects = Effects::default();
        let status = &self.agent;
        if status.connection != before.connection {
            effects.tell(Event::Agent { status: Arc::clone(status) });
        }
        // The reason why VPP is unknown depends on the agent's connection.
        if status.vpp != before.vpp || status.connection.is_ok() != before.connection.is_ok() {
            effects.tell(Event::Vpp { status: Arc::clone(status) });
        }
        effects
    }
}

/// Names of the active pool and of the one in a panic. Indexes would not do: a reload may change them.
fn pools(view: &FrontendView) -> [Option<&str>; 2] {
    [view.weights.active_pool, view.weights.panic]
        .map(|index| Some(view.frontend.pools.get(index?)?.name.as_str()))
}
