//! Follows the store: reads everything at one revision and watches from the next; after any end, error, compaction or silence
//! it reads everything again.

use std::sync::Arc;
use std::time::SystemTime;

use maglev_daemon::retry::backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::store::{Store, StoreError};
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
    let read = store.read(prefix).await?;
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
    use crate::fleet::store::{
        Batch, Changes, Condition, Entry, KeyChange, Lease, Read, StoreRevision, Write,
    };

    const PREFIX: &str = "/maglev/edge/";

    fn entry(key: &str, changed: StoreRevision) -> Entry {
        Entry { key: format!("{PREFIX}{key}").into(), value: b"x"[..].into(), changed }
    }

    /// What one connection yields: a read, or why there is none; batches; then the end of the watch.
    type Connection = (Result<Read, StoreError>, Vec<Batch>, StoreError);

    /// Connections one after the other; the last one hangs.
    #[derive(Debug)]
    struct Script(Mutex<VecDeque<Connection>>, Mutex<Vec<StoreRevision>>);

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
            _: Vec<Condition>,
            _: Vec<Write>,
        ) -> Result<Option<StoreRevision>, StoreError> {
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
        let store = Arc::new(Script(Mutex::new(script), Mutex::default()));
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
}
