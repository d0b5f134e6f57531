//! The stream of one browser.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream::{Stream, unfold};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Live;
use crate::ring::Frame;
use crate::rows::rounded;
use crate::state::Beat;

/// So that proxies, and browsers that were asleep, know that the stream lives.
const PING: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: &str = "retry: 1000\n\n";
/// Frontends whose probes one browser can follow.
const FOLLOWED: usize = 16;

/// Where a browser begins, and what it looks at.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The last frame that it has.
    pub(crate) since: Option<String>,
    /// Names of frontends whose probes it follows.
    pub(crate) frontends: Vec<String>,
}

struct Viewer {
    live: Arc<Live>,
    frames: Receiver<Arc<Frame>>,
    beats: Receiver<Arc<Vec<Beat>>>,
    pings: Interval,
    ready: VecDeque<Bytes>,
    /// The newest frame that it has.
    last: u64,
    frontends: Vec<String>,
    followed: BTreeSet<(String, String)>,
}

/// All frames after the one that the browser has, then those to come; `resync` where there is a gap.
pub(crate) fn watch(
    live: &Arc<Live>,
    wanted: Wanted,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
    let Wanted { since, mut frontends } = wanted;
    frontends.truncate(FOLLOWED);
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut inner = live.lock();
    // Under the lock, so that no frame is between those of the ring and those to come.
    let (frames, beats, last) = (live.frames.subscribe(), live.beats.subscribe(), inner.ring.last());
    let missed = since.and_then(|since| live.number(&since)).and_then(|number| inner.ring.after(number));
    for name in &frontends {
        *inner.looked_at.entry(name.clone()).or_default() += 1;
    }
    drop(inner);
    let mut ready = VecDeque::from([Bytes::from_static(RETRY.as_bytes())]);
    match missed {
        Some(missed) => ready.extend(missed.iter().map(|frame| frame.bytes.clone())),
        None => ready.push_back(resync()),
    }
    live.metrics.viewers.inc();
    let mut viewer = Viewer {
        live: Arc::clone(live),
        frames,
        beats,
        pings,
        ready,
        last,
        frontends,
        followed: BTreeSet::new(),
    };
    viewer.follow();
    unfold(viewer, |mut viewer| async move {
        let bytes = viewer.next().await?;
        viewer.live.metrics.sent.inc_by(bytes.len() as u64);
        Some((Ok(bytes), viewer))
    })
}

fn resync() -> Bytes {
    Bytes::from_static(b"event: resync\ndata: {}\n\n")
}

impl Viewer {
    async fn next(&mut self) -> Option<Bytes> {
        let ending = self.live.ending.clone();
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            tokio::select! {
                () = ending.cancelled() => return None,
                frame = self.frames.recv() => match frame {
                    // One that was in the ring already.
                    Ok(frame) if frame.number <= self.last => {}
                    Ok(frame) => {
                        self.last = frame.number;
                        return Some(frame.bytes.clone());
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.live.metrics.resyncs.inc();
                        return Some(resync());
                    }
                    Err(RecvError::Closed) => return None,
                },
                beats = self.beats.recv() => if let Ok(beats) = beats {
                    self.ready.extend(self.of_interest(&beats));
                },
                _ = self.pings.tick() => {
                    self.follow();
                    return Some(Bytes::from_static(b": ping\nevent: ping\ndata: {}\n\n"));
                }
            }
        }
    }

    /// Finds out which backends the frontends have.
    fn follow(&mut self) {
        self.followed = self.live.look(|state| state.backends_of(&self.frontends));
    }

    fn of_interest(&self, beats: &[Beat]) -> Option<Bytes> {
        let of_it = |beat: &&Beat| self.followed.contains(&(beat.server.to_string(), beat.backend.clone()));
        let beats: Vec<_> = beats
            .iter()
            .filter(of_it)
            .map(|beat| json!([&*beat.server, beat.backend, ended(beat)]))
            .collect();
        (!beats.is_empty()).then(|| format!("event: beats\ndata: {}\n\n", json!(beats)).into())
    }
}

fn ended(beat: &Beat) -> Value {
    beat.ended.map_or(Value::Null, |(at, took, passed)| json!([at, rounded(took), passed]))
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.live.metrics.viewers.dec();
        let mut inner = self.live.lock();
        for name in &self.frontends {
            if let Some(count) = inner.looked_at.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    inner.looked_at.remove(name);
                }
            }
        }
    }
}
