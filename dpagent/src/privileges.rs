//! Confinement of the agent: which privileges it keeps, and how it drops the rest before it serves any peer.
//!
//! [`confine`] is called once, while the process has a single thread: it switches to the requested user,
//! drops every capability but the one that routes need if the policy asks for them, makes sure that no privilege can be
//! regained, and makes the kernel refuse every system call that the agent does not need. Anything that opens a file or needs a privilege
//! must come before it.

pub mod capabilities;
pub mod identity;
pub mod seccomp;
pub mod status;

use caps::CapsHashSet;
use nix::unistd::{Gid, Uid};

use capabilities::CapabilityError;
use identity::{Account, IdentityError};
use seccomp::{Filter, SeccompError};
use status::StatusError;

/// Why the agent could not be confined. It must not keep running then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The process cannot switch to the requested user.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A capability could not be dropped.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// A privilege is left.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The system call filter could not be installed.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// The confined process.
#[derive(Debug)]
pub struct Confined {
    /// User id: effective, real and saved.
    pub uid: Uid,
    /// Group id: effective, real and saved.
    pub gid: Gid,
    /// Capabilities left in the bounding set, which only a process with `CAP_SETPCAP` can empty. The bounding
    /// set grants nothing: it limits what a program run later could gain, and no program can be run any more.
    pub bounding: CapsHashSet,
}

/// Drops every privilege that the agent does not need from here on, in every thread, permanently. `kept`: capabilities
/// that it does need.
///
/// # Errors
/// When a step fails, or when the kernel shows afterwards that a privilege is left. The process must end
/// then.
pub fn confine(
    account: Option<&Account>,
    kept: &CapsHashSet,
    filter: Option<&Filter>,
) -> Result<Confined, ConfineError> {
    // The bounding set first, since emptying it needs a capability, and switching users drops those.
    let bounding = capabilities::empty_bounding_set()?;
    if let Some(account) = account {
        if !kept.is_empty() {
            capabilities::outlive_switch()?;
        }
        account.assume()?;
    }
    capabilities::drop_all_but(kept)?;
    status::check_all_threads(bounding.is_empty(), kept)?;
    // Read now: the system call filter refuses even these calls.
    let confined = Confined { uid: Uid::effective(), gid: Gid::effective(), bounding };
    if let Some(filter) = filter {
        filter.install()?;
    }
    Ok(confined)
}
