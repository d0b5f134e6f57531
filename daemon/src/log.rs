//! A daemon's log: its filter, and where its lines go.

use std::io::{IsTerminal, stderr};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::journal::journal;

/// Parses a level or a filter such as `info,vppapi=trace`.
///
/// tarpc is left out unless the filter names it: it makes a span for every call, which costs a quarter of an echo
/// request's CPU time and is in no line of ours, and its errors name no call.
///
/// # Errors
/// If it is neither.
pub fn filter(text: &str) -> Result<Targets, ParseError> {
    // As a target, the empty string would match everything.
    let filter: Targets = if text.is_empty() { "error" } else { text }.parse()?;
    if filter.iter().any(|(target, _)| target.starts_with("tarpc")) {
        return Ok(filter);
    }
    Ok(filter.with_target("tarpc", LevelFilter::OFF))
}

/// A way for log lines: to the journal, if stderr leads there, under this identifier; else to stderr, with or without
/// the module that a line comes from.
#[must_use]
pub fn output<S>(identifier: &str, with_modules: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match journal(identifier) {
        Some(journal) => journal.boxed(),
        None => {
            let ansi = stderr().is_terminal();
            // A line that cannot be written is lost. The library would say so on stderr, by a macro that panics.
            let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
            lines.with_ansi(ansi).with_target(with_modules).boxed()
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
}
