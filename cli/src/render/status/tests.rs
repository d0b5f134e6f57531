use super::*;
use crate::render::tests::PLAIN;
use crate::samples;

fn line(of: &BrainStatus, label: &str) -> String {
    let text = status(of, PLAIN);
    let found = text.lines().find_map(|line| line.strip_prefix(label));
    found.unwrap_or_else(|| panic!("no {label}: {text}")).trim_start().to_owned()
}

#[test]
fn all_is_on_one_page() {
    let expected = "\
maglev-brain   0.1.0, up 12s
Configuration  /etc/maglev/maglev.yaml
Warm-up        releasing, 17s left: each frontend waits for its backends to be known
Frontends      2 of 4 up, 1 held back, 1 refused by VPP
Backends       2 of 5 up
Overrides      3, 1 for what is not configured
Agent          connected
VPP            connected
";
    assert_eq!(status(&samples::status(), PLAIN), expected);
}

#[test]
fn every_phase_of_the_warm_up_has_its_words() {
    let mut brain = samples::status();
    brain.set_warmup(WarmupPhase::Waiting);
    assert_eq!(line(&brain, "Warm-up"), "waiting, 17s left: a VPP that has something is not touched");
    brain.set_warmup(WarmupPhase::Over);
    assert_eq!(line(&brain, "Warm-up"), "over");
}

#[test]
fn overrides_are_counted() {
    let mut brain = BrainStatus { overrides_unmatched: 0, frontends_in_panic: 2, ..samples::status() };
    assert_eq!(line(&brain, "Overrides"), "3");
    assert_eq!(line(&brain, "Frontends"), "2 of 4 up, 1 held back, 2 in panic, 1 refused by VPP");
    brain.overrides = 0;
    assert_eq!(line(&brain, "Overrides"), "none");
}
