//! The limit on open files: a probe in flight needs a descriptor, for an unresponsive backend until the
//! timeout.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Descriptors besides those of probes: logs, event loops, the agent, scrapes, and some hundred operators.
/// The maximum of 4,096 operators' connections would be no reason for a warning.
const BESIDES: u64 = 512;

/// Raises the soft limit on open files to the hard one, and warns if that is too low for probing all backends
/// at once. A probe without a descriptor says nothing about its backend, and is reported as SOCKERR.
pub fn raise_limit(backends: usize) {
    let needed = u64::try_from(backends).unwrap_or(u64::MAX).saturating_add(BESIDES);
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match limit {
        Ok(limit) if limit < needed => warn!(
            limit,
            backends,
            needed,
            "few open files: while many backends do not answer, some are not probed and keep their state; \
             raise LimitNOFILE= in the unit"
        ),
        Ok(limit) => debug!(limit, "open files"),
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
}
