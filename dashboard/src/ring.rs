//! The newest frames of the stream, for browsers that were away for a moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;

/// How long a frame can be asked for again.
const AGE: Duration = Duration::from_secs(30);
/// How many frames are kept at most.
const FRAMES: usize = 2_000;
/// How many bytes of them are kept at most.
const BYTES: usize = 32 << 20;

/// A part of the stream, as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Frame {
    /// From 1, without a gap.
    pub(crate) number: u64,
    pub(crate) at: Instant,
    pub(crate) bytes: Bytes,
}

/// The newest frames, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    last: u64,
}

impl Ring {
    /// The number of the newest frame; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Adds a frame, which `bytes` makes for its number.
    pub(crate) fn push(&mut self, now: Instant, bytes: impl FnOnce(u64) -> Bytes) -> Arc<Frame> {
        self.last += 1;
        let frame = Arc::new(Frame { number: self.last, at: now, bytes: bytes(self.last) });
        self.bytes += frame.bytes.len();
        self.frames.push_back(Arc::clone(&frame));
        let is_over = |ring: &Self, oldest: &Frame| {
            ring.frames.len() > FRAMES || ring.bytes > BYTES || now.saturating_duration_since(oldest.at) > AGE
        };
        while let Some(oldest) = self.frames.front().cloned().filter(|oldest| is_over(self, oldest)) {
            self.bytes -= oldest.bytes.len();
            self.frames.pop_front();
        }
        frame
    }

    /// All frames after this one; `None` if one of them is gone, or this one never was.
    pub(crate) fn after(&self, number: u64) -> Option<Vec<Arc<Frame>>> {
        let missing = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let first = self.frames.len().checked_sub(missing)?;
        Some(self.frames.iter().skip(first).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
