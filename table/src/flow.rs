//! VPP's hash of a flow, which selects its bucket in a VIP's new-flow table and in the sticky tables.
//!
//! VPP feeds five 64-bit words to CRC-32C, with an initial value of 0 and without a final inversion: the
//! addresses, then the ports, then zeros (by the lb plugin's source, checked with packets on VPP 26.10,
//! x86-64). A VPP compiled for a processor without a CRC-32C instruction uses another hash; VPP does not run
//! on x86-64 processors without it.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

/// Number of bytes hashed: five words of 64 bits.
const HASHED: usize = 40;

/// A TCP or UDP flow to a VIP, by the addresses and ports of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    client: SocketAddr,
    vip: SocketAddr,
}

/// Client and VIP are of different address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a flow cannot go from {client} to {vip}: both must be IPv4, or both IPv6")]
pub struct MixedFamilies {
    client: IpAddr,
    vip: IpAddr,
}

impl Flow {
    /// The flow from a client's address and port to those of a VIP.
    ///
    /// # Errors
    /// When one address is IPv4 and the other IPv6.
    pub fn new(client: SocketAddr, vip: SocketAddr) -> Result<Self, MixedFamilies> {
        match client.is_ipv4() == vip.is_ipv4() {
            true => Ok(Self { client, vip }),
            false => Err(MixedFamilies { client: client.ip(), vip: vip.ip() }),
        }
    }

    /// VPP's hash of the flow. With `src-ip-sticky`, ports are left out: all flows of a client to a VIP have
    /// one hash.
    pub fn hash(&self, src_ip_sticky: bool) -> u32 {
        let mut hashed = Vec::with_capacity(HASHED);
        for address in [self.client.ip(), self.vip.ip()] {
            match address {
                IpAddr::V4(address) => hashed.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => hashed.extend_from_slice(&address.octets()),
            }
        }
        if !src_ip_sticky {
            hashed.extend_from_slice(&self.vip.port().to_be_bytes());
            hashed.extend_from_slice(&self.client.port().to_be_bytes());
        }
        hashed.resize(HASHED, 0);
        // The library inverts before and after.
        !crc32c::crc32c_append(!0, &hashed)
    }
}

/// The bucket that a hash selects in a table of this length, which must be a power of two.
pub fn bucket(hash: u32, table_length: u32) -> u32 {
    hash & table_length.saturating_sub(1)
}
