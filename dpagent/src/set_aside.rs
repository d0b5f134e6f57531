//! What a full read could not understand: left alone, and logged when it changes.

use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::{Prefix, VipKey};
use tracing::{info, warn};

/// Maximum number of lines logged for one read. Anyone who may write to VPP can cause thousands.
const MOST_LINES: usize = 50;

/// VIPs and servers that were set aside. They are never written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAside {
    /// Each with the reason.
    vips: BTreeMap<VipKey, String>,
    /// VIPs that VPP dumps under another key, by that key. Several VIPs can share it, so none of them can be
    /// identified.
    dumped_as: BTreeMap<VipKey, VipKey>,
    /// Descriptions of unparsed lines and of servers.
    others: BTreeSet<String>,
}

impl SetAside {
    /// Sets a VIP aside.
    pub fn vip(&mut self, key: VipKey, reason: impl Into<String>) {
        self.vips.insert(key, reason.into());
    }

    /// Sets a VIP aside that VPP dumps under another key.
    pub fn disguised(&mut self, key: VipKey, dumped_as: VipKey) {
        self.vip(key, format!("VPP dumps it as {dumped_as}"));
        self.dumped_as.insert(dumped_as, key);
    }

    /// Sets something else aside. The description must not contain anything that changes from read to read.
    pub fn other(&mut self, words: String) {
        self.others.insert(words);
    }

    /// Whether nothing is set aside.
    pub fn is_empty(&self) -> bool {
        self.vips.is_empty() && self.others.is_empty()
    }

    /// The VIPs, in the order of their keys.
    pub fn vips(&self) -> impl Iterator<Item = &VipKey> {
        self.vips.keys()
    }

    /// A VIP of this prefix that is set aside, if any.
    pub fn of_prefix(&self, prefix: Prefix) -> Option<&VipKey> {
        self.vips
            .range(VipKey { prefix, protocol: 0, port: 0 }..)
            .map(|(key, _)| key)
            .next()
            .filter(|key| key.prefix == prefix)
    }

    /// Why no VIP with this key can be programmed, if that is so.
    pub fn blocks(&self, key: &VipKey) -> Option<String> {
        let (other, reason) = self.vips.get_key_value(self.dumped_as.get(key).unwrap_or(key))?;
        Some(format!("VIP {other} of VPP was set aside: {reason}"))
    }

    /// Logs what is new since `before`, and what is gone.
    pub fn log_changes(&self, before: &Self) {
        let new = self.lines_beyond(before);
        for line in new.iter().take(MOST_LINES) {
            warn!(what = %line, "something in VPP cannot be understood; left alone");
        }
        if let Some(more @ 1..) = new.len().checked_sub(MOST_LINES) {
            warn!(more, "more in VPP cannot be understood; left alone");
        }
        for line in before.lines_beyond(self).iter().take(MOST_LINES) {
            info!(what = %line, "no longer set aside");
        }
    }

    /// Lines of this set that `other` lacks.
    fn lines_beyond(&self, other: &Self) -> Vec<String> {
        let vips = self.vips.iter().filter(|(key, reason)| other.vips.get(key) != Some(reason));
        let vips = vips.map(|(key, reason)| format!("VIP {key}: {reason}"));
        vips.chain(self.others.difference(&other.others).cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
