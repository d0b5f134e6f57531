use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::unistd::geteuid;
use proptest::prelude::*;

use super::*;

/// A policy that allows every VIP and every server.
pub(crate) fn anything() -> Policy {
    parse("vips: [0.0.0.0/0, '::/0']\nservers: [0.0.0.0/0, '::/0']\nping: [0.0.0.0/0, '::/0']", "p.yaml")
        .unwrap()
}

fn policy() -> Policy {
    parse("vips: [198.51.100.0/24, '2001:db8:1::/64']\nservers: [10.0.0.0/8]\nping: [10.1.0.0/16]", "p.yaml")
        .unwrap()
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

fn mistakes(text: &str) -> String {
    match parse(text, "p.yaml") {
        Err(PolicyError::Wrong { mistakes, .. }) => mistakes.join("\n"),
        Err(error @ PolicyError::NotYaml { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn prefixes_allow_what_they_cover_and_nothing_else() {
    let policy = policy();
    for (vip, allowed) in [
        ("198.51.100.7/32", true),
        ("198.51.100.0/24", true),
        ("198.51.100.0/23", false),
        ("198.51.101.1/32", false),
        ("2001:db8:1::5/128", true),
        ("2001:db8:1:1::5/128", false),
        ("0.0.0.0/0", false),
        // As IPv6, it is another address.
        ("::ffff:198.51.100.7/128", false),
    ] {
        assert_eq!(policy.allows_vip(&prefix(vip)), allowed, "{vip}");
    }
    assert!(policy.allows_server([10, 255, 0, 1].into()));
    assert!(!policy.allows_server([11, 0, 0, 1].into()));
    assert!(!policy.allows_server("2001:db8:1::5".parse().unwrap()));
    assert_eq!(policy.check_ping([10, 1, 0, 1].into()), Ok(()));
    let refused = policy.check_ping([10, 2, 0, 1].into()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the agent refused an echo request to 10.2.0.1: no prefix of `ping` in p.yaml covers it"
    );
}

#[test]
fn without_rules_nothing_is_allowed() {
    let policy = Policy::default();
    assert!(!policy.allows_vip(&prefix("198.51.100.7/32")));
    assert!(!policy.allows_server([10, 0, 0, 1].into()));
    assert!(policy.check_ping([10, 0, 0, 1].into()).is_err());
}

#[test]
fn probes_through_the_tunnel_need_all_three_lists() {
    let text = "vips: [198.51.100.0/24]\nservers: [10.0.0.0/8]\ntunnel-probes: [10.255.0.0/16]";
    let policy = parse(text, "p.yaml").unwrap();
    let target = |vip: [u8; 4], server: [u8; 4]| TunnelTarget { vip: vip.into(), server: server.into() };
    let allowed = |target: &TunnelTarget| policy.check_tunnel(target).map_err(|error| error.to_string());
    let told = |what: &str, list: &str| {
        let rule = format!("no prefix of `{list}` in p.yaml covers it");
        Err(format!("the agent refused probes of {what} through the tunnel: {rule}"))
    };
    assert_eq!(allowed(&target([198, 51, 100, 1], [10, 0, 0, 1])), Ok(()));
    assert_eq!(allowed(&target([10, 0, 0, 1], [10, 0, 0, 1])), Ok(()), "the server's own address");
    let other = target([192, 0, 2, 1], [10, 0, 0, 1]);
    assert_eq!(allowed(&other), told("192.0.2.1 on 10.0.0.1", "vips"));
    let other = target([198, 51, 100, 1], [11, 0, 0, 1]);
    assert_eq!(allowed(&other), told("198.51.100.1 on 11.0.0.1", "servers"));
    let none = Policy { tunnel_probes: Vec::new(), ..policy.clone() };
    assert!(none.check_tunnel(&target([198, 51, 100, 1], [10, 0, 0, 1])).is_err());
}

#[test]
fn what_is_left_out_has_a_default_and_the_rest_is_taken() {
    assert_eq!(policy().limits, Limits::default());
    let text = "vips: []\nservers: []\nlimits: {vips: 3, servers-per-vip: 4, requests-per-second: 5, \
                echo-requests-per-second: 6, reads-per-second: 7}";
    let limits = Limits {
        vips: 3,
        servers_per_vip: 4,
        requests_per_second: 5,
        echo_requests_per_second: 6,
        reads_per_second: 7,
    };
    assert_eq!(parse(text, "p.yaml").unwrap().limits, limits);
    assert_eq!(parse(EXAMPLE, "p.yaml").unwrap().limits, Limits::default());
}

#[test]
fn every_wrong_prefix_and_limit_is_told_with_its_place() {
    let text =
        "vips:\n  - 198.51.100.1/24\n  - nonsense\nservers: [10.0.0.0/33, 10.0.0.1]\nlimits: {vips: 0}\n";
    assert_eq!(
        mistakes(text),
        "p.yaml:2:5: error: `198.51.100.1/24` has host bits set, or a length beyond its family's: write a \
         prefix such as 192.0.2.0/24 or 2001:db8::/32\n  |\n2 |   - 198.51.100.1/24\n  |     ^\n\
         p.yaml:3:5: error: `nonsense` is not a prefix: write a prefix such as 192.0.2.0/24 or 2001:db8::/32\n  |\n\
         3 |   - nonsense\n  |     ^\n\
         p.yaml:4:11: error: `10.0.0.0/33` has host bits set, or a length beyond its family's: write a prefix \
         such as 192.0.2.0/24 or 2001:db8::/32\n  |\n4 | servers: [10.0.0.0/33, 10.0.0.1]\n  |           ^\n\
         p.yaml:4:24: error: `10.0.0.1` is not a prefix: write a prefix such as 192.0.2.0/24 or 2001:db8::/32\n  |\n\
         4 | servers: [10.0.0.0/33, 10.0.0.1]\n  |                        ^\n\
         p.yaml:5:16: error: `vips` is 0: must be 1 to 1000000\n  |\n5 | limits: {vips: 0}\n  |                ^"
    );
}

#[test]
fn unknown_missing_and_doubled_keys_are_told_with_their_place() {
    for (text, words) in [
        ("vips: []\nservers: []\nvip: []\n", ["vip", "3"]),
        ("vips: []\n", ["servers", "1"]),
        ("vips: []\nvips: []\nservers: []\n", ["vips", "2"]),
        ("vips: [\n", ["", ""]),
        ("vips: {}\nservers: []\n", ["", "1"]),
        ("", ["", ""]),
    ] {
        let told = mistakes(text);
        assert!(words.iter().all(|word| told.contains(word)), "{text:?}: {told}");
    }
}

/// One mistake of each kind, all reported at once.
#[test]
fn mistakes_of_every_kind_are_told_together() {
    let text = "vips: 10.0.0.0/8\nserver: []\nping: [7, [], '']\nlimits: { vips: many, reads: 1 }\n\
                lb-settings: { flow-timeout: 7, beside-foreign-vips: maybe, tunnel-sources: {} }\n";
    let told = mistakes(text);
    for expected in [
        "p.yaml:1:1: error: `servers` is missing; to allow none, write `servers: []`",
        "p.yaml:1:7: error: `vips` must be a list of prefixes, not the text `10.0.0.0/8`",
        "p.yaml:2:1: error: unknown key `server` in the policy; expected one of `vips`, `servers`, `ping`, `limits`, \
         `lb-settings`",
        "p.yaml:3:8: error: the number 7 is not a prefix",
        "p.yaml:3:11: error: a list is not a prefix",
        "p.yaml:3:15: error: `` is not a prefix",
        "p.yaml:4:17: error: `vips` must be a whole number, not the text `many`",
        "p.yaml:4:23: error: unknown key `reads` in `limits`; expected one of `vips`, `servers-per-vip`",
        "p.yaml:5:30: error: `flow-timeout` must be a list of two numbers, not the number 7",
        "p.yaml:5:54: error: `beside-foreign-vips` must be true or false, not the text `maybe`",
        "p.yaml:5:77: error: `tunnel-sources` must be a list of prefixes, not a mapping",
    ] {
        assert!(told.contains(expected), "{expected:?} is missing:\n{told}");
    }
    assert_eq!(told.matches(": error: ").count(), 11, "{told}");
}

/// A directory that only its owner may write to.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_file_that_others_may_write_is_not_trusted() {
    let directory = directory();
    let path = directory.path().join("policy.yaml");
    std::fs::write(&path, EXAMPLE).unwrap();
    let own = geteuid().as_raw();
    let load_with = |mode| {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        load(&path, own).map_err(|error| error.to_string())
    };
    assert!(load_with(0o644).is_ok());
    for mode in [0o664, 0o646, 0o666] {
        let told = load_with(mode).unwrap_err();
        let expected =
            format!("it may be written by others (mode {mode:04o}), only its owner may: chmod go-w");
        assert!(told.ends_with(&expected), "{told}");
    }
    assert!(load_with(0o600).is_ok());
    // A link is as trustworthy as the directory of its target.
    let open = directory.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let moved = open.join("policy.yaml");
    std::fs::rename(&path, &moved).unwrap();
    symlink(&moved, &path).unwrap();
    let told = load(&path, own).unwrap_err().to_string();
    assert!(told.contains("its directory") && told.contains("mode 0777"), "{told}");
}

#[test]
fn a_file_of_another_user_is_not_trusted() {
    let directory = directory();
    let path = directory.path().join("policy.yaml");
    std::fs::write(&path, EXAMPLE).unwrap();
    let own = geteuid().as_raw();
    let trusted = load(&path, own + 1);
    match own {
        // Everybody trusts root's files.
        0 => assert!(trusted.is_ok()),
        _ => assert!(matches!(trusted, Err(PolicyError::Untrusted { .. })), "{trusted:?}"),
    }
}

#[test]
fn a_missing_file_is_told_from_an_unreadable_one() {
    let directory = directory();
    let own = geteuid().as_raw();
    let missing = directory.path().join("none.yaml");
    assert!(matches!(load(&missing, own), Err(PolicyError::Missing { .. })));
    assert!(matches!(load(directory.path(), own), Err(PolicyError::Untrusted { .. })));
    let binary = directory.path().join("binary.yaml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(matches!(load(&binary, own), Err(PolicyError::Unreadable { .. })));
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_an_error(text in "[ -~\n]{0,200}") {
        drop(parse(&text, "p.yaml"));
    }

    #[test]
    fn a_prefix_allows_exactly_its_addresses(network: u32, length in 0u8..=32, address: u32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let allowed = Prefix { address: std::net::Ipv4Addr::from(network & mask).into(), length };
        let policy = Policy { servers: vec![allowed], ..Policy::default() };
        let inside = std::net::Ipv4Addr::from(network & mask | address & !mask);
        prop_assert!(policy.allows_server(inside.into()));
        let any = std::net::Ipv4Addr::from(address);
        prop_assert_eq!(policy.allows_server(any.into()), address & mask == network & mask);
    }
}
