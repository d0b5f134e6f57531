//! `drain lb ... wait`: waits until the router has withdrawn the routes, and the traffic has ceased.

use std::future::Future;
use std::time::Duration;

use maglev_proto::{
    Announcement, DrainLbResponse, LbDrainKind, ListRoutesResponse, Route, VipCounters, VpplbCounters,
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::Error;
use crate::render::counted;

/// Time between two looks, at counters that are up to two seconds old.
const PERIOD: Duration = Duration::from_secs(1);

/// Result of a drain.
#[derive(Debug, Serialize)]
pub(crate) struct LbDrained {
    pub(crate) change: DrainLbResponse,
    /// Routes that the router still announces, or of which it has not said; absent if the brain could not be asked.
    pub(crate) routes: Option<u64>,
    /// Packets a second to the VIPs; absent if unknown.
    pub(crate) packets: Option<u64>,
    /// Packets a second that may be left.
    pub(crate) floor: u64,
    pub(crate) waited_ms: u64,
    /// Error of the newest look, if it failed.
    pub(crate) error: Option<String>,
}

impl LbDrained {
    pub(crate) fn is_done(&self) -> bool {
        self.error.is_none()
            && self.routes == Some(0)
            && self.packets.is_some_and(|packets| packets <= self.floor)
    }
}

/// Returns whether the router has carried out a drain of this kind.
pub(crate) fn is_drained(route: &Route, kind: LbDrainKind) -> bool {
    match route.router() {
        Announcement::Withdrawn => true,
        Announcement::Deprioritised => kind == LbDrainKind::Gshut,
        Announcement::Announced | Announcement::Unspecified => false,
    }
}

fn routes_left(list: &ListRoutesResponse) -> Result<u64, String> {
    // Somebody else may have ended the drain.
    let drain = list.drain.as_ref().ok_or("the load balancer is not drained any more")?;
    let left = list.routes.iter().filter(|route| !is_drained(route, drain.kind()));
    Ok(left.count() as u64)
}

/// Packets to the VIPs that are announced, and when they were counted.
struct Sample {
    packets: u64,
    at: Instant,
}

impl Sample {
    fn of(list: &ListRoutesResponse, counters: &VpplbCounters, now: Instant) -> Self {
        let announced =
            |vip: &&VipCounters| list.routes.iter().any(|route| route.frontends.contains(&vip.frontend));
        let all =
            |vip: &VipCounters| [vip.existing_sessions, vip.first_session, vip.untracked, vip.no_server];
        let packets = counters.vips.iter().filter(announced).flat_map(all).fold(0, u64::saturating_add);
        let age = Duration::from_millis(counters.age_ms);
        Self { packets, at: now.checked_sub(age).unwrap_or(now) }
    }

    /// Packets a second since an earlier sample; `None` if it is the same one, or VPP was restarted since.
    fn rate_since(&self, before: &Self) -> Option<u64> {
        let time = self.at.checked_duration_since(before.at).filter(|time| *time >= PERIOD / 2)?;
        let packets = self.packets.checked_sub(before.packets)?;
        u64::try_from(u128::from(packets) * 1000 / time.as_millis().max(1)).ok()
    }
}

/// Looks until the routes are drained and at most `floor` packets a second are left, the time is over, or `interrupt`; `None`
/// after an interrupt. `show` gets each look's result. A look that fails is repeated.
pub(crate) async fn wait(
    client: &Client,
    change: DrainLbResponse,
    (floor, limit): (u64, Duration),
    interrupt: impl Future<Output = ()>,
    mut show: impl FnMut(&str),
) -> Option<LbDrained> {
    let began = Instant::now();
    let mut interrupt = std::pin::pin!(interrupt);
    let mut drained = LbDrained { change, routes: None, packets: None, floor, waited_ms: 0, error: None };
    let mut before: Option<Sample> = None;
    loop {
        let look = tokio::select! {
            () = &mut interrupt => return None,
            look = look(client) => look,
        };
        match look.map_err(|error| error.to_string()).and_then(|seen| Ok((routes_left(&seen.0)?, seen))) {
            Ok((routes, (list, counters))) => {
                let sample = Sample::of(&list, &counters, Instant::now());
                let rate = before.as_ref().and_then(|before| sample.rate_since(before));
                // Until there are newer counters, the rate stays as it was.
                if rate.is_some() || before.as_ref().is_none_or(|before| sample.packets < before.packets) {
                    (drained.packets, before) = (rate, Some(sample));
                }
                (drained.routes, drained.error) = (Some(routes), None);
                show(&progress(routes, drained.packets));
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

async fn look(client: &Client) -> Result<(ListRoutesResponse, VpplbCounters), Error> {
    Ok((client.routes().await?, client.vpp_lb_counters("").await?))
}

/// Progress of a drain, in words.
pub(crate) fn progress(routes: u64, packets: Option<u64>) -> String {
    let routes = match routes {
        0 => "all routes drained".to_owned(),
        left => format!("{} left", counted(left, "route")),
    };
    match packets {
        None => format!("{routes}, traffic not measured yet"),
        Some(packets) => format!("{routes}, {} a second", counted(packets, "packet")),
    }
}

#[cfg(test)]
mod tests {
    use maglev_proto::LbDrain;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn traffic_is_measured_between_two_counts() {
        let list = ListRoutesResponse {
            routes: vec![Route { frontends: vec!["www".into()], ..Route::default() }],
            ..ListRoutesResponse::default()
        };
        let counters = |packets, age_ms| VpplbCounters {
            age_ms,
            vips: ["www", "other"]
                .map(|name| VipCounters {
                    frontend: name.into(),
                    existing_sessions: packets,
                    no_server: 1,
                    ..VipCounters::default()
                })
                .into(),
        };
        let began = Instant::now() + Duration::from_secs(10);
        let first = Sample::of(&list, &counters(100, 500), began);
        assert_eq!(Sample::of(&list, &counters(100, 700), began).rate_since(&first), None, "the same count");
        let second = Sample::of(&list, &counters(350, 0), began + Duration::from_secs(2));
        assert_eq!(second.rate_since(&first), Some(100));
        assert_eq!(first.rate_since(&second), None);
        let restarted = Sample::of(&list, &counters(1, 0), began + Duration::from_secs(2));
        assert_eq!(restarted.rate_since(&first), None);
    }

    #[test]
    fn a_drain_is_done_when_routes_and_traffic_are() {
        let route =
            |router: Announcement| Route { address: "x".into(), router: router.into(), ..Route::default() };
        let list = |kind: LbDrainKind, routers: &[Announcement]| ListRoutesResponse {
            routes: routers.iter().map(|router| route(*router)).collect(),
            drain: Some(LbDrain { kind: kind.into(), ..LbDrain::default() }),
            ..ListRoutesResponse::default()
        };
        use Announcement::{Announced, Deprioritised, Unspecified, Withdrawn};
        let all = [Announced, Deprioritised, Unspecified, Withdrawn];
        assert_eq!(routes_left(&list(LbDrainKind::Withdraw, &all)), Ok(3));
        assert_eq!(routes_left(&list(LbDrainKind::Gshut, &all)), Ok(2));
        assert!(routes_left(&ListRoutesResponse::default()).is_err());
        let drained = |routes, packets| LbDrained {
            change: DrainLbResponse::default(),
            routes,
            packets,
            floor: 10,
            waited_ms: 0,
            error: None,
        };
        assert!(drained(Some(0), Some(10)).is_done());
        for unfinished in [drained(Some(1), Some(0)), drained(Some(0), Some(11)), drained(Some(0), None)] {
            assert!(!unfinished.is_done(), "{unfinished:?}");
        }
        assert_eq!(progress(0, Some(1)), "all routes drained, 1 packet a second");
        assert_eq!(progress(2, None), "2 routes left, traffic not measured yet");
    }
}
