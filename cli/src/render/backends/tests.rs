use maglev_proto::{BackendCheck, HealthCounter};

use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

const PRESENT: Moment = Moment(NOW);

#[test]
fn list_lines_up_in_every_state() {
    let expected = "\
Name   Address                              State     Since  Frontends  Flows  Health  Check     Took  Detail
web2   10.0.0.2                             down        45s  shop +1       17     0/4  L4CON   0.18ms  connection refused
res1   2001:db8:ffff:ffff:ffff:ffff:ffff:1  unknown       -  shop           0     1/4  -            -  not probed
web4   10.0.0.4                             disabled      -  -              0     0/4  -            -  not probed
sorry  10.0.9.1                             up         5d3h  shop           0       -  static       -  -
web1   10.0.0.1                             up        2h14m  shop        1204     4/4  L7OK    3.10ms  HTTP 200
";
    assert_eq!(list(&samples::backends(), PRESENT, PLAIN), expected);
}

#[test]
fn list_is_colored_by_state_and_result() {
    let text = list(&samples::backends()[3..], PRESENT, COLORED);
    assert!(text.contains("web2  10.0.0.2  \x1b[31mdown\x1b[0m        45s  shop +1       17"), "{text:?}");
    assert!(text.contains("  \x1b[31mL4CON\x1b[0m  0.18ms  connection refused\n"), "{text:?}");
    assert!(
        text.ends_with("  \x1b[2m-\x1b[0m           \x1b[2m-\x1b[0m  \x1b[2mnot probed\x1b[0m\n"),
        "{text:?}"
    );
}

/// The last check of a backend that is out of service is outdated.
#[test]
fn stale_check_is_dimmed_and_dated() {
    let paused = samples::paused().backend.unwrap();
    let text = list(std::slice::from_ref(&paused), PRESENT, COLORED);
    let check = "\x1b[2mL7OK\x1b[0m   \x1b[2m3.10ms\x1b[0m  \x1b[2mHTTP 200 (2s ago)\x1b[0m\n";
    assert!(text.ends_with(check), "{text:?}");
    assert!(one(&paused, PRESENT, COLORED).contains("\x1b[2mL7OK: HTTP 200; took 3.10ms"));
}

#[test]
fn flows_say_whether_it_may_be_switched_off() {
    let mut web2 = samples::web2();
    let line = |web2: &Backend| {
        let text = one(web2, PRESENT, PLAIN);
        text.lines().find_map(|line| line.strip_prefix("Flows         ")).unwrap().to_owned()
    };
    assert_eq!(line(&web2), "at most 17 left, and no new ones (all frontends; 1s old)");
    web2.flows = Some(0);
    assert_eq!(line(&web2), "none, and no new ones: it can be switched off (all frontends; 1s old)");
    // A server that still has buckets in VPP gets new flows, whatever was decided.
    web2.uses[1].row.as_mut().unwrap().buckets = Some(1);
    assert!(
        line(&web2).starts_with("none, and no new ones"),
        "VPP has acknowledged weight 0 since it was read"
    );
    web2.uses[1].set_sync(SyncState::Disconnected);
    assert_eq!(line(&web2), "none now, but it takes new ones (all frontends; 1s old)");
    (web2.flows, web2.vpp_figures_error) = (None, "VPP is not connected".into());
    assert_eq!(line(&web2), "not known: VPP is not connected");
    assert!(list(&[web2], PRESENT, PLAIN).ends_with("\n\nFlows are not known: VPP is not connected\n"));
}

#[test]
fn nothing_configured_is_said() {
    assert_eq!(list(&[], PRESENT, PLAIN), "No backends.\n");
}

#[test]
fn one_shows_its_history() {
    let expected = "\
Backend       web2
Address       10.0.0.2
State         down
Enabled       yes
Health check  http-alive
Counter       0/4 (up at 2 and above; rise 2, fall 3)
Last check    L4CON: connection refused; took 0.18ms, 2026-11-21T04:12:01.250Z (2s ago)
Flows         at most 17 left, and no new ones (all frontends; 1s old)
Sent          48112 packets, 31004840 bytes (all frontends; none for 3s)
Frontends     shop, shop-v6

  Frontend  Pool     Configured  Override  Effective  In VPP  Buckets  Flows
  shop      primary         100         -          0       0        0     17
  shop-v6   primary         100         -          0       0        0      0

Transitions, newest first
  Time                        Age  From     To    Cause
  2026-11-21T04:11:18.250Z    45s  up       down  L4CON: connection refused
  2026-11-21T01:58:03.250Z  2h14m  unknown  up    L7OK: HTTP 200
";
    assert_eq!(one(&samples::web2(), PRESENT, PLAIN), expected);
}

/// Of two checks one is down, and flap damping holds it down.
fn web5() -> Backend {
    let [http, port] = [samples::backends()[2].clone(), samples::web2()].map(|like| like.last_probe);
    let check = |name: &str, state: BackendState, value, (rise, fall), last_probe| BackendCheck {
        healthcheck: name.into(),
        state: state.into(),
        counter: Some(HealthCounter { value, rise, fall }),
        last_probe,
    };
    let port = check("port", BackendState::Down, 0, (1, 1), port);
    Backend {
        name: "web5".into(),
        address: "10.0.0.5".into(),
        healthcheck: "http-alive, port".into(),
        require: "all".into(),
        state: BackendState::Down.into(),
        state_detail: "damped, 43s left".into(),
        enabled: true,
        counter: port.counter,
        last_probe: port.last_probe.clone(),
        checks: vec![check("http-alive", BackendState::Up, 4, (2, 3), http), port],
        frontends: vec!["shop".into()],
        flows: Some(0),
        vpp_figures_age_ms: Some(1200),
        ..Backend::default()
    }
}

#[test]
fn one_with_several_checks_shows_each() {
    let expected = "\
Backend       web5
Address       10.0.0.5
State         down (damped, 43s left)
Enabled       yes
Health check  http-alive, port (require all)
Flows         none, and no new ones: it can be switched off (all frontends; 1s old)
Frontends     shop

  Check       State  Health  Code     Took  Age  Detail
  http-alive  up        4/4  L7OK   3.10ms   2s  HTTP 200
  port        down      0/1  L4CON  0.18ms   2s  connection refused

No transitions yet.
";
    assert_eq!(one(&web5(), PRESENT, PLAIN), expected);
    let line = list(&[web5()], PRESENT, PLAIN);
    assert!(line.ends_with("damped, 43s left: port: connection refused\n"), "{line}");
}

#[test]
fn one_that_is_static_has_no_check() {
    let expected = "\
Backend       sorry
Address       10.0.9.1
State         up
Enabled       yes
Health check  none (static: taken as up, never probed)
Flows         none, and no new ones: it can be switched off (all frontends; 1s old)
Frontends     shop

Transitions, newest first
  Time                       Age  From     To  Cause
  2026-11-16T01:12:03.250Z  5d3h  unknown  up  static
";
    assert_eq!(one(&samples::backends()[1], PRESENT, PLAIN), expected);
}

#[test]
fn one_that_is_disabled_and_unused_says_so() {
    let expected = "\
Backend       web4
Address       10.0.0.4
State         disabled
Enabled       no
Health check  http-alive
Counter       0/4 (up at 2 and above; rise 2, fall 3)
Last check    not probed
Flows         none, and no new ones: it can be switched off (all frontends; 1s old)
Frontends     none: it is in no frontend's pools

No transitions yet.
";
    assert_eq!(one(&samples::backends()[4], PRESENT, PLAIN), expected);
}

#[test]
fn one_that_an_operator_paused_says_since_when() {
    let paused = samples::paused().backend.unwrap();
    let text = one(&paused, PRESENT, PLAIN);
    let expected = "\nState         paused\nBy operator   paused, 2026-11-21T04:12:03.250Z (0s ago)\nEnabled       yes\n";
    assert!(text.contains(expected), "{text}");
}

/// A probe's detail may contain text that a backend sent.
#[test]
fn hostile_detail_cannot_drive_the_terminal() {
    let mut web2 = samples::web2();
    web2.transitions.truncate(1);
    web2.transitions[0].cause = "L7STS: HTTP 500 \x1b]0;owned\x07\nshop down".into();
    if let Some(probe) = &mut web2.last_probe {
        probe.detail = "\x1b[2J\u{9b}31m".into();
    }
    let detailed = one(&web2, PRESENT, PLAIN);
    assert!(detailed.contains(r"L7STS: HTTP 500 \u{1b}]0;owned\u{7}\nshop down"), "{detailed}");
    let line = list(&[web2], PRESENT, PLAIN);
    assert!(line.ends_with("0.18ms  \\u{1b}[2J\\u{9b}31m\n"), "{line}");
}

#[test]
fn numbers_out_of_range_are_shown_not_trusted() {
    let mut web2 = samples::web2();
    web2.state = 99;
    web2.transitions[0].at_unix_ms = u64::MAX;
    web2.counter = Some(maglev_proto::HealthCounter { value: u32::MAX, rise: u32::MAX, fall: u32::MAX });
    web2.last_probe =
        Some(ProbeResult { duration_ms: f64::NAN, at_unix_ms: u64::MAX, ..ProbeResult::default() });
    let detailed = one(&web2, PRESENT, PLAIN);
    assert!(detailed.contains("State         unspecified\n"), "{detailed}");
    assert!(detailed.contains("Counter       4294967295/4294967294 (up"), "{detailed}");
    assert!(detailed.contains("18446744073709551615 ms after 1970"), "{detailed}");
}
