use std::sync::atomic::Ordering;

use maglev_engine::outcome::ProbeCode;
use maglev_protocol::PROTOCOL_VERSION;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::super::tests::{FakeAgent, connected, serve};
use super::*;

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const REFUSED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));
/// Only reached by a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(30);

fn vip() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 80))
}

fn targets(servers: &[IpAddr]) -> BTreeSet<TunnelTarget> {
    servers.iter().map(|server| TunnelTarget { vip: vip().ip(), server: *server }).collect()
}

/// A probe that passes, and sends a packet through the tunnel if it should.
async fn probe(tunnels: &Tunnels, server: IpAddr, agent: &FakeAgent, sends: bool) -> (ProbeCode, String) {
    let passes = |source: IpAddr, _| async move {
        agent.tunnelled.fetch_add(usize::from(sends), Ordering::Relaxed);
        ProbeOutcome {
            code: ProbeCode::L4Ok,
            detail: source.to_string().into(),
            duration: Duration::ZERO,
            asked: None,
        }
    };
    let outcome = tunnels.probe(vip(), server, PATIENCE, passes).await;
    (outcome.code, outcome.detail.to_string())
}

/// Probes until the code is this one; returns the detail.
async fn until(tunnels: &Tunnels, server: IpAddr, agent: &FakeAgent, code: ProbeCode, words: &str) -> String {
    let look = async {
        loop {
            let (found, detail) = probe(tunnels, server, agent, true).await;
            if found == code && detail.contains(words) {
                return detail;
            }
            yield_now().await;
        }
    };
    timeout(PATIENCE, look).await.expect("it does not come")
}

#[tokio::test]
async fn probes_count_only_with_an_address_and_a_packet_through_the_tunnel() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let (agent, _levers) = FakeAgent::new(connected(1), PROTOCOL_VERSION);
    let (tunnels, inbox) = tunnels();
    tunnels.set_targets(targets(&[SERVER, REFUSED]));
    let told = "198.51.100.1 port 80 through the tunnel: not probed: ";
    let (code, detail) = probe(&tunnels, SERVER, &agent, true).await;
    assert_eq!((code, detail), (ProbeCode::SockErr, format!("{told}the agent is not connected yet")));

    let server = serve(&socket, agent.clone());
    let _task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(run(socket.clone(), 1, inbox)));
    assert_eq!(until(&tunnels, SERVER, &agent, ProbeCode::L4Ok, "").await, "10.255.0.1");
    let (code, detail) = probe(&tunnels, SERVER, &agent, false).await;
    assert_eq!(code, ProbeCode::SockErr, "it went past the tunnel");
    assert!(detail.contains("did not reach the tunnel"), "{detail}");
    let (code, detail) = probe(&tunnels, REFUSED, &agent, true).await;
    assert_eq!((code, detail), (ProbeCode::SockErr, format!("{told}no probes through the tunnel: test")));

    let other = IpAddr::from([10, 0, 0, 2]);
    let (code, detail) = probe(&tunnels, other, &agent, true).await;
    assert_eq!(
        (code, detail),
        (ProbeCode::SockErr, format!("{told}it is being added to the agent's targets"))
    );
    tunnels.set_targets(targets(&[SERVER, other]));
    assert_eq!(until(&tunnels, other, &agent, ProbeCode::L4Ok, "").await, "10.255.0.2");

    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    std::fs::remove_file(&socket).unwrap();
    until(&tunnels, SERVER, &agent, ProbeCode::SockErr, "not probed: ").await;
    let _server = serve(&socket, agent.clone());
    assert_eq!(until(&tunnels, SERVER, &agent, ProbeCode::L4Ok, "").await, "10.255.0.1");
}

#[tokio::test]
async fn without_targets_the_agent_is_not_asked() {
    let (tunnels, inbox) = tunnels();
    let task = tokio::spawn(run("/nonexistent".into(), 1, inbox));
    yield_now().await;
    drop(tunnels);
    timeout(PATIENCE, task).await.expect("it goes on without anybody").unwrap();
}

#[tokio::test]
async fn a_single_probe_has_an_address_for_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let (agent, _levers) = FakeAgent::new(connected(1), PROTOCOL_VERSION);
    let (tunnels, inbox) = tunnels();
    let _server = serve(&socket, agent.clone());
    let _task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(run(socket.clone(), 1, inbox)));
    let [one, refused] = [SERVER, REFUSED].map(|server| TunnelTarget { vip: vip().ip(), server });
    let mut lease = tunnels.lease(vec![one, refused]);
    lease.settled(Instant::now() + PATIENCE).await;
    assert_eq!(probe(&tunnels, SERVER, &agent, true).await.0, ProbeCode::L4Ok);
    let (_, detail) = probe(&tunnels, REFUSED, &agent, true).await;
    assert!(detail.contains("no probes through the tunnel: test"), "{detail}");
    let mut other = tunnels.lease(vec![one]);
    drop(lease);
    until(&tunnels, REFUSED, &agent, ProbeCode::SockErr, "being added").await;
    other.settled(Instant::now() + PATIENCE).await;
    assert_eq!(probe(&tunnels, SERVER, &agent, true).await.0, ProbeCode::L4Ok);
    // Checks that begin meanwhile keep it.
    tunnels.set_targets(targets(&[SERVER]));
    drop(other);
    assert_eq!(**tunnels.targets.borrow(), targets(&[SERVER]));
    tunnels.set_targets(BTreeSet::new());
    assert!(tunnels.targets.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_an_agent_that_is_away() {
    let (tunnels, inbox) = tunnels();
    let _task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(run("/nonexistent".into(), 1, inbox)));
    let mut lease = tunnels.lease(vec![TunnelTarget { vip: vip().ip(), server: SERVER }]);
    lease.settled(Instant::now() + PATIENCE).await;
    let (agent, _levers) = FakeAgent::new(connected(1), PROTOCOL_VERSION);
    let (code, detail) = probe(&tunnels, SERVER, &agent, true).await;
    assert_eq!(code, ProbeCode::SockErr);
    assert!(detail.contains("the agent is disconnected: cannot connect"), "{detail}");
}

#[test]
fn too_many_targets_are_not_passed_on() {
    let (tunnels, _inbox) = tunnels();
    let target = |n: usize| TunnelTarget {
        vip: vip().ip(),
        server: std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap()).into(),
    };
    tunnels.set_targets((0..MOST_TUNNEL_TARGETS).map(target).collect());
    let lease = tunnels.lease(vec![target(MOST_TUNNEL_TARGETS)]);
    assert_eq!(tunnels.targets.borrow().len(), MOST_TUNNEL_TARGETS);
    drop(lease);
}
