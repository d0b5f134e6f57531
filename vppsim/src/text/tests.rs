use std::net::IpAddr;

use vppapi::types::Encap;

use super::{Output, lb, run, vips, vips_verbose};
use crate::address::Ip46Prefix;
use crate::lb::{Lb, NewVip, Uptime, VipKey};

const NOW: Uptime = Uptime::from_secs(1);

fn vip(address: &str, length: u8, port: u16, encap: Encap) -> NewVip {
    let prefix = Ip46Prefix::new(address.parse().unwrap(), length).unwrap();
    NewVip {
        key: VipKey::new(prefix, 6, port),
        encap,
        dscp: 10,
        service_type: 0,
        target_port: 8080,
        table_length: 1024,
        src_ip_sticky: false,
    }
}

fn with_vips(new: &[NewVip]) -> Lb {
    let mut lb = Lb::default();
    for vip in new {
        lb.add_vip(vip, NOW).unwrap();
    }
    lb
}

#[test]
fn vips_are_listed_briefly() {
    let web = vip("203.0.113.10", 32, 80, Encap::Gre4);
    let mut model = with_vips(&[web, vip("2001:db8::", 64, 0, Encap::Gre6)]);
    model.add_server(&web.key, IpAddr::from([10, 0, 0, 1]).into(), 1, false, NOW).unwrap();
    model.remove_vip(&web.key, NOW).unwrap();
    assert_eq!(
        vips(&model),
        "ip4-gre4 203.0.113.10/32 new_size:1024 #as:1 removed  protocol:6 port:80 \n\
         ip6-gre6 2001:db8::/64 new_size:1024 #as:0\n"
    );
}

#[test]
fn other_encaps_print_their_arguments() {
    let model = with_vips(&[
        vip("203.0.113.10", 32, 80, Encap::Nat4),
        vip("203.0.113.11", 32, 0, Encap::L3dsr),
        vip("2001:db8::1", 128, 80, Encap::Nat6),
    ]);
    assert_eq!(
        vips(&model),
        "ip4-nat4 203.0.113.10/32 new_size:1024 #as:0  protocol:6 port:80  type:clusterip port:20480 target_port:8080\n\
         ip4-l3dsr 203.0.113.11/32 new_size:1024 #as:0  dscp:10\n\
         ip6-nat6 2001:db8::1/128 new_size:1024 #as:0  protocol:6 port:80  type:clusterip port:20480 target_port:8080\n"
    );
    assert!(vips_verbose(&model).contains("  new_size:1024\n  dscp:10\n  counters:\n"));
}

#[test]
fn flows_show_in_the_texts() {
    let web = vip("203.0.113.10", 32, 80, Encap::Gre4);
    let mut model = with_vips(&[web]);
    model.add_server(&web.key, IpAddr::from([10, 0, 0, 1]).into(), 1, false, NOW).unwrap();
    assert_eq!(
        lb(&model, NOW),
        "lb_main ip4-src-address: 255.255.255.255 \n ip6-src-address: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \n \
         #vips: 2\n #ass: 1\n"
    );
    let (client, target) = ("192.0.2.1:5".parse().unwrap(), "203.0.113.10:80".parse().unwrap());
    model.open_flow(1, client, target, 40, NOW).unwrap();
    assert!(lb(&model, NOW).ends_with(" #ass: 1\ncore 0\n  timeout: 40s\n  usage: 1 / 1027\n"));
    let verbose = vips_verbose(&model);
    assert!(verbose.contains("    first session packet: 1\n"), "{verbose}");
    assert!(verbose.ends_with("    10.0.0.1 weight:1 buckets:1024 flows:1 dpo:9 used\n\n"), "{verbose}");
}

#[test]
fn commands_run_one_after_the_other_until_one_is_unknown() {
    let model = Lb::default();
    let main = lb(&model, NOW);
    let long = "x".repeat(40);
    let cases = [
        ("show lb", 0, main.clone()),
        ("  show  lb \n", 0, main.clone()),
        ("show version", 0, "vpp v1\n".to_owned()),
        ("show version\nshow lb", 0, format!("vpp v1\n{main}")),
        ("show lb vips verbose", 0, String::new()),
        ("show lb vips whatever", 0, String::new()),
        ("show lb vips\nshow version", 0, "vpp v1\n".to_owned()),
        ("show nonsense", -1, "show: unknown input `nonsense'\n".to_owned()),
        ("show", -1, "show: unknown input `'\n".to_owned()),
        ("", -1, "unknown input `'\n".to_owned()),
        ("showlb", -1, "unknown input `showlb'\n".to_owned()),
        ("show lb nonsense", -1, format!("{main}unknown input `nonsense'\n")),
        ("make\ttea \n", -1, "unknown input `make\\ttea'\n".to_owned()),
        (long.as_str(), -1, format!("unknown input `{}'\n", "x".repeat(30))),
    ];
    for (input, retval, text) in cases {
        assert_eq!(run(&model, "vpp v1", input, NOW), Output { retval, text }, "{input:?}");
    }
}
