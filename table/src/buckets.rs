//! VPP's new-flow table, which spreads new flows over application servers, bucket for bucket as VPP 26.10
//! fills it.
//!
//! Every server is in a list once per unit of weight, sorted by replica number, then by address. Each entry
//! has its own sequence through the buckets, derived from a hash of its address and replica number. Round
//! after round, each entry takes the next free bucket of its sequence, until all are taken (measured on VPP
//! 26.10).

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use xxhash_rust::xxh64::xxh64;

use crate::octets;

/// Content of an empty bucket: VPP's index of a dummy server.
pub const NO_SERVER: u32 = 0;

/// VPP's seed of the hash (measured on VPP 26.10).
const SEED: u64 = 0x9e37_79b9_7f4a_7c13;

/// A server with its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Content of its buckets; not [`NO_SERVER`].
    pub id: u32,
    /// The address, which determines its buckets.
    pub address: IpAddr,
    /// Its share, relative to the other weights; 0 for none.
    pub weight: u8,
}

/// One replica of a server, stepping through the buckets.
struct Walker {
    id: u32,
    next: u32,
    step: u32,
}

/// The server of each bucket, or [`NO_SERVER`] in all of them if no weight is above 0.
///
/// `length` must be a power of two. The order of the servers does not matter; their addresses must be
/// distinct.
pub fn buckets(length: u32, servers: &[Candidate]) -> Vec<u32> {
    let mask = length.saturating_sub(1);
    let mut walkers = walkers(mask, servers);
    let mut table = vec![NO_SERVER; length as usize];
    if walkers.is_empty() {
        return table;
    }
    let mut free = table.len();
    while free > 0 {
        for walker in walkers.iter_mut().take(free) {
            walker.take_next_free(mask, &mut table);
            free -= 1;
        }
    }
    table
}

fn walkers(mask: u32, servers: &[Candidate]) -> Vec<Walker> {
    let mut servers: Vec<_> = servers.iter().filter(|server| server.weight > 0).collect();
    servers.sort_unstable_by_key(|server| octets(server.address));
    let rounds = servers.iter().map(|server| server.weight).max().unwrap_or(0);
    (0..rounds)
        .flat_map(|replica| {
            servers
                .iter()
                .filter(move |server| server.weight > replica)
                .map(move |server| Walker::new(mask, server, replica))
        })
        .collect()
}

impl Walker {
    fn new(mask: u32, server: &Candidate, replica: u8) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets(server.address);
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let second = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        let hash = xxh64(&(first ^ second ^ u64::from(replica)).to_le_bytes(), SEED);
        let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
        let (low, high) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        // An odd step visits every bucket of a table whose length is a power of two.
        Self { id: server.id, next: high & mask, step: (low | 1) & mask }
    }

    /// Must be called only while a bucket is free.
    fn take_next_free(&mut self, mask: u32, table: &mut [u32]) {
        // The sequence visits every bucket within one length of the table.
        for _ in 0..table.len() {
            let bucket = table.get_mut(self.next as usize);
            self.next = self.next.wrapping_add(self.step) & mask;
            if let Some(bucket) = bucket
                && *bucket == NO_SERVER
            {
                *bucket = self.id;
                return;
            }
        }
    }
}

/// Number of buckets that contain `id`.
pub fn count(table: &[u32], id: u32) -> u32 {
    u32::try_from(table.iter().filter(|bucket| **bucket == id).count()).unwrap_or(u32::MAX)
}
