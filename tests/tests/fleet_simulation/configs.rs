//! Configurations of the fleet: four backends, whose weights and states depend on the revision's number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use maglev_engine::config::{Config, parse};
use maglev_engine::fleet::records::{IntentKey, Name, Sha256};
use maglev_engine::overrides::PoolMember;

use super::view::View;

thread_local! {
    static PARSED: RefCell<BTreeMap<String, Arc<Config>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Names of all backends; not every configuration has the last one.
pub(crate) const BACKENDS: [&str; 4] = ["a", "b", "c", "d"];

/// The text of a revision. `refused_by` is the member that will not take it, and `kind` which text it is.
pub(crate) fn text(kind: usize, refused_by: Option<&Name>) -> String {
    let [a, b] = [[30, 50], [50, 30], [100, 100]][kind % 3];
    let last = if kind.is_multiple_of(2) { ", d: {address: 10.0.0.4, healthcheck: tcp}" } else { "" };
    // With a majority, members with the same votes are never cut off at the same time.
    let down_votes = if last.is_empty() { "" } else { ", down-votes: 7" };
    let member = if last.is_empty() { "" } else { ", d: {}" };
    let enabled = kind % 4 != 3;
    let refusal = refused_by.map_or_else(String::new, |name| format!("# refused by {name}\n"));
    format!(
        "{refusal}maglev:
  fleet: {{health: fleet, vote-ttl: 15s{down_votes}}}
  vpp: {{lb: {{ipv4-src-address: 192.0.2.254, startup-min-delay: 0s, startup-max-delay: 0s}}}}
  healthchecks: {{tcp: {{type: tcp, port: 80, rise: 1, fall: 1}}}}
  backends: {{a: {{address: 10.0.0.1, healthcheck: tcp}}, b: {{address: 10.0.0.2, healthcheck: tcp, enabled: {enabled}}}, c: {{address: 10.0.0.3, healthcheck: tcp}}{last}}}
  frontends: {{www: {{address: 192.0.2.1, pools: [{{name: p, backends: {{a: {{weight: {a}}}, b: {{weight: {b}}}, c: {{}}{member}}}}}]}}}}
"
    )
}

/// The configuration of a revision, or that of the machines' own files.
pub(crate) fn of(revision: Option<u64>, view: &View) -> Arc<Config> {
    let text =
        revision.and_then(|number| view.configs.get(&number)?.text().ok()).unwrap_or_else(|| text(0, None));
    PARSED.with_borrow_mut(|parsed| {
        let config =
            parsed.entry(text).or_insert_with_key(|text| Arc::new(parse("fleet", text).unwrap().config));
        Arc::clone(config)
    })
}

/// Whether a member takes a revision.
pub(crate) fn check(number: u64, view: &View, member: &Name) -> Result<Sha256, String> {
    let revision = view.configs.get(&number).ok_or("it is not there")?;
    let text = revision.text()?;
    match text.contains(&format!("# refused by {member}\n")) {
        true => Err("line 1: refused".to_owned()),
        false => Ok(revision.sha256.clone()),
    }
}

pub(crate) fn weight_of(backend: &str) -> IntentKey {
    let [frontend, pool, backend] = ["www", "p", backend].map(str::to_owned);
    IntentKey::Weight(PoolMember { frontend, pool, backend })
}
