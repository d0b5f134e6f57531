use maglev_proto::FleetFrontendPreview;

use super::*;
use crate::samples;

const DOCUMENTATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maglevc.md"));

#[test]
fn sentences_of_a_frontend_stand_on_one_line() {
    let preview = samples::danger();
    let expected =
        "frontend shop: no backend left: new flows are dropped; 1,204 flows of web1 are cut at once\n";
    assert_eq!((text(&preview).as_str(), needs_consent(&preview)), (expected, true));
    assert!(
        DOCUMENTATION.contains(&format!("{expected}Continue? [y/N] \n")),
        "docs/maglevc.md lacks:\n{expected}"
    );
}

#[test]
fn notice_needs_no_consent() {
    let mut preview = samples::danger();
    preview.set_severity(Severity::Notice);
    assert!(!needs_consent(&preview));
}

#[test]
fn gravest_frontends_come_first_and_the_rest_is_counted() {
    let mut preview = samples::danger();
    preview.sentences = vec!["flow-timeout changes from 40 s to 50 s".into()];
    for number in 0..30 {
        let mut frontend = FrontendPreview {
            frontend: format!("f{number:02}"),
            sentences: vec!["VIP 192.0.2.1/32 is added".into()],
            ..FrontendPreview::default()
        };
        frontend.set_severity(Severity::Notice);
        preview.frontends.insert(0, frontend);
    }
    let text = text(&preview);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (22, "flow-timeout changes from 40 s to 50 s"));
    assert!(lines[1].starts_with("frontend shop: no backend left"), "{text}");
    assert_eq!(lines[21], "and 11 more frontends");
}

#[test]
fn text_of_a_peer_cannot_drive_the_terminal() {
    let mut preview = samples::danger();
    preview.frontends[0].sentences = vec!["\u{1b}[2J".into()];
    assert!(!text(&preview).contains('\u{1b}'));
}

#[test]
fn members_that_see_another_effect_are_named() {
    let member =
        |name: &str| FleetMemberPreview { name: name.into(), same: true, ..FleetMemberPreview::default() };
    let mut preview =
        PreviewChangeResponse { members: vec![member("lb1")], ..PreviewChangeResponse::default() };
    assert_eq!(text(&preview), "", "one that is alone");
    preview.members.push(member("lb2"));
    assert_eq!(text(&preview), "the same on 2 of 2 members\n");
    let other = |name: &str| FleetMemberPreview { same: false, ..member(name) };
    let shop = FleetFrontendPreview {
        frontend: "shop".into(),
        sentences: vec!["no backend left: new flows are dropped".into(), "so it is".into()],
        ..FleetFrontendPreview::default()
    };
    preview.members.extend([
        FleetMemberPreview { frontends: vec![shop], left_out: 3, ..other("lb3") },
        FleetMemberPreview { missing: "did not answer within 3s".into(), ..other("lb4") },
        FleetMemberPreview {
            refused: "no \u{1b}[2J".into(),
            severity: Severity::Danger.into(),
            ..other("lb5")
        },
        other("lb6"),
    ]);
    let expected = "\
the same on 2 of 6 members
lb5 refuses it: no \\u{1b}[2J
lb3: frontend shop: no backend left: new flows are dropped; so it is
lb3: and 3 more frontends
lb4 did not answer within 3s
lb6: nothing changes
";
    assert_eq!(text(&preview), expected);
}
