//! Pages, scripts and styles, which are part of the program.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! script {
    ($name:literal) => {
        ($name, SCRIPT, include_str!(concat!("../../assets/", $name)))
    };
}

/// Name, type and text of each.
const ASSETS: [(&str, &str, &str); 13] = [
    script!("main.js"),
    script!("store.js"),
    script!("stream.js"),
    script!("dom.js"),
    script!("fleet.js"),
    script!("frontend.js"),
    script!("balancers.js"),
    script!("events.js"),
    script!("pictures.js"),
    script!("change.js"),
    script!("login.js"),
    ("style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];

const PAGE: &str = include_str!("../../assets/index.html");

pub(super) async fn page(headers: HeaderMap) -> Response {
    answer(&headers, "text/html; charset=utf-8", PAGE)
}

pub(super) async fn asset(headers: HeaderMap, Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => answer(&headers, kind, text),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

/// Looked at again each time, and sent only if it is another one.
fn answer(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:x}\"", hasher.finish());
    let fresh = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, tag.clone())];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return (StatusCode::NOT_MODIFIED, fresh).into_response();
    }
    (fresh, [(CONTENT_TYPE, kind)], text).into_response()
}
