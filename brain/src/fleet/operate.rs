//! Operators' changes of the fleet. Each is one transaction, which fails if somebody else has changed the same.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use maglev_engine::fleet::records::{
    self, Key, LONGEST_REASON, Name, Plan, Revision, Rollout, TABLE_PARTS, Unpackable, Unwritable, clean,
    unix_ms,
};
use maglev_engine::fleet::rollout::{self, NotNow, Request};
use maglev_engine::overrides::LONGEST_WHO;

use super::store::{Condition, StoreError, StoreRevision, Write};
use super::view::{Link, View};
use super::{Fleet, members};

/// Why a change of the fleet was not made.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The store is away.
    #[error(
        "etcd is away, so nothing can be changed for the fleet: {0}; this load balancer goes on with its last copy; `--local` \
         sets an override only here"
    )]
    Away(String),
    /// The store failed.
    #[error("not written, or not known to be: {0}; see `maglevc fleet status`")]
    Store(#[from] StoreError),
    /// Somebody else has changed the same.
    #[error("the fleet has just been changed by somebody else; see `maglevc fleet status`, then try again")]
    Conflict,
    /// The state of the rollout does not allow it.
    #[error("{0}")]
    NotNow(#[from] NotNow),
    /// Another operator is asking the members.
    #[error("another configuration is being previewed on the members: try again in some seconds")]
    Proposed,
    /// There was never a rollout.
    #[error("the fleet has no configuration yet: `maglevc fleet config put FILE` begins with one")]
    NoRollout,
    /// There is no such revision.
    #[error("the fleet has no revision {number}; it has: {}", listed(kept))]
    NoRevision {
        /// Its number.
        number: u64,
        /// Those that it has.
        kept: Vec<u64>,
    },
    /// There is no earlier revision.
    #[error("the fleet has no earlier revision; `maglevc fleet config list` shows all")]
    NoEarlier,
    /// There is no such member.
    #[error("the fleet has no member {0:?}; `maglevc fleet members` lists them")]
    NoMember(String),
    /// The member is connected.
    #[error(
        "member {0} is connected: stop its maglev-brain, and start it without --fleet, before it is removed"
    )]
    Present(Name),
    /// The configuration cannot be packed.
    #[error("the configuration cannot be put: {0}")]
    Unpackable(#[from] Unpackable),
    /// A value cannot be written.
    #[error("the fleet's change cannot be written: {0}")]
    Unwritable(#[from] Unwritable),
    /// A revision in the store is damaged.
    #[error("revision {0} cannot be used: {1}")]
    Damaged(u64, String),
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

/// Who makes a change, and why.
#[derive(Debug, Clone, Default)]
pub struct Author {
    /// The operator.
    pub who: String,
    /// The reason; may be empty.
    pub comment: String,
}

impl Fleet {
    /// Puts a configuration into the store, and begins its rollout. Returns its number.
    ///
    /// # Errors
    /// If nothing was put, or that is not known.
    pub async fn put(&self, text: &str, plan: Plan, author: Author) -> Result<u64, FleetError> {
        let view = self.connected()?;
        let current = members::rollout(&view);
        let number = next_number(&view, current.as_ref().map(|(rollout, _)| rollout));
        let now = unix_ms(SystemTime::now());
        let (who, comment) = (clean(&author.who, LONGEST_WHO), clean(&author.comment, LONGEST_REASON));
        let next = self.begin(&view, &current, number, plan, author)?;
        let revision = Revision::new(number, text, Some(who), now, comment)?;
        let key = Key::Config(number).path(&self.fleet);
        let mut writes = vec![Write::Put(key.clone(), records::encode(&revision)?, None)];
        writes.extend(self.trimmed(&view, &next));
        self.replace(current, &next, vec![Condition::Missing(key)], writes).await?;
        Ok(number)
    }

    /// Begins a rollout of an earlier revision: this one, or the last one before that in use. Returns its number.
    ///
    /// # Errors
    /// If it does not begin, or that is not known.
    pub async fn rollback(&self, number: Option<u64>, plan: Plan, author: Author) -> Result<u64, FleetError> {
        let view = self.connected()?;
        let current = members::rollout(&view);
        let number = earlier(&view, number, current.as_ref().map(|(rollout, _)| rollout))?;
        let next = self.begin(&view, &current, number, plan, author)?;
        self.replace(current, &next, Vec::new(), Vec::new()).await?;
        Ok(number)
    }

    fn begin(
        &self,
        view: &View,
        current: &Option<(Rollout, StoreRevision)>,
        revision: u64,
        plan: Plan,
        Author { who, comment }: Author,
    ) -> Result<Rollout, FleetError> {
        let members = members::known(view).into_iter().chain([self.member.clone()]).collect();
        let request = Request { revision, plan, who: Some(who), comment };
        let current = current.as_ref().map(|(rollout, _)| rollout);
        Ok(rollout::begin(request, current, members, unix_ms(SystemTime::now()))?)
    }

    /// The revision that a rollback would go back to.
    ///
    /// # Errors
    /// If there is none.
    pub fn earlier(&self, number: Option<u64>) -> Result<u64, FleetError> {
        let view = self.view();
        earlier(&view, number, members::rollout(&view).as_ref().map(|(rollout, _)| rollout))
    }

    /// A revision.
    ///
    /// # Errors
    /// If the fleet does not have it.
    pub fn config(&self, number: u64) -> Result<Revision, FleetError> {
        let view = self.view();
        let entry = view.get(&members::relative(&Key::Config(number), &self.fleet));
        let entry = entry
            .ok_or_else(|| FleetError::NoRevision { number, kept: numbers(&view).into_iter().collect() })?;
        records::decode(&entry.value).map_err(|refusal| FleetError::Damaged(number, refusal.to_string()))
    }

    /// Ends the soak of the current rollout: the other members take it as well.
    ///
    /// # Errors
    /// If there is none.
    pub async fn confirm(&self) -> Result<(), FleetError> {
        let view = self.connected()?;
        let current = members::rollout(&view).ok_or(FleetError::NoRollout)?;
        let next = rollout::confirm(&current.0, unix_ms(SystemTime::now()))?;
        self.replace(Some(current), &next, Vec::new(), Vec::new()).await
    }

    /// Stops the current rollout: every member goes back.
    ///
    /// # Errors
    /// If there is none.
    pub async fn abort(&self, author: Author) -> Result<(), FleetError> {
        let view = self.connected()?;
        let current = members::rollout(&view).ok_or(FleetError::NoRollout)?;
        let Author { who, comment } = author;
        let next = rollout::abort(&current.0, Some(&who), &comment, unix_ms(SystemTime::now()))?;
        self.replace(Some(current), &next, Vec::new(), Vec::new()).await
    }

    /// Forgets a member that is away for good.
    ///
    /// # Errors
    /// If there is no such member, or it is connected.
    pub async fn remove(&self, member: &str) -> Result<(), FleetError> {
        let view = self.connected()?;
        let unknown = || FleetError::NoMember(clean(member, records::LONGEST_NAME));
        let name = Name::new(member).map_err(|_| unknown())?;
        if members::states(&view).contains_key(&name) {
            return Err(FleetError::Present(name));
        }
        if !members::known(&view).contains(&name) {
            return Err(unknown());
        }
        let state = Key::State(name.clone()).path(&self.fleet);
        let tables = (0..TABLE_PARTS).map(|part| Key::Tables(name.clone(), part));
        let keys = [Key::Info(name.clone()), Key::Votes(name.clone()), Key::Rival(name.clone())];
        let writes = keys.into_iter().chain(tables).map(|key| Write::Delete(key.path(&self.fleet))).collect();
        let done = self.store.transact(vec![Condition::Missing(state)], writes).await?;
        done.map(drop).ok_or(FleetError::Conflict)
    }

    /// The view, if it is current.
    pub(super) fn connected(&self) -> Result<std::sync::Arc<View>, FleetError> {
        let view = self.view();
        match &view.link {
            Link::Connected { .. } => Ok(view),
            Link::Away { reason, .. } => Err(FleetError::Away(reason.to_string())),
        }
    }

    /// Writes the rollout if it is still as it was read, and waits until this member has seen that.
    async fn replace(
        &self,
        current: Option<(Rollout, StoreRevision)>,
        next: &Rollout,
        mut conditions: Vec<Condition>,
        mut writes: Vec<Write>,
    ) -> Result<(), FleetError> {
        let key = Key::Rollout.path(&self.fleet);
        conditions.push(match current {
            Some((_, changed)) => Condition::ChangedBy(key.clone(), changed),
            None => Condition::Missing(key.clone()),
        });
        writes.push(Write::Put(key, records::encode(next)?, None));
        let revision = self.store.transact(conditions, writes).await?.ok_or(FleetError::Conflict)?;
        let mut view = self.view.clone();
        let seen = view.wait_for(|view| view.revision >= revision);
        // An answer without it would be of an earlier time, which the next one mends.
        drop(tokio::time::timeout(SEEN_WITHIN, seen).await);
        Ok(())
    }

    /// Deletes the oldest revisions that nobody needs.
    fn trimmed(&self, view: &View, next: &Rollout) -> Vec<Write> {
        let running = members::states(view).into_values().filter_map(|state| state.running);
        let running = running.map(|running| running.revision).collect();
        let unused = rollout::unused(&numbers(view), Some(next), &running).into_iter();
        unused.take(MOST_DELETED).map(|number| Write::Delete(Key::Config(number).path(&self.fleet))).collect()
    }
}

/// Maximum number of revisions deleted at once: etcd takes 128 operations in a transaction.
const MOST_DELETED: usize = 100;
/// How long an operator's answer waits for the change to come back from the store.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// Numbers of all revisions, those that are refused included.
fn numbers(view: &View) -> BTreeSet<u64> {
    let known = view.below("config/").map(|(key, _)| key);
    let refused = view.refused.keys().map(|key| &**key);
    let number = |key: &str| key.strip_prefix("config/")?.parse().ok();
    known.chain(refused).filter_map(number).collect()
}

/// A number that was never used.
fn next_number(view: &View, current: Option<&Rollout>) -> u64 {
    let highest = numbers(view).last().copied().unwrap_or_default();
    let used = current.map_or(0, |rollout| rollout.revision.max(rollout.back_to.unwrap_or_default()));
    // Members may run what etcd has lost.
    let running = members::states(view).into_values().filter_map(|state| state.running);
    let running = running.map(|running| running.revision).max().unwrap_or_default();
    highest.max(used).max(running).saturating_add(1)
}

/// The revision that an operator wants to go back to.
fn earlier(view: &View, number: Option<u64>, current: Option<&Rollout>) -> Result<u64, FleetError> {
    let kept: Vec<u64> =
        view.below("config/").filter_map(|(key, _)| key.strip_prefix("config/")?.parse().ok()).collect();
    match number {
        Some(number) if kept.contains(&number) => Ok(number),
        Some(number) => Err(FleetError::NoRevision { number, kept }),
        None => {
            let settled = current.and_then(rollout::settled);
            let before =
                kept.into_iter().rev().find(|number| settled.is_some_and(|settled| *number < settled));
            before.ok_or(FleetError::NoEarlier)
        }
    }
}
