use proptest::prelude::*;

use super::*;

/// The texts of the recorded conversation with VPP 26.10, in order: before and after a VIP was removed and made
/// again, and the answer to a command that VPP does not know.
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
            // Behind id, context, return value and length.
            String::from_utf8(bytes.skip(14).collect()).unwrap()
        })
        .collect()
}

fn server(address: &str, weight: u8, buckets: u32, removed: bool) -> TextServer {
    TextServer { address: address.parse().unwrap(), weight, buckets, flows: 0, removed }
}

#[test]
fn the_recorded_text_is_read() {
    let vips = parse(&recorded()[0]).unwrap();
    let keys: Vec<_> = vips.iter().map(|vip| (vip.index, vip.key.to_string(), vip.src_ip_sticky)).collect();
    let expected = [
        (1, "203.0.113.10/32 tcp/80", false),
        (2, "203.0.113.10/32 tcp/443", false),
        (3, "2001:db8:1::1/128 tcp/80", true),
        (4, "2001:db8:2::1/128 tcp/80", false),
        (5, "203.0.113.11/32 udp/53", false),
        (6, "203.0.113.12/32 all ports", false),
    ];
    assert_eq!(keys, expected.map(|(index, key, sticky)| (index, key.to_owned(), sticky)));
    assert!(vips.iter().all(|vip| !vip.removed));
    assert_eq!(
        vips[0].servers,
        [
            server("10.0.0.1", 0, 0, false),
            server("10.0.0.2", 50, 350, false),
            server("10.0.0.3", 100, 674, false),
        ]
    );
    assert!(vips[1].servers.is_empty());
    assert_eq!(vips[5].servers, [server("2001:db8:ffff::3", 100, 1024, false)]);
    assert_eq!(vips[5].key.protocol, ALL_PORTS_PROTOCOL);
}

#[test]
fn removed_vips_and_servers_are_told_apart_from_live_ones() {
    let vips = parse(&recorded()[1]).unwrap();
    assert!(vips[0].removed);
    assert!(vips[0].servers.iter().all(|server| server.removed));
    let anew = &vips[6];
    assert_eq!((anew.key, anew.index, anew.src_ip_sticky, anew.removed), (vips[0].key, 7, true, false));
    assert_eq!(anew.servers, [server("10.0.0.2", 30, 1024, false)]);
}

#[test]
fn lines_of_other_encapsulations_and_versions_are_passed_over() {
    let text = " ip4-nat4 [9] 192.0.2.1/32\n  new_size:1024\n  protocol:6 port:80   type:nodeport port:80 \
                target_port:8080  counters:\n    a counter of tomorrow: 7\n  #as:1\n    10.0.0.1 weight:3 \
                buckets:1024 shiny:1 flows:12 dpo:3 used\n\n";
    let vips = parse(text).unwrap();
    assert_eq!(vips[0].key, VipKey::port([192, 0, 2, 1].into(), 6, 80));
    assert_eq!((vips[0].servers[0].weight, vips[0].servers[0].flows), (3, 12));
    assert_eq!(parse("").unwrap(), []);
    assert_eq!(parse("\n").unwrap(), []);
}

#[test]
fn a_line_that_is_not_understood_is_named() {
    let head = " ip4-gre4 [1] 203.0.113.10/32\n";
    for (text, line) in [
        (" ip4-gre4 [1] 203.0.113.10", 1),
        (" ip4-gre4 [x] 203.0.113.10/32", 1),
        (" ip4-gre4 [1] 203.0.113.10/999", 1),
        ("  protocol:6 port:80", 1),
        ("    10.0.0.1 weight:1 buckets:1 flows:0 dpo:1 used", 1),
        (&format!("{head}  protocol:6 port:65536"), 2),
        (&format!("{head}  protocol:6"), 2),
        (&format!("{head}    10.0.0 weight:1 buckets:1 flows:0 dpo:1 used"), 2),
        (&format!("{head}    10.0.0.1 weight:256 buckets:1 flows:0 dpo:1 used"), 2),
        (&format!("{head}    10.0.0.1 weight:1 flows:0 dpo:1 used"), 2),
        (&format!("{head}    10.0.0.1 weight:1 buckets:1 flows:0 dpo:1"), 2),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert_eq!(error.found, text.lines().nth(line - 1).unwrap());
    }
    let long = format!(" ip4-gre4 [x] {}", "é".repeat(1000));
    assert_eq!(parse(&long).unwrap_err().found.chars().count(), MOST_QUOTED);
}

#[test]
fn a_vip_in_use_stands_there_once() {
    let text = recorded()[1].clone();
    let [first, .., anew] = &parse(&text).unwrap()[..] else { panic!("too few VIPs") };
    assert_eq!(first.key, anew.key);
    let error = parse(&text.replacen("/32 removed", "/32", 1)).unwrap_err();
    assert_eq!((error.line, error.found.as_str()), (68, " ip4-gre4 [7] 203.0.113.10/32 src_ip_sticky"));
    assert_eq!(
        error.to_string(),
        "line 68 of `show lb vips verbose`: expected each VIP in use once, found \" ip4-gre4 [7] 203.0.113.10/32 \
         src_ip_sticky\""
    );
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
