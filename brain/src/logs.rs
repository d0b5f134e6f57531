//! The process's own log, and the tap by which operators read it from afar.
//!
//! The tap is a layer of its own with its own level, the most talkative that anybody asks for, whatever is written to the
//! log. While nobody asks, it is off, and no callsite knows of it. It takes lines of this program only: what the gRPC
//! server's libraries say of a line's delivery would have to be delivered as well.

pub(crate) mod tap;

use maglev_daemon::log::{self, FilterError, Format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, registry};

pub use tap::{Asked, Line, LogTap};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// What shall be logged is not understood.
    #[error("--log-level {filter}: {error}")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        error: FilterError,
    },
    /// Something else writes the log already.
    #[error("the log was started before: {0}")]
    Started(#[from] TryInitError),
}

/// Has everything written that `filter` lets through, to the journal if stderr leads there, else to stderr, and returns
/// the tap. To be called once.
///
/// # Errors
/// If the filter is none, or if it was called before.
pub fn start(filter: &str, format: Format) -> Result<LogTap, LogError> {
    let written =
        log::filter(filter).map_err(|error| LogError::Filter { filter: filter.to_owned(), error })?;
    let log = log::output("maglev-brain", format).with_filter(written);
    let tap = LogTap::default();
    registry().with(log).with(tap.layer()).try_init()?;
    Ok(tap)
}
