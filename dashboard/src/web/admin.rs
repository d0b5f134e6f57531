//! Logins and changes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{info, warn};

use super::asking::Admin;
use super::{Dashboard, Failure};
use crate::access::Peer;
use crate::plan::{Outcome, Plan, Request};

type Shared = State<Arc<Dashboard>>;

#[derive(Deserialize)]
pub(super) struct Login {
    name: String,
    password: String,
}

pub(super) async fn login(
    State(dashboard): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<Response, Failure> {
    let logged_in = dashboard.access.log_in(peer, &headers, &login.name, login.password).await;
    let cookie = logged_in.inspect_err(|refusal| {
        dashboard.live.metrics.refused_logins.inc();
        warn!(name = ?login.name.chars().take(64).collect::<String>(), ?peer, %refusal, "login refused");
    })?;
    info!(name = %login.name, ?peer, "logged in");
    Ok(([(SET_COOKIE, cookie)], Json(json!({ "name": login.name }))).into_response())
}

pub(super) async fn logout(
    State(dashboard): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let cookie = dashboard.access.log_out(peer, &headers)?;
    Ok(([(SET_COOKIE, cookie)], Json(json!({}))).into_response())
}

pub(super) async fn plan(
    State(dashboard): Shared,
    Admin(person): Admin,
    Json(request): Json<Request>,
) -> Result<Json<Plan>, Failure> {
    Ok(Json(dashboard.planner.plan(&person, request, Instant::now()).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct Confirmation {
    token: String,
    #[serde(default)]
    reason: String,
}

/// A browser that goes away does not stop half of it.
pub(super) async fn confirm(
    State(dashboard): Shared,
    Admin(person): Admin,
    Json(Confirmation { token, reason }): Json<Confirmation>,
) -> Result<Json<Outcome>, Failure> {
    let carried =
        tokio::spawn(
            async move { dashboard.planner.confirm(&person, &token, &reason, Instant::now()).await },
        );
    let failed =
        |panic: JoinError| Failure(StatusCode::INTERNAL_SERVER_ERROR, format!("the change failed: {panic}"));
    Ok(Json(carried.await.map_err(failed)??))
}
