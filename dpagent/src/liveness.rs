//! Whether VPP answers, asked several times a second, whatever else is under way.
//!
//! Health checks go through VPP: while it is silent, a check that fails says nothing about its backend. So the brain is
//! told of a silence as soon as it shows, and nothing is lowered without an answer of VPP right before.

use std::time::Duration;

use maglev_protocol::Liveness;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};
use vppapi::client::{Client, ClientError};
use vppapi::messages::{ControlPing, Message};

use crate::heard::Heard;

/// How long VPP may have answered nothing before it is pinged, which costs it some 50 us (measured on VPP 26.10). That it
/// died shows at once, without asking.
const PING: Duration = Duration::from_millis(100);
/// How long VPP may take to answer before it counts as silent. Its main thread makes a dump of 40,000 servers in 112 ms
/// and the text about them in 44 ms (measured on VPP 26.10).
pub const SILENT: Duration = Duration::from_millis(200);
/// How long VPP may take to answer before the connection is given up. While it is busy for longer (with a huge command of
/// somebody else, or a table of routes being dumped), it mostly forwards nothing either, and being taken for
/// disconnected costs it one full read.
const GIVE_UP: Duration = Duration::from_secs(2);
/// If the agent itself was stalled, a timeout may expire with the answer already in the socket; waiting in parts, a stall
/// costs one part.
const PARTS: u32 = 4;

/// A silence of VPP, as it is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Silence {
    generation: u64,
    since: Option<Instant>,
}

impl Silence {
    /// VPP has answered nothing since then, or answers. False if that is what was known.
    pub fn change(&mut self, since: Option<Instant>) -> bool {
        let changed = self.since.is_some() != since.is_some();
        if changed {
            (self.generation, self.since) = (self.generation + 1, since);
        }
        changed
    }

    /// As the brain is told.
    pub fn liveness(&self, now: Instant) -> Liveness {
        Liveness {
            generation: self.generation,
            silent_for: self.since.map(|since| now.saturating_duration_since(since)),
        }
    }

    /// Number of the changes so far.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Pings VPP for as long as it answers, and tells `publish` when it falls silent and answers again. Returns why the
/// connection is to be given up.
pub async fn watch(client: &Client, heard: &Heard, publish: impl Fn(Option<Instant>)) -> ClientError {
    loop {
        // Whatever was answered meanwhile makes a ping needless.
        while heard.silence() < PING {
            sleep_until(heard.at() + PING).await;
        }
        let (mut ping, asked) = (std::pin::pin!(client.ping()), Instant::now());
        let mut silent_since = None;
        let answer = loop {
            let limit = if silent_since.is_none() { SILENT } else { GIVE_UP - SILENT };
            let mut answer = None;
            for _ in 0..PARTS {
                answer = timeout(limit / PARTS, &mut ping).await.ok();
                if answer.is_some() {
                    break;
                }
            }
            match answer {
                Some(answer) => break answer,
                None if silent_since.is_none() => {
                    silent_since = Some(heard.at());
                    publish(silent_since);
                    let silent_ms = heard.silence().as_millis();
                    warn!(silent_ms, "VPP does not answer: nothing is lowered until it does");
                }
                None => {
                    return ClientError::Timeout { message: ControlPing::NAME, after: GIVE_UP, sent: true };
                }
            }
        };
        if let Err(error) = heard.note(answer) {
            return error;
        }
        if let Some(since) = silent_since {
            publish(None);
            let silent_ms = since.elapsed().as_millis();
            info!(silent_ms, answered_after_ms = asked.elapsed().as_millis(), "VPP answers again");
        }
    }
}

#[cfg(test)]
mod tests;
