//! Converts weights to VPP's desired state: one [`VipSpec`] per frontend, all of them one [`Wanted`].

mod wanted;

use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_protocol::{Encap, LbConfSpec, ServerSpec, VipKey, VipSpec};

pub use wanted::{Demand, Demanded, ViewId, Wanted};

use crate::config::{Config, Frontend, LbSettings, Service};
use crate::weights::EffectiveWeights;

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The VIP of a frontend.
pub fn vip_key(frontend: &Frontend) -> VipKey {
    match frontend.service {
        Service::AllPorts => VipKey::all_ports(frontend.address),
        Service::Tcp(port) => VipKey::port(frontend.address, TCP, port),
        Service::Udp(port) => VipKey::port(frontend.address, UDP, port),
    }
}

/// The whole desired state of a frontend's VIP. Every configured backend has an entry, in service or not.
///
/// `new_flows_table_length` applies when the VIP is added, see
/// [`table_length`](crate::weights::table_length).
///
/// A backend may be in several pools, of which at most one is active: VPP gets its largest weight.
pub fn vip_spec(
    config: &Config,
    frontend: &Frontend,
    new_flows_table_length: u32,
    weights: &EffectiveWeights,
) -> VipSpec {
    let mut servers: BTreeMap<IpAddr, ServerSpec> = BTreeMap::new();
    for (name, weight) in weights.pools.iter().flatten() {
        let Some(backend) = config.backends.get(name) else {
            continue;
        };
        let wanted = ServerSpec { weight: weight.programmed, flush: weight.flush };
        servers
            .entry(backend.address)
            .and_modify(|server| {
                server.weight = server.weight.max(wanted.weight);
                server.flush |= wanted.flush;
            })
            .or_insert(wanted);
    }
    // A frontend has one address family, so any server determines the tunnel's.
    let encap = servers.keys().next().map_or(Encap::Gre4, |&server| Encap::gre_to(server));
    VipSpec {
        key: vip_key(frontend),
        encap,
        src_ip_sticky: frontend.src_ip_sticky,
        new_flows_table_length,
        servers,
    }
}

/// Desired settings of the lb plugin.
pub fn lb_conf(settings: &LbSettings) -> LbConfSpec {
    LbConfSpec {
        ip4_src_address: settings.ipv4_src_address,
        ip6_src_address: settings.ipv6_src_address,
        sticky_buckets_per_core: settings.sticky_buckets_per_core,
        // The configuration allows 1 s to 120 s.
        flow_timeout: u32::try_from(settings.flow_timeout.as_secs()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
