//! `webhooks:`.

use super::*;
use crate::config::schema::tests::complaints;
use crate::kind::Kind;

fn with(webhook: &str) -> String {
    format!("{FINE}  webhooks:\n    chat: {webhook}\n")
}

fn parsed(webhook: &str) -> Result<Loaded, Errors> {
    parse("f", &with(webhook))
}

fn url(text: &str) -> Result<Url, String> {
    let loaded = parsed(&format!("{{ url: '{text}', secret-file: /s }}"));
    match loaded {
        Ok(loaded) => Ok(loaded.config.webhooks["chat"].url.clone()),
        Err(errors) => Err(errors.diagnostics.first().map(|one| one.message.clone()).unwrap_or_default()),
    }
}

#[test]
fn defaults_are_filled_in() {
    let loaded = parsed("{ url: 'https://hooks.example.org', secret-file: /etc/secret }").unwrap();
    let webhook = &loaded.config.webhooks["chat"];
    assert_eq!((webhook.events.len(), webhook.timeout), (11, Duration::from_secs(5)));
    assert!(webhook.trusts_system() && loaded.trusts_system());
    assert_eq!(webhook.secret_file.to_str(), Some("/etc/secret"));
    let some = parsed(
        "{ url: 'http://[2001:db8::1]:8080/x?y=1', secret-file: /s, events: [backend, vpp], timeout: 1s }",
    );
    let webhook = &some.unwrap().config.webhooks["chat"];
    assert_eq!(webhook.events, [Kind::Backend, Kind::Vpp]);
    assert!(!webhook.trusts_system());
}

#[test]
fn urls_are_taken_apart() {
    let parts = |text: &str| url(text).map(|url| (url.is_https, url.authority, url.host, url.port, url.path));
    let is = |https, authority: &str, host: &str, port, path: &str| {
        Ok((https, authority.to_owned(), host.to_owned(), port, path.to_owned()))
    };
    assert_eq!(parts("https://a.example"), is(true, "a.example", "a.example", 443, "/"));
    assert_eq!(parts("http://a.example?x=1"), is(false, "a.example", "a.example", 80, "/?x=1"));
    assert_eq!(
        parts("http://[2001:db8::1]:8080/x?y"),
        is(false, "[2001:db8::1]:8080", "2001:db8::1", 8080, "/x?y")
    );
    assert_eq!(parts("http://192.0.2.1:81/"), is(false, "192.0.2.1:81", "192.0.2.1", 81, "/"));
    assert_eq!(parts("https://[2001:db8::1]/"), is(true, "[2001:db8::1]", "2001:db8::1", 443, "/"));
}

#[test]
fn urls_that_cannot_be_used_are_refused_without_repeating_them() {
    for (text, problem) in [
        ("ftp://a.example/TOKEN", "begins neither with"),
        ("a.example/TOKEN", "begins neither with"),
        ("https:///TOKEN", "has no valid host"),
        ("https://u:TOKEN@a.example/", "has a user name"),
        ("https://a b/TOKEN", "has no valid host"),
        ("https://a.example:0/TOKEN", "has port 0"),
        ("https://a.example:70000/TOKEN", "has no valid host"),
        ("https://a.example/TOKEN#x", "with a fragment"),
        ("https://a.example/TOKEN x", "with ` ` in it"),
        ("https://a.example/TOKEN%2", "without two hexadecimal digits"),
    ] {
        let found = url(text).unwrap_err();
        assert!(found.contains(problem) && !found.contains("TOKEN"), "{text}: {found}");
    }
}

#[test]
fn mistakes_are_named() {
    for (webhook, problem) in [
        ("{ secret-file: /s }", "webhook `chat` has no `url`"),
        ("{ url: 'http://a.example' }", "webhook `chat` has no `secret-file`"),
        ("{ url: 'http://a.example', secret-file: s }", "which is not an absolute path"),
        ("{ url: 'http://a.example', secret-file: /s, events: [] }", "nothing would ever be sent"),
        ("{ url: 'http://a.example', secret-file: /s, events: [backends] }", "no kind of event"),
        ("{ url: 'http://a.example', secret-file: /s, events: [state] }", "no kind of event"),
        ("{ url: 'http://a.example', secret-file: /s, events: [vpp, vpp] }", "has `vpp` twice"),
        ("{ url: 'http://a.example', secret-file: /s, events: vpp }", "must be a list"),
        ("{ url: 'http://a.example', secret-file: /s, timeout: 2m }", "out of range"),
        ("{ url: 'http://a.example', secret-file: /s, method: PUT }", "unknown key `method`"),
    ] {
        let found = parsed(webhook).unwrap_err().to_string();
        assert!(found.contains(problem), "{webhook}: {found}");
    }
    let many: String =
        (0..17).map(|at| format!("    h{at}: {{ url: 'http://a.example', secret-file: /s }}\n")).collect();
    let found = parse("f", &format!("{FINE}  webhooks:\n{many}")).unwrap_err();
    assert!(found.to_string().contains("there are 17 webhooks"), "{found}");
}

#[test]
fn schema_knows_them() {
    let good = with("{ url: 'https://a.example/x', secret-file: /s, events: [backend] }");
    assert_eq!(complaints(&good), Vec::<String>::new());
    for bad in [
        "{ url: 'https://a.example/x' }",
        "{ url: 'ftp://a', secret-file: /s }",
        "{ url: 'http://a', secret-file: /s, events: [x] }",
    ] {
        assert_ne!(complaints(&with(bad)), Vec::<String>::new(), "{bad}");
    }
}

#[test]
fn reload_names_what_changed_and_a_diff_hides_the_path() {
    let config = |webhook: &str| parsed(webhook).unwrap().config;
    let old = config("{ url: 'http://a.example/SECRET', secret-file: /s }");
    let new = config("{ url: 'http://a.example/OTHER', secret-file: /s }");
    assert_eq!(changes(&old, &new).to_string(), "1 webhook changed (chat)");
    assert!(changes(&old, &old).is_empty());
    let diff = differences(
        &with("{ url: 'http://a.example/SECRET', secret-file: /s }"),
        &with("{ url: 'http://a.example/OTHER?x', secret-file: /s }"),
    );
    let diff = diff.unwrap();
    assert_eq!(diff.len(), 1);
    assert_eq!(diff[0].old.as_deref(), Some("http://a.example/…"));
    assert_eq!(diff[0].new.as_deref(), Some("http://a.example/…"));
}
