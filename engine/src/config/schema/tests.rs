use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use super::*;
use crate::config::yaml::{self, Node, Scalar, ScalarKind};
use crate::config::{self, announce, backend, fleet, frontend, healthcheck, settings, stability, webhook};

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    jsonschema::options().should_validate_formats(true).build(&schema()).expect("a valid schema")
});

/// What an editor makes of a text, before it looks at the schema.
fn json_of(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar(Scalar { text, kind }) => match kind {
            ScalarKind::PlainText | ScalarKind::QuotedText => text.clone().into(),
            ScalarKind::Bool(value) => (*value).into(),
            ScalarKind::Integer(value) => i64::try_from(*value).unwrap().into(),
            ScalarKind::Float => text.parse::<f64>().unwrap().into(),
        },
        yaml::Value::List(items) => items.iter().map(json_of).collect(),
        yaml::Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.value.clone(), json_of(&entry.node))).collect()
        }
    }
}

/// What the schema finds wrong with a text; nothing if it is not YAML.
pub(in crate::config) fn complaints(text: &str) -> Vec<String> {
    let Ok(tree) = yaml::parse(text) else { return Vec::new() };
    let found = json_of(&tree);
    VALIDATOR.iter_errors(&found).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_published_schema_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/maglev.schema.json");
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == schema_text(),
        "docs/maglev.schema.json is not what the code makes: run \
         `cargo run -p maglev-brain -- --print-schema > docs/maglev.schema.json`"
    );
}

#[test]
fn the_schema_is_one() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    assert!(!jsonschema::meta::is_valid(&json!({ "$schema": schema["$schema"], "type": "text" })));
}

/// The keys of every object with fixed keys, by where it stands in the schema.
fn keys_at(pointer: &str) -> BTreeSet<String> {
    let schema = schema();
    let object = schema.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
    assert_eq!(object["additionalProperties"], json!(false), "{pointer}");
    object["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_has_the_keys_that_the_readers_know() {
    let maglev = "/properties/maglev";
    let check = format!("{maglev}/properties/healthchecks/additionalProperties");
    let frontend = format!("{maglev}/properties/frontends/additionalProperties");
    let pool = format!("{frontend}/properties/pools/items");
    for (pointer, keys) in [
        (String::new(), &["maglev"][..]),
        (maglev.to_owned(), config::MAGLEV_KEYS),
        (format!("{maglev}/properties/healthchecker"), settings::HEALTHCHECKER_KEYS),
        (format!("{maglev}/properties/healthchecker/properties/damping"), stability::DAMPING_KEYS),
        (format!("{maglev}/properties/healthchecker/properties/guard"), stability::GUARD_KEYS),
        (format!("{maglev}/properties/vpp"), settings::VPP_KEYS),
        (format!("{maglev}/properties/vpp/properties/lb"), settings::LB_KEYS),
        (format!("{check}/properties/params"), healthcheck::PARAM_KEYS),
        (check, healthcheck::CHECK_KEYS),
        (format!("{maglev}/properties/backends/additionalProperties"), backend::BACKEND_KEYS),
        (frontend.clone(), frontend::FRONTEND_KEYS),
        (format!("{maglev}/properties/announce"), announce::ANNOUNCE_KEYS),
        (format!("{frontend}/properties/announce"), announce::ANNOUNCE_KEYS),
        (format!("{maglev}/properties/bird"), announce::BIRD_KEYS),
        (format!("{maglev}/properties/fleet"), fleet::FLEET_KEYS),
        (format!("{pool}/properties/backends/additionalProperties"), frontend::MEMBER_KEYS),
        (pool, frontend::POOL_KEYS),
        (format!("{maglev}/properties/webhooks/additionalProperties"), webhook::WEBHOOK_KEYS),
    ] {
        let known: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(keys_at(&pointer), known, "{pointer}");
    }
}

/// A hover text for every key.
#[test]
fn every_key_is_described() {
    fn walk(value: &Value, at: &str) {
        let Some(object) = value.as_object() else { return };
        for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(described, "{at}/{name} has no description");
            walk(property, &format!("{at}/{name}"));
        }
        for below in ["additionalProperties", "items"] {
            walk(&value[below], at);
        }
    }
    walk(&schema(), "");
}

#[test]
fn defaults_are_allowed_by_the_schema() {
    for (key, value) in [
        ("sticky-buckets-per-core", lb()["sticky-buckets-per-core"]["default"].clone()),
        ("flow-timeout", lb()["flow-timeout"]["default"].clone()),
        ("sync-interval", lb()["sync-interval"]["default"].clone()),
        ("startup-min-delay", lb()["startup-min-delay"]["default"].clone()),
        ("startup-max-delay", lb()["startup-max-delay"]["default"].clone()),
    ] {
        let text = format!("maglev: {{ vpp: {{ lb: {{ {key}: {value} }} }} }}");
        assert_eq!(complaints(&text), Vec::<String>::new(), "{text}");
        assert!(config::parse("f", &text).is_ok(), "{text}");
    }
}

#[test]
fn the_example_conforms() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(complaints(&text), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_refused() {
    let lb = |setting: &str| format!("maglev: {{ vpp: {{ lb: {{ {setting} }} }} }}");
    let check = |keys: &str| format!("maglev: {{ healthchecks: {{ c: {{ {keys} }} }} }}");
    let backend = |keys: &str| format!("maglev: {{ backends: {{ b: {{ {keys} }} }} }}");
    let frontend = |keys: &str| {
        format!(
            "maglev: {{ frontends: {{ f: {{ address: 192.0.2.1, pools: [{{ name: p, backends: {{ b: }} }}], {keys} }} }} }}"
        )
    };
    let pools =
        |pools: &str| format!("maglev: {{ frontends: {{ f: {{ address: 192.0.2.1, pools: {pools} }} }} }}");
    for fine in [
        lb("flow-timeout: 1m30s"),
        lb("startup-min-delay: 0"),
        check("type: tcp, port: 1"),
        check("type: icmp"),
        check("type: dns, params: { name: a, record-type: AAAA, rcode: NXDOMAIN }"),
        check("type: grpc, port: 1, params: { service: a, ssl: true, send-proxy: v2 }"),
        check("type: udp, port: 1, params: { send-hex: 00, expect: x }"),
        check("type: http, params: { response-code: '200, 204,300-399' }"),
        backend("address: 2001:db8::1, enabled: off"),
        frontend("slow-start: 1.5h, panic-threshold: 100"),
        pools("[{ name: p, min-up: 1, backends: { b: } }]"),
        pools("[{ name: p, min-up: 50%, backends: { b: } }]"),
    ] {
        assert_eq!(complaints(&fine), Vec::<String>::new(), "{fine}");
    }
    for wrong in [
        "{}".to_owned(),
        "maglev: []".to_owned(),
        "maglev: {}\nother: {}".to_owned(),
        "maglev: { vppp: {} }".to_owned(),
        "maglev: { healthchecker: { guard: { more-than: 100% } } }".to_owned(),
        "maglev: { healthchecker: { guard: { more-than: -1 } } }".to_owned(),
        "maglev: { healthchecker: { damping: { reuse: 0 } } }".to_owned(),
        "maglev: { healthchecker: { damping: { penalty: 1 } } }".to_owned(),
        "maglev: { healthchecker: { transition-history: 0 } }".to_owned(),
        "maglev: { healthchecker: { transition-history: 1001 } }".to_owned(),
        "maglev: { healthchecker: { transition-history: '5' } }".to_owned(),
        lb("flow-timeout: 40"),
        lb("flow-timeout: 40d"),
        lb("flow-timeout: 40s5"),
        lb("flow-timeout: [40s]"),
        lb("flow-timeout:"),
        lb("sticky-buckets-per-core: 1000"),
        lb("sticky-buckets-per-core: 33554432"),
        lb("ipv4-src-address: 2001:db8::1"),
        lb("ipv6-src-address: 192.0.2.1"),
        check("port: 80"),
        check("type: htpp"),
        check("type: tcp"),
        check("type: icmp, port: 7"),
        check("type: icmp, params: { path: / }"),
        check("type: http, params: { ssl: true }"),
        check("type: http, params: { response-code: 600 }"),
        check("type: http, params: { response-code: 2xx }"),
        check("type: http, params: { method: DELETE }"),
        check("type: http, params: { send: x }"),
        check("type: udp, params: { send: x }"),
        check("type: grpc"),
        check("type: dns, params: { name: a, record-type: ANY }"),
        check("type: tcp, port: 1, params: { send-proxy: v3 }"),
        check("type: http, params: { path: healthz }"),
        check("type: https, params: { ca-file: ca.pem }"),
        check("type: tcp, port: 0"),
        check("type: tcp, port: 65536"),
        check("type: tcp, port: 1, rise: 0"),
        check("type: tcp, port: 1, fall: 2.5"),
        backend("healthcheck: c"),
        backend("address: web1.example.org"),
        backend("address: 192.0.2.1, enabled: 1"),
        backend("address: 192.0.2.1, healthcheck: '-c'"),
        backend("address: 192.0.2.1, healthcheck: [c, c]"),
        backend("address: 192.0.2.1, require: most"),
        backend("address: 192.0.2.1, require: 0"),
        "maglev: { backends: { 'a b': { address: 192.0.2.1 } } }".to_owned(),
        format!("maglev: {{ backends: {{ {}: {{ address: 192.0.2.1 }} }} }}", "a".repeat(65)),
        frontend("port: 80"),
        frontend("protocol: tcp"),
        frontend("protocol: sctp, port: 80"),
        frontend("panic-threshold: 0"),
        frontend("panic-threshold: 101"),
        frontend("panic-threshold: 50%"),
        frontend("slow-start: 30"),
        frontend("new-flows-table-length: 131072"),
        pools("[]"),
        pools("{}"),
        pools("[{ name: p }]"),
        pools("[{ backends: { b: } }]"),
        pools("[{ name: p, backends: {} }]"),
        pools("[{ name: p, backends: [b] }]"),
        pools("[{ name: p, backends: { b: 5 } }]"),
        pools("[{ name: p, min-up: 101%, backends: { b: } }]"),
        pools("[{ name: p, min-up: '1', backends: { b: } }]"),
        pools("[{ name: p, min-up: -1, backends: { b: } }]"),
        pools("[{ name: p, backends: { b: { weight: 101 } } }]"),
        pools("[{ name: p, backends: { b: { weight: -1 } } }]"),
        pools("[{ name: p, backends: { b: { wieght: 1 } } }]"),
    ] {
        assert!(!complaints(&wrong).is_empty(), "the schema accepts {wrong}");
        assert!(config::parse("f", &wrong).is_err(), "the readers accept {wrong}");
    }
}
