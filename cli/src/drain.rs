//! `drain ... wait`: waits until VPP sends a backend no more packets.

use std::future::Future;
use std::time::Duration;

use maglev_proto::{Backend, ChangeBackendResponse, SyncState};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::moment::span;
use crate::render::counted;

/// Time between two looks, at figures that are shared with everyone who looks at the backend.
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

/// Whether VPP gives the backend new flows, as far as is known.
pub(crate) fn takes_new(backend: &Backend) -> bool {
    let rows = backend.uses.iter().filter_map(|used| Some((used.sync(), used.row.as_ref()?)));
    // Until VPP acknowledges a weight, it may still have the previous one.
    rows.into_iter().any(|(sync, row)| {
        let had = row.vpp_weight > Some(0) || row.buckets > Some(0);
        row.programmed_weight > 0 || sync != SyncState::Synced && had
    })
}

/// Number of flows that a backend has left; an error while that is not known.
fn flows_left(backend: &Backend) -> Result<u64, String> {
    match backend.flows {
        None => Err(backend.vpp_figures_error.clone()),
        Some(_) if takes_new(backend) => Err("VPP still gives it new flows".to_owned()),
        // A flow may have begun since.
        Some(_) if backend.uses.iter().flat_map(|used| &used.row).any(|row| row.vpp_weight > Some(0)) => {
            Err("VPP has not been read since it was paused".to_owned())
        }
        Some(flows) => Ok(flows),
    }
}

/// How many flows are left, and since when none of them sent a packet.
fn progress(backend: &Backend, flows: u64) -> String {
    let left = format!("at most {} left", counted(flows, "flow"));
    match (flows, backend.idle_ms.unwrap_or_default()) {
        (0, _) => "no flows left".to_owned(),
        (_, 0..1_000) => left,
        (_, idle) => format!("{left}, no packet for {}", span(idle)),
    }
}

/// Looks until at most `floor` flows are left, the time is over, or `interrupt`; `None` after an interrupt. `show` gets
/// each look's result. A look that fails is repeated: the backend is paused already.
pub(crate) async fn wait(
    client: &Client,
    change: ChangeBackendResponse,
    name: &str,
    (floor, limit): (u64, Duration),
    interrupt: impl Future<Output = ()>,
    mut show: impl FnMut(&str),
) -> Option<Drained> {
    let began = Instant::now();
    let mut interrupt = std::pin::pin!(interrupt);
    let mut drained =
        Drained { change, backend: name.to_owned(), flows: None, floor, waited_ms: 0, error: None };
    loop {
        let look = tokio::select! {
            () = &mut interrupt => return None,
            look = client.backend(name) => look,
        };
        let look = look.map_err(|error| error.to_string());
        match look.and_then(|backend| Ok((flows_left(&backend)?, backend))) {
            Ok((flows, backend)) => {
                (drained.flows, drained.error) = (Some(flows), None);
                show(&progress(&backend, flows));
            }
            Err(error) => {
                show(&format!("{error}; retrying"));
                drained.error = Some(error);
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
    use maglev_proto::{BackendUse, PoolBackend};

    use super::*;

    #[test]
    fn flows_are_left_until_vpp_gives_none_and_has_none() {
        let used = |programmed_weight, vpp_weight, sync: SyncState| BackendUse {
            row: Some(PoolBackend { programmed_weight, vpp_weight, ..PoolBackend::default() }),
            sync: sync.into(),
            ..BackendUse::default()
        };
        let backend = |flows, uses: &[BackendUse]| Backend {
            flows,
            uses: uses.to_vec(),
            vpp_figures_error: "VPP is not connected".into(),
            ..Backend::default()
        };
        let drained = used(0, Some(0), SyncState::Synced);
        let left = |flows, uses: &[BackendUse]| flows_left(&backend(flows, uses));
        assert_eq!(left(Some(3), std::slice::from_ref(&drained)), Ok(3));
        assert_eq!(left(Some(0), &[]), Ok(0));
        assert_eq!(left(None, std::slice::from_ref(&drained)), Err("VPP is not connected".to_owned()));
        for pending in [used(0, Some(5), SyncState::Pending), used(5, Some(0), SyncState::Synced)] {
            let uses = [drained.clone(), pending];
            let error = left(Some(0), &uses).unwrap_err();
            assert_eq!(error, "VPP still gives it new flows");
        }
        let unread = used(0, Some(5), SyncState::Synced);
        let error = left(Some(0), std::slice::from_ref(&unread)).unwrap_err();
        assert_eq!(error, "VPP has not been read since it was paused");
    }

    #[test]
    fn progress_says_how_long_no_packet_came() {
        let backend = |idle_ms| Backend { idle_ms, ..Backend::default() };
        assert_eq!(progress(&backend(None), 1), "at most 1 flow left");
        assert_eq!(progress(&backend(Some(999)), 2), "at most 2 flows left");
        assert_eq!(progress(&backend(Some(14_200)), 2), "at most 2 flows left, no packet for 14s");
        assert_eq!(progress(&backend(Some(14_200)), 0), "no flows left");
    }
}
