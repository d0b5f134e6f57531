use super::*;

fn colored(color: Color, terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    let palette = Palette::choose(color, terminal, no_color.map(OsStr::new), term.map(OsStr::new));
    palette == Palette::of(true)
}

#[test]
fn auto_colors_only_a_terminal_that_wants_it() {
    assert!(colored(Color::Auto, true, None, Some("xterm-256color")));
    assert!(colored(Color::Auto, true, Some(""), None));
    assert!(!colored(Color::Auto, false, None, Some("xterm-256color")));
    assert!(!colored(Color::Auto, true, Some("1"), Some("xterm-256color")));
    assert!(!colored(Color::Auto, true, None, Some("dumb")));
}

#[test]
fn always_and_never_go_before_the_environment() {
    assert!(colored(Color::Always, false, Some("1"), Some("dumb")));
    assert!(!colored(Color::Never, true, None, None));
}

#[test]
fn paint_leaves_plain_and_empty_text_alone() {
    assert_eq!(Palette::of(true).paint(Tone::Bad, "down"), "\x1b[31mdown\x1b[0m");
    assert_eq!(Palette::of(true).paint(Tone::Plain, "down"), "down");
    assert_eq!(Palette::of(true).paint(Tone::Bad, ""), "");
    assert_eq!(Palette::of(false).paint(Tone::Bad, "down"), "down");
}

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
