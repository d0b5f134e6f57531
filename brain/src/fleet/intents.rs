//! Brings this member's overrides to the fleet's intents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_engine::core::CommandError;
use maglev_engine::fleet::intents::{self, Change, Dated, Lifetimes, Memory};
use maglev_engine::fleet::records::{self, Intent, IntentKey, Key, LONGEST_REASON, Name, clean, prefix};
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::publish::Own;
use super::store::{Condition, StoreRevision, Write};
use super::view::View;
use crate::controller::{Operator, Terms};

/// How often this is looked at without a change: for intents that end by themselves, and commands that failed.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(50);
/// How long VPP's acknowledgement is waited for before it is told what is missing.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
/// Intents are deleted so long after they have ended by themselves.
const OVER: Duration = Duration::from_secs(60);
/// Maximum number of them deleted at once.
const MOST_DELETED: usize = 32;

/// How far this member is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The revision of the store up to which all intents are applied, and in VPP unless the member's state says otherwise.
    pub(super) applied: u64,
    /// Overrides that are set only here.
    pub(super) local: u64,
    /// Why an intent is not applied.
    pub(super) stuck: Option<String>,
}

/// The task.
#[derive(Debug)]
pub(super) struct Intents {
    pub(super) own: Own,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) operator: Operator,
    /// What was applied; operators add what they set only here.
    pub(super) memory: watch::Sender<Memory>,
}

impl Intents {
    /// Runs forever. May be aborted at any point: what was applied is applied again.
    pub(super) async fn run(mut self, progress: watch::Sender<Progress>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memories = self.memory.subscribe();
        // The intents of the last look, all of which were applied.
        let mut seen: Option<BTreeMap<IntentKey, Dated>> = None;
        let (mut known, mut wanted): (Vec<(Arc<str>, StoreRevision)>, _) = (Vec::new(), BTreeMap::new());
        let (mut lifetimes, mut link) = (Lifetimes::default(), None);
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            memories.borrow_and_update();
            // Decoding thousands of them takes long; looking at their revisions does not.
            if !view
                .below("intents/")
                .map(|(key, entry)| (key, entry.changed))
                .eq(known.iter().map(|(key, changed)| (&**key, *changed)))
            {
                known = view
                    .below("intents/")
                    .map(|(_, entry)| (Arc::clone(&entry.key), entry.changed))
                    .collect();
                wanted = self::wanted(&view, &self.own.fleet);
                // Over the same connection, each change has come when it was made.
                let is_watched = view.is_connected() && link.as_ref() == Some(&view.link);
                lifetimes.see(&mut wanted, is_watched, SystemTime::now(), Instant::now().into_std());
            }
            link = Some(view.link.clone());
            let revision = u64::try_from(view.revision).unwrap_or_default();
            self.memory.send_if_modified(|memory| go_back(memory, revision));
            let stuck = self.apply(&wanted, &snapshot).await;
            let is_new = seen.as_ref() != Some(&wanted);
            let snapshot = Arc::clone(&self.snapshots.borrow());
            let local = intents::local_only(&self.memory.borrow(), &snapshot.overrides).len();
            progress.send_if_modified(|before| {
                let mut now =
                    Progress { local: u64::try_from(local).unwrap_or(u64::MAX), stuck, ..before.clone() };
                if now.stuck.is_none() && (is_new || now.applied > revision) {
                    now.applied = revision;
                    seen = Some(wanted.clone());
                }
                std::mem::replace(before, now.clone()) != now
            });
            self.delete_ended(&view, &wanted, &lifetimes).await;
            sleep(PACE).await;
            tokio::select! {
                changed = self.view.changed() => if changed.is_err() { return },
                changed = self.snapshots.changed() => if changed.is_err() { return },
                // Its sender is in `self`.
                _ = memories.changed() => {}
                _ = ticks.tick() => {}
            }
        }
    }

    /// Applies what is missing; says what cannot be applied.
    async fn apply(&mut self, wanted: &BTreeMap<IntentKey, Dated>, snapshot: &Snapshot) -> Option<String> {
        let changes = {
            let memory = self.memory.borrow();
            intents::changes(wanted, &memory, &snapshot.overrides, &snapshot.config, SystemTime::now())
        };
        let (mut stuck, mut has_changed) = (None, false);
        for change in changes {
            match self.carry_out(&change).await {
                Ok(()) => {
                    has_changed |= !change.commands.is_empty();
                    self.memory.send_modify(|memory| memory.note(&change));
                }
                Err(error) => {
                    let reason = format!("the fleet's intent for {}: {error}", change.key);
                    stuck = Some(clean(&reason, LONGEST_REASON));
                }
            }
        }
        if has_changed {
            // Otherwise the member's state tells what is missing.
            drop(timeout(ACKNOWLEDGED_WITHIN, self.snapshots.wait_for(|now| is_settled(now))).await);
        }
        stuck
    }

    async fn carry_out(&self, change: &Change) -> Result<(), CommandError> {
        for (command, remark) in &change.commands {
            info!(%command, who = remark.who.as_deref(), "an intent of the fleet");
            let terms = Terms { no_wait: true, remark: remark.clone(), ..Terms::default() };
            match self.operator.command(terms, command.clone()).await {
                Ok(_) | Err(CommandError::NothingSet(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes intents that ended by themselves; whichever member comes first.
    async fn delete_ended(&self, view: &View, wanted: &BTreeMap<IntentKey, Dated>, lifetimes: &Lifetimes) {
        let ended = lifetimes.over(OVER, Instant::now().into_std());
        let ended = ended.filter_map(|key| wanted.get_key_value(key)).take(MOST_DELETED);
        let (mut conditions, mut writes) = (Vec::new(), Vec::new());
        for (key, dated) in ended.filter(|_| view.is_connected()) {
            let path = Key::Intent(key.clone()).path(&self.own.fleet);
            let Ok(revision) = StoreRevision::try_from(dated.revision) else { continue };
            conditions.push(Condition::ChangedBy(path.clone(), revision));
            writes.push(Write::Delete(path));
        }
        if writes.is_empty() {
            return;
        }
        if let Err(error) = self.own.store.transact(conditions, writes).await {
            warn!(%error, "intents that have ended cannot be deleted");
        }
    }
}

/// A store that was restored counts from a lower revision: what comes after it is newer than what was set only here. Returns
/// whether that changes anything.
fn go_back(memory: &mut Memory, revision: u64) -> bool {
    let later = memory.local.values_mut().filter(|known| **known > revision);
    later.map(|known| *known = revision).count() > 0
}

/// Whether VPP has acknowledged everything that it can be told now.
fn is_settled(snapshot: &Snapshot) -> bool {
    !snapshot.agent.can_program() || snapshot.frontends.values().all(|view| view.sync != SyncStatus::Pending)
}

/// The fleet's intents.
pub(super) fn wanted(view: &View, fleet: &Name) -> BTreeMap<IntentKey, Dated> {
    let intents = view.below("intents/").filter_map(|(key, entry)| {
        let Some(Key::Intent(key)) = Key::parse(fleet, format!("{}{key}", prefix(fleet)).as_bytes()) else {
            return None;
        };
        let intent: Intent = records::decode(&entry.value).ok()?;
        Some((key, Dated { intent, revision: u64::try_from(entry.changed).ok()? }))
    });
    intents.collect()
}
