//! Kills the brain repeatedly at random moments, half of the time during a failover, while connections
//! through VIPs stay open.
//!
//! `MAGLEV_KILLS` sets the number; `MAGLEV_KILLS_SEED` repeats a run, as far as that is possible with real
//! processes.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod flows;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use maglev_protocol::{AgentClient, LbState};
use maglev_tests::stack::{Stack, free_port};
use maglev_tests::switched::Server;
use maglev_tests::{guard, wait};
use tokio::time::sleep;

use flows::Flows;

/// Kills in a run that nobody gave a number for: enough to meet every phase of a start, few enough for every build.
const KILLS: u32 = 16;

/// Servers of the first pool; the others are those of the second.
const PRIMARY: usize = 3;
/// Flows of a frontend that lets a backend that is down keep its flows, and of one that does not.
const KEEPING: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 90, 0, 1));
const FLUSHING: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 90, 0, 2));

struct Bench {
    stack: Stack,
    servers: Vec<Server>,
    agent: AgentClient,
    random: fastrand::Rng,
}

fn configuration(data: u16, health: u16) -> String {
    let backends: String = (1..=5)
        .map(|last| format!("    s{last}: {{ address: 127.91.0.{last}, healthcheck: port }}\n"))
        .collect();
    let frontend = |name: &str, address: IpAddr, flush: bool| {
        format!(
            "    {name}:
      address: {address}
      protocol: tcp
      port: {data}
      flush-on-down: {flush}
      pools:
        - {{ name: primary, backends: {{ s1: {{}}, s2: {{}}, s3: {{ weight: 50 }} }} }}
        - {{ name: fallback, backends: {{ s4: {{}}, s5: {{}} }} }}
"
        )
    };
    format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1, sync-interval: 2s, startup-min-delay: 300ms, startup-max-delay: 3s }} }}
  healthchecks:
    port:
      type: tcp
      port: {health}
      interval: 100ms
      fast-interval: 50ms
      down-interval: 100ms
      timeout: 2s
      rise: 2
      fall: 2
  backends:
{backends}  frontends:
{}{}",
        frontend("keeping", KEEPING, false),
        frontend("flushing", FLUSHING, true),
    )
}

impl Bench {
    async fn start(seed: u64) -> Self {
        let (data, health) = (free_port().unwrap(), free_port().unwrap());
        let mut servers = Vec::new();
        for last in 1..=5 {
            servers.push(Server::start([127, 91, 0, last].into(), data, health).await.unwrap());
        }
        let mut stack = Stack::empty().unwrap();
        stack.configure(&configuration(data, health)).unwrap();
        stack.start_vppsim().unwrap();
        stack.start_agent().unwrap();
        let socket = stack.agent_socket();
        let agent =
            wait::until("the agent", || async { Ok(Some(guard::connect(&socket).await?)) }).await.unwrap();
        stack.start_brain().unwrap();
        let bench = Self { stack, servers, agent, random: fastrand::Rng::with_seed(seed) };
        bench.converged().await;
        bench
    }

    fn vip(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.servers[0].data().port())
    }

    /// The backends that should take new flows: the healthy ones of the first pool that has any.
    fn expected(&self) -> BTreeSet<IpAddr> {
        let healthy = |pool: &[Server]| -> BTreeSet<IpAddr> {
            pool.iter().filter(|server| server.is_healthy()).map(Server::address).collect()
        };
        let (primary, fallback) = self.servers.split_at(PRIMARY);
        let primary = healthy(primary);
        if primary.is_empty() { healthy(fallback) } else { primary }
    }

    async fn vpp(&self) -> anyhow::Result<LbState> {
        Ok(self.agent.lb_state(tarpc::context::current()).await??)
    }

    /// Waits until both VIPs send new flows to whom they should.
    async fn converged(&self) {
        let expected = self.expected();
        let look = || async {
            let state = self.vpp().await?;
            let serving = state.vips.iter().map(|vip| {
                let serving = vip.servers.iter().filter(|server| server.buckets > 0);
                serving.map(|server| server.address).collect::<BTreeSet<_>>()
            });
            let serving: Vec<_> = serving.collect();
            let done = serving.len() == 2 && serving.iter().all(|serving| *serving == expected);
            if done { Ok(Some(())) } else { anyhow::bail!("{serving:?}, not {expected:?}") }
        };
        let found = wait::until("VPP to follow health", look).await;
        found.map_err(|error| self.stack.explain(&error)).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Has some backends fail or return, at least one, but never all.
    fn fail_over(&mut self) {
        let before: Vec<_> = self.servers.iter().map(Server::is_healthy).collect();
        loop {
            let next: Vec<_> = before.iter().map(|healthy| healthy ^ self.random.bool()).collect();
            if next != before && next.contains(&true) {
                for (server, healthy) in self.servers.iter_mut().zip(next) {
                    server.set_healthy(healthy);
                }
                return;
            }
        }
    }

    async fn pause(&mut self, most: Duration) {
        // The real clock: the processes are hit at arbitrary moments.
        sleep(most.mul_f64(self.random.f64())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_brain_breaks_no_connection_and_vpp_converges_every_time() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills = number("MAGLEV_KILLS").unwrap_or(u64::from(KILLS));
    let seed = number("MAGLEV_KILLS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut bench = Bench::start(seed).await;
    let keeping = Flows::start(bench.vip(KEEPING), 40).await;
    let flushing = Flows::start(bench.vip(FLUSHING), 40).await;
    for kill in 0..kills {
        let failing_over = kill % 2 == 1;
        let writes = bench.stack.writes().unwrap();
        if failing_over {
            bench.fail_over();
            bench.pause(Duration::from_millis(400)).await;
        } else {
            bench.pause(Duration::from_millis(800)).await;
        }
        bench.stack.kill("brain").unwrap();
        bench.pause(Duration::from_millis(300)).await;
        bench.stack.start_brain().unwrap();
        if failing_over {
            bench.converged().await;
        } else {
            // It may be killed before it has looked around, or after that.
            bench.pause(Duration::from_millis(1500)).await;
            bench.converged().await;
            assert_eq!(
                bench.stack.writes().unwrap(),
                writes,
                "kill {kill} of seed {seed}: nothing was to be done"
            );
        }
        let broken = keeping.take_broken();
        assert!(broken.is_empty(), "kill {kill} of seed {seed}: {broken:?} lost flows that were to live");
        for server in flushing.take_broken() {
            let server = bench.servers.iter().find(|other| other.address() == server).unwrap();
            assert!(
                server.has_failed(),
                "kill {kill} of seed {seed}: {} was healthy throughout",
                server.data()
            );
        }
        for server in &mut bench.servers {
            server.forget_failures();
        }
    }
    assert!(keeping.exchanged() > kills, "the flows were used");
    assert!(flushing.reopened() > 0 || kills < 2, "flows of backends that went down were moved");
}
