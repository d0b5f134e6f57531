use super::*;
use crate::config::parse;
use crate::health::State;
use crate::weights;
use crate::weights::Scale;

fn config() -> Config {
    let text = "
maglev:
  vpp:
    lb:
      ipv4-src-address: 192.0.2.1
      ipv6-src-address: 2001:db8::1
      flow-timeout: 30s
  backends:
    a: { address: 10.0.0.1 }
    b: { address: 10.0.0.2 }
    c: { address: '2001:db8:1::1' }
  frontends:
    web:
      address: 203.0.113.10
      protocol: tcp
      port: 80
      src-ip-sticky: true
      pools:
        - { name: primary, backends: { a: { weight: 100 }, b: { weight: 50 } } }
        - { name: fallback, backends: { b: { weight: 100 } } }
    any6:
      address: 203.0.113.11
      pools:
        - { name: only, backends: { c: {} } }
    dns:
      address: '2001:db8::53'
      protocol: udp
      port: 53
      pools:
        - { name: only, backends: { a: {} } }
";
    parse("test.yaml", text).unwrap().config
}

fn spec(name: &str, state_of: impl Fn(&str) -> State) -> VipSpec {
    let config = config();
    let frontend = &config.frontends[name];
    let scale = Scale::new(frontend, None);
    vip_spec(
        &config,
        frontend,
        weights::table_length(frontend),
        &weights::effective(frontend, &scale, |name| state_of(name).into()),
    )
}

#[test]
fn every_configured_backend_has_its_entry() {
    let spec = spec("web", |name| if name == "a" { State::Up } else { State::Down });
    let expected = [
        ([10, 0, 0, 1].into(), ServerSpec { weight: 2, flush: false }),
        ([10, 0, 0, 2].into(), ServerSpec { weight: 0, flush: true }),
    ];
    assert_eq!(spec.servers, expected.into());
    assert_eq!(spec.key, VipKey::port([203, 0, 113, 10].into(), 6, 80));
    assert!(spec.src_ip_sticky);
    assert_eq!(spec.new_flows_table_length, 1024);
    assert_eq!(spec.validate(), Ok(()));
}

#[test]
fn backend_of_two_pools_serves_in_the_active_one() {
    let spec = spec("web", |name| if name == "b" { State::Up } else { State::Down });
    assert_eq!(spec.servers[&IpAddr::from([10, 0, 0, 2])], ServerSpec { weight: 1, flush: false });
}

#[test]
fn tunnel_has_the_servers_family() {
    let up = |_: &str| State::Up;
    assert_eq!(spec("any6", up).encap, Encap::Gre6);
    assert_eq!(spec("any6", up).key, VipKey::all_ports([203, 0, 113, 11].into()));
    assert_eq!(spec("dns", up).encap, Encap::Gre4);
    assert_eq!(spec("dns", up).key, VipKey::port("2001:db8::53".parse().unwrap(), 17, 53));
    for name in ["any6", "dns"] {
        assert_eq!(spec(name, up).validate(), Ok(()));
    }
}

#[test]
fn settings_are_passed_on() {
    let conf = lb_conf(&config().lb);
    let expected = LbConfSpec {
        ip4_src_address: Some([192, 0, 2, 1].into()),
        ip6_src_address: Some("2001:db8::1".parse().unwrap()),
        sticky_buckets_per_core: 65_536,
        flow_timeout: 30,
    };
    assert_eq!(conf, expected);
}
