use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::tempdir;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use vppapi::client::{Client, ClientError, ConnectOptions};

use super::{Instance, Settings};
use crate::api::{Identity, MessageIds};
use crate::control::answer;
use crate::datapath::Datapath;
use crate::lb::Startup;
use crate::server::Server;

fn start(run_dir: &Path) -> Instance {
    let text = String::new;
    let settings = Settings {
        run_dir: run_dir.to_owned(),
        identity: Identity { pid: 7, version: text(), build_date: text(), build_directory: text() },
        message_ids: MessageIds::recorded(),
        startup: Startup::default(),
        datapath: Datapath::disabled(),
        api_trace: None,
    };
    Instance::start(settings).unwrap()
}

async fn client(instance: &Instance) -> Client {
    Client::connect(instance.run_dir().api(), ConnectOptions::default()).await.unwrap()
}

#[tokio::test]
async fn one_follows_another_in_the_same_folder() {
    let folder = tempdir().unwrap();
    for _ in 0..5 {
        let instance = start(folder.path());
        let client = client(&instance).await;
        assert_eq!(client.pid(), 7);
        drop(instance);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        timeout(Duration::from_secs(20), client.closed()).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_of_the_host_brings_new_sockets() {
    let folder = tempdir().unwrap();
    let instance = start(folder.path());
    for pid in 8..11 {
        let before = client(&instance).await;
        assert_eq!(answer(instance.host(), "restart").await, format!("ok restarted with pid {pid}"));
        timeout(Duration::from_secs(20), before.closed()).await.unwrap();
        assert_eq!(client(&instance).await.pid(), pid);
    }
}

/// Without sockets, on a paused clock: a minute passes at once.
#[tokio::test(start_paused = true)]
async fn a_client_over_any_stream_meets_the_faults_in_no_time() {
    let folder = tempdir().unwrap();
    let instance = start(folder.path());
    let host = Arc::clone(instance.host());
    let server = Arc::new(Server { host: Arc::clone(&host), trace: None, deadly: mpsc::channel(1).0 });
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(server.serve_client(theirs));
    let options = ConnectOptions { request_timeout: Duration::from_secs(300), ..ConnectOptions::default() };
    let client = Client::over(ours, "duplex", options).await.unwrap();
    answer(&host, "delay 60s nth 1").await;
    answer(&host, "lose nth 2").await;
    let begin = Instant::now();
    client.ping().await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 60);
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert_eq!(begin.elapsed().as_secs(), 360);
    answer(&host, "restart empty-for 1s").await;
    client.closed().await;
    assert!(host.is_gone());
}
