//! Whether all members have the same tables: the digest of this one's, and its comparison with those of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use maglev_engine::fleet::digest::{self, Comparison, Difference, Reason, Side, differences};
use maglev_engine::fleet::records::{self, MemberState, Name, Tables};
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use maglev_protocol::{Programmed, ProgrammedVip, VipKey, VipSpec, VppState};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::members;
use super::store::StoreRevision;
use super::view::View;
use super::{Fleet, news};
use crate::controller::Operator;

/// Shortest time between two comparisons.
const PACE: Duration = Duration::from_millis(250);
/// What VPP has of each VIP, as far as it has acknowledged it: the servers, and the table length.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    vips: BTreeMap<VipKey, (Arc<VipSpec>, u32)>,
}

impl Acknowledged {
    /// Takes over what VPP has acknowledged now. A decision that is on its way counts only once it has arrived; until then the
    /// VIP stays as it was.
    pub(super) fn digest(&mut self, snapshot: &Snapshot) -> Tables {
        let vpp = snapshot.agent.vpp.as_ref();
        // Without the agent, VPP goes on with what it has.
        let is_gone = vpp.is_some_and(|(vpp, _)| !matches!(vpp.state, VppState::Connected { .. }));
        let mut before = std::mem::take(&mut self.vips);
        let mut decided = Vec::with_capacity(snapshot.frontends.len());
        for view in snapshot.frontends.values() {
            let known = match (&view.sync, view.table_length) {
                _ if is_gone => None,
                (SyncStatus::Synced, Some(length)) => Some((Arc::clone(&view.spec), length)),
                _ => before.remove(&view.spec.key),
            };
            decided.push(match (&view.sync, &known) {
                (SyncStatus::Pending, Some((spec, _))) => Arc::clone(spec),
                _ => Arc::clone(&view.spec),
            });
            self.vips.extend(known.map(|known| (view.spec.key, known)));
        }
        let vips = self.vips.iter().map(|(key, (spec, length))| ProgrammedVip {
            key: *key,
            new_flows_table_length: *length,
            servers: spec.servers.iter().map(|(address, server)| (*address, server.weight)).collect(),
        });
        let programmed = Programmed { vips: vips.collect(), ..Programmed::default() };
        digest::tables(decided.iter().map(|spec| &**spec), &programmed)
    }
}

/// The members' tables, compared with this one's.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared {
    own: Arc<Tables>,
    /// Of the other members that are not away; of none while etcd is not followed.
    others: BTreeMap<Name, Arc<Tables>>,
    /// All differences now.
    found: BTreeMap<(VipKey, Name), Reason>,
    /// Those that have lasted for too long, and since when.
    standing: BTreeMap<(VipKey, Name), (Moment, Reason)>,
}

/// The task.
#[derive(Debug)]
pub(super) struct Comparing {
    pub(super) member: Name,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) state: watch::Receiver<MemberState>,
    pub(super) acknowledged: Acknowledged,
    pub(super) operator: Operator,
}

impl Comparing {
    /// Runs forever. May be aborted at any point: it only reads.
    pub(super) async fn run(mut self, tables: watch::Sender<Arc<Tables>>, compared: watch::Sender<Compared>) {
        let (mut read, mut comparison) = (OthersTables::new(), Comparison::default());
        // Most snapshots are about health, and change no table.
        let mut digested: Option<(Arc<Snapshot>, Arc<Tables>)> = None;
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            let state = self.state.borrow_and_update().clone();
            let is_same = digested.as_ref().is_some_and(|(digested, _)| {
                digested.frontends.ptr_eq(&snapshot.frontends)
                    && Arc::ptr_eq(&digested.agent, &snapshot.agent)
            });
            let now = match &digested {
                Some((_, now)) if is_same => Arc::clone(now),
                _ => Arc::new(self.acknowledged.digest(&snapshot)),
            };
            digested = Some((Arc::clone(&snapshot), Arc::clone(&now)));
            tables.send_if_modified(|before| {
                let is_news = *before != now;
                before.clone_from(&now);
                is_news
            });
            // Short differences are normal: a sync ends those that nobody decided.
            let patience = snapshot.config.lb.sync_interval.saturating_mul(2);
            let mut result = Compared { own: now, ..Compared::default() };
            if view.is_connected() {
                result.others = others(&view, &self.member, &mut read);
                result.found = found(&view, (&state, &result.own), &result.others);
                let news = comparison.see(&result.found, patience, Instant::now().into_std());
                let told = news::of_tables(&news, |member| result.others.contains_key(member));
                news::tell(&self.operator, told).await;
                let standing = comparison.standing();
                let standing =
                    standing.map(|(vip, member, since, reason)| ((*vip, member.clone()), (since, reason)));
                result.standing = standing.collect();
            }
            compared.send_replace(result);
            let due = comparison.next(patience).filter(|_| view.is_connected());
            let due = due.map_or_else(|| Instant::now() + patience, Instant::from_std);
            sleep(PACE).await;
            tokio::select! {
                changed = self.view.changed() => if changed.is_err() { return },
                changed = self.snapshots.changed() => if changed.is_err() { return },
                changed = self.state.changed() => if changed.is_err() { return },
                () = sleep_until(due) => {}
            }
        }
    }
}

/// The other members' tables, with the number of their parts and the newest revision of these.
type OthersTables = BTreeMap<Name, ((usize, StoreRevision), Arc<Tables>)>;

/// The tables of the other members. Those that have not changed are not decoded again.
fn others(view: &View, own: &Name, read: &mut OthersTables) -> BTreeMap<Name, Arc<Tables>> {
    let mut before = std::mem::take(read);
    for name in members::states(view).into_keys().filter(|name| name != own) {
        let prefix = format!("members/{name}/tables/");
        let parts = || view.below(&prefix).map(|(_, entry)| entry);
        // A part that is written has a later revision than all others, and one that is deleted is one less.
        let Some(newest) = parts().map(|entry| entry.changed).max() else { continue };
        let state = (parts().count(), newest);
        let kept = before.remove(&name).filter(|(read, _)| *read == state);
        let tables = kept.map_or_else(
            || {
                let decoded = parts().filter_map(|entry| records::decode(&entry.value).ok());
                Arc::new(Tables::of_parts(&decoded.collect::<Vec<_>>()))
            },
            |(_, tables)| tables,
        );
        read.insert(name, (state, tables));
    }
    read.iter().map(|(name, (_, tables))| (name.clone(), Arc::clone(tables))).collect()
}

fn found(
    view: &View,
    (state, own): (&MemberState, &Tables),
    others: &BTreeMap<Name, Arc<Tables>>,
) -> BTreeMap<(VipKey, Name), Reason> {
    let states = members::states(view);
    let others = others.iter().filter_map(|(name, tables)| {
        let state = states.get(name)?;
        Some((name.clone(), Side { state, tables }))
    });
    let others = others.collect();
    let newest_intent = view.below("intents/").map(|(_, entry)| entry.changed).max().unwrap_or_default();
    let newest_intent = u64::try_from(newest_intent).unwrap_or_default();
    differences(&Side { state, tables: own }, &others, newest_intent)
}

/// The tables of a VIP on all members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatus {
    /// What this member has; `None`: it does not have the VIP.
    pub own: Option<records::Digest>,
    /// Number of members that have the same, this one included.
    pub equal: usize,
    /// The members that have something else.
    pub differences: Vec<TableDifference>,
}

/// How another member's table differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    /// The member.
    pub member: Name,
    /// Why.
    pub reason: Reason,
    /// Whether it has lasted for longer than two sync intervals.
    pub is_lasting: bool,
    /// What it has; `None`: it does not have the VIP.
    pub digest: Option<records::Digest>,
}

/// The tables of all members.
#[derive(Debug, Clone, Default)]
pub struct TablesStatus {
    /// All members.
    pub members: BTreeSet<Name>,
    /// Those whose tables are not known: they are away, or etcd is.
    pub unknown: BTreeSet<Name>,
    /// By VIP.
    pub vips: BTreeMap<VipKey, TableStatus>,
}

impl Compared {
    /// The differences that have lasted for too long.
    pub(super) fn standing(&self, now: Moment) -> Vec<Difference> {
        let difference =
            |((vip, member), (since, reason)): (&(VipKey, Name), &(Moment, Reason))| Difference {
                vip: *vip,
                member: member.clone(),
                lasts: now.saturating_duration_since(*since),
                reason: *reason,
            };
        self.standing.iter().map(difference).collect()
    }

    fn vips(&self) -> BTreeMap<VipKey, TableStatus> {
        let members = self.others.len() + 1;
        let status = |own| TableStatus { own, equal: members, differences: Vec::new() };
        let mut vips: BTreeMap<_, _> =
            self.own.vips.iter().map(|digest| (digest.vip, status(Some(*digest)))).collect();
        for ((vip, member), reason) in &self.found {
            let tables = self.others.get(member).map(|tables| &*tables.vips).unwrap_or_default();
            let digest = tables.binary_search_by_key(vip, |digest| digest.vip).ok();
            let row = vips.entry(*vip).or_insert_with(|| status(None));
            row.equal = row.equal.saturating_sub(1);
            row.differences.push(TableDifference {
                member: member.clone(),
                reason: *reason,
                is_lasting: self.standing.contains_key(&(*vip, member.clone())),
                digest: digest.and_then(|index| tables.get(index).copied()),
            });
        }
        vips
    }
}

impl Fleet {
    /// What all members have in VPP, as this one sees it.
    pub fn tables(&self) -> TablesStatus {
        let compared = self.compared.borrow().clone();
        let mut members = members::known(&self.view());
        members.extend(compared.others.keys().cloned());
        members.insert(self.member.clone());
        let is_unknown = |name: &&Name| **name != self.member && !compared.others.contains_key(*name);
        let unknown = members.iter().filter(is_unknown).cloned().collect();
        TablesStatus { unknown, vips: compared.vips(), members }
    }
}

#[cfg(test)]
mod tests;
