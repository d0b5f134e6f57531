//! Several checks of a backend, the servers' own word, flap damping and the guard.

use super::*;

/// The valid configuration with these keys of `healthchecker`.
fn with(keys: &str) -> String {
    changed("maglev:\n", &format!("maglev:\n  healthchecker: {{ {keys} }}\n"))
}

/// The same with these keys of a backend instead of its check.
fn backend(keys: &str) -> String {
    changed("healthcheck: shell", keys)
}

#[test]
fn a_backend_has_several_checks() {
    let of = |keys: &str, warnings: &[&str]| {
        let found = accepted(&backend(keys), warnings).backends["web2"].clone();
        (found.healthchecks.join(" "), found.require)
    };
    assert_eq!(of("healthcheck: [web, shell]", &[]), ("web shell".to_owned(), Require::All));
    assert_eq!(of("healthcheck: [web, shell], require: any", &[]), ("web shell".to_owned(), Require::Any));
    assert_eq!(of("healthcheck: [web, shell], require: 1", &[]), ("web shell".to_owned(), Require::Count(1)));
    assert_eq!(of("healthcheck: [web]", &[]), ("web".to_owned(), Require::All));
    assert_eq!(of("healthcheck: []", &[]).0, "");
    assert_eq!(of("healthcheck: ''", &[]).0, "");
    let idle = "17:32 warning: `require` of backend `web2` has no effect: it has fewer than two health checks \
                (leave it out, or list several checks: `healthcheck: [a, b]`)";
    assert_eq!(of("require: all, healthcheck: shell", &[idle]).0, "shell");
    let needed = |require: Require| [0, 1, 3].map(|total| require.needed(total));
    assert_eq!(needed(Require::All), [0, 1, 3]);
    assert_eq!(needed(Require::Any), [0, 1, 1]);
    assert_eq!(needed(Require::Count(2)), [0, 1, 2]);
}

#[test]
fn lists_of_checks_that_make_no_sense_are_refused() {
    for (keys, words) in [
        ("healthcheck: [web, shel]", "uses health check `shel`, which does not exist"),
        ("healthcheck: [web, web]", "has `web` twice"),
        ("healthcheck: [web, '']", "has an empty name"),
        ("healthcheck: [a, b, c, d, e, f, g, h, i]", "has 9 checks"),
        ("healthcheck: [web, shell], require: 3", "is 3, and it has 2 checks"),
        ("healthcheck: [web, shell], require: 0", "is 0, which is out of range"),
        ("healthcheck: [web, shell], require: most", "is `most`"),
        ("healthcheck: [web, shell], require: 50%", "is `50%`"),
        ("healthcheck: [web, shell], require: [1]", "must be a word or a number"),
        ("healthcheck: { web: {} }", "must be a text"),
    ] {
        let (code, found) = findings(&backend(keys));
        assert!(code > 0 && found.iter().any(|line| line.contains(words)), "{keys}: {found:?}");
    }
}

#[test]
fn a_server_may_have_a_word() {
    let params = |params: &str| changed("path: /healthz", &format!("path: /healthz\n        {params}"));
    let http = |text: &str| match accepted(text, &[]).healthchecks["web"].kind.clone() {
        CheckKind::Http { http, .. } => (http.drain_codes.0, http.agent_header),
        kind => panic!("{kind:?}"),
    };
    assert_eq!(http(&params("drain-code: [404, '503-504']")), (vec![(404, 404), (503, 504)], None));
    assert_eq!(http(&params("drain-code: 404,503")), (vec![(404, 404), (503, 503)], None));
    let header = params("agent-header: X-Maglev-Weight");
    assert_eq!(http(&header), (vec![], Some("X-Maglev-Weight".to_owned())));
    assert!(accepted(&header, &[]).frontends["www"].servers_ask);
    assert!(!accepted(&params("drain-code: 404"), &[]).frontends["www"].servers_ask, "all or nothing");
    for (wrong, words) in [
        ("drain-code: [404, 600]", "which is not a status code"),
        ("drain-code: [[404]]", "where status codes belong"),
        ("agent-header: 'X Weight'", "cannot be a header's name"),
        ("agent-header: ''", "cannot be a header's name"),
    ] {
        let (code, found) = findings(&params(wrong));
        assert!(code > 0 && found.iter().any(|line| line.contains(words)), "{wrong}: {found:?}");
    }
}

#[test]
fn an_agent_has_a_port() {
    let http = |agent: &str| changed("path: /healthz", &format!("path: /healthz\n      {agent}"));
    let text = http("agent-port: 9999\n      agent-send: \"web\\n\"");
    let config = accepted(&text, &[]);
    let agent = config.healthchecks["web"].agent.clone().unwrap();
    assert_eq!((agent.port, agent.send.as_str()), (9999, "web\n"));
    assert!(config.frontends["www"].servers_ask);
    for (wrong, words) in [
        ("agent-send: web", "`agent-send` of health check `web` is set, but there is no `agent-port`"),
        ("agent-port: 0", "`agent-port` of health check `web`"),
        ("agent-port: 1\n      agent-send: 'web\\n'", "has `\\n` as two characters"),
    ] {
        let (_, found) = findings(&http(wrong));
        assert!(found.iter().any(|line| line.contains(words)), "{wrong}: {found:?}");
    }
}

#[test]
fn a_key_on_the_wrong_level_is_told_where_it_belongs() {
    let (_, found) = findings(&changed("path: /healthz", "path: /healthz\n        size: 1476"));
    let told = "unknown key `size` in `params` of health check `web`";
    assert!(found.iter().any(|line| line.contains(told)), "{found:?}");
    assert!(found.iter().any(|line| line.contains("it belongs one level up, beside `params`")), "{found:?}");
    let (_, found) = findings(&changed("path: /healthz", "path: /healthz\n      method: HEAD"));
    assert!(
        found.iter().any(|line| line.contains("unknown key `method` in health check `web`")),
        "{found:?}"
    );
    let told = "it belongs one level further in, below `params`";
    assert!(found.iter().any(|line| line.contains(told)), "{found:?}");
}

#[test]
fn limits_are_off_unless_they_are_wanted() {
    let off = accepted(&with(""), &[]).healthchecker;
    assert_eq!((off.agent_interval, off.damping, off.guard), (Duration::from_secs(10), None, None));
    let on = accepted(&with("agent-interval: 0, damping: {}, guard: {}"), &[]).healthchecker;
    assert_eq!(on.agent_interval, Duration::ZERO);
    assert_eq!((on.damping, on.guard), (Some(stability::DEFAULT_DAMPING), Some(stability::DEFAULT_GUARD)));
    let keys = "damping: { half-life: 2m, suppress: 4000, reuse: 500, max-suppress: 30m }, \
                guard: { more-than: 3, per-second: 5 }";
    let on = accepted(&with(keys), &[]).healthchecker;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let damping = Damping { half_life: minutes(2), suppress: 4000, reuse: 500, max_suppress: minutes(30) };
    let guard = GuardRule { more_than: MinUp::Count(3), per_second: Some(5) };
    assert_eq!((on.damping, on.guard), (Some(damping), Some(guard)));
    let limits =
        |more_than| [1, 3, 10, 11].map(|total| GuardRule { more_than, per_second: None }.limit(total));
    assert_eq!(limits(MinUp::Percent(30)), [0, 0, 3, 3], "4 of 11 are more than 30 %");
    assert_eq!(limits(MinUp::Count(3)), [3; 4]);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (keys, words) in [
        ("damping: { reuse: 2500 }", "is 2500, not below `suppress`, 2500"),
        ("damping: { max-suppress: 30s }", "is too short"),
        ("damping: { half-life: 0s }", "out of range"),
        ("damping: { suppress: 99 }", "out of range"),
        ("damping: { half_life: 1m }", "did you mean `half-life`?"),
        ("damping: true", "must be a mapping"),
        ("guard: { more-than: 100% }", "there are never more"),
        ("guard: { more-than: 30.5 }", "must be a number or a percentage"),
        ("guard: { per-second: 0 }", "out of range"),
        ("agent-interval: 2h", "out of range"),
    ] {
        let (code, found) = findings(&with(keys));
        assert!(code > 0 && found.iter().any(|line| line.contains(words)), "{keys}: {found:?}");
    }
}
