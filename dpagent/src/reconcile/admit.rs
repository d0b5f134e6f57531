//! Restricts the desired state to what the policy allows.

use std::borrow::Cow;

use maglev_protocol::{StepError, VipSpec};

use crate::mirror::{Mirror, MirrorVip};
use crate::policy::Policy;

/// The part of a VIP that may be programmed, and errors for the rest; or a single error if the VIP may not be
/// touched at all.
///
/// A server outside the policy that the VIP already has may be lowered and removed, but never raised: so the
/// VIP's other servers still follow their health. `standing` is the existing VIP, if it will stay.
pub(super) fn admit<'a>(
    wanted: &'a VipSpec,
    standing: Option<&MirrorVip>,
    policy: &Policy,
) -> Result<(Cow<'a, VipSpec>, Vec<StepError>), StepError> {
    if !policy.allows_vip(&wanted.key.prefix) {
        return Err(refusal("program the VIP", &policy.rule("vips")));
    }
    let most = policy.limits.servers_per_vip;
    if u32::try_from(wanted.servers.len()).is_ok_and(|servers| servers > most) {
        let step = format!("program the VIP with {} servers", wanted.servers.len());
        return Err(refusal(&step, &policy.limit("servers-per-vip", most)));
    }
    let outside = wanted.servers.iter().filter(|(server, _)| !policy.allows_server(**server));
    let mut refused = Vec::new();
    let mut allowed = Cow::Borrowed(wanted);
    for (server, spec) in outside {
        let has = standing.and_then(|vip| vip.servers.get(server)).copied();
        if has.is_none_or(|has| has < spec.weight) {
            let step = format!("give server {server} weight {}", spec.weight);
            refused.push(refusal(&step, &policy.rule("servers")));
        }
        let servers = &mut allowed.to_mut().servers;
        match (has, servers.get_mut(server)) {
            (Some(has), Some(kept)) => kept.weight = kept.weight.min(has),
            _ => drop(servers.remove(server)),
        }
    }
    Ok((allowed, refused))
}

/// Refuses another VIP if VPP already has as many as it may.
pub(super) fn check_room(actual: &Mirror, policy: &Policy) -> Result<(), StepError> {
    let own = actual.vips().keys().filter(|vip| policy.allows_vip(&vip.prefix)).count();
    let most = policy.limits.vips;
    match u32::try_from(own).is_ok_and(|own| own < most) {
        true => Ok(()),
        false => Err(refusal("add the VIP", &policy.limit("vips", most))),
    }
}

pub(super) fn refusal(step: &str, rule: &str) -> StepError {
    StepError { step: step.to_owned(), code: None, meaning: format!("not allowed: {rule}") }
}
