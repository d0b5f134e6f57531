//! Detects when a counter restarted from zero. Pure.
//!
//! VPP gives a re-created VIP another index until it has reclaimed the removed one, which takes a minute or
//! more; after that, it may reuse the index. An epoch is therefore made of VPP's start time and the index,
//! which every agent sees alike, and of how often this agent has seen the index disappear or its counters
//! fall.

use std::collections::{BTreeMap, BTreeSet};

/// What kind of object an index belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Vip,
    Route,
}

/// All indexes ever counted on one connection. VPP reuses them, so there are at most as many as it has had
/// VIPs at once.
#[derive(Debug)]
pub(super) struct Epochs {
    vpp: u64,
    lives: BTreeMap<(Kind, u32), Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// Number of restarts seen.
    number: u32,
    /// The last counters; `None` while the index is not in use.
    last: Option<Vec<u64>>,
    ended: bool,
}

impl Epochs {
    pub(super) fn new(pid: u32, boot_time: Option<u64>) -> Self {
        let start = mix(boot_time.map_or(0, |time| time.wrapping_add(1)));
        Self { vpp: mix(start ^ u64::from(pid)), lives: BTreeMap::new() }
    }

    /// The epoch of an index whose counters are now `counts`.
    pub(super) fn of(&mut self, kind: Kind, index: u32, counts: &[u64]) -> u64 {
        let life = self.lives.entry((kind, index)).or_default();
        let fell = |last: &Vec<u64>| last.iter().zip(counts).any(|(last, now)| now < last);
        if life.ended || life.last.as_ref().is_some_and(fell) {
            life.number += 1;
        }
        (life.last, life.ended) = (Some(counts.to_vec()), false);
        let kind = match kind {
            Kind::Vip => 1,
            Kind::Route => 2,
        };
        mix(mix(mix(self.vpp ^ kind) ^ u64::from(index)) ^ u64::from(life.number))
    }

    /// Keeps the indexes in use. The epoch of any other has ended.
    pub(super) fn keep(&mut self, used: impl IntoIterator<Item = Option<(Kind, u32)>>) {
        let used: BTreeSet<_> = used.into_iter().flatten().collect();
        for (index, life) in &mut self.lives {
            if !used.contains(index) && life.last.take().is_some() {
                life.ended = true;
            }
        }
    }
}

/// Mixes the bits of a number: the finalizer of SplitMix64, which is a bijection. Fixed, unlike the standard
/// library's hash, so that every agent computes the same epoch.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
