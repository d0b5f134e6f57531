use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::parse;
use crate::outcome::Share;

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.254 } }
  healthchecks:
    web: { type: http, port: 8080, via: tunnel, interval: 500ms }
    ping: { type: icmp, via: tunnel, size: 1476, interval: 1s }
    plain: { type: icmp, interval: 1s }
    names: { type: dns, params: { name: example.org }, via: tunnel, interval: 1s }
    reliable: { type: dns, params: { name: example.org, transport: tcp }, via: tunnel, interval: 1s }
  backends:
    a: { address: 10.0.0.1, healthcheck: web }
    b: { address: 10.0.0.2, healthcheck: ping }
    c: { address: 10.0.0.3, healthcheck: plain }
    d: { address: 10.0.0.4, healthcheck: [names, plain, web, reliable], require: any }
  frontends:
    one: { address: 198.51.100.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { a: {}, b: {}, c: {} } }] }
    two: { address: 198.51.100.1, protocol: tcp, port: 443, pools: [{ name: p, backends: { a: {}, b: {} } }] }
    all: { address: 198.51.100.2, pools: [{ name: p, backends: { a: {} } }] }
    dns: { address: 198.51.100.3, protocol: udp, port: 5353, pools: [{ name: p, backends: { d: {} } }] }
    both: { address: 198.51.100.3, protocol: tcp, port: 5300, pools: [{ name: p, backends: { d: {} } }] }
";

fn config() -> Config {
    parse("maglev.yaml", CONFIG).unwrap().config
}

fn vip(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn outcome(code: ProbeCode, milliseconds: u64) -> ProbeOutcome {
    ProbeOutcome { code, detail: "d".into(), duration: Duration::from_millis(milliseconds), asked: None }
}

fn report(sent: u64, refused: u64, local: bool) -> TunnelReport {
    let refusal = (refused > 0).then(|| TunnelRefusal { local, reason: "no route to 10.0.0.1".to_owned() });
    TunnelReport { sent, refused, refusal }
}

#[test]
fn a_backend_is_probed_with_each_vip_that_it_serves() {
    let config = config();
    let vips = config.tunnel_vips();
    let [http, https, all] = ["198.51.100.1:80", "198.51.100.1:443", "198.51.100.2:8080"].map(vip);
    assert_eq!(vips["a"]["web"], [http, https, all].into());
    assert_eq!(vips["b"]["ping"], [vip("198.51.100.1:0")].into(), "ICMP has no ports");
    assert!(!vips.contains_key("c"));
    let of_d = |check| vips["d"][check].iter().map(SocketAddr::port).collect::<Vec<_>>();
    assert_eq!(of_d("names"), [53, 5353], "UDP to the TCP frontend has the check's port");
    assert_eq!(of_d("reliable"), [5300, 5353]);
    assert_eq!(of_d("web"), [5300, 8080]);
    assert!(!vips["d"].contains_key("plain"));
    let load = config.tunnel_load().unwrap();
    assert_eq!(
        load.to_string(),
        "checks through the tunnel probe 10 pairs of backend and VIP: 15.0 probes a second"
    );
}

#[test]
fn only_what_went_through_the_tunnel_counts() {
    let at = vip("198.51.100.1:80");
    let none = TunnelReport::default();
    let judged = |code, since: &TunnelReport| {
        let judged = judge(at, outcome(code, 1), &none, since);
        (judged.code, judged.detail.to_string())
    };
    use ProbeCode::{L4Con, L4Ok, L4Tout, SockErr};
    let told = |detail: &str| format!("198.51.100.1 port 80 through the tunnel: {detail}");
    assert_eq!(judged(L4Ok, &report(2, 0, false)), (L4Ok, "d".to_owned()));
    assert_eq!(judged(L4Ok, &none), (SockErr, told(BESIDE)));
    assert_eq!(judged(L4Tout, &none), (SockErr, told(BESIDE)));
    assert_eq!(judged(L4Tout, &report(2, 0, false)), (L4Tout, told("d")));
    assert_eq!(judged(L4Tout, &report(0, 2, false)), (L4Con, told("no route to 10.0.0.1")));
    assert_eq!(judged(L4Tout, &report(0, 2, true)), (SockErr, told("not sent: no route to 10.0.0.1")));
    assert_eq!(judged(L4Tout, &report(1, 2, true)), (SockErr, told("not sent: no route to 10.0.0.1")));
    assert_eq!(judged(L4Tout, &report(1, 2, false)), (L4Tout, told("d; no route to 10.0.0.1")));
    assert_eq!(judged(SockErr, &none), (SockErr, told("d")));
    // What was refused in former probes is not about this one.
    let before = report(5, 2, true);
    assert_eq!(judge(at, outcome(L4Tout, 1), &before, &report(6, 2, true)).code, L4Tout);
}

#[test]
fn a_backend_passes_if_it_does_for_all_vips() {
    use ProbeCode::{L4Tout, L7Ok, L7Sts, SockErr};
    let merged = |codes: &[(ProbeCode, u64)]| {
        let merged = merge(codes.iter().map(|(code, milliseconds)| outcome(*code, *milliseconds)));
        (merged.code, merged.duration.as_millis())
    };
    assert_eq!(merged(&[(L7Ok, 3), (L7Ok, 9), (L7Ok, 5)]), (L7Ok, 9));
    assert_eq!(merged(&[(L7Ok, 3), (SockErr, 1), (L7Sts, 2), (L4Tout, 9)]), (L7Sts, 2));
    assert_eq!(merged(&[(L7Ok, 3), (SockErr, 1)]), (SockErr, 1));
    assert_eq!(merged(&[]).0, SockErr);
}

#[test]
fn the_least_share_that_a_server_asks_for_on_any_vip_counts() {
    use ProbeCode::{L7Ok, L7Okc, L7Sts};
    let asks = |percent, of: ProbeOutcome| ProbeOutcome { asked: Share::of(percent), ..of };
    let (whole, some, drains) =
        (asks(100, outcome(L7Ok, 3)), asks(40, outcome(L7Ok, 2)), asks(0, outcome(L7Okc, 1)));
    let silent = outcome(L7Ok, 9);
    assert_eq!(merge([whole.clone(), some.clone(), silent.clone()]), some);
    assert_eq!(merge([silent.clone(), drains.clone(), some]), drains);
    assert_eq!(merge([silent.clone(), whole.clone()]), whole);
    assert_eq!(merge([drains.clone(), outcome(L7Sts, 1), silent]).code, L7Sts);
    // Nor does one count that came from elsewhere.
    let (none, sent) = (TunnelReport::default(), report(1, 0, false));
    let at = vip("198.51.100.1:80");
    assert_eq!(judge(at, drains.clone(), &none, &none).asked, None);
    assert_eq!(judge(at, drains.clone(), &none, &sent), drains);
}

proptest! {
    #[test]
    fn the_merged_result_is_one_of_them(codes in proptest::collection::vec((0usize..13, 0u64..50), 1..8)) {
        let outcomes: Vec<_> =
            codes.iter().map(|(code, milliseconds)| outcome(ProbeCode::ALL[*code], *milliseconds)).collect();
        let merged = merge(outcomes.clone());
        prop_assert!(outcomes.contains(&merged));
        prop_assert_eq!(merged.passed(), outcomes.iter().all(ProbeOutcome::passed));
    }
}

#[test]
fn contradictions_are_told() {
    let mistakes = |check: &str| {
        let text = CONFIG.replace("{ type: icmp, interval: 1s }", check);
        parse("maglev.yaml", &text).map(drop).map_err(|errors| errors.to_string())
    };
    for (check, words) in [
        ("{ type: icmp, via: vpn }", "is `vpn`, which is no way to a backend"),
        ("{ type: icmp, size: 1476 }", "is set, but this check sends no echo requests through the tunnel"),
        ("{ type: tcp, port: 1, via: tunnel, size: 1476 }", "sends no echo requests"),
        ("{ type: icmp, via: tunnel, size: 63 }", "size"),
        (
            "{ type: http, via: tunnel, params: { keepalive: true } }",
            "`keepalive` of `params` of health check `plain` is set, but this check is `via: tunnel`",
        ),
        ("{ type: icmp, via: tunnel, agent-port: 9999 }", "is set, but this check is `via: tunnel`"),
        ("{ type: icmp, via: tunnel, probe-ipv4-src: 192.0.2.1 }", "is set, but this check is `via: tunnel`"),
    ] {
        let told = mistakes(check).unwrap_err();
        assert!(told.contains(words), "{check}: {told}");
    }
    for check in ["{ type: icmp, via: direct }", "{ type: http, via: tunnel, params: { keepalive: false } }"]
    {
        assert_eq!(mistakes(check), Ok(()));
    }
}
