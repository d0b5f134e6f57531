//! Random requests, with invariants checked after each.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::super::{Effect, FlowId, Lb, VipKey};
use super::{at, key, new_vip};
use maglev_table::buckets::NO_SERVER;

#[derive(Debug, Clone)]
enum Step {
    AddVip(u16),
    RemoveVip(u16),
    Add(u16, u8, u8, bool),
    Remove(u16, u8, bool),
    SetWeight(u16, u8, u8, bool),
    Flush(u16),
    Open(u16, u16),
    Packet(u8),
    Datagram(u16, u16),
    Collect,
    Wait(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (port, last) = (1_u16..4, 1_u8..5);
    prop_oneof![
        port.clone().prop_map(Step::AddVip),
        port.clone().prop_map(Step::RemoveVip),
        (port.clone(), last.clone(), 0_u8..4, any::<bool>()).prop_map(|(p, s, w, f)| Step::Add(p, s, w, f)),
        (port.clone(), last.clone(), any::<bool>()).prop_map(|(p, s, f)| Step::Remove(p, s, f)),
        (port.clone(), last, 0_u8..4, any::<bool>()).prop_map(|(p, s, w, f)| Step::SetWeight(p, s, w, f)),
        port.clone().prop_map(Step::Flush),
        (port.clone(), any::<u16>()).prop_map(|(p, c)| Step::Open(p, c)),
        (port, 0_u16..20).prop_map(|(p, c)| Step::Datagram(p, c)),
        any::<u8>().prop_map(Step::Packet),
        Just(Step::Collect),
        (0_u8..70).prop_map(Step::Wait),
    ]
}

fn vip(port: u16) -> VipKey {
    key("203.0.113.10", port)
}

fn server(last: u8) -> crate::address::Ip46 {
    IpAddr::from([10, 0, 0, last]).into()
}

fn check(lb: &Lb, live: &[FlowId]) {
    let mut pinned = 0;
    for (index, vip) in lb.vips() {
        let servers: Vec<_> = lb.servers_of(vip).collect();
        let mut addresses: Vec<_> = servers.iter().map(|(_, server)| server.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), servers.len(), "VIP {index} has a server twice");
        let serving = servers.iter().any(|(_, server)| server.used && server.weight > 0);
        assert!(!serving || vip.used, "a removed VIP has a server in use");
        for bucket in &vip.table {
            let holder = servers.iter().find(|(id, _)| id == bucket);
            assert_eq!(*bucket != NO_SERVER, serving);
            assert!(holder.is_none_or(|(_, server)| server.used && server.weight > 0));
        }
        pinned += servers.iter().map(|(server, _)| lb.pinned_to(*server)).sum::<u64>();
    }
    assert_eq!(lb.open_flows(), live.len());
    assert_eq!(
        pinned,
        (0..100).map(|index| lb.pinned_to(index)).sum::<u64>(),
        "flows are pinned to freed servers"
    );
}

proptest! {
    #[test]
    fn every_state_is_sound(steps in prop::collection::vec(any_step(), 1..80)) {
        let (mut lb, mut live, mut now) = (Lb::default(), Vec::<FlowId>::new(), 1);
        let mut senders = BTreeMap::<(u16, u16), FlowId>::new();
        for step in steps {
            match step {
                Step::AddVip(port) => drop(lb.add_vip(&new_vip(vip(port)), at(now))),
                Step::RemoveVip(port) => drop(lb.remove_vip(&vip(port), at(now))),
                Step::Add(port, last, weight, flush) => {
                    drop(lb.add_server(&vip(port), server(last), weight, flush, at(now)));
                }
                Step::Remove(port, last, flush) => drop(lb.remove_server(&vip(port), server(last), flush, at(now))),
                Step::SetWeight(port, last, weight, flush) => {
                    drop(lb.set_weight(&vip(port), server(last), weight, flush));
                }
                Step::Flush(port) => lb.flush_vip(&vip(port)),
                Step::Open(port, source) => {
                    let client = SocketAddr::new([192, 0, 2, 1].into(), source);
                    let destination = SocketAddr::new([203, 0, 113, 10].into(), port);
                    let index = lb.find(&vip(port)).unwrap_or(99);
                    live.extend(lb.open_flow(index, client, destination, 1, at(now)).map(|flow| flow.id));
                }
                Step::Packet(which) => {
                    if let Some(id) = live.get(usize::from(which) % live.len().max(1)) {
                        lb.flow_packet(*id, 1, at(now));
                    }
                }
                Step::Datagram(port, source) => {
                    let client = SocketAddr::new([192, 0, 2, 2].into(), source);
                    let destination = SocketAddr::new([203, 0, 113, 10].into(), port);
                    let index = lb.find(&vip(port)).unwrap_or(99);
                    let counted = |lb: &Lb| lb.counters().get(index as usize).map(|all| all.iter().sum::<u64>());
                    let before = counted(&lb);
                    let known = senders.remove(&(port, source));
                    let routed = lb.datagram(known, index, client, destination, 1, at(now));
                    prop_assert_eq!(counted(&lb), before.map(|count| count + 1), "each packet counts once");
                    live.retain(|flow| Some(*flow) != known);
                    if let Ok(flow) = routed {
                        prop_assert!(!live.contains(&flow.id), "another sender has this flow");
                        live.push(flow.id);
                        senders.insert((port, source), flow.id);
                    }
                }
                Step::Collect => lb.collect_garbage(at(now)),
                Step::Wait(seconds) => now += u64::from(seconds),
            }
            for effect in lb.take_effects() {
                if let Effect::FlowEnded(id) = effect {
                    prop_assert!(live.contains(&id), "a flow ended twice");
                    live.retain(|flow| *flow != id);
                }
            }
            check(&lb, &live);
        }
    }
}
