//! Rate limit on log lines that clients can cause. For each cause and party, the first few in a window are
//! logged one by one; the rest are counted, and logged as one line with the party and the number. Admins'
//! changes are logged elsewhere, without exception.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// Length of the window.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// How often to check for due lines.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Number of lines logged one by one.
const FIRST: u32 = 3;
/// Maximum number of parties counted separately. All further ones are counted together.
const MOST_PARTIES: usize = 16;
/// Name for the further ones.
const OTHERS: &str = "others";

/// The logged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A client without admin rights requested a change.
    Change,
    /// There was no place for a connection.
    Connection,
    /// There was no place for an event stream.
    Watcher,
    /// There was no place for a check of the configuration or of a backend.
    Check,
    /// A TLS handshake was not completed.
    Handshake,
    /// A client connected without sending an HTTP/2 preface.
    Silent,
    /// The operating system could not accept a connection.
    Accept,
    /// A metrics connection was closed before it had its answer.
    Scrape,
    /// The operating system could not accept a metrics connection.
    ScrapeAccept,
}

impl Cause {
    fn one(self) -> &'static str {
        match self {
            Self::Change => "a change was refused: not an admin",
            Self::Connection => "a gRPC connection was refused",
            Self::Watcher => "a stream of events was refused",
            Self::Check => "a check was refused",
            Self::Handshake => "no TLS handshake",
            Self::Silent => "a gRPC connection was closed: no request on it",
            Self::Accept => "a gRPC connection cannot be accepted",
            Self::Scrape => "a connection for metrics was closed before its answer",
            Self::ScrapeAccept => "a connection for metrics cannot be accepted",
        }
    }

    fn many(self) -> &'static str {
        match self {
            Self::Change => "changes",
            Self::Connection | Self::Accept | Self::Silent => "connections",
            Self::Scrape | Self::ScrapeAccept => "connections for metrics",
            Self::Watcher => "streams of events",
            Self::Check => "checks of the configuration",
            Self::Handshake => "TLS handshakes",
        }
    }

    fn is_warning(self) -> bool {
        !matches!(self, Self::Change | Self::Handshake | Self::Silent)
    }
}

/// Counted events that were not logged.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    cause: Cause,
    who: String,
    more: u64,
}

impl Summary {
    fn write(&self) {
        let Self { cause, who, more } = self;
        let (many, seconds) = (cause.many(), WINDOW.as_secs());
        let message = format!("refused {more} more {many} from {who} in the last {seconds} s");
        match cause.is_warning() {
            true => warn!(%who, more, "{message}"),
            false => info!(%who, more, "{message}"),
        }
    }
}

#[derive(Debug)]
struct Window {
    began: Instant,
    written: u32,
    more: u64,
}

/// Decides what is logged. Pure: callers pass the time.
#[derive(Debug, Default)]
struct Pending(BTreeMap<Cause, BTreeMap<String, Window>>);

impl Pending {
    /// Counts an event; returns whether to log it now.
    fn add(&mut self, cause: Cause, party: String, now: Instant) -> bool {
        let parties = self.0.entry(cause).or_default();
        let is_known = parties.contains_key(&party);
        let key = if is_known || parties.len() < MOST_PARTIES { party } else { OTHERS.to_owned() };
        let window = parties.entry(key).or_insert(Window { began: now, written: 0, more: 0 });
        let is_written = window.written < FIRST;
        if is_written {
            window.written += 1;
        } else {
            window.more += 1;
        }
        is_written
    }

    /// The summaries of the windows that are over.
    fn due(&mut self, now: Instant) -> Vec<Summary> {
        let mut summaries = Vec::new();
        for (cause, parties) in &mut self.0 {
            parties.retain(|who, window| {
                if now.saturating_duration_since(window.began) < WINDOW {
                    return true;
                }
                if window.more > 0 {
                    summaries.push(Summary { cause: *cause, who: who.clone(), more: window.more });
                }
                false
            });
        }
        summaries
    }
}

/// The log of refusals. Clones share it. Dropping the last one logs what is pending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paced(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<Pending>);

impl Paced {
    /// Logs a refusal, now or together with others of its cause and party. Any part of `why` that the client
    /// chose must be printable.
    pub(crate) fn refused(&self, cause: Cause, who: impl Display, from: impl Display, why: impl Display) {
        let who = who.to_string();
        if !self.0.lock().add(cause, who.clone(), Instant::now()) {
            return;
        }
        let why = why.to_string();
        let what = if why.is_empty() { cause.one().to_owned() } else { format!("{}: {why}", cause.one()) };
        match cause.is_warning() {
            true => warn!(%who, %from, "{what}"),
            false => info!(%who, %from, "{what}"),
        }
    }

    /// Logs what is due. Must be called regularly.
    pub(crate) fn write_due(&self) {
        let due = self.0.lock().due(Instant::now());
        due.iter().for_each(Summary::write);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let due = self.lock().due(Instant::now() + WINDOW);
        due.iter().for_each(Summary::write);
    }
}

#[cfg(test)]
mod tests;
