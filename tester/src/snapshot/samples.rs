//! A test of two VIPs, as it might be seen.

use super::*;

fn share(server: &str, answers: u64, compared: f64, expected: f64, unexpected: bool) -> ServerShare {
    ServerShare {
        server: server.to_owned(),
        answers,
        recent: compared,
        run: compared,
        compared: Some(compared),
        expected: Some(expected),
        unexpected,
    }
}

/// `www` had an outage and has flows; `dns` is being refused.
pub(crate) fn two_vips() -> Snapshot {
    let outage = |ms, failed| OutageSnapshot { since: "2026-11-30T12:00:10.100Z".to_owned(), ms, failed };
    let failure = FailureSnapshot {
        at: "2026-11-30T12:00:10.100Z".to_owned(),
        class: Class::Reset,
        words: "L7RSP: connection reset by peer before an answer".to_owned(),
    };
    let event = FlowEventSnapshot {
        at: "2026-11-30T12:00:10.400Z".to_owned(),
        flow: 3,
        event: "moved",
        words: "web1 -> web2".to_owned(),
    };
    let percentiles = Percentiles { p50: 0.8, p95: 1.9, p99: 4.2, max: 31.0 };
    let www = VipSnapshot {
        vip: "www".to_owned(),
        address: "198.51.100.1:80".to_owned(),
        request: "http",
        state: VipState::Up,
        sent: 600,
        failed: 4,
        success: Some(596.0 / 600.0),
        last: Some("L7OK: HTTP 200".to_owned()),
        last_hundred: percentiles,
        run: percentiles,
        failures: BTreeMap::from([(Class::Reset, 3), (Class::Timeout, 1)]),
        newest_failures: vec![failure],
        servers: vec![share("web1", 240, 0.4, 0.4, false), share("web2", 356, 0.6, 0.6, true)],
        chance: Some(0.42),
        worst_difference: Some(0.004),
        balancers: BTreeMap::from([("lb1".to_owned(), 596)]),
        outages: OutagesSnapshot {
            count: 2,
            total_ms: 400,
            current: None,
            longest: Some(outage(300, 3)),
            longest_disturbance: Some(outage(900, 4)),
            newest: vec![outage(100, 1), outage(300, 3)],
        },
        flows: Some(FlowsSnapshot {
            wanted: 20,
            open: 20,
            exchanged: 1180,
            broke: 1,
            moved: 1,
            stalled: 0,
            servers: BTreeMap::from([("web1".to_owned(), 8), ("web2".to_owned(), 12)]),
            events: vec![event],
        }),
    };
    let dns = VipSnapshot {
        vip: "dns".to_owned(),
        address: "198.51.100.2:53".to_owned(),
        request: "udp",
        state: VipState::Failing,
        sent: 50,
        failed: 50,
        success: Some(0.0),
        last: Some("L4CON: connection refused".to_owned()),
        last_hundred: Percentiles::default(),
        run: Percentiles::default(),
        failures: BTreeMap::from([(Class::Refused, 50)]),
        newest_failures: Vec::new(),
        servers: Vec::new(),
        chance: None,
        worst_difference: None,
        balancers: BTreeMap::new(),
        outages: OutagesSnapshot {
            count: 1,
            total_ms: 5000,
            current: Some(outage(5000, 50)),
            longest: Some(outage(5000, 50)),
            longest_disturbance: Some(outage(5000, 50)),
            newest: Vec::new(),
        },
        flows: None,
    };
    Snapshot {
        at: "2026-11-30T12:01:00.000Z".to_owned(),
        started: "2026-11-30T12:00:00.000Z".to_owned(),
        elapsed: 60.0,
        brain_error: None,
        vips: vec![www, dns],
    }
}
