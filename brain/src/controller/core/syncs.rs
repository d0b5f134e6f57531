//! How far VPP has come with what it shall have.

use std::sync::Arc;
use std::time::SystemTime;

use maglev_protocol::{SyncReport, VipSpec};

use super::{Core, Effects};
use crate::agent::AgentEvent;
use crate::controller::snapshot::SyncStatus;

impl Core {
    pub(super) fn agent_event(&mut self, event: AgentEvent, now: SystemTime) -> Effects {
        match event {
            AgentEvent::Connected { version } => Arc::make_mut(&mut self.agent).connection = Ok(version),
            AgentEvent::Disconnected { reason } => {
                let agent = Arc::make_mut(&mut self.agent);
                agent.connection = Err(reason);
                agent.vpp = None;
                self.forget_syncs();
            }
            AgentEvent::Vpp(info) => {
                Arc::make_mut(&mut self.agent).vpp = Some((info, now));
                self.forget_syncs();
            }
            AgentEvent::Synced { specs, result: Ok(report) } => self.synced(&specs, &report),
            AgentEvent::Synced { specs, result: Err(reason) } => {
                for spec in &specs {
                    self.set_sync(spec, SyncStatus::Failed(reason.clone()), None);
                }
            }
        }
        Effects { state: true, ..Effects::default() }
    }

    /// What VPP has is not known any more.
    fn forget_syncs(&mut self) {
        for name in self.by_vip.values() {
            let view = self.frontends.get_mut(name).filter(|view| view.sync != SyncStatus::HeldBack);
            if let Some(view) = view {
                Arc::make_mut(view).sync = SyncStatus::Pending;
            }
        }
    }

    fn synced(&mut self, specs: &[Arc<VipSpec>], report: &SyncReport) {
        for spec in specs {
            let vip = report.vips.iter().find(|vip| vip.key == spec.key);
            let kept = vip.and_then(|vip| vip.table_length).map(|kept| kept.has);
            let status = match vip.and_then(|vip| vip.errors.first()) {
                Some(error) => SyncStatus::Failed(format!("{}: {}", error.step, error.meaning)),
                None => SyncStatus::Synced,
            };
            self.set_sync(spec, status, kept);
        }
    }

    fn set_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus, kept_table_length: Option<u32>) {
        let view = self.by_vip.get(&spec.key).and_then(|name| self.frontends.get_mut(name));
        // The answer to an older spec says nothing about the newest one.
        if let Some(view) = view.filter(|view| view.sync != SyncStatus::HeldBack && view.spec == *spec) {
            let view = Arc::make_mut(view);
            view.sync = status;
            view.kept_table_length = kept_table_length;
        }
    }
}
