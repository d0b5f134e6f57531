//! A frontend over all load balancers: how bad it is, and where they differ.

use maglev_proto::{BackendState, Frontend, FrontendState, SyncState};
use serde_json::json;

use crate::documents::Document;
use crate::rows::object;

/// What is wrong with a frontend, the worst first. Its place in this list is its rank.
const WORST: [&str; 8] = ["down", "failed", "panic", "short", "failover", "degraded", "waiting", "override"];

/// One row for the frontends of one name, each with the name of its load balancer.
pub(crate) fn row<'a>(
    name: &str,
    of: &[(&'a str, &'a Frontend)],
    down: impl Fn(&str, &str) -> Option<BackendState>,
) -> Option<Document> {
    let first = of.first()?.1;
    let mut found: Vec<&str> =
        of.iter().flat_map(|(server, frontend)| faults(frontend, |backend| down(server, backend))).collect();
    found.sort_by_key(|fault| rank(fault));
    found.dedup();
    let differs = |what: fn(&Frontend) -> Vec<String>| {
        let expected = what(first);
        of.iter().any(|(_, frontend)| what(frontend) != expected)
    };
    let differing = [
        ("state", differs(|frontend| vec![frontend.state.to_string()])),
        ("pool", differs(|frontend| vec![frontend.active_pool.clone(), frontend.panic_pool.clone()])),
        ("weights", differs(weights)),
        (
            "table",
            differs(|frontend| {
                vec![frontend.new_flows_table_length.to_string(), frontend.kept_table_length.to_string()]
            }),
        ),
    ];
    let differing: Vec<_> =
        differing.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect();
    let mut worst = found.first().map_or(WORST.len(), |fault| rank(fault));
    if !differing.is_empty() {
        worst = worst.min(rank("degraded"));
    }
    let differs = (!differing.is_empty()).then_some(differing);
    Some(object(json!({ "name": name, "rank": worst, "faults": found, "differs": differs })))
}

fn rank(fault: &str) -> usize {
    WORST.iter().position(|known| *known == fault).unwrap_or(WORST.len())
}

/// As the brain says it; only the choice of what to call is made here.
fn faults(frontend: &Frontend, state: impl Fn(&str) -> Option<BackendState>) -> Vec<&'static str> {
    let rows = || frontend.pools.iter().flat_map(|pool| &pool.backends);
    let state = |row: &maglev_proto::PoolBackend| state(&row.backend).unwrap_or(row.state());
    let first_pool = frontend.pools.first().is_some_and(|pool| pool.name == frontend.active_pool);
    let is_up = frontend.state() == FrontendState::Up;
    [
        ("down", frontend.state() == FrontendState::Down),
        ("failed", frontend.sync() == SyncState::Failed),
        ("panic", !frontend.panic_pool.is_empty()),
        ("short", frontend.pools.iter().any(|pool| pool.below_min_up)),
        ("failover", is_up && !first_pool),
        ("degraded", rows().any(|row| state(row) == BackendState::Down)),
        (
            "waiting",
            frontend.state() == FrontendState::Unknown
                || matches!(frontend.sync(), SyncState::HeldBack | SyncState::Disconnected),
        ),
        (
            "override",
            rows().any(|row| {
                row.operator_weight.is_some()
                    || matches!(state(row), BackendState::Paused | BackendState::Disabled)
            }),
        ),
    ]
    .into_iter()
    .filter_map(|(fault, is)| is.then_some(fault))
    .collect()
}

fn weights(frontend: &Frontend) -> Vec<String> {
    let rows = frontend.pools.iter().flat_map(|pool| pool.backends.iter().map(move |row| (pool, row)));
    rows.map(|(pool, row)| {
        let weights = (row.configured_weight, row.effective_weight, row.programmed_weight);
        format!("{:?} {:?} {weights:?}", pool.name, row.backend)
    })
    .collect()
}

#[cfg(test)]
mod tests;
