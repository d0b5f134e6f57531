//! Dropping capabilities. They belong to a thread: this affects the calling thread and those it starts later.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet, securebits};
use nix::errno::Errno;
use nix::sys::prctl;

/// A step that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// A capability set cannot be read or changed.
    #[error("cannot {action}: {source}")]
    Set {
        /// The operation that failed.
        action: &'static str,
        /// The kernel's error.
        source: CapsError,
    },
    /// `no_new_privs` cannot be set.
    #[error("cannot set no_new_privs: {source}; Linux 3.5 or newer is needed")]
    NoNewPrivileges {
        /// The kernel's error.
        source: Errno,
    },
}

fn failed(action: &'static str) -> impl FnOnce(CapsError) -> CapabilityError {
    move |source| CapabilityError::Set { action, source }
}

/// Empties the bounding set if that is allowed; returns what is left in it.
///
/// # Errors
/// When the kernel refuses although the process has `CAP_SETPCAP`.
pub fn empty_bounding_set() -> Result<CapsHashSet, CapabilityError> {
    let allowed = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP);
    if allowed.map_err(failed("read the effective capabilities"))? {
        caps::clear(None, CapSet::Bounding).map_err(failed("empty the bounding set"))?;
    }
    caps::read(None, CapSet::Bounding).map_err(failed("read the bounding set"))
}

/// The capability that the kernel's routes need, whenever one is changed.
pub const ROUTES: Capability = Capability::CAP_NET_ADMIN;

/// Lets the permitted capabilities outlive a switch to another user.
///
/// # Errors
/// When the kernel refuses.
pub fn outlive_switch() -> Result<(), CapabilityError> {
    securebits::set_keepcaps(true).map_err(failed("keep capabilities"))
}

/// Drops every capability but these, and every way to regain one: a program run by this process could not have more.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_all_but(kept: &CapsHashSet) -> Result<(), CapabilityError> {
    let clear = |set, action| caps::clear(None, set).map_err(failed(action));
    clear(CapSet::Ambient, "empty the ambient set of capabilities")?;
    clear(CapSet::Inheritable, "empty the inheritable set of capabilities")?;
    let reduce = |set, action| caps::set(None, set, kept).map_err(failed(action));
    reduce(CapSet::Effective, "reduce the effective set of capabilities")?;
    reduce(CapSet::Permitted, "reduce the permitted set of capabilities")?;
    securebits::set_keepcaps(false).map_err(failed("stop keeping capabilities"))?;
    prctl::set_no_new_privs().map_err(|source| CapabilityError::NoNewPrivileges { source })
}
