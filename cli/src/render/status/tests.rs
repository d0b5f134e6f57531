use super::*;
use crate::render::tests::PLAIN;
use crate::samples::{self, NOW};

fn line(of: &BrainStatus, label: &str) -> String {
    let text = status(of, Moment(NOW), PLAIN);
    let found = text.lines().find_map(|line| line.strip_prefix(label));
    found.unwrap_or_else(|| panic!("no {label}: {text}")).trim_start().to_owned()
}

#[test]
fn all_is_on_one_page() {
    let expected = "\
frontend legacy (45s): not programmed as desired: VPP refused to add the VIP: another port of this prefix has another encap (INVALID_ARGUMENT, -73)
frontend mail (45s): down: no backend takes new flows (mx1 down)
  fix a backend, see `show frontends mail`
frontend dns-anycast-resolver-v6 (45s): held back by the warm-up until these backends are known: res1
backend web2 (45s): down: L4CON: connection refused
  fix it; its frontends are served by their other backends

Health         4 problems
maglev-brain   0.2.0, up 12s
Configuration  /etc/maglev/maglev.yaml, loaded 2h0m ago
Last reload    refused 1m0s ago: /etc/maglev/maglev.yaml:9:7: error: unknown key `intervall` in health check `web`
Warm-up        releasing, 17s left: each frontend waits for its backends to be known
Frontends      1 of 4 up, 1 held back, 1 not programmed
Backends       2 of 5 up
Overrides      3, 1 without a target
Agent          connected
VPP            connected
";
    assert_eq!(status(&samples::status(), Moment(NOW), PLAIN), expected);
}

#[test]
fn every_phase_of_the_warm_up_has_its_words() {
    let mut brain = samples::status();
    brain.set_warmup(WarmupPhase::Waiting);
    assert_eq!(line(&brain, "Warm-up"), "waiting, 17s left: VPP is not written to unless it is empty");
    brain.set_warmup(WarmupPhase::Over);
    assert_eq!(line(&brain, "Warm-up"), "over");
}

#[test]
fn overrides_are_counted() {
    let mut brain = BrainStatus { overrides_unmatched: 0, frontends_in_panic: 2, ..samples::status() };
    assert_eq!(line(&brain, "Overrides"), "3");
    assert_eq!(line(&brain, "Frontends"), "1 of 4 up, 1 held back, 2 in panic, 1 not programmed");
    brain.overrides = 0;
    assert_eq!(line(&brain, "Overrides"), "none");
}
