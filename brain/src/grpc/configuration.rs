//! Validation of the configuration file on request.

use std::collections::BTreeMap;
use std::path::Path;

use maglev_engine::config::{
    Class, Config, Diagnostic, Difference, LoadError, Loaded, Severity, changes, differences,
};
use maglev_engine::desired::vip_key;
use maglev_proto::{CheckConfigResponse, ConfigDifference, ConfigVerdict};
use maglev_protocol::AgentPolicy;

use crate::{netns, reload};

/// Maximum number of differences listed.
const MOST_DIFFERENCES: usize = 1000;

/// Reads and validates the file as a reload would, checks it against the agent's policy if that is known, and
/// returns the result. Blocks while reading.
pub(super) fn check(
    file: &Path,
    (in_force, text): (&Config, &[u8]),
    policy: Option<&AgentPolicy>,
) -> (CheckConfigResponse, Option<Config>) {
    let mut answer =
        CheckConfigResponse { file: file.display().to_string(), ..CheckConfigResponse::default() };
    match reload::load_with_text(file) {
        Ok((mut loaded, new)) => {
            if let Some(policy) = policy {
                warn_of_policy(&mut loaded, policy);
            }
            let namespace = loaded.config.healthchecker.netns.as_deref().map(netns::check);
            answer.findings = texts(&loaded.warnings);
            answer.warnings = number(loaded.warnings.len());
            if let Some(Err(error)) = namespace {
                answer.set_verdict(ConfigVerdict::NotValid);
                answer.findings.push(error.to_string());
                answer.errors = 1;
            } else {
                answer.set_verdict(ConfigVerdict::Fine);
                answer.changes = changes(in_force, &loaded.config).to_string();
                compare(text, &new, &mut answer);
                return (answer, Some(loaded.config));
            }
        }
        Err(LoadError::Refused(errors)) => {
            answer.set_verdict(match errors.class {
                Class::NotParseable => ConfigVerdict::NotParseable,
                Class::NotValid => ConfigVerdict::NotValid,
            });
            answer.errors = number(errors.count(Severity::Error));
            answer.warnings = number(errors.count(Severity::Warning));
            answer.findings = texts(&errors.diagnostics);
        }
        Err(error @ LoadError::Unreadable { .. }) => {
            answer.set_verdict(ConfigVerdict::NotParseable);
            answer.findings.push(error.to_string());
            answer.errors = 1;
        }
    }
    (answer, None)
}

/// Adds the differences between two texts, if the old one is known.
fn compare(old: &[u8], new: &[u8], answer: &mut CheckConfigResponse) {
    let (Ok(old), Ok(new)) = (str::from_utf8(old), str::from_utf8(new)) else { return };
    if !old.is_empty() {
        (answer.differences, answer.differences_left_out) = listed_differences(old, new);
    }
}

/// The differences between two texts, and how many are not listed.
pub(super) fn listed_differences(old: &str, new: &str) -> (Vec<ConfigDifference>, u32) {
    let found = differences(old, new).unwrap_or_default();
    let left_out = number(found.len().saturating_sub(MOST_DIFFERENCES));
    let listed = found.into_iter().take(MOST_DIFFERENCES);
    (listed.map(|Difference { key, old, new }| ConfigDifference { key, old, new }).collect(), left_out)
}

/// Warns of VIPs and application servers that the agent would refuse.
fn warn_of_policy(loaded: &mut Loaded, policy: &AgentPolicy) {
    let source = &policy.source;
    let right = |list| format!("add its prefix to `{list}` in {source}, and restart maglev-dpagent");
    let config = loaded.config.clone();
    for (name, frontend) in &config.frontends {
        let vip = vip_key(frontend);
        if !policy.allows_vip(&vip.prefix) {
            let message = format!("the agent's policy does not allow VIP {vip} of frontend `{name}`");
            loaded.warn(name, message, right("vips"));
        }
        let backends = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
        let servers: BTreeMap<_, _> =
            backends.filter_map(|backend| Some((backend, config.backends.get(backend)?.address))).collect();
        for (backend, address) in servers.into_iter().filter(|(_, address)| !policy.allows_server(*address)) {
            let message = format!(
                "the agent's policy does not allow application server {address} (backend `{backend}` of frontend `{name}`)"
            );
            loaded.warn(name, message, right("servers"));
        }
    }
}

pub(super) fn texts(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agents_policy_does_not_allow_is_warned_of() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    b1: { address: 10.0.0.1 }
    b2: { address: 10.9.0.2 }
  frontends:
    shop: { address: 203.0.113.10, pools: [ { name: only, backends: { b1: {}, b2: {} } } ] }
";
        std::fs::write(file.path(), text).unwrap();
        let in_force = reload::load(file.path()).unwrap().config;
        let prefix = |text: &str, length| maglev_protocol::Prefix { address: text.parse().unwrap(), length };
        let mut policy = AgentPolicy {
            source: "policy.yaml".to_owned(),
            vips: vec![prefix("203.0.113.0", 24)],
            servers: vec![prefix("10.0.0.0", 8)],
        };
        let warnings =
            |policy: Option<&AgentPolicy>| check(file.path(), (&in_force, b""), policy).0.findings.join("\n");
        let fine = warnings(None);
        assert_eq!(warnings(Some(&policy)), fine);
        policy.servers = vec![prefix("10.0.0.0", 16)];
        policy.vips.clear();
        let told = warnings(Some(&policy));
        for expected in [
            ":8:5: warning: the agent's policy does not allow VIP 203.0.113.10 all ports",
            "does not allow application server 10.9.0.2 (backend `b2` of frontend `shop`)",
            "add its prefix to `servers` in policy.yaml, and restart maglev-dpagent",
        ] {
            assert!(told.contains(expected), "{expected:?} is missing: {told}");
        }
        assert!(!told.contains("10.0.0.1"), "{told}");
    }
}
