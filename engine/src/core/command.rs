//! Operators' commands.

mod error;

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Demands, SyncReport};
use tracing::info;

use super::comparison::Reload;
use super::wish::{BackendWish, Selector, shown};
use super::{Core, Effects, Event, Notice, Now};
use crate::config::Changes;
use crate::desired::Demand;
use crate::health;
use crate::overrides::{BackendOverride, LONGEST_REASON, LONGEST_WHO, PoolMember, Remark, Stamp, Stamped};
use crate::routes::Drain;
use crate::snapshot::SyncStatus;
pub use error::CommandError;

/// An operator's command.
#[derive(Debug, Clone)]
pub enum Command {
    /// A command on several backends, decided as one. Those that refuse it stay as they are.
    Backends {
        /// Which.
        selector: Selector,
        /// What.
        wish: BackendWish,
    },
    /// A command on a backend.
    Backend {
        /// Its name.
        backend: String,
        /// What.
        wish: BackendWish,
    },
    /// Override the weight of a backend in a pool.
    SetWeight {
        /// Which.
        member: PoolMember,
        /// 0 to 100.
        weight: u8,
        /// Whether to flush its flows.
        flush: bool,
    },
    /// Remove the override of a weight.
    ClearWeight {
        /// Which.
        member: PoolMember,
    },
    /// Re-create a frontend's VIP with the table length that its weights need. VPP forgets its pinned flows.
    Recreate {
        /// Its name.
        frontend: String,
    },
    /// Compare VPP with the desired state and fix any difference.
    Sync {
        /// The frontend whose VIP to report on. All VIPs are compared nevertheless.
        frontend: Option<String>,
    },
    /// Drain the whole load balancer by its routes, or end that.
    DrainLb(Option<Drain>),
    /// Use another configuration, which must be valid.
    Reload(Reload),
    /// Tell watchers, the log and the history something that is decided outside the core; changes nothing else.
    Announce(Notice),
}

/// As an operator would type it.
impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = shown;
        let of = |PoolMember { frontend, pool, backend }: &PoolMember| {
            format!("frontend {} pool {} backend {}", name(frontend), name(pool), name(backend))
        };
        match self {
            Self::Backend { backend, wish: BackendWish::Clear } => {
                write!(f, "clear override backend {}", name(backend))
            }
            Self::Backend { backend, wish } => write!(f, "set backend {} {}", name(backend), wish.word()),
            Self::Backends { selector, wish } => write!(f, "set backends {selector} {}", wish.word()),
            Self::SetWeight { member, weight, flush } => {
                write!(f, "set {} weight {weight}{}", of(member), if *flush { " flush" } else { "" })
            }
            Self::ClearWeight { member } => write!(f, "clear override {}", of(member)),
            Self::Recreate { frontend } => write!(f, "recreate frontend {}", name(frontend)),
            Self::Sync { frontend: Some(frontend) } => write!(f, "sync vpp lb state {}", name(frontend)),
            Self::Sync { frontend: None } => f.write_str("sync vpp lb state"),
            Self::DrainLb(Some(how)) => write!(f, "drain lb {}", how.word()),
            Self::DrainLb(None) => f.write_str("undrain lb"),
            Self::Reload(_) => f.write_str("config reload"),
            Self::Announce(notice) => f.write_str(&notice.what),
        }
    }
}

impl Command {
    /// Whether this kind of command changes overrides. A reload drops overrides that the configuration now
    /// equals.
    pub fn sets_overrides(&self) -> bool {
        match self {
            Self::Backend { .. }
            | Self::Backends { .. }
            | Self::SetWeight { .. }
            | Self::ClearWeight { .. }
            | Self::DrainLb(_)
            | Self::Reload(_) => true,
            Self::Recreate { .. } | Self::Sync { .. } | Self::Announce(_) => false,
        }
    }

    /// One of [`COMMANDS`](crate::tally::COMMANDS); `None` for a reload, which is counted separately since
    /// signals cause it as well.
    fn word(&self) -> Option<&'static str> {
        Some(match self {
            Self::Backend { wish, .. } | Self::Backends { wish, .. } => wish.word(),
            Self::SetWeight { .. } => "set_weight",
            Self::ClearWeight { .. } => "clear_weight",
            Self::Recreate { .. } => "recreate",
            Self::Sync { .. } => "sync",
            Self::DrainLb(Some(_)) => "drain_lb",
            Self::DrainLb(None) => "undrain_lb",
            Self::Reload(_) | Self::Announce(_) => return None,
        })
    }
}

/// Progress of a command in VPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InVpp {
    /// VPP is not concerned, or nobody waits for its answer.
    NotAsked,
    /// VPP has acknowledged it.
    Acknowledged,
    /// Will be sent when the warm-up releases the frontend.
    HeldBack,
    /// VPP cannot be programmed now, for this reason; will be sent later.
    Away(String),
    /// VPP refused, for this reason.
    Refused(String),
    /// VPP has not answered yet; will be retried until it does.
    Late,
}

impl InVpp {
    /// Rank: higher values need more of the operator's attention.
    fn rank(&self) -> u8 {
        match self {
            Self::NotAsked => 0,
            Self::Acknowledged => 1,
            Self::HeldBack => 2,
            Self::Late => 3,
            Self::Away(_) => 4,
            Self::Refused(_) => 5,
        }
    }
}

/// A request to VPP that a command caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VppRequest {
    /// The frontend whose VIP it concerns; `None` for all of VPP.
    pub frontend: Option<Arc<str>>,
    /// Its progress.
    pub in_vpp: InVpp,
    /// The number to wait for while the progress is open.
    pub demand: Option<Demand>,
}

/// Result of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Requests to VPP: one for each frontend concerned, or one for everything.
    pub asked: Vec<VppRequest>,
    /// The report of the sync that carried out the request, if there was only one.
    pub report: Option<Arc<SyncReport>>,
    /// Changes of a reload.
    pub changes: Option<Changes>,
    /// Why the override would not survive a restart, if that is so.
    pub not_kept: Option<String>,
    /// The backends of a command on several, and why those refused it that did.
    pub backends: Vec<(Arc<str>, Result<(), CommandError>)>,
}

impl Done {
    fn of(asked: VppRequest) -> Self {
        Self { asked: vec![asked], ..Self::default() }
    }

    /// The progress of the request that has come least far.
    pub fn in_vpp(&self) -> &InVpp {
        let all = self.asked.iter().map(|asked| &asked.in_vpp);
        all.max_by_key(|in_vpp| in_vpp.rank()).unwrap_or(&InVpp::NotAsked)
    }
}

/// Whether it says more than who, so that it replaces the remark of an override that is set already.
fn is_news(remark: &Remark) -> bool {
    !remark.reason.is_empty() || remark.until.is_some()
}

fn check(remark: Remark, now: Now) -> Result<Remark, CommandError> {
    let length = remark.reason.chars().count();
    if length > LONGEST_REASON {
        return Err(CommandError::ReasonTooLong { length, most: LONGEST_REASON });
    }
    if remark.until.is_some_and(|until| until <= now.wall) {
        return Err(CommandError::Over);
    }
    // Nobody can choose their own name shorter, so that it must not keep them from a change.
    let cut = |who: Arc<str>| match who.char_indices().nth(LONGEST_WHO) {
        Some((end, _)) => who.get(..end).unwrap_or_default().into(),
        None => who,
    };
    Ok(Remark { who: remark.who.map(cut), ..remark })
}

impl Core {
    /// Executes an operator's command, if the state still has this number; see [`Core::events`].
    ///
    /// # Errors
    /// If nothing was changed.
    pub fn command_on(
        &mut self,
        state: Option<u64>,
        command: Command,
        remark: Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        match state {
            Some(state) if state != self.events => Err(CommandError::Moved),
            _ => self.command_of(command, remark, now),
        }
    }

    /// Executes a command of which nobody says by whom it is.
    ///
    /// # Errors
    /// If nothing was changed.
    pub fn command(&mut self, command: Command, now: Now) -> Result<(Effects, Done), CommandError> {
        self.command_of(command, Remark::default(), now)
    }

    fn command_of(
        &mut self,
        command: Command,
        remark: Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        let words = command.to_string();
        let word = command.word();
        let reason = remark.reason.clone();
        let carried_out = check(remark, now).and_then(|remark| self.carry_out(command, remark, now));
        if let Some(word) = word {
            self.tally.count_command(word, carried_out.is_ok());
        }
        let (mut effects, done) = carried_out?;
        // Otherwise the override was already set.
        if effects.overrides && done.changes.is_none() {
            effects.events.insert(0, Event::Operator { command: words, reason });
        }
        if effects.overrides {
            self.plan_expiry(now);
        }
        Ok((self.counted(effects, now), done))
    }

    pub(super) fn carry_out(
        &mut self,
        command: Command,
        remark: Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        match command {
            Command::Backend { backend, wish } => {
                let mut effects = self.wish(&backend, wish, remark, now)?;
                let frontends = self.backends.frontends_of(&backend);
                let ask = |name: &Arc<str>| self.demand(name, Demands::default(), &mut effects);
                let asked = frontends.iter().filter_map(ask).collect();
                Ok((effects, Done { asked, ..Done::default() }))
            }
            Command::Backends { selector, wish } => self.wish_all(selector, wish, &remark, now),
            Command::SetWeight { member, weight, flush } => {
                self.set_weight(member, weight, flush, remark, now)
            }
            Command::ClearWeight { member } => {
                if !self.overrides.weights.contains_key(&member) {
                    return Err(CommandError::NothingSet(format!(
                        "the weight of backend {:?} in pool {:?} of frontend {:?}",
                        member.backend, member.pool, member.frontend
                    )));
                }
                match member.configured_weight(&self.config) {
                    Some(configured) => self.set_weight(member, configured, false, remark, now),
                    None => {
                        Arc::make_mut(&mut self.overrides).weights.remove(&member);
                        let effects = Effects { overrides: true, state: true, ..Effects::default() };
                        Ok((effects, Done::default()))
                    }
                }
            }
            Command::Recreate { frontend } => self.recreate(&frontend),
            Command::Sync { frontend } => self.sync(frontend.as_deref(), now),
            Command::DrainLb(drain) => self.drain_lb(drain, remark, now),
            Command::Reload(reload) => {
                let (mut effects, changes) = self.reload(reload, now);
                let differs = !changes.is_empty();
                let asked = differs.then(|| self.demand_full_sync(&mut effects)).into_iter().collect();
                Ok((effects, Done { asked, changes: Some(changes), ..Done::default() }))
            }
            Command::Announce(notice) => {
                let mut effects = Effects::default();
                effects.tell(Event::Announced(notice));
                Ok((effects, Done::default()))
            }
        }
    }

    pub(super) fn wish(
        &mut self,
        backend: &str,
        wish: BackendWish,
        remark: Remark,
        now: Now,
    ) -> Result<Effects, CommandError> {
        let set = self.overrides.backends.get(backend).map(|set| set.value);
        let Some(name) = self.backends.name(backend) else {
            // An override for a backend that a reload removed can still be cleared.
            if wish == BackendWish::Clear && set.is_some() {
                return Ok(self.override_backend(backend, None, remark, now));
            }
            return Err(CommandError::NoSuchBackend(backend.to_owned()));
        };
        let enabled = self.config.backends.get(backend).is_some_and(|found| found.enabled);
        let (input, next) = match wish {
            BackendWish::Pause => (Some(health::Input::Pause), Some(BackendOverride::Paused)),
            BackendWish::Resume | BackendWish::Enable => {
                let input =
                    if wish == BackendWish::Resume { health::Input::Resume } else { health::Input::Enable };
                (Some(input), (!enabled).then_some(BackendOverride::Enabled))
            }
            BackendWish::Disable => {
                (Some(health::Input::Disable), enabled.then_some(BackendOverride::Disabled))
            }
            BackendWish::Clear if set.is_none() => {
                return Err(CommandError::NothingSet(format!("backend {backend:?}")));
            }
            BackendWish::Clear => (None, None),
        };
        if next.is_none() && remark.until.is_some() {
            return Err(CommandError::NothingEnds);
        }
        let mut effects = Effects::default();
        if let Some(input) = input {
            let refused = |refused| CommandError::Refused { backend: backend.to_owned(), refused };
            if let Some(transition) = self.backends.give(&name, input, now).map_err(refused)? {
                self.follow(&name, transition, now, &mut effects);
            }
        }
        if set != next || (next.is_some() && is_news(&remark)) {
            effects.merge(self.override_backend(backend, next, remark, now));
        }
        while let Some(transition) = self.settle(&name, now) {
            self.follow(&name, transition, now, &mut effects);
        }
        Ok(effects)
    }

    fn override_backend(
        &mut self,
        backend: &str,
        next: Option<BackendOverride>,
        remark: Remark,
        now: Now,
    ) -> Effects {
        let stamp = Stamp::new(now.wall, remark);
        let backends = &mut Arc::make_mut(&mut self.overrides).backends;
        match next {
            Some(value) => drop(backends.insert(backend.to_owned(), Stamped { value, stamp })),
            None => drop(backends.remove(backend)),
        }
        Effects { overrides: true, state: true, ..Effects::default() }
    }

    fn set_weight(
        &mut self,
        member: PoolMember,
        weight: u8,
        flush: bool,
        remark: Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        let configured = self.check_member(&member)?;
        if weight > 100 {
            return Err(CommandError::Weight(weight));
        }
        if !self.dialect().has_weights() && weight != 0 {
            match weight == configured {
                false => return Err(CommandError::NoWeights { weight, configured }),
                true if flush => return Err(CommandError::NoFlush),
                true => {}
            }
        }
        let address = self.config.backends.get(&member.backend).map(|backend| backend.address);
        let name: Arc<str> = member.frontend.as_str().into();
        let mut effects = Effects { state: true, ..Effects::default() };
        let set = self.overrides.weights.get(&member).map(|set| set.value);
        let next = (weight != configured).then_some(weight);
        if next.is_none() && remark.until.is_some() {
            return Err(CommandError::NothingEnds);
        }
        if set != next || (next.is_some() && is_news(&remark)) {
            let weights = &mut Arc::make_mut(&mut self.overrides).weights;
            info!(
                frontend = %name, pool = member.pool, backend = member.backend,
                from = set.unwrap_or(configured), to = weight, configured, "weight set"
            );
            match next {
                Some(value) => {
                    let stamp = Stamp::new(now.wall, remark);
                    drop(weights.insert(member, Stamped { value, stamp }));
                }
                None => drop(weights.remove(&member)),
            }
            effects.overrides = true;
            self.remake(&name, now, &mut effects);
        }
        let demands = Demands { flush: address.filter(|_| flush).into_iter().collect(), recreate: false };
        let asked = self.demand(&name, demands, &mut effects).into_iter().collect();
        Ok((effects, Done { asked, ..Done::default() }))
    }

    fn recreate(&mut self, name: &str) -> Result<(Effects, Done), CommandError> {
        let view = self.frontends.get(name).ok_or_else(|| CommandError::NoSuchFrontend(name.to_owned()))?;
        if view.sync == SyncStatus::HeldBack {
            return Err(CommandError::HeldBack(name.to_owned()));
        }
        if self.known.view().is_none() {
            return Err(CommandError::NoVpp(format!("the VIP of frontend {name:?} was not re-created")));
        }
        let mut effects = Effects::default();
        let name: Arc<str> = name.into();
        let demands = Demands { recreate: true, ..Demands::default() };
        let asked = self.demand(&name, demands, &mut effects).into_iter().collect();
        Ok((effects, Done { asked, ..Done::default() }))
    }

    fn sync(&mut self, name: Option<&str>, now: Now) -> Result<(Effects, Done), CommandError> {
        let view = name.map(|name| {
            let view = self.frontends.get(name);
            view.ok_or_else(|| CommandError::NoSuchFrontend(name.to_owned()))
        });
        let view = view.transpose()?;
        if self.known.view().is_none() {
            return Err(CommandError::NoVpp("nothing was compared".to_owned()));
        }
        if !self.orders.may_write() {
            let next = self.warmup.next_phase_at();
            let left = next.map(|next| next.saturating_duration_since(now.mono));
            // Rounded up, so that a retry after that time is not refused again.
            let seconds = Duration::from_secs(left.unwrap_or_default().as_secs() + 1);
            return Err(CommandError::WarmingUp(humantime::format_duration(seconds).to_string()));
        }
        if let (Some(name), Some(SyncStatus::HeldBack)) = (name, view.map(|view| &view.sync)) {
            return Err(CommandError::HeldBack(name.to_owned()));
        }
        let mut effects = Effects::default();
        let asked = self.demand_full_sync(&mut effects);
        Ok((effects, Done::of(asked)))
    }

    /// Requests a full sync, and an answer when it ends.
    fn demand_full_sync(&mut self, effects: &mut Effects) -> VppRequest {
        let (in_vpp, demand) = if self.known.view().is_none() {
            (InVpp::Away(self.agent.why_not_programmed()), None)
        } else if !self.orders.may_write() {
            (InVpp::HeldBack, None)
        } else {
            effects.wanted = true;
            (InVpp::Late, Some(self.orders.demand_full_sync()))
        };
        VppRequest { frontend: None, in_vpp, demand }
    }

    /// Requests a sync of a VIP with these demands, and an answer when it ends. `None` if there is no such
    /// frontend.
    pub(super) fn demand(
        &mut self,
        name: &Arc<str>,
        demands: Demands,
        effects: &mut Effects,
    ) -> Option<VppRequest> {
        let view = self.frontends.get(name)?;
        let (in_vpp, demand) = if view.sync == SyncStatus::HeldBack {
            (InVpp::HeldBack, None)
        } else if self.known.view().is_none() {
            (InVpp::Away(self.agent.why_not_programmed()), None)
        } else {
            effects.wanted = true;
            (InVpp::Late, Some(self.orders.demand(view.spec.key, demands)))
        };
        Some(VppRequest { frontend: Some(Arc::clone(name)), in_vpp, demand })
    }

    /// The configured weight of a pool's member.
    fn check_member(&self, member: &PoolMember) -> Result<u8, CommandError> {
        let frontend = self.config.frontends.get(&member.frontend);
        let frontend = frontend.ok_or_else(|| CommandError::NoSuchFrontend(member.frontend.clone()))?;
        let pool = frontend.pools.iter().find(|pool| pool.name == member.pool);
        let pool = pool.ok_or_else(|| CommandError::NoSuchPool {
            frontend: member.frontend.clone(),
            pool: member.pool.clone(),
            has: listed(frontend.pools.iter().map(|pool| &pool.name)),
        })?;
        let weight = pool.backends.get(&member.backend).copied();
        weight.ok_or_else(|| CommandError::NoSuchMember {
            member: member.clone(),
            has: listed(pool.backends.keys()),
        })
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
