use std::net::SocketAddr;

use super::super::{COLLECTION_PERIOD, Conf, Lb};
use super::{at, ip46, key, lb_with, new_vip, web};

fn ghosts(lb: &Lb) -> usize {
    lb.vips().flat_map(|(_, vip)| lb.servers_of(vip)).filter(|(_, server)| !server.used).count()
}

#[test]
fn the_dead_are_collected_by_a_change_after_a_minute() {
    let mut lb = lb_with(&[("10.0.0.1", 1), ("10.0.0.2", 1)]);
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    lb.add_server(&web(), ip46("10.0.0.3"), 1, false, at(60)).unwrap();
    assert_eq!(ghosts(&lb), 1, "the VIP was made 59 seconds ago");
    lb.add_server(&web(), ip46("10.0.0.4"), 1, false, at(61)).unwrap();
    assert_eq!(ghosts(&lb), 0);
    assert_eq!(lb.server_count(), 3);
}

#[test]
fn weight_changes_collect_nothing() {
    let mut lb = lb_with(&[("10.0.0.1", 1), ("10.0.0.2", 1)]);
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.2"), 5, false).unwrap();
    assert_eq!(ghosts(&lb), 1);
}

#[test]
fn a_server_removed_just_now_is_spared() {
    let mut lb = lb_with(&[("10.0.0.1", 1), ("10.0.0.2", 1)]);
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(95)).unwrap();
    lb.remove_server(&web(), ip46("10.0.0.2"), false, at(100)).unwrap();
    lb.collect_garbage(at(154));
    assert_eq!(ghosts(&lb), 2, "the first removal looked 59 seconds ago");
    lb.collect_garbage(at(155));
    assert_eq!(ghosts(&lb), 0);
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(205)).unwrap();
    lb.remove_server(&web(), ip46("10.0.0.2"), false, at(206)).unwrap();
    lb.collect_garbage(at(215));
    assert_eq!(ghosts(&lb), 1, "removed 9 seconds ago");
    lb.add_server(&web(), ip46("10.0.0.2"), 1, false, at(216)).unwrap();
    lb.remove_server(&web(), ip46("10.0.0.2"), false, at(265)).unwrap();
    lb.collect_garbage(at(275));
    assert_eq!(ghosts(&lb), 0, "removed 10 seconds ago");
}

/// A packet of another flow, which the one server of [`web`] gets.
fn packet(lb: &mut Lb, port: u16, seconds: u64) {
    let client = SocketAddr::new([192, 0, 2, 1].into(), port);
    lb.packet(1, client, "203.0.113.10:80".parse().unwrap(), 40, at(seconds)).unwrap();
}

#[test]
fn a_server_with_pinned_flows_is_spared_until_they_are_flushed() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    let flow = lb
        .open_flow(1, "192.0.2.1:1000".parse().unwrap(), "203.0.113.10:80".parse().unwrap(), 40, at(1))
        .unwrap();
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    lb.collect_garbage(at(100));
    assert_eq!(ghosts(&lb), 1);
    lb.close_flow(flow.id);
    lb.collect_garbage(at(200));
    assert_eq!(ghosts(&lb), 1, "VPP does not know that the flow has ended, long ago as it is");
    lb.flush_vip(&web());
    lb.collect_garbage(at(300));
    assert_eq!(ghosts(&lb), 0);
}

#[test]
fn a_server_with_pinned_flows_is_spared_until_others_take_their_slots() {
    let mut lb = lb_with(&[("10.0.0.1", 1), ("10.0.0.2", 0)]);
    lb.set_conf(Conf { sticky_buckets: 1, ..*lb.conf() }).unwrap();
    packet(&mut lb, 1, 1);
    packet(&mut lb, 2, 1);
    lb.set_weight(&web(), ip46("10.0.0.2"), 1, false).unwrap();
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    packet(&mut lb, 3, 50);
    lb.collect_garbage(at(100));
    assert_eq!(ghosts(&lb), 1, "one slot of two was taken");
    packet(&mut lb, 4, 101);
    packet(&mut lb, 5, 102);
    lb.collect_garbage(at(200));
    assert_eq!(ghosts(&lb), 0);
}

#[test]
fn a_removed_vip_keeps_its_index_while_flows_are_pinned_to_its_servers() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    packet(&mut lb, 1, 1);
    lb.remove_vip(&web(), at(2)).unwrap();
    lb.collect_garbage(at(100));
    lb.collect_garbage(at(1000));
    assert!(lb.vip(1).is_some_and(|vip| !vip.used));
    assert_eq!(lb.add_vip(&new_vip(web()), at(1001)), Ok(2));
    lb.flush_vip(&web());
    lb.collect_garbage(at(2000));
    assert!(lb.vip(1).is_some(), "flushing the new VIP does not flush the old one");
}

#[test]
fn a_removed_vip_is_freed_with_its_last_server_and_its_index_given_out_again() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    lb.remove_vip(&web(), at(2)).unwrap();
    lb.collect_garbage(at(30));
    assert!(lb.vip(1).is_some());
    assert_eq!(lb.add_vip(&new_vip(key("203.0.113.11", 80)), at(31)), Ok(2));
    lb.collect_garbage(at(2) + COLLECTION_PERIOD);
    assert!(lb.vip(1).is_none());
    assert_eq!(lb.server_count(), 0);
    assert_eq!(lb.add_vip(&new_vip(key("203.0.113.12", 80)), at(70)), Ok(1));
    assert_eq!(lb.add_vip(&new_vip(key("203.0.113.13", 80)), at(70)), Ok(3));
}

#[test]
fn a_removed_vip_without_servers_is_freed_at_the_next_run() {
    let mut lb = lb_with(&[]);
    lb.remove_vip(&web(), at(2)).unwrap();
    lb.collect_garbage(at(3));
    assert!(lb.vip(1).is_none());
}

#[test]
fn a_new_server_in_a_freed_slot_shows_the_old_removal_time() {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    lb.remove_server(&web(), ip46("10.0.0.1"), false, at(2)).unwrap();
    lb.collect_garbage(at(70));
    assert_eq!(lb.server_count(), 0);
    lb.add_server(&web(), ip46("10.0.0.7"), 1, false, at(71)).unwrap();
    assert_eq!(lb.last_used(1), 2);
}

#[test]
fn the_counters_of_a_vip_start_at_zero() {
    let mut lb = lb_with(&[]);
    let client = "192.0.2.1:1000".parse().unwrap();
    assert!(lb.open_flow(1, client, "203.0.113.10:80".parse().unwrap(), 40, at(1)).is_err());
    assert_eq!(lb.counters().get(1), Some(&[0, 0, 0, 1]));
    lb.remove_vip(&web(), at(2)).unwrap();
    assert_eq!(lb.counters().get(1), Some(&[0, 0, 0, 1]), "kept while nobody needs the index");
    lb.collect_garbage(at(3));
    lb.add_vip(&new_vip(web()), at(4)).unwrap();
    assert_eq!(lb.counters().get(1), Some(&[0, 0, 0, 0]));
}
