//! How far VPP has come with what it shall have.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Programmed, SyncReport, VipSpec, VppInfo, VppState};
use tracing::debug;

use super::{Core, Effects, Ended, Now};
use crate::agent::AgentEvent;
use crate::controller::snapshot::SyncStatus;
use crate::desired::ViewId;

impl Core {
    pub(super) fn agent_event(&mut self, event: AgentEvent, now: Now) -> Effects {
        let mut effects = Effects { state: true, ..Effects::default() };
        let before = Arc::clone(&self.agent);
        match event {
            AgentEvent::Connected { version } => Arc::make_mut(&mut self.agent).connection = Ok(version),
            AgentEvent::Disconnected { reason } => {
                let agent = Arc::make_mut(&mut self.agent);
                agent.connection = Err(reason);
                agent.vpp = None;
                self.vpp_lost(&mut effects);
                self.vpp_unwatched(now);
            }
            AgentEvent::Vpp { info, programmed } => self.vpp_changed(info, programmed, now, &mut effects),
            AgentEvent::Synced { specs, demanded, result } => {
                match &result {
                    Ok(report) => self.synced(&specs, report, now, &mut effects),
                    Err(reason) => {
                        for spec in &specs {
                            self.set_sync(spec, SyncStatus::Failed(reason.clone()), now);
                        }
                    }
                }
                // A demand without an answer is made again.
                if let (Some(number), Ok(report)) = (demanded, &result) {
                    self.demand_ended(number, report, &mut effects);
                }
            }
        }
        // First what happened, then what follows from it.
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
            VppState::Incompatible { .. } | VppState::Connected { .. } => self.vpp_returned(now),
        }
        Arc::make_mut(&mut self.agent).vpp = Some((info, now.wall));
        if let Some((view, programmed)) = programmed {
            self.vpp_seen(view, programmed, now, effects);
        }
    }

    fn demand_ended(&mut self, number: u64, report: &SyncReport, effects: &mut Effects) {
        let mut demands = self.wanted.demands.iter();
        // One that was added to meanwhile is made again as a whole.
        let Some(key) = demands.find(|(_, demanded)| demanded.number == number).map(|(key, _)| *key) else {
            return;
        };
        self.wanted.demands.remove(&key);
        effects.wanted = true;
        let error = report.errors().find(|(vip, _)| **vip == key);
        let result = error.map_or(Ok(()), |(_, error)| Err(format!("{}: {}", error.step, error.meaning)));
        effects.ended.push(Ended { vip: key, number, result });
    }

    /// What VPP has is not known any more.
    pub(super) fn forget_syncs(&mut self) {
        for name in self.by_vip.values() {
            let view = self.frontends.get_mut(name).filter(|view| view.sync != SyncStatus::HeldBack);
            if let Some(view) = view {
                Arc::make_mut(view).sync = SyncStatus::Pending;
            }
        }
    }

    fn synced(&mut self, specs: &[Arc<VipSpec>], report: &SyncReport, now: Now, effects: &mut Effects) {
        for spec in specs {
            let vip = report.vips.binary_search_by_key(&spec.key, |vip| vip.key).ok();
            let vip = vip.and_then(|index| report.vips.get(index));
            let error = vip.and_then(|vip| vip.errors.first());
            let status = match error {
                Some(error) => SyncStatus::Failed(format!("{}: {}", error.step, error.meaning)),
                None => SyncStatus::Synced,
            };
            let kept = vip.and_then(|vip| vip.table_length).map(|kept| kept.has);
            let length = kept.or(error.is_none().then_some(spec.new_flows_table_length));
            let rescale = length.is_some_and(|length| self.standing.insert(spec.key, length) != Some(length));
            self.set_sync(spec, status, now);
            if rescale && let Some(name) = self.by_vip.get(&spec.key).map(Arc::clone) {
                self.rescale(&name, now, effects);
            }
        }
    }

    fn set_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus, now: Now) {
        let Some(name) = self.by_vip.get(&spec.key) else { return };
        let view = self.frontends.get_mut(name);
        // The answer to an older spec says nothing about the newest one.
        if let Some(view) = view.filter(|view| view.sync != SyncStatus::HeldBack && view.spec == *spec) {
            let view = Arc::make_mut(view);
            if status == SyncStatus::Synced
                && let Some(since) = view.since.take()
            {
                let took_us = now.mono.saturating_duration_since(since).as_micros();
                debug!(frontend = %name, took_us, "VPP has acknowledged the decision");
            }
            view.sync = status;
        }
    }
}
