use super::*;
use crate::shell::follow;
use crate::shell::names::Names;
use crate::shell::walk::walk;
use crate::shell::words::split;

#[test]
fn words_line_up_and_names_flow() {
    let words = [("<NAME>", "Name of one backend"), ("<Enter>", "do it"), ("x", "")];
    let words = words.map(|(word, help)| (word.to_owned(), help.to_owned())).to_vec();
    let names = (0..12).map(|number| format!("backend-{number:02}")).collect();
    let text = following(&Following { words, names, more_names: 3 });
    let expected = "  <NAME>   Name of one backend
  <Enter>  do it
  x
    backend-00  backend-01  backend-02  backend-03  backend-04  backend-05
    backend-06  backend-07  backend-08  backend-09  backend-10  backend-11
    ... and 3 more
";
    assert_eq!(text, expected);
    assert_eq!(following(&Following::default()), "  nothing can follow\n");
}

#[test]
fn misstep_is_marked() {
    let tree = tree::of_shell();
    let told = |line: &str| misstep(line, &walk(&tree, &split(line).words).unwrap_err());
    assert_eq!(
        told("set backend web1 stop"),
        "maglevc: unknown word `stop`
  set backend web1 stop
                   ^^^^
  expected one of: pause, resume, enable, disable
"
    );
    assert_eq!(
        told("set frontend sh\u{7}p poll"),
        "maglevc: unknown word `poll`
  set frontend sh\\u{7}p poll
                        ^^^^
  did you mean `pool`?
  expected `pool`
"
    );
    let long = format!("show frontends {} x", "a".repeat(LONGEST_LINE));
    assert_eq!(told(&long), "maglevc: unexpected argument `x`\n");
}

#[test]
fn clap_is_quoted_without_its_usage() {
    let line = "set frontend f pool p backend b weight 101";
    let error = tree::of_shell().try_get_matches_from(format!("maglevc {line}").split(' ')).unwrap_err();
    assert_eq!(
        refused(line, Some(39..42), &error),
        "maglevc: invalid value '101' for '<WEIGHT>': a weight is a whole number from 0 to 100
  set frontend f pool p backend b weight 101
                                         ^^^
"
    );
}

#[test]
fn help_has_the_long_words_the_usage_and_what_can_follow() {
    let tree = tree::of_shell();
    let line = split("help recreate frontend").words;
    let walk = walk(&tree, &line).unwrap();
    let next = follow::follow(&tree, "help recreate frontend ", &Names::default()).unwrap();
    let text = help(walk.command, &walk.path, &next);
    assert!(text.starts_with("Delete and add a frontend's VIP again"), "{text}");
    assert!(
        text.ends_with("Usage: recreate frontend <NAME> force\n\n  <NAME>  Name of the frontend\n"),
        "{text}"
    );
    let root = help(&tree, &[], &follow::follow(&tree, "", &Names::default()).unwrap());
    assert!(root.starts_with("  show ") && root.contains("Ctrl-D  leaves"), "{root}");
}
