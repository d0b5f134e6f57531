//! The lb plugin's global settings: what is wanted of them, checked and compared.

use maglev_protocol::{AgentError, LbConf, LbConfSpec};

/// Checks what VPP would refuse, or worse, take: with 0 buckets it dies at the next packet.
///
/// # Errors
/// [`AgentError::Contradiction`].
pub fn check(wanted: &LbConfSpec) -> Result<(), AgentError> {
    let buckets = wanted.sticky_buckets_per_core;
    if !buckets.is_power_of_two() {
        return Err(AgentError::Contradiction(format!(
            "sticky_buckets_per_core {buckets}: must be a power of two"
        )));
    }
    let timeout = wanted.flow_timeout;
    if !(1..=120).contains(&timeout) {
        return Err(AgentError::Contradiction(format!("flow_timeout {timeout}: must be 1 to 120 seconds")));
    }
    Ok(())
}

/// The settings wanted, with VPP's own where nothing is wanted.
pub fn merged(wanted: &LbConfSpec, now: &LbConf) -> LbConf {
    LbConf {
        ip4_src_address: wanted.ip4_src_address.unwrap_or(now.ip4_src_address),
        ip6_src_address: wanted.ip6_src_address.unwrap_or(now.ip6_src_address),
        sticky_buckets_per_core: wanted.sticky_buckets_per_core,
        flow_timeout: wanted.flow_timeout,
    }
}

#[cfg(test)]
mod tests;
