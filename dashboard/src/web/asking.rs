//! Who asks, checked before a handler runs.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio::time::Instant;

use super::{Dashboard, Failure};
use crate::access::{Peer, Person};

/// Somebody who may look.
pub(super) struct Reader;

/// Somebody who may make changes, on a page of this dashboard.
pub(super) struct Admin(pub(super) Person);

/// The other end of the connection, which [`crate::listen`] adds to each request.
fn peer(parts: &Parts) -> Result<Peer, Failure> {
    let missing = || Failure(StatusCode::INTERNAL_SERVER_ERROR, "the connection has no peer".to_owned());
    parts.extensions.get().copied().ok_or_else(missing)
}

impl FromRequestParts<Arc<Dashboard>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Arc<Dashboard>) -> Result<Self, Failure> {
        dashboard.access.reader(peer(parts)?, &parts.headers, Instant::now())?;
        Ok(Self)
    }
}

impl FromRequestParts<Arc<Dashboard>> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Arc<Dashboard>) -> Result<Self, Failure> {
        Ok(Self(dashboard.access.admin(peer(parts)?, &parts.headers, Instant::now())?))
    }
}
