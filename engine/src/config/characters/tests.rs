use super::*;

#[test]
fn what_cannot_be_seen_is_known_and_what_can_is_not() {
    for code in [
        0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x180b, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f,
        0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2064, 0x2065, 0x2066, 0x2067,
        0x2068, 0x2069, 0x206a, 0x206f, 0x2800, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb, 0x1d173,
        0xe0001, 0xe0020, 0xe007f, 0xe0100,
    ] {
        let char = char::from_u32(code).unwrap();
        assert!(is_invisible(char) && is_deceptive(char), "U+{code:04X}");
        assert_eq!(named(char), format!("U+{code:04X}"));
    }
    for char in "aZ0 ~.é日本語עברית€🚀\u{301}\u{fffd}".chars() {
        assert!(!is_deceptive(char), "{char:?}");
        assert_eq!(named(char), format!("`{char}`"));
    }
    for (char, name) in [
        ('\u{a0}', "U+00A0"),
        ('\u{3000}', "U+3000"),
        ('\u{202f}', "U+202F"),
        ('\0', "U+0000"),
        ('\u{9b}', "U+009B"),
        ('\u{7f}', "U+007F"),
    ] {
        assert!(is_deceptive(char) && !is_invisible(char), "{name}");
        assert_eq!(named(char), name);
    }
}
