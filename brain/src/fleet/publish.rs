//! Writes this member's own keys: who it is, once; its state and its tables, with a lease, so that others see when
//! it is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::retry::backoff;
use maglev_engine::fleet::records::{
    self, Key, MemberInfo, MemberState, Name, Record, Rival, Tables, unix_ms,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, warn};

use super::identity::{Found, Identity, Turn};
use super::members;
use super::store::{Condition, Lease, Store, StoreError, StoreRevision, Write};
use super::view::View;

/// Time after which a member that is not heard of counts as away, in seconds.
pub(super) const LEASE: i64 = 20;
/// How often the lease is extended.
pub(super) const EXTENDED: Duration = Duration::from_secs(5);
/// How long the first look at the fleet is waited for, before another lease is taken.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// Changes within this time are written together.
pub(super) const COALESCED: Duration = Duration::from_millis(250);

/// This member, and where its keys are.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) fleet: Name,
    pub(super) member: Name,
    pub(super) store: Arc<dyn Store>,
    /// Recognizes this process among machines with one name.
    pub(super) instance: u64,
}

impl Own {
    pub(super) fn path(&self, key: impl FnOnce(Name) -> Key) -> String {
        key(self.member.clone()).path(&self.fleet)
    }

    pub(super) fn encoded<R: Record>(&self, record: &R) -> Option<Vec<u8>> {
        let encoded = records::encode(record);
        encoded.inspect_err(|error| error!(%error, "a key of this member cannot be written")).ok()
    }

    /// Writes who this is, unless it is there. An earlier version's is replaced.
    async fn introduce(&self, view: &View) -> Result<(), StoreError> {
        let known = view.get(&format!("members/{}/info", self.member));
        let before: Option<MemberInfo> = known.and_then(|entry| records::decode(&entry.value).ok());
        let version = env!("CARGO_PKG_VERSION");
        if before.as_ref().is_some_and(|info| info.version == version) {
            return Ok(());
        }
        let info = MemberInfo {
            name: self.member.clone(),
            version: version.to_owned(),
            first_seen_ms: before.map_or_else(|| unix_ms(SystemTime::now()), |info| info.first_seen_ms),
        };
        let Some(value) = self.encoded(&info) else { return Ok(()) };
        let key = self.path(Key::Info);
        let condition = match known {
            Some(entry) => Condition::ChangedBy(key.clone(), entry.changed),
            None => Condition::Missing(key.clone()),
        };
        self.store.transact(vec![condition], vec![Write::Put(key, value, None)]).await.map(drop)
    }

    /// Writes the state, unless it is written already. `false`: another machine was faster.
    async fn publish(
        &self,
        state: &MemberState,
        seen: &View,
        (over, is_due): (Option<StoreRevision>, bool),
        session: &mut Session<'_>,
    ) -> Result<bool, StoreError> {
        let identity = &mut *session.identity;
        // The clock alone is no news.
        let is_same = |before: &MemberState| {
            *before == MemberState { clock_ms: before.clock_ms, instance: before.instance, ..state.clone() }
        };
        if !is_due && session.written.borrow().as_ref().is_some_and(is_same) {
            return Ok(true);
        }
        let now = unix_ms(SystemTime::now());
        let state = MemberState { clock_ms: now, instance: self.instance, ..state.clone() };
        let Some(value) = self.encoded(&state) else { return Ok(true) };
        let (key, rival) = (self.path(Key::State), self.path(Key::Rival));
        let condition = match over {
            // A damaged value is replaced, whosever it is.
            _ if seen.refused.contains_key(&*self.relative("state")) => None,
            Some(revision) => Some(Condition::ChangedBy(key.clone(), revision)),
            None => Some(Condition::Missing(key.clone())),
        };
        let mut writes = vec![Write::Put(key, value, Some(session.lease))];
        let is_own = |rival: &Rival| rival.instance == self.instance;
        if self.rival(seen).is_some_and(|rival| is_own(&rival)) {
            writes.push(Write::Delete(rival));
        }
        let written = self.store.transact(condition.into_iter().collect(), writes).await?;
        let Some(revision) = written else { return Ok(false) };
        identity.written(self.found(seen), revision);
        session.written.send_replace(Some(state));
        Ok(true)
    }

    /// Tells all that this is another machine with the same name.
    async fn yield_to(
        &self,
        seen: &View,
        since: SystemTime,
        session: &Session<'_>,
    ) -> Result<(), StoreError> {
        if self.rival(seen).is_some() {
            return Ok(());
        }
        let rival = Rival { instance: self.instance, since_ms: unix_ms(since) };
        let Some(value) = self.encoded(&rival) else { return Ok(()) };
        let write = Write::Put(self.path(Key::Rival), value, Some(session.lease));
        self.store.transact(Vec::new(), vec![write]).await.map(drop)
    }

    /// A key of this member, below the fleet's prefix.
    fn relative(&self, what: &str) -> String {
        format!("members/{}/{what}", self.member)
    }

    /// Whose state is in the store.
    fn found(&self, seen: &View) -> Option<Found> {
        let entry = seen.get(&self.relative("state"))?;
        let state: MemberState = records::decode(&entry.value).ok()?;
        Some(Found { instance: state.instance, changed: entry.changed })
    }

    fn rival(&self, seen: &View) -> Option<Rival> {
        members::rival(seen, &self.member)
    }

    /// Writes the tables, unless they are written already, or the state is not this machine's any more.
    async fn publish_tables(
        &self,
        tables: &Arc<Tables>,
        session: &mut Session<'_>,
    ) -> Result<(), StoreError> {
        let (parts, written) = (tables.parts(), &session.written_tables);
        let path = |part: u8| self.path(|member| Key::Tables(member, part));
        let changed = parts.iter().filter(|(part, tables)| written.get(part) != Some(tables));
        let put = |(part, tables): (&u8, &Tables)| {
            Some(Write::Put(path(*part), self.encoded(tables)?, Some(session.lease)))
        };
        let gone = written.keys().filter(|part| !parts.contains_key(part));
        let writes: Vec<_> =
            changed.filter_map(put).chain(gone.map(|part| Write::Delete(path(*part)))).collect();
        if !writes.is_empty() {
            let is_own = Condition::ChangedBy(self.path(Key::State), session.identity.wrote());
            if self.store.transact(vec![is_own], writes).await?.is_none() {
                return Ok(());
            }
        }
        session.written_tables = parts;
        Ok(())
    }
}

/// What a member tells the others.
type Told = (watch::Receiver<MemberState>, watch::Receiver<Arc<Tables>>);

/// The time of one lease.
struct Session<'s> {
    lease: Lease,
    identity: &'s mut Identity,
    /// The state that is written.
    written: &'s watch::Sender<Option<MemberState>>,
    /// The parts of the tables that are written.
    written_tables: BTreeMap<u8, Tables>,
}

/// Keeps this member's keys up to date, forever. May be aborted at any point: the lease ends by itself.
pub(super) async fn publish(
    own: Own,
    mut told: Told,
    written: watch::Sender<Option<MemberState>>,
    mut view: watch::Receiver<Arc<View>>,
) {
    let (mut identity, mut failures) = (Identity::new(own.instance), 0);
    loop {
        let mut was_written = false;
        let ended = publish_until_lost(&own, &mut identity, &mut told, &written, &mut view, &mut was_written);
        if let Err(error) = ended.await {
            // A lost store is told by whoever follows it.
            if let StoreError::Refused(reason) = &error
                && failures == 0
            {
                warn!(%reason, "this member's state cannot be written to etcd");
            }
            failures = if was_written { 1 } else { failures + 1 };
            sleep(backoff(failures)).await;
        } else {
            return;
        }
    }
}

/// Ends without an error when the process does.
async fn publish_until_lost(
    own: &Own,
    identity: &mut Identity,
    (state, tables): &mut Told,
    written: &watch::Sender<Option<MemberState>>,
    view: &mut watch::Receiver<Arc<View>>,
    was_written: &mut bool,
) -> Result<(), StoreError> {
    let lease = own.store.grant(LEASE).await?;
    // First who it is: a state alone would leave no trace of a member that goes.
    let seen = timeout(FOLLOWED_WITHIN, view.wait_for(|view| view.is_connected())).await;
    let Ok(Ok(seen)) = seen.map(|seen| seen.map(|seen| Arc::clone(&seen))) else {
        return Err(StoreError::Away("the fleet is not followed yet".to_owned()));
    };
    if !identity.yields() {
        own.introduce(&seen).await?;
    }
    identity.go_back(seen.revision);
    written.send_replace(None);
    let mut session = Session { lease, identity, written, written_tables: BTreeMap::new() };
    let mut extended = interval(EXTENDED);
    extended.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let seen = Arc::clone(&view.borrow_and_update());
        // What another machine does is only known while the fleet is followed.
        if seen.is_connected() {
            let current = state.borrow_and_update().clone();
            match session.identity.look(own.found(&seen), seen.revision, SystemTime::now()) {
                Turn::Publish { over, is_due } => {
                    if is_due {
                        // What else is there may be another machine's.
                        session.written_tables.clear();
                    }
                    if own.publish(&current, &seen, (over, is_due), &mut session).await? {
                        let current = Arc::clone(&tables.borrow_and_update());
                        own.publish_tables(&current, &mut session).await?;
                    }
                }
                Turn::Yield(since) => {
                    session.written.send_replace(None);
                    session.written_tables.clear();
                    own.yield_to(&seen, since, &session).await?;
                }
            }
            *was_written = true;
        }
        sleep(COALESCED).await;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return Ok(()) },
            changed = tables.changed() => if changed.is_err() { return Ok(()) },
            changed = view.changed() => if changed.is_err() { return Ok(()) },
            _ = extended.tick() => {
                own.store.keep_alive(lease).await?;
                let seen = Arc::clone(&view.borrow());
                if seen.is_connected() && !session.identity.yields() {
                    own.introduce(&seen).await?;
                    // Somebody has deleted some.
                    session.written_tables.retain(|part, _| {
                        seen.get(&own.relative(&format!("tables/{part:02x}"))).is_some()
                    });
                }
            }
        }
    }
}
