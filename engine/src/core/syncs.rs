//! Progress of the desired state in VPP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_protocol::{AgentError, AgentInfo, Programmed, SyncReport, VipSpec, VppInfo, VppState};
use tracing::{debug, warn};

use super::absence::has_just_started;
use super::frontends::Frontends;
use super::{Core, Effects, Ended, InVpp, Now, SyncNote};
use crate::agent::{AgentEvent, CallError};
use crate::desired::{Demand, ViewId};
use crate::snapshot::{AgentProcess, SyncStatus};
use crate::vpp_faults;

impl Core {
    pub(super) fn agent_event(&mut self, event: AgentEvent, now: Now) -> Effects {
        let mut effects = Effects { state: true, ..Effects::default() };
        let before = Arc::clone(&self.agent);
        self.routes.watch(&event);
        match event {
            AgentEvent::Connected { version, protocol, info } => {
                let AgentInfo { pid, started, no_echo, policy } = info;
                let agent = Arc::make_mut(&mut self.agent);
                agent.connection = Ok(version);
                agent.lost = None;
                agent.connections += 1;
                // A start time that the clock cannot represent is ignored.
                let started = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(started));
                let started = started.unwrap_or(SystemTime::UNIX_EPOCH);
                agent.process =
                    Some(AgentProcess { protocol, pid, started, connected: now.wall, no_echo, policy });
                self.tally.count_agent(now.wall);
            }
            AgentEvent::Disconnected { reason } => {
                let agent = Arc::make_mut(&mut self.agent);
                if agent.connection.is_ok() {
                    agent.lost = Some(now.wall);
                }
                agent.connection = Err(reason);
                agent.process = None;
                agent.vpp = None;
                agent.settings_refused = None;
                self.vpp_lost(&mut effects);
                self.tell_that_vpp_is_away(&mut effects);
                self.vpp_unwatched(now);
            }
            AgentEvent::Vpp { info, programmed } => self.vpp_changed(info, programmed, now, &mut effects),
            AgentEvent::Silence { silent_for: Some(silent) } => self.vpp_left(silent, now, &mut effects),
            AgentEvent::Silence { silent_for: None } => {
                if self
                    .agent
                    .vpp
                    .as_ref()
                    .is_some_and(|(vpp, _)| matches!(vpp.state, VppState::Connected { .. }))
                {
                    self.vpp_returned(false, now, &mut effects);
                }
            }
            AgentEvent::Settings { refused } => {
                Arc::make_mut(&mut self.agent).settings_refused = refused;
            }
            AgentEvent::Synced { specs, demanded, result } => {
                match &result {
                    Ok(report) => {
                        self.tally.count_sync(report);
                        self.synced(&specs, report, now, &mut effects);
                    }
                    Err(error) => {
                        self.tally.failed_syncs.add(1);
                        let reason = error.to_string();
                        for spec in &specs {
                            self.set_sync(spec, SyncStatus::Failed(reason.clone()), now, &mut effects);
                        }
                    }
                }
                if let Some(demand) = demanded {
                    self.demand_answered(demand, &result, &mut effects);
                }
            }
        }
        // The event first, then its consequences.
        let mut told = self.tell_agent(&before);
        told.merge(effects);
        told
    }

    fn vpp_changed(
        &mut self,
        info: VppInfo,
        programmed: Option<(ViewId, Programmed)>,
        now: Now,
        effects: &mut Effects,
    ) {
        self.vpp_lost(effects);
        match &info.state {
            VppState::Disconnected { silent_ms, .. } => {
                self.vpp_left(Duration::from_millis(*silent_ms), now, effects);
            }
            VppState::Incompatible { .. } => self.vpp_returned(false, now, effects),
            VppState::Connected { version, pid, boot_time, .. } => {
                for fault in vpp_faults::of(version, &self.config) {
                    warn!(%version, fault = fault.what, remedy = fault.remedy, "this VPP has a known fault");
                }
                self.tally.vpp_connections.add(1);
                let restarted = self.vpp_lives.is_another(*pid, *boot_time);
                self.tally.vpp_restarts.add(restarted.into());
                let young = has_just_started(*boot_time, now.wall);
                self.vpp_returned(restarted || young, now, effects);
            }
        }
        Arc::make_mut(&mut self.agent).vpp = Some((info, now.wall));
        match programmed {
            Some((view, programmed)) => {
                Arc::make_mut(&mut self.agent).dialect = Some(programmed.dialect);
                self.vpp_seen(view, programmed, now, effects);
            }
            None => self.tell_that_vpp_is_away(effects),
        }
    }

    fn tell_that_vpp_is_away(&mut self, effects: &mut Effects) {
        let reason = self.agent.why_not_programmed();
        let away = |demand| Ended { demand, in_vpp: InVpp::Away(reason.clone()), report: None };
        effects.ended.extend(self.orders.put_off().into_iter().map(away));
    }

    fn demand_answered(
        &mut self,
        demand: Demand,
        result: &Result<Arc<SyncReport>, CallError>,
        effects: &mut Effects,
    ) {
        let (in_vpp, report) = match result {
            Ok(report) => {
                let Some(in_vpp) = self.orders.answered(demand, report) else { return };
                effects.wanted = true;
                (in_vpp, Some(Arc::clone(report)))
            }
            // VPP's return will trigger a retry.
            Err(CallError::Agent(error @ (AgentError::NoVpp { .. } | AgentError::Incompatible { .. }))) => {
                (InVpp::Away(error.to_string()), None)
            }
            // Retried like any failed sync.
            Err(CallError::Agent(error)) => (InVpp::Refused(format!("{error}; will be retried")), None),
            // A call without an answer may have succeeded. It is retried, and may be answered in time.
            Err(CallError::Away(_) | CallError::Busy | CallError::Timeout) => return,
        };
        effects.ended.push(Ended { demand, in_vpp, report });
    }

    fn synced(&mut self, specs: &[Arc<VipSpec>], report: &SyncReport, now: Now, effects: &mut Effects) {
        // Only a full read finds foreign VIPs.
        if report.read.is_some() && self.agent.foreign != report.foreign {
            Arc::make_mut(&mut self.agent).foreign.clone_from(&report.foreign);
        }
        if !report.drift.is_empty() {
            Arc::make_mut(&mut self.agent).drift.add(now.wall, &report.drift);
        }
        for spec in specs {
            let vip = report.vips.binary_search_by_key(&spec.key, |vip| vip.key).ok();
            let vip = vip.and_then(|index| report.vips.get(index));
            let error = vip.and_then(|vip| vip.errors.first());
            let status = match error {
                Some(error) => SyncStatus::Failed(error.to_string()),
                None => SyncStatus::Synced,
            };
            if error.is_none() {
                self.routes.acknowledged(spec);
            }
            let kept = vip.and_then(|vip| vip.table_length).map(|kept| kept.has);
            let length = kept.or(error.is_none().then_some(spec.new_flows_table_length));
            let rescale = length.is_some_and(|length| self.known.take_table_length(spec.key, length));
            self.set_sync(spec, status, now, effects);
            if rescale && let Some(name) = self.frontends.name_of(&spec.key).map(Arc::clone) {
                self.rescale(&name, now, effects);
            }
        }
    }

    fn set_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus, now: Now, effects: &mut Effects) {
        let name = self.frontends.name_of(&spec.key).map(Arc::clone);
        let error = |frontends: &Frontends| match &frontends.get(name.as_deref()?)?.sync {
            SyncStatus::Failed(reason) => Some(reason.clone()),
            SyncStatus::HeldBack | SyncStatus::Pending | SyncStatus::Synced => None,
        };
        let before = error(&self.frontends);
        if let Some(since) = self.frontends.take_sync(spec, status) {
            let took = now.mono.saturating_duration_since(since);
            self.tally.event_to_vpp.observe(took);
            debug!(vip = %spec.key, took_us = took.as_micros(), "VPP has acknowledged the decision");
        }
        let error = error(&self.frontends);
        if error != before
            && let Some(frontend) = name
        {
            effects.syncs.push(SyncNote { frontend, error });
        }
    }
}
