//! A daemon's log: its filter, destination and format.

mod logfmt;

use std::io::stderr;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::journal::journal;
use logfmt::Logfmt;

/// Form of the lines on standard error. The journal takes each field by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `time=... level=... target=... msg="..." key=value`
    #[default]
    Logfmt,
    /// One JSON object a line
    Json,
}

/// Why a text is not a log filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// An unknown level. Taken as a target, it would silence all others.
    #[error("`{0}` is not a level: write one of error, warn, info, debug, trace, off, or TARGET=LEVEL")]
    Level(String),
    /// A part is malformed.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Parses a level or a filter such as `info,vppapi=trace`.
///
/// tarpc is silenced unless the filter names it: it creates a span for every call, which costs a quarter of
/// an echo request's CPU time without adding anything to our lines, and its errors name no call.
///
/// # Errors
/// If it is neither.
pub fn filter(text: &str) -> Result<Targets, FilterError> {
    let bare = text.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains('='));
    for part in bare {
        part.parse::<LevelFilter>().map_err(|_| FilterError::Level(part.to_owned()))?;
    }
    // As a target, the empty string would match everything.
    let filter: Targets = if text.is_empty() { "error" } else { text }.parse()?;
    if filter.iter().any(|(target, _)| target.starts_with("tarpc")) {
        return Ok(filter);
    }
    Ok(filter.with_target("tarpc", LevelFilter::OFF))
}

/// The output of log lines: the journal under this identifier, if stderr is connected to it; otherwise
/// stderr.
#[must_use]
pub fn output<S>(identifier: &str, format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match journal(identifier) {
        Some(journal) => journal.boxed(),
        None => {
            // A line that cannot be written is lost. Otherwise the library would report it on stderr with a
            // macro that panics.
            let lines = fmt::layer().with_writer(stderr).log_internal_errors(false).with_ansi(false);
            match format {
                Format::Logfmt => lines.event_format(Logfmt).boxed(),
                Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn tarpc_is_logged_only_where_it_is_named() {
        let filter = |text| filter(text).unwrap();
        assert!(!filter("trace").would_enable("tarpc::client", &Level::ERROR));
        assert!(filter("info,tarpc=debug").would_enable("tarpc::client", &Level::DEBUG));
        let mixed = filter("info,vppapi=trace");
        assert!(mixed.would_enable("vppapi::client", &Level::TRACE));
        assert!(mixed.would_enable("maglev_brain", &Level::INFO));
        assert!(!mixed.would_enable("maglev_brain", &Level::DEBUG));
    }

    #[test]
    fn empty_filter_lets_errors_through() {
        let empty = filter("").unwrap();
        assert!(empty.would_enable("maglev_brain", &Level::ERROR));
        assert!(!empty.would_enable("maglev_brain", &Level::WARN));
        assert!(filter("info=what").is_err());
    }

    #[test]
    fn word_that_is_no_level_is_refused_since_it_would_silence_all_else() {
        for (text, wrong) in [("inf", "inf"), ("loud", "loud"), ("info,maglev_brain", "maglev_brain")] {
            let error = filter(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{wrong}` is not a level: write one of error, warn")),
                "{error}"
            );
        }
        for right in ["info", "WARN", "off", "info, vppapi=trace", "maglev_brain=debug", ","] {
            assert!(filter(right).is_ok(), "{right}");
        }
    }
}
