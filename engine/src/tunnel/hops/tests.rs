use proptest::prelude::*;

use super::*;
use crate::config::parse;

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.254, ipv6-src-address: '2001:db8::254' } }
  healthchecks:
    web: { type: http, port: 8080, via: tunnel }
    packets: { type: icmp, via: tunnel, size: 1400 }
    plain: { type: tcp, port: 8443 }
    fire: { type: udp, port: 9, params: { send: x }, via: tunnel }
  backends:
    a: { address: 10.0.0.1, healthcheck: [web, packets] }
    b: { address: 10.0.0.2, healthcheck: plain }
    c: { address: '2001:db8::3' }
    d: { address: 10.0.0.4, healthcheck: fire }
  frontends:
    www: { address: 198.51.100.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { a: {}, b: {} } }] }
    all: { address: 198.51.100.2, pools: [{ name: p, backends: { b: {} } }] }
    six: { address: '2001:db8:1::1', protocol: tcp, port: 443, pools: [{ name: p, backends: { a: {} } }] }
    sea: { address: '2001:db8:1::2', protocol: tcp, port: 443, pools: [{ name: p, backends: { c: {} } }] }
    log: { address: 198.51.100.4, protocol: udp, port: 514, pools: [{ name: p, backends: { d: {} } }] }
    logs: { address: 198.51.100.5, protocol: udp, port: 514, pools: [{ name: p, backends: { c: {} } }] }
";

const SECOND: Duration = Duration::from_secs(1);

fn paths(backend: &str, only: Option<&str>) -> Vec<Path> {
    parse("maglev.yaml", CONFIG).unwrap().config.paths(backend, only, SECOND)
}

fn outcome(code: ProbeCode) -> ProbeOutcome {
    ProbeOutcome { code, detail: "d".into(), duration: Duration::ZERO, asked: None }
}

#[test]
fn each_vip_is_tested_with_what_is_configured() {
    let told = |backend, only| -> Vec<_> {
        let of = |path: Path| {
            let tests = path
                .listeners
                .iter()
                .map(|one| format!("{}@{}", one.name.as_deref().unwrap_or("tcp"), one.target));
            (path.frontend, path.full, tests.collect::<Vec<_>>().join(" "))
        };
        paths(backend, only).into_iter().map(of).collect()
    };
    let row = |frontend: &str, full, tests: &str| (frontend.to_owned(), full, tests.to_owned());
    assert_eq!(
        told("a", None),
        [row("six", 1400, "web@[2001:db8:1::1]:443"), row("www", 1400, "web@198.51.100.1:80")]
    );
    assert_eq!(
        told("b", None),
        [row("all", 1476, "tcp@198.51.100.2:8443"), row("www", 1476, "tcp@198.51.100.1:80")]
    );
    assert_eq!(told("c", None), [row("logs", 1456, ""), row("sea", 1456, "tcp@[2001:db8:1::2]:443")]);
    assert_eq!(told("d", None), [row("log", 1476, "fire@198.51.100.4:514")]);
    assert_eq!(told("b", Some("all")).len(), 1);
    assert_eq!(told("b", Some("six")), [], "it does not have it");
    assert_eq!(told("x", None), []);
}

fn found(codes: [ProbeCode; 3], listener: ProbeCode, mtu: Option<ProbeCode>) -> Vec<(Hop, Verdict)> {
    let [address, tunnel, vip] = codes.map(outcome);
    let evidence =
        Evidence { address, tunnel, vip, listeners: vec![outcome(listener)], mtu: mtu.map(outcome) };
    let path = paths("b", Some("www")).remove(0);
    reports(&path, evidence).iter().map(|report| (report.hop, report.verdict)).collect()
}

#[test]
fn the_hop_that_fails_is_the_last_one() {
    use Hop::{Address, Listener, Mtu, Tunnel, Vip};
    use ProbeCode::{L4Con, L4Ok, L4Tout, SockErr};
    use Verdict::{Failed, NotKnown, Passed};
    let first = [(Address, Passed), (Tunnel, Passed), (Vip, Passed)];
    let with = |more: &[(Hop, Verdict)]| [&first[..], more].concat();
    assert_eq!(found([L4Ok; 3], L4Ok, Some(L4Ok)), with(&[(Listener, Passed), (Mtu, Passed)]));
    assert_eq!(found([L4Ok; 3], L4Ok, Some(L4Tout)), with(&[(Listener, Passed), (Mtu, Failed)]));
    assert_eq!(found([L4Ok; 3], L4Con, Some(L4Ok)), with(&[(Listener, Failed), (Mtu, Passed)]));
    let [address, tunnel, _] = first;
    assert_eq!(found([L4Ok, L4Ok, L4Tout], L4Tout, None), [address, tunnel, (Vip, Failed)]);
    assert_eq!(found([L4Ok, L4Tout, L4Tout], L4Tout, None), [address, (Tunnel, Failed)]);
    assert_eq!(found([L4Tout; 3], L4Tout, None), [(Address, Failed)]);
    assert_eq!(found([SockErr, L4Tout, L4Tout], L4Tout, None), [(Address, NotKnown), (Tunnel, Failed)]);
    // A server that answers no echo requests.
    assert_eq!(found([L4Tout; 3], L4Ok, None), with(&[(Listener, Passed), (Mtu, NotKnown)]));
    // An agent that sends nothing through the tunnel.
    assert_eq!(found([L4Ok, SockErr, SockErr], SockErr, None), [address, (Tunnel, NotKnown)]);
}

#[test]
fn silence_of_a_datagram_proves_nothing() {
    let path = paths("d", None).remove(0);
    let evidence = Evidence {
        address: outcome(ProbeCode::L4Ok),
        tunnel: outcome(ProbeCode::L4Tout),
        vip: outcome(ProbeCode::L4Tout),
        listeners: vec![outcome(ProbeCode::L4Ok)],
        mtu: None,
    };
    let last = reports(&path, evidence).pop().unwrap();
    assert_eq!((last.hop, last.verdict), (Hop::Tunnel, Verdict::Failed));
    assert!(last.meaning.contains("GRE device"), "{}", last.meaning);
}

#[test]
fn one_answer_of_two_is_enough() {
    use ProbeCode::{L4Ok, L4Tout, SockErr};
    for (one, other, best) in [(L4Tout, L4Ok, L4Ok), (L4Ok, L4Tout, L4Ok), (SockErr, L4Tout, L4Tout)] {
        assert_eq!(better(outcome(one), Some(outcome(other))).code, best);
    }
    assert_eq!(better(outcome(SockErr), None).code, SockErr);
}

proptest! {
    #[test]
    fn nothing_follows_a_hop_that_fails_but_the_mtu(
        codes in proptest::array::uniform4(0usize..ProbeCode::ALL.len()),
        mtu in proptest::option::of(0usize..ProbeCode::ALL.len()),
    ) {
        let [address, tunnel, vip, listener] = codes.map(|code| ProbeCode::ALL[code]);
        let found = found([address, tunnel, vip], listener, mtu.map(|code| ProbeCode::ALL[code]));
        prop_assert!(found.is_sorted_by_key(|(hop, _)| *hop));
        let failed = found.iter().position(|(_, verdict)| *verdict == Verdict::Failed);
        if let Some(place) = failed {
            prop_assert!(found[place + 1..].iter().all(|(hop, _)| *hop == Hop::Mtu));
        }
        let serves = listener.verdict() == Verdict::Passed;
        prop_assert!(!serves || found.iter().all(|(hop, verdict)| *verdict == Verdict::Passed || *hop == Hop::Mtu));
    }
}
