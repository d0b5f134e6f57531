//! Restricts plans to the free space in VPP's heap.

use maglev_protocol::{StepError, size};

use super::VipPlan;
use crate::heap::{Memory, bytes_of};
use crate::step::Step;

/// Refuses VIPs and servers that do not fit, in the order of the plans, and counts the others as written.
///
/// VPP does not free the table of a removed VIP (by its source), so a re-created one counts in full.
pub fn fit(plans: &mut [VipPlan], memory: &mut Memory) {
    for prefix in plans.chunk_by_mut(|one, other| one.vip.prefix == other.vip.prefix) {
        // A VIP that kept its old encapsulation would block another one on the same prefix: all change, or
        // none.
        let anew = prefix.iter().any(|plan| !plan.clear.is_empty() && is_made(plan));
        let together = anew && prefix.iter().map(needed).fold(0, u64::saturating_add) > memory.room();
        for plan in prefix {
            if needed(plan) > memory.room() || together && is_made(plan) {
                shrink(plan, memory);
            }
            memory.spend(needed(plan));
        }
    }
}

fn needed(plan: &VipPlan) -> u64 {
    plan.raise.iter().map(bytes_of).fold(0, u64::saturating_add)
}

fn is_made(plan: &VipPlan) -> bool {
    plan.raise.iter().any(|step| matches!(step, Step::AddVip { .. }))
}

/// A new VIP is added with all of its servers or not at all; an existing one gets no more servers.
fn shrink(plan: &mut VipPlan, memory: &Memory) {
    let meaning = format!("not allowed: it takes {}; {}", size(needed(plan)), memory.words());
    let made = is_made(plan);
    let step = if made { "add the VIP" } else { "add servers to the VIP" }.to_owned();
    plan.errors.push(StepError { step, code: None, meaning });
    if made {
        (plan.clear, plan.raise, plan.lower) = (Vec::new(), Vec::new(), Vec::new());
    } else {
        plan.raise.retain(|step| bytes_of(step) == 0);
    }
}

#[cfg(test)]
mod tests;
