//! Prometheus counters, kept next to the state they describe.
//!
//! The controller only increments relaxed atomics. Readers get the counters through a snapshot; those of
//! something that a reload removed end with the last snapshot that has it.

mod histogram;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maglev_protocol::{Change, SyncReport};

pub use histogram::{Histogram, Reading};

use crate::health::State;
use crate::outcome::{LastProbe, ProbeCode, Verdict};

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a backend changed to each state, for as long as it is the same server. A counter may wrap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transitions([u32; State::Removed as usize + 1]);

impl Transitions {
    /// Counts a change to this state.
    pub fn count(&mut self, to: State) {
        if let Some(count) = self.0.get_mut(to as usize) {
            *count = count.wrapping_add(1);
        }
    }

    /// Number of changes to this state.
    pub fn to(&self, to: State) -> u32 {
        self.0.get(to as usize).copied().unwrap_or(0)
    }
}

/// Counters and latest probe of one check of a backend. There are tens of thousands of these, so counters have 32 bits:
/// enough for ten probes a second for 13 years, and a counter may wrap.
///
/// Nearly all probes change nothing but these, so they are not part of what a snapshot has copies of.
#[derive(Default)]
pub struct ProbeTally {
    latest: Mutex<Latest>,
    probes: [AtomicU32; ProbeCode::ALL.len()],
}

#[derive(Default)]
struct Latest {
    probe: Option<LastProbe>,
    /// Set while passes change nothing but these counters; holds those of the check over all backends.
    settled: Option<Arc<CheckTally>>,
}

impl ProbeTally {
    /// The same counters, without a probe by the current check.
    pub fn anew(&self) -> Self {
        let probes = ProbeCode::ALL.map(|code| self.probes(code).into());
        Self { latest: Mutex::default(), probes }
    }

    /// The latest probe, if there was one by the current check.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.latest().probe.clone()
    }

    /// Counts a probe of the current check, in the check's counters as well. Returns the verdict before, if there was one.
    pub(crate) fn take(&self, probe: LastProbe, check: Option<&CheckTally>) -> Option<Verdict> {
        self.put(&mut self.latest().probe, probe, check)
    }

    /// Counts a probe, if it is a pass like the one before and that one changed nothing, so that this one need not be
    /// decided on. Otherwise returns it.
    ///
    /// # Errors
    /// The probe, which changes more than counters.
    pub fn take_repeated(&self, probe: LastProbe) -> Result<(), LastProbe> {
        let Latest { probe: latest, settled } = &mut *self.latest();
        let is_plain = probe.outcome.passed() && probe.outcome.asked.is_none();
        let Some(check) = settled.as_deref().filter(|_| is_plain) else { return Err(probe) };
        self.put(latest, probe, Some(check));
        Ok(())
    }

    /// Lets passes be taken without a decision, from a pass that changed nothing until [`unsettle`](Self::unsettle).
    pub(crate) fn settle(&self, check: &Arc<CheckTally>) {
        self.latest().settled = Some(Arc::clone(check));
    }

    /// Lets the next pass be decided on: something that its decision depends on has changed.
    pub(crate) fn unsettle(&self) {
        self.latest().settled = None;
    }

    fn put(
        &self,
        latest: &mut Option<LastProbe>,
        probe: LastProbe,
        check: Option<&CheckTally>,
    ) -> Option<Verdict> {
        let code = probe.outcome.code;
        if let Some(count) = self.probes.get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(check) = check.filter(|_| code.verdict() != Verdict::NotKnown) {
            check.durations.observe(probe.outcome.duration);
        }
        latest.replace(probe).map(|before| before.outcome.code.verdict())
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of probes with this result.
    pub fn probes(&self, code: ProbeCode) -> u32 {
        self.probes.get(code as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for ProbeTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probes = ProbeCode::ALL.into_iter().map(|code| (code, self.probes(code)));
        f.debug_map().entries(probes.filter(|(_, count)| *count > 0)).finish_non_exhaustive()
    }
}

/// Bucket bounds for probe durations, in microseconds: from a server on the same switch to the longest
/// timeouts.
const PROBE_BOUNDS_US: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
/// Bucket bounds for the time from an event to VPP's acknowledgement, in microseconds: from a sync of one
/// VIP, which takes less than a millisecond, to a VPP that was disconnected for a minute.
const EVENT_BOUNDS_US: &[u64] = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Counters of one health check, over all of its backends.
#[derive(Debug)]
pub struct CheckTally {
    /// Durations of probes that have a verdict.
    pub durations: Histogram,
}

impl Default for CheckTally {
    fn default() -> Self {
        Self { durations: Histogram::new(PROBE_BOUNDS_US) }
    }
}

/// Counters of all health checks, by name.
pub type CheckTallies = BTreeMap<String, Arc<CheckTally>>;

/// A kind of write to VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A server was added.
    Added,
    /// A server was removed.
    Removed,
    /// A server's weight was changed.
    Reweighted,
    /// A server was flushed, without a change of weight.
    Flushed,
    /// A VIP was added.
    VipAdded,
    /// A VIP was removed.
    VipRemoved,
    /// A VIP was removed in order to re-create it.
    VipRecreated,
    /// A VIP was flushed.
    VipFlushed,
}

impl StepKind {
    /// All of them.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Added, "added"),
        (Self::Removed, "removed"),
        (Self::Reweighted, "reweighted"),
        (Self::Flushed, "flushed"),
        (Self::VipAdded, "vip_added"),
        (Self::VipRemoved, "vip_removed"),
        (Self::VipRecreated, "vip_recreated"),
        (Self::VipFlushed, "vip_flushed"),
    ];

    /// The kind of a write, and whether it flushed.
    fn of(change: &Change) -> (Self, bool) {
        match change {
            Change::VipAdded => (Self::VipAdded, false),
            Change::VipRemoved => (Self::VipRemoved, false),
            Change::VipRecreated { .. } => (Self::VipRecreated, false),
            Change::ServerAdded { .. } => (Self::Added, false),
            Change::ServerRemoved { flushed, .. } => (Self::Removed, *flushed),
            Change::Reweighted { flushed, .. } => (Self::Reweighted, *flushed),
            Change::Flushed { .. } => (Self::Flushed, true),
            Change::VipFlushed => (Self::VipFlushed, false),
        }
    }
}

/// Answered syncs, by result.
#[derive(Debug, Default)]
pub struct SyncCounts {
    /// Without errors.
    pub ok: Count,
    /// With a refused step.
    pub refused: Count,
}

/// Operators' commands, as labels of their counter.
pub const COMMANDS: [&str; 11] = [
    "pause",
    "resume",
    "disable",
    "enable",
    "clear",
    "set_weight",
    "clear_weight",
    "recreate",
    "sync",
    "drain_lb",
    "undrain_lb",
];

/// Counters of the brain as a whole.
#[derive(Debug)]
pub struct BrainTally {
    steps: [Count; StepKind::ALL.len()],
    /// Flushed servers, by whatever kind of step.
    pub flushes: Count,
    /// Steps refused by VPP.
    pub step_errors: Count,
    /// Syncs of single VIPs.
    pub vip_syncs: SyncCounts,
    /// Full syncs, which read VPP.
    pub full_syncs: SyncCounts,
    /// Syncs without an answer, or refused by the agent.
    pub failed_syncs: Count,
    /// Drift: differences that full reads found between VPP and the agent's mirror.
    pub drift: Count,
    /// Time from a decision, or from the probe behind it, to VPP's acknowledgement.
    pub event_to_vpp: Histogram,
    /// Connections to the agent.
    pub agent_connections: Count,
    agent_since_ms: AtomicU64,
    /// How often VPP was found ready: after it connected, and after each connection to the agent.
    pub vpp_connections: Count,
    /// How often VPP was another process than before.
    pub vpp_restarts: Count,
    /// Foreign VIPs plus 1; 0 if unknown.
    foreign: AtomicU64,
    commands: [[Count; 2]; COMMANDS.len()],
    /// Successful reloads.
    pub reloads: Count,
    /// Refused reloads.
    pub refused_reloads: Count,
    newest_config_refused: AtomicBool,
    overrides_lost: AtomicBool,
    history_unwritten: AtomicBool,
    /// Records of the history that were lost, since the disk was too slow.
    pub history_lost: Count,
    config_since_ms: AtomicU64,
    config_given_up: AtomicBool,
    confirm_until_ms: AtomicU64,
    /// How often the guard found more backends going down at once than it may.
    pub guard_trips: Count,
}

impl Default for BrainTally {
    fn default() -> Self {
        Self {
            steps: Default::default(),
            flushes: Count::default(),
            step_errors: Count::default(),
            vip_syncs: SyncCounts::default(),
            full_syncs: SyncCounts::default(),
            failed_syncs: Count::default(),
            drift: Count::default(),
            event_to_vpp: Histogram::new(EVENT_BOUNDS_US),
            agent_connections: Count::default(),
            agent_since_ms: AtomicU64::default(),
            vpp_connections: Count::default(),
            vpp_restarts: Count::default(),
            foreign: AtomicU64::default(),
            commands: Default::default(),
            reloads: Count::default(),
            refused_reloads: Count::default(),
            newest_config_refused: AtomicBool::default(),
            overrides_lost: AtomicBool::new(false),
            history_unwritten: AtomicBool::new(false),
            history_lost: Count::default(),
            config_since_ms: AtomicU64::default(),
            config_given_up: AtomicBool::default(),
            confirm_until_ms: AtomicU64::default(),
            guard_trips: Count::default(),
        }
    }
}

impl BrainTally {
    /// Counts an answered sync.
    pub fn count_sync(&self, report: &SyncReport) {
        let syncs = if report.read.is_some() { &self.full_syncs } else { &self.vip_syncs };
        let mut errors = 0;
        for vip in &report.vips {
            errors += vip.errors.len() as u64;
            for (kind, flushed) in vip.changes.iter().map(StepKind::of) {
                if let Some(count) = self.steps.get(kind as usize) {
                    count.add(1);
                }
                self.flushes.add(flushed.into());
            }
        }
        self.step_errors.add(errors);
        if errors == 0 {
            syncs.ok.add(1)
        } else {
            syncs.refused.add(1)
        }
        self.drift.add(report.drift.len() as u64);
        // Only a full read finds foreign VIPs.
        if report.read.is_some() {
            self.foreign.store(report.foreign.len() as u64 + 1, Ordering::Relaxed);
        }
    }

    /// Number of writes of this kind that VPP acknowledged.
    pub fn steps(&self, kind: StepKind) -> u64 {
        self.steps.get(kind as usize).map_or(0, Count::get)
    }

    /// Counts a connection to the agent at `at`.
    pub fn count_agent(&self, at: SystemTime) {
        self.agent_connections.add(1);
        self.agent_since_ms.store(unix_ms(at), Ordering::Relaxed);
    }

    /// Time of the last connection to the agent, since 1970; zero if there was none.
    pub fn agent_since(&self) -> Duration {
        Duration::from_millis(self.agent_since_ms.load(Ordering::Relaxed))
    }

    /// Sets the number of foreign VIPs to unknown.
    pub fn forget_foreign(&self) {
        self.foreign.store(0, Ordering::Relaxed);
    }

    /// Number of VIPs in VPP outside the agent's policy, if known.
    pub fn foreign(&self) -> Option<u64> {
        self.foreign.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Counts an operator's command, one of [`COMMANDS`], as executed or refused.
    pub fn count_command(&self, command: &str, done: bool) {
        let place = COMMANDS.iter().position(|known| *known == command);
        if let Some([carried_out, refused]) = place.and_then(|place| self.commands.get(place)) {
            if done { carried_out.add(1) } else { refused.add(1) }
        }
    }

    /// Every command, with the numbers of executions and refusals.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        COMMANDS
            .into_iter()
            .zip(&self.commands)
            .map(|(command, [done, refused])| (command, done.get(), refused.get()))
    }

    /// Sets whether the latest overrides would survive a restart.
    pub fn set_overrides_kept(&self, kept: bool) {
        self.overrides_lost.store(!kept, Ordering::Relaxed);
    }

    /// Whether the latest overrides would survive a restart.
    pub fn overrides_kept(&self) -> bool {
        !self.overrides_lost.load(Ordering::Relaxed)
    }

    /// Sets whether the newest records of the history are on the disk.
    pub fn set_history_written(&self, written: bool) {
        self.history_unwritten.store(!written, Ordering::Relaxed);
    }

    /// Whether the newest records of the history are on the disk.
    pub fn history_written(&self) -> bool {
        !self.history_unwritten.load(Ordering::Relaxed)
    }

    /// Records the time of a successful load.
    pub fn take_config(&self, at: SystemTime) {
        self.config_since_ms.store(unix_ms(at), Ordering::Relaxed);
        self.newest_config_refused.store(false, Ordering::Relaxed);
    }

    /// Counts a refused configuration.
    pub fn refuse_config(&self) {
        self.refused_reloads.add(1);
        self.newest_config_refused.store(true, Ordering::Relaxed);
    }

    /// Records whether an earlier configuration than that of the file is in use, and until when it must be confirmed, in Unix
    /// milliseconds; 0: it need not be.
    pub fn set_applied_config(&self, other_than_file: bool, confirm_until_ms: u64) {
        self.config_given_up.store(other_than_file, Ordering::Relaxed);
        self.confirm_until_ms.store(confirm_until_ms, Ordering::Relaxed);
    }

    /// Whether an earlier configuration than that of the file is in use.
    pub fn is_config_rolled_back(&self) -> bool {
        self.config_given_up.load(Ordering::Relaxed)
    }

    /// When the configuration goes back unless it is confirmed, since 1970; `None` if it does not.
    pub fn confirm_until(&self) -> Option<Duration> {
        Some(self.confirm_until_ms.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Duration::from_millis)
    }

    /// Time of the last successful load, since 1970; and whether the last attempt succeeded.
    pub fn config(&self) -> (Duration, bool) {
        let since = Duration::from_millis(self.config_since_ms.load(Ordering::Relaxed));
        (since, !self.newest_config_refused.load(Ordering::Relaxed))
    }
}

/// Distinguishes a restarted VPP from a reconnected one.
#[derive(Debug, Clone, Default)]
pub struct VppLives {
    last: Option<(u32, Option<u64>)>,
}

impl VppLives {
    /// Records a VPP with this process id and start time, in Unix seconds; returns whether it is another one
    /// than the last.
    pub fn is_another(&mut self, pid: u32, boot_time: Option<u64>) -> bool {
        let Some((last_pid, last_boot)) = self.last.replace((pid, boot_time)) else { return false };
        // The start time comes from the stats segment, which may not be readable.
        let other_start = boot_time.zip(last_boot).is_some_and(|(now, before)| now != before);
        pid != last_pid || other_start
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
