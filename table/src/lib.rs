//! Which application server VPP's lb plugin gives a new flow, computed exactly.
//!
//! - [`buckets`] lays out a VIP's new-flow table: which server owns which bucket.
//! - [`flow`] hashes a flow; the hash selects its bucket.
//!
//! Both follow VPP 26.10 as measured; everything is pure.

pub mod buckets;
pub mod flow;

use std::net::IpAddr;

/// The 16 bytes in which VPP keeps an address of either family: IPv4 stands in the last four, behind zeros.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)).to_be_bytes(),
        IpAddr::V6(address) => address.octets(),
    }
}
