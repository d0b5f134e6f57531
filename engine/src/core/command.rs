//! What operators may ask for.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Demands, SyncReport};
use tracing::info;

use super::{Core, Effects, Event, Now};
use crate::config::{Changes, Config, is_name};
use crate::desired::Demand;
use crate::health::{self, Refused};
use crate::overrides::{BackendOverride, Dated, PoolMember};
use crate::snapshot::SyncStatus;

/// What an operator wants of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendWish {
    /// Send it no probes and no new flows, and let its flows end.
    Pause,
    /// Probe it again.
    Resume,
    /// Take it out of service, and its flows with it.
    Disable,
    /// Take it back into service.
    Enable,
    /// Let it do what the configuration says.
    Clear,
}

impl BackendWish {
    /// Lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Clear => "clear",
        }
    }
}

/// What an operator wants.
#[derive(Debug, Clone)]
pub enum Command {
    /// Something of a backend.
    Backend {
        /// Its name.
        backend: String,
        /// What.
        wish: BackendWish,
    },
    /// Another weight of a backend in a pool than the configured one.
    SetWeight {
        /// Which.
        member: PoolMember,
        /// 0 to 100.
        weight: u8,
        /// Whether its flows move at once.
        flush: bool,
    },
    /// The configured weight again.
    ClearWeight {
        /// Which.
        member: PoolMember,
    },
    /// Have a frontend's VIP made anew with the table length that its weights need. VPP forgets its pinned flows.
    Recreate {
        /// Its name.
        frontend: String,
    },
    /// Have VPP read and compared with what it shall have, and what differs written.
    Sync {
        /// The frontend whose VIP it is about, by its name. All VIPs are compared nevertheless.
        frontend: Option<String>,
    },
    /// Take another configuration, which has been checked.
    Reload(Arc<Config>),
}

/// As one would type it. Names come from clients: what is no name is quoted.
impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = |name: &str| if is_name(name) { name.to_owned() } else { format!("{name:?}") };
        let of = |PoolMember { frontend, pool, backend }: &PoolMember| {
            format!("frontend {} pool {} backend {}", name(frontend), name(pool), name(backend))
        };
        match self {
            Self::Backend { backend, wish: BackendWish::Clear } => {
                write!(f, "clear override backend {}", name(backend))
            }
            Self::Backend { backend, wish } => write!(f, "set backend {} {}", name(backend), wish.word()),
            Self::SetWeight { member, weight, flush } => {
                write!(f, "set {} weight {weight}{}", of(member), if *flush { " flush" } else { "" })
            }
            Self::ClearWeight { member } => write!(f, "clear override {}", of(member)),
            Self::Recreate { frontend } => write!(f, "recreate frontend {}", name(frontend)),
            Self::Sync { frontend: Some(frontend) } => write!(f, "sync vpp lb state {}", name(frontend)),
            Self::Sync { frontend: None } => f.write_str("sync vpp lb state"),
            Self::Reload(_) => f.write_str("config reload"),
        }
    }
}

impl Command {
    /// Whether it is of a kind that changes what operators have set. A reload forgets what the configuration has now.
    pub fn sets_overrides(&self) -> bool {
        match self {
            Self::Backend { .. } | Self::SetWeight { .. } | Self::ClearWeight { .. } | Self::Reload(_) => {
                true
            }
            Self::Recreate { .. } | Self::Sync { .. } => false,
        }
    }

    /// One of [`COMMANDS`](crate::tally::COMMANDS); a reload, which signals ask for as well, is none.
    fn word(&self) -> Option<&'static str> {
        Some(match self {
            Self::Backend { wish, .. } => wish.word(),
            Self::SetWeight { .. } => "set_weight",
            Self::ClearWeight { .. } => "clear_weight",
            Self::Recreate { .. } => "recreate",
            Self::Sync { .. } => "sync",
            Self::Reload(_) => return None,
        })
    }
}

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such backend.
    #[error("there is no backend {0:?}")]
    NoSuchBackend(String),
    /// There is no such frontend.
    #[error("there is no frontend {0:?}")]
    NoSuchFrontend(String),
    /// The frontend has no such pool.
    #[error("frontend {frontend:?} has no pool {pool:?}: it has {has}")]
    NoSuchPool {
        /// The frontend.
        frontend: String,
        /// What was asked for.
        pool: String,
        /// Its pools.
        has: String,
    },
    /// The pool has no such backend.
    #[error("pool {pool:?} of frontend {frontend:?} has no backend {backend:?}: it has {has}", frontend = member.frontend, pool = member.pool, backend = member.backend)]
    NoSuchMember {
        /// What was asked for.
        member: PoolMember,
        /// Its backends.
        has: String,
    },
    /// A weight that VPP does not have.
    #[error("weight {0}: must be 0 to 100")]
    Weight(u8),
    /// There is nothing to take back.
    #[error("no operator has set anything for {0}")]
    NothingSet(String),
    /// The backend's state does not allow it.
    #[error("backend {backend:?}: {refused}")]
    Refused {
        /// Its name.
        backend: String,
        /// Why not, and what to do instead.
        refused: Refused,
    },
    /// Only VPP could do it.
    #[error("{0}: try again when VPP is connected")]
    NoVpp(String),
    /// Nothing may be written to VPP until that time is over.
    #[error("nothing is written to VPP before the warm-up allows it, which will be in {0}")]
    WarmingUp(String),
    /// The frontend is not programmed yet.
    #[error("frontend {0:?} is still held back, since not all of its backends are known")]
    HeldBack(String),
    /// The state is not the one that the command was decided on.
    #[error("the state has changed since the preview: look again")]
    Moved,
    /// The process ends.
    #[error("the brain is ending")]
    Ending,
}

/// How far VPP has come with what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InVpp {
    /// VPP has nothing to do with it, or nobody waits for its answer.
    NotAsked,
    /// VPP has acknowledged it.
    Acknowledged,
    /// VPP will be told when the frontend is released from the warm-up.
    HeldBack,
    /// VPP cannot be programmed now, for this reason; it will be when it can.
    Away(String),
    /// VPP refused, for this reason.
    Refused(String),
    /// VPP has not answered yet; it will be told until it does.
    Late,
}

impl InVpp {
    /// The higher, the more there is for the operator to see to.
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

/// What was asked of VPP for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The frontend whose VIP it is about; `None` for all of VPP.
    pub frontend: Option<Arc<str>>,
    /// How far VPP has come with it.
    pub in_vpp: InVpp,
    /// The demand whose end decides about that, while it is not known.
    pub demand: Option<Demand>,
}

/// What a command has led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// What was asked of VPP: for each frontend that the command is about, or of all of it at once.
    pub asked: Vec<Asked>,
    /// What the sync did that carried out the demand, if there was only one.
    pub report: Option<Arc<SyncReport>>,
    /// What a reload changed.
    pub changes: Option<Changes>,
    /// Why it would be forgotten by a restart, if it would.
    pub not_kept: Option<String>,
}

impl Done {
    fn of(asked: Asked) -> Self {
        Self { asked: vec![asked], ..Self::default() }
    }

    /// How far VPP has come where it has come least far.
    pub fn in_vpp(&self) -> &InVpp {
        let all = self.asked.iter().map(|asked| &asked.in_vpp);
        all.max_by_key(|in_vpp| in_vpp.rank()).unwrap_or(&InVpp::NotAsked)
    }
}

impl Core {
    /// Carries out an operator's command, if the state is still the one with this number; see [`Core::events`].
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn command_on(
        &mut self,
        state: Option<u64>,
        command: Command,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        match state {
            Some(state) if state != self.events => Err(CommandError::Moved),
            _ => self.command(command, now),
        }
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn command(&mut self, command: Command, now: Now) -> Result<(Effects, Done), CommandError> {
        let words = command.to_string();
        let word = command.word();
        let carried_out = self.carry_out(command, now);
        if let Some(word) = word {
            self.tally.count_command(word, carried_out.is_ok());
        }
        let (mut effects, done) = carried_out?;
        // What was as wished before changes nothing.
        if effects.overrides && done.changes.is_none() {
            effects.events.insert(0, Event::Operator { command: words });
        }
        Ok((self.counted(effects), done))
    }

    fn carry_out(&mut self, command: Command, now: Now) -> Result<(Effects, Done), CommandError> {
        match command {
            Command::Backend { backend, wish } => {
                let mut effects = self.wish(&backend, wish, now)?;
                let frontends = self.backends.frontends_of(&backend);
                let ask = |name: &Arc<str>| self.demand(name, Demands::default(), &mut effects);
                let asked = frontends.iter().filter_map(ask).collect();
                Ok((effects, Done { asked, ..Done::default() }))
            }
            Command::SetWeight { member, weight, flush } => self.set_weight(member, weight, flush, now),
            Command::ClearWeight { member } => {
                if !self.overrides.weights.contains_key(&member) {
                    return Err(CommandError::NothingSet(format!(
                        "the weight of backend {:?} in pool {:?} of frontend {:?}",
                        member.backend, member.pool, member.frontend
                    )));
                }
                match member.configured_weight(&self.config) {
                    Some(configured) => self.set_weight(member, configured, false, now),
                    None => {
                        Arc::make_mut(&mut self.overrides).weights.remove(&member);
                        let effects = Effects { overrides: true, state: true, ..Effects::default() };
                        Ok((effects, Done::default()))
                    }
                }
            }
            Command::Recreate { frontend } => self.recreate(&frontend),
            Command::Sync { frontend } => self.sync(frontend.as_deref(), now),
            Command::Reload(config) => {
                let (mut effects, changes) = self.reload(config, now);
                let differs = !changes.is_empty();
                let asked = differs.then(|| self.demand_full_sync(&mut effects)).into_iter().collect();
                Ok((effects, Done { asked, changes: Some(changes), ..Done::default() }))
            }
        }
    }

    fn wish(&mut self, backend: &str, wish: BackendWish, now: Now) -> Result<Effects, CommandError> {
        let set = self.overrides.backends.get(backend).map(|set| set.value);
        let Some(name) = self.backends.name(backend) else {
            // What a reload removed can still be forgotten.
            if wish == BackendWish::Clear && set.is_some() {
                return Ok(self.override_backend(backend, None, now));
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
        let mut effects = Effects::default();
        if let Some(input) = input {
            let refused = |refused| CommandError::Refused { backend: backend.to_owned(), refused };
            if let Some(transition) = self.backends.give(&name, input, now).map_err(refused)? {
                self.follow(&name, transition, now, &mut effects);
            }
        }
        if set != next {
            effects.merge(self.override_backend(backend, next, now));
        }
        while let Some(transition) = self.settle(&name, now) {
            self.follow(&name, transition, now, &mut effects);
        }
        Ok(effects)
    }

    fn override_backend(&mut self, backend: &str, next: Option<BackendOverride>, now: Now) -> Effects {
        let backends = &mut Arc::make_mut(&mut self.overrides).backends;
        match next {
            Some(value) => drop(backends.insert(backend.to_owned(), Dated { value, since: now.wall })),
            None => drop(backends.remove(backend)),
        }
        Effects { overrides: true, state: true, ..Effects::default() }
    }

    fn set_weight(
        &mut self,
        member: PoolMember,
        weight: u8,
        flush: bool,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        let configured = self.check_member(&member)?;
        if weight > 100 {
            return Err(CommandError::Weight(weight));
        }
        let address = self.config.backends.get(&member.backend).map(|backend| backend.address);
        let name: Arc<str> = member.frontend.as_str().into();
        let mut effects = Effects { state: true, ..Effects::default() };
        let set = self.overrides.weights.get(&member).map(|set| set.value);
        let next = (weight != configured).then_some(weight);
        if set != next {
            let weights = &mut Arc::make_mut(&mut self.overrides).weights;
            info!(
                frontend = %name, pool = member.pool, backend = member.backend,
                from = set.unwrap_or(configured), to = weight, configured, "weight set"
            );
            match next {
                Some(value) => drop(weights.insert(member, Dated { value, since: now.wall })),
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
            return Err(CommandError::NoVpp(format!("the VIP of frontend {name:?} was not made anew")));
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
            // Rounded up: who comes after that time is not told to wait again.
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

    /// Has everything compared with VPP, and its end told.
    fn demand_full_sync(&mut self, effects: &mut Effects) -> Asked {
        let (in_vpp, demand) = if self.known.view().is_none() {
            (InVpp::Away(self.agent.why_not_programmed()), None)
        } else if !self.orders.may_write() {
            (InVpp::HeldBack, None)
        } else {
            effects.wanted = true;
            (InVpp::Late, Some(self.orders.demand_full_sync()))
        };
        Asked { frontend: None, in_vpp, demand }
    }

    /// Has a VIP synced with these demands, and its end told. `None` if there is no such frontend.
    fn demand(&mut self, name: &Arc<str>, demands: Demands, effects: &mut Effects) -> Option<Asked> {
        let view = self.frontends.get(name)?;
        let (in_vpp, demand) = if view.sync == SyncStatus::HeldBack {
            (InVpp::HeldBack, None)
        } else if self.known.view().is_none() {
            (InVpp::Away(self.agent.why_not_programmed()), None)
        } else {
            effects.wanted = true;
            (InVpp::Late, Some(self.orders.demand(view.spec.key, demands)))
        };
        Some(Asked { frontend: Some(Arc::clone(name)), in_vpp, demand })
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
