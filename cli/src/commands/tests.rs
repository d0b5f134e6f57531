use serde_json::Value;

use super::*;
use crate::samples;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Scripts live by these names, in no particular order.
#[test]
fn json_has_the_names_of_the_interface() {
    let json = |answer: Answer| -> Value { serde_json::from_str(&answer.json().unwrap()).unwrap() };
    let list = json(Answer::Frontends(ListFrontendsResponse { frontends: samples::frontends() }));
    assert_eq!(keys(&list), ["frontends"]);
    let one = json(Answer::Frontend(samples::shop()));
    assert_eq!(list["frontends"][3], one);
    let expected = [
        "active_pool",
        "address",
        "description",
        "flush_on_down",
        "kept_table_length",
        "name",
        "new_flows_table_length",
        "pools",
        "port",
        "protocol",
        "src_ip_sticky",
        "state",
        "sync",
        "sync_error",
    ];
    assert_eq!(keys(&one), expected);
    let row = &one["pools"][0]["backends"][0];
    let expected =
        ["address", "backend", "configured_weight", "effective_weight", "programmed_weight", "state"];
    assert_eq!(keys(row), expected);

    let list = json(Answer::Backends(ListBackendsResponse { backends: samples::backends() }));
    let one = json(Answer::Backend(samples::web2()));
    assert_eq!(list["backends"][3], one);
    let expected = [
        "address",
        "counter",
        "enabled",
        "frontends",
        "healthcheck",
        "last_probe",
        "name",
        "state",
        "transitions",
    ];
    assert_eq!(keys(&one), expected);
    assert_eq!((&one["state"], &one["last_probe"]["code"]), (&"down".into(), &"L4CON".into()));
    assert_eq!(list["backends"][0]["last_probe"], Value::Null);

    let info = json(Answer::VppInfo(samples::vpp_info()));
    let expected = [
        "agent",
        "boot_time_unix_ms",
        "build_date",
        "build_directory",
        "connected_unix_ms",
        "pid",
        "reason",
        "state",
        "version",
    ];
    assert_eq!(keys(&info), expected);
    let state = json(Answer::VppLbState(samples::vpp_lb_state()));
    assert_eq!(keys(&state), ["conf", "vips"]);
    assert_eq!(
        keys(&state["vips"][1]["application_servers"][0]),
        ["address", "backend", "buckets", "flows", "weight"]
    );
}

#[test]
fn json_is_one_ended_document() {
    let text = Answer::Frontends(ListFrontendsResponse::default()).json().unwrap();
    assert_eq!(text, "{\n  \"frontends\": []\n}\n");
}
