//! Clients that take as many connections, streams and checks as they can get: who else is still admitted, and
//! what the refused are told.

use std::net::SocketAddr;
use std::path::Path;

use futures::future::join_all;
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{Event, VpplbConf};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tracing_subscriber::layer::SubscriberExt;

use super::changes::{Brain, CONFIG};
use super::pki::{Authority, Folder, Issued, trusting};
use super::roles::{call, code};
use super::*;
use crate::grpc::access::{Access, AccessSettings};
use crate::logs::LogTap;
use crate::logs::tap::ALONE;

/// A quarter of the readers' places is 4.
const PLACES: Places = Places { admins: 4, readers: 16, strangers: 4 };

/// A brain that listens on a unix socket, over loopback TCP and with TLS.
struct Brains {
    brain: Brain,
    servers: Authority,
    clients: Authority,
    tcp: SocketAddr,
    tls: SocketAddr,
    directory: TempDir,
    _folder: Folder,
    _servers: JoinSet<Result<(), ListenError>>,
}

impl Brains {
    async fn start() -> Self {
        Self::with(|service| service).await
    }

    async fn with(change: impl FnOnce(Service) -> Service) -> Self {
        let (servers, clients) = (Authority::new("of servers"), Authority::new("of clients"));
        let (folder, directory) =
            (Folder::new(&servers.server(), &clients.pem()), tempfile::tempdir().unwrap());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let tls = Arc::new(Tls::new(folder.files()).await.unwrap());
        let listeners = [
            Listener::bind(ListenAddress::Unix(directory.path().join("brain.sock"))).await.unwrap(),
            Listener::bind(ListenAddress::Tcp(any)).await.unwrap(),
            Listener::bind_tls(any, tls).await.unwrap(),
        ];
        let [_, &ListenAddress::Tcp(tcp), &ListenAddress::Tls(tls)] =
            listeners.each_ref().map(Listener::address)
        else {
            panic!("{listeners:?}")
        };
        let settings = AccessSettings { admin_group: None, reader_group: None, loopback: Loopback::ReadOnly };
        let gate = Gate::with_places(Access::new(settings).unwrap(), PLACES);
        let mut brain = Brain::start(CONFIG);
        brain.service = change(brain.service);
        let mut running = JoinSet::new();
        for listener in listeners {
            running.spawn(serve(listener, brain.service.clone(), Arc::clone(&gate), std::future::pending()));
        }
        Self { brain, servers, clients, tcp, tls, directory, _folder: folder, _servers: running }
    }

    /// An anonymous client on this machine.
    async fn over_loopback(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.tcp)).unwrap().connect().await.unwrap()
    }

    /// The brain's own user, an admin.
    async fn over_unix(&self) -> Channel {
        let path: &Path = &self.directory.path().join("brain.sock");
        Endpoint::from_shared(format!("unix:{}", path.display())).unwrap().connect().await.unwrap()
    }

    async fn over_tls(&self, shown: &Issued) -> Channel {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.tls)).unwrap();
        endpoint.tls_config(trusting(&self.servers, Some(shown))).unwrap().connect().await.unwrap()
    }
}

/// The reason that a refused client learns: the root of the error, as maglevc shows it.
async fn refused(channel: &Channel) -> String {
    let status = call(channel, "GetStatus").await.unwrap_err();
    let causes = std::iter::successors(std::error::Error::source(&status), |cause| cause.source());
    causes.last().unwrap().to_string()
}

#[tokio::test]
async fn whoever_holds_all_connections_it_can_keeps_nobody_else_out() {
    let brains = Brains::start().await;
    let [eve, frank] = ["eve", "frank"].map(|name| brains.clients.client(name));
    let (mut by_loopback, mut by_eve) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        by_loopback.push(brains.over_loopback().await);
        by_eve.push(brains.over_tls(&eve).await);
    }
    for channel in by_loopback.iter().chain(&by_eve) {
        assert_eq!(code(channel, "GetStatus").await, Code::Ok);
    }
    let said = refused(&brains.over_loopback().await).await;
    assert!(said.contains("loopback TCP already has its maximum of 4 connections"), "{said}");
    let said = refused(&brains.over_tls(&eve).await).await;
    assert!(said.contains("cert eve already has its maximum of 4 connections"), "{said}");

    let (honest, admin) = (brains.over_tls(&frank).await, brains.over_unix().await);
    assert_eq!(code(&honest, "GetStatus").await, Code::Ok);
    assert_eq!(code(&admin, "GetStatus").await, Code::Ok);
    assert_ne!(code(&admin, "PauseBackend").await, Code::PermissionDenied);
    // Existing connections are not affected, and a released place is free again.
    assert_eq!(code(&by_eve[0], "GetStatus").await, Code::Ok);
    drop(by_loopback);
    while code(&brains.over_loopback().await, "GetStatus").await != Code::Ok {
        tokio::task::yield_now().await;
    }
}

/// An event stream that has started.
async fn watching(channel: &Channel) -> Result<Streaming<Event>, Status> {
    let request = WatchEventsRequest::default();
    let mut events = MaglevClient::new(channel.clone()).watch_events(request).await?.into_inner();
    events.message().await?;
    Ok(events)
}

#[tokio::test]
async fn whoever_watches_as_often_as_it_can_keeps_nobody_else_from_watching() {
    let brains = Brains::with(|mut service| {
        service.watching.places = Shares::new("streams of events", PLACES);
        service
    })
    .await;
    let (attacker, admin) = (brains.over_loopback().await, brains.over_unix().await);
    let honest = brains.over_tls(&brains.clients.client("frank")).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(watching(&attacker).await.unwrap());
    }
    let status = watching(&attacker).await.err().unwrap();
    let words = "loopback TCP already has its maximum of 4 streams of events";
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, words));
    watching(&honest).await.unwrap();
    watching(&admin).await.unwrap();
    drop(streams);
    while watching(&attacker).await.is_err() {}
}

#[tokio::test]
async fn whoever_has_the_configuration_checked_all_the_time_keeps_nobody_else_waiting() {
    let brains = Brains::start().await;
    let attacker = brains.over_loopback().await;
    let (admin, honest) = (brains.over_unix().await, brains.over_tls(&brains.clients.client("frank")).await);
    // A reader's check that never ends.
    let turn = Arc::clone(&brains.brain.service.checks.of_readers).lock_owned().await;
    let mut checks = JoinSet::new();
    for _ in 0..64 {
        let attacker = attacker.clone();
        checks.spawn(async move { call(&attacker, "CheckConfig").await });
    }
    for _ in 0..60 {
        let status = checks.join_next().await.unwrap().unwrap().unwrap_err();
        let words = "loopback TCP already has its maximum of 4 checks of the configuration";
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, words));
    }
    assert_eq!(code(&admin, "CheckConfig").await, Code::Ok, "an admin does not wait for readers");
    let waiting = tokio::spawn(async move { code(&honest, "CheckConfig").await });
    drop(turn);
    assert_eq!(waiting.await.unwrap(), Code::Ok);
    assert!(checks.join_all().await.iter().all(Result::is_ok));
}

/// An attack over read-only loopback: the agent is asked only once.
#[tokio::test]
async fn vpp_is_read_once_for_all_who_ask_within_a_second() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let brains = Brains::with(move |mut service| {
        service.states = States::from_source(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async {
                let conf = LbConf {
                    ip4_src_address: [192, 0, 2, 1].into(),
                    ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
                    sticky_buckets_per_core: 1024,
                    flow_timeout: 40,
                };
                Ok(LbState { conf, vips: Vec::new(), age: Duration::from_millis(400) })
            }
        });
        service
    })
    .await;
    let channel = brains.over_loopback().await;
    let started = Instant::now();
    let answers = join_all((0..1000).map(|_| async {
        let request = GetVpplbStateRequest {};
        MaglevClient::new(channel.clone()).get_vpplb_state(request).await.unwrap().into_inner()
    }))
    .await;
    let most = 1 + usize::try_from(started.elapsed().as_secs()).unwrap();
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!((1..=most).contains(&asked), "{asked} reads in {:?}", started.elapsed());
    for answer in answers {
        assert!((400..=1400).contains(&answer.age_ms), "{}", answer.age_ms);
        assert_eq!(answer.conf.map(|VpplbConf { flow_timeout_seconds, .. }| flow_timeout_seconds), Some(40));
    }
}

/// A connection counts towards its party once it speaks HTTP/2.
#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let brains = Brains::start().await;
    let (mut by_loopback, mut by_unix) = (Vec::new(), Vec::new());
    for said in ["", "PRI * HTTP/2.0\r\n"] {
        for _ in 0..8 {
            let mut silent = tokio::net::TcpStream::connect(brains.tcp).await.unwrap();
            silent.write_all(said.as_bytes()).await.unwrap();
            by_loopback.push(silent);
            let path = brains.directory.path().join("brain.sock");
            let mut silent = tokio::net::UnixStream::connect(path).await.unwrap();
            silent.write_all(said.as_bytes()).await.unwrap();
            by_unix.push(silent);
        }
    }
    assert_eq!(code(&brains.over_loopback().await, "GetStatus").await, Code::Ok);
    assert_eq!(code(&brains.over_unix().await, "GetStatus").await, Code::Ok);
}

/// Thousands of refused changes result in a few lines, next to one line for every change of an admin.
#[tokio::test]
async fn refused_changes_do_not_fill_the_log() {
    let _alone = ALONE.lock().await;
    let tap = LogTap::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(tap.layer()));
    let mut lines = tap.lines();
    let _asked = tap.ask(tracing::Level::INFO);
    let brains = Brains::start().await;
    let (attacker, admin) = (brains.over_loopback().await, brains.over_unix().await);
    for _ in 0..20 {
        join_all((0..100).map(|_| code(&attacker, "PauseBackend"))).await;
        let mut client = MaglevClient::new(admin.clone());
        client
            .pause_backend(ChangeBackendRequest { name: "b1".into(), ..ChangeBackendRequest::default() })
            .await
            .unwrap();
        client
            .resume_backend(ChangeBackendRequest { name: "b1".into(), ..ChangeBackendRequest::default() })
            .await
            .unwrap();
    }
    let (mut changes, mut refusals) = (0, 0);
    while let Ok(line) = lines.try_recv() {
        changes += usize::from(line.message == "operator command");
        refusals += usize::from(line.message.contains("refused"));
    }
    assert_eq!(changes, 40);
    // Three lines and a summary per window; one more window if the machine is slow.
    assert!((3..=8).contains(&refusals), "{refusals}");
}
