use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

#[test]
fn each_says_what_since_when_and_what_to_do() {
    let expected = "\
frontend mail (45s): down: no backend takes new flows (mx1 down)
  fix a backend, see `show frontends mail`
backend web2 (45s): down: L4CON: connection refused
  fix it; its frontends are served by their other backends
3 problems more: `show status` has them

";
    let mut problems = samples::problems();
    problems.remove(2);
    assert_eq!(list(&problems[1..], 3, Moment(NOW), PLAIN), expected);
    assert_eq!(list(&[], 0, Moment(NOW), PLAIN), "");
}

#[test]
fn danger_is_red_and_lines_are_wrapped() {
    let text = list(&samples::problems()[1..2], 0, Moment(NOW), COLORED.within(Some(40)));
    let expected =
        "\x1b[31mfrontend mail (45s): down: no backend\x1b[0m\n  \x1b[31mtakes new flows (mx1 down)\x1b[0m\n";
    assert!(text.starts_with(expected), "{text:?}");
    assert_eq!(tone(&samples::problems()), Tone::Bad);
    assert_eq!((tone(&samples::problems()[3..]), tone(&[])), (Tone::Warning, Tone::Good));
}

#[test]
fn hostile_words_cannot_drive_the_terminal() {
    let problem = Problem { what: "\x1b[2J".into(), remedy: "\x07".into(), ..Problem::default() };
    let text = list(&[problem], 0, Moment(NOW), PLAIN);
    assert!(text.contains("\\u{1b}[2J") && text.contains("\\u{7}"), "{text}");
}
