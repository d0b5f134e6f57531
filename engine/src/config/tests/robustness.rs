//! Large, hostile and broken texts.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// A configuration with so many backends, in frontends of 100.
fn large(backends: usize, defaults: &str) -> String {
    let mut text = String::from("maglev:\n  vpp: { lb: { ipv6-src-address: 2001:db8::1 } }\n");
    text.push_str("  healthchecks: { web: { type: http } }\n  backends:\n");
    for number in 0..backends {
        let anchor = if number == 0 { "&first " } else { "" };
        let check = if number == 0 { "healthcheck: web" } else { defaults };
        writeln!(text, "    b{number}: {anchor}{{ address: '2001:db8:1::{number:x}:1', {check} }}").unwrap();
    }
    text.push_str("  frontends:\n");
    for frontend in 0..backends / 100 {
        writeln!(text, "    f{frontend}:\n      address: 2001:db8:2::{:x}", frontend + 1).unwrap();
        text.push_str("      pools:\n        - name: p\n          backends:\n");
        for number in frontend * 100..(frontend + 1) * 100 {
            writeln!(text, "            b{number}: {{ weight: {} }}", number % 101).unwrap();
        }
    }
    text
}

#[test]
fn fifty_thousand_backends_load() {
    let config = accepted(&large(50_000, "healthcheck: web"), &[]);
    assert_eq!((config.backends.len(), config.frontends.len()), (50_000, 500));
    assert_eq!(config.frontends["f499"].pools[0].backends["b49999"], 4);
}

#[test]
fn fifty_thousand_backends_may_merge_one_anchor() {
    let config = accepted(&large(50_000, "<<: *first"), &[]);
    assert_eq!(config.backends["b49999"].healthchecks, ["web"]);
}

/// The search for suggestions is bounded: all names are wrong, and all errors are reported.
#[test]
fn fifty_thousand_wrong_names_are_told() {
    let errors = parse("f", &large(50_000, "healthcheck: wbe")).unwrap_err();
    assert_eq!(errors.count(Severity::Error), 49_999);
}

/// No name is compared with a megabyte of text, nor is all of it shown.
#[test]
fn an_endless_name_is_refused_shortly() {
    let long = "x".repeat(1 << 20);
    let text = format!(
        "maglev:\n  ? {long}\n  : 1\n  frontends: {{}}\n  healthchecks: {{ web: {{ type: {long} }} }}\n"
    );
    let errors = parse("f", &text).unwrap_err();
    assert_eq!(errors.count(Severity::Error), 2);
    assert!(errors.to_string().len() < 2000, "{}", errors.to_string().len());
}

/// Each list contains the previous one ten times: ten thousand million values if expanded.
#[test]
fn a_billion_laughs_are_refused() {
    let mut text = String::from("maglev:\n  l0: &l0 lol\n");
    for level in 1..=10 {
        let before = vec![format!("*l{}", level - 1); 10].join(", ");
        writeln!(text, "  l{level}: &l{level} [{before}]").unwrap();
    }
    let (code, found) = findings(&text);
    assert_eq!((code, found.len()), (1, 1));
    assert!(
        found[0].ends_with(
            "error: the file is too large or expands too much \
             (at most 5 million values, 16 levels, and aliases that expand to 1 million values)"
        ),
        "{found:?}"
    );
}

/// The same with merges, which expand mappings into mappings.
#[test]
fn laughing_merges_are_refused() {
    let mut text = String::from("maglev:\n  l0: &l0 { a: 1, b: 2 }\n");
    for level in 1..=30 {
        let below = level - 1;
        writeln!(text, "  l{level}: &l{level} {{ x: *l{below}, y: *l{below}, <<: *l{below} }}").unwrap();
    }
    let (code, found) = findings(&text);
    assert_eq!((code, found.len()), (1, 1), "{found:?}");
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        let (code, found) = findings(&format!("maglev: {text}"));
        assert_eq!((code, found.len()), (1, 1));
    }
    for opening in ["<<: ", "? ", "a: &a ", "<<: [{<<: "] {
        for depth in [10, 17, 100, 250, 10_000] {
            let text = format!("maglev:\n  {opening}{}{}", "{a: ".repeat(depth), "}".repeat(depth));
            assert_eq!(findings(&text).0, 1, "{opening} {depth}");
        }
    }
    let mut steps = String::new();
    for depth in 0..2000 {
        writeln!(steps, "{}a:", " ".repeat(depth)).unwrap();
    }
    assert_eq!(findings(&steps).0, 1);
}

/// Holds for any text: no panic, and positions within the text.
fn judge(text: &str) {
    let (diagnostics, refused) = match parse("f", text) {
        Ok(loaded) => (loaded.warnings, false),
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            assert!(errors.count(Severity::Error) > 0, "refused without a reason");
            (errors.diagnostics, true)
        }
    };
    assert_eq!(refused, diagnostics.iter().any(|found| found.severity == Severity::Error));
    for found in &diagnostics {
        assert!(found.line >= 1 && found.column >= 1 && found.excerpt.width >= 1);
        assert!(!found.message.is_empty() && !found.message.contains(characters::is_deceptive), "{found:?}");
    }
}

/// The fine configuration with a few bytes cut out, doubled, or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let snippet = prop_oneof![
        proptest::sample::select(vec![
            "",
            " ",
            "\n",
            "  ",
            "\t",
            ":",
            ": ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&a ",
            "*a",
            "<<: *a",
            "!!str ",
            "\"",
            "'",
            "|\n",
            "#",
            "---\n",
            "~",
            "null",
            "0x10",
            "1e9",
            ".inf",
            "yes",
            "::",
            "-1",
            "?",
            "\u{0}",
            "\u{202e}",
            "\u{feff}",
            "\u{a0}",
            "é",
            "99999999999999999999999999",
            "weight: 3",
            "web1: {}",
            "maglev:",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let edit = (any::<proptest::sample::Index>(), 0usize..30, snippet);
    proptest::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut chars: Vec<char> = FINE.chars().collect();
        for (at, cut, insert) in edits {
            let start = at.index(chars.len() + 1);
            let end = (start + cut).min(chars.len());
            chars.splice(start..end, insert.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        judge(&text);
        judge(&format!("maglev: {text}"));
    }

    #[test]
    fn yaml_like_text_never_panics(text in "[a-z0-9:{}\\[\\]&*!|>'\"#,\\-? \\n\\t~<]{0,80}") {
        judge(&text);
        judge(&format!("maglev:\n  {text}"));
    }

    #[test]
    fn mutated_configurations_never_panic(text in mutated()) {
        judge(&text);
    }

    /// Every scalar in the place of every other.
    #[test]
    fn values_in_wrong_places_never_panic(
        line in 0..FINE.lines().count(),
        value in proptest::sample::select(vec![
            "5", "-5", "5s", "x", "''", "~", "[]", "{}", "[1, {a: b}]", "true", "1e400", ".nan", "10.0.0.1", "::1",
            "/", "200-100", "'('", "{<<: {a: 1}}", "!!int 7", "!!binary aGk=", "\"\\u0000\\e\"",
        ]),
    ) {
        let changed: Vec<String> = FINE.lines().enumerate().map(|(number, text)| {
            match text.split_once(':') {
                Some((key, _)) if number == line => format!("{key}: {value}"),
                _ => text.to_owned(),
            }
        }).collect();
        judge(&changed.join("\n"));
    }
}
