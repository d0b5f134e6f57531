use std::sync::LazyLock;

use clap::CommandFactory;
use proptest::prelude::*;

use super::*;
use crate::args::Cli;
use crate::shell::names::{FrontendNames, OverrideNames};

fn names() -> Names {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let frontend = |name: &str, pools: &[(&str, &[&str])]| FrontendNames {
        name: name.to_owned(),
        pools: pools.iter().map(|(pool, backends)| ((*pool).to_owned(), strings(backends))).collect(),
    };
    let set = |backend: &str, place: Option<(&str, &str)>| OverrideNames {
        backend: backend.to_owned(),
        place: place.map(|(frontend, pool)| (frontend.to_owned(), pool.to_owned())),
    };
    Names {
        frontends: vec![
            frontend("shop", &[("primary", &["web1", "web2"]), ("fallback", &["sorry"])]),
            frontend("mail", &[("only", &["mx1"])]),
        ],
        backends: strings(&["web1", "web2", "sorry", "mx1"]),
        healthchecks: strings(&["http-alive", "ping"]),
        overrides: vec![set("web1", None), set("web2", Some(("shop", "primary")))],
    }
}

fn completed(line: &str) -> String {
    let Completion { start, words } = complete(&tree::of_shell(), line, line.len(), &names());
    format!("{start} {}", words.join(" "))
}

#[test]
fn words_and_names_are_completed() {
    for (line, expected) in [
        ("sh", "0 show"),
        ("s", "0 show set sync"),
        ("con", "0 config"),
        ("comp", "0 "),
        ("show fr", "5 frontends"),
        ("sh fr ", "6 mail shop"),
        ("sh fr s", "6 shop"),
        ("sh fr 's", "6 shop"),
        ("sh fr shop ", "11 "),
        ("sh b w", "5 web1 web2"),
        ("se b m", "5 mx1"),
        ("set backend web1 ", "17 pause resume enable disable"),
        ("set backend web1 p", "17 pause"),
        ("set frontend shop ", "18 pool"),
        ("set frontend shop pool ", "23 fallback primary"),
        ("set frontend nowhere pool ", "26 "),
        ("set frontend shop pool primary backend ", "39 web1 web2"),
        ("set frontend shop p fallback b ", "31 sorry"),
        ("set frontend f p p b b ", "23 weight"),
        ("set frontend f p p b b weight 1", "30 "),
        ("set frontend f p p b b weight 1 ", "32 reason for until flush"),
        ("clear override backend ", "23 web1"),
        ("clear override frontend ", "24 shop"),
        ("clear override frontend shop pool ", "34 primary"),
        ("clear override frontend shop pool primary backend ", "50 web2"),
        ("watch events n", "13 num"),
        ("watch events backend w", "21 web1 web2"),
        ("watch events log l", "17 level log"),
        ("watch events log level w", "23 warn"),
        ("watch events num ", "17 --follow --exec"),
        ("show healthchecks p", "18 ping"),
        ("sync vpp lb state s", "18 shop"),
        ("show frontends --j", "15 --json"),
        ("show frontends --color ", "23 auto always never"),
        ("show frontends --server ", "24 "),
        ("help se b", "8 backend backends"),
        ("nowhere ", "0 "),
        ("show # fr", "0 "),
    ] {
        assert_eq!(completed(line), expected, "{line}");
    }
}

#[test]
fn only_what_is_left_of_the_cursor_is_completed() {
    let found = complete(&tree::of_shell(), "show fr shop", 7, &names());
    assert_eq!((found.start, found.words), (5, vec!["frontends".to_owned()]));
}

#[test]
fn names_are_asked_for_only_where_they_can_stand() {
    for (line, list) in [
        ("", None),
        ("show fr", None),
        ("show frontends ", Some(List::Frontends)),
        ("show backends w", Some(List::Backends)),
        ("set backend web1 ", None),
        ("set frontend shop ", None),
        ("set frontend shop pool ", Some(List::Frontends)),
        ("clear override backend ", Some(List::Overrides)),
        ("set frontend f pool p backend b weight ", None),
        ("show frontends --server ", None),
    ] {
        assert_eq!(wanted(&tree::of_shell(), line), list, "{line}");
    }
}

fn followed(line: &str) -> Vec<String> {
    let Following { words, names, .. } = follow(&tree::of_shell(), line, &names()).unwrap();
    words.into_iter().map(|(word, help)| format!("{word}: {help}")).chain(names).collect()
}

#[test]
fn question_lists_words_with_their_help() {
    assert_eq!(followed("sh vp"), ["vpp: VPP: its connection, VIPs and counters"]);
    assert_eq!(
        followed("sh fr "),
        [
            "<NAME>: Name of one frontend; or part of names, or a state: up, down, unknown",
            "<Enter>: do it",
            "mail",
            "shop"
        ]
    );
    assert_eq!(
        followed("sh fr m"),
        ["<NAME>: Name of one frontend; or part of names, or a state: up, down, unknown", "mail"]
    );
    assert_eq!(followed("set backend web1 r"), ["resume: End a pause"]);
    assert_eq!(followed("set frontend shop "), ["pool: Name of the pool"]);
    assert_eq!(
        followed("set frontend f p p b b w "),
        ["<WEIGHT>: 0 to 100: its share of the pool's new flows; 0: none"]
    );
    let end = followed("set frontend f p p b b w 1 ");
    let words = [
        "reason: why: shown with the override",
        "for: clear the override after this time",
        "until: clear the override at this time",
        "flush: move its existing flows elsewhere at once",
        "<Enter>: do it",
    ];
    assert_eq!(end, words);
    assert_eq!(followed("set backend web1 pause for "), ["<TIME>: such as 30m, 2h or 3days"]);
    let check = "--check: Exit with 0 if there is no problem, otherwise with 1: for monitoring";
    assert_eq!(followed("show status "), [check, "<Enter>: do it"]);
    assert!(followed("show status --ti")[0].starts_with("--timeout: How long to wait"));
    assert!(followed("").iter().any(|line| line.starts_with("exit: ")));
}

#[test]
fn question_behind_a_misstep_tells_the_misstep() {
    let misstep = follow(&tree::of_shell(), "shw frontends ", &names()).unwrap_err();
    assert_eq!(misstep.to_string(), "unknown word `shw`");
}

#[test]
fn long_lists_of_names_are_cut() {
    let backends = (0..LISTED + 7).map(|number| format!("b{number:04}")).collect();
    let names = Names { backends, ..Names::default() };
    let following = follow(&tree::of_shell(), "show backends b", &names).unwrap();
    assert_eq!((following.names.len(), following.more_names), (LISTED, 7));
}

/// Every path through the tree, with a name for each argument; of the words after `watch events`, which are
/// unlimited, three.
fn ways(tree: &Command) -> Vec<Vec<String>> {
    let (mut open, mut done) = (vec![Vec::<String>::new()], Vec::new());
    while let Some(way) = open.pop() {
        let line: String = way.iter().map(|word| format!("{word} ")).collect();
        let place = Place::at_end_of(tree, &line).unwrap().unwrap();
        let mut next: Vec<String> = place.words().into_iter().map(|(word, _)| word).collect();
        next.retain(|word| !(word.starts_with("--") || way.is_empty() && word == tree::HELP));
        if is_of_events(&way) && way.len() >= 5 {
            next.clear();
        } else if next.is_empty() && place.placeholder().is_some() {
            let value = match way.last().map(String::as_str) {
                Some("for" | "confirm" | "soak") => "7m",
                Some("until") => "07:00",
                Some("flow" | "192.0.2.1:7") => "192.0.2.1:7",
                _ => "7",
            };
            next.push(value.to_owned());
        }
        if place.may_end() {
            done.push(way.clone());
        }
        let longer = |word: String| way.iter().cloned().chain([word]).collect();
        open.extend(next.into_iter().map(longer));
    }
    done
}

fn is_of_events(way: &[String]) -> bool {
    way.starts_with(&["watch".to_owned(), "events".to_owned()])
}

/// Words that only the shell has.
fn is_of_the_shell(way: &[String]) -> bool {
    way.first().is_some_and(|word| tree::LEAVE.contains(&word.as_str()))
}

#[test]
fn every_way_through_the_tree_is_a_command_also_in_prefixes() {
    let tree = tree::of_shell();
    let ways = ways(&tree);
    assert!(ways.len() >= 20, "{ways:?}");
    for way in ways.iter().filter(|way| !is_of_the_shell(way)) {
        let parsed = Cli::command().try_get_matches_from(["maglevc".to_owned()].iter().chain(way));
        assert!(parsed.is_ok(), "{way:?}: {parsed:?}");
        for (index, word) in way.iter().enumerate().filter(|(_, word)| !word.contains('7')) {
            // Words in any order reach clap unchanged.
            let is_free = match (way[0].as_str(), way.get(1).map_or("", String::as_str)) {
                ("watch", _) | ("show", "history") => index >= 2,
                ("fleet", "config") => index >= 3,
                ("drain", "lb") => index >= 2,
                ("check", _) => index >= 3,
                ("drain", _) => index >= 3,
                ("whatif", _) => index >= 5,
                ("set", "backend") => index >= 4,
                ("set", "backends") => index >= 5,
                ("set", _) => index >= 9,
                _ => false,
            };
            if is_free {
                continue;
            }
            // Some prefix leads to the same place; a shorter one may lead to a word that is the beginning of this one.
            let before: String = way.iter().take(index).map(|word| format!("{word} ")).collect();
            let unique = (1..=word.len()).find(|length| {
                let line = format!("{before}{}", &word[..*length]);
                walk(&tree, &split(&line).words).is_ok_and(|walked| walked.line[..] == way[..=index])
            });
            assert!(
                unique.is_some_and(|length| length < word.len() || word.len() == 1 || word == "backends"),
                "{way:?}"
            );
        }
    }
}

#[test]
fn behind_two_dashes_nothing_is_an_option() {
    let tree = tree::of_shell();
    for line in ["show -- --", "show -- -", "set backend -- --j"] {
        assert!(complete(&tree, line, line.len(), &names()).words.is_empty(), "{line}");
    }
}

/// Lines that follow the tree for a while and then leave it.
fn line() -> impl Strategy<Value = String> {
    let words = vec![
        "show", "sh", "set", "frontend", "backends", "fr", "pool", "shop", "p", "backend", "weight",
        "override", "clear", "vpp", "lb", "7", "--json", "--server", "--", "-", "help", "'", "\"", "\\", "#",
        "é", "?", " ", "",
    ];
    prop::collection::vec(prop::sample::select(words), 0..9).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_line_and_cursor_can_be_completed(line in line(), cursor in 0_usize..60) {
        let tree = tree::of_shell();
        let found = complete(&tree, &line, cursor, &names());
        prop_assert!(line.get(..found.start).is_some());
        drop(follow(&tree, &line, &names()));
        prop_assert!(wanted(&tree, &line).is_none() || line.len() > 4);
    }

    #[test]
    fn any_text_can_be_completed(line in ".{0,30}", cursor in 0_usize..40) {
        drop(complete(&tree::of_shell(), &line, cursor, &names()));
        drop(follow(&tree::of_shell(), &line, &names()));
    }

    #[test]
    fn what_is_completed_is_understood(line in line()) {
        let tree = tree::of_shell();
        let Completion { start, words } = complete(&tree, &line, line.len(), &names());
        for word in words {
            let longer = format!("{}{word}", &line[..start]);
            prop_assert!(walk(&tree, &split(&longer).words).is_ok(), "{longer}");
        }
    }

    #[test]
    fn prefixes_of_ways_are_completed_to_them(pick in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        static WAYS: LazyLock<(Command, Vec<Vec<String>>)> = LazyLock::new(|| {
            let tree = tree::of_shell();
            let ways = ways(&tree);
            (tree, ways)
        });
        let (tree, ways) = &*WAYS;
        let way = pick.get(ways);
        prop_assume!(!way.is_empty());
        let index = cut.index(way.len());
        prop_assume!(!way[index].contains('7'));
        let before: String = way.iter().take(index).map(|word| format!("{word} ")).collect();
        for length in 0..=way[index].len() {
            let line = format!("{before}{}", &way[index][..length]);
            let found = complete(tree, &line, line.len(), &names());
            prop_assert_eq!(found.start, before.len());
            prop_assert!(found.words.contains(&way[index]), "{}: {:?}", line, found.words);
        }
    }
}
