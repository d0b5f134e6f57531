//! Single probes that an operator asks for, beside those of the scheduler. They change nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::{join, join_all};
use futures::stream::{self, StreamExt};
use maglev_engine::config::{Backend, CheckKind, Config, HealthCheck, Via};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome};
use maglev_engine::tunnel::hops::{self, Evidence, Path, Report, better, connects, plain};
use maglev_engine::tunnel::largest::{Search, search_on};
use maglev_engine::tunnel::vips;
use maglev_probe::Checker;
use maglev_protocol::TunnelTarget;
use tokio::time::{Instant, sleep_until};

use super::ThroughTunnel;
use crate::agent::{EchoSender, Lease, Tunnels};

/// Time for the agent to give out addresses.
const ADDRESSES: Duration = Duration::from_secs(3);
/// Timeout of probes without a health check: echo requests and connections.
const SHORT: Duration = Duration::from_secs(1);
/// Maximum timeout of a health check's probe.
const LONGEST: Duration = Duration::from_secs(5);
/// VIPs probed at the same time.
const AT_ONCE: usize = 4;
/// Time after which no further VIP is probed. Those in progress take 5 s more at most.
const ENOUGH: Duration = Duration::from_secs(15);
/// Rounds of the search for the largest packet: they find any size.
const ROUNDS: usize = 3;

/// Probes on demand. Clones share the connections to the agent.
#[derive(Debug, Clone)]
pub struct OnDemand {
    echoes: EchoSender,
    tunnels: Tunnels,
}

impl OnDemand {
    /// Probes that reach the agent by these.
    pub fn new(echoes: EchoSender, tunnels: Tunnels) -> Self {
        Self { echoes, tunnels }
    }

    /// One probe of each of a backend's health checks, as configured; except that none takes more than 5 s.
    pub async fn checks(
        &self,
        config: &Config,
        name: &str,
        backend: &Backend,
    ) -> Vec<(String, ProbeOutcome)> {
        let vips = |check: &HealthCheck| vips(check, config.frontends_of(name).map(|(_, frontend)| frontend));
        let checks: Vec<_> = config.checks_of(backend).collect();
        let through = checks.iter().filter(|(_, check)| check.via != Via::Direct);
        let targets = through.flat_map(|(_, check)| vips(check));
        let _lease = self.lease(backend.address, targets.map(|vip| vip.ip())).await;
        let probe = |(check_name, check): (&str, &HealthCheck)| {
            let (check_name, checker) = (check_name.to_owned(), self.checker(check.clone()));
            let through = match check.via {
                Via::Direct => None,
                Via::Tunnel { size } => Some(ThroughTunnel::new(self.tunnels.clone(), vips(check), size)),
            };
            async move {
                let outcome = match through {
                    None => checker.probe(backend.address).await,
                    Some(through) => through.probe(&checker, backend.address).await,
                };
                (check_name, outcome)
            }
        };
        join_all(checks.into_iter().map(probe)).await
    }

    /// The ways into a backend, hop by hop: of all its frontends, or of one. The number of frontends for which the time
    /// was too short comes with them.
    pub async fn hops(
        &self,
        config: &Config,
        name: &str,
        backend: &Backend,
        only: Option<&str>,
    ) -> (Vec<(Path, Vec<Report>)>, usize) {
        let enough = Instant::now() + ENOUGH;
        let (server, paths) = (backend.address, config.paths(name, only, SHORT));
        let count = paths.len();
        let vips = paths.iter().map(|path| path.vip).chain([server]);
        let _lease = self.lease(server, vips).await;
        let (ping, port) = (self.checker(plain(CheckKind::Icmp, SHORT)), config.tcp_port(backend));
        let (ping, port) = (&ping, port.or_else(|| paths.iter().find_map(tcp_port_of)));
        let server_itself = join(self.address(ping, server, port), self.tunnel(ping, server, port));
        let probe = |path: Path| async move {
            let found = self.vip(ping, &path).await;
            (path, found)
        };
        let probed = stream::iter(paths.into_iter().map(probe)).take_until(sleep_until(enough));
        let ((address, tunnel), found) =
            join(server_itself, probed.buffered(AT_ONCE).collect::<Vec<_>>()).await;
        let report = |(path, (vip, listeners, mtu)): (Path, _)| {
            let evidence = Evidence { address: address.clone(), tunnel: tunnel.clone(), vip, listeners, mtu };
            let reports = hops::reports(&path, evidence);
            (path, reports)
        };
        let reports: Vec<_> = found.into_iter().map(report).collect();
        let left_out = count.saturating_sub(reports.len());
        (reports, left_out)
    }

    /// Gets addresses for these VIPs on a server.
    async fn lease(&self, server: IpAddr, vips: impl Iterator<Item = IpAddr>) -> Lease {
        let mut targets: Vec<_> = vips.map(|vip| TunnelTarget { vip, server }).collect();
        targets.sort_unstable();
        targets.dedup();
        let mut lease = self.tunnels.lease(targets);
        lease.settled(Instant::now() + ADDRESSES).await;
        lease
    }

    fn checker(&self, check: HealthCheck) -> Checker<EchoSender> {
        let timeout = check.timeout.min(LONGEST);
        Checker::new(HealthCheck { timeout, ..check }, self.echoes.clone())
    }

    /// Whether the server's own address answers: an echo request, or a connection to a port that it should have.
    async fn address(&self, ping: &Checker<EchoSender>, server: IpAddr, port: Option<u16>) -> ProbeOutcome {
        let connection = port.map(|port| self.checker(connects(port, SHORT)));
        let connect = async {
            match &connection {
                Some(checker) => Some(checker.probe(server).await),
                None => None,
            }
        };
        let (echo, connected) = join(ping.probe(server), connect).await;
        better(echo, connected)
    }

    /// The same through the tunnel.
    async fn tunnel(&self, ping: &Checker<EchoSender>, server: IpAddr, port: Option<u16>) -> ProbeOutcome {
        let connection = port.map(|port| (self.checker(connects(port, SHORT)), port));
        let connect = async {
            match &connection {
                Some((checker, port)) => {
                    Some(self.through(checker, SocketAddr::new(server, *port), server, None).await)
                }
                None => None,
            }
        };
        let echo = self.through(ping, SocketAddr::new(server, 0), server, None);
        let (echo, connected) = join(echo, connect).await;
        better(echo, connected)
    }

    /// What is found of a VIP: of its address, its listeners, and full packets.
    async fn vip(
        &self,
        ping: &Checker<EchoSender>,
        path: &Path,
    ) -> (ProbeOutcome, Vec<ProbeOutcome>, Option<ProbeOutcome>) {
        let target = SocketAddr::new(path.vip, 0);
        let echo = self.through(ping, target, path.server, None);
        let listeners = path.listeners.iter().map(|listener| async {
            let checker = self.checker(listener.check.clone());
            self.through(&checker, listener.target, path.server, None).await
        });
        let echoes = async {
            let echo = echo.await;
            let mtu = match echo.passed() {
                true => Some(self.mtu(ping, target, path.server, path.full).await),
                false => None,
            };
            (echo, mtu)
        };
        let ((echo, mtu), listeners) = join(echoes, join_all(listeners)).await;
        (echo, listeners, mtu)
    }

    /// Full packets; if they do not pass, the largest that do.
    async fn mtu(
        &self,
        ping: &Checker<EchoSender>,
        target: SocketAddr,
        server: IpAddr,
        full: u16,
    ) -> ProbeOutcome {
        let whole = self.through(ping, target, server, Some(full)).await;
        let mut search = None;
        let mut outcome = search_on(&mut search, full, whole.clone(), &[]);
        if whole.code != ProbeCode::L4Tout {
            return outcome;
        }
        for _ in 0..ROUNDS {
            let sizes = search.as_ref().map(Search::sizes).unwrap_or_default();
            let tried = sizes.into_iter().map(|size| async move {
                (size, self.through(ping, target, server, Some(size)).await.passed())
            });
            outcome = search_on(&mut search, full, whole.clone(), &join_all(tried).await);
        }
        outcome
    }

    async fn through(
        &self,
        checker: &Checker<EchoSender>,
        target: SocketAddr,
        server: IpAddr,
        size: Option<u16>,
    ) -> ProbeOutcome {
        let probe = |source, deadline| checker.probe_vip(target, source, size, deadline);
        self.tunnels.probe(target, server, checker.timeout(), probe).await
    }
}

/// The port of a path's first listener, if that connects over TCP.
fn tcp_port_of(path: &Path) -> Option<u16> {
    path.listeners.iter().find(|listener| listener.name.is_none()).map(|listener| listener.target.port())
}
