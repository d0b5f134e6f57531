//! What is seen.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maglev_proto::{GetVpplbCountersRequest, GetVpplbStateRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::asking::Reader;
use super::{Dashboard, Failure};
use crate::access::Peer;
use crate::access::users::Role;
use crate::brain::{PATIENCE, answer, in_words};
use crate::documents::Table;
use crate::live::{Wanted, watch};

type Shared = State<Arc<Dashboard>>;

pub(super) async fn state(State(dashboard): Shared, _: Reader, headers: HeaderMap) -> Response {
    let snapshot = dashboard.live.snapshot().await;
    let json = (CONTENT_TYPE, "application/json");
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("gzip")) {
        return ([json, (CONTENT_ENCODING, "gzip")], snapshot.gzip).into_response();
    }
    ([json], snapshot.plain).into_response()
}

/// `since` is the last frame that the browser has, each `frontend` one whose probes it follows.
pub(super) async fn events(
    State(dashboard): Shared,
    _: Reader,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let mut wanted = Wanted::default();
    for (name, value) in query {
        match name.as_str() {
            "since" => wanted.since = Some(value),
            "frontend" => wanted.frontends.push(value),
            _ => {}
        }
    }
    // A browser that connects again says so itself.
    if let Some(last) = headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        wanted.since = Some(last.to_owned());
    }
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(watch(&dashboard.live, wanted))).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct Of {
    server: String,
    #[serde(default)]
    frontend: String,
}

pub(super) async fn history(
    State(dashboard): Shared,
    _: Reader,
    Query(of): Query<Of>,
) -> Result<Json<Value>, Failure> {
    let history = dashboard.live.look(|state| state.history(&of.server, &of.frontend));
    let missing = || format!("there is no frontend {:?} on {:?}", of.frontend, of.server);
    history.map(Json).ok_or_else(|| Failure(StatusCode::NOT_FOUND, missing()))
}

/// What VPP has and counts, of one load balancer; read for whoever asks.
pub(super) async fn vips(
    State(dashboard): Shared,
    _: Reader,
    Query(of): Query<Of>,
) -> Result<Json<Value>, Failure> {
    let brain = dashboard.planner.brains.iter().find(|brain| *brain.name == *of.server);
    let missing = || Failure(StatusCode::NOT_FOUND, format!("there is no load balancer {:?}", of.server));
    let unavailable = |words: String| Failure(StatusCode::SERVICE_UNAVAILABLE, words);
    let client = brain.ok_or_else(missing)?.client();
    let (mut one, _) = client.ok_or_else(|| unavailable("its brain is disconnected".to_owned()))?;
    let mut other = one.clone();
    let counters = answer(PATIENCE, one.get_vpplb_counters(GetVpplbCountersRequest::default()));
    let state = answer(PATIENCE, other.get_vpplb_state(GetVpplbStateRequest {}));
    match tokio::try_join!(counters, state) {
        Ok((counters, state)) => Ok(Json(json!({ "counters": counters, "state": state }))),
        Err(status) => Err(unavailable(in_words(&status))),
    }
}

/// Who asks, and what the pages may offer.
pub(super) async fn me(
    State(dashboard): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Json<Value> {
    let access = &dashboard.access;
    let reader = access.reader(peer, &headers, Instant::now());
    let (may_read, refusal) = match &reader {
        Ok(_) => (true, Value::Null),
        Err(refusal) => (false, refusal.to_string().into()),
    };
    let person = reader.ok().flatten();
    Json(json!({
        "name": person.as_ref().map(|person| &person.name),
        "may_read": may_read,
        "may_change": person.is_some_and(|person| person.role == Role::Admin),
        "refusal": refusal,
        "has_users": access.has_users(),
    }))
}

pub(super) async fn version(State(dashboard): Shared, _: Reader) -> Json<Value> {
    let brains = dashboard.live.look(|state| {
        let rows = dashboard.planner.brains.iter().map(|brain| {
            let row = state.documents.get(Table::Brains, &brain.name);
            (brain.name.to_string(), row.and_then(|row| row.get("version").cloned()).unwrap_or_default())
        });
        rows.collect::<serde_json::Map<_, _>>()
    });
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "brains": brains }))
}

/// The dashboard itself. Brains that are away are no fault of it, and are told.
pub(super) async fn health(State(dashboard): Shared) -> Json<Value> {
    let brains = dashboard.planner.brains.iter();
    let connected = brains.clone().filter(|brain| brain.client().is_some()).count();
    Json(json!({ "status": "ok", "brains": brains.count(), "brains_connected": connected }))
}

pub(super) async fn metrics(State(dashboard): Shared) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], dashboard.live.metrics.text()).into_response()
}
