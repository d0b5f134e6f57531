use serde_json::Value;

use super::*;
use crate::samples;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Scripts depend on these names; their order does not matter.
#[test]
fn json_has_the_names_of_the_interface() {
    let json = |answer: Answer| -> Value { serde_json::from_str(&answer.json().unwrap()).unwrap() };
    let list = json(Answer::Frontends(ListFrontendsResponse {
        frontends: samples::frontends(),
        ..ListFrontendsResponse::default()
    }));
    assert_eq!(keys(&list), ["frontends", "problems"]);
    let one = json(Answer::Frontend(samples::shop()));
    assert_eq!(list["frontends"][3], one);
    let expected = [
        "active_pool",
        "address",
        "announcement",
        "announcement_reason",
        "better_table_length",
        "description",
        "flush_on_down",
        "inexpressible",
        "kept_table_length",
        "name",
        "new_flows_table_length",
        "not_in_vpp",
        "panic_pool",
        "panic_threshold",
        "pools",
        "port",
        "protocol",
        "slow_start_ms",
        "src_ip_sticky",
        "state",
        "sync",
        "sync_error",
        "vpp_figures_age_ms",
        "vpp_figures_error",
        "worst_share_error_percent",
    ];
    assert_eq!(keys(&one), expected);
    let row = &one["pools"][0]["backends"][0];
    let expected = [
        "address",
        "backend",
        "buckets",
        "configured_weight",
        "effective_weight",
        "flows",
        "operator_since_unix_ms",
        "operator_weight",
        "programmed_weight",
        "state",
        "vpp_weight",
    ];
    assert_eq!(keys(row), expected);

    let list = json(Answer::Backends(ListBackendsResponse { backends: samples::backends() }));
    let one = json(Answer::Backend(samples::web2()));
    assert_eq!(list["backends"][3], one);
    let expected = [
        "address",
        "checks",
        "counter",
        "damped_ms",
        "enabled",
        "flows",
        "frontends",
        "healthcheck",
        "idle_ms",
        "labels",
        "last_probe",
        "name",
        "operator_reason",
        "operator_set_by",
        "operator_since_unix_ms",
        "operator_state",
        "operator_until_unix_ms",
        "require",
        "sent_bytes",
        "sent_packets",
        "server_share_percent",
        "since_unix_ms",
        "state",
        "state_detail",
        "transitions",
        "uses",
        "vpp_figures_age_ms",
        "vpp_figures_error",
    ];
    assert_eq!(keys(&one), expected);
    assert_eq!((&one["state"], &one["last_probe"]["code"]), (&"down".into(), &"L4CON".into()));
    assert_eq!(list["backends"][0]["last_probe"], Value::Null);

    let checked = json(Answer::BackendProbed(samples::checked_through()));
    assert_eq!(keys(&checked), ["address", "backend", "checks", "left_out", "passed", "paths"]);
    let hop = &checked["paths"][0]["hops"][2];
    assert_eq!(keys(hop), ["healthcheck", "hop", "meaning", "result", "state"]);
    assert_eq!((&hop["hop"], &hop["state"]), (&"vip".into(), &"failed".into()));

    let info = json(Answer::VppInfo(samples::vpp_info()));
    let expected = [
        "agent",
        "boot_time_unix_ms",
        "build_date",
        "build_directory",
        "connected_unix_ms",
        "lb_api",
        "pid",
        "reason",
        "state",
        "version",
    ];
    assert_eq!(keys(&info), expected);
    let state = json(Answer::VppLbState(samples::vpp_lb_state()));
    assert_eq!(keys(&state), ["age_ms", "conf", "vips"]);
    assert_eq!(
        keys(&state["vips"][1]["application_servers"][0]),
        ["address", "backend", "buckets", "flows", "weight"]
    );
}

#[test]
fn json_of_a_fleet_has_the_names_of_the_interface() {
    let json = |answer: Answer| -> Value { serde_json::from_str(&answer.json().unwrap()).unwrap() };
    let status = json(Answer::Fleet(samples::fleet()));
    let expected = [
        "connected",
        "fleet",
        "left_out",
        "member",
        "members",
        "not_kept",
        "reason",
        "refused",
        "rollout",
        "since_unix_ms",
    ];
    assert_eq!(keys(&status), expected);
    let expected = [
        "back_to",
        "begun_unix_ms",
        "comment",
        "may",
        "plan",
        "reason",
        "revision",
        "since_unix_ms",
        "stage",
        "who",
    ];
    assert_eq!(keys(&status["rollout"]), expected);
    assert_eq!(
        (&status["rollout"]["stage"], &status["rollout"]["plan"]["order"]),
        (&"soaking".into(), &"one-by-one".into())
    );
    let expected = [
        "clock_unix_ms",
        "connected",
        "cut_off",
        "downs",
        "drift",
        "first_seen_unix_ms",
        "local_overrides",
        "name",
        "not_programmed",
        "refused_reason",
        "refused_revision",
        "revision",
        "rival_since_unix_ms",
        "sha256",
        "sync_errors",
        "version",
        "vpp_connected",
        "withdrawn_routes",
    ];
    assert_eq!(keys(&status["members"][0]), expected);
    assert_eq!(json(Answer::FleetMembers(samples::fleet())), status, "the same for `fleet members`");
    let tables = json(Answer::FleetTables(samples::fleet_tables()));
    assert_eq!(keys(&tables), ["members", "tables", "unknown"]);
    let expected = ["differences", "digest", "equal", "frontend", "length", "servers", "vip"];
    assert_eq!(keys(&tables["tables"][1]), expected);
    let expected = ["digest", "lasting", "length", "member", "reason", "servers"];
    assert_eq!(keys(&tables["tables"][1]["differences"][0]), expected);
}

#[test]
fn json_is_one_ended_document() {
    let text = Answer::Frontends(ListFrontendsResponse::default()).json().unwrap();
    assert_eq!(text, "{\n  \"frontends\": [],\n  \"problems\": []\n}\n");
}

#[test]
fn json_of_changes_has_words_and_nulls() {
    let json = |answer: Answer| -> Value { serde_json::from_str(&answer.json().unwrap()).unwrap() };
    let list = json(Answer::Overrides(samples::overrides()));
    assert_eq!(list["overrides"][1]["operator_state"], "paused");
    assert_eq!(
        (&list["overrides"][1]["operator_weight"], &list["overrides"][2]["operator_weight"]),
        (&Value::Null, &50.into())
    );
    let change = json(Answer::BackendChanged(samples::paused()));
    assert_eq!(
        (&change["backend"]["state"], &change["outcome"]["in_vpp"]),
        (&"paused".into(), &"acknowledged".into())
    );
    assert_eq!(json(Answer::Status(samples::status()))["warmup"], "releasing");
    assert_eq!(json(Answer::Checked(samples::checked()))["verdict"], "fine");
}

#[test]
fn exit_code_tells_whether_all_is_as_wished() {
    assert_eq!(Answer::BackendChanged(samples::paused()).exit_code(), 0);
    assert_eq!(Answer::WeightSet(samples::weight_set()).exit_code(), 0);
    let all_well = maglev_proto::CheckBackendResponse { passed: true, ..samples::checked_now() };
    assert_eq!(Answer::BackendProbed(samples::checked_now()).exit_code(), 1);
    assert_eq!(Answer::BackendProbed(all_well).exit_code(), 0);
    assert_eq!(Answer::Cleared(samples::cleared()).exit_code(), 4, "VPP is away");
    let mut forgotten = samples::paused();
    forgotten.outcome = Some(Outcome { not_kept: "the disk is full".into(), ..Outcome::default() });
    assert_eq!(Answer::BackendChanged(forgotten).exit_code(), 4);
    for (in_vpp, code) in [
        (InVpp::NotAsked, 0),
        (InVpp::Acknowledged, 0),
        (InVpp::HeldBack, 4),
        (InVpp::Away, 4),
        (InVpp::Refused, 4),
        (InVpp::Late, 4),
        (InVpp::Unspecified, 4),
    ] {
        let outcome = Some(Outcome { in_vpp: in_vpp.into(), ..Outcome::default() });
        assert_eq!(
            Answer::Recreated(RecreateVipResponse { outcome, ..samples::recreated() }).exit_code(),
            code
        );
    }
    let mut check = samples::checked();
    let mut reloaded = samples::reloaded();
    assert_eq!(Answer::Reloaded(reloaded.clone()).exit_code(), 0);
    reloaded.outcome.get_or_insert_default().not_kept = "the disk is full".into();
    assert_eq!(Answer::Reloaded(reloaded).exit_code(), 4);
    assert_eq!(Answer::Checked(check.clone()).exit_code(), 0);
    check.set_verdict(ConfigVerdict::NotParseable);
    assert_eq!(Answer::Checked(check).exit_code(), 1);
}
