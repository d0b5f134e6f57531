use maglev_proto::{BrainStatus, VppInfo};

use super::*;
use crate::render::tests::PLAIN;
use crate::samples;

#[test]
fn all_of_them_on_one_page() {
    let known = Versions::of(&samples::status(), &samples::vpp_info_with_agent());
    let expected = format!(
        "\
maglevc         {}
maglev-brain    0.2.0
maglev-dpagent  0.2.0, protocol 10
VPP             26.10-rc0~374
",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(versions(&known, PLAIN), expected);
}

#[test]
fn what_is_away_says_why() {
    let away = VppInfo { state: "unknown".into(), ..VppInfo::default() };
    let text = versions(&Versions::of(&samples::status(), &away), PLAIN);
    assert!(text.ends_with("\nmaglev-dpagent  not known\nVPP             unknown\n"), "{text}");
    let gone = VppInfo { reason: "VPP: no such file".into(), ..away };
    let text = versions(&Versions::of(&BrainStatus::default(), &gone), PLAIN);
    assert!(text.ends_with("\nVPP             VPP: no such file\n"), "{text}");
    let text = versions(&Versions::alone("cannot connect to lb1:9090: Connection refused"), PLAIN);
    let expected = "\nmaglev-brain    cannot connect to lb1:9090: Connection refused\n\
                    maglev-dpagent  not known without maglev-brain\n";
    assert!(text.contains(expected), "{text}");
}
