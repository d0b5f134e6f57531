//! Log lines that a peer can cause as often as it likes: of each kind one a second at most, which says who caused how
//! many. What changes VPP is logged elsewhere, line by line.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// Between two lines of a kind.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Peers that a line names one by one.
const MOST_NAMES: usize = 16;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The operating system could not accept a connection.
    Accept,
    /// Somebody who may not call has connected.
    Refused,
    /// There was no place for a connection.
    Crowded,
    /// A connection was closed for the sake of another one.
    GaveWay,
    /// A connection was closed for what it did, or did not do.
    Closed,
    /// A brain of another protocol said hello.
    OtherProtocol,
    /// A brain said hello.
    Connected,
    /// A brain became the writer.
    Writes,
    /// The writer has said nothing for as long as its lease.
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
            Self::OtherProtocol => "a brain of another protocol was refused",
            Self::Connected => "brain connected",
            Self::Writes => "this brain writes to VPP from now on",
            Self::LeaseOver => {
                "the brain that writes to VPP has said nothing for too long, and another one takes over"
            }
            Self::WriterGone => "the brain that writes to VPP is gone; VPP keeps what it has",
        }
    }

    fn is_warning(self) -> bool {
        !matches!(self, Self::Connected | Self::Writes | Self::WriterGone)
    }
}

/// A line of the log, which stands for one event or for several.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: Kind,
    /// The peers, each with how often it was if that was more than once.
    who: String,
    /// What more there is to say of the last one.
    detail: String,
    times: u64,
}

impl Line {
    fn write(&self) {
        let Self { kind, who, detail, .. } = self;
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        let times = Some(self.times).filter(|times| *times > 1);
        // tracing's own spans name the call under way, which may be another peer's.
        match kind.is_warning() {
            true => warn!(parent: None, who, detail, times, "{}", kind.text()),
            false => info!(parent: None, who, detail, times, "{}", kind.text()),
        }
    }
}

/// Events since the last line of their kind.
#[derive(Debug, Default)]
struct Waiting {
    names: Vec<(String, u64)>,
    /// Events of further peers.
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

/// Decides what is logged when. Pure: callers pass the time.
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

    /// The lines that are due. A kind of which nothing happened for a while is forgotten, and its next event is told at
    /// once.
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

/// The log of what peers do. What still waits when it is dropped is written then.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Pending>);

impl Notices {
    /// Logs an event, now or with others of its kind. What a peer chose of `detail` must be printable.
    pub(super) fn note(&self, kind: Kind, who: impl ToString, detail: impl ToString) {
        let line = self.lock().add(kind, who.to_string(), detail.to_string(), Instant::now());
        line.iter().for_each(Line::write);
    }

    /// Logs what has waited for long enough. To be called again and again.
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
