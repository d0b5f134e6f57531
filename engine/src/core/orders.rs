//! What VPP shall have, and what operators demand of it beyond that.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{Demands, StepError, SyncReport, VipKey, VipSpec};

use super::InVpp;
use crate::config::LbSettings;
use crate::desired::{self, Demand, ViewId, Wanted};

/// The desired state of VPP and the demands that are not done.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    wanted: Wanted,
    /// The number of the last demand.
    last_demand: u64,
}

impl Orders {
    /// No VIP, and nothing may be written yet.
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

    /// VPP's settings are others now.
    pub(super) fn configure(&mut self, lb: &LbSettings) {
        self.wanted.conf = desired::lb_conf(lb);
        self.wanted.sync_interval = lb.sync_interval;
    }

    /// The look at VPP on which all of this is decided; `None` forbids writing.
    pub(super) fn decide_on(&mut self, view: Option<ViewId>) {
        self.wanted.view = view;
    }

    /// Whether anything may be written to VPP.
    pub(super) fn may_write(&self) -> bool {
        self.wanted.view.is_some()
    }

    /// VPP keeps what it has of a VIP. Whether that is new.
    pub(super) fn keep(&mut self, vip: VipKey) -> bool {
        self.wanted.keep.insert(vip).is_none()
    }

    /// VPP shall have this VIP.
    pub(super) fn put(&mut self, spec: &Arc<VipSpec>) {
        self.wanted.keep.remove(&spec.key);
        self.wanted.put(Arc::clone(spec));
    }

    /// VPP shall not have this VIP any more. What was demanded of it ends.
    pub(super) fn forget(&mut self, vip: &VipKey) -> Option<Demand> {
        self.wanted.forget(vip);
        self.wanted.keep.remove(vip);
        self.wanted.demands.remove(vip).map(|demanded| Demand::Vip(*vip, demanded.number))
    }

    /// Demands something of a VIP, beside what is demanded of it already.
    pub(super) fn demand(&mut self, vip: VipKey, demands: Demands) -> Demand {
        self.last_demand += 1;
        let mut demanded = self.wanted.demands.get(&vip).cloned().unwrap_or_default();
        demanded.number = self.last_demand;
        demanded.demands.flush.extend(demands.flush);
        demanded.demands.recreate |= demands.recreate;
        self.wanted.demands.insert(vip, demanded);
        Demand::Vip(vip, self.last_demand)
    }

    /// Demands a full sync.
    pub(super) fn demand_full_sync(&mut self) -> Demand {
        self.last_demand += 1;
        self.wanted.full = Some(self.last_demand);
        Demand::Full(self.last_demand)
    }

    /// All demands, for which nobody is to wait while VPP is away. Those on VIPs are carried out after the full sync that
    /// comes with VPP's return; a full sync need not be demanded any more.
    pub(super) fn put_off(&mut self) -> Vec<Demand> {
        let vips = self.wanted.demands.iter().map(|(key, demanded)| Demand::Vip(*key, demanded.number));
        vips.chain(self.wanted.full.take().map(Demand::Full)).collect()
    }

    /// Takes a demand back that was answered. `None` if there is nothing to be told yet.
    pub(super) fn answered(&mut self, demand: Demand, report: &SyncReport) -> Option<InVpp> {
        match demand {
            Demand::Vip(key, number) => {
                let demanded = self.wanted.demands.get(&key)?;
                // One that was added to meanwhile is made again as a whole.
                if demanded.number != number {
                    return None;
                }
                self.wanted.demands.remove(&key);
                Some(outcome(report.errors().find(|(vip, _)| **vip == key).map(|(_, error)| error)))
            }
            Demand::Full(number) => {
                // One that was demanded meanwhile is another.
                self.wanted.full.take_if(|demanded| *demanded <= number);
                Some(outcome(report.errors().next().map(|(_, error)| error)))
            }
        }
    }
}

fn outcome(error: Option<&StepError>) -> InVpp {
    error.map_or(InVpp::Acknowledged, |error| InVpp::Refused(error.to_string()))
}
