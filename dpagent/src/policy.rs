//! Limits on what the brain may ask for: which prefixes may be VIPs, which addresses may be application
//! servers or pinged, and how many.
//!
//! A compromised brain can misdirect what this allows, and nothing else. VIPs outside the policy belong to
//! somebody else and are left alone.

mod file;
pub mod reader;
mod routes;
mod settings;
mod trusted;
mod yaml;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use maglev_protocol::{AgentError, Prefix, TunnelTarget, VipKey};

pub use file::{EXAMPLE, PolicyError, load, parse, read};
pub use routes::RouteTables;
pub(crate) use settings::FLOW_TIMEOUT;
pub use settings::Settings;

/// The rules. Without a file, nothing is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Origin of the rules, for messages.
    pub source: String,
    /// Prefixes that may be VIPs.
    pub vips: Vec<Prefix>,
    /// Prefixes whose addresses may be application servers.
    pub servers: Vec<Prefix>,
    /// Prefixes whose addresses may be pinged.
    pub ping: Vec<Prefix>,
    /// Prefixes that the source addresses of probes through the tunnel are from.
    pub tunnel_probes: Vec<Prefix>,
    /// Maximum numbers and rates.
    pub limits: Limits,
    /// Limits on the lb plugin's global settings.
    pub settings: Settings,
    /// The kernel's tables for host routes of VIPs; `None`: routes are not touched.
    pub routes: Option<RouteTables>,
}

/// The current policy, shared by all checks. A reload replaces it as a whole.
#[derive(Debug, Clone, Default)]
pub struct SharedPolicy(Arc<RwLock<Arc<Policy>>>);

impl SharedPolicy {
    /// Starts with this policy.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// The current policy. Call it once per decision, so that each is made by a single policy.
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policy for all later calls.
    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

/// Maximum numbers and rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of VIPs in the policy's prefixes that VPP may have.
    pub vips: u32,
    /// Maximum number of application servers of one VIP.
    pub servers_per_vip: u32,
    /// Requests accepted from one connection a second; beyond that, the peer waits.
    pub requests_per_second: u32,
    /// ICMP echo requests sent a second; further ones are refused.
    pub echo_requests_per_second: u32,
    /// Reads of VPP's whole state a second, for all connections together; further ones wait, or share a read.
    pub reads_per_second: u32,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vips, servers_per_vip, requests_per_second, echo_requests_per_second, reads_per_second } =
            self;
        write!(
            f,
            "vips {vips}, servers-per-vip {servers_per_vip}, requests-per-second {requests_per_second}, \
             echo-requests-per-second {echo_requests_per_second}, reads-per-second {reads_per_second}"
        )
    }
}

impl Default for Limits {
    /// Several times what the largest known installations need.
    fn default() -> Self {
        Self {
            vips: 4096,
            servers_per_vip: 1024,
            requests_per_second: 20_000,
            echo_requests_per_second: 10_000,
            reads_per_second: 2,
        }
    }
}

impl Policy {
    /// Whether VIPs of this prefix may be added, changed and removed.
    pub fn allows_vip(&self, vip: &Prefix) -> bool {
        self.vips.iter().any(|allowed| allowed.covers(vip))
    }

    /// Whether this address may be an application server.
    pub fn allows_server(&self, server: IpAddr) -> bool {
        let server = Prefix::host(server);
        self.servers.iter().any(|allowed| allowed.covers(&server))
    }

    /// Refuses a VIP outside the policy.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`].
    pub fn check_vip(&self, vip: &VipKey) -> Result<(), AgentError> {
        let allowed = self.allows_vip(&vip.prefix);
        allowed.then_some(()).ok_or_else(|| self.refusal(format!("VIP {vip}"), "vips"))
    }

    /// Refuses a target outside the policy.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`].
    pub fn check_ping(&self, target: IpAddr) -> Result<(), AgentError> {
        let host = Prefix::host(target);
        let allowed = self.ping.iter().any(|allowed| allowed.covers(&host));
        allowed.then_some(()).ok_or_else(|| self.refusal(format!("an echo request to {target}"), "ping"))
    }

    /// Refuses a target of probes through the tunnel outside the policy.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`].
    pub fn check_tunnel(&self, target: &TunnelTarget) -> Result<(), AgentError> {
        let TunnelTarget { vip, server } = *target;
        let list = if self.tunnel_probes.is_empty() {
            "tunnel-probes"
        } else if vip != server && !self.allows_vip(&Prefix::host(vip)) {
            "vips"
        } else if !self.allows_server(server) {
            "servers"
        } else {
            return Ok(());
        };
        Err(self.refusal(format!("probes of {vip} on {server} through the tunnel"), list))
    }

    /// The rule behind a list of prefixes, for an error message.
    pub fn rule(&self, list: &str) -> String {
        format!("no prefix of `{list}` in {} covers it", self.source)
    }

    /// The rule behind a limit, for an error message.
    pub fn limit(&self, name: &str, most: u32) -> String {
        format!("`{name}` in {} is {most}", self.source)
    }

    fn refusal(&self, what: String, list: &str) -> AgentError {
        AgentError::NotAllowed { what, rule: self.rule(list) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
