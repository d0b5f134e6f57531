//! The person on whose behalf a program calls, and the reason. Admins are trusted to name one, for the log, the events
//! and the overrides.

use std::sync::Arc;

use maglev_proto::{PERSON_HEADER as PERSON, REASON_HEADER as REASON};
use tonic::codegen::http::HeaderMap;
use tonic::metadata::MetadataMap;

/// Maximum length of the name.
const LONGEST: usize = 64;

/// The person named in a request, if the name consists of ASCII letters, digits and punctuation.
pub(super) fn named(headers: &HeaderMap) -> Option<Arc<str>> {
    let name = headers.get(PERSON)?.to_str().ok()?;
    let is_name = (1..=LONGEST).contains(&name.len()) && name.chars().all(|char| char.is_ascii_graphic());
    is_name.then(|| name.into())
}

/// The reason that a request gives; empty without one.
///
/// # Errors
/// If it is not a single line of text.
pub(super) fn reason(headers: &HeaderMap) -> Result<String, &'static str> {
    let Some(value) = headers.get(REASON) else { return Ok(String::new()) };
    let mut metadata = MetadataMap::new();
    metadata.as_mut().insert(REASON, value.clone());
    let bytes = metadata.get_bin(REASON).and_then(|value| value.to_bytes().ok());
    let reason = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let reason = reason.ok_or("the reason must be UTF-8, in base64 (maglev-reason-bin)")?;
    if reason.chars().any(char::is_control) {
        return Err("the reason must be one line, without control characters");
    }
    Ok(reason.trim().to_owned())
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
        assert_eq!(of("größere Platte ".as_bytes()).as_deref(), Ok("größere Platte"));
        assert_eq!(of(b" ").as_deref(), Ok(""));
        assert!(of(b"two\nlines").is_err() && of(b"\xff").is_err());
        assert_eq!(reason(&HeaderMap::new()).as_deref(), Ok(""));
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
