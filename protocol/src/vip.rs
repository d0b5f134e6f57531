//! VIPs and their application servers, as the brain wants them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What VPP stores as the protocol of a VIP without a port (measured on VPP 26.10).
pub const ALL_PORTS_PROTOCOL: u8 = 255;

/// An address prefix. VIPs made by the brain are single addresses; others may have made wider ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    /// The network's address.
    pub address: IpAddr,
    /// Length in bits, at most 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// The prefix that holds just this address.
    pub fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// Whether the length fits the family and no bit behind it is set.
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

    /// Whether this is an IPv6 prefix that has an address below ::/96, or is one there. VPP stores IPv4 addresses in that
    /// range, and dumps such a prefix as an IPv4 one (measured on VPP 26.10).
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

/// What tells one VIP from another.
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

    /// A VIP for everything that goes to one address.
    pub fn all_ports(address: IpAddr) -> Self {
        Self { prefix: Prefix::host(address), protocol: ALL_PORTS_PROTOCOL, port: 0 }
    }

    /// Whether this is an all-port VIP.
    pub fn is_all_ports(&self) -> bool {
        self.port == 0
    }
}

/// A host's address stands without its prefix length.
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

/// How VPP carries packets to the application servers. The family is that of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Encap {
    /// GRE over IPv4.
    Gre4,
    /// GRE over IPv6.
    Gre6,
    /// Direct server return by DSCP. Never asked for, but VPP may have it.
    L3dsr,
    /// Address translation to IPv4 servers. Never asked for, but VPP may have it.
    Nat4,
    /// Address translation to IPv6 servers. Never asked for, but VPP may have it.
    Nat6,
}

impl Encap {
    /// The tunnel that reaches servers of this address's family.
    pub fn gre_to(server: IpAddr) -> Self {
        if server.is_ipv4() { Self::Gre4 } else { Self::Gre6 }
    }

    /// VPP's name for it.
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

/// What one application server of a VIP shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerSpec {
    /// 0 to 100. With 0 the server takes no new flows and keeps those it has.
    pub weight: u8,
    /// Whether the step to weight 0 also moves the flows that the server has.
    pub flush: bool,
}

/// The whole wanted state of one VIP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VipSpec {
    /// Which VIP.
    pub key: VipKey,
    /// GRE4 or GRE6, by the servers' family.
    pub encap: Encap,
    /// Whether flows are told apart by their source address alone.
    pub src_ip_sticky: bool,
    /// Buckets of the table for new flows, taken when the VIP is made: a power of two.
    pub new_flows_table_length: u32,
    /// The servers. The order of the map is the order in which they are added.
    pub servers: BTreeMap<IpAddr, ServerSpec>,
}

/// Why a [`VipSpec`] cannot be programmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum InvalidSpec {
    /// VPP stores IPv4 addresses as IPv6 ones with 96 zero bits in front, and cannot tell the two apart.
    #[error("{0} is an address below ::/96, which VPP takes for an IPv4 address: choose another")]
    LooksLikeIpv4(IpAddr),
    /// Length beyond the family's, or bits set behind it.
    #[error("{0} is no prefix: bits are set behind its length, or the length is too large for the family")]
    Prefix(Prefix),
    /// Protocol 255 with a port, or a port of 0 with another protocol.
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
    /// VPP allocates with a wild mask for 0, and refuses anything but powers of two.
    #[error("new-flows table length {0}: must be a power of two from 1 to 65536")]
    TableLength(u32),
    /// VPP itself takes any weight to 255.
    #[error("weight {weight} of server {server}: must be 0 to 100")]
    Weight {
        /// The server.
        server: IpAddr,
        /// The weight found.
        weight: u8,
    },
    /// A server that the tunnel cannot reach.
    #[error("server {server} cannot be reached through {encap}: the tunnel has the servers' address family")]
    Family {
        /// The server.
        server: IpAddr,
        /// The VIP's encapsulation.
        encap: Encap,
    },
    /// VPP dumps such a prefix as an IPv4 one of the same length.
    #[error("{0} covers ::/96, which VPP takes for IPv4 addresses: choose a prefix outside of it")]
    CoversIpv4(Prefix),
}

impl VipSpec {
    /// Checks everything that VPP would refuse, or worse, take.
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
