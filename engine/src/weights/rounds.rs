//! A model of how VPP's table distributes buckets in rounds, which bounds the error of every backend's share.
//!
//! A backend of weight w is w times in the table's list, as replicas 0 to w - 1; the list is sorted by
//! replica, then by address. Its entries take one bucket each, round after round, until all are taken
//! (measured on VPP 26.10). With weights that add up to S, a table of M buckets has M / S whole rounds, which
//! are exact, and M mod S further buckets, which go to the low replicas first: these are the whole error. The
//! bounds here hold for any addresses.

use std::collections::BTreeMap;

use super::percent::Percent;

/// Tolerated error of a backend's share, as a fraction of it: one in this many, or one bucket if that is
/// more.
const TOLERANCE: u64 = 100;
/// The largest weight.
const MAX_WEIGHT: u8 = 100;

/// Number of backends of a pool for each weight above 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Histogram(BTreeMap<u8, u64>);

impl FromIterator<u8> for Histogram {
    fn from_iter<T: IntoIterator<Item = u8>>(weights: T) -> Self {
        let mut counts = BTreeMap::new();
        for weight in weights.into_iter().filter(|&weight| weight > 0) {
            *counts.entry(weight.min(MAX_WEIGHT)).or_default() += 1;
        }
        Self(counts)
    }
}

/// Totals of the backends up to some weight.
#[derive(Debug, Clone, Copy, Default)]
struct UpTo {
    count: u64,
    sum: u64,
}

impl Histogram {
    /// The distinct weights.
    pub(super) fn weights(&self) -> impl Iterator<Item = u8> {
        self.0.keys().copied()
    }

    /// Sum of all weights.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|(&weight, count)| u64::from(weight) * count).sum()
    }

    /// The same backends with converted weights.
    pub(super) fn map(&self, programmed: impl Fn(u8) -> u8) -> Self {
        let mut counts = BTreeMap::new();
        for (&weight, count) in &self.0 {
            *counts.entry(programmed(weight)).or_default() += count;
        }
        Self(counts)
    }

    /// Table length from which every backend gets its share within 1 % or one bucket, whichever others are
    /// out of service, and whatever the addresses.
    pub(super) fn exact_from(&self) -> u64 {
        let cumulated = self.cumulated();
        let up_to = |weight: u64| {
            let index = usize::try_from(weight.min(MAX_WEIGHT.into())).ok();
            index.and_then(|index| cumulated.get(index)).copied().unwrap_or_default()
        };
        let most = self.0.keys().map(|&weight| {
            let weight = u64::from(weight);
            let over = above_share(weight, up_to);
            (0..weight).map(|rounds| below_share(weight, rounds, up_to)).fold(over, u64::max)
        });
        most.max().unwrap_or(0)
    }

    fn cumulated(&self) -> Vec<UpTo> {
        let mut sofar = UpTo::default();
        let each = (0..=MAX_WEIGHT).map(|weight| {
            let count = self.0.get(&weight).copied().unwrap_or(0);
            sofar.count += count;
            sofar.sum += count * u64::from(weight);
            sofar
        });
        each.collect()
    }

    /// Maximum error of a backend's share of buckets, with all backends of the pool in a table of `length`
    /// buckets: in percent of its configured share, and 0 if it is within 1 % or one bucket.
    pub(super) fn worst_error(&self, programmed: impl Fn(u8) -> u8, length: u32) -> Percent {
        let length = u64::from(length);
        let sum = self.sum();
        let shown = self.map(&programmed);
        let programmed_sum = shown.sum();
        if programmed_sum == 0 {
            return Percent::ZERO;
        }
        let rounds = length / programmed_sum;
        let (whole, rest) = shown.replicas_in(length % programmed_sum);
        let errors = self.0.keys().map(|&weight| {
            let (configured, programmed) = (u64::from(weight), u64::from(programmed(weight)));
            let least = rounds * programmed + programmed.min(whole);
            let most = least + u64::from(rest && programmed > whole);
            error(least, configured, sum, length).max(error(most, configured, sum, length))
        });
        errors.max().unwrap_or(Percent::ZERO)
    }

    /// How many replicas of every backend that has so many are among the first `buckets` entries of the list,
    /// and whether some have one more.
    fn replicas_in(&self, buckets: u64) -> (u64, bool) {
        let (mut left, mut whole) = (buckets, 0);
        let mut backends: u64 = self.0.values().sum();
        for (&weight, count) in &self.0 {
            let replicas = u64::from(weight) - whole;
            if replicas * backends > left {
                return (whole + left / backends, left % backends > 0);
            }
            left -= replicas * backends;
            whole += replicas;
            backends -= count;
        }
        (whole, false)
    }
}

/// Error of a backend with `buckets` of `length`, where `configured` of `sum` would be right.
fn error(buckets: u64, configured: u64, sum: u64, length: u64) -> Percent {
    // In buckets, times `sum`.
    let right = length * configured;
    let off = (buckets * sum).abs_diff(right);
    if off <= sum || off * TOLERANCE <= right { Percent::ZERO } else { Percent::of(off, right) }
}

/// Table length from which a backend of this weight never gets too much.
///
/// It gets most when the surplus buckets end with its last entry, and it precedes its equals: each of the
/// others then lacks (their weight - its own), and its equals and betters one more. That sum, divided by the
/// table's length, is the relative error, so more backends only raise it. In buckets, no choice of others can
/// bring it above one if (weight - 1) x sum of (their weight - its own) is at most its weight.
fn above_share(weight: u64, up_to: impl Fn(u64) -> UpTo) -> u64 {
    let (all, lighter, equal) = (up_to(MAX_WEIGHT.into()), up_to(weight - 1), up_to(weight));
    let lead = (all.sum - equal.sum) - weight * (all.count - equal.count);
    if (weight - 1) * lead <= weight {
        return 0;
    }
    TOLERANCE * (lead + all.count - lighter.count - 1)
}

/// Table length from which a backend of this weight never gets too little because, after `rounds` of its
/// entries, it had to wait for the next entry of all the others.
///
/// Another backend of weight v is then min(v, rounds + 1) - rounds x v / weight ahead. Summed up over all for
/// which that is above 0 and divided by the table's length, that is the relative error with the worst choice
/// of others.
fn below_share(weight: u64, rounds: u64, up_to: impl Fn(u64) -> UpTo) -> u64 {
    let (light, lighter, all) = (up_to(rounds + 1), up_to(weight - 1), up_to(MAX_WEIGHT.into()));
    // Error in buckets, minus one bucket: above 0 for some choice of others only if this is above `weight`.
    let between =
        UpTo { count: lighter.count.saturating_sub(light.count), sum: lighter.sum.saturating_sub(light.sum) };
    let lag = (weight - rounds - 1) * light.sum + (rounds + 1) * (weight * between.count - between.sum);
    if lag <= weight {
        return 0;
    }
    // Those with rounds x v < weight x (rounds + 1).
    let ahead = (weight * (rounds + 1) - 1).checked_div(rounds).map_or(all, up_to);
    let heavy = UpTo { count: ahead.count - light.count, sum: ahead.sum - light.sum };
    // Everything times `weight`; the backend itself was counted among the others.
    let lead =
        (weight - rounds) * light.sum + (rounds + 1) * weight * heavy.count - rounds * heavy.sum - weight;
    (TOLERANCE * lead).div_ceil(weight)
}

#[cfg(test)]
mod tests;
