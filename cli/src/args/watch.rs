//! `watch events`, whose words may be in any order.

use clap::{Args, Subcommand};
use maglev_proto::{LogLevel, WatchEventsRequest};

use crate::args::any_order::{AnyOrder, Parts};
use crate::args::words::only_one;

#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    /// Print the current state, then every change (Ctrl-C to stop)
    ///
    /// Without filters: backends, frontends, connections and configuration. `backend`, `frontend`, `connections`
    /// and `configuration` select only these; a name after the first two selects only that one. `log` adds
    /// maglev-brain's log, from info or the level named. `num` ends after this many events.
    #[command(
        override_usage = "maglevc watch events [num <N>] [log [level <LEVEL>]] [backend [NAME]] [frontend [NAME]] \
                          [connections] [configuration] [--follow] [--exec <CMD>]"
    )]
    Events(Events),
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on when maglev-brain restarts or cannot be reached, and say for how long there were no events
    #[arg(long)]
    pub(crate) follow: bool,
    /// Run this shell command for each event, with the event as JSON on its standard input: one at a time, 30 s at most
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    #[command(flatten)]
    pub(crate) filter: AnyOrder<EventFilter>,
}

/// Filter of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EventFilter {
    /// Number of events to end after; 0 for no end.
    pub(crate) num: u64,
    pub(crate) wanted: WatchEventsRequest,
}

/// Words that begin a part of the filter. A backend with one of these names cannot be selected.
pub(crate) const PARTS: [&str; 6] = ["num", "log", "backend", "frontend", "connections", "configuration"];

/// From least to most verbose.
pub(crate) const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl Parts for EventFilter {
    fn parts() -> &'static [&'static str] {
        &PARTS
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            match only_one(word, &PARTS) {
                Some("num") => {
                    let number = words.next().and_then(|word| word.parse().ok()).filter(|num| *num > 0);
                    filter.num = number.ok_or("`num` takes the number of events: a whole number above 0")?;
                }
                Some("log") => {
                    let named = words.next_if(|word| is_prefix(word, "level"));
                    let level = named.map_or(Ok(LogLevel::Info), |_| level(words.next()))?;
                    filter.wanted.set_log_level(level);
                }
                Some("backend") => {
                    filter.wanted.backends = true;
                    filter.wanted.backend_names.extend(words.next_if(is_name).map(str::to_owned));
                }
                Some("frontend") => {
                    filter.wanted.frontends = true;
                    filter.wanted.frontend_names.extend(words.next_if(is_name).map(str::to_owned));
                }
                Some("connections") => filter.wanted.connections = true,
                Some("configuration") => filter.wanted.configuration = true,
                _ => return Err(format!("unexpected `{word}`; expected one of: {}", PARTS.join(", "))),
            }
        }
        Ok(filter)
    }
}

/// Only whole words are reserved, since names may begin like them.
fn is_name(word: &&str) -> bool {
    !PARTS.contains(word)
}

fn is_prefix(word: &str, of: &str) -> bool {
    !word.is_empty() && of.starts_with(word)
}

fn level(word: Option<&str>) -> Result<LogLevel, String> {
    let names = LEVELS.map(|(name, _)| name);
    let named = word.and_then(|word| only_one(word, &names));
    let level = LEVELS.iter().find(|(name, _)| Some(*name) == named).map(|(_, level)| *level);
    level.ok_or_else(|| format!("`level` takes one of: {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
