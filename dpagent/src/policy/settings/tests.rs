use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::{PolicyError, parse};
use super::*;

const SPEC: LbConfSpec = LbConfSpec {
    ip4_src_address: Some(Ipv4Addr::new(192, 0, 2, 254)),
    ip6_src_address: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    sticky_buckets_per_core: 65_536,
    flow_timeout: 40,
};

fn policy(settings: &str) -> Policy {
    parse(&format!("vips: []\nservers: []\n{settings}"), "p.yaml").unwrap()
}

fn refused(policy: &Policy, spec: &LbConfSpec) -> String {
    policy.check_settings(spec).unwrap_err().to_string()
}

#[test]
fn without_a_word_about_them_all_sources_and_timeouts_are_allowed() {
    let policy = policy("");
    assert_eq!(policy.check_settings(&SPEC), Ok(()));
    for flow_timeout in [1, 120] {
        assert_eq!(policy.check_settings(&LbConfSpec { flow_timeout, ..SPEC }), Ok(()));
    }
    let most = LbConfSpec { sticky_buckets_per_core: 1 << 22, ..SPEC };
    assert_eq!(policy.check_settings(&most), Ok(()));
    assert!(policy.check_settings(&LbConfSpec { sticky_buckets_per_core: 1 << 23, ..SPEC }).is_err());
    assert!(!policy.settings.beside_foreign_vips);
}

#[test]
fn without_a_policy_no_settings_are_allowed() {
    assert!(Policy::default().check_settings(&SPEC).is_err());
}

#[test]
fn each_bound_refuses_with_its_rule() {
    let policy = policy(
        "lb-settings: {sticky-buckets: 1024, tunnel-sources: [192.0.2.0/24, '2001:db8::/64'], flow-timeout: [30, 60]}",
    );
    let fitting = LbConfSpec { sticky_buckets_per_core: 1024, ..SPEC };
    assert_eq!(policy.check_settings(&fitting), Ok(()));
    assert_eq!(policy.check_settings(&LbConfSpec { ip4_src_address: None, ..fitting }), Ok(()));
    assert_eq!(
        refused(&policy, &SPEC),
        "the agent refused a table of 65536 sticky buckets: `sticky-buckets` in p.yaml is 1024"
    );
    for flow_timeout in [29, 61] {
        assert_eq!(
            refused(&policy, &LbConfSpec { flow_timeout, ..fitting }),
            format!(
                "the agent refused a flow timeout of {flow_timeout} s: `flow-timeout` in p.yaml is [30, 60]"
            )
        );
    }
    let elsewhere = Some(Ipv4Addr::new(192, 0, 3, 1));
    assert_eq!(
        refused(&policy, &LbConfSpec { ip4_src_address: elsewhere, ..fitting }),
        "the agent refused the tunnel source 192.0.3.1: no prefix of `tunnel-sources` in p.yaml covers it"
    );
    let elsewhere = Some(Ipv6Addr::LOCALHOST);
    assert!(policy.check_settings(&LbConfSpec { ip6_src_address: elsewhere, ..fitting }).is_err());
}

#[test]
fn foreign_vips_keep_the_settings_as_they_are_unless_told_otherwise() {
    let foreign = || Some("203.0.113.1 udp/53".to_owned());
    assert_eq!(policy("").check_change_beside(None), Ok(()));
    assert_eq!(policy("lb-settings: {beside-foreign-vips: true}").check_change_beside(foreign()), Ok(()));
    assert_eq!(
        policy("").check_change_beside(foreign()).unwrap_err().to_string(),
        "the agent refused a change of the lb settings: they also affect VIP 203.0.113.1 udp/53, which is outside the policy, and `beside-foreign-vips` in p.yaml is false"
    );
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    for (settings, said) in [
        ("sticky-buckets: 0", "`sticky-buckets` is 0: must be 1 to 16777216"),
        ("sticky-buckets: 16777217", "`sticky-buckets` is 16777217: must be 1 to 16777216"),
        ("flow-timeout: [0, 40]", "[0, 40] is not a range of flow timeouts"),
        ("flow-timeout: [50, 40]", "[50, 40] is not a range of flow timeouts"),
        ("flow-timeout: [1, 121]", "[1, 121] is not a range of flow timeouts"),
        ("tunnel-sources: [192.0.2.1/24]", "has host bits set"),
        ("sticky-bucket: 1", "sticky-bucket"),
    ] {
        let text = format!("vips: []\nservers: []\nlb-settings:\n  {settings}\n");
        let Err(PolicyError::Wrong { mistakes, .. }) = parse(&text, "p.yaml") else { panic!("{settings}") };
        let told = mistakes.join("\n");
        assert!(told.contains(said) && told.contains("p.yaml:4:"), "{settings}: {told}");
    }
}
