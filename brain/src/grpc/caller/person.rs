//! The person on whose behalf a program calls. Admins are trusted to name one, for the log and the events.

use std::sync::Arc;

use tonic::codegen::http::HeaderMap;

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

#[cfg(test)]
mod tests {
    use super::*;

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
