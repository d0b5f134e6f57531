//! A process with many watchers, each on a connection of its own. It ends with its standard input.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use maglev_proto::WatchEventsRequest;
use maglev_proto::event::What;
use maglev_proto::maglev_client::MaglevClient;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::Times;

/// The watchers' process, as seen by the measuring one.
pub(crate) struct Watchers {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Watchers {
    /// Returns when all of them have received the state.
    pub(crate) fn start(address: SocketAddr, count: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--watch").arg(address.to_string()).arg("--watchers").arg(count.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut watchers = Self { child, answers };
        assert_eq!(watchers.line(), "ready");
        watchers
    }

    /// Their measurements, as columns.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let seen = self.line();
        self.child.wait().unwrap();
        seen
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }
}

#[derive(Debug, Default)]
struct Shared {
    ready: AtomicUsize,
    all_ready: Notify,
    missed: AtomicU64,
}

/// Watches until standard input ends.
pub(crate) fn watch(address: SocketAddr, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (shared, (end, ended)) = (Arc::new(Shared::default()), watch::channel(()));
        let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(one(endpoint.clone(), count, Arc::clone(&shared), ended.clone()));
        }
        drop(ended);
        shared.all_ready.notified().await;
        println!("ready");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        drop(end);
        let mut delays = Vec::new();
        while let Some(seen) = tasks.join_next().await {
            delays.extend(seen.unwrap());
        }
        let (deliveries, times) = (delays.len(), Times::of(delays));
        let missed = shared.missed.load(Ordering::Relaxed);
        println!("{deliveries:>14}{:>9.1} ms{:>9.1} ms{missed:>9}", times.p50 / 1e3, times.p99 / 1e3);
    });
}

/// Delays of changes in microseconds; their timestamps are truncated to milliseconds.
async fn one(
    endpoint: Endpoint,
    count: usize,
    shared: Arc<Shared>,
    mut end: watch::Receiver<()>,
) -> Vec<f64> {
    let mut client = MaglevClient::connect(endpoint).await.unwrap();
    let mut events = client.watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
    let mut delays = Vec::new();
    loop {
        let event = tokio::select! {
            event = events.message() => event.unwrap().unwrap(),
            _ = end.changed() => return delays,
        };
        match event.what {
            Some(What::InitialStateEnd(_)) => {
                if shared.ready.fetch_add(1, Ordering::Relaxed) + 1 == count {
                    shared.all_ready.notify_one();
                }
            }
            Some(What::Missed(missed)) => drop(shared.missed.fetch_add(missed.events, Ordering::Relaxed)),
            _ if event.initial => {}
            _ => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                delays.push((now.as_secs_f64() * 1e6 - event.at_unix_ms as f64 * 1e3).max(0.0));
            }
        }
    }
}
