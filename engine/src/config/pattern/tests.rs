use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

#[test]
fn a_match_counts_for_good_unless_what_follows_could_undo_it() {
    for (text, bytes, for_good) in [
        ("good", "it is good", true),
        ("^good", "good", true),
        ("(?m)^good", "it is\ngood", true),
        (r"\Agood", "good", true),
        ("good+", "good", true),
        ("go*?", "g", true),
        ("", "", true),
        (r"good\s", "good", false),
        ("good$", "good", false),
        ("good$", "good and more", false),
        (r"good\z", "good", false),
        ("(?m)good$", "good", false),
        ("(?m)good$", "good\nthen", true),
        ("(?mR)^good", "it is\r", false),
        (r"\bgood\b", "good", false),
        (r"\bgood\b", "goodn", false),
        (r"\bgood\b", "it is good, or", true),
        (r"\bgood\b", "goodness knows", false),
        (r"good\B", "goodness knows", true),
        (r"good\b{end}", "good", false),
        // The first byte of a letter that is not yet complete.
        (r"good\b", "good\u{c3}", false),
        ("good|bad$", "good", false),
        ("good|bad$", "good, bad", true),
    ] {
        assert_eq!(pattern(text).is_match_for_good(bytes.as_bytes()), for_good, "{text} in {bytes:?}");
    }
}

#[test]
fn patterns_are_equal_by_their_text() {
    assert_eq!(pattern("a+"), pattern("a+"));
    assert_ne!(pattern("a+"), pattern("aa*"));
    assert!("a(".parse::<Pattern>().is_err());
    assert!(pattern("(?-u)\\xff$").is_match(b"ok \xff"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is said to hold for good holds with any continuation.
    #[test]
    fn no_continuation_undoes_a_match_for_good(
        text in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "é", " ", "\n", ".", "^", "$", r"\b", r"\B", r"\z", r"\A", "(?m)", "(?mR)", "(?s)", "(?-u:\\b)", r"\w*", "|", "+?",
            r"\b{start}", r"\b{end}", r"\b{start-half}", r"\b{end-half}", "[^a]", "(?:a|b$)",
        ]), 0..7),
        bytes in prop::collection::vec(prop::sample::select(b"ab \r\n\xc3\xa9\xff".to_vec()), 0..12),
        more in prop::collection::vec(prop::sample::select(b"ab \r\n\xc3\xa9\xff".to_vec()), 0..6),
    ) {
        let Ok(pattern) = text.concat().parse::<Pattern>() else { return Ok(()) };
        if pattern.is_match_for_good(&bytes) {
            let whole = [bytes, more].concat();
            prop_assert!(pattern.is_match(&whole), "{} in {}", pattern, whole.escape_ascii());
        }
    }
}
