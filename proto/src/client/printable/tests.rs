use super::*;

#[test]
fn control_characters_are_written_out() {
    assert_eq!(printable("größe 1.2:3"), "größe 1.2:3");
    assert_eq!(printable("a\tb\nc\x1b[2J\x7f\u{85}"), "a\\tb\\nc\\u{1b}[2J\\u{7f}\\u{85}");
    assert_eq!(printable("up\u{202e}nwod\u{2069}"), "up\\u{202e}nwod\\u{2069}");
    assert_eq!(printable("a\u{2028}b"), "a\\u{2028}b");
}

#[test]
fn json_is_safe_on_a_terminal_and_means_the_same() {
    let said = "a\tb\nc\u{1b}[2J\u{7f}\u{9b}31m up\u{202e}nwod\u{2028}größe \u{1f600}";
    let document =
        serde_json::to_string_pretty(&serde_json::json!({ "reason": said, "more": [said] })).unwrap();
    let safe = printable_json(&document);
    assert!(!safe.chars().any(|c| is_hostile(c) && c != '\n'), "{safe:?}");
    assert!(safe.contains("größe \u{1f600}"));
    let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
    assert_eq!(read["reason"], said);
}
