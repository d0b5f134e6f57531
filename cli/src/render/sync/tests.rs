use super::*;
use crate::render::tests::PLAIN;
use crate::samples;

#[test]
fn everything_that_was_found_and_done() {
    assert_eq!(
        synced(&samples::synced(), PLAIN),
        "\
legacy  203.0.113.20 any
  refused: VPP refused to add the VIP: another encap (INVALID_ARGUMENT, -73)
shop  203.0.113.10 tcp/443
  10.0.0.3: weight 2 -> 1
(no frontend)  203.0.113.99 any
  removed
Somebody else changed VPP; drift from what was programmed:
  203.0.113.10 tcp/443: 10.0.0.3 has weight 2, not 1
Left as they are, since the warm-up does not release them yet:
  dns-anycast-resolver-v6
Left as they are, since they are outside the agent's policy:
  198.51.100.1 udp/53
VPP: 5 VIPs and 9 application servers compared; 2 writes, 1 refused
"
    );
}

#[test]
fn nothing_to_do_is_one_line() {
    let nothing = SyncVpplbStateResponse { vips_read: 1, application_servers_read: 2, ..Default::default() };
    let expected = "VPP: 1 VIP and 2 application servers compared; nothing to write\n";
    assert_eq!(synced(&nothing, PLAIN), expected);
}

#[test]
fn refused_settings_are_an_error_with_its_reason() {
    let refused = SyncVpplbStateResponse { settings_refused: "no room".into(), ..Default::default() };
    let text = synced(&refused, PLAIN);
    assert!(
        text.starts_with("lb settings refused: no room\nVPP: 0 VIPs and 0 application servers compared"),
        "{text}"
    );
    assert!(text.ends_with("; 0 writes, 1 refused\n"), "{text}");
}

#[test]
fn hostile_words_cannot_drive_the_terminal() {
    let vip = VipSync { vip: "\x1b[2J".into(), errors: vec!["a\nb".into()], ..VipSync::default() };
    let text = synced(&SyncVpplbStateResponse { vips: vec![vip], ..Default::default() }, PLAIN);
    assert!(text.starts_with("(no frontend)  \\u{1b}[2J\n  refused: a\\nb\n"), "{text}");
    assert!(text.ends_with("; 0 writes, 1 refused\n"), "{text}");
}
