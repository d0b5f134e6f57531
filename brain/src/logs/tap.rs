//! Log lines for remote readers, at the level they request.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::broadcast;
use tracing::callsite::rebuild_interest_cache;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// Lines buffered for a reader. One that falls behind loses the oldest, and learns how many.
const LINES: usize = 4096;
/// Prefix of this program's crates.
const OURS: &str = "maglev_";
/// From least to most verbose.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// Held by tests that read lines, since the level is process-wide.
#[cfg(test)]
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Time of the line.
    pub at: SystemTime,
    /// Its level.
    pub level: Level,
    /// The module that logged it.
    pub target: &'static str,
    /// The message.
    pub message: String,
    /// Names and values, in order.
    pub fields: Vec<(&'static str, String)>,
}

/// The source of lines. Clones share it.
#[derive(Debug, Clone)]
pub struct LogTap(Arc<Tap>);

#[derive(Debug)]
struct Tap {
    lines: broadcast::Sender<Arc<Line>>,
    /// Number of readers of each of [`LEVELS`].
    asked: Mutex<[usize; LEVELS.len()]>,
    /// How many of [`LEVELS`] are enabled.
    taken: AtomicUsize,
}

impl Default for LogTap {
    fn default() -> Self {
        let (lines, _) = broadcast::channel(LINES);
        Self(Arc::new(Tap { lines, asked: Mutex::default(), taken: AtomicUsize::new(0) }))
    }
}

impl LogTap {
    /// The layer that takes the lines. It must be part of the subscriber.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + Send + Sync + 'static {
        Taker(self.clone()).with_filter(Taken(self.clone()))
    }

    /// Lines from now on, of all enabled levels.
    pub fn lines(&self) -> broadcast::Receiver<Arc<Line>> {
        self.0.lines.subscribe()
    }

    /// Enables this level for as long as the result is kept.
    pub fn ask(&self, level: Level) -> LevelRequest {
        self.count(level, |asked| *asked += 1);
        LevelRequest { tap: self.clone(), level }
    }

    fn count(&self, level: Level, change: impl FnOnce(&mut usize)) {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) =
            asked.iter_mut().zip(LEVELS).find_map(|(asked, of)| (of == level).then_some(asked))
        {
            change(asked);
        }
        let taken = asked.iter().rposition(|asked| *asked > 0).map_or(0, |index| index + 1);
        if self.0.taken.swap(taken, Ordering::Relaxed) != taken {
            // Under the lock, so that the last change is applied last. Filters take no lock.
            rebuild_interest_cache();
        }
    }

    fn level(&self) -> LevelFilter {
        let taken = self.0.taken.load(Ordering::Relaxed).checked_sub(1);
        taken.and_then(|last| LEVELS.get(last)).map_or(LevelFilter::OFF, |level| LevelFilter::from(*level))
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level() && metadata.target().starts_with(OURS)
    }
}

/// Keeps a level enabled.
#[derive(Debug)]
pub struct LevelRequest {
    tap: LogTap,
    level: Level,
}

impl Drop for LevelRequest {
    fn drop(&mut self) {
        self.tap.count(self.level, |asked| *asked -= 1);
    }
}

/// Filter for the enabled lines.
struct Taken(LogTap);

impl<S> Filter<S> for Taken {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Cached until the level changes, which rebuilds the cache.
        if self.0.takes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.level())
    }
}

/// Sends lines to the readers.
struct Taker(LogTap);

impl<S: Subscriber> Layer<S> for Taker {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (metadata, mut fields) = (event.metadata(), Fields::default());
        event.record(&mut fields);
        let Fields { message, fields } = fields;
        let (level, target) = (*metadata.level(), metadata.target());
        let line = Line { at: SystemTime::now(), level, target, message, fields };
        // Fails only if there are no readers any more.
        drop(self.0.0.lines.send(Arc::new(line)));
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests;
