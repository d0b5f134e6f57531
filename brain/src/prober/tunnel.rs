//! Probes of a backend's VIPs through the tunnel.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::{join, join_all};
use maglev_engine::outcome::ProbeOutcome;
use maglev_engine::tunnel::largest::{Search, search_on};
use maglev_engine::tunnel::merge;
use maglev_probe::Checker;
use tokio::time::Instant;

use crate::agent::{EchoSender, Tunnels};

/// The VIPs that a check probes on a backend.
#[derive(Debug)]
pub struct ThroughTunnel {
    tunnels: Tunnels,
    /// With port 0 for ICMP.
    vips: Vec<SocketAddr>,
    /// Size of echo requests.
    size: Option<u16>,
    /// The largest packets that pass, of VIPs for which `size` does not.
    searches: Mutex<BTreeMap<IpAddr, Search>>,
}

impl ThroughTunnel {
    /// Probes of these VIPs, with port 0 for ICMP, from addresses of `tunnels`. Echo requests have the given size.
    pub fn new(tunnels: Tunnels, vips: impl IntoIterator<Item = SocketAddr>, size: Option<u16>) -> Self {
        Self { tunnels, vips: vips.into_iter().collect(), size, searches: Mutex::default() }
    }

    /// Probes all VIPs at once.
    pub(super) async fn probe(&self, checker: &Checker<EchoSender>, server: IpAddr) -> ProbeOutcome {
        let probe = |vip: SocketAddr| {
            self.tunnels.probe(vip, server, checker.timeout(), move |source, deadline| {
                self.probe_vip(checker, vip, source, deadline)
            })
        };
        merge(join_all(self.vips.iter().copied().map(probe)).await)
    }

    /// Probes a VIP; after a failure, also with smaller packets.
    async fn probe_vip(
        &self,
        checker: &Checker<EchoSender>,
        vip: SocketAddr,
        source: IpAddr,
        deadline: Instant,
    ) -> ProbeOutcome {
        let Some(full) = self.size else { return checker.probe_vip(vip, source, None, deadline).await };
        let mut search = self.searches().remove(&vip.ip());
        let sizes = search.as_ref().map(Search::sizes).unwrap_or_default();
        let smaller = sizes.into_iter().map(|size| async move {
            (size, checker.probe_vip(vip, source, Some(size), deadline).await.passed())
        });
        let whole = checker.probe_vip(vip, source, Some(full), deadline);
        let (outcome, tried) = join(whole, join_all(smaller)).await;
        let outcome = search_on(&mut search, full, outcome, &tried);
        self.searches().extend(search.map(|search| (vip.ip(), search)));
        outcome
    }

    fn searches(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Search>> {
        self.searches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
