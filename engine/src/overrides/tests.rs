use std::time::{Duration, UNIX_EPOCH};

use super::*;

const CONFIG: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 192.0.2.254}}
  backends:
    web1: {address: 10.0.0.1}
    web2: {address: 10.0.0.2, enabled: false}
  frontends:
    www:
      address: 192.0.2.1
      pools:
        - name: primary
          backends:
            web1: {weight: 30}
            web2: {}
        - name: fallback
          backends:
            web2: {weight: 0}
";

fn config() -> Config {
    crate::config::parse("test.yaml", CONFIG).unwrap().config
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn backend(name: &str, state: BackendOverride) -> Override {
    Override::Backend { name: name.to_owned(), state, stamp: Stamp::at(at(1)) }
}

fn weight(frontend: &str, pool: &str, backend: &str, weight: u8) -> Override {
    let [frontend, pool, backend] = [frontend, pool, backend].map(str::to_owned);
    Override::Weight { member: PoolMember { frontend, pool, backend }, weight, stamp: Stamp::at(at(2)) }
}

fn overrides(entries: &[Override]) -> Overrides {
    let mut overrides = Overrides::default();
    for entry in entries {
        assert_eq!(overrides.insert(entry.clone()), None);
    }
    overrides
}

#[test]
fn an_entry_is_shown_in_words() {
    let shown = |entry: Override| entry.to_string();
    assert_eq!(shown(backend("web1", BackendOverride::Paused)), "backend web1: paused");
    assert_eq!(shown(backend("web1", BackendOverride::Disabled)), "backend web1: disabled");
    assert_eq!(shown(backend("web1", BackendOverride::Enabled)), "backend web1: enabled");
    assert_eq!(
        shown(weight("www", "primary", "web1", 30)),
        "weight of web1 in pool primary of frontend www: 30"
    );
}

#[test]
fn entries_are_set_replaced_and_listed_in_order() {
    let paused = backend("web2", BackendOverride::Paused);
    let entries = [
        weight("www", "b", "web1", 1),
        paused.clone(),
        weight("www", "a", "web9", 2),
        backend("web1", BackendOverride::Disabled),
    ];
    let mut overrides = overrides(&entries);
    let [b, web2, a, web1] = entries;
    assert_eq!(overrides.iter().collect::<Vec<_>>(), [web1, web2, a, b.clone()]);
    assert_eq!((overrides.len(), overrides.is_empty()), (4, false));

    let later = Override::Backend {
        name: "web2".to_owned(),
        state: BackendOverride::Disabled,
        stamp: Stamp::at(at(9)),
    };
    assert_eq!(overrides.insert(later.clone()), Some(paused));
    assert_eq!(overrides.insert(weight("www", "b", "web1", 7)), Some(b));
    assert_eq!(overrides.len(), 4);
    assert_eq!(overrides.iter().nth(1), Some(later));
    assert_eq!(overrides.weight("www", "b", "web1"), Some(7));
}

#[test]
fn a_weight_is_that_of_one_member() {
    let overrides = overrides(&[weight("www", "primary", "web1", 40)]);
    assert_eq!(overrides.weight("www", "primary", "web1"), Some(40));
    assert_eq!(overrides.weight("www", "fallback", "web1"), None);
    assert_eq!(overrides.weight("www", "primary", "web2"), None);
    assert_eq!(overrides.weight("mail", "primary", "web1"), None);
    assert_eq!(Overrides::default().weight("www", "primary", "web1"), None);
    assert!(Overrides::default().is_empty());
}

#[test]
fn what_the_configuration_does_not_have_is_kept_and_told() {
    let known = [backend("web1", BackendOverride::Paused), weight("www", "primary", "web2", 5)];
    let unknown = [
        backend("gone", BackendOverride::Paused),
        weight("mail", "primary", "web1", 5),
        weight("www", "fallback", "web1", 5),
        weight("www", "gone", "web1", 5),
        weight("www", "primary", "gone", 5),
    ];
    let overrides = overrides(&[&known[..], &unknown[..]].concat());
    assert_eq!(overrides.unmatched(&config()), unknown);
    assert_eq!(overrides.len(), 7);
}

#[test]
fn a_weight_that_the_configuration_equals_is_forgotten() {
    let equal = [
        weight("www", "fallback", "web2", 0),
        weight("www", "primary", "web1", 30),
        weight("www", "primary", "web2", 100),
    ];
    let kept = [backend("web1", BackendOverride::Enabled), weight("gone", "primary", "web1", 30)];
    let mut overrides = overrides(&[&equal[..], &kept[..]].concat());
    assert_eq!(overrides.forget_equal(&config()), equal);
    assert_eq!(overrides.iter().collect::<Vec<_>>(), kept);
    assert_eq!(overrides.forget_equal(&config()), []);

    overrides.insert(weight("www", "primary", "web1", 29));
    assert_eq!(overrides.forget_equal(&config()), []);
}
