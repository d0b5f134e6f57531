//! Writes this member's own keys: who it is, once; its state and its tables, with a lease, so that others see when
//! it is away.

use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_engine::fleet::records::{self, Key, MemberInfo, MemberState, Name, Record, Tables, unix_ms};
use std::time::SystemTime;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, warn};

use super::store::{Condition, Lease, Store, StoreError, Write};
use super::view::View;

/// Time after which a member that is not heard of counts as away, in seconds.
const LEASE: i64 = 20;
/// How often the lease is extended.
const EXTENDED: Duration = Duration::from_secs(5);
/// How long the first look at the fleet is waited for, before another lease is taken.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// Changes within this time are written together.
const COALESCED: Duration = Duration::from_millis(250);

/// This member, and where its keys are.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) fleet: Name,
    pub(super) member: Name,
    pub(super) store: Arc<dyn Store>,
}

impl Own {
    fn path(&self, key: impl FnOnce(Name) -> Key) -> String {
        key(self.member.clone()).path(&self.fleet)
    }

    fn encoded<R: Record>(&self, record: &R) -> Option<Vec<u8>> {
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

    /// Writes the state, unless it is written already.
    async fn publish(
        &self,
        state: &MemberState,
        lease: Lease,
        written: &mut Option<MemberState>,
    ) -> Result<(), StoreError> {
        // The clock alone is no news.
        let is_same =
            |before: &MemberState| *before == MemberState { clock_ms: before.clock_ms, ..state.clone() };
        if written.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let state = MemberState { clock_ms: unix_ms(SystemTime::now()), ..state.clone() };
        let Some(value) = self.encoded(&state) else { return Ok(()) };
        let put = Write::Put(self.path(Key::State), value, Some(lease));
        self.store.transact(Vec::new(), vec![put]).await?;
        *written = Some(state);
        Ok(())
    }

    /// Writes the tables, unless they are written already.
    async fn publish_tables(
        &self,
        tables: &Arc<Tables>,
        lease: Lease,
        written: &mut Option<Arc<Tables>>,
    ) -> Result<(), StoreError> {
        if written.as_ref() == Some(tables) {
            return Ok(());
        }
        if let Some(value) = self.encoded(&**tables) {
            let put = Write::Put(self.path(Key::Tables), value, Some(lease));
            self.store.transact(Vec::new(), vec![put]).await?;
        }
        *written = Some(Arc::clone(tables));
        Ok(())
    }
}

/// What a member tells the others.
type Told = (watch::Receiver<MemberState>, watch::Receiver<Arc<Tables>>);

/// Keeps this member's keys up to date, forever. May be aborted at any point: the lease ends by itself.
pub(super) async fn publish(own: Own, mut told: Told, mut view: watch::Receiver<Arc<View>>) {
    let mut failures = 0;
    loop {
        let mut was_written = false;
        if let Err(error) = publish_until_lost(&own, &mut told, &mut view, &mut was_written).await {
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
    (state, tables): &mut Told,
    view: &mut watch::Receiver<Arc<View>>,
    was_written: &mut bool,
) -> Result<(), StoreError> {
    let lease = own.store.grant(LEASE).await?;
    // First who it is: a state alone would leave no trace of a member that goes.
    let seen = timeout(FOLLOWED_WITHIN, view.wait_for(|view| view.is_connected())).await;
    let Ok(Ok(seen)) = seen.map(|seen| seen.map(|seen| Arc::clone(&seen))) else {
        return Err(StoreError::Away("the fleet is not followed yet".to_owned()));
    };
    own.introduce(&seen).await?;
    let keys = ["state", "tables"].map(|of| format!("members/{}/{of}", own.member));
    let (mut written, mut written_tables) = (None, None);
    let mut extended = interval(EXTENDED);
    extended.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let current = state.borrow_and_update().clone();
        own.publish(&current, lease, &mut written).await?;
        let current = Arc::clone(&tables.borrow_and_update());
        own.publish_tables(&current, lease, &mut written_tables).await?;
        *was_written = true;
        sleep(COALESCED).await;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return Ok(()) },
            changed = tables.changed() => if changed.is_err() { return Ok(()) },
            _ = extended.tick() => {
                own.store.keep_alive(lease).await?;
                let seen = Arc::clone(&view.borrow_and_update());
                if seen.is_connected() {
                    own.introduce(&seen).await?;
                    // Somebody has deleted one.
                    if keys.iter().any(|key| seen.get(key).is_none()) {
                        (written, written_tables) = (None, None);
                    }
                }
            }
        }
    }
}
