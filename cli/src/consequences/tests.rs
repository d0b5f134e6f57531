use maglev_proto::BackendState;

use super::*;
use crate::samples;

const DOCUMENTATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maglevc.md"));

/// The shop with only these backends up.
fn shop(up: &[&str]) -> Frontend {
    let mut shop = samples::shop();
    for row in shop.pools.iter_mut().flat_map(|pool| &mut pool.backends) {
        row.set_state(if up.contains(&row.backend.as_str()) { BackendState::Up } else { BackendState::Down });
    }
    shop
}

fn weight_0<'c>(pool: &'c str, backend: &'c str, flush: bool) -> Changed<'c> {
    Changed::Weight { pool, backend, weight: Some(0), flush }
}

#[test]
fn every_change_is_told_by_what_it_does() {
    for (up, change, is_grave, text) in [
        (&["web1", "web3"][..], Changed::Paused("web1"), None, ""),
        (&["web1"], Changed::Paused("web2"), None, ""),
        (&[], Changed::Disabled("web1"), None, ""),
        (
            &["web1"],
            Changed::Paused("web1"),
            Some(true),
            "frontend shop: no backend left; new flows will be dropped; 1,204 flows that web1 has end by themselves\n",
        ),
        (
            &["web1"],
            Changed::Disabled("web1"),
            Some(true),
            "frontend shop: no backend left; new flows will be dropped; 1,204 flows that web1 has are cut at once\n",
        ),
        (
            &["sorry"],
            weight_0("fallback", "sorry", false),
            Some(true),
            "frontend shop: no backend left; new flows will be dropped; sorry has no flows\n",
        ),
        (
            &["web3", "sorry"],
            weight_0("primary", "web3", true),
            Some(false),
            "frontend shop: pool fallback takes over from pool primary; 633 flows that web3 has are moved to \
             others at once\n",
        ),
        (&["web3", "sorry"], weight_0("fallback", "web3", true), None, ""),
        (&["web3", "sorry"], Changed::Disabled("sorry"), None, ""),
    ] {
        let found = Consequence::of(&shop(up), &change);
        assert_eq!(found.as_ref().map(Consequence::is_grave), is_grave, "{change:?}");
        assert_eq!(super::text(found.as_slice()), text, "{change:?}");
        assert_eq!(need_consent(found.as_slice()), is_grave == Some(true));
    }
}

#[test]
fn panic_is_as_grave() {
    let shop = Frontend { panic_threshold: 30, ..shop(&["web1", "web3"]) };
    let mut one_up = shop.clone();
    one_up.pools[0].backends[2].set_state(BackendState::Down);
    let found = Consequence::of(&one_up, &Changed::Disabled("web1")).unwrap();
    let expected = "frontend shop: too few backends of pool primary are up; in a panic, all of it takes new flows, up \
                    or not; 1,204 flows that web1 has are moved to others at once\n";
    assert_eq!((found.text().as_str(), found.is_grave()), (expected, true));
    assert_eq!(Consequence::of(&shop, &Changed::Paused("web1")), None);
    // One more of a pool in a panic changes nothing of that.
    let panicking = Frontend { panic_threshold: 90, ..shop };
    assert_eq!(Consequence::of(&panicking, &weight_0("primary", "web3", false)), None);
}

#[test]
fn weight_that_comes_back_can_end_a_panic_or_turn_pools() {
    let mut shop = shop(&["web3", "sorry"]);
    shop.pools[0].backends[2].operator_weight = Some(0);
    let change = Changed::Weight { pool: "primary", backend: "web3", weight: None, flush: false };
    let found = Consequence::of(&shop, &change).unwrap();
    // It takes new flows again, so nothing becomes of those that it has.
    let expected = "frontend shop: pool primary takes over from pool fallback\n";
    assert_eq!((found.text().as_str(), found.is_grave()), (expected, false));
    let flushed = Changed::Weight { pool: "primary", backend: "web3", weight: Some(50), flush: true };
    let expected = "frontend shop: pool primary takes over from pool fallback; 633 flows that web3 has are moved to \
                    others at once\n";
    assert_eq!(Consequence::of(&shop, &flushed).unwrap().text(), expected);
}

#[test]
fn documentation_shows_the_question() {
    let text = Consequence::of(&shop(&["web1"]), &Changed::Disabled("web1")).unwrap().text();
    assert!(DOCUMENTATION.contains(&format!("{text}Go on? [y/N] \n")), "docs/maglevc.md lacks:\n{text}");
}
