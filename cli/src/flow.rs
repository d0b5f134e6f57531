//! The application server that VPP gives a new flow to, computed from VPP's weights. Pure.

use std::net::{IpAddr, SocketAddr};

use maglev_proto::{VpplbState, Vppvip};
use maglev_table::buckets::{Candidate, NO_SERVER, buckets};
use maglev_table::flow::{Flow, bucket};
use serde::Serialize;

/// Longest table that is laid out here, in buckets.
const LONGEST: u32 = 1 << 24;

/// Where a new flow goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FlowChoice {
    pub(crate) client: String,
    pub(crate) vip: String,
    pub(crate) protocol: String,
    /// Empty if the VIP is none of the configuration's.
    pub(crate) frontend: String,
    pub(crate) bucket: u32,
    pub(crate) table_length: u32,
    /// Address of the server; absent if no server takes new flows.
    pub(crate) address: Option<String>,
    /// Empty if the server is none of the configuration's.
    pub(crate) backend: String,
}

/// The choice that VPP makes; an error is a sentence for the operator.
pub(crate) fn choose(
    state: &VpplbState,
    client: SocketAddr,
    service: SocketAddr,
    is_udp: bool,
) -> Result<FlowChoice, String> {
    let protocol = if is_udp { "udp" } else { "tcp" };
    let flow = Flow::new(client, service).map_err(|error| error.to_string())?;
    let vip = vip_of(state, service, protocol).ok_or_else(|| {
        format!("VPP has no VIP for {protocol} to {service}: `show vpp lb state` lists its VIPs")
    })?;
    let length = vip.new_flows_table_length;
    if !length.is_power_of_two() || length > LONGEST {
        return Err(format!("VPP's table for that VIP has {length} buckets, which is no power of two"));
    }
    let servers = vip.application_servers.iter().zip(1..).map(|(server, id)| {
        let address = server.address.parse().map_err(|_| format!("{:?} is no address", server.address))?;
        let weight = u8::try_from(server.weight).map_err(|_| format!("{} is no weight", server.weight))?;
        Ok(Candidate { id, address, weight })
    });
    let servers: Vec<Candidate> = servers.collect::<Result<_, String>>()?;
    let bucket = bucket(flow.hash(vip.src_ip_sticky), length);
    let owner = buckets(length, &servers).get(bucket as usize).copied().unwrap_or(NO_SERVER);
    let server = owner.checked_sub(1).and_then(|index| vip.application_servers.get(index as usize));
    Ok(FlowChoice {
        client: client.to_string(),
        vip: service.to_string(),
        protocol: protocol.to_owned(),
        frontend: vip.frontend.clone(),
        bucket,
        table_length: length,
        address: server.map(|server| server.address.clone()),
        backend: server.map(|server| server.backend.clone()).unwrap_or_default(),
    })
}

/// VPP forwards by the longest prefix, and there by protocol and port.
fn vip_of<'s>(state: &'s VpplbState, service: SocketAddr, protocol: &str) -> Option<&'s Vppvip> {
    let covering: Vec<_> =
        state.vips.iter().filter_map(|vip| Some((covers(&vip.prefix, service.ip())?, vip))).collect();
    let longest = covering.iter().map(|(length, _)| *length).max()?;
    let there = covering.into_iter().filter(|(length, _)| *length == longest).map(|(_, vip)| vip);
    let fits =
        |vip: &&Vppvip| vip.port == 0 || vip.port == u32::from(service.port()) && vip.protocol == protocol;
    there.filter(fits).max_by_key(|vip| vip.port != 0)
}

/// The length of a prefix that has this address in it.
fn covers(prefix: &str, address: IpAddr) -> Option<u32> {
    let (network, length) = prefix.split_once('/').unwrap_or((prefix, "128"));
    let (bits, network, address): (u32, u128, u128) = match (network.parse().ok()?, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (32, network.to_bits().into(), address.to_bits().into())
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (128, network.to_bits(), address.to_bits()),
        _ => return None,
    };
    let length = length.parse::<u32>().ok()?.min(bits);
    let differs = network ^ address;
    (differs.checked_shr(bits - length).unwrap_or(0) == 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use maglev_proto::VppApplicationServer;

    use super::*;

    type Vip<'a> = (&'a str, &'a str, u32, &'a [(&'a str, u32)]);

    fn state(vips: &[Vip<'_>]) -> VpplbState {
        let server = |(address, weight): &(&str, u32)| VppApplicationServer {
            address: (*address).into(),
            weight: *weight,
            ..VppApplicationServer::default()
        };
        let vip = |(prefix, protocol, port, servers): &Vip<'_>| Vppvip {
            prefix: (*prefix).into(),
            protocol: (*protocol).into(),
            port: *port,
            new_flows_table_length: 1024,
            application_servers: servers.iter().map(server).collect(),
            ..Vppvip::default()
        };
        VpplbState { vips: vips.iter().map(vip).collect(), ..VpplbState::default() }
    }

    fn to(state: &VpplbState, vip: &str, is_udp: bool) -> Result<Option<String>, String> {
        let client = if vip.starts_with('[') { "[2001:db8::7]:4000" } else { "192.0.2.7:4000" };
        choose(state, client.parse().unwrap(), vip.parse().unwrap(), is_udp).map(|choice| choice.address)
    }

    #[test]
    fn vip_is_that_of_the_longest_prefix_and_its_port() {
        let state = state(&[
            ("198.51.100.0/24", "any", 0, &[("10.0.0.1", 1)]),
            ("198.51.100.7/32", "tcp", 80, &[("10.0.0.2", 1)]),
            ("198.51.100.7/32", "udp", 80, &[("10.0.0.3", 1)]),
            ("2001:db8::/64", "any", 0, &[("10.0.0.4", 1)]),
            ("198.51.100.8", "tcp", 80, &[("10.0.0.5", 0)]),
        ]);
        let of = |address: &str| Ok(Some(address.to_owned()));
        assert_eq!(to(&state, "198.51.100.1:443", false), of("10.0.0.1"));
        assert_eq!(to(&state, "198.51.100.7:80", false), of("10.0.0.2"));
        assert_eq!(to(&state, "198.51.100.7:80", true), of("10.0.0.3"));
        assert_eq!(to(&state, "[2001:db8::9]:443", false), of("10.0.0.4"));
        assert_eq!(to(&state, "198.51.100.8:80", false), Ok(None), "no server takes new flows");
        for none in ["198.51.100.7:443", "203.0.113.1:80", "[2001:db9::9]:443"] {
            assert!(to(&state, none, false).unwrap_err().contains("no VIP"), "{none}");
        }
        let mixed = choose(&state, "192.0.2.7:1".parse().unwrap(), "[::1]:1".parse().unwrap(), false);
        assert!(mixed.unwrap_err().contains("both must be IPv4"));
    }

    #[test]
    fn flows_spread_as_the_weights_say() {
        let state = state(&[("198.51.100.7", "tcp", 80, &[("10.0.0.1", 3), ("10.0.0.2", 1)])]);
        let to_first = (1..=1000).filter(|port| {
            let client = SocketAddr::new([192, 0, 2, 7].into(), *port);
            let choice = choose(&state, client, "198.51.100.7:80".parse().unwrap(), false).unwrap();
            choice.address.as_deref() == Some("10.0.0.1")
        });
        assert!((650..850).contains(&to_first.count()));
    }
}
