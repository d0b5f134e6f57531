//! Plans for a set of VIPs.

use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::{AgentError, Demands, VipKey, VipSpec};

use super::admit::refusal;
use super::{VipPlan, plan, refused_beside, removal};
use crate::mirror::Mirror;
use crate::policy::Policy;

/// A consistent set of desired VIPs: see [`check`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The VIPs that VPP should have.
    pub vips: BTreeMap<VipKey, VipSpec>,
    /// VIPs that are left alone, whether they exist or not.
    pub keep: BTreeSet<VipKey>,
}

/// Checks that every VIP is valid and that VPP can have them side by side.
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
                "VIP {key} is both desired and to be left alone: it can only be one of them"
            )));
        }
        if vips.insert(key, spec).is_some() {
            return Err(AgentError::Contradiction(format!("VIP {key} is desired twice")));
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
                "VIPs {} and {} share a prefix: VPP allows either one all-port VIP or VIPs for single ports",
                one.key, other.key
            )));
        }
    }
    Ok(Wanted { vips, keep })
}

/// The plans of all VIPs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plans {
    /// In the order of their keys.
    pub plans: Vec<VipPlan>,
    /// VIPs outside the policy, and VIPs set aside: they are left alone.
    pub foreign: Vec<VipKey>,
}

/// Plans all VIPs: the desired ones, and the removal of those that are neither desired nor kept.
///
/// Clearing all VIPs of a prefix before adding any of it leads from any state to any desired one, unless a
/// VIP that is kept is in the way.
pub fn plan_all(wanted: &Wanted, actual: &Mirror, policy: &Policy) -> Plans {
    let keys: BTreeSet<_> = wanted.vips.keys().chain(actual.vips().keys()).copied().collect();
    let mut planned = Plans { plans: Vec::with_capacity(keys.len()), foreign: Vec::new() };
    let demands = Demands::default();
    let staying = |key: &VipKey| wanted.vips.contains_key(key) || wanted.keep.contains(key);
    let own = actual.vips().keys().filter(|key| staying(key) && policy.allows_vip(&key.prefix)).count();
    let mut room = usize::try_from(policy.limits.vips).unwrap_or(usize::MAX).saturating_sub(own);
    planned.foreign.extend(actual.set_aside().vips());
    for key in keys {
        if let Some(why) = actual.set_aside().blocks(&key) {
            planned.plans.push(VipPlan::refused(key, refused_beside(why)));
            continue;
        }
        match (wanted.vips.get(&key), actual.get(&key)) {
            (Some(_), None) if policy.allows_vip(&key.prefix) && room == 0 => {
                let rule = policy.limit("vips", policy.limits.vips);
                planned.plans.push(VipPlan::refused(key, refusal("add the VIP", &rule)));
            }
            (Some(spec), vip) => {
                let kept = actual.neighbours(&key).filter(|(other, _)| wanted.keep.contains(other));
                let plan = plan(spec, &demands, actual, policy, kept);
                if vip.is_none() && !plan.is_empty() {
                    room = room.saturating_sub(1);
                }
                planned.plans.push(plan);
            }
            (None, Some(_)) if !policy.allows_vip(&key.prefix) => planned.foreign.push(key),
            (None, Some(vip)) if !wanted.keep.contains(&key) => {
                planned.plans.push(VipPlan { clear: removal(vip, None), ..VipPlan::empty(key) });
            }
            (None, _) => {}
        }
    }
    planned.foreign.sort_unstable();
    planned
}
