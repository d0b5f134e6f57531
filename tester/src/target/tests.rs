use maglev_engine::config::parse;
use maglev_proto::{Backend, Frontend, HealthCheckParameter, Pool, PoolBackend};

use super::*;

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, ipv6-src-address: 2001:db8::1 } }
  healthchecks:
    web: { type: https, port: 8443, params: { path: /health, host: shop.example, response-code: '200-204,301' } }
    tcp: { type: tcp, port: 25 }
  backends:
    web1: { address: 10.0.0.1, healthcheck: web }
    mail1: { address: 10.0.0.2, healthcheck: tcp }
  frontends:
    shop: { address: 198.51.100.1, protocol: tcp, port: 443, pools: [ { name: p, backends: { mail1: {}, web1: {} } } ] }
    mail: { address: '2001:db8::25', protocol: tcp, port: 25, src-ip-sticky: true, pools: [ { name: p, backends: { mail1: {} } } ] }
    site: { address: 198.51.100.1, protocol: tcp, port: 80, pools: [ { name: p, backends: { mail1: {} } } ] }
    dns: { address: 198.51.100.1, protocol: udp, port: 53, pools: [ { name: p, backends: { mail1: {} } } ] }
    all: { address: 198.51.100.2, pools: [ { name: p, backends: { mail1: {} } } ] }
";

fn words(targets: &[Target]) -> Vec<String> {
    let word = |target: &Target| format!("{} {} {}", target.name, target.vip, target.request.word());
    targets.iter().map(word).collect()
}

/// Path, host and codes of an HTTP request.
fn asked(target: &Target) -> (String, Option<String>, Vec<(u16, u16)>) {
    let Request::Check(CheckKind::Http { http, .. }) = &target.request else { panic!("{target:?}") };
    (http.path.clone(), http.host.clone(), http.response_codes.0.clone())
}

#[test]
fn vips_of_a_configuration_are_asked_as_their_checks_ask() {
    let (targets, left_out) = from_config(&parse("test.yaml", CONFIG).unwrap().config);
    assert_eq!(
        words(&targets),
        [
            "dns 198.51.100.1:53 udp",
            "mail [2001:db8::25]:25 tcp",
            "shop 198.51.100.1:443 https",
            "site 198.51.100.1:80 http",
        ]
    );
    assert_eq!(left_out, ["all: a VIP of all ports: name one on the command line"]);
    let shop = ("/health".to_owned(), Some("shop.example".to_owned()), vec![(200, 204), (301, 301)]);
    assert_eq!(asked(&targets[2]), shop);
    assert!(targets[1].src_ip_sticky && !targets[0].src_ip_sticky);
}

#[test]
fn brain_says_the_same_as_its_configuration() {
    let frontend = |name: &str, protocol: &str, port, backend: &str| Frontend {
        name: name.into(),
        address: "198.51.100.1".into(),
        protocol: protocol.into(),
        port,
        pools: vec![Pool {
            name: "p".into(),
            backends: vec![PoolBackend { backend: backend.into(), ..PoolBackend::default() }],
            ..Pool::default()
        }],
        ..Frontend::default()
    };
    let frontends = [
        frontend("shop", "tcp", 443, "web1"),
        frontend("site", "tcp", 80, "gone"),
        frontend("dns", "udp", 53, "web1"),
        frontend("all", "any", 0, "web1"),
    ];
    let backends = [Backend { name: "web1".into(), healthcheck: "web".into(), ..Backend::default() }];
    let parameter = |key: &str, value: &str| HealthCheckParameter { key: key.into(), value: value.into() };
    let web = maglev_proto::HealthCheck {
        name: "web".into(),
        r#type: "https".into(),
        parameters: vec![
            parameter("path", "/health"),
            parameter("host", "the backend's address"),
            parameter("response-code", "200-204,301"),
            parameter("sni", "shop.example"),
            parameter("ssl-verify", "false"),
        ],
        ..maglev_proto::HealthCheck::default()
    };
    let (targets, left_out) = from_brain(&frontends, &backends, &[web]);
    let expected = ["shop 198.51.100.1:443 https", "site 198.51.100.1:80 http", "dns 198.51.100.1:53 udp"];
    assert_eq!(words(&targets), expected);
    assert_eq!(left_out, ["all: a VIP of all ports: name one on the command line"]);
    assert_eq!(asked(&targets[0]), ("/health".to_owned(), None, vec![(200, 204), (301, 301)]));
    let Request::Check(CheckKind::Http { tls: Some(tls), .. }) = &targets[0].request else { panic!() };
    assert_eq!((tls.verify, tls.sni.as_deref()), (false, Some("shop.example")));
}

#[test]
fn vips_of_the_command_line() {
    for (text, vip, word) in [
        ("198.51.100.1:80", "198.51.100.1:80", "http"),
        ("198.51.100.1:8443", "198.51.100.1:8443", "https"),
        ("[2001:db8::1]:25", "[2001:db8::1]:25", "tcp"),
        ("tcp://198.51.100.1:80", "198.51.100.1:80", "tcp"),
        ("udp://198.51.100.1:53", "198.51.100.1:53", "udp"),
        ("http://198.51.100.1", "198.51.100.1:80", "http"),
        ("https://[2001:db8::1]/", "[2001:db8::1]:443", "https"),
        ("http://198.51.100.1:8000/a/b?c", "198.51.100.1:8000", "http"),
    ] {
        let target = from_text(text).unwrap();
        assert_eq!(words(&[target]), [format!("{text} {vip} {word}")]);
    }
    assert_eq!(asked(&from_text("http://198.51.100.1:8000/a/b?c").unwrap()).0, "/a/b?c");
    for wrong in
        ["198.51.100.1", "198.51.100.1:0", "shop:80", "2001:db8::1:80", "tcp://198.51.100.1", "http://", ""]
    {
        assert_eq!(from_text(wrong), Err(GivenError::Address(wrong.to_owned())), "{wrong}");
    }
    assert_eq!(from_text("ftp://198.51.100.1"), Err(GivenError::Scheme("ftp".to_owned())));
    assert!(matches!(from_text("tcp://198.51.100.1:80/x"), Err(GivenError::Path(_))));
}

#[test]
fn command_line_shapes_requests() {
    let target = from_text("https://198.51.100.1/a").unwrap();
    let shape = Shape {
        timeout: Duration::from_secs(2),
        host: Some("shop.example:8443".to_owned()),
        insecure: true,
        sources: vec!["2001:db8::9".parse().unwrap(), "192.0.2.9".parse().unwrap()],
        ..Shape::default()
    };
    let check = target.check(&shape).unwrap();
    let CheckKind::Http { http, tls: Some(tls), port: 443 } = &check.kind else { panic!("{check:?}") };
    assert_eq!((http.path.as_str(), http.host.as_deref()), ("/a", Some("shop.example:8443")));
    assert_eq!((tls.verify, tls.sni.as_deref()), (false, Some("shop.example")));
    assert_eq!(check.probe_ipv4_src, Some("192.0.2.9".parse().unwrap()));
    assert!(from_text("udp://198.51.100.1:53").unwrap().check(&shape).is_none());
}
