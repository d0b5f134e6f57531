//! Decides which call to the agent comes next; the client behind it makes the calls.
//!
//! After every connection to the agent or to VPP, it first asks for VPP's state, then waits until the
//! controller has decided on that. Only the newest desired state counts: a VIP that changes during its sync
//! is synced once more after it, however often it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::ordmap::DiffItem;
use maglev_protocol::{
    AgentError, ConfReport, LbConfSpec, Liveness, Programmed, StepError, SyncReport, VipKey, VipSpec,
    VppInfo, VppState,
};
use tracing::{debug, info, warn};

use crate::agent::{AgentEvent, CallError};
use crate::desired::{Demand, Demanded, ViewId, Wanted};

/// Maximum number of syncs of single VIPs in flight. The agent runs them one at a time; more would only make
/// its queue longer.
const SYNCS_IN_FLIGHT: usize = 16;
/// Pause before a failed call is retried, plus as much again at random.
const RETRY: Duration = Duration::from_secs(1);
/// Maximum time until a refused step is retried, even if full syncs are rarer: it may become possible once
/// another VIP has changed.
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// A call to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Request VPP's state.
    Programmed,
    /// Set the lb plugin's settings.
    Conf(LbConfSpec),
    /// Bring everything to its desired state.
    All {
        /// The VIPs.
        specs: Vec<Arc<VipSpec>>,
        /// VIPs that stay as they are.
        keep: Vec<VipKey>,
        /// The number of the operator's request that it carries out.
        demanded: Option<u64>,
    },
    /// Bring one VIP to its desired state.
    Vip {
        /// The VIP.
        spec: Arc<VipSpec>,
        /// Operators' requests for it.
        demanded: Option<Demanded>,
    },
}

/// A call, and the look at VPP that it is based on.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The look.
    pub view: ViewId,
    /// The call.
    pub call: Call,
}

/// Answer to a call of the same kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Call::Programmed`].
    Programmed(Result<Programmed, CallError>),
    /// To [`Call::Conf`].
    Conf(Result<ConfReport, CallError>),
    /// To [`Call::All`] and [`Call::Vip`].
    Sync(Result<SyncReport, CallError>),
}

/// Knowledge of VPP.
#[derive(Debug)]
enum Vpp {
    Away,
    /// Connected; its state must be requested at this time.
    Unseen(VppInfo, Instant),
    /// Its state has been requested.
    Asked(VppInfo),
    Seen,
}

/// State of the full sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Due(Instant),
    ConfSent,
    ConfDone,
    AllSent,
}

/// The state machine for one connection to the agent.
#[derive(Debug)]
pub struct Syncs {
    wanted: Arc<Wanted>,
    vpp: Vpp,
    /// Whether VPP is connected but silent: nothing is sent until it answers.
    silent: bool,
    /// The last known generation of VPP's liveness, and when it was received.
    heard: Option<(u64, Instant)>,
    view: ViewId,
    full: Full,
    /// Whether another full sync must follow the current one at once.
    again: bool,
    /// Settings sent with the last full sync.
    conf: Option<LbConfSpec>,
    /// Their effect.
    conf_changed: Option<ConfReport>,
    /// Why they were refused, if they were.
    conf_refused: Option<String>,
    /// VIPs that changed since they were last sent.
    stale: BTreeSet<VipKey>,
    /// VIPs with a sync in flight.
    sent: BTreeSet<VipKey>,
    /// The highest number of a request for a VIP so far.
    demanded: u64,
    /// The last full sync requested.
    full_demanded: Option<u64>,
    /// Process and version of the other brain that is the writer, as last reported by the agent.
    writer: Option<(Option<i32>, String)>,
    /// VIPs that the agent leaves alone, as last reported.
    foreign: Vec<VipKey>,
    /// Why the last sync failed as a whole, if it did.
    failing: Option<String>,
    /// The last refusals for each VIP.
    refused: BTreeMap<VipKey, Vec<StepError>>,
}

impl Syncs {
    /// For a new connection; the first look at VPP gets the id after `last_view`.
    pub fn new(wanted: Arc<Wanted>, last_view: ViewId, now: Instant) -> Self {
        Self {
            demanded: wanted.demands.values().map(|demanded| demanded.number).fold(0, u64::max),
            full_demanded: wanted.full,
            wanted,
            vpp: Vpp::Away,
            silent: false,
            heard: None,
            view: last_view,
            full: Full::Due(now),
            again: false,
            conf: None,
            conf_changed: None,
            conf_refused: None,
            stale: BTreeSet::new(),
            sent: BTreeSet::new(),
            writer: None,
            foreign: Vec::new(),
            failing: None,
            refused: BTreeMap::new(),
        }
    }

    /// The latest look.
    pub fn view(&self) -> ViewId {
        self.view
    }

    /// VPP connected, disconnected or was replaced.
    pub fn vpp_changed(&mut self, info: VppInfo, now: Instant) -> Option<AgentEvent> {
        self.view.0 += 1;
        (self.full, self.again, self.conf) = (Full::Due(now), false, None);
        self.sent.clear();
        match &info.state {
            VppState::Connected { version, pid, .. } => {
                info!(%version, pid, "VPP connected");
                self.vpp = Vpp::Unseen(info, now);
                return None;
            }
            VppState::Disconnected { reason, .. } => warn!(%reason, "VPP disconnected"),
            VppState::Incompatible { version, missing, needs } => {
                let missing = missing.join(" ");
                warn!(%version, %needs, %missing, "VPP is connected, but cannot be programmed");
            }
        }
        self.vpp = Vpp::Away;
        Some(AgentEvent::Vpp { info, programmed: None })
    }

    /// VPP fell silent, or answers again. Empty if already known. A silence that began and ended between two
    /// reports is included, since probes may have failed during it.
    pub fn liveness(&mut self, heard: Liveness, now: Instant) -> Vec<AgentEvent> {
        let Liveness { generation, silent_for } = heard;
        let last = self.heard.replace((generation, now));
        let was_silent = std::mem::replace(&mut self.silent, silent_for.is_some());
        let mut events = Vec::new();
        if let (Some((last, at)), false, None) = (last, was_silent, silent_for)
            && generation != last
        {
            events.push(AgentEvent::Silence { silent_for: Some(now.saturating_duration_since(at)) });
        }
        if was_silent != silent_for.is_some() || !events.is_empty() {
            events.push(AgentEvent::Silence { silent_for });
        }
        events
    }

    /// Sets a new desired state.
    pub fn want(&mut self, wanted: Arc<Wanted>, now: Instant) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        let next = &self.wanted;
        let mut gone = before.keep.iter().any(|key| !next.keep.contains(key) && !next.vips.contains_key(key));
        // VPP has one encapsulation for all VIPs of an address, so it cannot be changed for one VIP alone.
        let mut together = false;
        for change in before.decided.diff(&next.decided) {
            match change {
                DiffItem::Add(key, _) => {
                    self.stale.insert(*key);
                }
                DiffItem::Update { new: (key, _), .. } => {
                    self.stale.insert(*key);
                    let encap = |wanted: &Wanted| wanted.vips.get(key).map(|spec| spec.encap);
                    together |= encap(&before) != encap(next);
                }
                DiffItem::Remove(key, _) => {
                    self.stale.remove(key);
                    gone |= !next.keep.contains(key);
                }
            }
        }
        for (key, demanded) in &next.demands {
            if demanded.number > self.demanded {
                self.stale.insert(*key);
            }
        }
        self.demanded = next.demands.values().map(|demanded| demanded.number).fold(self.demanded, u64::max);
        let demanded = next.full > self.full_demanded;
        self.full_demanded = self.full_demanded.max(next.full);
        // Only a full sync removes VIPs, or changes several together.
        if gone || together || demanded || self.conf.is_some_and(|conf| conf != next.conf) {
            self.full_sync_at(now);
        }
    }

    /// Returns the next call to send now. Call until it returns `None`.
    pub fn next(&mut self, now: Instant) -> Option<Sent> {
        let call = match &self.vpp {
            Vpp::Unseen(info, at) if *at <= now => {
                self.vpp = Vpp::Asked(info.clone());
                Call::Programmed
            }
            Vpp::Seen if self.wanted.view == Some(self.view) && !self.silent => self.next_sync(now)?,
            _ => return None,
        };
        Some(Sent { view: self.view, call })
    }

    fn next_sync(&mut self, now: Instant) -> Option<Call> {
        match self.full {
            Full::ConfSent | Full::AllSent => None,
            Full::ConfDone => {
                self.full = Full::AllSent;
                self.again = self.conf != Some(self.wanted.conf);
                // A full sync does everything except the requests.
                self.stale = self.wanted.demands.keys().copied().collect();
                let specs: Vec<_> = self.wanted.vips.values().map(Arc::clone).collect();
                let keep: Vec<_> = self.wanted.keep.iter().copied().collect();
                debug!(vips = specs.len(), held_back = keep.len(), "full sync");
                Some(Call::All { specs, keep, demanded: self.wanted.full })
            }
            Full::Due(at) if at <= now => {
                if !self.sent.is_empty() {
                    return None;
                }
                self.full = Full::ConfSent;
                self.conf = Some(self.wanted.conf);
                Some(Call::Conf(self.wanted.conf))
            }
            Full::Due(_) => self.next_vip(),
        }
    }

    fn next_vip(&mut self) -> Option<Call> {
        if self.sent.len() >= SYNCS_IN_FLIGHT {
            return None;
        }
        let key = *self.stale.iter().find(|key| !self.sent.contains(key))?;
        self.stale.remove(&key);
        let spec = Arc::clone(self.wanted.vips.get(&key)?);
        let demanded = self.wanted.demands.get(&key).cloned();
        self.sent.insert(key);
        Some(Call::Vip { spec, demanded })
    }

    /// When to call [`Self::next`] again even without an event.
    pub fn due(&self) -> Option<Instant> {
        match (&self.vpp, self.full) {
            (Vpp::Unseen(_, at), _) => Some(*at),
            (Vpp::Seen, Full::Due(at))
                if self.wanted.view == Some(self.view) && self.sent.is_empty() && !self.silent =>
            {
                Some(at)
            }
            _ => None,
        }
    }

    /// Processes an answer; `random` is from 0 to 1.
    ///
    /// # Errors
    /// If the connection to the agent broke.
    pub fn answered(
        &mut self,
        sent: Sent,
        answer: Answer,
        now: Instant,
        random: f64,
    ) -> Result<Option<AgentEvent>, CallError> {
        if let Answer::Programmed(Err(error @ CallError::Away(_)))
        | Answer::Conf(Err(error @ CallError::Away(_)))
        | Answer::Sync(Err(error @ CallError::Away(_))) = &answer
        {
            return Err(error.clone());
        }
        // Results from another VPP, or from before the latest look, say nothing about this one.
        if sent.view != self.view {
            return Ok(None);
        }
        let retry = now + RETRY.mul_f64(1.0 + random);
        Ok(match (sent.call, answer) {
            (Call::Programmed, Answer::Programmed(result)) => self.seen(result, now, retry),
            (Call::Conf(_), Answer::Conf(result)) => self.conf_answered(result, retry),
            (Call::All { specs, demanded, .. }, Answer::Sync(mut result)) => {
                if let Ok(report) = &mut result {
                    report.conf = self.conf_changed.take();
                    if report.conf.as_ref().is_some_and(|conf| conf.drifted) {
                        report.drift.push("the lb settings were changed".to_owned());
                    }
                }
                let refused = result.as_ref().is_ok_and(|report| report.errors().next().is_some());
                let longest = if refused { RETRY_REFUSED } else { Duration::MAX };
                let interval = self.wanted.sync_interval.min(longest).mul_f64(0.9 + 0.2 * random);
                self.full = Full::Due(match result {
                    Ok(_) if self.again => now,
                    Ok(_) => now + interval,
                    Err(_) => retry,
                });
                Some(self.synced(specs, demanded.map(Demand::Full), result))
            }
            (Call::Vip { spec, demanded }, Answer::Sync(result)) => {
                self.sent.remove(&spec.key);
                // A call without an answer may have succeeded; and what VPP refuses for one VIP may be
                // possible together with the others.
                if result.as_ref().map_or(true, |report| report.errors().next().is_some()) {
                    self.full_sync_at(retry);
                }
                let demand = demanded.map(|demanded| Demand::Vip(spec.key, demanded.number));
                Some(self.synced(vec![spec], demand, result))
            }
            _ => None,
        })
    }

    fn seen(
        &mut self,
        result: Result<Programmed, CallError>,
        now: Instant,
        retry: Instant,
    ) -> Option<AgentEvent> {
        let Vpp::Asked(info) = std::mem::replace(&mut self.vpp, Vpp::Seen) else { return None };
        match result {
            Ok(programmed) => {
                self.full = Full::Due(now);
                Some(AgentEvent::Vpp { info, programmed: Some((self.view, programmed)) })
            }
            Err(error) => {
                debug!(%error, "VPP's state is not known yet");
                self.vpp = Vpp::Unseen(info, retry);
                None
            }
        }
    }

    fn conf_answered(&mut self, result: Result<ConfReport, CallError>, retry: Instant) -> Option<AgentEvent> {
        self.full = Full::ConfDone;
        let refused = match result {
            Ok(report) => {
                if report.changed {
                    info!(pinned_flows_lost = report.pinned_flows_lost, "VPP's lb settings changed");
                }
                self.conf_changed = Some(report).filter(|report| report.changed);
                None
            }
            // Tunnels may then have another source than desired, but failover must go on regardless.
            Err(CallError::Agent(
                error @ (AgentError::Refused { .. }
                | AgentError::NotAllowed { .. }
                | AgentError::Contradiction(_)),
            )) => Some(error.to_string()),
            Err(error) => {
                self.full = Full::Due(retry);
                let specs = self.wanted.vips.values().map(Arc::clone).collect();
                return Some(self.synced(specs, self.wanted.full.map(Demand::Full), Err(error)));
            }
        };
        // One line, not one for each full sync.
        if self.conf_refused == refused {
            return None;
        }
        match &refused {
            Some(reason) => warn!(%reason, "lb settings refused; VPP keeps its own"),
            None => info!("lb settings are accepted again"),
        }
        self.conf_refused.clone_from(&refused);
        Some(AgentEvent::Settings { refused })
    }

    fn synced(
        &mut self,
        specs: Vec<Arc<VipSpec>>,
        demanded: Option<Demand>,
        result: Result<SyncReport, CallError>,
    ) -> AgentEvent {
        match &result {
            Ok(report) => self.note_report(&specs, report),
            // One line, not one a second.
            Err(error @ CallError::Agent(AgentError::AnotherWriter { version, pid, .. })) => {
                let writer = Some((*pid, version.clone()));
                if self.writer != writer {
                    self.writer = writer;
                    warn!(%error, "another brain is the writer; standing by");
                }
            }
            // One line for a cause that affects many VIPs.
            Err(error) => {
                let reason = Some(error.to_string());
                if self.failing != reason {
                    self.failing = reason;
                    warn!(%error, "sync failed; retrying");
                }
            }
        }
        AgentEvent::Synced { specs, demanded, result: result.map(Arc::new) }
    }

    fn note_report(&mut self, specs: &[Arc<VipSpec>], report: &SyncReport) {
        if self.writer.take().is_some() {
            info!("the other brain is gone: this one is now the writer");
        }
        for drift in &report.drift {
            warn!(%drift, "drift: VPP differed from what was programmed");
        }
        if self.failing.take().is_some() {
            info!("syncs succeed again");
        }
        // One line, not one for each sync.
        let before: Vec<_> = specs.iter().filter_map(|spec| self.refused.remove_entry(&spec.key)).collect();
        let before = BTreeMap::from_iter(before);
        for vip in report.vips.iter().filter(|vip| !vip.errors.is_empty()) {
            if before.get(&vip.key) != Some(&vip.errors) {
                for error in &vip.errors {
                    warn!(vip = %vip.key, %error, "VIP not programmed as desired; retrying");
                }
            }
            self.refused.insert(vip.key, vip.errors.clone());
        }
        // Only a full read finds foreign VIPs.
        if report.read.is_some() && self.foreign != report.foreign {
            let vips: Vec<_> = report.foreign.iter().map(VipKey::to_string).collect();
            info!(vips = vips.join(", "), "VIPs outside the agent's policy: left alone");
            self.foreign.clone_from(&report.foreign);
        }
    }

    fn full_sync_at(&mut self, at: Instant) {
        if let Full::Due(due) = &mut self.full {
            *due = (*due).min(at);
        } else {
            self.again = true;
        }
    }
}

#[cfg(test)]
mod tests;
