//! Route decisions: which VIP addresses the router announces. One [`Route`] for each address, which several frontends may
//! share.
//!
//! A route that is announced stays unless there is evidence against it: an unknown backend, a brain that has just
//! started, or an agent that is disconnected is no reason to withdraw. A route that is withdrawn comes back only on
//! evidence for it, and not before its hold-down is over.

pub mod bird;

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::config::{Announce, Last, Ports, WhenVppAway};
use crate::weights::{Capacity, EffectiveWeights};

/// What the router does with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Announcement {
    /// No route: other load balancers get its traffic.
    Withdrawn,
    /// A route that others are preferred to, with the community for a graceful shutdown.
    Deprioritised,
    /// A route.
    Announced,
}

impl Announcement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Announced, Self::Deprioritised, Self::Withdrawn];

    /// Its word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Deprioritised => "deprioritised",
            Self::Announced => "announced",
        }
    }
}

/// How a whole load balancer is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drain {
    /// Its routes are withdrawn.
    Withdraw,
    /// Its routes are deprioritised.
    Gshut,
}

impl Drain {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Withdraw, Self::Gshut];

    /// The operators' word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Withdraw => "withdraw",
            Self::Gshut => "gshut",
        }
    }
}

/// Why a route is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Enough backends can serve, and VPP has them.
    Serving,
    /// No backend of any frontend is up, which may be the fault of the checks.
    Kept,
    /// The router has not been read yet.
    Unread,
    /// The warm-up or a reload left backends unknown: nothing is known against the route, or for it.
    Unknown(Arc<str>),
    /// The agent is disconnected, or has not read VPP yet: the route stays as it was.
    Unwatched,
    /// VPP is disconnected.
    VppAway,
    /// VPP is disconnected, and the route stays as it was, as configured.
    VppAwayKept,
    /// VPP has not acknowledged this frontend's VIP with a server that takes new flows.
    NotInVpp(Arc<str>),
    /// Too few backends of this frontend can serve.
    TooFew {
        /// The frontend.
        frontend: Arc<str>,
        /// How many can.
        able: u32,
        /// How many are needed.
        needed: u32,
    },
    /// It was withdrawn a short time ago.
    HoldDown,
    /// Most backends are unreachable only from this load balancer, and another one announces.
    CutOff,
    /// An operator drains the load balancer.
    Drained(Drain),
}

impl Reason {
    /// One word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Kept => "kept",
            Self::Unread => "unread",
            Self::Unknown(_) => "unknown",
            Self::Unwatched => "unwatched",
            Self::VppAway => "vpp_away",
            Self::VppAwayKept => "vpp_away_kept",
            Self::NotInVpp(_) => "not_in_vpp",
            Self::TooFew { .. } => "too_few",
            Self::HoldDown => "hold_down",
            Self::CutOff => "cut_off",
            Self::Drained(_) => "drained",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("enough backends can serve"),
            Self::Kept => {
                f.write_str("no backend of any frontend is up, which may be the checks' fault; kept")
            }
            Self::Unread => f.write_str("left alone until the router has been read"),
            Self::Unknown(frontend) => write!(f, "backends of frontend {frontend} are still unknown"),
            Self::Unwatched => f.write_str("left alone while nothing is known about VPP"),
            Self::VppAway => f.write_str("VPP is disconnected"),
            Self::VppAwayKept => f.write_str("VPP is disconnected; left alone by `when-vpp-away: keep`"),
            Self::NotInVpp(frontend) => {
                write!(f, "VPP has not acknowledged a server for frontend {frontend} yet")
            }
            Self::TooFew { frontend, able, needed } => {
                write!(f, "{able} backends of frontend {frontend} can serve, {needed} are needed")
            }
            Self::HoldDown => f.write_str("hold-down after a withdrawal"),
            Self::CutOff => f.write_str("most backends are unreachable only from this load balancer"),
            Self::Drained(how) => write!(f, "drained by an operator ({})", how.word()),
        }
    }
}

/// What is known of a frontend's VIP in VPP, from the last read and everything acknowledged since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum InVpp {
    /// No VIP, or no server in it.
    #[default]
    Absent,
    /// Servers, none of which takes new flows.
    Present,
    /// A server that takes new flows.
    Serving,
}

/// Capacity of the pool that takes new flows; without one, of the first that may turn out to.
pub fn serving_capacity(weights: &EffectiveWeights) -> Option<Capacity> {
    let pools = &weights.capacity;
    let hopeful = || pools.iter().find(|pool| pool.unknown > 0).or(pools.first());
    weights.active_pool.and_then(|index| pools.get(index)).or_else(hopeful).copied()
}

/// One frontend of an address.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a Arc<str>,
    /// When it is announced.
    pub announce: &'a Announce,
    /// What it can serve with.
    pub capacity: Capacity,
    /// Whether the warm-up has released it.
    pub released: bool,
    /// Its VIP.
    pub in_vpp: InVpp,
}

/// What is known of VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vpp {
    /// Nothing: the agent is disconnected, or has not read it yet.
    Unwatched,
    /// The agent has no connection to it.
    Away,
    /// It is connected.
    Connected,
}

/// What all addresses share.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// What is known of VPP.
    pub vpp: Vpp,
    /// Whether a backend is down and no checked backend of any frontend is up.
    pub all_down: bool,
    /// Whether an operator drains the load balancer.
    pub drain: Option<Drain>,
    /// True if it withdraws its routes since it is cut off from the backends.
    pub cut_off: bool,
}

/// The route of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What the router is to do; `None`: nothing yet, the route stays as it is.
    pub announcement: Option<Announcement>,
    /// Why.
    pub reason: Reason,
    /// Since when the router is to do that.
    pub since: SystemTime,
    /// When the decision is due again without any input: the end of the hold-down.
    pub again: Option<Instant>,
    /// Whether the backends' evidence is for the route, so that it takes less for it to stay than to come back.
    serving: bool,
    /// The last withdrawal that no operator has made.
    withdrawn: Option<Instant>,
}

impl Route {
    /// A route of which nothing is known yet.
    pub fn new(since: SystemTime) -> Self {
        Self {
            announcement: None,
            reason: Reason::Unread,
            since,
            again: None,
            serving: false,
            withdrawn: None,
        }
    }

    /// Takes over what the router has, unless a decision has been made. A withdrawn route may have been withdrawn just
    /// now, by a brain that has ended since: its hold-down begins.
    pub fn adopt(&mut self, has: Announcement, now: Instant) {
        if self.announcement.is_none() {
            self.announcement = Some(has);
            self.serving = has != Announcement::Withdrawn;
            self.withdrawn = (!self.serving).then_some(now);
        }
    }

    /// Decides; `frontends` are those of the address.
    pub fn decide(&mut self, frontends: &[Facts<'_>], scene: &Scene, wall: SystemTime, now: Instant) {
        let (Some(before), Some(first)) = (self.announcement, frontends.first()) else { return };
        self.again = None;
        let is_kept = scene.vpp == Vpp::Away && first.announce.when_vpp_away == WhenVppAway::Keep;
        let scene = &Scene { vpp: if is_kept { Vpp::Unwatched } else { scene.vpp }, ..*scene };
        let unwatched = if is_kept { Reason::VppAwayKept } else { Reason::Unwatched };
        let evidence = match scene.vpp {
            _ if scene.cut_off => Err(Reason::CutOff),
            Vpp::Away => Err(Reason::VppAway),
            Vpp::Connected => self.evidence(frontends, first.announce, scene),
            Vpp::Unwatched if self.serving => Ok(unwatched),
            Vpp::Unwatched => Err(unwatched),
        };
        let held = self.withdrawn.map(|withdrawn| withdrawn + first.announce.hold_down);
        let held = held.filter(|until| *until > now && !self.serving);
        let (next, reason) = match (evidence, scene.drain) {
            (_, Some(Drain::Withdraw)) => (Announcement::Withdrawn, Reason::Drained(Drain::Withdraw)),
            (Err(reason), _) => (Announcement::Withdrawn, reason),
            (Ok(_), _) if held.is_some() => {
                self.again = held;
                (Announcement::Withdrawn, Reason::HoldDown)
            }
            (Ok(_), Some(Drain::Gshut)) => (Announcement::Deprioritised, Reason::Drained(Drain::Gshut)),
            (Ok(reason), None) if scene.vpp == Vpp::Unwatched => (before, reason),
            (Ok(reason), None) => (Announcement::Announced, reason),
        };
        let drained = reason == Reason::Drained(Drain::Withdraw);
        // Draining is no evidence: afterwards, the route comes back if it would have stayed.
        self.serving = match drained {
            true => scene.vpp != Vpp::Away && self.serving && self.stays(frontends, first.announce, scene),
            false if scene.vpp == Vpp::Unwatched && !scene.cut_off => self.serving,
            false => next != Announcement::Withdrawn,
        };
        if next == Announcement::Withdrawn && before != Announcement::Withdrawn && !drained {
            self.withdrawn = Some(now);
        }
        if next != before {
            self.since = wall;
        }
        (self.announcement, self.reason) = (Some(next), reason);
    }

    fn stays(&self, frontends: &[Facts<'_>], announce: &Announce, scene: &Scene) -> bool {
        scene.vpp == Vpp::Unwatched || self.evidence(frontends, announce, scene).is_ok()
    }

    /// Whether the route should stay or come back, and why.
    fn evidence(
        &self,
        frontends: &[Facts<'_>],
        announce: &Announce,
        scene: &Scene,
    ) -> Result<Reason, Reason> {
        // A frontend that a reload added takes nothing away from those that serve.
        let is_old = |facts: &&Facts<'_>| facts.in_vpp != InVpp::Absent;
        let counted: Vec<_> = match self.serving && frontends.iter().any(|facts| is_old(&facts)) {
            true => frontends.iter().filter(is_old).collect(),
            false => frontends.iter().collect(),
        };
        let mut against = counted.iter().filter_map(|facts| self.against(facts));
        let first = against.next();
        let fails = match announce.ports {
            Ports::All => first,
            Ports::Any => {
                let failing = usize::from(first.is_some()) + against.count();
                first.filter(|_| failing == counted.len())
            }
        };
        match fails {
            None => Ok(Reason::Serving),
            Some(Reason::TooFew { .. }) if self.serving && scene.all_down && announce.last == Last::Keep => {
                Ok(Reason::Kept)
            }
            Some(reason) => Err(reason),
        }
    }

    /// The evidence of one frontend against the route.
    fn against(&self, facts: &Facts<'_>) -> Option<Reason> {
        let Facts { name, announce, capacity, released, in_vpp } = facts;
        let needed = announce.min_up.needed(capacity.total).max(1);
        if self.serving {
            // No weight in VPP is the consequence of too few backends, or about to change.
            return match in_vpp {
                InVpp::Absent => Some(Reason::NotInVpp(Arc::clone(name))),
                _ if !released || capacity.up + capacity.unknown >= needed => None,
                _ => Some(Reason::TooFew { frontend: Arc::clone(name), able: capacity.up, needed }),
            };
        }
        // More backends than there are cannot come back.
        let needed = needed.saturating_add(announce.hysteresis).min(capacity.total.max(needed));
        if !released || (capacity.up < needed && capacity.up + capacity.unknown >= needed) {
            return Some(Reason::Unknown(Arc::clone(name)));
        }
        if capacity.up < needed {
            return Some(Reason::TooFew { frontend: Arc::clone(name), able: capacity.up, needed });
        }
        (*in_vpp != InVpp::Serving).then(|| Reason::NotInVpp(Arc::clone(name)))
    }
}

#[cfg(test)]
mod tests;
