use proptest::prelude::*;
use serde_json::json;

use super::*;

fn paths(one: &Value, other: &Value) -> Vec<String> {
    differences([one, other]).iter().map(|path| path.join(".")).collect()
}

#[test]
fn elements_are_compared_by_their_names() {
    let one =
        json!({ "backends": [{ "backend": "a", "weight": 1 }, { "backend": "b", "weight": 2 }], "port": 1 });
    let turned =
        json!({ "backends": [{ "backend": "b", "weight": 3 }, { "backend": "a", "weight": 1 }], "port": 1 });
    assert_eq!(paths(&one, &turned), ["backends.b.weight"]);
    let less = json!({ "backends": [{ "backend": "b", "weight": 2 }] });
    assert_eq!(paths(&one, &less), ["backends.a", "port"]);
}

#[test]
fn lists_without_names_differ_as_a_whole() {
    assert_eq!(paths(&json!({ "frontends": ["a", "b"] }), &json!({ "frontends": ["a"] })), ["frontends"]);
    let twice = json!([{ "name": "a", "n": 1 }, { "name": "a", "n": 2 }]);
    assert_eq!(paths(&twice, &json!([])), [""]);
    let vips = |port: u32| json!({ "vips": [{ "prefix": "192.0.2.1/32", "protocol": "tcp", "port": port }] });
    assert_eq!(paths(&vips(80), &vips(81)), ["vips.192.0.2.1 tcp/80", "vips.192.0.2.1 tcp/81"]);
}

#[test]
fn what_differs_by_nature_is_left_out_and_settings_are_not() {
    let message = json!({
        "uptime_ms": 1, "state": "up", "interval_ms": 2000, "slow_start_ms": 5,
        "pools": [{ "name": "p", "backends": [{ "backend": "b", "flows": 3, "buckets": 7 }] }],
        "last_probe": { "code": "L7OK" }, "vpp_figures_age_ms": 9,
    });
    let expected = json!({
        "state": "up", "interval_ms": 2000, "slow_start_ms": 5,
        "pools": [{ "name": "p", "backends": [{ "backend": "b", "buckets": 7 }] }],
    });
    assert_eq!(steady(&message).unwrap(), expected);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3u8).prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("name|state|[a-c]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Equal values have no differences, both orders give the same number, and unequal values have some
    /// unless only the order of named elements differs.
    #[test]
    fn difference_is_symmetric(one in value(), other in value()) {
        prop_assert!(paths(&one, &one).is_empty());
        prop_assert_eq!(paths(&one, &other), paths(&other, &one));
    }
}
