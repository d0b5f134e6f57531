//! VPP's desired state, and operators' requests beyond it.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{Demands, StepError, SyncReport, VipKey, VipSpec};

use super::InVpp;
use crate::config::LbSettings;
use crate::desired::{self, Demand, ViewId, Wanted};

/// VPP's desired state, and the pending requests.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    wanted: Wanted,
    /// The number of the last request.
    last_demand: u64,
}

impl Orders {
    /// No VIPs, and no permission to write yet.
    pub(super) fn new(lb: &LbSettings) -> Self {
        let wanted = Wanted {
            view: None,
            conf: desired::lb_conf(lb),
            vips: OrdMap::new(),
            decided: OrdMap::new(),
            decisions: 0,
            keep: OrdSet::new(),
            demands: OrdMap::new(),
            full: None,
            sync_interval: lb.sync_interval,
        };
        Self { wanted, last_demand: 0 }
    }

    /// All of it, for the agent's client.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Sets VPP's settings.
    pub(super) fn configure(&mut self, lb: &LbSettings) {
        self.wanted.conf = desired::lb_conf(lb);
        self.wanted.sync_interval = lb.sync_interval;
    }

    /// The look at VPP that everything is decided on; `None` forbids writing.
    pub(super) fn decide_on(&mut self, view: Option<ViewId>) {
        self.wanted.view = view;
    }

    /// Whether anything may be written to VPP.
    pub(super) fn may_write(&self) -> bool {
        self.wanted.view.is_some()
    }

    /// Keeps a VIP as it is in VPP. Returns whether that is new.
    pub(super) fn keep(&mut self, vip: VipKey) -> bool {
        self.wanted.keep.insert(vip).is_none()
    }

    /// Sets the desired state of a VIP.
    pub(super) fn put(&mut self, spec: &Arc<VipSpec>) {
        self.wanted.keep.remove(&spec.key);
        self.wanted.put(Arc::clone(spec));
    }

    /// Drops a VIP from the desired state. Returns its pending request, which ends.
    pub(super) fn forget(&mut self, vip: &VipKey) -> Option<Demand> {
        self.wanted.forget(vip);
        self.wanted.keep.remove(vip);
        self.wanted.demands.remove(vip).map(|demanded| Demand::Vip(*vip, demanded.number))
    }

    /// Adds a request for a VIP to those already pending.
    pub(super) fn demand(&mut self, vip: VipKey, demands: Demands) -> Demand {
        self.last_demand += 1;
        let mut demanded = self.wanted.demands.get(&vip).cloned().unwrap_or_default();
        demanded.number = self.last_demand;
        demanded.demands.flush.extend(demands.flush);
        demanded.demands.recreate |= demands.recreate;
        self.wanted.demands.insert(vip, demanded);
        Demand::Vip(vip, self.last_demand)
    }

    /// Requests a full sync.
    pub(super) fn demand_full_sync(&mut self) -> Demand {
        self.last_demand += 1;
        self.wanted.full = Some(self.last_demand);
        Demand::Full(self.last_demand)
    }

    /// All pending requests, for which nobody should wait while VPP is disconnected. Those for VIPs are
    /// carried out after the full sync on reconnect; that sync also replaces a requested one.
    pub(super) fn put_off(&mut self) -> Vec<Demand> {
        let vips = self.wanted.demands.iter().map(|(key, demanded)| Demand::Vip(*key, demanded.number));
        vips.chain(self.wanted.full.take().map(Demand::Full)).collect()
    }

    /// Removes an answered request. `None` if it is not finished yet.
    pub(super) fn answered(&mut self, demand: Demand, report: &SyncReport) -> Option<InVpp> {
        match demand {
            Demand::Vip(key, number) => {
                let demanded = self.wanted.demands.get(&key)?;
                // A request that was extended meanwhile is sent again as a whole.
                if demanded.number != number {
                    return None;
                }
                self.wanted.demands.remove(&key);
                Some(outcome(report.errors().find(|(vip, _)| **vip == key).map(|(_, error)| error)))
            }
            Demand::Full(number) => {
                // A later request for a full sync stays.
                self.wanted.full.take_if(|demanded| *demanded <= number);
                Some(outcome(report.errors().next().map(|(_, error)| error)))
            }
        }
    }
}

fn outcome(error: Option<&StepError>) -> InVpp {
    error.map_or(InVpp::Acknowledged, |error| InVpp::Refused(error.to_string()))
}
