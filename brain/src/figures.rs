//! VPP's counters and state, shared by concurrent callers.

use std::net::IpAddr;
use std::time::Duration;

use maglev_protocol::{Counters, LbState, ServerFigure, ServerFigures, ServerTraffic, VipKey};
use tokio::time::Instant;

use crate::agent::AgentReader;
use crate::coalesced::{Coalesced, Timed};

/// VPP's counters.
pub type Figures = Coalesced<Counters>;
/// The state of VPP's lb plugin.
pub type States = Coalesced<LbState>;

impl Figures {
    /// Counters requested through this reader.
    pub fn new(reader: AgentReader) -> Self {
        Self::from_source(move || {
            let reader = reader.clone();
            async move { reader.counters().await }
        })
    }
}

impl States {
    /// State requested through this reader.
    pub fn new(reader: AgentReader) -> Self {
        Self::from_source(move || {
            let reader = reader.clone();
            async move { reader.lb_state().await }
        })
    }
}

impl Timed<LbState> {
    /// Age of the agent's read of VPP.
    pub fn age(&self, now: Instant) -> Duration {
        self.value.age.saturating_add(now.saturating_duration_since(self.at))
    }
}

impl Timed<Counters> {
    /// Age of the VIPs' counters.
    pub fn vips_age(&self, now: Instant) -> Duration {
        self.value.age.saturating_add(now.saturating_duration_since(self.at))
    }

    /// Age of the servers' counters, if the agent has any.
    pub fn servers_age(&self, now: Instant) -> Option<Duration> {
        let servers = self.value.servers.as_ref()?;
        Some(servers.age.saturating_add(now.saturating_duration_since(self.at)))
    }

    /// The counters of one server of a VIP, if VPP has it.
    pub fn server(&self, vip: &VipKey, address: IpAddr) -> Option<&ServerFigure> {
        let ServerFigures { servers, .. } = self.value.servers.as_ref()?;
        let found = servers.binary_search_by_key(&(*vip, address), |server| (server.vip, server.address));
        found.ok().and_then(|index| servers.get(index))
    }

    /// Traffic to one server, over all VIPs, if VPP has it.
    pub fn sent(&self, address: IpAddr) -> Option<&ServerTraffic> {
        let sent = &self.value.sent;
        sent.binary_search_by_key(&address, |server| server.address).ok().and_then(|index| sent.get(index))
    }
}

#[cfg(test)]
mod tests;
