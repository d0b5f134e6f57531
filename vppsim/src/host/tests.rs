use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2, LbConf, Message, encode_request};
use vppapi::stats::Snapshot;
use vppapi::types::{Encap, Prefix, VipId};

use super::Host;
use crate::api::{ClientId, Identity, MessageIds, Simulator};
use crate::datapath::Datapath;
use crate::lb::Startup;
use crate::stats::memory::Memory;
use crate::stats::{SEGMENT_SIZE, Segment};

fn host() -> (Arc<Host>, Memory) {
    let identity = Identity {
        pid: 1,
        version: String::new(),
        build_date: String::new(),
        build_directory: String::new(),
    };
    let memory = Memory::new().unwrap();
    let simulator = Simulator::new(identity, MessageIds::recorded());
    let segment = Segment::new(memory.clone(), 1_795_228_654).unwrap();
    (Host::new(simulator, segment, Datapath::disabled()), memory)
}

fn snapshot(memory: &Memory) -> Snapshot {
    let file = memory.file();
    let mut bytes = vec![0; SEGMENT_SIZE];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Snapshot::from_bytes(&bytes)
}

fn scalar(memory: &Memory, name: &str) -> u64 {
    snapshot(memory).read(|view| view.scalar(name)).unwrap().as_u64()
}

fn send<M: Message>(host: &Arc<Host>, client: ClientId, message: &M) {
    let id = MessageIds::recorded().id(M::NAME_CRC).unwrap();
    let outcome = host.handle(client, &encode_request(id, client.index(), 0, message));
    assert_eq!(outcome.answers[0][6..10], [0; 4], "{} was refused", M::NAME);
}

fn vip() -> VipId {
    VipId { prefix: Prefix::host([203, 0, 113, 10].into()), protocol: 6, port: 80 }
}

fn add_vip() -> LbAddDelVipV2 {
    LbAddDelVipV2::gre(vip(), Encap::Gre4, 1024)
}

fn add_as() -> LbAddDelAsV2 {
    LbAddDelAsV2 { vip: vip(), as_address: [10, 0, 0, 1].into(), weight: 1, is_del: false, is_flush: false }
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_ticks_every_ten_seconds() {
    let (host, memory) = host();
    tokio::spawn(host.tend());
    tokio::time::sleep(Duration::from_millis(15)).await;
    let first = scalar(&memory, "/sys/heartbeat");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(scalar(&memory, "/sys/heartbeat"), first + 3);
    assert_eq!(scalar(&memory, "/sys/last_update"), 30);
    assert_eq!(scalar(&memory, "/sys/boottime"), 1_795_228_654);
}

#[tokio::test(start_paused = true)]
async fn the_dead_are_collected_without_a_change() {
    let (host, _) = host();
    tokio::spawn(Arc::clone(&host).tend());
    let client = host.connect();
    send(&host, client, &add_vip());
    send(&host, client, &add_as());
    send(&host, client, &LbAddDelVipV2 { is_del: true, ..add_vip() });
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(host.with_lb(|lb| (lb.vips().count(), lb.server_count())), (1, 1));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(host.with_lb(|lb| (lb.vips().count(), lb.server_count())), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn counters_of_a_vip_are_there_with_the_answer_and_follow_packets_within_10_ms() {
    let (host, memory) = host();
    tokio::spawn(Arc::clone(&host).tend());
    let client = host.connect();
    send(&host, client, &add_vip());
    let first_packets =
        || snapshot(&memory).read(|view| view.simple_counters("first session packet")).unwrap();
    assert_eq!(first_packets(), [[0, 0]]);
    send(&host, client, &add_as());
    let (source, target) = ("192.0.2.1:5".parse().unwrap(), "203.0.113.10:80".parse().unwrap());
    let flow = host.open_flow(1, source, target, 40).unwrap();
    assert!(host.flow_packet(flow.id, 100));
    tokio::time::sleep(Duration::from_millis(11)).await;
    assert_eq!(first_packets(), [[0, 1]]);
    let routes = snapshot(&memory).read(|view| view.combined_sums("/net/route/to", &[8, 9])).unwrap();
    assert_eq!(routes, [Some((2, 140)), Some((0, 0))]);
}

#[tokio::test(start_paused = true)]
async fn the_model_tells_a_flow_that_it_has_ended() {
    let (host, _) = host();
    let client = host.connect();
    send(&host, client, &add_vip());
    send(&host, client, &add_as());
    let (source, target) = ("192.0.2.1:5".parse().unwrap(), "203.0.113.10:80".parse().unwrap());
    let flow = host.open_flow(1, source, target, 40).unwrap();
    send(&host, client, &LbAddDelAsV2 { is_del: true, ..add_as() });
    assert!(!flow.ended.is_cancelled());
    send(&host, client, &LbAddDelAsV2 { is_del: true, is_flush: true, ..add_as() });
    assert!(flow.ended.is_cancelled());
    assert!(!host.flow_packet(flow.id, 1));
    host.close_flow(flow.id);
}

#[tokio::test(start_paused = true)]
async fn heap_usage_is_as_of_the_last_run_of_the_collector() {
    let (host, memory) = host();
    tokio::spawn(Arc::clone(&host).tend());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = || snapshot(&memory).read(|view| view.simple_counters("/mem/main heap/used")).unwrap()[0][0];
    let before = used();
    let client = host.connect();
    send(&host, client, &add_vip());
    send(&host, client, &add_as());
    host.open_flow(1, "192.0.2.1:1000".parse().unwrap(), "203.0.113.10:80".parse().unwrap(), 40).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(used(), before);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(used() - before, 4 * 1024 + 64 * (1024 + 2));
}

#[tokio::test]
async fn a_packet_that_kills_vpp_is_reported() {
    let (host, _) = host();
    let client = host.connect();
    send(&host, client, &add_vip());
    send(&host, client, &add_as());
    host.lock().simulator.lb_mut().set_startup(Startup { heap_size: 33 << 20, workers: 0 });
    let conf = LbConf {
        ip4_src_address: [127, 0, 0, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    send(&host, client, &conf);
    host.open_flow(1, "192.0.2.1:1000".parse().unwrap(), "203.0.113.10:80".parse().unwrap(), 40).unwrap_err();
    assert!(host.died().await.contains("a sticky table of 65536 buckets"));
}
