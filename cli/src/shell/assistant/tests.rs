use super::*;

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn words_end_with_one_space() {
    let put = |rest| candidates(strings(&["show"]), "sh", rest).pop().unwrap().1;
    assert_eq!(put(""), "show ");
    assert_eq!(put(" fr"), "show");
    assert_eq!(put("x"), "show ");
}

#[test]
fn many_words_are_cut_but_their_common_beginning_is_that_of_all() {
    let names = |count: usize| (0..count).map(|number| format!("web-é{number:04}")).collect::<Vec<_>>();
    assert_eq!(candidates(names(LISTED), "w", "").len(), LISTED);
    let common = candidates(names(LISTED + 1), "w", "");
    assert_eq!(common, [("web-é0".to_owned(), "web-é0".to_owned())]);
    let listed = candidates(names(70_000), "web-é", "");
    assert_eq!(listed.len(), LISTED + 1);
    assert_eq!(listed.last(), Some(&("... and 69900 more".to_owned(), "web-é".to_owned())));
    assert!(listed.iter().all(|(_, put)| put.starts_with("web-é")));
}
