use maglev_protocol::Encap;

use super::*;
use crate::mirror::MirrorVip;

fn key(port: u16) -> VipKey {
    VipKey::port([192, 0, 2, 1].into(), 6, port)
}

fn server(number: u16) -> std::net::IpAddr {
    let [high, low] = number.to_be_bytes();
    [10, 0, high, low].into()
}

/// A VIP with this many servers of one weight.
fn vpp(table_length: u32, servers: u16, weight: u8) -> Mirror {
    let vip = MirrorVip {
        index: Some(1),
        encap: Encap::Gre4,
        src_ip_sticky: Some(false),
        table_length,
        servers: (0..servers).map(|number| (server(number), weight)).collect(),
        drained: [].into(),
    };
    Mirror::new([(key(80), vip)].into())
}

fn removals(servers: u16, weight: u8) -> Vec<Write> {
    let remove = |number| Step::RemoveServer { server: server(number), weight };
    (0..servers).map(|number| Write { vip: key(80), step: remove(number) }).collect()
}

fn new_vip(port: u16, table_length: u32, servers: u16, weight: u8) -> Vec<Write> {
    let add = |number| Step::AddServer { server: server(number), weight, flush: false };
    let vip = Step::AddVip { encap: Encap::Gre4, src_ip_sticky: false, table_length };
    let steps = [vip].into_iter().chain((0..servers).map(add));
    steps.map(|step| Write { vip: key(port), step }).collect()
}

/// Sizes of the bursts, and whether each is cheap.
fn shape(writes: &[Write], mirror: &Mirror) -> Vec<(usize, bool)> {
    let bursts = bursts(writes, mirror);
    let joined: Vec<Write> = bursts.iter().flat_map(|burst| burst.writes).copied().collect();
    assert_eq!(joined, writes, "none is lost, none comes earlier");
    bursts.iter().map(|burst| (burst.writes.len(), burst.is_cheap)).collect()
}

#[test]
fn costly_writes_go_in_small_bursts_and_cheap_ones_together() {
    // A rebuild of 65,536 buckets takes 0.9 ms, and moving the flows 0.4 ms.
    assert_eq!(shape(&removals(7, 1), &vpp(65_536, 40, 1)), [(3, false), (3, false), (1, false)]);
    assert!(shape(&removals(200, 100), &vpp(65_536, 200, 100)).iter().all(|burst| burst.0 <= 3 && !burst.1));
    let raise = |number| Step::Reweight { server: server(number), from: 1, to: 2, flush: false };
    let raises: Vec<_> = (0..300).map(|number| Write { vip: key(80), step: raise(number) }).collect();
    assert_eq!(shape(&raises, &vpp(1024, 300, 1)), [(123, true), (104, true), (73, true)]);
    assert_eq!(shape(&[], &Mirror::default()), []);
}

#[test]
fn a_new_vip_gets_its_servers_in_one_burst_unless_that_holds_up_others_for_too_long() {
    let none = Mirror::default();
    assert_eq!(shape(&new_vip(80, 65_536, 40, 1), &none), [(41, false)]);
    let large = shape(&new_vip(80, 65_536, 200, 100), &none);
    assert!(large[0].0 >= 2 && large.iter().all(|burst| burst.0 <= 4), "{large:?}");
    let two = [new_vip(80, 1024, 10, 1), new_vip(81, 1024, 10, 1)].concat();
    assert_eq!(shape(&two, &none), [(22, true)]);
    let dear = [new_vip(80, 65_536, 40, 1), new_vip(81, 65_536, 40, 1)].concat();
    assert_eq!(shape(&dear, &none), [(41, false), (41, false)]);
    // Added again: the old weights no longer count in the sum.
    let again =
        [vec![Write { vip: key(80), step: Step::RemoveVip { anew: None } }], new_vip(80, 1024, 50, 1)];
    assert_eq!(shape(&again.concat(), &vpp(1024, 200, 100)), [(52, true)]);
}
