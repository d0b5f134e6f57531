mod failover;
mod invariants;
mod panics;
mod truth_table;

use super::*;
use crate::config::Service;
pub(super) use invariants::any_frontend;

pub(super) fn frontend(pools: &[&[(&str, u8)]]) -> Frontend {
    let pools = pools.iter().enumerate().map(|(index, backends)| Pool {
        name: format!("pool{index}"),
        backends: backends.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect(),
        min_up: None,
    });
    Frontend {
        description: String::new(),
        address: [192, 0, 2, 1].into(),
        service: Service::Tcp(80),
        src_ip_sticky: false,
        flush_on_down: true,
        new_flows_table_length: None,
        servers_ask: false,
        slow_start: None,
        panic_threshold: None,
        announce: None,
        pools: pools.collect(),
    }
}

/// The weights with the backends in these states; those not named are unknown.
fn with_states(frontend: &Frontend, states: &[(&str, State)]) -> EffectiveWeights {
    let standings: Vec<_> = states.iter().map(|&(name, state)| (name, state.into())).collect();
    with_standings(frontend, &standings)
}

fn with_standings(frontend: &Frontend, standings: &[(&str, Standing)]) -> EffectiveWeights {
    effective(frontend, &Scale::new(frontend, None), |name| {
        let known = standings.iter().find(|(known, _)| *known == name);
        known.map_or(State::Unknown.into(), |&(_, standing)| standing)
    })
}

/// Name, effective and programmed weight of every backend of every pool.
fn weights(result: &EffectiveWeights) -> Vec<(&str, u8, u8)> {
    let all = result.pools.iter().flatten();
    all.map(|(name, weight)| (name.as_str(), weight.effective, weight.programmed)).collect()
}
