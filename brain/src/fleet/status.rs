//! The fleet as this member sees it, as one value for readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use maglev_engine::fleet::digest::Difference;
use maglev_engine::fleet::records::{self, MemberInfo, MemberState, Name, Revision, Rival, Rollout, unix_ms};
use maglev_engine::health::State;
use maglev_engine::snapshot::Snapshot;
use tokio::time::Instant;

use super::Fleet;
use super::members;
use super::view::{Link, View};

/// The fleet.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub fleet: Name,
    /// This member's name.
    pub member: Name,
    /// The link to etcd.
    pub link: Link,
    /// The current rollout, if there was ever one.
    pub rollout: Option<Rollout>,
    /// All members, by name.
    pub members: Vec<MemberStatus>,
    /// Keys whose newest value is refused, and why. An earlier one stays in use.
    pub refused: Vec<(Arc<str>, Arc<str>)>,
    /// Number of keys beyond a limit.
    pub left_out: usize,
    /// Why a restart would not know what this member knows of the fleet, if that is so.
    pub unsaved: Option<String>,
    /// Tables that have differed from those of other members for too long.
    pub differences: Vec<Difference>,
    /// Recognizes this process among machines with one name.
    pub instance: u64,
    /// Since when this member is cut off from the backends, if it is.
    pub cut_off: Option<SystemTime>,
    /// True if its routes are withdrawn for that.
    pub withdraws: bool,
    /// Number of backends that the votes keep in service here, and that they take out of it.
    pub overruled: Overruled,
}

/// Backends whose state here is overruled by the fleet's votes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overruled {
    /// Down here, and kept in service.
    pub kept: usize,
    /// Not down here, and taken out of service.
    pub down: usize,
}

impl Overruled {
    fn of(snapshot: &Snapshot) -> Self {
        let states = snapshot.backends.values().filter_map(|view| Some(view.overruled.as_ref()?.counts_as));
        states.fold(Self::default(), |Self { kept, down }, state| match state {
            State::Down => Self { kept, down: down + 1 },
            _ => Self { kept: kept + 1, down },
        })
    }
}

/// A member.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// Who it is.
    pub info: MemberInfo,
    /// Its state; `None` if it is away.
    pub state: Option<MemberState>,
    /// Another machine with its name, which therefore publishes nothing.
    pub rival: Option<Rival>,
}

impl Fleet {
    /// The fleet now.
    pub fn status(&self) -> Status {
        let (view, snapshot) = (self.view(), Arc::clone(&self.snapshots.borrow()));
        let mut states = if view.is_connected() { members::states(&view) } else { BTreeMap::new() };
        // What this member knows of itself needs no store.
        let own = MemberState { clock_ms: unix_ms(SystemTime::now()), ..self.state.borrow().clone() };
        states.insert(self.member.clone(), own);
        let names: BTreeSet<_> = members::known(&view).into_iter().chain(states.keys().cloned()).collect();
        let members = names.into_iter().map(|name| {
            let state = states.remove(&name);
            let info = info(&view, &name).unwrap_or_else(|| MemberInfo {
                name: name.clone(),
                version: if name == self.member {
                    env!("CARGO_PKG_VERSION").to_owned()
                } else {
                    String::new()
                },
                first_seen_ms: 0,
            });
            MemberStatus { info, state, rival: members::rival(&view, &name) }
        });
        Status {
            fleet: self.fleet.clone(),
            member: self.member.clone(),
            link: view.link.clone(),
            rollout: members::rollout(&view).map(|(rollout, _)| rollout),
            members: members.collect(),
            refused: view.refused.iter().map(|(key, why)| (Arc::clone(key), Arc::clone(why))).collect(),
            left_out: view.left_out,
            unsaved: self.unsaved.borrow().clone(),
            instance: self.instance,
            differences: self.compared.borrow().standing(Instant::now().into_std()),
            cut_off: snapshot.fleet.cut_off,
            withdraws: snapshot.fleet.withdraws,
            overruled: Overruled::of(&snapshot),
        }
    }

    /// The revisions of the configuration in the store, newest first.
    pub fn configs(&self) -> Vec<Revision> {
        let view = self.view();
        let mut revisions: Vec<Revision> =
            view.below("config/").filter_map(|(_, entry)| records::decode(&entry.value).ok()).collect();
        revisions.reverse();
        revisions
    }
}

fn info(view: &View, member: &Name) -> Option<MemberInfo> {
    records::decode(&view.get(&format!("members/{member}/info"))?.value).ok()
}
