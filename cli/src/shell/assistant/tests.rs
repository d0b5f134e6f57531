use super::*;

fn tab(words: &[&str], typed: &str, rest: &str) -> Completed {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    completed(5, &words, typed, rest)
}

fn word(text: &str) -> Completed {
    Completed::Word { start: 5, text: text.to_owned() }
}

#[test]
fn words_end_with_one_space() {
    assert_eq!(tab(&["show"], "sh", ""), word("show "));
    assert_eq!(tab(&["show"], "sh", " fr"), word("show"));
    assert_eq!(tab(&["show"], "sh", "x"), word("show "));
}

#[test]
fn several_words_are_listed_once_their_common_beginning_is_typed() {
    assert_eq!(tab(&["web-é1", "web-é2", "web-ü1"], "w", ""), word("web-"));
    assert_eq!(tab(&["web-é1", "web-é2"], "web-", ""), word("web-é"));
    assert_eq!(tab(&["web-é1", "web-é2"], "web-é", ""), Completed::Several);
    assert_eq!(tab(&["web", "web1"], "we", ""), word("web"));
    assert_eq!(tab(&["pause", "resume"], "", ""), Completed::Several);
    assert_eq!(tab(&[], "x", ""), Completed::Nothing);
}
