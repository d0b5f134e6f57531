use std::net::IpAddr;

use maglev_protocol::{Encap, Prefix, VipKey};

use super::*;
use crate::heap::Heap;
use crate::step::Anew;

fn memory(room: u64) -> Memory {
    let mut memory = Memory::new(0);
    let total = 1 << 30;
    memory.note(Ok(Heap { total, free: (total / 8) + room, threads: 1, heartbeat: 1 }));
    memory
}

fn plan(address: u8, port: u16, raise: Vec<Step>) -> VipPlan {
    let prefix = Prefix::host([192, 0, 2, address].into());
    VipPlan { raise, serves: true, ..VipPlan::empty(VipKey { prefix, protocol: 6, port }) }
}

fn made(servers: u8) -> Vec<Step> {
    let table = Step::AddVip { encap: Encap::Gre4, src_ip_sticky: false, table_length: 65_536 };
    std::iter::once(table).chain((1..=servers).map(added)).collect()
}

fn added(last: u8) -> Step {
    Step::AddServer { server: IpAddr::from([10, 0, 0, last]), weight: 1, flush: false }
}

#[test]
fn vips_are_made_whole_while_there_is_room() {
    let mut memory = memory(600 << 10);
    let mut plans = vec![plan(1, 80, made(1)), plan(2, 80, made(200)), plan(3, 80, made(1))];
    let before = plans.clone();
    fit(&mut plans, &mut memory);
    assert_eq!((&plans[0], &plans[2]), (&before[0], &before[2]));
    assert!(plans[1].is_empty());
    assert_eq!(plans[1].errors[0].step, "add the VIP");
    assert_eq!(
        plans[1].errors[0].meaning,
        "not allowed: it takes 656 KiB; 128.5 MiB of the 1024 MiB of VPP's main heap are free, and 128.2 MiB are kept for \
         the rest of VPP and its tables of pinned flows"
    );
}

#[test]
fn a_vip_that_stands_goes_on_without_further_servers() {
    let reweight = Step::Reweight { server: [10, 0, 0, 9].into(), from: 0, to: 9, flush: false };
    let mut plans = vec![plan(1, 80, vec![reweight, added(1), added(2)])];
    fit(&mut plans, &mut memory(4095));
    assert_eq!((&plans[0].raise, plans[0].errors.len()), (&vec![reweight], 1));
    assert!(plans[0].serves, "so that nothing is lowered that was to be replaced");
}

/// Otherwise VPP would remove one VIP and then refuse to add it again with another encapsulation.
#[test]
fn vips_of_one_prefix_are_made_anew_together_or_not_at_all() {
    let anew = Some(Anew::Encap { has: Encap::Gre6, wanted: Encap::Gre4 });
    let clear = vec![Step::RemoveVip { anew }];
    let again = |port| VipPlan { clear: clear.clone(), ..plan(1, port, made(1)) };
    let mut plans = vec![again(80), again(81), plan(2, 80, made(1))];
    fit(&mut plans, &mut memory(300 << 10));
    assert!(plans[0].is_empty() && plans[1].is_empty());
    assert_eq!(plans[2].raise, made(1));
}
