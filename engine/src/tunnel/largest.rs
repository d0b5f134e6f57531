//! Search for the largest packet that passes, over several probes.

use compact_str::format_compact;

use crate::outcome::{ProbeCode, ProbeOutcome};

/// Sizes tried with one probe: three probes find any size exactly.
const AT_ONCE: u16 = 16;
/// One byte less than the smallest size that is tried.
const BELOW: u16 = 63;

/// What is known of the sizes below one that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The size that does not pass.
    full: u16,
    passes: u16,
    fails: u16,
}

impl Search {
    /// Begins below a size that does not pass.
    pub fn below(full: u16) -> Self {
        Self { full, passes: BELOW, fails: full }
    }

    /// Number of sizes that are neither known to pass nor to fail.
    fn unknown(&self) -> u16 {
        self.fails.saturating_sub(self.passes).saturating_sub(1)
    }

    /// Sizes to try next, evenly spread over the unknown ones; once all are known, those that would show that it changed.
    pub fn sizes(&self) -> Vec<u16> {
        let unknown = u32::from(self.unknown());
        if unknown == 0 {
            let sizes = [self.passes, self.fails].into_iter();
            return sizes.filter(|size| *size > BELOW && *size < self.full).collect();
        }
        let count = unknown.min(AT_ONCE.into());
        let nth = |n: u32| u16::try_from(n * (unknown + 1) / (count + 1)).ok();
        (1..=count).filter_map(nth).map(|more| self.passes.saturating_add(more)).collect()
    }

    /// Takes over which sizes passed. A larger one that passes overrules a smaller one that was lost, and newer results
    /// overrule older ones.
    pub fn learn(&mut self, tried: &[(u16, bool)]) {
        let passed = tried.iter().filter(|(size, passed)| *passed && *size > BELOW && *size < self.full);
        let passed = passed.map(|(size, _)| *size).max().unwrap_or(BELOW);
        let is_lost = tried.iter().any(|(size, passed)| !passed && *size <= self.passes);
        if passed >= self.fails || is_lost && passed < self.passes {
            *self = Self { passes: passed, ..Self::below(self.full) };
        }
        self.passes = self.passes.max(passed);
        let failed = tried.iter().filter(|(size, passed)| !passed && *size > self.passes);
        self.fails = failed.map(|(size, _)| *size).min().unwrap_or(self.fails).min(self.fails);
        if self.unknown() == 0 && self.passes == BELOW {
            *self = Self::below(self.full);
        }
    }

    /// The largest size that is known to pass.
    pub fn largest(&self) -> Option<u16> {
        (self.passes > BELOW).then_some(self.passes)
    }
}

/// Goes on with the search for a probe with packets of this size, by its result and that of smaller packets; adds to the
/// result what is known. A pass ends the search.
pub fn search_on(
    search: &mut Option<Search>,
    size: u16,
    outcome: ProbeOutcome,
    tried: &[(u16, bool)],
) -> ProbeOutcome {
    if outcome.code != ProbeCode::L4Tout {
        *search = None;
        return outcome;
    }
    let search = search.get_or_insert_with(|| Search::below(size));
    search.learn(tried);
    let detail = match (search.largest(), search.unknown() == 0) {
        (None, _) => format_compact!("{} to {size} bytes", outcome.detail),
        (Some(largest), true) => {
            format_compact!(
                "{} to {size} bytes; the largest packet that passes has {largest}",
                outcome.detail
            )
        }
        (Some(some), false) => format_compact!("{} to {size} bytes; {some} bytes pass", outcome.detail),
    };
    ProbeOutcome { detail, ..outcome }
}

#[cfg(test)]
mod tests;
