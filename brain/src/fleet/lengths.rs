//! The VIPs' table lengths in the fleet: reads them for the controller, and writes those that VPP has acknowledged here and
//! that the fleet does not have. VPP never changes the length of a VIP, and a new load balancer must not choose another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_engine::fleet::records::{self, Key, Name, TableLength};
use maglev_engine::snapshot::{FrontendView, Snapshot, SyncStatus};
use maglev_protocol::VipKey;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::members;
use super::publish::Own;
use super::store::{Condition, StoreError, StoreRevision, Write};
use super::view::View;

/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(250);
/// Maximum number of lengths that are written at once.
const MOST_AT_ONCE: usize = 100;

/// The lengths in the fleet, decoded again only after a change.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    decoded: Vec<(Arc<str>, StoreRevision)>,
    lengths: Arc<BTreeMap<VipKey, u32>>,
}

impl Lengths {
    /// Those that a view has.
    pub(super) fn of(&mut self, fleet: &Name, view: &View) -> Arc<BTreeMap<VipKey, u32>> {
        let now = || view.below("lengths/").map(|(key, entry)| (key, entry.changed));
        if !now().eq(self.decoded.iter().map(|(key, changed)| (&**key, *changed))) {
            self.decoded = now().map(|(key, changed)| (key.into(), changed)).collect();
            let prefix = records::prefix(fleet);
            let lengths = view.below("lengths/").filter_map(|(key, entry)| {
                let Some(Key::Length(vip)) = Key::parse(fleet, format!("{prefix}{key}").as_bytes()) else {
                    return None;
                };
                let TableLength { length } = records::decode(&entry.value).ok()?;
                Some((vip, length))
            });
            self.lengths = Arc::new(lengths.collect());
        }
        Arc::clone(&self.lengths)
    }
}

/// The lengths to be written. One that VPP has here is written if the fleet has none, and replaces another only if the
/// configuration says so: two members that differ must not take turns.
fn due(snapshot: &Snapshot, known: &BTreeMap<VipKey, u32>) -> Vec<(VipKey, u32)> {
    let due = |view: &Arc<FrontendView>| {
        let length = view.table_length.filter(|_| view.sync == SyncStatus::Synced)?;
        let is_due = match known.get(&view.spec.key) {
            None => true,
            Some(found) => *found != length && view.frontend.new_flows_table_length == Some(length),
        };
        is_due.then_some((view.spec.key, length))
    };
    snapshot.frontends.values().filter_map(due).take(MOST_AT_ONCE).collect()
}

/// Runs forever. May be aborted at any point: what is missing is written at the next look.
pub(super) async fn publish(
    own: Own,
    mut view: watch::Receiver<Arc<View>>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
) {
    let (mut failures, mut known) = (0, Lengths::default());
    loop {
        let (seen, snapshot) =
            (Arc::clone(&view.borrow_and_update()), Arc::clone(&snapshots.borrow_and_update()));
        if seen.is_connected() {
            let known = known.of(&own.fleet, &seen);
            match write(&own, &seen, due(&snapshot, &known)).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if let StoreError::Refused(reason) = &error
                        && failures == 1
                    {
                        warn!(%reason, "table lengths cannot be written to etcd");
                    }
                    sleep(backoff(failures)).await;
                }
            }
        }
        sleep(PACE).await;
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
}

async fn write(own: &Own, view: &View, due: Vec<(VipKey, u32)>) -> Result<(), StoreError> {
    for (vip, length) in due {
        let key = Key::Length(vip);
        let relative = members::relative(&key, &own.fleet);
        // An operator repairs or deletes it.
        if view.refused.contains_key(&*relative) {
            continue;
        }
        let key = key.path(&own.fleet);
        let condition = match view.get(&relative) {
            Some(before) => Condition::ChangedBy(key.clone(), before.changed),
            None => Condition::Missing(key.clone()),
        };
        let Some(value) = own.encoded(&TableLength { length }) else { continue };
        if own.store.transact(vec![condition], vec![Write::Put(key, value, None)]).await?.is_some() {
            info!(%vip, length, "the fleet has the table length of this load balancer");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
