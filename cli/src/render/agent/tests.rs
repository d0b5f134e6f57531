use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

const PRESENT: Moment = Moment(NOW);

#[test]
fn connected_agent_with_a_vip_that_is_not_its_business() {
    let expected = "\
Agent         connected
Socket        /run/maglev/dpagent.sock
Version       0.2.0
Protocol      10
PID           4242
Started       2026-11-16T04:12:03.250Z (5d0h ago)
Connected     2026-11-21T03:58:03.250Z (14m0s ago)
Connections   2 since maglev-brain's start
Foreign VIPs  198.51.100.1 udp/53 (outside the agent's policy; left as they are)
";
    assert_eq!(info(&samples::agent(), PRESENT, PLAIN), expected);
}

#[test]
fn agent_without_raw_sockets_says_why() {
    let agent =
        AgentInfo { connected: true, no_echo: "Operation not permitted".into(), ..AgentInfo::default() };
    let expected = "\
Agent          connected
Connections    0 since maglev-brain's start
Echo requests  not possible: Operation not permitted
";
    assert_eq!(info(&agent, PRESENT, PLAIN), expected);
}

#[test]
fn settings_that_were_refused_are_shown_with_the_reason() {
    let reason =
        "the agent refused a change from 1024 to 8388608 sticky buckets: 4194304 buckets would fit\n";
    let agent = AgentInfo { connected: true, settings_refused: reason.into(), ..AgentInfo::default() };
    let line = "LB settings  refused: the agent refused a change from 1024 to 8388608 sticky buckets: 4194304 buckets would \
                fit\\n\n";
    assert!(info(&agent, PRESENT, PLAIN).ends_with(line), "{}", info(&agent, PRESENT, PLAIN));
    let vpp = maglev_proto::VppInfo { agent: Some(agent), ..Default::default() };
    assert!(crate::render::vpp::info(&vpp, PRESENT, PLAIN).ends_with(line));
}

#[test]
fn drift_is_counted_and_the_newest_is_shown() {
    let drift = vec!["10.0.0.3 has weight 2, not 1".into()];
    let agent =
        AgentInfo { connected: true, drift_total: 3, drift, drift_at_unix_ms: 1, ..AgentInfo::default() };
    let shown = info(&agent, PRESENT, PLAIN);
    let line = shown.lines().last().unwrap();
    assert!(line.starts_with("Drift        3, corrected; last 1970-01-01"), "{shown}");
    assert!(line.ends_with(": 10.0.0.3 has weight 2, not 1"), "{shown}");
}

#[test]
fn agent_that_is_away_says_why() {
    let away = AgentInfo { reason: "connection refused".into(), ..AgentInfo::default() };
    let expected = "\
\x1b[1mAgent\x1b[0m        \x1b[31mnot connected: connection refused\x1b[0m
\x1b[1mConnections\x1b[0m  0 since maglev-brain's start
";
    assert_eq!(info(&away, PRESENT, COLORED), expected);
}
