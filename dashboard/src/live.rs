//! The one stream that all browsers share: what changed is put together, written down once, and kept for those who come
//! back soon.

mod viewer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join;
use serde_json::json;
use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::ring::{Frame, Ring};
use crate::state::{Beat, State};
pub(crate) use viewer::{Wanted, watch};

/// What belongs together comes within this time.
const GATHER: Duration = Duration::from_millis(20);
/// Shortest time between two frames: at most four a second.
const PACE: Duration = Duration::from_millis(250);
/// Beats of this time go together.
const BEATS: Duration = Duration::from_millis(100);
/// Frames that wait for a viewer. One who falls behind begins again with the whole state.
const WAITING: usize = 64;
/// How old a copy of the whole state may be: what came since is in the ring.
const SNAPSHOT_AGE: Duration = Duration::from_secs(2);

/// The whole state at a moment, for a browser that begins.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    at: Instant,
    pub(crate) plain: Bytes,
    pub(crate) gzip: Bytes,
}

/// What all browsers are shown.
#[derive(Debug)]
pub(crate) struct Live {
    inner: Mutex<Inner>,
    /// One at a time makes a copy of the whole state.
    copying: tokio::sync::Mutex<()>,
    frames: broadcast::Sender<Arc<Frame>>,
    beats: broadcast::Sender<Arc<Vec<Beat>>>,
    changed: Notify,
    detailed: Notify,
    beaten: Notify,
    /// Of this process, so that a number of another one is not taken for one of this.
    epoch: u64,
    ending: CancellationToken,
    pub(crate) metrics: Metrics,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    ring: Ring,
    snapshot: Option<Snapshot>,
    beats: Vec<Beat>,
    /// Frontends that somebody looks at, and how many do.
    looked_at: BTreeMap<String, usize>,
}

impl Live {
    pub(crate) fn new(epoch: u64, ending: CancellationToken) -> Self {
        let ((frames, _), (beats, _)) = (broadcast::channel(WAITING), broadcast::channel(WAITING));
        Self {
            inner: Mutex::default(),
            copying: tokio::sync::Mutex::default(),
            frames,
            beats,
            changed: Notify::new(),
            detailed: Notify::new(),
            beaten: Notify::new(),
            epoch,
            ending,
            metrics: Metrics::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and has browsers told.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock().state);
        self.changed.notify_one();
        result
    }

    /// Changes what may be shown a moment later, so that a change that comes then is not held back by it: a probe fails
    /// before a backend is down.
    pub(crate) fn detail<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock().state);
        self.detailed.notify_one();
        result
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    /// Passes on the beginning or end of a probe soon.
    pub(crate) fn beat(&self, beat: Beat) {
        let mut inner = self.lock();
        if self.beats.receiver_count() > 0 && inner.beats.len() < 4096 {
            inner.beats.push(beat);
            drop(inner);
            self.beaten.notify_one();
        }
    }

    /// Frontends that somebody looks at.
    pub(crate) fn looked_at(&self) -> BTreeSet<String> {
        self.lock().looked_at.keys().cloned().collect()
    }

    /// Publishes for ever what changes. Beats go on between frames, and do not hold the next one back.
    pub(crate) async fn publish(&self) {
        let frames = async {
            loop {
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = self.detailed.notified() => {
                        // It goes with the next change, or by itself.
                        drop(timeout(PACE, self.changed.notified()).await);
                    }
                }
                sleep(GATHER).await;
                if self.publish_frame(unix_ms(SystemTime::now()), Instant::now()) {
                    sleep(PACE - GATHER).await;
                }
            }
        };
        let beats = async {
            loop {
                self.beaten.notified().await;
                sleep(BEATS).await;
                self.publish_beats();
            }
        };
        join(frames, beats).await;
    }

    fn publish_beats(&self) {
        let beats = std::mem::take(&mut self.lock().beats);
        // An error means that nobody looks.
        drop(self.beats.send(Arc::new(beats)));
    }

    /// Whether there was anything to publish.
    fn publish_frame(&self, at_ms: u64, now: Instant) -> bool {
        self.frame(&mut self.lock(), at_ms, now)
    }

    fn frame(&self, inner: &mut Inner, at_ms: u64, now: Instant) -> bool {
        let (patch, (events, left_out)) = (inner.state.documents.take_patch(), inner.state.take_events());
        if patch.is_empty() && events.is_empty() {
            return false;
        }
        let frame = inner.ring.push(now, |number| {
            let id = self.id(number);
            let data =
                json!({ "id": id, "at": at_ms, "patch": patch, "events": events, "left_out": left_out });
            format!("id: {id}\nevent: patch\ndata: {data}\n\n").into()
        });
        self.metrics.frames.inc();
        // An error means that nobody looks.
        drop(self.frames.send(frame));
        true
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    /// The number of a frame of this process.
    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        let own = u64::from_str_radix(epoch, 16).is_ok_and(|epoch| epoch == self.epoch);
        number.parse().ok().filter(|_| own)
    }

    /// The whole state, at most some seconds old. The stream goes on where it ends.
    pub(crate) async fn snapshot(self: &Arc<Self>) -> Snapshot {
        let is_new = |snapshot: &Snapshot| snapshot.at.elapsed() < SNAPSHOT_AGE;
        let _one = self.copying.lock().await;
        if let Some(snapshot) = self.lock().snapshot.clone().filter(is_new) {
            return snapshot;
        }
        let (now, at_ms) = (Instant::now(), unix_ms(SystemTime::now()));
        let (rows, events, id) = {
            let mut inner = self.lock();
            // So that nothing is in it of what a later frame is the difference to.
            self.frame(&mut inner, at_ms, now);
            let events: Vec<_> = inner.state.events().cloned().collect();
            (inner.state.documents.rows(), events, self.id(inner.ring.last()))
        };
        let written = spawn_blocking(move || {
            let state = json!({ "id": id, "at": at_ms, "tables": rows, "events": events });
            let plain = Bytes::from(state.to_string());
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            // Writing to memory cannot fail.
            drop(gzip.write_all(&plain));
            let gzip = Bytes::from(gzip.finish().unwrap_or_default());
            Snapshot { at: now, plain, gzip }
        });
        let snapshot =
            written.await.unwrap_or_else(|_| Snapshot { at: now, plain: Bytes::new(), gzip: Bytes::new() });
        self.lock().snapshot = Some(snapshot.clone());
        snapshot
    }
}

pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
