//! A fleet: several load balancers with one configuration and one set of operators' intents.
//!
//! etcd is a mailbox: this member acts on its last good copy, and nothing here is waited for by a probe, a decision or VPP.
//!
//! - `store`, `etcd`: the mailbox
//! - `view`, `follow`, `mirror`: the last good copy, in memory and in the state directory
//! - `members`: what that copy says of the members
//! - `member`: takes the revision that the rollout asks for; `publish`: tells the others; `identity`: two machines with one name
//! - `news`: tells watchers, the history and webhooks
//! - `tables`: compares what VPP has here with what it has on the others
//! - `health`: collects the members' votes on health, and casts this one's, which `votes` writes
//! - `lengths`: the table length of each VIP, which all members use for a new one
//! - `intents`: brings overrides to the fleet's intents
//! - `operate`, `intend`: operators' changes; `preview`: their effect on all members

mod counts;
mod etcd;
mod follow;
mod health;
mod identity;
mod intend;
mod intents;
mod lengths;
mod member;
mod members;
mod mirror;
mod news;
mod operate;
pub(crate) mod preview;
mod publish;
pub mod settings;
mod status;
pub mod store;
mod tables;
pub mod view;
mod votes;

use std::sync::Arc;

use maglev_daemon::vital::vital;
use maglev_engine::fleet::intents::Memory;
use maglev_engine::fleet::records::{
    self, Intent, Key, MemberInfo, MemberState, Name, Revision, Rival, Rollout, TableLength, Tables, prefix,
};
use maglev_engine::fleet::withdrawal::Withdrawal;
use maglev_engine::preview::summary::Answer;
use maglev_engine::snapshot::Snapshot;
use maglev_engine::votes::Votes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

pub use intend::{LocalNotes, MemberResult};
pub use operate::{Author, FleetError};
pub use preview::MemberPreview;
pub use status::{MemberStatus, Overruled, Status};
pub use tables::{TableDifference, TableStatus, TablesStatus};

use crate::controller::Controller;
use crate::reload::Reloader;
use crate::state::mirrors::Mirrors;
use counts::Counts;
use etcd::Etcd;
use health::{Ballot, Polling};
use intents::{Intents, Progress};
use preview::Previewing;
use publish::Own;
use settings::{EtcdSettings, Settings};
use store::Store;
use tables::{Acknowledged, Compared, Comparing};
use view::View;

/// This member's place in its fleet. Clones share everything.
#[derive(Debug, Clone)]
pub struct Fleet {
    fleet: Name,
    member: Name,
    store: Arc<dyn Store>,
    view: watch::Receiver<Arc<View>>,
    state: watch::Receiver<MemberState>,
    unsaved: watch::Receiver<Option<String>>,
    memory: watch::Sender<Memory>,
    compared: watch::Receiver<Compared>,
    /// Recognizes this process.
    instance: u64,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// The store of a fleet in etcd, which is connected to when it is first used.
pub fn store_in_etcd(settings: EtcdSettings) -> Arc<dyn Store> {
    Arc::new(Etcd::new(settings))
}

/// Starts the tasks of a member on the runtime for services. `instance` is random, and no secret.
pub fn start(
    settings: Settings,
    mirrors: Mirrors,
    controller: &Controller,
    reloader: Reloader,
    services: &Handle,
    instance: u64,
) -> Fleet {
    let Settings { name: fleet, member, etcd } = settings;
    let (known, memory) = mirror::load(&mirrors, &fleet).unwrap_or_else(|why| {
        warn!(%why, "no copy of the fleet from before the start can be used");
        (View::new([], 0), Memory::default())
    });
    let memory = watch::Sender::new(memory);
    let store = store_in_etcd(etcd);
    let (view, views) = watch::channel(Arc::new(known));
    let (unsaved, unsaved_rx) = watch::channel(None);
    let (state, states) = watch::channel(member::nothing());
    let own = Own { fleet: fleet.clone(), member: member.clone(), store: Arc::clone(&store), instance };
    let check = {
        let fleet = fleet.clone();
        Arc::new(move |key: &str, value: &[u8]| check(&fleet, key, value))
    };
    let following = follow::follow(Arc::clone(&store), prefix(&fleet), check, view);
    services.spawn(vital("the fleet's changes", following));
    let keeping = mirror::keep(mirrors, fleet.clone(), views.clone(), memory.subscribe(), unsaved);
    services.spawn(vital("the fleet's copy", keeping));
    let (progress, progress_rx) = watch::channel(Progress::default());
    let intents = Intents {
        own: own.clone(),
        view: views.clone(),
        snapshots: controller.snapshots.clone(),
        operator: controller.operator.clone(),
        memory: memory.clone(),
    };
    services.spawn(vital("the fleet's intents", intents.run(progress)));
    let operator = controller.operator.clone();
    let previewing =
        Previewing { own: own.clone(), view: views.clone(), reloader: reloader.clone(), operator };
    services.spawn(vital("the fleet's previews", previewing.run()));
    let snapshot = Arc::clone(&controller.snapshots.borrow());
    let counts = Counts::new(controller.operator.events(), &snapshot);
    let (withdrawal, withdrawals) = watch::channel(Withdrawal::Stay);
    let told = (views.clone(), progress_rx, withdrawals);
    let task = member::Member::new(own.clone(), told, reloader, controller, counts);
    services.spawn(vital("the fleet's rollouts", task.run(state)));
    let mut acknowledged = Acknowledged::default();
    let (tables, tables_rx) = watch::channel(Arc::new(acknowledged.digest(&snapshot)));
    let (compared, compared_rx) = watch::channel(Compared::default());
    let comparing = Comparing {
        member: member.clone(),
        view: views.clone(),
        snapshots: controller.snapshots.clone(),
        state: states.clone(),
        acknowledged,
        operator: controller.operator.clone(),
    };
    services.spawn(vital("the fleet's tables", comparing.run(tables, compared)));
    let (written, written_rx) = watch::channel(None);
    let (ballot, ballots) = watch::channel(Ballot::of(&snapshot, Instant::now().into_std()).0);
    let polling = Polling {
        fleet: fleet.clone(),
        member: member.clone(),
        view: views.clone(),
        snapshots: controller.snapshots.clone(),
        written: written_rx,
    };
    services.spawn(vital("the fleet's health", polling.run(ballot, controller.fleet.clone(), withdrawal)));
    services.spawn(vital("this member's votes", votes::publish(own.clone(), ballots)));
    let writing = lengths::publish(own.clone(), views.clone(), controller.snapshots.clone());
    services.spawn(vital("the fleet's table lengths", writing));
    let publishing = publish::publish(own, (states.clone(), tables_rx), written, views.clone());
    services.spawn(vital("this member's state", publishing));
    Fleet {
        fleet,
        member,
        store,
        view: views,
        state: states,
        unsaved: unsaved_rx,
        memory,
        compared: compared_rx,
        instance,
        snapshots: controller.snapshots.clone(),
    }
}

/// Refuses what this version cannot use; keys of an unknown kind are left alone.
fn check(fleet: &Name, key: &str, value: &[u8]) -> Result<(), String> {
    fn decodes<R: records::Record>(value: &[u8]) -> Result<(), String> {
        records::decode::<R>(value).map(drop).map_err(|refusal| refusal.to_string())
    }
    let path = format!("{}{key}", prefix(fleet));
    match Key::parse(fleet, path.as_bytes()) {
        Some(Key::Proposal) => decodes::<Revision>(value),
        Some(Key::Preview(_)) => decodes::<Answer>(value),
        Some(Key::Config(number)) => match records::decode::<Revision>(value) {
            Ok(revision) if revision.number == number => Ok(()),
            Ok(revision) => Err(format!("it has the number {}", revision.number)),
            Err(refusal) => Err(refusal.to_string()),
        },
        Some(Key::Rollout) => decodes::<Rollout>(value),
        Some(Key::Intent(of)) => match records::decode::<Intent>(value) {
            Ok(intent) if intent.fits(&of) => Ok(()),
            Ok(_) => Err("it is of another kind than its key".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        },
        Some(Key::Length(_)) => decodes::<TableLength>(value),
        Some(Key::Info(_)) => decodes::<MemberInfo>(value),
        Some(Key::State(_)) => decodes::<MemberState>(value),
        Some(Key::Tables(..)) => decodes::<Tables>(value),
        Some(Key::Votes(_)) => decodes::<Votes>(value),
        Some(Key::Rival(_)) => decodes::<Rival>(value),
        None => Err("this version does not know such a key".to_owned()),
    }
}

impl Fleet {
    /// Name of the fleet.
    pub fn name(&self) -> &Name {
        &self.fleet
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_kind_than_their_key_are_refused() {
        let fleet = Name::new("edge").unwrap();
        let revision = Revision::new(7, "maglev: {}", None, 0, String::new()).unwrap();
        let value = records::encode(&revision).unwrap();
        assert_eq!(check(&fleet, "config/0000000007", &value), Ok(()));
        assert!(check(&fleet, "config/0000000008", &value).unwrap_err().contains("number 7"));
        for (key, value) in [
            ("config/7", &value[..]),
            ("rollout", &value),
            ("members/lb1/state", b"{\"format\":2}"),
            ("members/LB1/state", b"{}"),
            ("intents/backend/web1", b"\xff"),
            ("anything", b""),
        ] {
            assert!(check(&fleet, key, value).is_err(), "{key}");
        }
    }
}
