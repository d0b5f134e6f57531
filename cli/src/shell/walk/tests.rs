use super::*;
use crate::shell::words::split;

fn on(line: &str, check: impl FnOnce(Result<Walk<'_>, Misstep>)) {
    let tree = tree::of_shell();
    check(walk(&tree, &split(line).words));
}

#[test]
fn prefixes_lead_to_words_in_full() {
    for (line, full) in [
        ("sh fr", "show frontends"),
        ("sh fr shop", "show frontends shop"),
        ("sh vp l st", "show vpp lb state"),
        ("co ch", "config check"),
        ("se b pause p", "set backend pause pause"),
        ("se f f p p b b w 1 fl", "set frontend f pool p backend b weight 1 fl"),
        ("--js sh st", ""),
        ("--json sh st", "--json show status"),
        ("sh st --timeout 5s", "show status --timeout 5s"),
        ("sh st --timeout=5s", "show status --timeout=5s"),
        ("sh fr -- --x", "show frontends -- --x"),
    ] {
        on(line, |walk| assert_eq!(walk.map(|walk| walk.line.join(" ")).unwrap_or_default(), full, "{line}"));
    }
}

#[test]
fn missteps_have_a_place_and_what_would_be_right() {
    for (line, wrong, at, right) in [
        ("shw", "unknown word `shw`", 0..3, "show"),
        ("s fr", "ambiguous word `s`", 0..1, "set"),
        ("show  frontend a b", "unexpected argument `b`", 17..18, ""),
        ("exit now", "unexpected argument `now`", 5..8, ""),
        ("set backend web1 stop", "unknown word `stop`", 17..21, "resume"),
        ("set frontend shop poll", "unknown word `poll`", 18..22, "pool"),
        ("show frontends --now", "unknown word `--now`", 15..20, "--json"),
        ("show ''", "unknown word ``", 5..7, "frontends"),
        ("man /tmp", "unknown word `man`", 0..3, "show"),
        ("show help", "unknown word `help`", 5..9, "frontends"),
        ("show \u{1b}[2J", "unknown word `\\u{1b}[2J`", 5..9, "frontends"),
    ] {
        on(line, |walk| {
            let misstep = walk.unwrap_err();
            assert_eq!((misstep.to_string().as_str(), misstep.at.clone()), (wrong, at), "{line}");
            assert!(misstep.right.is_empty() == right.is_empty(), "{line}: {:?}", misstep.right);
            assert!(
                right.is_empty() || misstep.right.iter().any(|word| word == right),
                "{:?}",
                misstep.right
            );
        });
    }
}

/// Other programs' words, misplaced words and typos are recognized.
#[test]
fn unknown_words_lead_to_what_was_meant() {
    for (line, meant) in [
        ("ready web1", Some("set backend NAME resume")),
        ("set backend web1 drain", Some("drain backend NAME")),
        ("show config", Some("config check")),
        ("show configuration", Some("config check")),
        ("show log", Some("watch events log")),
        ("pause web1", Some("set backend NAME pause")),
        ("frontends", Some("show frontends")),
        ("reload", Some("config reload")),
        ("status", Some("show status")),
        ("show forntends", Some("frontends")),
        ("shwo status", Some("show")),
        ("show status --chekc", Some("--check")),
        ("set backend web1 stop", None),
        ("show xyzzy", None),
        ("s fr", None),
    ] {
        on(line, |walk| assert_eq!(walk.unwrap_err().meant.as_deref(), meant, "{line}"));
    }
}

#[test]
fn line_may_end_where_nothing_is_missing() {
    for (line, complete) in [
        ("", false),
        ("show", false),
        ("show frontends", true),
        ("show frontends shop", true),
        ("show vpp lb", false),
        ("set backend", false),
        ("set backend web1", false),
        ("set backend web1 pause", true),
        ("set frontend f pool p backend b weight 1", true),
        ("set frontend f pool p backend b weight 1 flush", true),
        ("show frontends --server", false),
        ("show frontends --server=lb1:9090", true),
        ("show --help", true),
        ("exit", true),
    ] {
        on(line, |walk| assert_eq!(walk.unwrap().is_complete(), complete, "{line}"));
    }
}

#[test]
fn help_is_about_what_follows_it() {
    on("help se b", |walk| {
        let walk = walk.unwrap();
        assert!(walk.asks_help);
        assert_eq!(walk.path, ["set", "backend"]);
    });
    on("help exit", |walk| assert_eq!(walk.unwrap().path, ["exit"]));
}

#[test]
fn given_arguments_are_known_by_their_ids() {
    on("set frontend shop pool primary backend web1", |walk| {
        let walk = walk.unwrap();
        let given = ["frontend", "pool", "backend", "weight"].map(|id| walk.given(id));
        assert_eq!(given, [Some("shop"), Some("primary"), Some("web1"), None]);
    });
}
