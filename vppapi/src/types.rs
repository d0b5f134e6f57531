//! Composite field types that VPP's messages share.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{DecodeError, DecodeErrorKind, Reader, Wire, Writer};

/// VPP's `address`, which is an [`IpAddr`]: one byte of family (0 IPv4, 1 IPv6) and 16 bytes, of which IPv4
/// uses the first four.
pub type Address = IpAddr;

const FAMILY_IPV4: u8 = 0;
const FAMILY_IPV6: u8 = 1;

/// The 12 bytes after an IPv4 address are written as zeros and ignored when read. An unknown family is an
/// error: without it the bytes mean nothing.
impl Wire for IpAddr {
    fn encode(&self, writer: &mut Writer) {
        match self {
            IpAddr::V4(address) => {
                FAMILY_IPV4.encode(writer);
                address.encode(writer);
                writer.put(&[0; 12]);
            }
            IpAddr::V6(address) => {
                FAMILY_IPV6.encode(writer);
                address.encode(writer);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at_family = reader.error(DecodeErrorKind::BadValue { value: 0, expected: "" });
        match reader.field::<u8>("af")? {
            FAMILY_IPV4 => {
                let address = reader.field::<Ipv4Addr>("un")?;
                reader.array::<12>().map_err(|error| error.in_field("un"))?;
                Ok(address.into())
            }
            FAMILY_IPV6 => Ok(reader.field::<Ipv6Addr>("un")?.into()),
            other => {
                let expected = "0 (IPv4) or 1 (IPv6)";
                let kind = DecodeErrorKind::BadValue { value: other.into(), expected };
                Err(DecodeError::new(at_family.offset(), kind).in_field("af"))
            }
        }
    }
}

wire_struct! {
    /// An address with a prefix length, VPP's `prefix`.
    ///
    /// The length is not checked: VPP up to 26.06 sends an IPv4 /32 as 128.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub struct Prefix {
        /// The address.
        pub address: IpAddr,
        /// Number of leading bits that count.
        pub length: u8,
    }
}

impl Prefix {
    /// The prefix of this one address: /32 or /128.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

wire_struct! {
    /// Identity of a VIP in the lb plugin. Details contain it as one field `vip`, requests as three fields;
    /// the bytes are the same.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub struct VipId {
        /// Destination prefix.
        pub prefix: Prefix,
        /// IP protocol number (6 TCP, 17 UDP); 255 for an all-port VIP.
        pub protocol: u8,
        /// Destination port; 0 for an all-port VIP.
        pub port: u16,
    }
}

impl fmt::Display for VipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => write!(f, "{} all ports", self.prefix),
            port => write!(f, "{} protocol {} port {port}", self.prefix, self.protocol),
        }
    }
}

/// Encapsulation towards the application servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encap {
    /// GRE to IPv4 servers.
    Gre4,
    /// GRE to IPv6 servers.
    Gre6,
    /// Direct server return, with the VIP encoded in the DSCP field.
    L3dsr,
    /// NAT to IPv4 servers.
    Nat4,
    /// NAT to IPv6 servers.
    Nat6,
    /// A value unknown to VPP 26.10, kept so that one such VIP does not make the whole dump fail.
    Other(u32),
}

impl Encap {
    /// The name in VPP's CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encap::Gre4 => "gre4",
            Encap::Gre6 => "gre6",
            Encap::L3dsr => "l3dsr",
            Encap::Nat4 => "nat4",
            Encap::Nat6 => "nat6",
            Encap::Other(_) => "unknown encap",
        }
    }
}

impl From<u32> for Encap {
    fn from(value: u32) -> Self {
        match value {
            0 => Encap::Gre4,
            1 => Encap::Gre6,
            2 => Encap::L3dsr,
            3 => Encap::Nat4,
            4 => Encap::Nat6,
            other => Encap::Other(other),
        }
    }
}

impl From<Encap> for u32 {
    fn from(encap: Encap) -> Self {
        match encap {
            Encap::Gre4 => 0,
            Encap::Gre6 => 1,
            Encap::L3dsr => 2,
            Encap::Nat4 => 3,
            Encap::Nat6 => 4,
            Encap::Other(value) => value,
        }
    }
}

impl fmt::Display for Encap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encap::Other(value) => write!(f, "{} {value}", self.name()),
            named => f.write_str(named.name()),
        }
    }
}

impl Wire for Encap {
    fn encode(&self, writer: &mut Writer) {
        u32::from(*self).encode(writer);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self::from)
    }
}
