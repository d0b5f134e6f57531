//! Which life of its counters an index of VPP's is in. Pure.
//!
//! VPP gives a VIP made anew another index, as long as it has not forgotten the one before, which takes a minute or more;
//! after that it may give the same again. So a life is known by VPP's own start and the index, which is the same for
//! every agent, and by how often this agent has seen the index go, or its counters go down.

use std::collections::{BTreeMap, BTreeSet};

/// What an index is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Vip,
    Route,
}

/// All indexes ever counted on one connection. VPP uses them again, so there are not more than it has had VIPs at once.
#[derive(Debug)]
pub(super) struct Epochs {
    vpp: u64,
    lives: BTreeMap<(Kind, u32), Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// How often it began anew.
    number: u32,
    /// `None` while the index is not in use.
    last: Option<Vec<u64>>,
    ended: bool,
}

impl Epochs {
    pub(super) fn new(pid: u32, boot_time: Option<u64>) -> Self {
        let start = mix(boot_time.map_or(0, |time| time.wrapping_add(1)));
        Self { vpp: mix(start ^ u64::from(pid)), lives: BTreeMap::new() }
    }

    /// The epoch of an index whose counters are now these.
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

    /// Those in use. The life of any other has ended.
    pub(super) fn keep(&mut self, used: impl IntoIterator<Item = Option<(Kind, u32)>>) {
        let used: BTreeSet<_> = used.into_iter().flatten().collect();
        for (index, life) in &mut self.lives {
            if !used.contains(index) && life.last.take().is_some() {
                life.ended = true;
            }
        }
    }
}

/// Spreads the bits of a number: the finalizer of SplitMix64, which is a bijection. Fixed, unlike the standard library's
/// hash, so that every agent gives the same epoch.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
