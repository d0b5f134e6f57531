//! The rules that hold between any two messages to VPP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maglev_dpagent::step::{Step, Write};
use maglev_protocol::{Demands, Dialect, VipKey, VipSpec};

use crate::vpp::Actual;

/// What the current call may do.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) specs: BTreeMap<VipKey, VipSpec>,
    /// For a full sync, the VIPs that it must leave alone; it removes all others that are not desired.
    pub(crate) keep: Option<BTreeSet<VipKey>>,
    pub(crate) demands: Demands,
    /// Servers that have failed no check of their own for some time.
    pub(crate) well: BTreeSet<IpAddr>,
    /// Servers whose backend the brain considers down, and that no panic gives a weight.
    pub(crate) down: BTreeSet<(VipKey, IpAddr)>,
    /// Servers of backends that the brain has never known, with their maximum weight.
    pub(crate) never_known: BTreeMap<(VipKey, IpAddr), u8>,
}

/// A message and its effect on its VIP.
pub(crate) struct Judged<'a> {
    pub(crate) write: &'a Write,
    pub(crate) dialect: Dialect,
    pub(crate) before: Option<&'a Actual>,
    /// Servers that flows were pinned to before.
    pub(crate) pinned: &'a BTreeSet<IpAddr>,
    /// Servers of weight 0 that were flushed since they had another one.
    pub(crate) flushed: &'a BTreeSet<IpAddr>,
    pub(crate) after: Option<&'a Actual>,
    /// Somebody else has changed the VIP, which the agent cannot know yet.
    pub(crate) tainted: bool,
    /// Somebody else has changed the VIP at some time.
    pub(crate) handmade: bool,
    pub(crate) accepted: bool,
    /// VPP has refused a step of this VIP for no reason since the agent's last read, or is bound to refuse
    /// one because of that.
    pub(crate) balks: bool,
    /// Another VIP of its prefix prevents it.
    pub(crate) hindered: bool,
}

pub(crate) fn judge(scope: Option<&Scope>, judged: &Judged<'_>) -> Result<(), String> {
    let Judged { write, before, after, tainted, .. } = *judged;
    let broken = |rule: &str| Err(format!("{rule}: {:?} of {}, which was {before:?}", write.step, write.vip));
    let Some(scope) = scope else {
        return broken("rule 1, a message that nobody asked for");
    };
    let Some(spec) = scope.specs.get(&write.vip) else {
        let Some(keep) = &scope.keep else {
            return broken("rule 1, a message to a VIP that the call is not about");
        };
        if keep.contains(&write.vip) {
            return broken("rule 1, a message to a VIP that is held back");
        }
        if !crate::agent::is_ours(&write.vip) {
            return broken("a message to a VIP outside of the policy");
        }
        return match write.step {
            Step::RemoveVip { anew: None } | Step::FlushVip => Ok(()),
            // This step proves that the VIP exists.
            Step::Reweight { server, to, flush: false, .. }
                if before.is_none_or(|vip| vip.weights.get(&server) == Some(&to)) =>
            {
                Ok(())
            }
            _ => broken("rule 1, a message to a VIP that is to be removed"),
        };
    };
    let anew = before.is_some_and(|vip| {
        vip.encap != spec.encap
            || vip.src_ip_sticky != spec.src_ip_sticky
            || scope.demands.recreate && vip.table_length != spec.new_flows_table_length
    });
    // What the agent does not know it cannot keep to.
    if tainted {
        return Ok(());
    }
    if !judged.accepted {
        // Next to a VIP that must change as well, it waits for the next full sync. Its servers are synced all
        // the same.
        let expected = judged.balks
            || before.is_none() && (judged.hindered || !matches!(write.step, Step::AddVip { .. }));
        return if expected { Ok(()) } else { broken("VPP refused, though nobody else has written") };
    }
    // A call may come from before VPP was replaced by one without weights.
    let most = if judged.dialect.has_weights() { u8::MAX } else { 1 };
    let wanted = |server: &IpAddr| spec.servers.get(server).map(|server| server.weight.min(most));
    let in_order = match &write.step {
        Step::AddVip { encap, src_ip_sticky, table_length } => {
            (*encap, *src_ip_sticky, *table_length)
                == (spec.encap, spec.src_ip_sticky, spec.new_flows_table_length)
        }
        Step::RemoveVip { .. } => anew,
        Step::AddServer { server, weight, .. } => wanted(server) == Some(*weight),
        Step::Reweight { server, to, flush, .. } => {
            let flushes = spec.servers.get(server).is_some_and(|server| server.flush && *to == 0);
            let proof = anew && before.is_some_and(|vip| vip.weights.get(server) == Some(to));
            proof
                || wanted(server) == Some(*to) && (!flush || flushes || scope.demands.flush.contains(server))
        }
        Step::Flush { server, weight } => {
            let owed = *weight == 0 && spec.servers.get(server).is_some_and(|server| server.flush);
            let demanded = scope.demands.flush.contains(server);
            wanted(server) == Some(*weight) && (demanded || owed && !judged.flushed.contains(server))
        }
        // Nothing is lost by it: the flows of servers in service stay where the table has them.
        Step::FlushVip => {
            let lost = |vip: &Actual| {
                vip.weights.iter().any(|(server, weight)| *weight == 0 && judged.pinned.contains(server))
            };
            anew || before.is_some_and(|vip| !lost(vip))
        }
        // Rule 6.
        Step::RemoveServer { server, .. } => anew || wanted(server).is_none(),
    };
    if !in_order {
        return broken("rules 1 and 6, a message that was not decided on");
    }
    let proof = anew && matches!(write.step, Step::Reweight { from, to, .. } if from == to);
    // Whether the flows of a server that is out have ended is not known.
    let may_be_idle =
        matches!(write.step, Step::Flush { .. } | Step::FlushVip | Step::RemoveServer { weight: 0, .. });
    if before == after && !proof && !may_be_idle {
        return broken("rule 3, a message that changes nothing");
    }
    let serves = |vip: Option<&Actual>| vip.is_some_and(|vip| vip.weights.values().any(|weight| *weight > 0));
    let shall_serve = spec.servers.values().any(|server| server.weight > 0);
    if shall_serve && !anew && serves(before) && !serves(after) {
        return broken("rule 2, a VIP without a server that takes new flows");
    }
    if let Step::Reweight { server, to: 0, flush: true, .. } | Step::Flush { server, weight: 0 } = &write.step
        && scope.down.contains(&(write.vip, *server))
        && scope.well.contains(server)
    {
        return broken("rule 7, a server was lowered for VPP's own silence");
    }
    if let Step::Reweight { server, from, to, .. } = &write.step
        && let Some(most) = scope.never_known.get(&(write.vip, *server))
        && *to < *from.min(most)
        && !judged.handmade
    {
        return broken("rule 1, a server was lowered for want of an answer");
    }
    Ok(())
}
