//! The lb plugin's global settings: validation, and merging with what VPP has.

use std::net::{Ipv4Addr, Ipv6Addr};

use maglev_protocol::{AgentError, LbConf, LbConfSpec, MOST_STICKY_BUCKETS};

use crate::policy::FLOW_TIMEOUT;

/// Rejects settings that VPP would refuse, or would accept and then die of: with 0 or too many buckets, it
/// crashes at the next packet.
///
/// # Errors
/// [`AgentError::Contradiction`].
pub fn check(wanted: &LbConfSpec) -> Result<(), AgentError> {
    let wrong = |what| Err(AgentError::Contradiction(what));
    let LbConfSpec { ip4_src_address, ip6_src_address, sticky_buckets_per_core: buckets, flow_timeout } =
        *wanted;
    if !buckets.is_power_of_two() || buckets > MOST_STICKY_BUCKETS {
        return wrong(format!(
            "sticky_buckets_per_core {buckets}: must be a power of two, at most {MOST_STICKY_BUCKETS}"
        ));
    }
    let (shortest, longest) = FLOW_TIMEOUT;
    if !(shortest..=longest).contains(&flow_timeout) {
        return wrong(format!("flow_timeout {flow_timeout}: must be {shortest} to {longest} seconds"));
    }
    let of_no_host =
        |address: Ipv4Addr| address.is_unspecified() || address.is_multicast() || address.is_broadcast();
    if let Some(source) = ip4_src_address.filter(|source| of_no_host(*source)) {
        return wrong(format!("ip4_src_address {source}: must be the address of a host"));
    }
    let of_no_host = |address: Ipv6Addr| address.is_unspecified() || address.is_multicast();
    if let Some(source) = ip6_src_address.filter(|source| of_no_host(*source)) {
        return wrong(format!("ip6_src_address {source}: must be the address of a host"));
    }
    Ok(())
}

/// The wanted settings; VPP's current value where none is wanted.
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
