//! Why commands are refused.

use crate::core::wish::Selector;
use crate::health::Refused;
use crate::overrides::PoolMember;

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such backend.
    #[error("there is no backend {0:?}")]
    NoSuchBackend(String),
    /// There is no such backend.
    #[error("there is no backend with {0}")]
    NoneSelected(Selector),
    /// There is no such frontend.
    #[error("there is no frontend {0:?}")]
    NoSuchFrontend(String),
    /// The frontend has no such pool.
    #[error("frontend {frontend:?} has no pool {pool:?}: it has {has}")]
    NoSuchPool {
        /// The frontend.
        frontend: String,
        /// The requested pool.
        pool: String,
        /// Its pools.
        has: String,
    },
    /// The pool has no such backend.
    #[error("pool {pool:?} of frontend {frontend:?} has no backend {backend:?}: it has {has}", frontend = member.frontend, pool = member.pool, backend = member.backend)]
    NoSuchMember {
        /// The requested member.
        member: PoolMember,
        /// Its backends.
        has: String,
    },
    /// Not a weight that VPP supports.
    #[error("weight {0}: must be 0 to 100")]
    Weight(u8),
    /// A weight that the connected VPP cannot express.
    #[error(
        "weight {weight}: this VPP (lb API 1.1.0) has no weights, so a backend is in with its configured weight of \
         {configured}, or out with 0; VPP 26.10 or newer has them"
    )]
    NoWeights {
        /// The requested weight.
        weight: u8,
        /// The one of the configuration.
        configured: u8,
    },
    /// The connected VPP cannot flush a backend that stays in service.
    #[error(
        "this VPP (lb API 1.1.0) can flush a backend only as it goes out of service: use weight 0, or disable it"
    )]
    NoFlush,
    /// There is no override to remove.
    #[error("there is no override for {0}")]
    NothingSet(String),
    /// No frontend is announced, so there is nothing to withdraw.
    #[error("no frontend has `announce` in the configuration, so there is no route to withdraw")]
    NoRoutes,
    /// The backend's state does not allow it.
    #[error("backend {backend:?}: {refused}")]
    Refused {
        /// Its name.
        backend: String,
        /// Why, and what to do instead.
        refused: Refused,
    },
    /// VPP is needed, but disconnected.
    #[error("{0}: try again when VPP is connected")]
    NoVpp(String),
    /// Nothing may be written to VPP until this time is over.
    #[error("the warm-up does not allow writing to VPP yet; try again in {0}")]
    WarmingUp(String),
    /// The frontend is not programmed yet.
    #[error("frontend {0:?} is still held back, since not all of its backends are known")]
    HeldBack(String),
    /// The state has changed since the command was previewed.
    #[error("the state has changed since the preview: preview again")]
    Moved,
    /// The time at which the override would be cleared is over.
    #[error("the time until which it is to last is over")]
    Over,
    /// No override is left that could be cleared later.
    #[error("it leaves no override that could end: without an override, the configuration applies for good")]
    NothingEnds,
    /// The reason does not fit the overrides' file.
    #[error("the reason has {length} characters, at most {most} are possible")]
    ReasonTooLong {
        /// Its length, in characters.
        length: usize,
        /// Maximum length.
        most: usize,
    },
    /// The process is shutting down.
    #[error("maglev-brain is shutting down")]
    Ending,
}
