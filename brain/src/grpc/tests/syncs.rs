//! Full syncs on request: a real controller, and an agent directed by the test.

use maglev_engine::snapshot::SyncStatus;
use maglev_proto::SyncVpplbStateRequest;
use maglev_protocol::PROTOCOL_VERSION;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tonic::Code;

use super::changes::by_admin;
use super::*;
use crate::agent::tests::{FakeAgent, Levers, connected, serve};
use crate::controller::{self, Setup};

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s, sync-interval: 1h } }
  backends: { b1: { address: 10.0.0.1 } }
  frontends:
    shop: { address: 203.0.113.10, protocol: tcp, port: 443, pools: [ { name: only, backends: { b1: {} } } ] }
";
const PATIENCE: Duration = Duration::from_secs(20);

struct Brain {
    service: Service,
    agent: FakeAgent,
    levers: Levers,
    _directory: tempfile::TempDir,
}

impl Brain {
    /// Starts with everything synced.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let agent_socket = directory.path().join("agent.sock");
        let (agent, levers) = FakeAgent::new(connected(1), PROTOCOL_VERSION);
        // Ends with the test's runtime.
        drop(serve(&agent_socket, agent.clone()));
        let config = Arc::new(parse("maglev.yaml", CONFIG).unwrap().config);
        let setup = Setup {
            config,
            overrides: Overrides::default(),
            history: None,
            state: None,
            agent_socket,
            instance: 1,
        };
        let (controller, running) = controller::start(setup, &Handle::current(), std::future::pending());
        tokio::spawn(running);
        let reloader = Reloader::new(directory.path().join("maglev.yaml"), controller.operator.clone());
        let service = Service::new(&controller, reloader);
        let brain = Self { service, agent, levers, _directory: directory };
        brain.wait_for(|now| now.frontends["shop"].sync == SyncStatus::Synced).await;
        brain
    }

    async fn wait_for(&self, is: impl Fn(&Snapshot) -> bool) {
        let mut snapshots = self.service.snapshots.clone();
        let found = timeout(PATIENCE, snapshots.wait_for(|now| is(now))).await;
        found.expect("the snapshot did not come").expect("the controller is gone");
    }

    async fn sync(&self) -> Result<maglev_proto::SyncVpplbStateResponse, (Code, String)> {
        let request = by_admin(SyncVpplbStateRequest { frontend: "shop".into() });
        let answer = self.service.sync_vpplb_state(request).await;
        answer.map(Response::into_inner).map_err(|status| (status.code(), status.message().to_owned()))
    }
}

#[tokio::test]
async fn operator_learns_what_the_sync_did_that_was_asked_for() {
    let brain = Brain::start().await;
    let key = VipKey::port([203, 0, 113, 10].into(), 6, 443);
    let vip = VipReport { key, changes: vec![Change::VipAdded], table_length: None, errors: vec![] };
    let foreign = vec![VipKey::port([192, 0, 2, 9].into(), 17, 53)];
    *brain.agent.report.lock().unwrap() = SyncReport {
        vips: vec![vip],
        drift: vec![format!("VIP {key} is gone")],
        read: Some(FullRead { vips: 1, servers: 0 }),
        foreign,
        conf: None,
    };
    let told = brain.sync().await.unwrap();
    assert_eq!(
        (told.vips[0].frontend.as_str(), &told.vips[0].changes[..]),
        ("shop", &["VIP made".to_owned()][..])
    );
    assert_eq!((told.drift.len(), told.vips_read, told.held_back.len()), (1, 1, 0));
    brain.wait_for(|now| now.agent.foreign.len() == 1).await;
    let agent = view::vpp::agent(&brain.service.snapshot().agent);
    assert_eq!((agent.connections, agent.foreign.as_slice()), (1, &["192.0.2.9 udp/53".to_owned()][..]));
    assert_eq!((agent.pid, agent.protocol), (77, PROTOCOL_VERSION));
}

#[tokio::test]
async fn operator_learns_at_once_that_the_agent_cannot() {
    let brain = Brain::start().await;
    *brain.agent.failing.lock().unwrap() = true;
    let refused = "refused: VPP did not answer: test; will be retried".to_owned();
    assert_eq!(brain.sync().await, Err((Code::Unavailable, refused)));
    *brain.agent.failing.lock().unwrap() = false;
    // It was accepted.
    brain.wait_for(|now| now.frontends["shop"].sync == SyncStatus::Synced).await;
    assert!(brain.sync().await.is_ok());
}

#[tokio::test]
async fn operator_learns_at_once_that_vpp_has_left() {
    let brain = Brain::start().await;
    brain.levers.syncs_held.send_replace(true);
    let before = brain.agent.calls();
    let leave = async {
        while brain.agent.calls() == before {
            tokio::task::yield_now().await;
        }
        let state = VppState::Disconnected { reason: "gone".into(), silent_ms: 0 };
        brain.levers.vpp.send_replace(maglev_protocol::VppInfo { generation: 2, state });
    };
    let (answer, ()) = timeout(PATIENCE, async { tokio::join!(brain.sync(), leave) }).await.unwrap();
    let away = "VPP is not connected: gone; everything is compared once VPP can be programmed".to_owned();
    assert_eq!(answer, Err((Code::Unavailable, away)));
    brain.levers.vpp.send_replace(connected(3));
    brain.levers.syncs_held.send_replace(false);
    brain.wait_for(|now| now.frontends["shop"].sync == SyncStatus::Synced).await;
    assert!(brain.sync().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn operator_waits_half_a_minute_at_most() {
    let brain = Brain::start().await;
    brain.levers.syncs_held.send_replace(true);
    let start = Instant::now();
    assert_eq!(brain.sync().await.unwrap_err().0, Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_secs(), 30);
}
