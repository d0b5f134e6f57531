use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples;

#[test]
fn backend_is_told_with_its_state_and_whether_it_is_kept() {
    let mut change = samples::paused();
    assert_eq!(
        backend(&change, PLAIN),
        "backend web1: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\n"
    );
    assert_eq!(
        backend(&change, COLORED),
        "backend web1: \x1b[33mpaused\x1b[0m; \x1b[32mprogrammed in VPP in 2 of 2 frontends\x1b[0m; persists across restarts\n"
    );
    if let Some(web1) = &mut change.backend {
        web1.set_state(BackendState::Unknown);
        web1.set_operator_state(BackendOverride::None);
    }
    assert_eq!(
        backend(&change, PLAIN),
        "backend web1: unknown until it is probed; programmed in VPP in 2 of 2 frontends; no override\n"
    );
    change.outcome = Some(Outcome { not_kept: "the disk\nis full".into(), ..Outcome::default() });
    let expected = "backend web1: unknown until it is probed; not known whether VPP has it; a restart would undo it: the disk\\nis full\n";
    assert_eq!(backend(&change, PLAIN), expected);
    change.backend = None;
    assert_eq!(backend(&change, PLAIN), "done; meanwhile the backend was removed from the configuration\n");
}

#[test]
fn weight_is_told_beside_the_configured_one() {
    let mut change = samples::weight_set();
    let expected = "weight of web3 in pool primary of shop: 50 (configured 100); programmed in VPP; persists across restarts\n";
    assert_eq!(weight(&change, PLAIN), expected);
    if let Some(web3) = &mut change.backend {
        web3.operator_weight = None;
    }
    let expected = "weight of web3 in pool primary of shop: 100; programmed in VPP; no override\n";
    assert_eq!(weight(&change, PLAIN), expected);
}

#[test]
fn every_answer_of_vpp_has_its_words() {
    for (answer, words) in [
        (InVpp::Acknowledged, "programmed in VPP"),
        (InVpp::HeldBack, "will be programmed when the warm-up releases the frontend"),
        (InVpp::Away, "VPP cannot be programmed now, will be when it can"),
        (InVpp::Late, "no answer from VPP yet, retrying"),
        (InVpp::NotAsked, "no frontend uses it"),
        (InVpp::Unspecified, "not known whether VPP has it"),
    ] {
        let outcome = Outcome { in_vpp: answer.into(), ..Outcome::default() };
        assert_eq!(in_vpp(&outcome, PLAIN), words);
    }
    let outcome =
        Outcome { in_vpp: InVpp::Refused.into(), vpp_error: "no memory".into(), ..Outcome::default() };
    assert_eq!(in_vpp(&outcome, PLAIN), "not programmed: no memory");
}

#[test]
fn what_was_taken_back_is_told_with_what_it_was() {
    let mut change = samples::cleared();
    let expected = "weight of web3 in pool primary of shop: 100 (was 50); VPP cannot be programmed now, will be when it can; \
                    no override\n";
    assert_eq!(cleared(&change, PLAIN), expected);
    let mut overrides = samples::overrides().overrides;
    change.cleared = Some(overrides.remove(1));
    assert_eq!(
        cleared(&change, PLAIN),
        "backend web1: up (was paused); VPP cannot be programmed now, will be when it can; no override\n"
    );
    change.cleared = Some(overrides.remove(0));
    let expected = "backend web0 (disabled): override removed; the configuration does not have it\n";
    assert_eq!(cleared(&change, PLAIN), expected);
    change.outcome = Some(Outcome { not_kept: "the disk is full".into(), ..Outcome::default() });
    let expected = "backend web0 (disabled): override removed; a restart would undo it: the disk is full\n";
    assert_eq!(cleared(&change, PLAIN), expected);
}

#[test]
fn vip_that_was_made_anew_tells_its_price() {
    let mut change = samples::recreated();
    let expected = "VIP of shop: re-created with 4096 buckets; VPP has forgotten its pinned flows\n";
    assert_eq!(recreated(&change, PLAIN), expected);
    change.outcome = Some(Outcome { in_vpp: InVpp::Late.into(), ..Outcome::default() });
    let expected = "VIP of shop: no answer from VPP yet, retrying\n";
    assert_eq!(recreated(&change, PLAIN), expected);
}
