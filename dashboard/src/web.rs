//! The pages and what they ask for, over HTTP.

mod admin;
mod asking;
mod assets;
mod read;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::access::{Access, Refusal};
use crate::live::Live;
use crate::plan::{PlanError, Planner};

/// Largest body of a request.
const LARGEST: usize = 16 << 10;

/// Nothing inline, nothing from elsewhere, in no other page's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (HeaderName::from_static("content-security-policy"), POLICY),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

#[derive(Debug)]
pub(crate) struct Dashboard {
    pub(crate) live: Arc<Live>,
    pub(crate) access: Access,
    pub(crate) planner: Planner,
}

pub(crate) fn routes(dashboard: Arc<Dashboard>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/view/") }))
        .route("/view", get(|| async { Redirect::to("/view/") }))
        .route("/admin", get(|| async { Redirect::to("/admin/") }))
        .route("/view/", get(assets::page))
        .route("/admin/", get(assets::page))
        .route("/view/assets/{name}", get(assets::asset))
        .route("/view/api/state", get(read::state))
        .route("/view/api/events", get(read::events))
        .route("/view/api/history", get(read::history))
        .route("/view/api/vips", get(read::vips))
        .route("/view/api/version", get(read::version))
        .route("/view/api/me", get(read::me))
        .route("/admin/api/login", post(admin::login))
        .route("/admin/api/logout", post(admin::logout))
        .route("/admin/api/plan", post(admin::plan))
        .route("/admin/api/confirm", post(admin::confirm))
        .route("/healthz", get(read::health))
        .route("/metrics", get(read::metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found: the pages are at /view/ and /admin/\n") })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(headers))
        .with_state(dashboard)
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[derive(Debug)]
pub(crate) struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Login | Refusal::Wrong => StatusCode::UNAUTHORIZED,
            Refusal::ReadOnly(_) | Refusal::Foreign | Refusal::Host(_) => StatusCode::FORBIDDEN,
            Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        Self(status, refusal.to_string())
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let status = match error {
            PlanError::Unknown(_) | PlanError::Nobody => StatusCode::BAD_REQUEST,
            PlanError::Expired => StatusCode::CONFLICT,
            PlanError::Random => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}
