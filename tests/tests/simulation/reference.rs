//! The invariants: the brain's decisions after every step, and VPP's state at rest, computed by a second and
//! simpler implementation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use maglev_dpagent::conf::merged;
use maglev_engine::config::{Backend, Config, Frontend};
use maglev_engine::desired::{Wanted, lb_conf, vip_key, vip_spec};
use maglev_engine::health::State;
use maglev_engine::overrides::BackendOverride;
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use maglev_engine::warmup::Phase;
use maglev_engine::weights::{Scale, effective, table_length};
use maglev_protocol::{Encap, VipKey};

use crate::agent::is_ours;
use crate::brain::Brain;
use crate::operators::Operators;
use crate::vpp::{Actual, Life};
use crate::world::World;

impl World {
    /// Checks the brain's decisions.
    pub(crate) fn check_brain(&mut self) {
        let now = self.instant(self.now);
        let since = self.now;
        let Some(brain) = &mut self.brain else { return };
        let result = if self.operators.agrees(brain.core.overrides()) {
            let elapsed = since - brain.started;
            let phase = match () {
                () if elapsed >= brain.max_delay => Phase::Over,
                () if elapsed >= brain.min_delay => Phase::Releasing,
                () => Phase::Waiting,
            };
            brain.check(phase, now, &self.operators)
        } else {
            Err(format!(
                "rule 5: operators have set {:?}, the brain has {:?}",
                self.operators,
                brain.core.overrides()
            ))
        };
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    /// Why the system is not at rest yet; `None` if it is.
    pub(crate) fn unrest(&self) -> Option<String> {
        let Some(brain) = self.brain.as_ref() else { return Some("there is no brain".to_owned()) };
        if !brain.is_idle()
            || !self.agent.is_idle()
            || !self.agent.is_connected()
            || self.vpp.life != Life::Running
        {
            return Some("brain, agent or VPP has something to do".to_owned());
        }
        let snapshot = brain.core.snapshot(self.base.mono);
        if snapshot.warmup.phase() != Phase::Over {
            return Some("the warm-up is not over".to_owned());
        }
        if brain.core.next_tick().is_some() {
            return Some("a slow start is under way".to_owned());
        }
        let config = &snapshot.config;
        for (name, view) in &snapshot.backends {
            let (found, right) = (view.health.state(), self.right_state(config, name));
            if found != right {
                return Some(format!("backend {name} is {found}, and shall be {right}"));
            }
        }
        for (name, view) in &snapshot.frontends {
            if view.sync != SyncStatus::Synced {
                return Some(format!("frontend {name} is {:?}", view.sync));
            }
        }
        if let Some(waiting) = brain.waiting.first_key_value() {
            return Some(format!("nobody told the operator of the end of {waiting:?}"));
        }
        let Wanted { demands, full, .. } = &*brain.published;
        (!demands.is_empty() || full.is_some()).then(|| format!("demands: {demands:?}, full sync {full:?}"))
    }

    /// The final state of a backend if nothing changes any more.
    fn right_state(&self, config: &Config, name: &str) -> State {
        let Some(Backend { address, healthchecks, enabled, .. }) = config.backends.get(name) else {
            return State::Removed;
        };
        match self.operators.backends.get(name) {
            Some(BackendOverride::Disabled) => State::Disabled,
            Some(BackendOverride::Paused) => State::Paused,
            None if !enabled => State::Disabled,
            _ if !healthchecks.is_empty() && self.sick.contains(address) => State::Down,
            _ => State::Up,
        }
    }

    /// Checks that VPP's state follows from configuration, overrides and health.
    pub(crate) fn check_rest(&self) -> Result<(), String> {
        let Some(brain) = self.brain.as_ref() else { return Err("there is no brain".to_owned()) };
        let config = brain.core.config();
        let conf = merged(&lb_conf(&config.lb), &self.vpp.conf());
        if conf != self.vpp.conf() {
            return Err(format!("VPP's settings are {:?}, and shall be {conf:?}", self.vpp.conf()));
        }
        self.check_routes_at_rest()?;
        let mut actual = self.vpp.all();
        actual.retain(|vip, _| is_ours(vip));
        for (name, frontend) in &config.frontends {
            let key = vip_key(frontend);
            let Some(found) = actual.remove(&key) else {
                return Err(format!("VPP has no VIP {key} of frontend {name}"));
            };
            let right = self.right_vip(config, name, frontend, found.table_length);
            let pinned = self.vpp.pinned(&key);
            let out = frontend.pools.iter().flat_map(|pool| pool.backends.keys()).find(|name| {
                let flushes = match self.right_state(config, name) {
                    State::Disabled => true,
                    State::Down => frontend.flush_on_down,
                    _ => false,
                };
                let address = config.backends.get(*name).map(|backend| backend.address);
                flushes
                    && address.is_some_and(|at| {
                        pinned.contains(&at) && found.weights.get(&at).is_none_or(|weight| *weight == 0)
                    })
            });
            if let Some(backend) = out {
                return Err(format!(
                    "at rest flows are pinned to {backend} of frontend {name}, which is out"
                ));
            }
            if found != right {
                return Err(format!(
                    "at rest VIP {key} of frontend {name} is\n{found:?}, and shall be\n{right:?}"
                ));
            }
        }
        match actual.keys().next() {
            Some(vip) => Err(format!("VPP has VIP {vip}, which is not configured")),
            None => Ok(()),
        }
    }

    fn right_vip(&self, config: &Config, name: &str, configured: &Frontend, table_length: u32) -> Actual {
        let frontend = in_force(&self.operators, name, configured);
        let scale = Scale::of(self.vpp.dialect, &frontend, Some(table_length));
        let state = |name: &String| self.right_state(config, name);
        let count = |pool: usize, states: &[State]| {
            let members = frontend.pools[pool].backends.iter().filter(|(_, weight)| **weight > 0);
            members.filter(|(name, _)| states.contains(&state(name))).count()
        };
        let pools = 0..frontend.pools.len();
        let active = pools.clone().find(|pool| count(*pool, &[State::Up]) > 0);
        let candidate = active.or(pools.clone().find(|pool| count(*pool, &[State::Up, State::Down]) > 0));
        let panics = frontend.panic_threshold.zip(candidate).is_some_and(|(threshold, pool)| {
            let (up, known) = (count(pool, &[State::Up]), count(pool, &[State::Up, State::Down]));
            up * 100 < usize::from(threshold) * known
        });
        let mut weights: BTreeMap<IpAddr, u8> = BTreeMap::new();
        for pool in pools {
            for (name, weight) in &frontend.pools[pool].backends {
                let serves = match state(name) {
                    State::Up => active == Some(pool) || panics && candidate == Some(pool),
                    State::Down => panics && candidate == Some(pool),
                    _ => false,
                };
                let weight = if serves { scale.programmed(*weight) } else { 0 };
                let address = config.backends[name].address;
                let most = weights.entry(address).or_default();
                *most = weight.max(*most);
            }
        }
        let ipv6 = weights.keys().any(IpAddr::is_ipv6);
        let right = Actual {
            encap: if ipv6 { Encap::Gre6 } else { Encap::Gre4 },
            src_ip_sticky: frontend.src_ip_sticky,
            table_length,
            weights,
        };
        right.in_service(self.vpp.dialect)
    }
}

impl Brain {
    fn check(
        &mut self,
        phase: Phase,
        now: maglev_engine::core::Now,
        operators: &Operators,
    ) -> Result<(), String> {
        let snapshot = self.core.snapshot(now.mono);
        let (config, wanted) = (&snapshot.config, &self.published);
        let ticks = self.core.next_tick().is_none_or(|next| next > now.mono);
        // Between the start of a phase and its tick, everything may be as before.
        let behind = snapshot.warmup.phase() < phase;
        if snapshot.warmup.phase() > phase {
            return Err(format!(
                "rule 1: the warm-up is {:?}, by time it is {phase:?}",
                snapshot.warmup.phase()
            ));
        }
        let empty = self.watched.saw_empty_vpp;
        if wanted.view.is_some() && (empty.is_none() || phase == Phase::Waiting && empty != Some(true)) {
            return Err(format!("rule 1: VPP may be written to during the warm-up, {empty:?}"));
        }
        if wanted.conf != lb_conf(&config.lb) || wanted.sync_interval != config.lb.sync_interval {
            return Err("settings of another configuration".to_owned());
        }
        let configured: BTreeSet<VipKey> =
            config.frontends.values().map(|frontend| vip_key(frontend)).collect();
        let told: BTreeSet<VipKey> = wanted.vips.keys().chain(&wanted.keep).copied().collect();
        if told != configured || wanted.vips.len() + wanted.keep.len() != configured.len() {
            return Err(format!("configured are {configured:?}, wanted or kept {told:?}"));
        }
        for (name, configured) in &config.frontends {
            let key = vip_key(configured);
            let spec = wanted.vips.get(&key);
            let known = known(&snapshot, configured);
            let may = phase == Phase::Over || known && (phase == Phase::Releasing || empty == Some(true));
            match spec {
                Some(_) if may => drop(self.watched.released.insert(key)),
                Some(_) if !self.watched.released.contains(&key) => {
                    return Err(format!(
                        "rule 1: frontend {name} is released in phase {phase:?}, known: {known}"
                    ));
                }
                None if may && !behind => {
                    return Err(format!("frontend {name} is held back in phase {phase:?}"));
                }
                _ => {}
            }
            let Some(view) = snapshot.frontends.get(name.as_str()) else {
                return Err(format!("frontend {name} is missing"));
            };
            let frontend = in_force(operators, name, configured);
            if *view.frontend != frontend {
                return Err(format!(
                    "rule 5: frontend {name} is {:?}, and shall be {frontend:?}",
                    view.frontend
                ));
            }
            let checked = self.watched.scales.get(&key);
            if checked.is_none_or(|(frontend, length)| {
                !Arc::ptr_eq(frontend, &view.frontend) || *length != (view.table.dialect, view.table_length)
            }) {
                if view.table.scale != Scale::of(view.table.dialect, &frontend, view.table_length) {
                    return Err(format!(
                        "frontend {name} has another scale than its table of {:?}",
                        view.table_length
                    ));
                }
                let table = (view.table.dialect, view.table_length);
                self.watched.scales.insert(key, (Arc::clone(&view.frontend), table));
            }
            // A due step of a slow start changes the weights.
            if !ticks {
                continue;
            }
            let weights =
                effective(&frontend, &view.table.scale, |backend| self.core.standing_of(name, backend, now));
            let right = vip_spec(config, &frontend, table_length(&frontend), &weights);
            if *view.spec != right {
                return Err(format!(
                    "rule 4: frontend {name} is decided to be\n{:?}, and shall be\n{right:?}",
                    view.spec
                ));
            }
            if let Some(spec) = spec
                && **spec != right
            {
                return Err(format!("frontend {name} is told as\n{spec:?}, and shall be\n{right:?}"));
            }
            let servers: BTreeSet<IpAddr> = frontend
                .pools
                .iter()
                .flat_map(|pool| pool.backends.keys())
                .map(|name| config.backends[name].address)
                .collect();
            if !servers.iter().eq(right.servers.keys()) {
                return Err(format!(
                    "rule 6: frontend {name} has {:?}, and shall have {servers:?}",
                    right.servers
                ));
            }
            if right.new_flows_table_length != table_length(&frontend) {
                return Err(format!("frontend {name} asks for another table than its weights need"));
            }
        }
        Ok(())
    }
}

fn known(snapshot: &Snapshot, frontend: &Frontend) -> bool {
    let mut names = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
    names.all(|name| {
        snapshot.backends.get(name.as_str()).is_some_and(|view| view.health.state() != State::Unknown)
    })
}

/// A frontend with the overridden weights.
fn in_force(operators: &Operators, name: &str, configured: &Frontend) -> Frontend {
    let mut frontend = configured.clone();
    for (member, weight) in operators.weights.iter().filter(|(member, _)| member.frontend == name) {
        let pool = frontend.pools.iter_mut().find(|pool| pool.name == member.pool);
        if let Some(configured) = pool.and_then(|pool| pool.backends.get_mut(&member.backend)) {
            *configured = *weight;
        }
    }
    frontend
}
