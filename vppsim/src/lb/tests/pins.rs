//! Pinned flows across changes of VIPs and servers.

use std::net::SocketAddr;

use super::super::{Conf, Counter, Lb, Routed};
use super::{at, ip46, key, lb_with, new_vip, web};

/// A packet of the flow of this number.
fn packet(lb: &mut Lb, flow: u16, seconds: u64) -> Routed {
    let vip = lb.find(&web()).unwrap();
    let client = SocketAddr::new([192, 0, 2, 1].into(), flow);
    lb.packet(vip, client, "203.0.113.10:80".parse().unwrap(), 40, at(seconds)).unwrap()
}

/// The counter that counted the packet, and the last byte of its server's address.
fn sent(lb: &mut Lb, flow: u16, seconds: u64) -> (Counter, u8) {
    let Routed { counter, server } = packet(lb, flow, seconds);
    let last = server.map_or(0, |server| ip46(&server.to_string()).octets()[15]);
    (counter, last)
}

/// The `flows` of the servers of a VIP.
fn pinned(lb: &Lb, vip: u32) -> Vec<u64> {
    lb.servers_of(lb.vip(vip).unwrap()).map(|(index, _)| lb.pinned_to(index)).collect()
}

use Counter::{ExistingSession, FirstSession, NoServer, Untracked};

#[test]
fn a_flow_that_began_without_a_server_is_not_pinned_while_it_sends() {
    let mut lb = lb_with(&[("10.0.0.1", 0)]);
    assert_eq!(sent(&mut lb, 1, 10), (NoServer, 0));
    lb.set_weight(&web(), ip46("10.0.0.1"), 1, false).unwrap();
    for second in 11..100 {
        let (counter, server) = sent(&mut lb, 1, second);
        assert!(matches!(counter, FirstSession | Untracked), "{second}: {counter:?}");
        assert_eq!(server, 1);
    }
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(100)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(sent(&mut lb, 1, 100).1, 2, "it moves though nothing was flushed");
    // Silent for the flow timeout of 40 s: pinned at last.
    assert_eq!(sent(&mut lb, 1, 140), (FirstSession, 2));
    assert_eq!(sent(&mut lb, 1, 141), (ExistingSession, 2));
}

#[test]
fn a_flush_of_the_vip_when_its_first_server_returns_lets_such_flows_be_pinned() {
    let mut lb = lb_with(&[("10.0.0.1", 0)]);
    assert_eq!(sent(&mut lb, 1, 10), (NoServer, 0));
    lb.set_weight(&web(), ip46("10.0.0.1"), 1, false).unwrap();
    lb.flush_vip(&web());
    assert_eq!(sent(&mut lb, 1, 11), (FirstSession, 1));
    assert_eq!(sent(&mut lb, 1, 12), (ExistingSession, 1));
}

#[test]
fn a_running_flow_is_untracked_after_an_outage_until_its_flushed_slot_expires() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    assert_eq!(sent(&mut lb, 1, 10), (FirstSession, 1));
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, true).unwrap();
    let outage: Vec<_> = (11..17).map(|second| sent(&mut lb, 1, second)).collect();
    assert_eq!(outage[..3], [(NoServer, 0); 3]);
    assert_eq!(outage[3..], [(Untracked, 0); 3]);
    lb.set_weight(&web(), ip46("10.0.0.1"), 1, false).unwrap();
    assert!((17..50).all(|second| sent(&mut lb, 1, second) == (Untracked, 1)));
    assert_eq!(sent(&mut lb, 1, 50), (FirstSession, 1));
    assert_eq!(sent(&mut lb, 1, 51), (ExistingSession, 1));
    assert_eq!(lb.counters()[1], [1, 2, 36, 3]);
}

#[test]
fn a_flush_of_a_server_that_has_no_weight_moves_its_flows() {
    let mut lb = lb_with(&[("10.0.0.1", 1), ("10.0.0.2", 0)]);
    assert_eq!(sent(&mut lb, 1, 1), (FirstSession, 1));
    lb.set_weight(&web(), ip46("10.0.0.2"), 1, false).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(sent(&mut lb, 1, 2), (ExistingSession, 1));
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(sent(&mut lb, 1, 3), (ExistingSession, 1));
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, true).unwrap();
    assert_eq!(sent(&mut lb, 1, 4), (FirstSession, 2));
}

#[test]
fn a_server_added_again_has_its_flows_unless_it_is_flushed() {
    for (flush, expected) in [(false, (ExistingSession, 1)), (true, (FirstSession, 2))] {
        let mut lb = lb_with(&[("10.0.0.1", 1)]);
        sent(&mut lb, 1, 1);
        lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
        lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(3)).unwrap();
        assert_eq!(sent(&mut lb, 1, 4), (ExistingSession, 1), "removed, and served all the same");
        lb.add_server(&web(), ip46("10.0.0.1"), 0, flush, at(5)).unwrap();
        assert_eq!(sent(&mut lb, 1, 6), expected);
    }
}

#[test]
fn a_removed_vip_is_not_flushed_and_one_made_again_does_not_see_its_flows() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    sent(&mut lb, 1, 1);
    lb.remove_vip(&web(), at(2)).unwrap();
    assert_eq!(pinned(&lb, 1), [1]);
    assert_eq!(lb.add_vip(&new_vip(web()), at(3)), Ok(2));
    lb.add_server(&web(), ip46("10.0.0.1"), 1, false, at(3)).unwrap();
    assert_eq!(sent(&mut lb, 1, 4), (FirstSession, 1));
    assert_eq!((pinned(&lb, 1), pinned(&lb, 2)), (vec![1], vec![1]));
}

/// A VIP without servers is freed at once, and its index reused: its slots then belong to the new VIP.
#[test]
fn a_vip_at_a_freed_index_has_the_flows_that_had_no_server() {
    let mut lb = lb_with(&[]);
    assert_eq!(sent(&mut lb, 1, 1), (NoServer, 0));
    lb.remove_vip(&web(), at(2)).unwrap();
    lb.collect_garbage(at(3));
    assert_eq!(lb.add_vip(&new_vip(web()), at(4)), Ok(1));
    lb.add_server(&web(), ip46("10.0.0.1"), 1, false, at(4)).unwrap();
    assert_eq!(sent(&mut lb, 1, 5), (FirstSession, 1));
    assert_eq!(sent(&mut lb, 1, 6), (FirstSession, 1), "the slot without a server hides the other one");
}

#[test]
fn another_number_of_sticky_buckets_counts_only_with_a_packet() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let conf = *lb.conf();
    sent(&mut lb, 1, 1);
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(1)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    lb.set_conf(Conf { sticky_buckets: 2048, ..conf }).unwrap();
    lb.set_conf(conf).unwrap();
    assert_eq!(sent(&mut lb, 1, 2), (ExistingSession, 1));
    lb.set_conf(Conf { sticky_buckets: 2048, ..conf }).unwrap();
    assert_eq!(pinned(&lb, 1), [1, 0]);
    assert_eq!(sent(&mut lb, 1, 3), (FirstSession, 2));
    assert_eq!(pinned(&lb, 1), [0, 1]);
}

#[test]
fn packets_to_what_is_no_vip_are_not_the_plugins() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let (client, destination) = ("192.0.2.1:9".parse().unwrap(), "203.0.113.10:80".parse().unwrap());
    lb.remove_vip(&web(), at(2)).unwrap();
    for vip in [0, 1, 2] {
        assert_eq!(lb.packet(vip, client, destination, 40, at(3)), None);
    }
    assert_eq!(lb.counters()[1], [0; 4]);
}

#[test]
fn each_change_of_servers_rebuilds_the_table_once() {
    let (first, second) = (ip46("10.0.0.1"), ip46("10.0.0.2"));
    let mut lb = lb_with(&[]);
    let mut total = 0;
    let mut rebuilt = |lb: &Lb| {
        let before = std::mem::replace(&mut total, lb.rebuilds());
        lb.rebuilds() - before
    };
    assert_eq!(rebuilt(&lb), 1, "a new VIP");
    lb.add_server(&web(), first, 1, false, at(1)).unwrap();
    lb.add_server(&web(), second, 1, false, at(1)).unwrap();
    assert_eq!(rebuilt(&lb), 2, "two servers");
    lb.set_weight(&web(), first, 1, true).unwrap();
    assert_eq!(rebuilt(&lb), 1, "the weight that it has");
    lb.remove_server(&web(), first, false, at(1)).unwrap();
    lb.remove_server(&web(), first, true, at(1)).unwrap();
    assert_eq!(rebuilt(&lb), 2, "a server removed twice");
    lb.add_server(&web(), first, 1, true, at(1)).unwrap();
    assert_eq!(rebuilt(&lb), 1, "and added again");
    lb.flush_vip(&web());
    lb.set_conf(Conf { sticky_buckets: 2048, ..*lb.conf() }).unwrap();
    lb.add_server(&web(), first, 1, true, at(1)).unwrap_err();
    lb.set_weight(&web(), ip46("10.0.0.3"), 1, true).unwrap_err();
    lb.collect_garbage(at(100));
    assert_eq!(rebuilt(&lb), 0, "a flush, other sticky buckets, refusals, a collection");
    let other = key("203.0.113.11", 80);
    lb.add_vip(&new_vip(other), at(100)).unwrap();
    assert_eq!((lb.vip(1).unwrap().rebuilds, lb.vip(2).unwrap().rebuilds), (7, 1));
    lb.remove_vip(&web(), at(101)).unwrap();
    lb.remove_vip(&other, at(101)).unwrap();
    assert_eq!((lb.vip(1).unwrap().rebuilds, lb.vip(2).unwrap().rebuilds), (8, 1), "both with their servers");
    lb.restart();
    assert_eq!(lb.rebuilds(), 0);
}
