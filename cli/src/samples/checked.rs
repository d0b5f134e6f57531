//! Backends that were probed on demand.

use maglev_proto::{
    CheckBackendResponse, HealthCheckProbe, Hop, HopState, ProbeResult, TunnelHop, TunnelPath,
};

use super::NOW;

fn result(code: &str, detail: &str, duration_ms: f64) -> ProbeResult {
    let passed = code.ends_with("OK");
    ProbeResult { passed, code: code.into(), detail: detail.into(), at_unix_ms: NOW, duration_ms }
}

/// By its health checks.
pub(crate) fn checked_now() -> CheckBackendResponse {
    let check = |name: &str, result| HealthCheckProbe { healthcheck: name.into(), result: Some(result) };
    CheckBackendResponse {
        backend: "web2".into(),
        address: "10.0.0.2".into(),
        checks: vec![
            check("http-alive", result("L4CON", "connection refused", 0.18)),
            check("ping", result("L4OK", "echo reply after 0.31 ms", 0.31)),
        ],
        ..CheckBackendResponse::default()
    }
}

/// Through the tunnel, to a server that lost its VIP.
pub(crate) fn checked_through() -> CheckBackendResponse {
    let hop = |hop: Hop, state: HopState, result, meaning: &str| TunnelHop {
        hop: hop.into(),
        state: state.into(),
        result: Some(result),
        meaning: meaning.into(),
        ..TunnelHop::default()
    };
    let lost = "203.0.113.10 through the tunnel: no echo reply in time";
    let hops = vec![
        hop(Hop::Address, HopState::Ok, result("L4OK", "", 0.31), "10.0.0.2 answers"),
        hop(
            Hop::Tunnel,
            HopState::Ok,
            result("L4OK", "", 0.44),
            "10.0.0.2 takes packets out of the tunnel, and its answers come back",
        ),
        hop(
            Hop::Vip,
            HopState::Failed,
            result("L4TOUT", lost, 900.0),
            "the server needs the IPv4 address 203.0.113.10/32, on its loopback interface for example",
        ),
    ];
    let path = TunnelPath {
        frontend: "shop".into(),
        vip: "203.0.113.10".into(),
        protocol: "tcp".into(),
        port: 443,
        hops,
    };
    CheckBackendResponse { checks: Vec::new(), paths: vec![path], ..checked_now() }
}
