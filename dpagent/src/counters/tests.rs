use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::Encap;

use super::*;
use crate::cli_text::TextServer;
use crate::mirror::MirrorVip;

fn key(last: u8, port: u16) -> VipKey {
    VipKey::port([192, 0, 2, last].into(), 6, port)
}

fn mirror(vips: &[(VipKey, Option<u32>)]) -> Mirror {
    let vip = |index| MirrorVip {
        index,
        encap: Encap::Gre4,
        src_ip_sticky: Some(false),
        table_length: 1024,
        servers: BTreeMap::new(),
        drained: BTreeSet::new(),
    };
    Mirror::new(vips.iter().map(|(key, index)| (*key, vip(*index))).collect())
}

#[test]
fn a_route_is_asked_for_once_while_a_vip_of_its_prefix_stays() {
    let mut places = Places::default();
    let (one, two) = (key(1, 80).prefix, key(2, 80).prefix);
    let both = mirror(&[(key(1, 80), Some(1)), (key(1, 443), Some(2)), (key(2, 80), Some(3))]);
    assert_eq!(places.missing(&both), [one, two]);
    places.learn(&both, [(one, Some(70)), (two, None)].into_iter());
    assert_eq!(places.missing(&both), []);
    let routes: Vec<_> = places.of(&both).iter().map(|place| (place.index, place.route)).collect();
    assert_eq!(routes, [(1, Some(70)), (2, Some(70)), (3, None)]);

    // One of the prefix's VIPs was re-created, so the route stayed. A VIP without an index has no position
    // yet.
    let changed = mirror(&[(key(1, 80), None), (key(1, 443), Some(2))]);
    assert_eq!(places.missing(&changed), []);
    assert_eq!(places.of(&changed).len(), 1);
    let changed = mirror(&[(key(1, 80), Some(9)), (key(2, 80), Some(8))]);
    // By now none of the prefix's first VIPs exists any more.
    assert_eq!(places.missing(&changed), [one, two]);
}

#[test]
fn figures_are_of_vips_and_servers_in_use_and_in_order() {
    let server = |last, removed| TextServer {
        address: [10, 0, 0, last].into(),
        weight: last,
        buckets: 7,
        flows: 3,
        route: Some(last.into()),
        removed,
    };
    let vip = |key, removed, servers: &[TextServer]| TextVip {
        key,
        index: 1,
        encap: None,
        table_length: None,
        src_ip_sticky: false,
        removed,
        servers: servers.to_vec(),
    };
    let text = [
        vip(key(2, 80), false, &[server(9, false), server(10, true), server(3, false)]),
        vip(key(1, 80), true, &[server(1, false)]),
        vip(key(1, 80), false, &[server(2, false)]),
    ];
    let told: Vec<_> =
        figures(&text).iter().map(|figure| (figure.vip, figure.weight, figure.flows)).collect();
    assert_eq!(told, [(key(1, 80), 2, 3), (key(2, 80), 3, 3), (key(2, 80), 9, 3)]);
}
