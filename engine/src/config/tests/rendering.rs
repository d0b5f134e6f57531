//! Text form of diagnostics.

use super::*;

/// Many mistakes, one of them in an anchor that is merged.
const BAD: &str = "\
maglev:
  vpp:
    lb:
      ipv4-src-address: 2001:db8::1
      sticky-buckets-per-core: 1000
  healthchecks:
    web: &web
      type: http
      intervall: 1s
      params:
        path: healthz
    copy:
      <<: *web
      timeout: 5
  backends:
    web1: { address: 10.0.0.1, healthcheck: wbe }
    web2: { address: 2001:db8::2 }
    spare: { address: 10.0.0.3 }
  frontends:
    www:
      address: 198.51.100.1
      protocol: tcp
      pools:
        - name: primary
          backends:
            web1: { weight: 101 }
            web2: {}
            web3: {}
";

/// The complete output of `--check`.
#[test]
fn many_errors_are_told_at_once() {
    let expected = "\
maglev.yaml:3:5: error: no source address for the tunnels to IPv6 backends, like `web2`
  |
3 |     lb:
  |     ^^
  = help: set `ipv6-src-address` under `maglev: vpp: lb:`

maglev.yaml:4:25: error: `ipv4-src-address` of `lb` of `vpp` is `2001:db8::1`, an IPv6 address
  |
4 |       ipv4-src-address: 2001:db8::1
  |                         ^^^^^^^^^^^
  = help: write an IPv4 address, like `192.0.2.1`

maglev.yaml:5:32: error: `sticky-buckets-per-core` of `lb` of `vpp` is 1000, which is not a power of two
  |
5 |       sticky-buckets-per-core: 1000
  |                                ^^^^
  = help: the nearest ones are 512 and 1024

maglev.yaml:9:7: error: unknown key `intervall` in health check `web`
  |
9 |       intervall: 1s
  |       ^^^^^^^^^
  = help: did you mean `interval`?

maglev.yaml:9:7: error: unknown key `intervall` in health check `copy`
  |
9 |       intervall: 1s
  |       ^^^^^^^^^
  = note: an alias or a merge uses it on line 13
  = help: did you mean `interval`?

maglev.yaml:11:15: error: `path` of `params` of health check `web` is `healthz`, which does not begin with `/`
   |
11 |         path: healthz
   |               ^^^^^^^
   = help: write the path alone, like `/healthz`; the server's name belongs in `host`

maglev.yaml:11:15: error: `path` of `params` of health check `copy` is `healthz`, which does not begin with `/`
   |
11 |         path: healthz
   |               ^^^^^^^
   = note: an alias or a merge uses it on line 13
   = help: write the path alone, like `/healthz`; the server's name belongs in `host`

maglev.yaml:14:16: error: `timeout` of health check `copy` is the bare number `5`, which has no unit
   |
14 |       timeout: 5
   |                ^
   = help: write its unit: `5s` for seconds, `5ms` for milliseconds

maglev.yaml:16:45: error: backend `web1` uses health check `wbe`, which does not exist
   |
16 |     web1: { address: 10.0.0.1, healthcheck: wbe }
   |                                             ^^^
   = help: did you mean `web`?

maglev.yaml:18:5: warning: no frontend uses backend `spare`
   |
18 |     spare: { address: 10.0.0.3 }
   |     ^^^^^
   = help: add it to a pool, or remove it; it is probed, and gets no traffic

maglev.yaml:22:7: error: frontend `www` has a `protocol`, but no `port`
   |
22 |       protocol: tcp
   |       ^^^^^^^^
   = help: set both to balance one port, or neither to balance all traffic to the address

maglev.yaml:26:29: error: `weight` of backend `web1` of pool 1 of frontend `www` is 101, which is out of range
   |
26 |             web1: { weight: 101 }
   |                             ^^^
   = help: write a whole number from 0 to 100

maglev.yaml:27:13: error: backend `web2` of frontend `www` has an IPv6 address, and `web1` has an IPv4 one
   |
27 |             web2: {}
   |             ^^^^
   = help: a frontend's backends share one family, whatever the VIP's: make two frontends

maglev.yaml:28:13: error: pool `primary` of frontend `www` uses backend `web3`, which does not exist
   |
28 |             web3: {}
   |             ^^^^
   = help: did you mean `web1`?

13 errors, 1 warning";
    let errors = parse("maglev.yaml", BAD).unwrap_err();
    assert_eq!(errors.to_string(), expected);
    assert_eq!((errors.class, errors.exit_code()), (Class::NotParseable, 1));
    assert_eq!((errors.count(Severity::Error), errors.count(Severity::Warning)), (13, 1));
}

#[test]
fn a_warning_fits_on_one_line_of_a_log() {
    let loaded = parse("maglev.yaml", "maglev: {}").unwrap();
    assert_eq!(
        loaded.warnings[0].summary(),
        "maglev.yaml:1:1: warning: there are no frontends: every VIP will be removed from VPP (define them under `frontends`)"
    );
}

#[test]
fn marks_land_below_their_place_behind_tabs_and_wide_letters() {
    let text = "{ maglev: {\n  \t\"é\":\t3, \"é\u{301}\": 4 } }";
    let errors = parse("f", text).unwrap_err();
    assert_eq!(
        errors.diagnostics[0].to_string(),
        "f:2:4: error: unknown key `é` in `maglev`\n  |\n2 |   \t\"é\":\t3, \"é\u{301}\": 4 } }\n  |   \t^^^\n  \
         = help: its keys are `announce`, `backends`, `bird`, `fleet`, `frontends`, `healthchecker`, `healthchecks`, `router`, `vpp` and `webhooks`"
    );
}

/// A whole configuration on one line must not fill the screen once per error.
#[test]
fn of_a_long_line_only_the_neighbourhood_is_shown() {
    let backends: Vec<String> =
        (0..1000).map(|n| format!(r#""b{n}": {{"address": "10.0.{}.{}"}}"#, n / 250, n % 250 + 1)).collect();
    let text = format!(r#"{{"maglev": {{"backends": {{{}}}}}}}"#, backends.join(", "))
        .replace("\"10.0.2.9\"", "\"10.0.2\"");
    let errors = parse("f", &text).unwrap_err();
    let wrong = errors.diagnostics.iter().find(|found| found.severity == Severity::Error).unwrap();
    assert_eq!((wrong.line, wrong.column), (1, text.find("\"10.0.2\"").unwrap() + 1));
    let rendered = wrong.to_string();
    let [_, _, line, mark, ..] = rendered.lines().collect::<Vec<_>>()[..] else { panic!("{rendered}") };
    assert!(line.chars().count() <= 170, "{line}");
    let from = mark.find('^').unwrap();
    let marked: String = line.chars().skip(from).take(mark.matches('^').count()).collect();
    assert_eq!(marked, "\"10.0.2\"");
    let last = errors.diagnostics.last().unwrap().to_string();
    assert!(last.lines().all(|line| line.chars().count() <= 170), "{last}");
}

/// Nothing from the file reaches a terminal as a command to it.
#[test]
fn control_characters_are_not_passed_on() {
    let text = "maglev: { \"a\\e[31mb\": 1 } # \u{85}\u{9b}31m\n";
    let rendered = parse("f", text).unwrap_err().to_string();
    assert!(rendered.chars().all(|char| char == '\n' || !char.is_control()), "{rendered:?}");
}

#[test]
fn all_kinds_of_line_breaks_are_counted() {
    for text in [
        "maglev:\n  vpp: {}\n  x: 1\n",
        "maglev:\r\n  vpp: {}\r\n  x: 1\r\n",
        "maglev:\r  vpp: {}\r  x: 1\r",
        "\u{feff}maglev:\n  vpp: {}\n  x: 1",
    ] {
        let errors = parse("f", text).unwrap_err();
        let last = errors.diagnostics.last().unwrap();
        assert_eq!((last.line, last.column, last.excerpt.text.as_str()), (3, 3, "  x: 1"), "{text:?}");
    }
}
