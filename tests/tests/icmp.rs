//! ICMP checks: a real brain uses a real agent, which sends real echo requests.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use maglev_tests::stack::{Stack, VIP, free_port};
use maglev_tests::{skipped, wait};
use serde_json::Value;

/// Bit of the capability to open raw sockets.
const CAP_NET_RAW: u64 = 1 << 13;
/// Backends that answer.
const NEAR: [&str; 2] = ["near1", "near2"];
/// Probes without an agent that are waited for; more than `fall`.
const PROBES: usize = 3;

/// What is to be found of a backend: its state, the codes of its probes, and how their words begin.
type Expected<'a> = (&'a str, &'a str, &'a [&'a str], &'a str);

/// With an agent. Nobody answers for `far`, or a router reports it unreachable; without a route to it, the
/// kernel does.
const ANSWERED: [Expected<'_>; 4] = [
    ("near1", "up", &["L4OK"], "echo reply after "),
    ("near2", "up", &["L4OK"], "echo reply after "),
    ("far", "down", &["L4TOUT", "L4CON"], ""),
    ("forbidden", "unknown", &["SOCKERR"], "not probed: "),
];
/// Without an agent: all keep their states.
const AWAY: &str = "not probed: the agent is disconnected";
const UNANSWERED: [Expected<'_>; 4] = [
    ("near1", "up", &["SOCKERR"], AWAY),
    ("near2", "up", &["SOCKERR"], AWAY),
    ("far", "down", &["SOCKERR"], AWAY),
    ("forbidden", "unknown", &["SOCKERR"], AWAY),
];

fn configuration() -> String {
    let port = free_port().unwrap();
    format!(
        "\
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1 }} }}
  healthchecks:
    ping: {{ type: icmp, interval: 1s, fast-interval: 200ms, down-interval: 200ms, rise: 2, fall: 2 }}
  backends:
    near1: {{ address: 127.90.3.1, healthcheck: ping }}
    near2: {{ address: 127.90.3.2, healthcheck: ping }}
    far: {{ address: 198.51.100.77, healthcheck: ping }}
    forbidden: {{ address: 203.0.113.1, healthcheck: ping }}
  frontends:
    www:
      address: {VIP}
      protocol: tcp
      port: {port}
      pools: [{{ name: all, backends: {{ near1: {{}}, near2: {{}} }} }}]
"
    )
}

fn has_net_raw() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() & CAP_NET_RAW != 0
}

/// Waits until so many probes of each backend have been seen to end as expected, one after the other, and no other
/// probe in between.
async fn wait_for(stack: &Stack, what: &str, expected: &[Expected<'_>], probes: usize) {
    let seen: RefCell<BTreeMap<&str, BTreeSet<u64>>> = RefCell::default();
    let look = || async {
        let backends = stack.backends().await?;
        let mut missing = String::new();
        for (name, state, codes, words) in expected {
            let backend = &backends[*name];
            let probe = &backend["last_probe"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (code, detail) = (text(&probe["code"]), text(&probe["detail"]));
            let mut seen = seen.borrow_mut();
            let seen = seen.entry(name).or_default();
            if backend["state"] == *state && codes.contains(&code.as_str()) && detail.starts_with(words) {
                seen.extend(probe["at_unix_ms"].as_u64());
            } else {
                seen.clear();
            }
            if seen.len() < probes {
                missing = format!("{missing}{name}: {} {probe}, {} probes\n", backend["state"], seen.len());
            }
        }
        anyhow::ensure!(missing.is_empty(), "{missing}");
        Ok(Some(()))
    };
    wait::until(what, look).await.map_err(|error| stack.explain(&error)).unwrap();
}

/// Asserts that no backend's state flapped. A simulator that a loaded machine keeps from answering for 200 ms
/// counts as silent, and a backend that went down meanwhile is rightly restored until a further probe fails.
async fn assert_steady(stack: &Stack) {
    let backends = stack.backends().await.unwrap();
    for (name, state, ..) in ANSWERED {
        let transitions = backends[name]["transitions"].as_array().unwrap();
        let states = transitions.iter().map(|transition| transition["to"].as_str().unwrap());
        let mut found: Vec<_> = states.filter(|state| *state != "unknown").collect();
        found.dedup();
        let expected: &[_] = if state == "unknown" { &[] } else { &[state] };
        assert_eq!(found, expected, "{}", backends[name]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_keep_their_states_while_the_agent_is_away() {
    if !has_net_raw() {
        return skipped("ICMP checks: without CAP_NET_RAW no echo request is sent");
    }
    let mut stack = Stack::empty().unwrap();
    stack.configure(&configuration()).unwrap();
    stack.start_vppsim().unwrap();
    stack.start_agent().unwrap();
    stack.start_brain().unwrap();
    wait_for(&stack, "all to be probed", &ANSWERED, 2).await;
    stack.wait_serving(&NEAR).await.unwrap();
    let forbidden = &stack.backends().await.unwrap()["forbidden"]["last_probe"];
    assert!(forbidden["detail"].as_str().unwrap().contains("`ping`"), "it names the rule: {forbidden}");
    assert_steady(&stack).await;
    let writes = stack.writes().unwrap();

    stack.kill("dpagent").unwrap();
    wait_for(&stack, "probes to fail for want of an agent", &UNANSWERED, PROBES).await;
    assert_steady(&stack).await;

    stack.start_agent().unwrap();
    wait_for(&stack, "all to be probed again", &ANSWERED, 2).await;
    stack.wait_synced().await.unwrap();
    stack.wait_serving(&NEAR).await.unwrap();
    assert_steady(&stack).await;
    assert_eq!(stack.writes().unwrap(), writes, "VPP was written to, and nothing had changed");
}
