//! Routes, and the router.

use std::net::IpAddr;
use std::time::Instant;

use maglev_engine::config;
use maglev_engine::overrides::Overrides;
use maglev_engine::routes;
use maglev_engine::routes::bird::{gshut_protocol, protocol};
use maglev_engine::snapshot::{RouterStatus, Snapshot};
use maglev_proto::{Announcement, LbDrain, ListRoutesResponse, Route, Router};

use super::{milliseconds, overrides, unix_ms};

pub(in crate::grpc) fn routes(snapshot: &Snapshot, now: Instant) -> ListRoutesResponse {
    let bird = match &snapshot.config.router {
        config::Router::Bird(bird) => Some(bird),
        config::Router::Kernel => None,
    };
    let name = |of: fn(&str, IpAddr) -> String, address| {
        bird.map(|bird| of(&bird.prefix, address)).unwrap_or_default()
    };
    let routes = snapshot.routes.iter().map(|(address, view)| {
        let left = view.route.again.map(|again| again.saturating_duration_since(now));
        Route {
            address: address.to_string(),
            frontends: view.frontends.iter().map(ToString::to_string).collect(),
            announcement: announcement(view.route.announcement).into(),
            router: announcement(view.router).into(),
            reason: view.route.reason.to_string(),
            since_unix_ms: unix_ms(view.route.since),
            hold_down_ms: left.map_or(0, milliseconds),
            bird_protocol: name(protocol, *address),
            bird_gshut_protocol: name(gshut_protocol, *address),
        }
    });
    let socket = bird.map(|bird| bird.socket.display().to_string()).unwrap_or_default();
    let router = Router { socket, ..router(&snapshot.router) };
    ListRoutesResponse { routes: routes.collect(), router: Some(router), drain: drain(&snapshot.overrides) }
}

/// Without its socket, which the configuration has.
pub(super) fn router(status: &RouterStatus) -> Router {
    let RouterStatus { router: _, connection, missing, refused, restored: _, since } = status;
    let (version, reason) = match connection {
        Ok(version) => (version.clone(), refused.clone().unwrap_or_default()),
        Err(reason) => (String::new(), reason.clone()),
    };
    Router {
        connected: connection.is_ok(),
        version,
        reason,
        missing: missing.clone(),
        since_unix_ms: unix_ms(*since),
        ..Router::default()
    }
}

pub(in crate::grpc) fn drain(set: &Overrides) -> Option<LbDrain> {
    let set = set.lb.as_ref()?;
    let (set_by, reason, until_unix_ms) = overrides::remark(&set.stamp);
    let since_unix_ms = unix_ms(set.stamp.since);
    Some(LbDrain {
        kind: overrides::lb_drain(set.value).into(),
        since_unix_ms,
        set_by,
        reason,
        until_unix_ms,
    })
}

pub(super) fn announcement(decided: Option<routes::Announcement>) -> Announcement {
    match decided {
        None => Announcement::Unspecified,
        Some(routes::Announcement::Withdrawn) => Announcement::Withdrawn,
        Some(routes::Announcement::Deprioritised) => Announcement::Deprioritised,
        Some(routes::Announcement::Announced) => Announcement::Announced,
    }
}
