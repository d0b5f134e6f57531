use proptest::prelude::*;

use super::*;

#[test]
fn honest_text_stays_as_it_is() {
    for text in ["", "0.1.0", "v26.10-rc0~374-gabc123", "/w/build dir/vpp", "it's \"so\"", "Zürich 東京 Київ"]
    {
        assert_eq!(printable(text, 64), text);
    }
}

#[test]
fn what_forges_lines_or_hides_is_written_out() {
    for (text, shown) in [
        ("9.9\nINFO VPP changed", "9.9\\nINFO VPP changed"),
        ("a\r\t\0b", "a\\r\\t\\0b"),
        ("\u{1b}[31mred", "\\u{1b}[31mred"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("abc\u{202e}cba", "abc\\u{202e}cba"),
        ("a\u{2028}b", "a\\u{2028}b"),
        ("back\\nslash", "back\\\\nslash"),
    ] {
        assert_eq!(printable(text, 64), shown);
    }
}

/// Unicode's default ignorable characters, blanks other than the space, and unassigned ones.
#[test]
fn no_character_is_invisible() {
    let ranges = [
        0..=0x1f,
        0x7f..=0xa0,
        0xad..=0xad,
        0x34f..=0x34f,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x1680..=0x1680,
        0x17b4..=0x17b5,
        0x180b..=0x180f,
        0x2000..=0x200f,
        0x2028..=0x202f,
        0x205f..=0x206f,
        0x2800..=0x2800,
        0x3000..=0x3000,
        0x3164..=0x3164,
        0xe000..=0xe010,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff0..=0xfffb,
        0x1bca0..=0x1bca3,
        0x1d173..=0x1d17a,
        0xe0000..=0xe0fff,
    ];
    for character in ranges.into_iter().flatten().filter_map(char::from_u32) {
        let shown = printable(&character.to_string(), 64);
        assert!(shown.starts_with('\\') && shown.is_ascii(), "{:x}: {shown}", u32::from(character));
    }
}

#[test]
fn long_text_is_cut_between_characters() {
    assert_eq!(printable("abcdef", 6), "abcdef");
    assert_eq!(printable("abcdefg", 6), "abcdef…");
    assert_eq!(printable("äöüß", 3), "äöü…");
    // An escape is never cut in half.
    assert_eq!(printable("ab\u{202e}", 9), "ab…");
    assert_eq!(printable("ab\u{202e}", 10), "ab\\u{202e}");
    assert_eq!(printable(&"x".repeat(15 << 20), 64).chars().count(), 65);
}

proptest! {
    #[test]
    fn any_text_is_short_and_on_one_line(text: String, most in 0_usize..80) {
        let shown = printable(&text, most);
        prop_assert!(shown.chars().count() <= most + 1);
        let hidden = |character: char| character.is_control() || character == '\u{202e}';
        prop_assert!(!shown.chars().any(hidden), "{shown:?}");
    }
}

#[test]
fn sizes_are_written_for_people() {
    for (bytes, words) in [
        (0, "0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1023.9 KiB"),
        (1 << 20, "1 MiB"),
        (3 << 19, "1.5 MiB"),
        ((1 << 28) + 192, "256 MiB"),
    ] {
        assert_eq!(size(bytes), words);
    }
}

proptest! {
    #[test]
    fn what_is_printable_stays_so(text in "(?s:.{0,80})|[\\\\\n\u{202e}a]{0,80}", most in 0usize..80) {
        let once = printable(&text, most);
        prop_assert_eq!(printable_again(&once, most), once);
        let again = printable_again(&text, most);
        prop_assert_eq!(printable_again(&again, most), again.clone());
        prop_assert!(!again.chars().any(char::is_control));
    }
}
