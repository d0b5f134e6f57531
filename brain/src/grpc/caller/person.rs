//! The person on whose behalf a program asks, and the reason. An admin's word for it is taken, for the log, the events
//! and the overrides.

use std::sync::Arc;

use tonic::codegen::http::HeaderMap;
use tonic::metadata::MetadataMap;

/// Header in which programs name the person.
const PERSON: &str = "maglev-person";
/// Maximum length of the name.
const LONGEST: usize = 64;

/// The person named in a request, if the name consists of ASCII letters, digits and punctuation.
pub(super) fn named(headers: &HeaderMap) -> Option<Arc<str>> {
    let name = headers.get(PERSON)?.to_str().ok()?;
    let is_name = (1..=LONGEST).contains(&name.len()) && name.chars().all(|char| char.is_ascii_graphic());
    is_name.then(|| name.into())
}

/// Where programs give the person's reason, in UTF-8.
const REASON: &str = "maglev-reason-bin";
/// Longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// The reason that a request gives, if it gives one, on one line.
pub(super) fn reason(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get(REASON)?;
    let bytes = MetadataMap::from_headers(headers.clone()).get_bin(REASON)?.to_bytes().ok()?;
    let reason = String::from_utf8(bytes.to_vec()).ok()?;
    let is_line = reason.chars().count() <= LONGEST_REASON && !reason.chars().any(char::is_control);
    Some(reason.trim()).filter(|reason| is_line && !reason.is_empty()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn reasons_are_one_line_of_any_language() {
        let of = |text: &[u8]| {
            let mut metadata = MetadataMap::new();
            metadata.insert_bin(REASON, MetadataValue::from_bytes(text));
            reason(&metadata.into_headers())
        };
        assert_eq!(of("größere Platte ".as_bytes()).as_deref(), Some("größere Platte"));
        for wrong in [&b""[..], b" ", b"two\nlines", b"\xff", "ü".repeat(201).as_bytes()] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(reason(&HeaderMap::new()), None);
    }

    #[test]
    fn only_names_are_taken() {
        let of = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(PERSON, name.parse().unwrap());
            named(&headers)
        };
        assert_eq!(of("alice@example.net").as_deref(), Some("alice@example.net"));
        for wrong in ["", "a b", "a\tb", &"x".repeat(65)] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(named(&HeaderMap::new()), None);
    }
}
