//! Waits for confirmations, and goes back without one; retries what could not be persisted.

use std::future::pending;
use std::time::SystemTime;

use maglev_daemon::retry::backoff;
use maglev_daemon::until;
use maglev_engine::revisions::{Clock, Pending, Tick};
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use super::Reloader;
use super::applied::whole_seconds;
use crate::controller::Terms;

impl Reloader {
    /// Watches over the configuration in use, forever. May be aborted at any point: what is not confirmed is on record.
    pub async fn keep_watch(self) {
        let mut standing = self.standing.subscribe();
        let mut clock: Option<(Pending, Clock)> = None;
        let (mut stuck, mut unsaved) = (0, 0);
        loop {
            let (missing, is_unsaved) = {
                let standing = standing.borrow_and_update();
                (standing.current.as_ref().and_then(|current| current.pending), standing.unsaved.is_some())
            };
            // An unchanged time goes on by the clock that nobody sets.
            clock = missing.map(|missing| match clock {
                Some((same, clock)) if same == missing => (missing, clock),
                _ => (missing, missing.clock(SystemTime::now(), Instant::now().into_std())),
            });
            let tick = clock.as_mut().map(|(_, clock)| clock.tick(Instant::now().into_std()));
            if let Some(Tick::Warn(left)) = tick {
                self.warn(whole_seconds(left)).await;
                continue;
            }
            let next = async {
                match tick {
                    Some(Tick::Wait(until_then)) => until(Some(until_then)).await,
                    Some(_) => sleep(backoff(stuck)).await,
                    None => pending().await,
                }
            };
            let again =
                async { if is_unsaved { sleep(backoff(unsaved + 1)).await } else { pending().await } };
            tokio::select! {
                // Its sender is in `self`.
                changed = standing.changed() => if changed.is_err() { return },
                () = next => if let Some(Tick::GoBack) = tick {
                    match self.go_back().await {
                        Ok(()) => stuck = 0,
                        Err(error) => {
                            error!(%error, "nobody has confirmed the configuration, and it cannot go back");
                            stuck += 1;
                        }
                    }
                },
                () = again => unsaved = if self.save_again().await { 0 } else { unsaved + 1 },
            }
        }
    }

    async fn warn(&self, left: std::time::Duration) {
        let standing = self.standing();
        let Some((number, pending)) =
            standing.current.and_then(|current| Some((current.number, current.pending?)))
        else {
            return;
        };
        let left = humantime::format_duration(left).to_string();
        warn!(number, back_to = pending.back_to, %left, "the configuration goes back soon: nobody has confirmed it");
        let what = format!(
            "configuration {number} goes back to {} in {left}: nobody has confirmed it",
            pending.back_to
        );
        self.announce(what, Terms::default()).await;
    }
}
