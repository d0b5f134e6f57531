//! Predicts exactly which application server VPP's lb plugin chooses for a new flow.
//!
//! - [`buckets`] fills a VIP's new-flow table: which server owns which bucket.
//! - [`flow`] hashes a flow; the hash selects its bucket.
//!
//! Both follow VPP 26.10 as measured; everything is pure.

pub mod buckets;
pub mod flow;

use std::net::IpAddr;

/// VPP's 16-byte form of an address of either family: IPv4 uses the last four, after zeros.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)).to_be_bytes(),
        IpAddr::V6(address) => address.octets(),
    }
}
