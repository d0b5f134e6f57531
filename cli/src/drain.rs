//! `drain ... wait`: waits until VPP has no flow of a backend any more.

use std::future::Future;
use std::time::Duration;

use maglev_proto::{ChangeBackendResponse, VpplbState};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::render::counted;

/// Time between two looks. Each reads VPP, at a rate that the agent's policy limits (`reads-per-second`).
const PERIOD: Duration = Duration::from_secs(2);

/// How a drain ended.
#[derive(Debug, Serialize)]
pub(crate) struct Drained {
    pub(crate) change: ChangeBackendResponse,
    pub(crate) backend: String,
    /// Flows that are left, in all frontends; absent if VPP could not be read.
    pub(crate) flows: Option<u64>,
    /// Flows that may be left.
    pub(crate) floor: u64,
    pub(crate) waited_ms: u64,
    /// Why the newest look failed, if it did: `flows` is older then.
    pub(crate) error: Option<String>,
}

impl Drained {
    pub(crate) fn is_done(&self) -> bool {
        self.error.is_none() && self.flows.is_some_and(|flows| flows <= self.floor)
    }
}

/// Flows of a backend in all of VPP's VIPs, and the number of VIPs that have some.
pub(crate) fn flows_of(state: &VpplbState, backend: &str) -> (u64, usize) {
    let of_vips = state.vips.iter().map(|vip| {
        let servers = vip.application_servers.iter().filter(|server| server.backend == backend);
        servers.map(|server| server.flows).sum::<u64>()
    });
    of_vips.filter(|flows| *flows > 0).fold((0, 0), |(sum, count), flows| (sum + flows, count + 1))
}

/// Looks until at most `floor` flows are left, the time is over, or `interrupt`; `None` after an interrupt. `show` gets
/// each look's result. A look that fails is repeated: the backend is paused already.
pub(crate) async fn wait(
    client: &Client,
    change: ChangeBackendResponse,
    backend: &str,
    (floor, limit): (u64, Duration),
    interrupt: impl Future<Output = ()>,
    mut show: impl FnMut(&str),
) -> Option<Drained> {
    let began = Instant::now();
    let mut interrupt = std::pin::pin!(interrupt);
    let mut drained =
        Drained { change, backend: backend.to_owned(), flows: None, floor, waited_ms: 0, error: None };
    loop {
        let look = tokio::select! {
            () = &mut interrupt => return None,
            look = client.vpp_lb_state() => look,
        };
        match look {
            Ok(state) => {
                let (flows, vips) = flows_of(&state, backend);
                (drained.flows, drained.error) = (Some(flows), None);
                show(&format!("{} left, in {}", counted(flows, "flow"), counted(vips as u64, "VIP")));
            }
            Err(error) => {
                show(&format!("{error}; retrying"));
                drained.error = Some(error.to_string());
            }
        }
        drained.waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if drained.is_done() || began.elapsed() >= limit {
            return Some(drained);
        }
        let left = limit.saturating_sub(began.elapsed());
        tokio::select! {
            () = &mut interrupt => return None,
            () = sleep(PERIOD.min(left)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use maglev_proto::{VppApplicationServer, Vppvip};

    use super::*;

    #[test]
    fn flows_are_those_of_all_frontends() {
        let server = |backend: &str, flows| VppApplicationServer {
            backend: backend.into(),
            flows,
            ..VppApplicationServer::default()
        };
        let vip = |application_servers| Vppvip { application_servers, ..Vppvip::default() };
        let vips = vec![
            vip(vec![server("web1", 3), server("web2", 9)]),
            vip(vec![server("web1", 0)]),
            vip(vec![server("web1", 4)]),
        ];
        let state = VpplbState { vips, ..VpplbState::default() };
        assert_eq!(flows_of(&state, "web1"), (7, 2));
        assert_eq!(flows_of(&state, "web3"), (0, 0));
    }
}
