use super::*;
use crate::config::tests::{ca_files, today};
use crate::config::{parse, parse_with};

/// Two backends, two frontends and three checks, which the tests change.
const OLD: &str = "\
maglev:
  healthchecker: { transition-history: 5 }
  vpp: { lb: { ipv4-src-address: 192.0.2.1, flow-timeout: 40s } }
  healthchecks:
    web: { type: http, params: { path: /healthz, response-regexp: 'ok' } }
    twin: { type: http, params: { path: /healthz, response-regexp: 'ok' } }
    shell: { type: tcp, port: 22 }
  backends:
    a: { address: 10.0.0.1, healthcheck: web }
    b: { address: 10.0.0.2, healthcheck: shell }
    c: { address: 10.0.0.3 }
  frontends:
    one: { address: 198.51.100.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { a: , b: { weight: 50 } } }] }
    two: { address: 198.51.100.2, pools: [{ name: p, backends: { b: } }, { name: q, backends: { c: } }] }
";

fn config(text: &str) -> Config {
    parse("maglev.yaml", text).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// The changes that one replacement in the text makes, and their line.
#[track_caller]
fn after(from: &str, to: &str) -> (Changes, String) {
    assert_eq!(OLD.matches(from).count(), 1, "{from:?} must stand once");
    let changes = changes(&config(OLD), &config(&OLD.replace(from, to)));
    let line = changes.to_string();
    (changes, line)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_backends(backends: BackendChanges) -> Changes {
    Changes { backends, ..Changes::default() }
}

#[test]
fn the_same_configuration_changes_nothing() {
    let same = changes(&config(OLD), &config(OLD));
    assert!(same.is_empty());
    assert_eq!(same.to_string(), "nothing changed");
    let spelled = OLD.replace("flow-timeout: 40s", "flow-timeout: 40000ms, sync-interval: 30s");
    assert!(changes(&config(OLD), &config(&spelled)).is_empty(), "defaults and spellings do not count");
}

#[test]
fn backends_come_and_go() {
    let (changes, line) =
        after("    c: {", "    d: { address: 10.0.0.4 }\n    0: { address: 10.0.0.5 }\n    c: {");
    assert_eq!(changes, of_backends(BackendChanges { added: names(&["0", "d"]), ..Default::default() }));
    assert_eq!(line, "2 backends added (0, d)");

    let emptied = super::changes(&config(OLD), &config("maglev:\n"));
    assert_eq!(emptied.backends.removed, names(&["a", "b", "c"]));
    assert_eq!(emptied.frontends.removed, names(&["one", "two"]));
    assert_eq!(emptied.healthchecks.removed, names(&["shell", "twin", "web"]));
    assert_eq!(emptied.lb, ["ipv4-src-address"]);
    assert_eq!(
        emptied.to_string(),
        "3 backends removed (a, b, c); 2 frontends removed (one, two); \
         3 health checks removed (shell, twin, web); ipv4-src-address of `lb` of `vpp` changed"
    );
    assert_eq!(super::changes(&config("maglev:\n"), &config(OLD)).backends.added, names(&["a", "b", "c"]));
}

#[test]
fn a_backend_with_another_address_has_moved() {
    let (changes, line) = after("10.0.0.2", "10.0.0.9");
    assert_eq!(changes, of_backends(BackendChanges { moved: names(&["b"]), ..Default::default() }));
    assert_eq!(line, "1 backend moved to another address (b)");
}

#[test]
fn flags_of_backends_flip() {
    let (off, line) = after("c: { address: 10.0.0.3", "c: { enabled: false, address: 10.0.0.3");
    assert_eq!(off, of_backends(BackendChanges { disabled: names(&["c"]), ..Default::default() }));
    assert_eq!(line, "1 backend disabled (c)");
    let disabled = OLD.replace("c: { address: 10.0.0.3", "c: { enabled: false, address: 10.0.0.3");
    let on = changes(&config(&disabled), &config(OLD));
    assert_eq!(on, of_backends(BackendChanges { enabled: names(&["c"]), ..Default::default() }));
}

#[test]
fn a_check_of_the_same_content_is_the_same_check() {
    let (changes, _) = after("healthcheck: web", "healthcheck: twin");
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_check_of_other_content_is_another_check() {
    let rechecked = |name| BackendChanges { rechecked: names(&[name]), ..Default::default() };
    let (other, line) = after("healthcheck: web", "healthcheck: shell");
    assert_eq!(other, of_backends(rechecked("a")));
    assert_eq!(line, "1 backend checked differently (a)");
    let (no_longer_static, _) = after("address: 10.0.0.3", "healthcheck: shell, address: 10.0.0.3");
    assert_eq!(no_longer_static, of_backends(rechecked("c")));
    let (now_static, _) = after(", healthcheck: shell", "");
    assert_eq!(now_static, of_backends(rechecked("b")));
    let (edited, line) = after("port: 22", "port: 23");
    assert_eq!(edited.backends, rechecked("b"));
    assert_eq!(edited.healthchecks.changed, names(&["shell"]));
    assert_eq!(line, "1 backend checked differently (b); 1 health check changed (shell)");
}

#[test]
fn everything_in_a_check_counts() {
    let web = "    web: { type: http, params: { path: /healthz, response-regexp: 'ok' } }";
    for other in [
        "port: 81",
        "interval: 3s",
        "fast-interval: 1s",
        "down-interval: 4s",
        "timeout: 1s",
        "rise: 1",
        "fall: 1",
        "probe-ipv4-src: 10.0.0.9",
        "probe-ipv6-src: 2001:db8::9",
        "agent-port: 9999",
        "type: https",
        "params: { response-regexp: 'ok' }",
        "params: { path: /healthz }",
        "params: { path: /healthz, response-regexp: 'o.' }",
        "params: { path: /healthz, response-regexp: 'ok', host: a }",
        "params: { path: /healthz, response-regexp: 'ok', response-code: 200 }",
        "params: { path: /healthz, response-regexp: 'ok', headers: { X-A: b } }",
    ] {
        let key = other.split(':').next().unwrap();
        let rest = [("type", "type: http"), ("params", "params: { path: /healthz, response-regexp: 'ok' }")];
        let rest = rest.iter().filter(|(of, _)| *of != key).map(|(_, text)| *text);
        let given: Vec<&str> = rest.chain([other]).collect();
        let (changes, _) = after(web, &format!("    web: {{ {} }}", given.join(", ")));
        assert_eq!(changes.healthchecks.changed, names(&["web"]), "{other}");
        assert_eq!(changes.backends.rechecked, names(&["a"]), "{other}");
    }
}

/// A method and the TLS of a check have no room in the table above: a HEAD has no body to match.
#[test]
fn methods_and_tls_of_a_check_count() {
    let check = |params: &str| {
        let text = format!("maglev: {{ healthchecks: {{ c: {{ type: https, params: {{ {params} }} }} }} }}");
        parse_with("maglev.yaml", &text, &ca_files::contents, today())
            .unwrap_or_else(|errors| panic!("{errors}"))
            .config
    };
    let all = [
        "",
        "method: HEAD",
        "ssl-verify: false",
        "sni: a",
        "sni: b",
        "ca-file: /ca.pem",
        "ca-file: /bundle.pem",
    ];
    for (index, was) in all.iter().enumerate() {
        for (other, is) in all.iter().enumerate() {
            assert_eq!(changes(&check(was), &check(is)).is_empty(), index == other, "{was:?} and {is:?}");
        }
    }
}

#[test]
fn frontends_tell_what_of_them_changed() {
    let of = |vip, pools, settings: &[&'static str]| FrontendDiff {
        name: "one".to_owned(),
        vip,
        pools,
        settings: settings.to_vec(),
    };
    for (from, to, expected, line) in [
        ("198.51.100.1", "198.51.100.9", of(true, false, &[]), "VIP"),
        ("port: 80", "port: 81", of(true, false, &[]), "VIP"),
        ("protocol: tcp", "protocol: udp", of(true, false, &[]), "VIP"),
        ("weight: 50", "weight: 51", of(false, true, &[]), "pools"),
        ("[{ name: p, backends: { a:", "[{ name: x, backends: { a:", of(false, true, &[]), "pools"),
        (", b: { weight: 50 }", "", of(false, true, &[]), "pools"),
        ("port: 80", "port: 80, description: x", of(false, false, &["description"]), "description"),
        ("port: 80", "port: 80, slow-start: 9s", of(false, false, &["slow-start"]), "slow-start"),
        (
            "port: 80",
            "port: 80, panic-threshold: 9",
            of(false, false, &["panic-threshold"]),
            "panic-threshold",
        ),
        ("port: 80", "port: 80, src-ip-sticky: yes", of(false, false, &["src-ip-sticky"]), "src-ip-sticky"),
        (
            "port: 80, pools: [{ name: p,",
            "port: 8, flush-on-down: no, new-flows-table-length: 4096, pools: [{ name: x,",
            of(true, true, &["flush-on-down", "new-flows-table-length"]),
            "VIP and pools and flush-on-down and new-flows-table-length",
        ),
    ] {
        let (changes, told) = after(from, to);
        let frontends = FrontendChanges { changed: vec![expected], ..Default::default() };
        assert_eq!(changes, Changes { frontends, ..Default::default() }, "{to}");
        assert_eq!(told, format!("1 frontend changed (one: {line})"));
    }
    let pools = "[{ name: p, backends: { b: } }, { name: q, backends: { c: } }]";
    let (reordered, _) = after(pools, "[{ name: q, backends: { c: } }, { name: p, backends: { b: } }]");
    assert!(reordered.frontends.changed.iter().any(|change| change.pools && change.name == "two"));
}

#[test]
fn settings_tell_which_of_them_changed() {
    for (key, value) in [
        ("flow-timeout", "41s"),
        ("ipv4-src-address", "192.0.2.9"),
        ("ipv6-src-address", "2001:db8::9"),
        ("startup-max-delay", "31s"),
        ("startup-min-delay", "4s"),
        ("sticky-buckets-per-core", "1024"),
        ("sync-interval", "31s"),
    ] {
        let sources = if key == "ipv4-src-address" { "" } else { "ipv4-src-address: 192.0.2.1, " };
        let (changes, line) =
            after("ipv4-src-address: 192.0.2.1, flow-timeout: 40s", &format!("{sources}{key}: {value}"));
        assert_eq!(changes, Changes { lb: vec![key], ..Default::default() });
        assert_eq!(line, format!("{key} of `lb` of `vpp` changed"));
    }
    let (changes, line) = after("{ transition-history: 5 }", "{ transition-history: 6, netns: dataplane }");
    let both = vec!["netns", "transition-history"];
    assert_eq!(changes, Changes { healthchecker: both, ..Default::default() });
    assert_eq!(line, "netns, transition-history of `healthchecker` changed");
}

#[test]
fn one_line_tells_all_and_cuts_long_lists() {
    let more = |first: usize, count: usize| {
        let mut text = String::from("    c: {");
        for number in first..first + count {
            let line = format!("    n{number:02}: {{ address: 10.0.1.{number} }}\n");
            text.insert_str(0, &line);
        }
        text
    };
    let (_, six) = after("    c: {", &more(10, 6));
    assert_eq!(six, "6 backends added (n10, n11, n12, n13, n14, n15)");
    let old = OLD.replace("    c: {", &more(10, 22));
    let new = OLD.replace("    c: {", &more(99, 1)).replace("weight: 50", "weight: 5").replace("40s", "9s");
    assert_eq!(
        changes(&config(&old), &config(&new)).to_string(),
        "1 backend added (n99), 22 removed (n10, n11, n12, n13, n14 and 17 more); \
         1 frontend changed (one: pools); flow-timeout of `lb` of `vpp` changed"
    );
}

/// Every list is right where the two walks end, begin and cross.
#[test]
fn side_by_side_misses_no_name() {
    let map = |names: &str| names.chars().map(|name| (name.to_string(), ())).collect::<BTreeMap<_, _>>();
    for (old, new, added, removed, both) in [
        ("", "", "", "", ""),
        ("ab", "", "", "ab", ""),
        ("", "ab", "ab", "", ""),
        ("ab", "ab", "", "", "ab"),
        ("ace", "bd", "bd", "ace", ""),
        ("abc", "cde", "de", "ab", "c"),
        ("b", "abc", "ac", "", "b"),
    ] {
        let (old, new) = (map(old), map(new));
        let compared = side_by_side(&old, &new);
        let in_both: String = compared.both.iter().map(|(name, (), ())| name.as_str()).collect();
        assert_eq!(
            (&*compared.added.concat(), &*compared.removed.concat(), &*in_both),
            (added, removed, both)
        );
    }
}

#[test]
fn checks_that_stay_are_found_by_their_contents() {
    let kept = |before: &str, after: &str| {
        let [before, after] =
            [before, after].map(|checks| config(&OLD.replace("healthcheck: shell", checks)));
        let changes = changes(&before, &after).backends;
        (changes.rechecked == ["b"], changes.kept_checks.get("b").cloned())
    };
    assert_eq!(kept("healthcheck: shell", "healthcheck: [shell]"), (false, None));
    assert_eq!(kept("healthcheck: web", "healthcheck: twin"), (false, None));
    assert_eq!(kept("healthcheck: web", "healthcheck: shell"), (true, None));
    assert_eq!(kept("healthcheck: shell", "healthcheck: [web, shell]"), (true, Some(vec![None, Some(0)])));
    assert_eq!(
        kept("healthcheck: [web, shell]", "healthcheck: [shell, twin]"),
        (true, Some(vec![Some(1), Some(0)])),
        "another order"
    );
    assert_eq!(
        kept("healthcheck: [web, shell]", "healthcheck: [twin, web]"),
        (true, Some(vec![None, Some(0)])),
        "each once, and by its name first"
    );
    assert_eq!(
        kept("healthcheck: [web, shell]", "healthcheck: [web, shell], require: any"),
        (true, Some(vec![Some(0), Some(1)]))
    );
    assert_eq!(kept("healthcheck: shell", "healthcheck: shell, require: any"), (false, None));
}
