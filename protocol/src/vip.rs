//! Desired state of VIPs and their application servers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Protocol that VPP stores for a VIP without a port (measured on VPP 26.10).
pub const ALL_PORTS_PROTOCOL: u8 = 255;

/// An address prefix. VIPs of the brain are single addresses; others may have added wider ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    /// Network address.
    pub address: IpAddr,
    /// Length in bits, at most 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// The prefix that contains only this address.
    pub fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// Whether the length fits the family and all host bits are zero.
    pub fn is_valid(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => {
                self.length <= 32
                    && u32::from(address).checked_shl(self.length.into()).is_none_or(|host| host == 0)
            }
            IpAddr::V6(address) => {
                self.length <= 128
                    && u128::from(address).checked_shl(self.length.into()).is_none_or(|host| host == 0)
            }
        }
    }

    /// Whether every address of the other prefix is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        let same_until = |one: u128, another: u128, bits: u32| {
            let ignored = bits.saturating_sub(self.length.into());
            (one ^ another).checked_shr(ignored).is_none_or(|different| different == 0)
        };
        self.length <= other.length
            && match (self.address, other.address) {
                (IpAddr::V4(own), IpAddr::V4(other)) => {
                    same_until(u32::from(own).into(), u32::from(other).into(), 32)
                }
                (IpAddr::V6(own), IpAddr::V6(other)) => same_until(own.into(), other.into(), 128),
                _ => false,
            }
    }

    /// Whether this IPv6 prefix overlaps ::/96. VPP stores IPv4 addresses in that range, and dumps such a
    /// prefix as an IPv4 one (measured on VPP 26.10).
    pub fn meets_ipv4_range(&self) -> bool {
        let range = Self { address: Ipv6Addr::UNSPECIFIED.into(), length: 96 };
        self.covers(&range) || range.covers(self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Identity of a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VipKey {
    /// Destination addresses.
    pub prefix: Prefix,
    /// IP protocol number, [`ALL_PORTS_PROTOCOL`] for an all-port VIP.
    pub protocol: u8,
    /// Destination port, 0 for an all-port VIP.
    pub port: u16,
}

impl VipKey {
    /// A VIP for one port of one address.
    pub fn port(address: IpAddr, protocol: u8, port: u16) -> Self {
        Self { prefix: Prefix::host(address), protocol, port }
    }

    /// A VIP for all traffic to one address.
    pub fn all_ports(address: IpAddr) -> Self {
        Self { prefix: Prefix::host(address), protocol: ALL_PORTS_PROTOCOL, port: 0 }
    }

    /// Whether this is an all-port VIP.
    pub fn is_all_ports(&self) -> bool {
        self.port == 0
    }
}

/// A single address is written without its prefix length.
impl fmt::Display for VipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == Prefix::host(self.prefix.address) {
            self.prefix.address.fmt(f)?;
        } else {
            self.prefix.fmt(f)?;
        }
        match (self.protocol, self.port) {
            (_, 0) => f.write_str(" all ports"),
            (6, port) => write!(f, " tcp/{port}"),
            (17, port) => write!(f, " udp/{port}"),
            (protocol, port) => write!(f, " protocol {protocol}/{port}"),
        }
    }
}

/// Encapsulation towards the application servers. The family is that of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Encap {
    /// GRE over IPv4.
    Gre4,
    /// GRE over IPv6.
    Gre6,
    /// Direct server return by DSCP. Never requested, but VPP may have it.
    L3dsr,
    /// Address translation to IPv4 servers. Never requested, but VPP may have it.
    Nat4,
    /// Address translation to IPv6 servers. Never requested, but VPP may have it.
    Nat6,
}

impl Encap {
    /// The tunnel to servers of this address's family.
    pub fn gre_to(server: IpAddr) -> Self {
        if server.is_ipv4() { Self::Gre4 } else { Self::Gre6 }
    }

    /// VPP's name of the encapsulation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gre4 => "gre4",
            Self::Gre6 => "gre6",
            Self::L3dsr => "l3dsr",
            Self::Nat4 => "nat4",
            Self::Nat6 => "nat6",
        }
    }
}

impl fmt::Display for Encap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Desired state of one application server of a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerSpec {
    /// 0 to 100. With 0 the server takes no new flows and keeps its existing ones.
    pub weight: u8,
    /// Whether to flush the server's flows on the step to weight 0.
    pub flush: bool,
}

/// The whole desired state of one VIP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VipSpec {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// GRE4 or GRE6, by the servers' family.
    pub encap: Encap,
    /// Whether VPP hashes flows by their source address alone.
    pub src_ip_sticky: bool,
    /// Buckets of the table for new flows, fixed when the VIP is added: a power of two.
    pub new_flows_table_length: u32,
    /// The servers, added in the order of the map.
    pub servers: BTreeMap<IpAddr, ServerSpec>,
}

/// Why a [`VipSpec`] cannot be programmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum InvalidSpec {
    /// VPP stores IPv4 addresses as IPv6 ones with 96 leading zero bits, and cannot tell the two apart.
    #[error("{0} is below ::/96, which VPP treats as IPv4: choose another address")]
    LooksLikeIpv4(IpAddr),
    /// The length exceeds the family's, or host bits are set.
    #[error("{0} is not a prefix: host bits are set, or the length is too large for the family")]
    Prefix(Prefix),
    /// Protocol 255 with a port, or port 0 with another protocol.
    #[error(
        "protocol {protocol} with port {port}: an all-port VIP has protocol 255 and port 0, any other has neither"
    )]
    Port {
        /// The protocol found.
        protocol: u8,
        /// The port found.
        port: u16,
    },
    /// Not GRE.
    #[error("encapsulation {0}: only gre4 and gre6 are programmed")]
    Encap(Encap),
    /// VPP computes an invalid mask for 0, and refuses anything but powers of two.
    #[error("new-flows table length {0}: must be a power of two from 1 to 65536")]
    TableLength(u32),
    /// VPP itself accepts weights up to 255.
    #[error("weight {weight} of server {server}: must be 0 to 100")]
    Weight {
        /// The server.
        server: IpAddr,
        /// The weight found.
        weight: u8,
    },
    /// The tunnel cannot reach servers of this family.
    #[error("server {server} cannot be reached through {encap}: the tunnel has the servers' address family")]
    Family {
        /// The server.
        server: IpAddr,
        /// The VIP's encapsulation.
        encap: Encap,
    },
    /// VPP dumps such a prefix as an IPv4 one of the same length.
    #[error("{0} covers ::/96, which VPP treats as IPv4: choose a prefix outside of it")]
    CoversIpv4(Prefix),
}

impl VipSpec {
    /// Rejects everything that VPP would refuse, and what it would wrongly accept.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        if !self.key.prefix.is_valid() {
            return Err(InvalidSpec::Prefix(self.key.prefix));
        }
        let Prefix { address, length } = self.key.prefix;
        if self.key.prefix.meets_ipv4_range() {
            return Err(match length {
                0..96 => InvalidSpec::CoversIpv4(self.key.prefix),
                _ => InvalidSpec::LooksLikeIpv4(address),
            });
        }
        if (self.key.port == 0) != (self.key.protocol == ALL_PORTS_PROTOCOL) {
            return Err(InvalidSpec::Port { protocol: self.key.protocol, port: self.key.port });
        }
        if !matches!(self.encap, Encap::Gre4 | Encap::Gre6) {
            return Err(InvalidSpec::Encap(self.encap));
        }
        if !self.new_flows_table_length.is_power_of_two() || self.new_flows_table_length > 65_536 {
            return Err(InvalidSpec::TableLength(self.new_flows_table_length));
        }
        for (&server, spec) in &self.servers {
            if spec.weight > 100 {
                return Err(InvalidSpec::Weight { server, weight: spec.weight });
            }
            if Encap::gre_to(server) != self.encap {
                return Err(InvalidSpec::Family { server, encap: self.encap });
            }
            if looks_like_ipv4(server) {
                return Err(InvalidSpec::LooksLikeIpv4(server));
            }
        }
        Ok(())
    }
}

fn looks_like_ipv4(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if u128::from(address) >> 32 == 0)
}
