//! Whether a request comes from a page of this dashboard.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use super::Refusal;

/// What changes something must come from a page of the same origin. Browsers say so, and pages cannot forge it.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Refusal::Foreign);
    }
    let (origin, host) = (get(ORIGIN.as_str()), get(HOST.as_str()));
    let origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    match (origin, host) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Refusal::Foreign),
    }
}

/// A page elsewhere may have its own name resolve to this host's loopback address, and so read what is there without a
/// login; it cannot have an address for its name.
pub(super) fn is_own_name(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn only_pages_of_the_same_origin_may_ask() {
        let own = [("host", "lb:8080"), ("origin", "http://lb:8080")];
        assert_eq!(check(&headers(&own)), Ok(()));
        for wrong in [
            vec![("host", "lb:8080")],
            vec![("origin", "http://lb:8080")],
            vec![("host", "lb:8080"), ("origin", "http://evil:8080")],
            vec![("host", "lb:8080"), ("origin", "http://lb:8081")],
            vec![("host", "lb:8080"), ("origin", "null")],
            vec![("host", "lb:8080"), ("origin", "http://lb:8080"), ("sec-fetch-site", "cross-site")],
            vec![("host", "lb:8080"), ("origin", "http://lb:8080"), ("sec-fetch-site", "none")],
        ] {
            assert_eq!(check(&headers(&wrong)), Err(Refusal::Foreign), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_and_allowed_names_are_this_hosts() {
        let allowed = ["lb1.example.net".to_owned()];
        for own in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "localhost", "LB1.example.net:80"] {
            assert!(is_own_name(own, &allowed), "{own}");
        }
        for other in ["evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example:80"] {
            assert!(!is_own_name(other, &allowed), "{other}");
        }
    }
}
