use proptest::prelude::*;

use super::*;

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    let prefix = |text: &&str| {
        let (address, length) = text.split_once('/').unwrap();
        Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
    };
    texts.iter().map(prefix).collect()
}

fn target(vip: u8, server: u8) -> TunnelTarget {
    TunnelTarget { vip: [198, 51, 100, vip].into(), server: [10, 0, 0, server].into() }
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn each_target_has_an_address_of_its_own_and_keeps_it() {
    let (mut mapping, prefixes) = (Mapping::default(), prefixes(&["10.255.0.0/29", "fd00::/64"]));
    let v6 = TunnelTarget { vip: "2001:db8::1".parse().unwrap(), server: [10, 0, 0, 1].into() };
    let first = mapping.set(1, &[target(1, 1), v6, target(1, 2), target(1, 1)], &prefixes);
    let [one, two, three] = [address("10.255.0.1"), address("fd00::2"), address("10.255.0.3")];
    assert_eq!(first, [one, two, three, one]);
    let second = mapping.set(1, &[target(1, 3), target(1, 2)], &prefixes);
    assert_eq!(second, [address("10.255.0.4"), three]);
    let packet = |source: Option<IpAddr>, target| Addresses { source: source.unwrap(), target };
    assert_eq!(mapping.server(packet(three, [198, 51, 100, 1].into())), address("10.0.0.2"));
    assert_eq!(mapping.server(packet(three, [198, 51, 100, 2].into())), None, "another VIP");
    assert_eq!(mapping.server(packet(one, [198, 51, 100, 1].into())), None, "no longer a target");
}

#[test]
fn connections_have_addresses_and_reports_of_their_own() {
    let (mut mapping, prefixes) = (Mapping::default(), prefixes(&["10.255.0.0/29"]));
    let own = mapping.set(1, &[target(1, 1)], &prefixes)[0].unwrap();
    let other = mapping.set(2, &[target(1, 1)], &prefixes)[0].unwrap();
    assert_ne!(own, other);
    let refusal = TunnelRefusal { local: false, reason: "no route".to_owned() };
    mapping.count(own, Ok(()));
    mapping.count(own, Err(refusal.clone()));
    let report = TunnelReport { sent: 1, refused: 1, refusal: Some(refusal) };
    assert_eq!(mapping.report(1, own), Some(report));
    assert_eq!(mapping.report(2, own), None);
    mapping.leave(1);
    assert_eq!((mapping.report(1, own), mapping.report(2, other).is_some()), (None, true));
}

#[test]
fn a_prefix_that_is_used_up_or_gone_gives_no_address() {
    let (mut mapping, two) = (Mapping::default(), prefixes(&["10.255.0.0/30"]));
    let targets: Vec<_> = (1..=3).map(|server| target(1, server)).collect();
    let given = mapping.set(1, &targets, &two);
    assert_eq!(given, [address("10.255.0.1"), address("10.255.0.2"), None]);
    assert_eq!(mapping.set(2, &targets, &two), [None; 3]);
    mapping.leave(1);
    assert_eq!(mapping.set(2, &targets[..1], &[]), [None]);
    let moved = mapping.set(2, &targets[..1], &prefixes(&["10.254.0.1/32"]));
    assert_eq!(moved, [address("10.254.0.1")]);
    let moved = mapping.set(2, &targets[..1], &two);
    assert!(moved == given[..1] || moved == given[1..2], "the policy changed: {moved:?}");
}

proptest! {
    #[test]
    fn addresses_are_unique_and_of_the_prefixes(
        steps in proptest::collection::vec((0u64..4, proptest::collection::vec((0u8..6, 0u8..6), 0..12)), 1..20),
    ) {
        let (mut mapping, prefixes) = (Mapping::default(), prefixes(&["10.255.0.0/28", "10.254.0.4/31"]));
        let mut held: HashMap<u64, Vec<(TunnelTarget, IpAddr)>> = HashMap::new();
        for (owner, pairs) in steps {
            let targets: Vec<_> = pairs.iter().map(|(vip, server)| target(*vip, *server)).collect();
            let given = mapping.set(owner, &targets, &prefixes);
            let before = held.remove(&owner).unwrap_or_default();
            let now: Vec<_> = targets.iter().zip(&given).filter_map(|(t, a)| Some((*t, (*a)?))).collect();
            for (target, address) in &now {
                prop_assert!(prefixes.iter().any(|prefix| prefix.covers(&Prefix::host(*address))));
                let kept = before.iter().find(|(other, _)| other == target);
                prop_assert!(kept.is_none_or(|(_, former)| former == address));
                let packet = Addresses { source: *address, target: target.vip };
                prop_assert_eq!(mapping.server(packet), Some(target.server));
                let others = held.values().flatten().any(|(_, other)| other == address);
                prop_assert!(!others);
            }
            held.insert(owner, now);
        }
    }
}
