//! Splits writes into bursts that hold up VPP's forwarding only briefly.
//!
//! VPP rebuilds a VIP's table in its main thread on every write to one of its servers, and forwards nothing
//! meanwhile. It reads up to 62 writes from its socket before it looks at packets again (4,096 bytes, by its
//! source), so writes sent together hold up forwarding together: 40 servers removed from a table of 65,536
//! buckets for 46 ms, 200 of weight 100 for 474 ms, in which other VIPs lost 3,000 of 10,000 packets a
//! second. Sent one at a time, each after the answer to the one before, the same writes took half as long
//! again, and nothing was lost (measured on VPP 26.10). So expensive writes go in small bursts, each after
//! the answers to the one before.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use maglev_protocol::VipKey;

use crate::mirror::Mirror;
use crate::step::{Step, Write};

/// Maximum number of writes in one burst.
pub const LARGEST: usize = 128;
/// Maximum number of cheap bursts in flight: VPP works on the later ones while the answers to the first are
/// processed. VPP sends its answers in batches of hundreds of requests, so with fewer in flight each side
/// waits for the other: the first sync of 20,000 servers took 1.4 times as long as the bare writes with 1,024
/// in flight. Also bounds their memory, some 300 bytes each.
pub const MOST_CHEAP: usize = 16;
/// Maximum number of writes in flight.
pub const MOST_UNDER_WAY: usize = LARGEST * MOST_CHEAP;

/// Time for which one burst may hold up forwarding.
const BUDGET: Duration = Duration::from_millis(4);
/// The same for creating a VIP together with its servers. While VPP takes them together, no packet meets a
/// table that lacks some of the servers, so existing flows stay where the table puts them; 60 ms of 10,000
/// packets a second fit into a receive ring of 1,024.
const BUDGET_OF_NEW_VIP: Duration = Duration::from_millis(60);
/// Number of writes that VPP reads before it looks at packets again.
const TAKEN_TOGETHER: u32 = 62;

/// Cost of a rebuild per bucket, and per unit of the sum of weights. From 6 us for 1,024 buckets and a sum of
/// 10 to 1,364 us for 65,536 and 10,000 (measured on VPP 26.10).
const PER_BUCKET: Duration = Duration::from_nanos(14);
const PER_WEIGHT: Duration = Duration::from_nanos(50);
/// Cost of flushing a server, which walks the tables of pinned flows: with 65,536 buckets (measured on VPP
/// 26.10).
const FLUSH: Duration = Duration::from_micros(400);

/// Writes that are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst<'a> {
    /// The writes, in order.
    pub writes: &'a [Write],
    /// Whether other bursts may be in flight at the same time.
    pub is_cheap: bool,
}

/// Splits writes into bursts; `mirror` is what VPP has before them.
pub fn bursts<'a>(writes: &'a [Write], mirror: &Mirror) -> Vec<Burst<'a>> {
    let mut costs = Costs { mirror, tables: HashMap::new() };
    let costs: Vec<Duration> = writes.iter().map(|write| costs.of(write)).collect();
    let (mut bursts, mut from) = (Vec::new(), 0);
    while from < writes.len() {
        let (mut to, mut cost) = (from, Duration::ZERO);
        while let Some(rest) = writes.get(to..).filter(|rest| !rest.is_empty()) {
            let of_first = |count: usize| costs.iter().skip(to).take(count).sum::<Duration>();
            let (with_first, together) = made_together(rest);
            let all = together < LARGEST && of_first(together) <= BUDGET_OF_NEW_VIP;
            let count = if all { together } else { with_first };
            let next = cost + of_first(count);
            if to > from && (next > BUDGET || to + count - from > LARGEST) {
                break;
            }
            (to, cost) = (to + count, next);
        }
        let is_cheap = u32::try_from(to - from).is_ok_and(|count| cost / count * TAKEN_TOGETHER <= BUDGET);
        bursts.extend(writes.get(from..to).map(|writes| Burst { writes, is_cheap }));
        from = to;
    }
    bursts
}

/// Number of leading writes that re-create a VIP with its first server, and with all of its servers; 1 if the
/// writes begin otherwise. They belong together because a flow that meets a VIP without servers is not pinned
/// for as long as it keeps sending.
fn made_together(writes: &[Write]) -> (usize, usize) {
    let of_one = writes.chunk_by(|one, other| one.vip == other.vip).next().unwrap_or_default();
    let cleared =
        of_one.iter().take_while(|write| matches!(write.step, Step::FlushVip | Step::RemoveVip { .. }));
    let cleared = cleared.count();
    let made = |(index, write): &(usize, &Write)| match write.step {
        Step::AddVip { .. } => *index == cleared,
        Step::AddServer { .. } => *index > cleared,
        _ => false,
    };
    let made = of_one.iter().enumerate().skip(cleared).take_while(made).count();
    if made == 0 { (1, 1) } else { (cleared + made.min(2), cleared + made) }
}

struct Costs<'a> {
    mirror: &'a Mirror,
    /// Length of the table and sum of the weights of the VIPs written to so far.
    tables: HashMap<VipKey, (u32, u32)>,
}

impl Costs<'_> {
    /// Time that VPP's main thread needs for a write, given those before it.
    fn of(&mut self, write: &Write) -> Duration {
        let (buckets, sum) = self.tables.entry(write.vip).or_insert_with(|| {
            let vip = self.mirror.get(&write.vip);
            let sum = |weights: &BTreeMap<_, u8>| weights.values().map(|w| u32::from(*w)).sum();
            vip.map_or((0, 0), |vip| (vip.table_length, sum(&vip.servers)))
        });
        match write.step {
            Step::AddVip { table_length, .. } => (*buckets, *sum) = (table_length, 0),
            // The table is only zeroed, not rebuilt.
            Step::RemoveVip { .. } => {
                *sum = 0;
                return Duration::ZERO;
            }
            Step::FlushVip => return FLUSH,
            Step::AddServer { .. }
            | Step::Reweight { .. }
            | Step::Flush { .. }
            | Step::RemoveServer { .. } => {
                let (from, to) = write.step.weights();
                let [from, to] = [from, to].map(|weight| u32::from(weight.unwrap_or(0)));
                *sum = (*sum + to).saturating_sub(from);
            }
        }
        let flush = if write.step.flushes() { FLUSH } else { Duration::ZERO };
        PER_BUCKET * *buckets + PER_WEIGHT * *sum + flush
    }
}

#[cfg(test)]
mod tests;
