use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

const PRESENT: Moment = Moment(NOW);

#[test]
fn list_lines_up_in_every_state() {
    let expected = "\
Name   Address                              State     Counter  Since  Check     Took  Detail
res1   2001:db8:ffff:ffff:ffff:ffff:ffff:1  unknown       1/4      -  -            -  not probed
sorry  10.0.9.1                             up              -   5d3h  static       -  -
web1   10.0.0.1                             up            4/4  2h14m  L7OK    3.10ms  HTTP 200
web2   10.0.0.2                             down          0/4    45s  L4CON   0.18ms  connection refused
web4   10.0.0.4                             disabled      0/4      -  -            -  not probed
";
    assert_eq!(list(&samples::backends(), PRESENT, PLAIN), expected);
}

#[test]
fn list_is_colored_by_state_and_result() {
    let expected = "\
\x1b[1mName\x1b[0m  \x1b[1mAddress\x1b[0m   \x1b[1mState\x1b[0m     \x1b[1mCounter\x1b[0m  \
\x1b[1mSince\x1b[0m  \x1b[1mCheck\x1b[0m    \x1b[1mTook\x1b[0m  \x1b[1mDetail\x1b[0m
web2  10.0.0.2  \x1b[31mdown\x1b[0m          0/4    45s  \x1b[31mL4CON\x1b[0m  0.18ms  connection refused
web4  10.0.0.4  \x1b[2mdisabled\x1b[0m      0/4      \x1b[2m-\x1b[0m  \x1b[2m-\x1b[0m           \
\x1b[2m-\x1b[0m  \x1b[2mnot probed\x1b[0m
";
    assert_eq!(list(&samples::backends()[3..], PRESENT, COLORED), expected);
}

#[test]
fn nothing_configured_is_said() {
    assert_eq!(list(&[], PRESENT, PLAIN), "No backends are configured.\n");
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
Frontends     shop, shop-v6

Transitions, newest first
  Time                        Age  From     To    Cause
  2026-11-21T04:11:18.250Z    45s  up       down  L4CON: connection refused
  2026-11-21T01:58:03.250Z  2h14m  unknown  up    L7OK: HTTP 200
";
    assert_eq!(one(&samples::web2(), PRESENT, PLAIN), expected);
}

#[test]
fn one_that_is_static_has_no_check() {
    let expected = "\
Backend       sorry
Address       10.0.9.1
State         up
Enabled       yes
Health check  none (static: taken as up, never probed)
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

/// A probe's detail may hold what a backend sent.
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
