//! Threads and the main heap.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::super::{Conf, Lb, NewVip, Routed, Startup};
use super::{at, ip46, key, lb_with, new_vip, web};

const MIB: u64 = 1 << 20;

fn packet(lb: &mut Lb, port: u16, seconds: u64) -> Option<Routed> {
    let client = SocketAddr::new([192, 0, 2, 1].into(), port);
    lb.packet(1, client, "203.0.113.10:80".parse().unwrap(), 40, at(seconds))
}

fn lb_started_with(heap_mib: u64, workers: u32) -> Lb {
    let mut lb = lb_with(&[("10.0.0.1", 1)]);
    lb.set_startup(Startup { heap_size: heap_mib * MIB, workers });
    lb
}

fn set_buckets(lb: &mut Lb, sticky_buckets: u32) {
    lb.set_conf(Conf { sticky_buckets, ..*lb.conf() }).unwrap();
}

#[test]
fn tables_are_allocated_from_the_heap() {
    let mut lb = lb_started_with(512, 0);
    let before = lb.heap();
    assert_eq!(before.total, 512 * MIB);
    assert_eq!(before.free(), before.total - before.used);
    lb.add_vip(&NewVip { table_length: 65_536, ..new_vip(key("203.0.113.11", 80)) }, at(1)).unwrap();
    assert_eq!(lb.heap().used - before.used, 4 * 65_536);
    set_buckets(&mut lb, 65_536);
    assert_eq!(lb.heap().used - before.used, 4 * 65_536, "no thread has had a packet");
    packet(&mut lb, 1, 1).unwrap();
    assert_eq!(lb.heap().used - before.used, 4 * 65_536 + 64 * (65_536 + 2));
    lb.remove_vip(&web(), at(2)).unwrap();
    lb.collect_garbage(at(3));
    lb.restart();
    assert_eq!(lb.heap().total, 512 * MIB);
    assert!(lb.heap().used < before.used);
}

/// As measured on a VPP 26.10 with this heap and one thread.
#[test]
fn vpp_dies_of_the_first_packet_if_the_heap_has_no_room_for_the_sticky_table() {
    for (buckets, lives) in
        [(1 << 22, true), (1 << 23, false), (1 << 26, false), (1 << 31, false), (0, false)]
    {
        let mut lb = lb_started_with(512, 0);
        set_buckets(&mut lb, buckets);
        assert_eq!(lb.death(), None, "{buckets}: lb_conf itself is harmless");
        assert_eq!(packet(&mut lb, 1, 1).is_some(), lives, "{buckets}");
        assert_eq!(lb.death().is_none(), lives, "{buckets}");
        set_buckets(&mut lb, 1024);
        assert_eq!(packet(&mut lb, 1, 1).is_some(), lives, "{buckets}: the dead forward nothing");
        lb.restart();
        assert_eq!(lb.death(), None);
    }
}

#[test]
fn the_cause_of_death_names_the_bytes_needed_and_the_bytes_free() {
    let mut lb = lb_started_with(512, 0);
    set_buckets(&mut lb, 1 << 23);
    packet(&mut lb, 1, 1);
    let left = lb.heap().free();
    assert_eq!(
        lb.death().unwrap(),
        format!(
            "a real VPP dies of the first packet with a sticky table of 8388608 buckets: it needs 536871040 bytes, but \
             only {left} are free in the main heap"
        )
    );
}

#[test]
fn an_old_table_is_freed_before_the_new_one_is_made() {
    let mut lb = lb_started_with(512, 0);
    set_buckets(&mut lb, 1 << 22);
    packet(&mut lb, 1, 1).unwrap();
    assert!(lb.heap().free() < 256 * MIB);
    set_buckets(&mut lb, 1 << 21);
    packet(&mut lb, 1, 2).unwrap();
    set_buckets(&mut lb, 1 << 22);
    packet(&mut lb, 1, 3).unwrap();
}

#[test]
fn each_worker_has_its_table_and_renews_it_with_its_own_packets() {
    let mut lb = lb_started_with(1024, 3);
    let threads = |lb: &Lb| lb.sticky_tables().map(|(thread, _)| thread).collect::<BTreeSet<_>>();
    assert!(threads(&lb).is_empty());
    packet(&mut lb, 1, 1).unwrap();
    assert_eq!(threads(&lb).len(), 1);
    for port in 2..100 {
        packet(&mut lb, port, 1).unwrap();
    }
    assert_eq!(threads(&lb), BTreeSet::from([1, 2, 3]), "the main thread forwards nothing");
    let index = lb.servers_of(lb.vip(1).unwrap()).next().unwrap().0;
    assert_eq!(lb.pinned_to(index), 99);
    set_buckets(&mut lb, 2048);
    packet(&mut lb, 1, 2).unwrap();
    let sizes: Vec<_> = lb.sticky_tables().map(|(_, table)| table.buckets()).collect();
    assert_eq!(sizes.iter().filter(|size| **size == 2048).count(), 1, "{sizes:?}");
    assert!((1..99).contains(&lb.pinned_to(index)), "the others still have theirs");
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, true).unwrap();
    assert_eq!(lb.pinned_to(index), 0, "a flush reaches every thread");
}
