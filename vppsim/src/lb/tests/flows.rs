use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::super::{Conf, Effect, FlowId, Lb, NewVip, NoServer};
use super::{at, ip46, key, lb_with, new_vip, web};

const FLOWS: u16 = 200;

fn destination() -> SocketAddr {
    "203.0.113.10:80".parse().unwrap()
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::new([192, 0, 2, 1].into(), port)
}

fn open_many(lb: &mut Lb) -> BTreeMap<FlowId, IpAddr> {
    open_from(lb, 0)
}

/// Flows from this port on.
fn open_from(lb: &mut Lb, first: u16) -> BTreeMap<FlowId, IpAddr> {
    (first..first + FLOWS)
        .map(|port| lb.open_flow(1, client(port), destination(), 40, at(1)).unwrap())
        .map(|flow| (flow.id, flow.server))
        .collect()
}

fn ended(lb: &mut Lb) -> Vec<FlowId> {
    let ended = lb.take_effects().into_iter().filter_map(|effect| match effect {
        Effect::FlowEnded(id) => Some(id),
        _ => None,
    });
    ended.collect()
}

fn flows_of(lb: &Lb, address: &str) -> u64 {
    let vip = lb.vip(1).unwrap();
    lb.pinned_to(lb.servers_of(vip).find(|(_, server)| server.address == ip46(address)).unwrap().0)
}

const PAIR: [(&str, u8); 2] = [("10.0.0.1", 1), ("10.0.0.2", 1)];

#[test]
fn flows_spread_by_the_table_and_are_counted() {
    let mut lb = lb_with(&PAIR);
    let flows = open_many(&mut lb);
    let first = flows_of(&lb, "10.0.0.1");
    assert!((60..=140).contains(&first), "{first} of {FLOWS}");
    assert_eq!(first + flows_of(&lb, "10.0.0.2"), u64::from(FLOWS));
    for id in flows.keys() {
        assert!(lb.flow_packet(*id, 100, at(2)));
    }
    assert_eq!(lb.counters()[1], [200, 200, 0, 0]);
    let route = lb.fib().exact(web().prefix).unwrap().index;
    let traffic = lb.fib().traffic()[route as usize];
    assert_eq!((traffic.packets, traffic.bytes), (400, 200 * 140));
    for id in flows.keys() {
        lb.close_flow(*id);
        lb.close_flow(*id);
    }
    assert_eq!((flows_of(&lb, "10.0.0.1"), lb.open_flows()), (first, 0), "VPP knows no end of a flow");
}

#[test]
fn weight_zero_keeps_pinned_flows_and_takes_no_new_ones() {
    let mut lb = lb_with(&PAIR);
    let flows = open_many(&mut lb);
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(ended(&mut lb), []);
    assert!(flows.keys().all(|id| lb.flow_packet(*id, 1, at(2))));
    let again = open_from(&mut lb, FLOWS);
    assert!(again.values().all(|server| *server == IpAddr::from([10, 0, 0, 2])));
}

#[test]
fn flush_ends_what_the_table_sends_elsewhere() {
    let mut lb = lb_with(&PAIR);
    let flows = open_many(&mut lb);
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, true).unwrap();
    let of_first: Vec<_> = flows
        .iter()
        .filter(|(_, server)| **server == IpAddr::from([10, 0, 0, 1]))
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(ended(&mut lb), of_first);
    assert_eq!(flows_of(&lb, "10.0.0.1"), 0);
    assert!(of_first.iter().all(|id| !lb.flow_packet(*id, 1, at(2))));
}

#[test]
fn flows_that_a_flush_leaves_in_place_count_as_first_packets() {
    let mut lb = lb_with(&PAIR);
    // Flushed slots are not free, and fewer buckets would not have four for each flow.
    lb.set_conf(Conf { sticky_buckets: 65536, ..*lb.conf() }).unwrap();
    let flows = open_many(&mut lb);
    lb.flush_vip(&web());
    lb.flush_vip(&key("203.0.113.99", 80));
    assert_eq!(ended(&mut lb), [], "the table did not change");
    assert!(flows.keys().all(|id| lb.flow_packet(*id, 1, at(2))));
    assert!(flows.keys().all(|id| lb.flow_packet(*id, 1, at(2))));
    assert_eq!(lb.counters()[1], [200, 400, 0, 0]);
}

#[test]
fn a_removed_server_keeps_its_flows_unless_flushed() {
    let mut lb = lb_with(&PAIR);
    let flows = open_many(&mut lb);
    let first = flows_of(&lb, "10.0.0.1");
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    assert!(flows.keys().all(|id| lb.flow_packet(*id, 1, at(3))));
    assert_eq!(flows_of(&lb, "10.0.0.1"), first);
    lb.add_server(&web(), ip46("10.0.0.1"), 0, true, at(4)).unwrap();
    assert_eq!(ended(&mut lb).len() as u64, first, "revived with flush and without weight");
    lb.remove_server(&web(), ip46("10.0.0.2"), true, at(5)).unwrap();
    assert_eq!(lb.open_flows(), 0);
}

#[test]
fn another_number_of_sticky_buckets_forgets_what_was_only_pinned() {
    let mut lb = lb_with(&PAIR);
    open_many(&mut lb);
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    let drained = flows_of(&lb, "10.0.0.1");
    let conf = *lb.conf();
    lb.set_conf(Conf { flow_timeout: 50, ..conf }).unwrap();
    assert_eq!(ended(&mut lb), []);
    lb.set_conf(Conf { sticky_buckets: 2048, ..conf }).unwrap();
    assert_eq!((ended(&mut lb).len(), flows_of(&lb, "10.0.0.1")), (0, drained), "no packet came yet");
    lb.packet(1, client(9999), destination(), 40, at(2)).unwrap();
    assert_eq!((ended(&mut lb).len() as u64, flows_of(&lb, "10.0.0.1")), (drained, 0));
    assert_eq!(lb.open_flows(), usize::from(FLOWS) - usize::try_from(drained).unwrap());
}

#[test]
fn a_silent_flow_is_hashed_anew() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let flow = lb.open_flow(1, client(1), destination(), 40, at(1)).unwrap();
    assert!(lb.flow_packet(flow.id, 40, at(40)));
    assert!(lb.flow_packet(flow.id, 40, at(80)), "the table still has the same server");
    assert_eq!(lb.counters()[1], [1, 2, 0, 0]);
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(81)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert!(lb.flow_packet(flow.id, 40, at(119)));
    assert!(!lb.flow_packet(flow.id, 40, at(159)));
    assert_eq!(ended(&mut lb), [flow.id]);
}

#[test]
fn an_empty_table_takes_nothing() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let flow = lb.open_flow(1, client(1), destination(), 40, at(1)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(lb.open_flow(1, client(2), destination(), 40, at(1)), Err(NoServer));
    assert_eq!(lb.counters()[1], [0, 1, 0, 1]);
    assert!(lb.flow_packet(flow.id, 1, at(2)), "the pinned flow goes on");
    assert!(!lb.flow_packet(flow.id, 1, at(60)), "but not once it is forgotten");
    assert_eq!(lb.counters()[1], [1, 1, 0, 2]);
}

#[test]
fn removing_a_vip_ends_its_flows() {
    let mut lb = lb_with(&PAIR);
    let flows = open_many(&mut lb);
    lb.remove_vip(&web(), at(2)).unwrap();
    assert_eq!(ended(&mut lb), flows.keys().copied().collect::<Vec<_>>());
    assert_eq!(lb.open_flow(1, client(1), destination(), 40, at(3)), Err(NoServer));
    assert_eq!(lb.open_flow(9, client(1), destination(), 40, at(3)), Err(NoServer));
}

#[test]
fn with_src_ip_sticky_only_the_address_of_the_client_decides() {
    let mut lb = lb_with(&[]);
    let sticky = key("203.0.113.11", 80);
    lb.add_vip(&NewVip { src_ip_sticky: true, ..new_vip(sticky) }, at(1)).unwrap();
    for last in 1..=8 {
        lb.add_server(&sticky, IpAddr::from([10, 0, 0, last]).into(), 1, false, at(1)).unwrap();
    }
    let mut server_of = |address: [u8; 4], port: u16| {
        let client = SocketAddr::new(address.into(), port);
        lb.open_flow(2, client, "203.0.113.11:80".parse().unwrap(), 40, at(1)).unwrap().server
    };
    let home = server_of([192, 0, 2, 1], 1);
    assert!((2..50).all(|port| server_of([192, 0, 2, 1], port) == home));
    assert!((1..50).any(|last| server_of([192, 0, 2, last], 1) != home));
}

#[test]
fn datagrams_follow_pins_and_table_without_ever_ending_a_connection() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let send = |lb: &mut Lb, known, seconds| lb.datagram(known, 1, client(5), destination(), 40, at(seconds));
    let first = send(&mut lb, None, 1).unwrap();
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(1)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, false).unwrap();
    assert_eq!(send(&mut lb, Some(first.id), 2), Ok(first), "pinned");
    // Silent for longer than the flow timeout of 40 s: hashed anew, and so moved.
    let moved = send(&mut lb, Some(first.id), 43).unwrap();
    assert_ne!(moved.id, first.id);
    assert_eq!(moved.server, IpAddr::from([10, 0, 0, 2]));
    assert_eq!((flows_of(&lb, "10.0.0.1"), flows_of(&lb, "10.0.0.2")), (0, 1));
    lb.set_weight(&web(), ip46("10.0.0.2"), 0, true).unwrap();
    assert_eq!(ended(&mut lb), [moved.id]);
    assert_eq!(send(&mut lb, Some(moved.id), 44), Err(NoServer));
    assert_eq!(lb.counters()[1], [1, 2, 0, 1]);
    assert_eq!(lb.open_flows(), 0);
}
