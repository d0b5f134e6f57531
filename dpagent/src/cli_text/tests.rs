use proptest::prelude::*;

use super::*;

/// The CLI texts of the recorded conversation with VPP 26.10, in order: before and after a VIP was removed
/// and added again, and the answer to an unknown command.
fn recorded() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.10.jsonl");
    let frames = std::fs::read_to_string(path).unwrap();
    let frames = frames.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    frames
        .filter(|frame| frame["name"] == "cli_inband_reply_05879051")
        .map(|frame| {
            let digits = frame["body"].as_str().unwrap().as_bytes();
            let bytes = digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            // The text follows id, context, return value and length.
            String::from_utf8(bytes.skip(14).collect()).unwrap()
        })
        .collect()
}

/// Parses a text that has no errors.
fn read(text: &str) -> Vec<TextVip> {
    let Text { vips, unread } = parse(text);
    assert_eq!(unread, []);
    vips
}

fn server(address: &str, weight: u8, buckets: u32, route: u32) -> TextServer {
    let address = address.parse().unwrap();
    TextServer { address, weight, buckets, flows: 0, route: Some(route), removed: false }
}

#[test]
fn the_recorded_text_is_read() {
    let vips = read(&recorded()[0]);
    let keys: Vec<_> = vips.iter().map(|vip| (vip.index, vip.key.to_string(), vip.src_ip_sticky)).collect();
    let expected = [
        (1, "203.0.113.10 tcp/80", false),
        (2, "203.0.113.10 tcp/443", false),
        (3, "2001:db8:1::1 tcp/80", true),
        (4, "2001:db8:2::1 tcp/80", false),
        (5, "203.0.113.11 udp/53", false),
        (6, "203.0.113.12 all ports", false),
    ];
    assert_eq!(keys, expected.map(|(index, key, sticky)| (index, key.to_owned(), sticky)));
    assert!(vips.iter().all(|vip| !vip.removed));
    assert_eq!(
        vips[0].servers,
        [server("10.0.0.1", 0, 0, 13), server("10.0.0.2", 50, 350, 14), server("10.0.0.3", 100, 674, 15),]
    );
    assert!(vips[1].servers.is_empty());
    assert_eq!(vips[5].servers, [server("2001:db8:ffff::3", 100, 1024, 19)]);
    assert_eq!(vips[5].key.protocol, ALL_PORTS_PROTOCOL);
}

#[test]
fn removed_vips_and_servers_are_told_apart_from_live_ones() {
    let vips = read(&recorded()[1]);
    assert!(vips[0].removed);
    assert!(vips[0].servers.iter().all(|server| server.removed));
    let anew = &vips[6];
    assert_eq!((anew.key, anew.index, anew.src_ip_sticky, anew.removed), (vips[0].key, 7, true, false));
    assert_eq!(anew.servers, [server("10.0.0.2", 30, 1024, 14)]);
}

#[test]
fn lines_of_other_encapsulations_and_versions_are_passed_over() {
    let text = " ip4-nat4 [9] 192.0.2.1/32\n  new_size:1024\n  protocol:6 port:80   type:nodeport port:80 \
                target_port:8080  counters:\n    a counter of tomorrow: 7\n  #as:1\n    10.0.0.1 weight:3 \
                buckets:1024 shiny:1 flows:12 dpo:3 used\n\n";
    let vips = read(text);
    assert_eq!(vips[0].key, VipKey::port([192, 0, 2, 1].into(), 6, 80));
    assert_eq!((vips[0].servers[0].weight, vips[0].servers[0].flows), (3, 12));
    assert_eq!(read(""), []);
    assert_eq!(read("\n"), []);
}

/// Each bad line stands between two VIPs that must still be parsed.
#[test]
fn a_line_that_is_not_understood_is_named_and_costs_no_other_vip() {
    let head = " ip4-gre4 [1] 203.0.113.10/32";
    let ports = "  protocol:6 port:443";
    for (lines, of, vips, servers) in [
        (" ip4-gre4 [1] 203.0.113.10", "ip4-gre4 [1] 203.0.113.10", 2, 2),
        (" ip4-gre4 [x] 203.0.113.10/32", "ip4-gre4 [x] 203.0.113.10/32", 2, 2),
        (" ip4-gre4 [1] 203.0.113.10/999\n  protocol:1 port:1", "ip4-gre4 [1] 203.0.113.10/999", 2, 2),
        (&format!("{head}\n  protocol:6 port:65536"), head.trim(), 2, 2),
        (&format!("{head}\n  protocol:6"), head.trim(), 2, 2),
        (&format!("{head}\n{ports}\n    10.0.0 weight:1 buckets:1 flows:0 dpo:1 used"), head.trim(), 3, 2),
        (
            &format!("{head}\n{ports}\n    10.0.0.1 weight:256 buckets:1 flows:0 dpo:1 used"),
            head.trim(),
            3,
            2,
        ),
        (&format!("{head}\n{ports}\n    10.0.0.1 weight:1 flows:0 dpo:1 used"), head.trim(), 3, 2),
        (&format!("{head}\n{ports}\n    10.0.0.1 weight:1 buckets:1 flows:0 dpo:1"), head.trim(), 3, 2),
    ] {
        let good = |last: u8| {
            format!(
                " ip4-gre4 [{last}] 192.0.2.{last}/32\n    10.0.0.1 weight:1 buckets:1 flows:0 dpo:1 used\n"
            )
        };
        let text = parse(&format!("{}{lines}\n{}", good(1), good(2)));
        assert_eq!(text.unread.iter().map(|unread| unread.of.as_str()).collect::<Vec<_>>(), [of], "{lines}");
        assert_eq!(text.vips.len(), vips, "{lines}");
        assert_eq!(text.vips.iter().map(|vip| vip.servers.len()).sum::<usize>(), servers, "{lines}");
    }
    for alone in ["  protocol:6 port:80", "    10.0.0.1 weight:1 buckets:1 flows:0 dpo:1 used"] {
        let Text { vips, unread } = parse(alone);
        assert_eq!((vips.len(), unread.len()), (0, 1));
        assert_eq!(
            unread[0].to_string(),
            format!("`show lb vips verbose`, at `{}`: expected a VIP before its lines", alone.trim())
        );
    }
    let long = format!(" ip4-gre4 [x] {}\u{1b}", "é".repeat(1000));
    assert_eq!(parse(&long).unread[0].of.chars().count(), MOST_QUOTED + 1);
    assert_eq!(parse(" x [\u{1b}] y").unread[0].of, "x [\\u{1b}] y");
}

#[test]
fn of_vips_in_use_with_one_key_none_is_believed() {
    let text = recorded()[1].clone();
    let vips = read(&text);
    let [first, .., anew] = &vips[..] else { panic!("too few VIPs") };
    assert_eq!(first.key, anew.key);
    let doubled = parse(&text.replacen("/32 removed", "/32", 1));
    assert_eq!(doubled.vips, vips[1..vips.len() - 1]);
    let of: Vec<_> = doubled.unread.iter().map(|unread| unread.of.as_str()).collect();
    assert_eq!(of, ["ip4-gre4 [1] 203.0.113.10/32", "ip4-gre4 [7] 203.0.113.10/32 src_ip_sticky"]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ \\na-z0-9:\\[\\]/.]{0,200}") {
        drop(parse(&text));
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0usize..1000, with in any::<char>(), cut in 0usize..2000) {
        let mut text: Vec<char> = recorded()[1].chars().take(cut).collect();
        if let Some(place) = text.get_mut(at) {
            *place = with;
        }
        drop(parse(&text.into_iter().collect::<String>()));
    }
}
