use super::*;
use crate::render::tests::PLAIN;
use crate::samples::{self, NOW};

const WARNING: &str = "\
/etc/maglev/maglev.yaml:31:5: warning: no frontend uses backend `web4`
   |
31 |     web4: { address: 10.0.0.4, healthcheck: http-alive, enabled: false }
   |     ^^^^
   = help: it is probed, and gets no traffic: put it in a pool, or remove it
";

#[test]
fn check_ends_with_what_a_reload_would_do() {
    let mut checked = samples::checked();
    let fine = "frontend shop: 204 of 1024 buckets move to other servers\n\
                /etc/maglev/maglev.yaml: OK, 1 warning; a reload would change: 1 backend added (web4), 1 removed (web0)\n";
    assert_eq!(check(&checked, PLAIN), format!("{WARNING}\n{fine}"));
    checked.set_verdict(ConfigVerdict::NotParseable);
    checked.preview = None;
    (checked.errors, checked.warnings) = (2, 0);
    checked.findings = vec!["a\x1b[2J\n  b".into(), "c".into()];
    let expected = "a\\u{1b}[2J\n  b\n\nc\n\n\
                    /etc/maglev/maglev.yaml: not parseable (2 errors, 0 warnings); a reload would be refused\n";
    assert_eq!(check(&checked, PLAIN), expected);
}

#[test]
fn reload_tells_warnings_and_what_operators_have_set_in_vain() {
    let mut reloaded = samples::reloaded();
    let rest = "\
Overrides without a target in the configuration, kept in case it returns:
Backend  Frontend  Pool       Set  Configured  Since                      Age  Ends in  Set by  Reason
web0     -         -     disabled     missing  2026-11-16T04:12:03.250Z  5d0h        -  -       -

/etc/maglev/maglev.yaml: reloaded; 1 backend added (web4), 1 removed (web0); programmed in VPP
";
    assert_eq!(reload(&reloaded, Moment(NOW), PLAIN), format!("{WARNING}\n{rest}"));
    reloaded.warnings.clear();
    reloaded.unmatched.clear();
    let expected =
        "/etc/maglev/maglev.yaml: reloaded; 1 backend added (web4), 1 removed (web0); programmed in VPP\n";
    assert_eq!(reload(&reloaded, Moment(NOW), PLAIN), expected);

    reloaded.outcome.get_or_insert_default().not_kept = "No space left on device".into();
    let lost = "A restart of maglev-brain would undo a part of this: No space left on device\n";
    assert_eq!(reload(&reloaded, Moment(NOW), PLAIN), format!("{expected}{lost}"));
}

fn revision(number: u64, origin: &str, who: &str) -> ConfigRevision {
    ConfigRevision {
        number,
        at_unix_ms: NOW - (9 - number) * 60_000,
        who: who.into(),
        origin: origin.into(),
        size: 2048,
        intact: number != 5,
        ..ConfigRevision::default()
    }
}

#[test]
fn history_shows_what_is_in_use_and_what_is_damaged() {
    let mut configs = [
        revision(8, "not confirmed, back to 6", ""),
        revision(7, "reload", "user anna (uid 1000)"),
        revision(5, "start", ""),
    ];
    configs[0].other_than_file = true;
    let text = history(&configs, Moment(NOW), PLAIN);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").collect()).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(rows[1].join(" ").contains("in use, not the file"), "{text}");
    assert!(rows[2].join(" ").contains("user anna (uid 1000)"), "{text}");
    assert!(rows[3].join(" ").contains("damaged"), "{text}");
    assert_eq!(history(&[], Moment(NOW), PLAIN), "No configurations are on record.\n");
}

#[test]
fn reload_that_must_be_confirmed_says_until_when() {
    let mut reloaded = samples::reloaded();
    let config =
        ConfigRevision { confirm_until_unix_ms: NOW + 300_000, back_to: 6, ..revision(7, "reload", "") };
    reloaded.config = Some(config);
    let text = reload(&reloaded, Moment(NOW), PLAIN);
    assert!(
        text.ends_with("configuration 7 goes back to 6 in 5m0s unless `config confirm` keeps it\n"),
        "{text}"
    );
    let confirmed_one =
        ConfirmConfigResponse { config: Some(revision(7, "reload", "")), not_kept: String::new() };
    assert_eq!(confirmed(&confirmed_one, PLAIN), "configuration 7: confirmed\n");
    let lost = ConfirmConfigResponse { not_kept: "the disk is full".into(), ..confirmed_one };
    assert!(confirmed(&lost, PLAIN).contains("forgets the confirmation: the disk is full"));
}

#[test]
fn values_that_differ_are_shown_side_by_side() {
    let text = compared(&samples::checked(), PLAIN);
    assert!(text.starts_with("Key "), "{text}");
    assert!(text.contains("frontends.shop.pools.primary.backends.web1.weight  100     10\n"), "{text}");
    assert!(text.ends_with(&check(&samples::checked(), PLAIN)), "{text}");
}
