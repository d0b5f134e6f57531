//! What was: packet rates of frontends, and how long backends' probes took.

use std::collections::{BTreeMap, VecDeque};

use maglev_proto::{ProbeResult, VipCounters};

use crate::rows::{rounded, to_f64};
use serde_json::{Value, json};

/// Time between two samples of VPP's counters, in seconds.
pub(crate) const PERIOD: u64 = 5;
/// Fifteen minutes of samples.
const SAMPLES: usize = 15 * 60 / 5;
/// Counters that are apart less than this, in milliseconds, are of one reading.
const SAME_MS: u64 = 500;
/// Probes of a backend that are remembered.
const PROBES: usize = 120;

/// Packets and new flows of a frontend, each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) packets: f64,
    pub(crate) new_flows: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    at_ms: u64,
    packets: u64,
    new_flows: u64,
}

/// The history of one frontend's traffic.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    last: Option<Counted>,
    rates: VecDeque<(u64, Rate)>,
}

impl Traffic {
    /// Takes VPP's counters of a moment; the rate since those before, if there is one.
    pub(crate) fn count(&mut self, at_ms: u64, vip: &VipCounters) -> Option<Rate> {
        let packets = [vip.existing_sessions, vip.first_session, vip.untracked, vip.no_server]
            .iter()
            .fold(0, |sum: u64, next| sum.saturating_add(*next));
        let counted = Counted { at_ms, packets, new_flows: vip.first_session };
        // The brain reads VPP at most once a second for all who ask: this is what was counted already.
        if self.last.is_some_and(|last| at_ms.abs_diff(last.at_ms) < SAME_MS) {
            return None;
        }
        let before = self.last.replace(counted)?;
        let seconds = to_f64(at_ms.checked_sub(before.at_ms).filter(|passed| *passed > 0)?) / 1e3;
        // They begin again at 0 when the VIP is re-created.
        let since = |now: u64, before: u64| Some(to_f64(now.checked_sub(before)?) / seconds);
        let rate = Rate {
            packets: since(counted.packets, before.packets)?,
            new_flows: since(counted.new_flows, before.new_flows)?,
        };
        if self.rates.len() == SAMPLES {
            self.rates.pop_front();
        }
        self.rates.push_back((at_ms, rate));
        Some(rate)
    }

    /// `[time, packets, new flows]` of each sample.
    pub(crate) fn samples(&self) -> Value {
        self.rates
            .iter()
            .map(|(at, rate)| json!([at, rounded(rate.packets), rounded(rate.new_flows)]))
            .collect()
    }
}

/// The history of one backend's probes: when, how long, and the code of one that failed.
#[derive(Debug, Default)]
pub(crate) struct Probes(VecDeque<(u64, f32, bool)>);

impl Probes {
    /// Remembers a probe, if it is a newer one.
    #[allow(clippy::cast_possible_truncation, reason = "a time to be drawn")]
    pub(crate) fn add(&mut self, probe: &ProbeResult) {
        if self.0.back().is_some_and(|last| last.0 >= probe.at_unix_ms) {
            return;
        }
        if self.0.len() == PROBES {
            self.0.pop_front();
        }
        self.0.push_back((probe.at_unix_ms, probe.duration_ms as f32, probe.passed));
    }

    /// `[time, milliseconds, whether it passed]` of each probe.
    pub(crate) fn samples(&self) -> Value {
        self.0.iter().map(|(at, took, passed)| json!([at, rounded(f64::from(*took)), passed])).collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Histories {
    pub(crate) traffic: BTreeMap<String, Traffic>,
    pub(crate) probes: BTreeMap<String, Probes>,
}

#[cfg(test)]
mod tests;
