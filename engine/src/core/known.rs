//! VPP's state as known to the controller.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use maglev_protocol::{Dialect, Programmed, VipKey};

use crate::desired::ViewId;

/// VPP's state as of the last look and everything acknowledged since.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The last look, while VPP can be programmed.
    view: Option<ViewId>,
    /// What VPP could be programmed with at the last look, even an earlier one.
    dialect: Option<Dialect>,
    /// Whether VPP had no VIPs at that look.
    empty: bool,
    /// Weights of servers at that look. VIPs that are held back still have them.
    weights: Arc<BTreeMap<VipKey, BTreeMap<IpAddr, u8>>>,
    /// Lengths of the VIPs' tables for new flows.
    table_lengths: OrdMap<VipKey, u32>,
    /// Weights that still unknown backends keep in VPP.
    held: BTreeMap<VipKey, BTreeMap<String, u8>>,
}

impl Known {
    /// VPP cannot be programmed any more.
    pub(super) fn lost(&mut self) {
        (self.view, self.empty) = (None, false);
        self.weights = Arc::default();
    }

    /// VPP was read and can be programmed.
    pub(super) fn seen(&mut self, view: ViewId, programmed: Programmed) {
        let Programmed { dialect, vips } = programmed;
        self.dialect = Some(dialect);
        (self.view, self.empty) = (Some(view), vips.is_empty());
        self.table_lengths = vips.iter().map(|vip| (vip.key, vip.new_flows_table_length)).collect();
        self.weights = Arc::new(vips.into_iter().map(|vip| (vip.key, vip.servers)).collect());
    }

    /// The last look, while VPP can be programmed.
    pub(super) fn view(&self) -> Option<ViewId> {
        self.view
    }

    /// What VPP could be programmed with at the last look, if there was one.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Whether VPP had no VIPs at the last look, so that there is nothing to protect.
    pub(super) fn is_empty(&self) -> bool {
        self.view.is_some() && self.empty
    }

    /// Length of a VIP's table for new flows, if VPP has the VIP.
    pub(super) fn table_length(&self, vip: &VipKey) -> Option<u32> {
        self.table_lengths.get(vip).copied()
    }

    /// Records an acknowledged table length. Returns whether it is new.
    pub(super) fn take_table_length(&mut self, vip: VipKey, length: u32) -> bool {
        self.table_lengths.insert(vip, length) != Some(length)
    }

    /// A server's weight at the last look, until the warm-up is over; 0 without an entry.
    pub(super) fn weight(&self, vip: &VipKey, server: IpAddr) -> u8 {
        self.weights.get(vip).and_then(|weights| weights.get(&server)).copied().unwrap_or(0)
    }

    /// Drops the weights of the last look, which are no longer needed.
    pub(super) fn forget_weights(&mut self) {
        self.weights = Arc::default();
    }

    /// The weight that a still unknown backend keeps.
    pub(super) fn held(&self, vip: &VipKey, backend: &str) -> Option<u8> {
        self.held.get(vip)?.get(backend).copied()
    }

    /// Lets a still unknown backend keep this weight.
    pub(super) fn hold(&mut self, vip: VipKey, backend: &str, weight: u8) {
        self.held.entry(vip).or_default().insert(backend.to_owned(), weight);
    }

    /// Ends the keeping of a backend's weight.
    pub(super) fn let_go(&mut self, vip: &VipKey, backend: &str) {
        if let Some(held) = self.held.get_mut(vip) {
            held.remove(backend);
        }
    }

    /// Renames backends, all at once.
    pub(super) fn rename_backends(&mut self, names: &BTreeMap<String, String>) {
        self.held.values_mut().for_each(|held| super::reload::rename_keys(held, names));
    }

    /// Drops a VIP that is no longer configured.
    pub(super) fn forget_vip(&mut self, vip: &VipKey) {
        self.held.remove(vip);
        self.table_lengths.remove(vip);
    }
}
