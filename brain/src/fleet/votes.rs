//! Writes this member's votes on health, with a lease of their own: a large table that is being written holds up no vote.

use std::sync::Arc;

use maglev_daemon::retry::backoff;
use maglev_engine::fleet::records::Key;
use maglev_engine::votes::Votes;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::health::Ballot;
use super::publish::{COALESCED, EXTENDED, LEASE, Own};
use super::store::{StoreError, Write};

/// Keeps this member's votes up to date, forever. May be aborted at any point: the lease ends by itself.
pub(super) async fn publish(own: Own, mut ballot: watch::Receiver<Ballot>) {
    let mut failures = 0;
    loop {
        // A member that does not vote needs no lease.
        if ballot.wait_for(|ballot| ballot.votes.is_some()).await.is_err() {
            return;
        }
        let mut was_written = false;
        // The task that follows the store logs its loss, and the one that writes the state logs a missing right.
        if publish_until_lost(&own, &mut ballot, &mut was_written).await.is_ok() {
            return;
        }
        failures = if was_written { 1 } else { failures + 1 };
        sleep(backoff(failures)).await;
    }
}

/// Ends without an error when the process does.
async fn publish_until_lost(
    own: &Own,
    ballot: &mut watch::Receiver<Ballot>,
    was_written: &mut bool,
) -> Result<(), StoreError> {
    let lease = own.store.grant(LEASE).await?;
    let mut written: Option<(Arc<Votes>, Instant)> = None;
    let mut extended = interval(EXTENDED);
    extended.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Ballot { votes, renewal } = ballot.borrow_and_update().clone();
        let due = written.as_ref().map(|(_, at)| *at + renewal);
        let is_due = |votes: &Arc<Votes>| {
            let is_same = written.as_ref().is_some_and(|(before, _)| before == votes);
            !is_same || due.is_none_or(|due| due <= Instant::now())
        };
        if let Some(votes) = votes.clone().filter(is_due) {
            if let Some(value) = own.encoded(&*votes) {
                let put = Write::Put(own.path(Key::Votes), value, Some(lease));
                own.store.transact(Vec::new(), vec![put]).await?;
                *was_written = true;
            }
            written = Some((votes, Instant::now()));
            sleep(COALESCED).await;
            continue;
        }
        let due = due.filter(|_| votes.is_some());
        tokio::select! {
            changed = ballot.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            _ = extended.tick() => own.store.keep_alive(lease).await?,
        }
    }
}
