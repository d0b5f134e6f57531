//! Rate limit on log lines that a peer can cause: one a second of each kind at most, with the peers and the
//! number of events. Changes of VPP are logged elsewhere, line by line.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// Minimum time between two lines of a kind.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Maximum number of peers that a line names.
const MOST_NAMES: usize = 16;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The operating system failed to accept a connection.
    Accept,
    /// A connection of a user without access.
    Refused,
    /// No place for a connection.
    Crowded,
    /// A connection was closed to make room for another one.
    GaveWay,
    /// A connection was closed for breaking a rule.
    Closed,
    /// A brain with another protocol version said hello.
    OtherProtocol,
    /// A brain said hello.
    Connected,
    /// A brain became the writer.
    Writes,
    /// The writer's lease expired without a sign of life.
    LeaseOver,
    /// The writer's connection has ended.
    WriterGone,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Accept => "a connection cannot be accepted",
            Self::Refused => "a connection was refused",
            Self::Crowded => "too many connections: one more was closed",
            Self::GaveWay => "a connection was closed to make room for another",
            Self::Closed => "a connection was closed",
            Self::OtherProtocol => "a brain with another protocol version was refused",
            Self::Connected => "brain connected",
            Self::Writes => "this brain is now the writer",
            Self::LeaseOver => "the writer's lease has expired, and another brain takes over",
            Self::WriterGone => "the writer has disconnected; VPP keeps what it has",
        }
    }

    fn is_warning(self) -> bool {
        !matches!(self, Self::Connected | Self::Writes | Self::WriterGone)
    }
}

/// A log line, which stands for one event or several.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: Kind,
    /// The peers, with the number of events if more than one.
    who: String,
    /// Details of the last event.
    detail: String,
    times: u64,
}

impl Line {
    fn write(&self) {
        let Self { kind, who, detail, .. } = self;
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        let times = Some(self.times).filter(|times| *times > 1);
        // No span: it would name the current call, which may be another peer's.
        match kind.is_warning() {
            true => warn!(parent: None, who, detail, times, "{}", kind.text()),
            false => info!(parent: None, who, detail, times, "{}", kind.text()),
        }
    }
}

/// Events since the last line of this kind.
#[derive(Debug, Default)]
struct Waiting {
    names: Vec<(String, u64)>,
    /// Events of peers not named.
    others: u64,
    detail: String,
}

impl Waiting {
    fn add(&mut self, who: String, detail: String) {
        self.detail = detail;
        let full = self.names.len() >= MOST_NAMES;
        match self.names.iter_mut().find(|(name, _)| *name == who) {
            Some((_, times)) => *times += 1,
            None if full => self.others += 1,
            None => self.names.push((who, 1)),
        }
    }

    fn line(self, kind: Kind) -> Line {
        let times = |times: u64| if times == 1 { String::new() } else { format!(" ({times} times)") };
        let mut who: Vec<_> =
            self.names.iter().map(|(name, often)| format!("{name}{}", times(*often))).collect();
        who.extend((self.others > 0).then(|| format!("others{}", times(self.others))));
        let times = self.names.iter().map(|(_, times)| times).sum::<u64>() + self.others;
        Line { kind, who: who.join(", "), detail: self.detail, times }
    }
}

/// Decides which lines are logged when. Pure: callers pass the time.
#[derive(Debug, Default)]
struct Pending(BTreeMap<Kind, (Instant, Waiting)>);

impl Pending {
    fn add(&mut self, kind: Kind, who: String, detail: String, now: Instant) -> Option<Line> {
        match self.0.entry(kind) {
            Entry::Vacant(place) => {
                place.insert((now, Waiting::default()));
                let mut waiting = Waiting::default();
                waiting.add(who, detail);
                Some(waiting.line(kind))
            }
            Entry::Occupied(mut pending) => {
                pending.get_mut().1.add(who, detail);
                None
            }
        }
    }

    /// Returns the lines that are due. Forgets a kind without recent events, so that its next event is logged
    /// at once.
    fn due(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        self.0.retain(|kind, (logged, waiting)| {
            if now.saturating_duration_since(*logged) < PERIOD {
                return true;
            }
            let waiting = std::mem::take(waiting);
            let happened = !waiting.names.is_empty();
            if happened {
                lines.push(waiting.line(*kind));
                *logged = now;
            }
            happened
        });
        lines
    }
}

/// The log of peers' events. Dropping it writes what is pending.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Pending>);

impl Notices {
    /// Logs an event, now or together with others of its kind. Any part of `detail` that the peer chose must
    /// be printable.
    pub(super) fn note(&self, kind: Kind, who: impl ToString, detail: impl ToString) {
        let line = self.lock().add(kind, who.to_string(), detail.to_string(), Instant::now());
        line.iter().for_each(Line::write);
    }

    /// Writes the lines that are due. Must be called regularly.
    pub(super) fn write_due(&self) {
        self.lock().due(Instant::now()).iter().for_each(Line::write);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.lock().due(Instant::now() + PERIOD).iter().for_each(Line::write);
    }
}

#[cfg(test)]
mod tests;
