//! What the agent may do, and how it gives up the rest before it listens to anyone.
//!
//! [`confine`] is called once, while the process has a single thread: it becomes the user asked for, empties every
//! set of capabilities, makes sure that nothing can be gained again, and lets the kernel refuse every system call that
//! the agent does not make. Whatever opens a file or needs a privilege must come before it.

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

/// Why the agent could not be confined. It must not run then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The process cannot become the user asked for.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A capability could not be given up.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// Something is left.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The filter of system calls could not be set.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// What the process is afterwards.
#[derive(Debug)]
pub struct Confined {
    /// Effective user, as real and saved one.
    pub uid: Uid,
    /// Effective group, as real and saved one.
    pub gid: Gid,
    /// What could not be taken out of the bounding set, for which `CAP_SETPCAP` is needed. It is a limit of what a new
    /// program could gain, and no privilege: nothing can be gained any more, and no program be run.
    pub bounding: CapsHashSet,
}

/// Gives up everything but what the agent needs from here on, in every thread, for good.
///
/// # Errors
/// When a step fails, or the kernel shows afterwards that something is left. The process must end then.
pub fn confine(account: Option<&Account>, filter: Option<&Filter>) -> Result<Confined, ConfineError> {
    // The bounding set first, since that needs a capability. Changing the user drops those as well.
    let bounding = capabilities::empty_bounding_set()?;
    if let Some(account) = account {
        account.assume()?;
    }
    capabilities::drop_all()?;
    status::check_all_threads(bounding.is_empty())?;
    // Behind the filter, even asking who one is is refused.
    let confined = Confined { uid: Uid::effective(), gid: Gid::effective(), bounding };
    if let Some(filter) = filter {
        filter.install()?;
    }
    Ok(confined)
}
