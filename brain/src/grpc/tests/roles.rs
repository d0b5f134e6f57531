//! Every method of the interface, called over real connections by callers with different rights.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use maglev_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::changes::{Brain, CONFIG};
use super::*;
use crate::grpc::access::{Access, AccessSettings};
use crate::grpc::rights::{METHODS, Right};

pub(super) const READS: [&str; 24] = [
    "CheckConfig",
    "GetAgentInfo",
    "GetBackend",
    "GetCaller",
    "GetFleetConfig",
    "GetFleetStatus",
    "GetFleetTables",
    "GetFrontend",
    "GetHealthCheck",
    "GetHistory",
    "GetStatus",
    "GetVPPInfo",
    "GetVPPLBCounters",
    "GetVPPLBState",
    "ListBackends",
    "ListConfigs",
    "ListFleetConfigs",
    "ListFrontends",
    "ListHealthChecks",
    "ListOverrides",
    "ListRoutes",
    "PreviewChange",
    "WatchEvents",
    // An unknown method, refused as such.
    "NoSuchMethod",
];
pub(super) const CHANGES: [&str; 18] = [
    "AbortFleetRollout",
    "ClearOverride",
    "ConfirmConfig",
    "ConfirmFleetRollout",
    "DisableBackend",
    "DrainLB",
    "EnableBackend",
    "PauseBackend",
    "PutFleetConfig",
    "RecreateVIP",
    "ReloadConfig",
    "RemoveFleetMember",
    "ResumeBackend",
    "RollbackConfig",
    "RollbackFleetConfig",
    "SetFrontendPoolBackendWeight",
    "SyncVPPLBState",
    "UndrainLB",
];

/// Sends packets, and changes nothing.
const PROBES: &str = "CheckBackend";

/// A listening brain, with these rights for loopback clients.
struct Listening {
    brain: Brain,
    address: ListenAddress,
    _server: JoinHandle<Result<(), ListenError>>,
}

impl Listening {
    async fn start(loopback: Loopback, address: ListenAddress) -> Self {
        let settings = AccessSettings { admin_group: None, reader_group: None, loopback };
        let gate = Gate::new(Access::new(settings).unwrap());
        let brain = Brain::start(CONFIG);
        let listener = Listener::bind(address).await.unwrap();
        let address = listener.address().clone();
        let server = tokio::spawn(serve(listener, brain.service.clone(), gate, std::future::pending()));
        Self { brain, address, _server: server }
    }

    async fn over_tcp(loopback: Loopback) -> Self {
        Self::start(loopback, ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).await
    }

    async fn connect(&self) -> Channel {
        match &self.address {
            ListenAddress::Tcp(address) => {
                Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
            }
            ListenAddress::Tls(_) => unreachable!("see `encrypted`"),
            ListenAddress::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_| {
                    let path = path.clone();
                    async move {
                        let stream = tokio::net::UnixStream::connect(path).await?;
                        Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
                    }
                });
                Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap()
            }
        }
    }
}

/// Calls a method with an empty message, which is valid for every method.
pub(super) async fn call(channel: &Channel, method: &str) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = format!("/maglev.Maglev/{method}").parse().unwrap();
    let answer = client.server_streaming(Request::new(()), path, ProstCodec::<(), ()>::default()).await?;
    answer.into_inner().message().await.map(|_| ())
}

pub(super) async fn code(channel: &Channel, method: &str) -> Code {
    call(channel, method).await.map_or_else(|status| status.code(), |()| Code::Ok)
}

#[test]
fn every_method_reads_or_changes() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let methods: BTreeSet<_> =
        services.flat_map(|service| &service.method).map(|method| method.name()).collect();
    let changes = METHODS.iter().filter(|(_, right)| *right == Right::Change);
    let changes: Vec<_> = changes.filter_map(|(path, _)| path.strip_prefix("/maglev.Maglev/")).collect();
    assert_eq!(changes, CHANGES);
    let listed = READS.into_iter().chain(CHANGES).chain([PROBES]).filter(|name| *name != "NoSuchMethod");
    assert_eq!(
        methods,
        listed.collect(),
        "what a read-only caller may call is to be decided for each method"
    );
}

#[tokio::test]
async fn reader_may_change_nothing() {
    let listening = Listening::over_tcp(Loopback::ReadOnly).await;
    let channel = listening.connect().await;
    for method in CHANGES {
        let status = call(&channel, method).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{method}");
        let message = status.message();
        assert!(message.starts_with("someone on this machine, from 127.0.0.1:"), "{message}");
        assert!(message.contains("may not change anything") && message.contains("--grpc-loopback admin"));
    }
    let status = call(&channel, PROBES).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("may not have probes sent"), "{status}");
    for method in READS {
        assert_ne!(code(&channel, method).await, Code::PermissionDenied, "{method}");
    }
    assert_eq!(code(&channel, "ListFrontends").await, Code::Ok);
    assert!(listening.brain.service.snapshot().overrides.is_empty());
}

#[tokio::test]
async fn admin_may_do_everything() {
    let directory = tempfile::tempdir().unwrap();
    // The user that runs this test is the brain's own user, too.
    let unix = ListenAddress::Unix(directory.path().join("brain.sock"));
    let over_unix = Listening::start(Loopback::Off, unix).await;
    let over_tcp = Listening::over_tcp(Loopback::Admin).await;
    for listening in [&over_unix, &over_tcp] {
        let channel = listening.connect().await;
        for method in READS.into_iter().chain(CHANGES).chain([PROBES]) {
            assert_ne!(code(&channel, method).await, Code::PermissionDenied, "{method}");
        }
    }
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&directory.path().join("brain.sock")), 0o666);
}

#[tokio::test]
async fn who_may_do_nothing_is_told_so() {
    let listening = Listening::over_tcp(Loopback::Off).await;
    let channel = listening.connect().await;
    for method in READS.into_iter().chain(CHANGES) {
        let status = call(&channel, method).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{method}");
        assert!(status.message().contains("--grpc-loopback off"), "{}", status.message());
    }
}
