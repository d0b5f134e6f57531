//! Follows the store: reads everything at one revision and watches from the next; after any end, error, compaction or silence
//! it reads everything again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use maglev_daemon::retry::backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::store::{Condition, Entry, Read, Store, StoreError, Write};
use super::view::{Check, Link, View};

/// Keeps the view up to date, forever. May be aborted at any point.
pub(super) async fn follow(
    store: Arc<dyn Store>,
    prefix: String,
    check: Arc<Check>,
    view: watch::Sender<Arc<View>>,
) {
    let mut failures = 0;
    loop {
        let mut was_connected = false;
        let error = match follow_until_lost(&*store, &prefix, &*check, &view, &mut was_connected).await {
            Err(error) => error,
            Ok(never) => match never {},
        };
        failures = if was_connected { 1 } else { failures + 1 };
        lost(&view, &error);
        sleep(backoff(failures)).await;
    }
}

enum Never {}

async fn follow_until_lost(
    store: &dyn Store,
    prefix: &str,
    check: &Check,
    view: &watch::Sender<Arc<View>>,
    was_connected: &mut bool,
) -> Result<Never, StoreError> {
    let mut read = store.read(prefix).await?;
    let lost = lost_intents(&view.borrow(), &read, prefix);
    if !lost.is_empty() {
        restore(store, lost).await?;
        read = store.read(prefix).await?;
    }
    let mut changes = store.watch(prefix, read.revision + 1).await?;
    info!(revision = read.revision, keys = read.entries.len(), "the fleet is followed");
    *was_connected = true;
    view.send_modify(|view| {
        let view = Arc::make_mut(view);
        view.replace(read, prefix, check);
        view.link = Link::Connected { since: SystemTime::now() };
        view.heard = Some(Instant::now().into_std());
    });
    loop {
        let batch = changes.next().await?;
        let is_news = !batch.changes.is_empty();
        view.send_if_modified(|view| {
            let view = Arc::make_mut(view);
            view.heard = Some(Instant::now().into_std());
            view.apply(batch, prefix, check);
            is_news
        });
    }
}

/// The intents that a store has lost: one whose revision went back is empty, or was restored from a backup. To clear what
/// is not in it would put servers back into service that operators took out.
fn lost_intents(view: &View, read: &Read, prefix: &str) -> Vec<Entry> {
    if read.revision >= view.revision {
        return Vec::new();
    }
    let has: BTreeSet<&str> = read.entries.iter().map(|entry| &*entry.key).collect();
    let known = view.below("intents/");
    let known = known.map(|(key, entry)| Entry { key: format!("{prefix}{key}").into(), ..entry.clone() });
    known.filter(|entry| !has.contains(&*entry.key)).collect()
}

/// Writes intents back, each unless another member was faster.
async fn restore(store: &dyn Store, lost: Vec<Entry>) -> Result<(), StoreError> {
    warn!(intents = lost.len(), "etcd has older data than this load balancer: what it lost is written back");
    for Entry { key, value, .. } in lost {
        let conditions = vec![Condition::Missing(key.to_string())];
        let write = Write::Put(key.to_string(), value.to_vec(), None);
        // Nothing is written if it is there.
        store.transact(conditions, vec![write]).await?;
    }
    Ok(())
}

/// Notes that the view is of an earlier time.
fn lost(view: &watch::Sender<Arc<View>>, error: &StoreError) {
    let reason: Arc<str> = error.to_string().into();
    view.send_if_modified(|view| {
        let link = match &view.link {
            Link::Connected { .. } => {
                warn!(%error, "the fleet is not followed; this load balancer goes on with its last copy");
                Link::Away { since: Some(SystemTime::now()), reason }
            }
            // Once for each reason.
            Link::Away { reason: told, .. } if *told == reason => return false,
            Link::Away { since, .. } => {
                warn!(%error, "the fleet is still not followed");
                Link::Away { since: *since, reason }
            }
        };
        Arc::make_mut(view).link = link;
        true
    });
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;
    use crate::fleet::store::{Batch, Changes, KeyChange, Lease, StoreRevision};

    const PREFIX: &str = "/maglev/edge/";

    fn entry(key: &str, changed: StoreRevision) -> Entry {
        Entry { key: format!("{PREFIX}{key}").into(), value: b"x"[..].into(), changed }
    }

    /// What one connection yields: a read, or why there is none; batches; then the end of the watch.
    type Connection = (Result<Read, StoreError>, Vec<Batch>, StoreError);

    /// Connections one after the other; the last one hangs.
    #[derive(Debug, Default)]
    struct Script(Mutex<VecDeque<Connection>>, Mutex<Vec<StoreRevision>>, Mutex<Vec<Transaction>>);

    type Transaction = (Vec<Condition>, Vec<Write>);

    struct Batches(VecDeque<Batch>, Option<StoreError>);

    #[tonic::async_trait]
    impl Changes for Batches {
        async fn next(&mut self) -> Result<Batch, StoreError> {
            match (self.0.pop_front(), self.1.take()) {
                (Some(batch), end) => {
                    self.1 = end;
                    Ok(batch)
                }
                (None, Some(end)) => Err(end),
                (None, None) => std::future::pending().await,
            }
        }
    }

    #[tonic::async_trait]
    impl Store for Script {
        async fn read(&self, _: &str) -> Result<Read, StoreError> {
            let refused = match self.0.lock().unwrap().front() {
                Some((read @ Ok(_), ..)) => return read.clone(),
                Some((Err(error), ..)) => Some(error.clone()),
                None => None,
            };
            match refused {
                Some(error) => {
                    self.0.lock().unwrap().pop_front();
                    Err(error)
                }
                None => std::future::pending().await,
            }
        }

        async fn watch(&self, _: &str, from: StoreRevision) -> Result<Box<dyn Changes>, StoreError> {
            self.1.lock().unwrap().push(from);
            let (_, batches, end) = self.0.lock().unwrap().pop_front().unwrap();
            Ok(Box::new(Batches(batches.into(), Some(end))))
        }

        async fn transact(
            &self,
            conditions: Vec<Condition>,
            writes: Vec<Write>,
        ) -> Result<Option<StoreRevision>, StoreError> {
            self.2.lock().unwrap().push((conditions, writes));
            Ok(None)
        }

        async fn grant(&self, _: i64) -> Result<Lease, StoreError> {
            Ok(1)
        }

        async fn keep_alive(&self, _: Lease) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_any_end_everything_is_read_again_and_what_is_gone_is_gone() {
        let read =
            |revision, entries: &[Entry]| Ok(Read { revision, entries: entries.to_vec(), left_out: 0 });
        let away = StoreError::Away("no answer".to_owned());
        let put = Batch { revision: 6, changes: vec![KeyChange::Put(entry("c", 6))] };
        let script = VecDeque::from([
            (Err(away.clone()), Vec::new(), away.clone()),
            (read(5, &[entry("a", 1), entry("b", 2)]), vec![put, Batch::default()], StoreError::Compacted),
            (Err(away.clone()), Vec::new(), away.clone()),
            (read(9, &[entry("b", 2), entry("c", 8)]), Vec::new(), away.clone()),
        ]);
        let store = Arc::new(Script(Mutex::new(script), Mutex::default(), Mutex::default()));
        let (sender, mut view) = watch::channel(Arc::new(View::new([], 0)));
        let task = tokio::spawn(follow(
            Arc::clone(&store) as Arc<dyn Store>,
            PREFIX.to_owned(),
            Arc::new(|_: &str, _: &[u8]| Ok(())),
            sender,
        ));
        let keys = |view: &View| view.entries.keys().map(|key| key.to_string()).collect::<Vec<_>>();
        let seen = view.wait_for(|view| view.revision == 6).await.unwrap().clone();
        assert_eq!(keys(&seen), ["a", "b", "c"]);
        let seen = view.wait_for(|view| view.revision == 9).await.unwrap().clone();
        assert_eq!(keys(&seen), ["b", "c"]);
        // The last end leaves the last good copy.
        let seen = view.wait_for(|view| !view.is_connected()).await.unwrap().clone();
        assert_eq!(keys(&seen), ["b", "c"]);
        assert_eq!(*store.1.lock().unwrap(), [6, 10], "each watch goes on from its read");
        task.abort();
    }

    #[tokio::test]
    async fn intents_that_a_store_lost_are_written_back_before_it_is_followed() {
        let kept = ["intents/backend/a", "intents/backend/b", "rollout"].map(|key| {
            let mut kept = entry(key, 7);
            kept.key = key.into();
            kept
        });
        let view = View::new(kept, 9);
        let lost = |revision, has: &[&str]| {
            let entries = has.iter().map(|key| entry(key, 1)).collect();
            lost_intents(&view, &Read { revision, entries, left_out: 0 }, PREFIX)
        };
        assert!(lost(9, &[]).is_empty(), "operators cleared them");
        assert!(lost(3, &["intents/backend/a", "intents/backend/b"]).is_empty());
        let lost = lost(3, &["intents/backend/a"]);
        let store = Script::default();
        restore(&store, lost).await.unwrap();
        let key = format!("{PREFIX}intents/backend/b");
        let expected = (vec![Condition::Missing(key.clone())], vec![Write::Put(key, b"x".to_vec(), None)]);
        assert_eq!(*store.2.lock().unwrap(), [expected]);
    }
}
