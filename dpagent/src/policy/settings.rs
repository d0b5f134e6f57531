//! Limits on the lb plugin's global settings.

use std::net::IpAddr;

use maglev_protocol::{AgentError, LbConfSpec, MOST_STICKY_BUCKETS, Prefix};

use super::Policy;
use super::yaml::{Mistake, Section};

/// Default maximum of sticky buckets: 256 MiB a thread, the largest table tried on a real VPP.
const STICKY_BUCKETS: u32 = 1 << 22;
/// Range of the flow timeout that VPP accepts, in seconds.
pub(crate) const FLOW_TIMEOUT: (u32, u32) = (1, 120);

/// Limits on the lb plugin's global settings. Without a file, nothing is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Maximum number of sticky buckets per thread.
    pub sticky_buckets: u32,
    /// Prefixes that tunnel source addresses must belong to.
    pub tunnel_sources: Vec<Prefix>,
    /// Minimum and maximum flow timeout, in seconds.
    pub flow_timeout: (u32, u32),
    /// Whether settings may change while VPP has VIPs outside the policy, which they affect too.
    pub beside_foreign_vips: bool,
}

impl Settings {
    /// The keys in the file.
    pub(super) const KEYS: [&str; 4] =
        ["sticky-buckets", "tunnel-sources", "flow-timeout", "beside-foreign-vips"];

    /// Reads the limits; missing keys get their defaults.
    pub(super) fn read(mut file: Section, mistakes: &mut Vec<Mistake>) -> Settings {
        let every = |address: [u8; 4]| Prefix { address: address.into(), length: 0 };
        let mut settings = Settings {
            sticky_buckets: STICKY_BUCKETS,
            tunnel_sources: vec![
                every([0; 4]),
                Prefix { address: std::net::Ipv6Addr::UNSPECIFIED.into(), length: 0 },
            ],
            flow_timeout: FLOW_TIMEOUT,
            beside_foreign_vips: file.truth("beside-foreign-vips", mistakes).unwrap_or(false),
        };
        if let Some(given) = file.number("sticky-buckets", mistakes) {
            settings.sticky_buckets = given.value;
            if !(1..=MOST_STICKY_BUCKETS).contains(&given.value) {
                let message =
                    format!("`sticky-buckets` is {}: must be 1 to {MOST_STICKY_BUCKETS}", given.value);
                mistakes.push(Mistake::at(&given, message));
            }
        }
        if let Some(given) = file.range("flow-timeout", mistakes) {
            settings.flow_timeout = given.value;
            let ((shortest, longest), (least, most)) = (given.value, FLOW_TIMEOUT);
            if !(least..=longest).contains(&shortest) || longest > most {
                let message = format!(
                    "[{shortest}, {longest}] is not a range of flow timeouts: write the shortest and the longest, \
                     within {least} and {most} seconds"
                );
                mistakes.push(Mistake::at(&given, message));
            }
        }
        if let Some(given) = file.prefixes("tunnel-sources", mistakes) {
            settings.tunnel_sources = given;
        }
        settings
    }
}

impl Policy {
    /// Refuses settings outside the policy.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`].
    pub fn check_settings(&self, wanted: &LbConfSpec) -> Result<(), AgentError> {
        let Settings { sticky_buckets, tunnel_sources, flow_timeout: (shortest, longest), .. } =
            &self.settings;
        let buckets = wanted.sticky_buckets_per_core;
        if buckets > *sticky_buckets {
            let rule = self.limit("sticky-buckets", *sticky_buckets);
            return Err(not_allowed(format!("a table of {buckets} sticky buckets"), rule));
        }
        let timeout = wanted.flow_timeout;
        if !(*shortest..=*longest).contains(&timeout) {
            let rule = format!("`flow-timeout` in {} is [{shortest}, {longest}]", self.source);
            return Err(not_allowed(format!("a flow timeout of {timeout} s"), rule));
        }
        let sources = [wanted.ip4_src_address.map(IpAddr::from), wanted.ip6_src_address.map(IpAddr::from)];
        let outside = sources.into_iter().flatten().find(|source| {
            let source = Prefix::host(*source);
            !tunnel_sources.iter().any(|allowed| allowed.covers(&source))
        });
        outside.map_or(Ok(()), |source| {
            Err(not_allowed(format!("the tunnel source {source}"), self.rule("tunnel-sources")))
        })
    }

    /// Refuses any change of the settings while VPP has a VIP outside the policy.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`].
    pub fn check_change_beside(&self, foreign: Option<String>) -> Result<(), AgentError> {
        match foreign {
            Some(vip) if !self.settings.beside_foreign_vips => {
                let rule = format!(
                    "they also affect VIP {vip}, which is outside the policy, and `beside-foreign-vips` in {} is false",
                    self.source
                );
                Err(not_allowed("a change of the lb settings".to_owned(), rule))
            }
            _ => Ok(()),
        }
    }
}

fn not_allowed(what: String, rule: String) -> AgentError {
    AgentError::NotAllowed { what, rule }
}

#[cfg(test)]
mod tests;
