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
    let lost = "Overrides that the reload removed are back after a restart: No space left on device\n";
    assert_eq!(reload(&reloaded, Moment(NOW), PLAIN), format!("{expected}{lost}"));
}
