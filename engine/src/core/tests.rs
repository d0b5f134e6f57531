use std::time::{Duration, UNIX_EPOCH};

use maglev_protocol::VipKey;
use maglev_protocol::{
    AgentError, AgentInfo, Change, Dialect, FullRead, Programmed, ProgrammedVip, StepError, SyncReport,
    TableLengthKept, VipReport, VipSpec, VppInfo, VppState,
};

use super::*;
use crate::agent::CallError;
use crate::config::{Config, parse};
use crate::desired::{Demand, ViewId};
use crate::health::State;
use crate::outcome::{ProbeCode, ProbeOutcome};
use crate::overrides::PoolMember;
use crate::snapshot::{AgentProcess, SyncStatus};
use crate::weights::FrontendState;

mod backends;
mod commands;
mod dialects;
mod events;
mod expiry;
mod fleet;
mod min_up;
mod reload_costs;
mod reloads;
mod repeated;
mod routes;
mod selection;
mod steady;
mod syncs;
mod warmup;

/// No warm-up.
const AT_ONCE: &str = "startup-min-delay: 0s, startup-max-delay: 0s";
/// Warm-up from 5 s to 30 s.
const WARMUP: &str = "startup-min-delay: 5s, startup-max-delay: 30s";

const BACKENDS: &str = "
    a: { address: 10.0.0.1, healthcheck: tcp }
    b: { address: 10.0.0.2, healthcheck: tcp }
    c: { address: 10.0.0.3, healthcheck: tcp }
    off: { address: 10.0.0.4, healthcheck: tcp, enabled: false }
    fixed: { address: 10.0.0.5 }
";

const FRONTENDS: &str = "
    one:
      address: 203.0.113.1
      protocol: tcp
      port: 80
      pools:
        - { name: primary, backends: { a: {}, b: {}, off: {} } }
        - { name: fallback, backends: { c: {} } }
    two: { address: 203.0.113.2, pools: [ { name: only, backends: { a: {} } } ] }
    three: { address: 203.0.113.3, pools: [ { name: only, backends: { fixed: {} } } ] }
";

fn configuration(delays: &str, backends: &str, frontends: &str) -> Arc<Config> {
    let text = format!(
        "
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, sync-interval: 7s, {delays} }} }}
  healthchecks:
    tcp: {{ type: tcp, port: 80, rise: 1, fall: 2 }}
    same: {{ type: tcp, port: 80, rise: 1, fall: 2 }}
    other: {{ type: tcp, port: 81, rise: 2, fall: 1 }}
    tunnel: {{ type: tcp, port: 82, rise: 1, fall: 2, via: tunnel }}
  backends: {{}}{backends}
  frontends: {{}}{frontends}
"
    );
    let text = text.replace("{}\n    ", "\n    ");
    Arc::new(parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config)
}

/// A VIP in VPP: its table length, and its servers' weights by the last byte of their addresses.
type FoundVip<'a> = (VipKey, u32, &'a [(u8, u8)]);

/// A core with its clock.
struct Bench {
    core: Core,
    now: Now,
    views: u64,
}

impl Bench {
    fn new(delays: &str) -> Self {
        Self::with(configuration(delays, BACKENDS, FRONTENDS), Overrides::default())
    }

    fn with(config: Arc<Config>, overrides: Overrides) -> Self {
        let now = Now { wall: UNIX_EPOCH, mono: crate::tests::moment() };
        Self { core: Core::new(config, overrides, "agent.sock".into(), now), now, views: 0 }
    }

    /// After the warm-up, with an empty VPP.
    fn connected() -> Self {
        let mut bench = Self::new(AT_ONCE);
        bench.vpp(&[]);
        bench
    }

    /// Advances the clock, with all ticks that become due.
    fn sleep(&mut self, time: Duration) -> Effects {
        let end = self.now.mono + time;
        let mut effects = Effects::default();
        while let Some(tick) = self.core.next_tick().filter(|tick| *tick <= end) {
            self.to(tick);
            effects.merge(self.core.handle(Input::Tick, self.now));
            assert_ne!(self.core.next_tick(), Some(tick), "the same tick for ever");
        }
        self.to(end);
        effects
    }

    fn to(&mut self, mono: Instant) {
        self.now.wall += mono.saturating_duration_since(self.now.mono);
        self.now.mono = self.now.mono.max(mono);
    }

    fn seconds(&mut self, seconds: u64) -> Effects {
        self.sleep(Duration::from_secs(seconds))
    }

    fn probe(&mut self, backend: &str, passed: bool) -> Effects {
        let code = if passed { ProbeCode::L4Ok } else { ProbeCode::L4Con };
        self.report(
            backend,
            ProbeOutcome { code, detail: "test".into(), duration: Duration::ZERO, asked: None },
        )
    }

    fn report(&mut self, backend: &str, outcome: ProbeOutcome) -> Effects {
        let (late, ended) = (Duration::ZERO, self.now.mono);
        self.core.handle(
            Input::Probe(Report { backend: backend.into(), check: 0, outcome, late, ended }),
            self.now,
        )
    }

    fn all_up(&mut self) {
        for backend in ["a", "b", "c"] {
            self.probe(backend, true);
        }
    }

    fn agent(&mut self, event: AgentEvent) -> Effects {
        self.core.handle(Input::Agent(event), self.now)
    }

    /// Connects VPP with these VIPs.
    fn vpp(&mut self, vips: &[FoundVip<'_>]) -> Effects {
        self.vpp_of(Dialect::Weighted, vips)
    }

    fn vpp_of(&mut self, dialect: Dialect, vips: &[FoundVip<'_>]) -> Effects {
        self.views += 1;
        let server = |&(last, weight): &(u8, u8)| (IpAddr::from([10, 0, 0, last]), weight);
        let vips = vips.iter().map(|(key, length, servers)| ProgrammedVip {
            key: *key,
            new_flows_table_length: *length,
            servers: servers.iter().map(server).collect(),
        });
        let programmed = Programmed { dialect, vips: vips.collect() };
        let info = VppInfo { generation: self.views, state: VppState::sample(1, None) };
        self.agent(AgentEvent::Vpp { info, programmed: Some((ViewId(self.views), programmed)) })
    }

    fn vpp_leaves(&mut self, silent: Duration) -> Effects {
        self.views += 1;
        let silent_ms = silent.as_millis().try_into().unwrap();
        let state = VppState::Disconnected { reason: "gone".into(), silent_ms };
        self.agent(AgentEvent::Vpp { info: VppInfo { generation: self.views, state }, programmed: None })
    }

    /// The request of a command that makes at most one.
    fn demand(done: &Done) -> Option<Demand> {
        done.asked.iter().find_map(|asked| asked.demand)
    }

    fn command(&mut self, command: Command) -> Result<(Effects, Done), CommandError> {
        self.core.command(command, self.now)
    }

    fn wish(&mut self, backend: &str, wish: BackendWish) -> Result<Effects, CommandError> {
        let (effects, done) = self.command(Command::Backend { backend: backend.to_owned(), wish })?;
        let asked: Vec<_> = done.asked.iter().filter_map(|asked| asked.frontend.clone()).collect();
        assert_eq!(asked, *self.core.backends.frontends_of(backend), "all of its frontends are to have it");
        Ok(effects)
    }

    fn weights(&self, frontend: &str) -> Vec<u8> {
        self.core.frontends.views()[frontend].spec.servers.values().map(|server| server.weight).collect()
    }

    fn key(&self, frontend: &str) -> VipKey {
        self.core.frontends.views()[frontend].spec.key
    }

    fn sync(&self, frontend: &str) -> SyncStatus {
        self.core.frontends.views()[frontend].sync.clone()
    }

    fn state(&self, backend: &str) -> State {
        self.core.backends.views()[backend].health.state()
    }
}
