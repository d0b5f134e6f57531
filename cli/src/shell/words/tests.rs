use proptest::prelude::*;

use super::*;

fn texts(line: &str) -> Vec<String> {
    split(line).words.into_iter().map(|word| word.text).collect()
}

#[test]
fn words_are_cut_as_by_a_shell() {
    for (line, expected) in [
        ("", &[][..]),
        ("  show \t frontends ", &["show", "frontends"]),
        ("set 'a b' \"c d\"", &["set", "a b", "c d"]),
        (r#"a'b'"c"d"#, &["abcd"]),
        (r"a\ b \'", &["a b", "'"]),
        (r#""a\"b\\c\d""#, &[r#"a"b\c\d"#]),
        (r"'a\b'", &[r"a\b"]),
        ("''", &[""]),
        ("show # all of it", &["show"]),
        ("show a#b", &["show", "a#b"]),
        ("show '# b'", &["show", "# b"]),
    ] {
        assert_eq!(texts(line), expected, "{line}");
    }
}

#[test]
fn tail_tells_what_comes_next() {
    for (line, tail) in [
        ("", Tail::Space),
        ("show ", Tail::Space),
        ("show", Tail::Word),
        ("show 'a'", Tail::Word),
        ("show 'a", Tail::Open(Mark::Single)),
        ("show \"a'", Tail::Open(Mark::Double)),
        ("show \"a\\", Tail::Open(Mark::BackslashInDouble)),
        ("show a\\", Tail::Open(Mark::Backslash)),
        ("show #", Tail::Comment),
    ] {
        assert_eq!(split(line).tail, tail, "{line}");
    }
}

#[test]
fn words_know_their_place() {
    let place =
        |line: &str| -> Vec<_> { split(line).words.into_iter().map(|word| (word.start, word.end)).collect() };
    assert_eq!(place(" show 'a b' c"), [(1, 5), (6, 11), (12, 13)]);
    assert_eq!(place("show 'a "), [(0, 4), (5, 8)]);
    assert_eq!(place("é ü"), [(0, 2), (3, 5)]);
}

proptest! {
    #[test]
    fn any_line_is_cut_at_characters(line in r#"[ a-cé'"\\#]{0,24}"#) {
        let mut last = 0;
        for word in split(&line).words {
            prop_assert!(last <= word.start && word.start < word.end);
            prop_assert!(line.get(word.start..word.end).is_some());
            last = word.end;
        }
    }

    #[test]
    fn plain_words_stay(words in prop::collection::vec("[a-z0-9.:/@+-]{1,8}", 0..8)) {
        prop_assert_eq!(texts(&words.join(" ")), words);
    }
}
