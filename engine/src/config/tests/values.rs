//! Single values that break a rule.

use maglev_protocol::Dialect;

use super::*;

#[test]
fn durations_are_spelled_as_go_does() {
    let interval = |spelled: &str| {
        parse("maglev.yaml", &changed("interval: 2s", &format!("interval: {spelled}")))
            .map(|loaded| loaded.config.healthchecks["web"].interval)
    };
    for (spelled, nanoseconds) in [
        ("10ms", 10_000_000),
        ("1h", 3_600_000_000_000),
        ("24h", 86_400_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("\"250ms\"", 250_000_000),
        ("1h1m1s1ms1us1ns", 3_661_001_001_001),
        ("20000us", 20_000_000),
        ("20000µs", 20_000_000),
        ("1.0000000019s", 1_000_000_001),
    ] {
        assert_eq!(interval(spelled).unwrap().as_nanos(), nanoseconds, "{spelled}");
    }
    for wrong in ["5x", "s", "5", "-5s", "+5s", "5 s", "1..5s", ".s", "5s3", "1d", "99999999999h", "5S", "''"]
    {
        assert!(interval(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_not_a_duration_or_out_of_range_is_refused() {
    for (from, to, expected) in [
        (
            "interval: 2s",
            "interval: 2 seconds",
            "9:17 error: `interval` of health check `web` is `2 seconds`, which is not a duration \
             (write numbers with units (ms, s, m, h), like `250ms`, `5s` or `1m30s`)",
        ),
        (
            "interval: 2s",
            "interval: 9ms",
            "9:17 error: `interval` of health check `web` is `9ms`, which is out of range \
             (write a duration from 10ms to 24h)",
        ),
        (
            "interval: 2s",
            "fast-interval: 0",
            "9:22 error: `fast-interval` of health check `web` is `0`, which is out of range \
             (write a duration from 10ms to 24h)",
        ),
        (
            "interval: 2s",
            "down-interval: 25h",
            "9:22 error: `down-interval` of health check `web` is `25h`, which is out of range \
             (write a duration from 10ms to 24h)",
        ),
        (
            "interval: 2s",
            "timeout: 0s",
            "9:16 error: `timeout` of health check `web` is `0s`, which is out of range \
             (write a duration from 1ms to 24h)",
        ),
        (
            "flow-timeout: 40s",
            "flow-timeout: 500ms",
            "5:21 error: `flow-timeout` of `lb` of `vpp` is `500ms`, which is out of range \
             (write a duration from 1s to 120s)",
        ),
        (
            "flow-timeout: 40s",
            "flow-timeout: 121s",
            "5:21 error: `flow-timeout` of `lb` of `vpp` is `121s`, which is out of range \
             (write a duration from 1s to 120s)",
        ),
        (
            "flow-timeout: 40s",
            "flow-timeout: 1.5s",
            "5:21 error: `flow-timeout` of `lb` of `vpp` is 1.5s, which is not whole seconds \
             (VPP counts it in seconds: write `1s` to `120s`)",
        ),
        (
            "flow-timeout: 40s",
            "sync-interval: 99ms",
            "5:22 error: `sync-interval` of `lb` of `vpp` is `99ms`, which is out of range \
             (write a duration from 100ms to 24h)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      slow-start: 0",
            "22:19 error: `slow-start` of frontend `www` is `0`, which is out of range \
             (write a duration from 1s to 1h)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      slow-start: 61m",
            "22:19 error: `slow-start` of frontend `www` is `61m`, which is out of range \
             (write a duration from 1s to 1h)",
        ),
    ] {
        not_valid(&changed(from, to), &[expected]);
    }
}

#[test]
fn a_percentage_is_a_bare_number() {
    let given =
        |value: &str| changed("protocol: tcp", &format!("protocol: tcp\n      panic-threshold: {value}"));
    for value in ["1", "100"] {
        assert_eq!(findings(&given(value)).0, 0);
    }
    for value in ["0", "101"] {
        let expected = format!(
            "22:24 error: `panic-threshold` of frontend `www` is {value}, which is out of range \
             (write a whole number from 1 to 100)"
        );
        not_valid(&given(value), &[&expected]);
    }
    for (value, help) in [("50%", ", without `%`"), ("half", "")] {
        let expected = format!(
            "22:24 error: `panic-threshold` of frontend `www` must be a whole number, not the text `{value}` \
             (write a whole number from 1 to 100{help})"
        );
        not_parseable(&given(value), &[&expected]);
    }
}

#[test]
fn min_up_is_a_number_or_a_percentage_that_the_pool_can_have() {
    let given =
        |value: &str| changed("- name: primary", &format!("- name: primary\n          min-up: {value}"));
    let subject = "25:19 error: `min-up` of pool 1 of frontend `www`";
    let help = "(write a number of backends, like `2`, or a percentage from 0% to 100%, like `50%`)";
    for value in ["0", "2", "0%", "50%", "'100%'"] {
        assert_eq!(findings(&given(value)).0, 0, "{value}");
    }
    let many = format!("{subject} is 3, and the pool has 2 backends (write at most 2, or a percentage)");
    not_valid(&given("3"), &[&many]);
    not_valid(&given("101%"), &[&format!("{subject} is `101%`, which is not a percentage {help}")]);
    not_valid(&given("-1"), &[&format!("{subject} is -1, which is out of range {help}")]);
    for (value, found) in [("half", "the text `half`"), ("'2'", "the text `2`"), ("1.5", "the number `1.5`")]
    {
        not_parseable(
            &given(value),
            &[&format!("{subject} must be a number or a percentage, not {found} {help}")],
        );
    }
}

#[test]
fn the_start_is_not_over_before_it_began() {
    for (delays, expected) in [
        (
            "startup-min-delay: 31s\n      startup-max-delay: 30s",
            "6:26 error: `startup-min-delay` of `lb` of `vpp` is 31s, and `startup-max-delay` is 30s, which is less \
             (set `startup-max-delay` to at least `startup-min-delay`; to `0s` for no warm-up)",
        ),
        (
            "startup-max-delay: 25h",
            "5:26 error: `startup-max-delay` of `lb` of `vpp` is `25h`, which is out of range \
             (write a duration from 0s to 24h)",
        ),
    ] {
        let (code, found) = findings(&changed("flow-timeout: 40s", delays));
        let errors: Vec<&String> = found.iter().filter(|line| line.contains(" error: ")).collect();
        assert_eq!((code, errors), (2, vec![&expected.to_owned()]));
    }
}

#[test]
fn a_startup_delay_that_is_not_given_follows_the_other() {
    let delays = |given: &str| {
        let text = changed("flow-timeout: 40s", given);
        let lb = parse("test.yaml", &text).unwrap().config.lb;
        [lb.startup_min_delay, lb.startup_max_delay].map(|delay| delay.as_secs())
    };
    assert_eq!(delays("startup-max-delay: 0s"), [0, 0], "no warm-up");
    assert_eq!(delays("startup-max-delay: 60s"), [5, 60]);
    assert_eq!(delays("startup-min-delay: 31s"), [31, 31]);
    assert_eq!(delays("startup-min-delay: 1s"), [1, 30]);
    assert_eq!(delays("startup-min-delay: 0\n      startup-max-delay: 0s"), [0, 0]);
}

/// As in files of vpp-maglev.
#[test]
fn sync_interval_of_zero_is_the_default() {
    for (text, seconds) in [("sync-interval: 0s", 30), ("sync-interval: 0", 30), ("sync-interval: 1m", 60)] {
        let config = parse("test.yaml", &changed("flow-timeout: 40s", text)).unwrap().config;
        assert_eq!(config.lb.sync_interval, Duration::from_secs(seconds), "{text}");
    }
    let (code, found) = findings(&changed("flow-timeout: 40s", "sync-interval: 50ms"));
    assert!(code == 2 && found.iter().any(|line| line.contains("from 100ms to 24h")), "{found:?}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (from, to, expected) in [
        (
            "port: 22",
            "port: 0",
            "14:13 error: `port` of health check `shell` is 0, which is out of range \
             (write a whole number from 1 to 65535)",
        ),
        (
            "port: 22",
            "port: 65536",
            "14:13 error: `port` of health check `shell` is 65536, which is out of range \
             (write a whole number from 1 to 65535)",
        ),
        (
            "port: 80",
            "port: -1",
            "22:13 error: `port` of frontend `www` is -1, which is out of range \
             (write a whole number from 1 to 65535)",
        ),
        (
            "weight: 50",
            "weight: 101",
            "27:29 error: `weight` of backend `web2` of pool 1 of frontend `www` is 101, which is out of range \
             (write a whole number from 0 to 100)",
        ),
        (
            "port: 22",
            "port: 22\n      rise: 0",
            "15:13 error: `rise` of health check `shell` is 0, which is out of range \
             (write a whole number from 1 to 1000)",
        ),
        (
            "port: 22",
            "port: 22\n      fall: 1001",
            "15:13 error: `fall` of health check `shell` is 1001, which is out of range \
             (write a whole number from 1 to 1000)",
        ),
        (
            "  vpp:\n",
            "  healthchecker: { transition-history: 0 }\n  vpp:\n",
            "2:40 error: `transition-history` of `healthchecker` is 0, which is out of range \
             (write a whole number from 1 to 1000)",
        ),
        (
            "flow-timeout: 40s",
            "sticky-buckets-per-core: 65535",
            "5:32 error: `sticky-buckets-per-core` of `lb` of `vpp` is 65535, which is not a power of two \
             (the nearest ones are 32768 and 65536)",
        ),
        (
            "flow-timeout: 40s",
            "sticky-buckets-per-core: 33554432",
            "5:32 error: `sticky-buckets-per-core` of `lb` of `vpp` is 33554432, which is out of range \
             (write a whole number from 1 to 16777216)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      new-flows-table-length: 1000",
            "22:31 error: `new-flows-table-length` of frontend `www` is 1000, which is not a power of two \
             (the nearest ones are 512 and 1024)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      new-flows-table-length: 131072",
            "22:31 error: `new-flows-table-length` of frontend `www` is 131072, which is out of range \
             (write a whole number from 1 to 65536)",
        ),
    ] {
        not_valid(&changed(from, to), &[expected]);
    }
}

#[test]
fn addresses_stand_for_one_host() {
    let unicast = "(write a unicast address of one host that can be routed to)";
    let no_zone = "(write a unicast address of one host that can be routed to, which needs no zone)";
    let like = "(write it like `192.0.2.1` or `2001:db8::1`)";
    for (address, expected) in [
        ("web1.example.org", format!("is `web1.example.org`, which is not an IP address {like}")),
        (
            "010.0.0.001",
            "is `010.0.0.001`, which is not an IP address (write the address alone, \
             without zeros before its numbers, which mean octal to some programs: `10.0.0.1`)"
                .to_owned(),
        ),
        ("010.0.0", format!("is `010.0.0`, which is not an IP address {like}")),
        (
            "10.0.0.1/32",
            "is `10.0.0.1/32`, which is not an IP address \
             (write the address alone, without a prefix length: `10.0.0.1`)"
                .to_owned(),
        ),
        (
            "2001:db8::1%eth0",
            "is `2001:db8::1%eth0`, which is not an IP address \
             (write the address alone, without a zone: `2001:db8::1`)"
                .to_owned(),
        ),
        (
            "'[2001:db8::1]:80'",
            "is `[2001:db8::1]:80`, which is not an IP address \
             (write the address alone, without brackets and a port: `2001:db8::1`)"
                .to_owned(),
        ),
        (
            "'[2001:db8::1]'",
            "is `[2001:db8::1]`, which is not an IP address \
             (write the address alone, without brackets: `2001:db8::1`)"
                .to_owned(),
        ),
        (
            "fe80::1%eth0",
            format!("is `fe80::1%eth0`, a link-local address, which is valid on one link only {no_zone}"),
        ),
        (
            "'[fe80::1%25eth0]'",
            format!("is `[fe80::1%25eth0]`, a link-local address, which is valid on one link only {no_zone}"),
        ),
        ("fe80::x%eth0", format!("is `fe80::x%eth0`, which is not an IP address {like}")),
        (
            "\"10.0.0\\u200b.1\"",
            "is `10.0.0\\u{200b}.1`, whose character 7 is U+200B, which is invisible \
             (remove it; if the text was copied from elsewhere, retype it)"
                .to_owned(),
        ),
        (
            "10.0.0.1:80",
            "is `10.0.0.1:80`, which is not an IP address (write the address alone, without a port: `10.0.0.1`)"
                .to_owned(),
        ),
        (
            "fe80::1",
            format!("is `fe80::1`, a link-local address, which is valid on one link only {unicast}"),
        ),
        ("0.0.0.0", format!("is `0.0.0.0`, the unspecified address {unicast}")),
        ("\"::\"", format!("is `::`, the unspecified address {unicast}")),
        ("239.1.2.3", format!("is `239.1.2.3`, a multicast address {unicast}")),
        ("ff02::1", format!("is `ff02::1`, a multicast address {unicast}")),
        ("'::1'", format!("is `::1`, an address that VPP treats as IPv4 {unicast}")),
        ("255.255.255.255", format!("is `255.255.255.255`, the broadcast address {unicast}")),
        (
            "::ffff:10.0.0.9",
            "is `::ffff:10.0.0.9`, an IPv4 address in the form of an IPv6 one (write `10.0.0.9`)".to_owned(),
        ),
    ] {
        let place = "20:16 error: `address` of frontend `www`";
        not_valid(&changed("198.51.100.1", address), &[&format!("{place} {expected}")]);
        let place = "16:22 error: `address` of backend `web1`";
        not_valid(&changed("10.0.0.1,", &format!("{address},")), &[&format!("{place} {expected}")]);
    }
}

/// VPP cannot tell IPv6 prefixes that cover ::/96, or lie below it, from IPv4 ones.
#[test]
fn no_prefix_that_vpp_takes_for_ipv4_can_be_written() {
    for address in ["::", "::1", "::ffff", "::192.0.2.1", "::ffff:0"] {
        for length in 0..=128 {
            let (code, told) = findings(&changed("198.51.100.1", &format!("'{address}/{length}'")));
            let place = format!("20:16 error: `address` of frontend `www` is `{address}/{length}`, ");
            assert!(code == 2 && told.len() == 1 && told[0].starts_with(&place), "{told:?}");
        }
    }
}

#[test]
fn sources_are_of_the_right_family() {
    not_valid(
        &changed("ipv4-src-address: 192.0.2.1", "ipv4-src-address: 2001:db8::1"),
        &["4:25 error: `ipv4-src-address` of `lb` of `vpp` is `2001:db8::1`, an IPv6 address \
           (write an IPv4 address, like `192.0.2.1`)"],
    );
    not_valid(
        &changed("flow-timeout: 40s", "ipv6-src-address: 192.0.2.1"),
        &["5:25 error: `ipv6-src-address` of `lb` of `vpp` is `192.0.2.1`, an IPv4 address \
           (write an IPv6 address, like `2001:db8::1`)"],
    );
    not_valid(
        &changed("port: 22", "port: 22\n      probe-ipv4-src: 2001:db8::1\n      probe-ipv6-src: 192.0.2.1"),
        &[
            "15:23 error: `probe-ipv4-src` of health check `shell` is `2001:db8::1`, an IPv6 address \
             (write an IPv4 address, like `192.0.2.1`)",
            "16:23 error: `probe-ipv6-src` of health check `shell` is `192.0.2.1`, an IPv4 address \
             (write an IPv6 address, like `2001:db8::1`)",
        ],
    );
}

#[test]
fn names_are_words() {
    let help = "(a name has 1 to 64 letters, digits, `.`, `_`, `:`, `-`, `/`, `@` or `+`, all of them ASCII)";
    let long = "x".repeat(65);
    for (name, problem) in [
        ("\"\"", "is ``, which is empty".to_owned()),
        ("a b", "is `a b`, which has ` ` in it".to_owned()),
        ("\"a\\eb\"", "is `a\\u{1b}b`, which has U+001B in it".to_owned()),
        ("\"a\\_b\"", "is `a\\u{a0}b`, which has U+00A0 in it".to_owned()),
        ("é", "is `é`, which has `é` in it".to_owned()),
        ("'\"'", "is `\"`, which has `\"` in it".to_owned()),
        ("-x", "is `-x`, which begins like an option".to_owned()),
        (long.as_str(), format!("is `{long}`, which has 65 characters")),
    ] {
        let expected = format!("19:5 error: the name of a frontend {problem} {help}");
        not_valid(&changed("    www:", &format!("    {name}:")), &[&expected]);
        let expected = format!("24:17 error: `name` of pool 1 of frontend `www` {problem} {help}");
        not_valid(&changed("name: primary", &format!("name: {name}")), &[&expected]);
        let used = changed("    web1: { a", &format!("    {name}: {{ a"));
        let used = used.replace("            web1: {}", &format!("            {name}: {{}}"));
        not_valid(&used, &[&format!("16:5 error: the name of a backend {problem} {help}")]);
        let used = changed("    shell:\n", &format!("    {name}:\n"));
        let used = used.replace("healthcheck: shell", "healthcheck: web");
        not_valid(&used, &[&format!("12:5 error: the name of a health check {problem} {help}")]);
    }
    for name in ["x".repeat(64).as_str(), "_", "1", "web1.example.org:80", "a-b_c/d@e+f", "10.0.0.1"] {
        accepted(&changed("    www:", &format!("    {name}:")), &[]);
    }
}

/// Characters that a reader would not see, or would see in another place.
#[test]
fn invisible_characters_are_refused_in_texts() {
    let help = "(remove it; if the text was copied from elsewhere, retype it)";
    let escape = "(write it as an escape, like `\\x{A0}`, if the body has it)";
    for (from, to, expected) in [
        ("protocol: tcp", "protocol: tcp\n      description: a\u{202e}b", format!("22:20 error: `description` of frontend `www` is `a\\u{{202e}}b`, whose character 2 is U+202E, which changes the direction of writing {help}")),
        ("protocol: tcp", "protocol: \"tcp\\u200b\"", format!("21:17 error: `protocol` of frontend `www` is `tcp\\u{{200b}}`, whose character 4 is U+200B, which is invisible {help}")),
        ("name: primary", "name: pri\u{ad}mary", format!("24:17 error: `name` of pool 1 of frontend `www` is `pri\\u{{ad}}mary`, whose character 4 is U+00AD, which is invisible {help}")),
        ("path: /healthz", "path: /\u{2066}healthz", format!("11:15 error: `path` of `params` of health check `web` is `/\\u{{2066}}healthz`, whose character 2 is U+2066, which changes the direction of writing {help}")),
        ("path: /healthz", "path: /a\u{a0}b", "11:15 error: `path` of `params` of health check `web` is `/a\\u{a0}b`, which has U+00A0 in it (write this character as `%C2%A0`)".to_owned()),
        ("path: /healthz", "host: www\u{feff}.example.org", format!("11:15 error: `host` of `params` of health check `web` is `www\\u{{feff}}.example.org`, whose character 4 is U+FEFF, which is invisible {help}")),
        ("path: /healthz", "headers: { X-A: \u{2060}b }", format!("11:25 error: header `X-A` of `headers` of `params` of health check `web` is `\\u{{2060}}b`, whose character 1 is U+2060, which is invisible {help}")),
        ("path: /healthz", "headers: { X\u{200d}A: b }", "11:20 error: `headers` of `params` of health check `web` has `X\\u{200d}A`, which cannot be a header's name (a header's name has letters, digits and `-`, like `X-Probe`)".to_owned()),
        ("path: /healthz", "response-regexp: a\u{200f}b", format!("11:26 error: `response-regexp` of `params` of health check `web` is `a\\u{{200f}}b`, whose character 2 is U+200F, which changes the direction of writing {help}")),
        ("path: /healthz", "response-regexp: 'status:\u{a0}good'", format!("11:26 error: `response-regexp` of `params` of health check `web` is `status:\\u{{a0}}good`, whose character 8 is U+00A0, which looks like a space {escape}")),
        ("path: /healthz", "response-regexp: \"a\\ab\"", format!("11:26 error: `response-regexp` of `params` of health check `web` is `a\\u{{7}}b`, whose character 2 is U+0007, which is invisible {escape}")),
        ("interval: 2s", "interval: 2\u{200b}s", format!("9:17 error: `interval` of health check `web` is `2\\u{{200b}}s`, whose character 2 is U+200B, which is invisible {help}")),
        ("    www:\n", "    w\u{202d}ww:\n", "19:5 error: the name of a frontend is `w\\u{202d}ww`, which has U+202D in it (a name has 1 to 64 letters, digits, `.`, `_`, `:`, `-`, `/`, `@` or `+`, all of them ASCII)".to_owned()),
    ] {
        not_valid(&changed(from, to), &[&expected]);
    }
    let shown = parse("f", &changed("protocol: tcp", "protocol: tcp\n      description: a\u{202e}b"))
        .unwrap_err()
        .to_string();
    assert!(!shown.contains('\u{202e}') && shown.contains("description: a\u{fffd}b"), "{shown}");
    for fine in ["description: 日本語 \u{a0}é 🚀 עברית", "slow-start: 5s"] {
        accepted(&changed("protocol: tcp", &format!("protocol: tcp\n      {fine}")), &[]);
    }
    for fine in ["response-regexp: \"(?x) é \\n # \\t\"", "response-regexp: '\\u{202e}\\xa0'"] {
        accepted(&changed("path: /healthz", fine), &[]);
    }
}

#[test]
fn a_namespace_is_a_name_and_not_a_path() {
    let with = |netns: &str| changed("  vpp:\n", &format!("  healthchecker: {{ netns: {netns} }}\n  vpp:\n"));
    let config = accepted(&with("dataplane"), &[]);
    assert_eq!(config.healthchecker.netns.as_deref(), Some("dataplane"));
    assert_eq!(accepted(&with("''"), &[]).healthchecker.netns, None);
    for path in ["/run/netns/dataplane", "a/b", ".", ".."] {
        not_valid(
            &with(path),
            &[&format!(
                "2:27 error: `netns` of `healthchecker` is `{path}`, a path \
                 (write the name alone, as `ip netns` lists it)"
            )],
        );
    }
}

#[test]
fn descriptions_have_one_line() {
    not_valid(
        &changed("protocol: tcp", "protocol: tcp\n      description: \"a\\nb\""),
        &[
            "22:20 error: `description` of frontend `www` is `a\\nb`, which has a line break or another control \
           character (write it on one line)",
        ],
    );
    let config =
        accepted(&changed("protocol: tcp", "protocol: tcp\n      description: Wörter, \"viele\""), &[]);
    assert_eq!(config.frontends["www"].description, "Wörter, \"viele\"");
}

#[test]
fn labels_are_names_with_names_as_values() {
    let with = |labels: &str| changed("healthcheck: shell", &format!("healthcheck: shell, labels: {labels}"));
    let config = accepted(&with("{ rack: r1, floor: 12 }"), &[]);
    let words: Vec<_> = config.backends["web2"].label_words().collect();
    assert_eq!(words, ["floor=12", "rack=r1"]);
    not_valid(
        &with("{ a=b: x, rack: \"r 1\" }"),
        &[
            "17:62 error: the name of a label is `a=b`, which has `=` in it \
             (a name has 1 to 64 letters, digits, `.`, `_`, `:`, `-`, `/`, `@` or `+`, all of them ASCII)",
            "17:76 error: label `rack` of backend `web2` is `r 1`, which has ` ` in it \
             (a name has 1 to 64 letters, digits, `.`, `_`, `:`, `-`, `/`, `@` or `+`, all of them ASCII)",
        ],
    );
    let many: Vec<_> = (1..=17).map(|key| format!("k{key}: v")).collect();
    let text = with(&format!("{{ {} }}", many.join(", ")));
    let refused = parse("maglev.yaml", &text).unwrap_err().to_string();
    assert!(refused.contains("backend `web2` has 17 labels"), "{refused}");
}

#[test]
fn the_lb_api_is_one_of_two_and_decides_on_slow_start() {
    for (given, dialect) in [("1.1", Dialect::InOut), ("'1.1'", Dialect::InOut), ("1.2", Dialect::Weighted)] {
        let loaded = parse("c.yaml", &changed("flow-timeout: 40s", &format!("vpp-lb-api: {given}"))).unwrap();
        assert_eq!(loaded.config.lb.vpp_lb_api, dialect, "{given}");
    }
    let (code, found) = findings(&changed("flow-timeout: 40s", "vpp-lb-api: 2"));
    assert_eq!((code, found.len()), (2, 1), "{found:?}");
    assert!(
        found[0].contains("`vpp-lb-api` of `lb` of `vpp` is `2`, which is not a known version"),
        "{found:?}"
    );
    let old = changed("flow-timeout: 40s", "vpp-lb-api: 1.1");
    let (code, found) = findings(&old.replace("port: 80", "port: 80\n      slow-start: 30s"));
    assert_eq!((code, found.len()), (2, 1), "{found:?}");
    assert!(found[0].contains("needs weights, and `vpp-lb-api: 1.1` has none"), "{found:?}");
}
