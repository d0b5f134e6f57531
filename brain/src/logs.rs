//! The process's log, and a tap through which operators read it remotely.
//!
//! The tap is a separate layer with its own level, the most verbose that any reader requested, independent of
//! the written log. Without readers, it is off and costs nothing. It only takes lines of this program: the
//! gRPC libraries' lines about delivering a line would cause further lines.

pub(crate) mod tap;

use maglev_daemon::log::{self, FilterError, Format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, registry};

pub use tap::{LevelRequest, Line, LogTap};

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is invalid.
    #[error("--log-level {filter}: {error}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// The mistake.
        error: FilterError,
    },
    /// A logger is already installed.
    #[error("the log was started before: {0}")]
    Started(#[from] TryInitError),
}

/// Starts logging what `filter` admits, to the journal if stderr is connected to it, otherwise to stderr;
/// returns the tap. Must be called once.
///
/// # Errors
/// If the filter is invalid, or it was called before.
pub fn start(filter: &str, format: Format) -> Result<LogTap, LogError> {
    let written =
        log::filter(filter).map_err(|error| LogError::Filter { filter: filter.to_owned(), error })?;
    let log = log::output("maglev-brain", format).with_filter(written);
    let tap = LogTap::default();
    registry().with(log).with(tap.layer()).try_init()?;
    Ok(tap)
}
