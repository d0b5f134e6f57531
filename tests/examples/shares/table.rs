//! One VIP's table, and its deviations.

use std::net::{IpAddr, Ipv4Addr};

use maglev_table::buckets::{self, Candidate};

/// Maximum number of backends tried as the one that is removed.
const TRIED: usize = 10;
/// The network for benchmarks (RFC 2544), of which VIPs take the first half and servers the second.
const VIPS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const SERVERS: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);

/// The address of a VIP.
pub(crate) fn vip(number: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(VIPS) + number).into()
}

/// A table and the programmed weights of its servers.
pub(crate) struct Table {
    length: u32,
    weights: Vec<u8>,
}

/// Deviations of a table.
pub(crate) struct Figures {
    /// Maximum relative error of a share.
    pub(crate) off: f64,
    /// Maximum error in buckets.
    pub(crate) buckets: f64,
    /// Number of shares off by more than 1 % and by more than one bucket.
    pub(crate) outside: u32,
    /// Number of shares.
    pub(crate) shares: u32,
    /// Percentage of buckets that move needlessly when one backend goes to 0.
    pub(crate) moved: f64,
}

impl Table {
    pub(crate) fn new(length: u32, weights: Vec<u8>) -> Self {
        Self { length, weights }
    }

    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    pub(crate) fn sum(&self) -> u32 {
        self.weights.iter().map(|&weight| u32::from(weight)).sum()
    }

    /// Servers with their weights, in the order of their addresses.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let addresses = (u32::from(SERVERS)..).map(|address| IpAddr::from(Ipv4Addr::from(address)));
        addresses.zip(self.weights.iter().copied())
    }

    /// The same table with one server at 0.
    pub(crate) fn without(&self, out: usize) -> Self {
        let weights = self.weights.iter().enumerate();
        let weights = weights.map(|(index, &weight)| if index == out { 0 } else { weight });
        Self { length: self.length, weights: weights.collect() }
    }

    /// The server of each bucket, counted from 1; 0 for none.
    fn layout(&self) -> Vec<u32> {
        let servers = (1..).zip(self.servers());
        let candidates: Vec<_> =
            servers.map(|(id, (address, weight))| Candidate { id, address, weight }).collect();
        buckets::buckets(self.length, &candidates)
    }

    /// Buckets of each server.
    pub(crate) fn buckets(&self) -> Vec<u32> {
        let layout = self.layout();
        (1..).zip(&self.weights).map(|(id, _)| buckets::count(&layout, id)).collect()
    }

    /// The backends to remove: all, or an evenly spaced selection.
    pub(crate) fn leavers(&self) -> impl Iterator<Item = usize> + use<> {
        let all = self.weights.len();
        let tried = all.min(TRIED);
        (0..tried).map(move |number| number * all / tried)
    }

    pub(crate) fn figures(&self, configured: &[u8]) -> Figures {
        let mut figures = Figures { off: 0.0, buckets: 0.0, outside: 0, shares: 0, moved: 0.0 };
        let layout = self.layout();
        figures.add(&layout, configured);
        let mut kinds = 0.0;
        for out in self.leavers() {
            let left = self.without(out).layout();
            let mut configured = configured.to_vec();
            configured[out] = 0;
            figures.add(&left, &configured);
            let gone = u32::try_from(out + 1).unwrap_or(u32::MAX);
            let moved =
                layout.iter().zip(&left).filter(|(before, after)| **before != gone && before != after);
            figures.moved += ratio(moved.count(), layout.len()) * 100.0;
            kinds += 1.0;
        }
        figures.moved /= kinds;
        figures
    }
}

impl Figures {
    fn add(&mut self, layout: &[u32], configured: &[u8]) {
        let sum: u32 = configured.iter().map(|&weight| u32::from(weight)).sum();
        let length = ratio(layout.len(), 1);
        for (id, &weight) in (1..).zip(configured).filter(|(_, weight)| **weight > 0) {
            let right = length * f64::from(weight) / f64::from(sum);
            let error = (f64::from(buckets::count(layout, id)) - right).abs();
            self.off = self.off.max(error / right);
            self.buckets = self.buckets.max(error);
            // Tolerates rounding of exactly one bucket or 1 %.
            self.outside += u32::from(error > (right * 0.01).max(1.0) + 1e-9);
            self.shares += 1;
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let part = u32::try_from(part).unwrap_or(u32::MAX);
    let whole = u32::try_from(whole).unwrap_or(u32::MAX);
    f64::from(part) / f64::from(whole)
}
