//! Plans for a whole set of VIPs.

use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::{AgentError, VipKey, VipSpec};

use super::{VipPlan, block_if_hopeless, diff, removal};
use crate::mirror::Mirror;

/// A wanted set that does not contradict itself: see [`check`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The VIPs that VPP shall have.
    pub vips: BTreeMap<VipKey, VipSpec>,
    /// VIPs that are left as they are, whether there or not.
    pub keep: BTreeSet<VipKey>,
}

/// Checks that every VIP can be programmed, and that VPP can have them side by side.
///
/// # Errors
/// [`AgentError::Invalid`], [`AgentError::Contradiction`].
pub fn check(specs: Vec<VipSpec>, keep: Vec<VipKey>) -> Result<Wanted, AgentError> {
    let keep: BTreeSet<_> = keep.into_iter().collect();
    let mut vips = BTreeMap::new();
    for spec in specs {
        let key = spec.key;
        spec.validate().map_err(|error| AgentError::Invalid { key, error })?;
        if keep.contains(&key) {
            return Err(AgentError::Contradiction(format!(
                "VIP {key} is both wanted and to be kept as it is: it can be only one of them"
            )));
        }
        if vips.insert(key, spec).is_some() {
            return Err(AgentError::Contradiction(format!("VIP {key} is wanted twice: it can be once")));
        }
    }
    // Keys are ordered by their prefix first.
    let neighbours = vips.values().zip(vips.values().skip(1));
    for (one, other) in neighbours.filter(|(one, other)| one.key.prefix == other.key.prefix) {
        if one.encap != other.encap {
            return Err(AgentError::encap_conflict(&one.key, &other.key, (one.encap, other.encap)));
        }
        if one.key.is_all_ports() != other.key.is_all_ports() {
            return Err(AgentError::Contradiction(format!(
                "VIPs {} and {} share a prefix: VPP has either one VIP for all ports of it, or VIPs for single \
                 ports",
                one.key, other.key
            )));
        }
    }
    Ok(Wanted { vips, keep })
}

/// Plans all VIPs, in the order of their keys: those wanted, and the removal of those that are neither wanted nor
/// kept.
///
/// Whoever clears all VIPs of a prefix before making any of it can bring VPP from any state to any wanted one,
/// unless a VIP that is kept stands in the way.
pub fn plan_all(wanted: &Wanted, actual: &Mirror) -> Vec<VipPlan> {
    let keys: BTreeSet<_> = wanted.vips.keys().chain(actual.vips().keys()).copied().collect();
    let mut plans = Vec::with_capacity(keys.len());
    for key in keys {
        match (wanted.vips.get(&key), actual.get(&key)) {
            (Some(spec), vip) => {
                let mut plan = diff(spec, vip);
                let kept = actual.neighbours(&key).filter(|(other, _)| wanted.keep.contains(other));
                block_if_hopeless(&mut plan, spec.encap, kept);
                plans.push(plan);
            }
            (None, Some(vip)) if !wanted.keep.contains(&key) => {
                plans.push(VipPlan { clear: removal(vip, None), ..VipPlan::empty(key) });
            }
            (None, _) => {}
        }
    }
    plans
}
