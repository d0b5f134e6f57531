mod documents;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::{Config, parse};
use maglev_engine::core::{BackendWish, Command, Core, Input, Now};
use maglev_engine::fleet::digest::{Difference, Reason};
use maglev_engine::fleet::records::{MemberInfo, Name, Rival};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::{Overrides, PoolMember, Remark};
use maglev_protocol::{
    AgentInfo, AgentPolicy, Change, FullRead, RouteCounters, ServerFigure, ServerFigures, ServerTraffic,
    SyncReport, VipCounters, VipKey, VipReport, VppInfo, VppState,
};
use tokio::time::Instant;

use super::*;
use crate::fleet::view::Link;
use crate::fleet::{MemberStatus, Overruled};

const BACKENDS: &str = "
    web1: { address: 10.0.0.1, healthcheck: web }
    web2: { address: 10.0.0.2, healthcheck: web }
    spare: { address: 10.0.0.3 }";

const FRONTENDS: &str = "
    shop:
      address: 203.0.113.10
      protocol: tcp
      port: 443
      panic-threshold: 50
      announce: {}
      pools:
        - { name: primary, min-up: 51%, backends: { web1: { weight: 50 }, web2: {} } }
        - { name: fallback, backends: { spare: {}, web2: { weight: 0 } } }
    plain:
      address: 203.0.113.10
      protocol: tcp
      port: 80
      pools: [ { name: only, backends: { web1: {} } } ]";

fn config(backends: &str, frontends: &str) -> Arc<Config> {
    let text = format!(
        "
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  healthchecker: {{ damping: {{}} }}
  healthchecks:
    web: {{ type: http, rise: 2, fall: 3, params: {{ drain-code: 404 }} }}
    secure: {{ type: https, rise: 1, fall: 1 }}
  backends: {backends}
  frontends: {frontends}
"
    );
    Arc::new(parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config)
}

/// A core with its own clock.
struct Bench {
    core: Core,
    now: Now,
}

impl Bench {
    fn new() -> Self {
        let now = Now { wall: UNIX_EPOCH + Duration::from_secs(1_000), mono: Instant::now().into_std() };
        let core = Core::new(config(BACKENDS, FRONTENDS), Overrides::default(), "agent.sock".into(), now);
        // So that probes that end now began after the start.
        Self { core, now: Now { mono: now.mono + Duration::from_secs(60), ..now } }
    }

    fn later(&mut self, time: Duration) {
        self.now = Now { wall: self.now.wall + time, mono: self.now.mono + time };
    }

    fn probe(&mut self, backend: &str, code: ProbeCode, milliseconds: u64) {
        let outcome = ProbeOutcome {
            code,
            detail: "test".into(),
            duration: Duration::from_millis(milliseconds),
            asked: None,
        };
        let late = Duration::from_micros(250);
        let report = Report { backend: backend.into(), check: 0, outcome, late, ended: self.now.mono };
        self.core.handle(Input::Probe(report), self.now);
    }

    fn agent(&mut self, event: AgentEvent) {
        self.core.handle(Input::Agent(event), self.now);
    }

    fn connect(&mut self, pid: u32) {
        let state = VppState::sample(pid, Some(900));
        let programmed = Some((maglev_engine::desired::ViewId(1), maglev_protocol::Programmed::default()));
        let info = AgentInfo { pid: 1, started: 1, no_echo: None, policy: AgentPolicy::default() };
        self.agent(AgentEvent::Connected { version: "1.2.3".into(), protocol: 5, info });
        self.agent(AgentEvent::Vpp { info: VppInfo { generation: 1, state }, programmed });
    }

    fn reload(&mut self, backends: &str, frontends: &str) {
        self.core.command(Command::Reload(config(backends, frontends).into()), self.now).unwrap();
    }

    fn sync(&mut self, report: SyncReport) {
        let specs = self.core.wanted().vips.values().map(Arc::clone).collect();
        self.agent(AgentEvent::Synced { specs, demanded: None, result: Ok(Arc::new(report)) });
    }

    fn text(&self, counters: Option<&Counters>) -> String {
        let snapshot = self.core.snapshot(self.now.mono);
        let process = Process::read();
        render(&Scene {
            snapshot: &snapshot,
            counters,
            process,
            started: self.now.wall,
            unserved: 2,
            webhooks: &webhooks(),
            fleet: Some(&fleet()),
        })
        .text
    }

    fn series(&self, counters: Option<&Counters>) -> BTreeMap<String, f64> {
        series(&self.text(counters))
    }

    /// A bench with at least one of everything.
    fn full() -> (Self, Counters) {
        let mut bench = Self::new();
        bench.connect(7);
        for backend in ["web1", "web1", "web2", "web2"] {
            bench.probe(backend, ProbeCode::L7Ok, 3);
        }
        bench.sync(SyncReport {
            read: Some(FullRead { vips: 0, servers: 0 }),
            foreign: vec![VipKey::all_ports([198, 51, 100, 1].into())],
            ..SyncReport::default()
        });
        let member = PoolMember { frontend: "shop".into(), pool: "primary".into(), backend: "web1".into() };
        let weight = Command::SetWeight { member, weight: 10, flush: false };
        let remark = Remark { until: Some(UNIX_EPOCH + Duration::from_secs(4600)), ..Remark::default() };
        bench.core.command_on(None, weight, remark, bench.now).unwrap();
        bench.core.snapshot(bench.now.mono).tally.set_applied_config(false, 1_300_000);
        let counters = counters();
        (bench, counters)
    }
}

/// Every series of a scrape with its value; labels sorted by name.
fn series(text: &str) -> BTreeMap<String, f64> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = match name.split_once('{') {
            Some((metric, labels)) => {
                let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
                labels.sort_unstable();
                format!("{metric}{{{}}}", labels.join(","))
            }
            None => name.to_owned(),
        };
        (name, value.parse().unwrap())
    };
    let rows: Vec<(String, f64)> = rows.map(pair).collect();
    let count = rows.len();
    let series: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(series.len(), count, "some series is there twice");
    series
}

/// Names of a scrape's metrics, from its `# TYPE` lines.
fn names(text: &str) -> BTreeSet<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

fn shop() -> VipKey {
    VipKey::port([203, 0, 113, 10].into(), 6, 443)
}

fn counters() -> Counters {
    let vip = |key, packets| VipCounters {
        key,
        epoch: 1,
        existing_sessions: packets,
        first_session: 20,
        untracked: 3,
        no_server: 1,
        route: Some(RouteCounters { epoch: 1, packets: 1000, bytes: 64_000 }),
    };
    let mut vips = vec![
        vip(shop(), 100),
        vip(VipKey::port([203, 0, 113, 10].into(), 6, 80), 200),
        vip(VipKey::all_ports([198, 51, 100, 1].into()), 300),
    ];
    vips.sort_by_key(|vip| vip.key);
    let server = |last, flows| ServerFigure {
        vip: shop(),
        address: [10, 0, 0, last].into(),
        weight: 1,
        buckets: 512,
        flows,
    };
    let servers = vec![server(1, 11), server(2, 22), server(9, 99)];
    let sent = |last, packets| ServerTraffic {
        address: [10, 0, 0, last].into(),
        packets,
        bytes: 100 * packets,
        idle: Duration::ZERO,
    };
    let sent = vec![sent(1, 1111), sent(9, 9999)];
    let servers = Some(ServerFigures { age: Duration::from_secs(30), servers });
    Counters { age: Duration::from_millis(500), vips, sent, servers }
}

#[test]
fn a_backend_is_told_in_full() {
    let mut bench = Bench::new();
    bench.probe("web1", ProbeCode::L7Ok, 3);
    bench.probe("web1", ProbeCode::L7Ok, 4);
    bench.probe("web1", ProbeCode::SockErr, 2000);
    bench.probe("web2", ProbeCode::L4Con, 1);
    let series = bench.series(None);
    let expected = [
        ("maglev_backend_info{address=\"10.0.0.1\",backend=\"web1\",healthcheck=\"web\"}", 1.0),
        ("maglev_backend_state{backend=\"web1\",state=\"up\"}", 1.0),
        ("maglev_backend_state{backend=\"web1\",state=\"down\"}", 0.0),
        ("maglev_backend_state{backend=\"web2\",state=\"down\"}", 1.0),
        ("maglev_backend_health_level{backend=\"web1\"}", 4.0),
        ("maglev_backend_enabled{backend=\"web1\"}", 1.0),
        ("maglev_backend_transitions_total{backend=\"web1\",to=\"down\"}", 0.0),
        ("maglev_backend_transitions_total{backend=\"web1\",to=\"up\"}", 1.0),
        ("maglev_backend_transitions_total{backend=\"spare\",to=\"up\"}", 1.0),
        ("maglev_backend_probes_total{backend=\"web1\",code=\"L7OK\"}", 2.0),
        ("maglev_backend_probes_total{backend=\"web1\",code=\"SOCKERR\"}", 1.0),
        ("maglev_backend_probes_total{backend=\"web2\",code=\"L4CON\"}", 1.0),
        ("maglev_backend_probes_total{backend=\"web2\",code=\"L7STS\"}", 0.0),
        ("maglev_backend_probe_duration_seconds{backend=\"web1\"}", 2.0),
        ("maglev_probe_duration_seconds_bucket{healthcheck=\"web\",le=\"0.0025\"}", 1.0),
        ("maglev_probe_duration_seconds_bucket{healthcheck=\"web\",le=\"0.005\"}", 3.0),
        ("maglev_probe_duration_seconds_count{healthcheck=\"web\"}", 3.0),
        ("maglev_probe_duration_seconds_sum{healthcheck=\"web\"}", 0.008),
        ("maglev_probe_duration_seconds_count{healthcheck=\"secure\"}", 0.0),
        ("maglev_probe_lateness_max_seconds", 0.000_25),
        ("maglev_healthcheck_rise{healthcheck=\"web\"}", 2.0),
        ("maglev_healthcheck_fall{healthcheck=\"web\"}", 3.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name).copied(), Some(value), "{name}");
    }
    assert!(!series.contains_key("maglev_backend_probes_total{backend=\"web1\",code=\"L6RSP\"}"));
    assert!(!series.contains_key("maglev_backend_transitions_total{backend=\"web1\",to=\"paused\"}"));
    let never = series.keys().filter(|name| name.contains("probe") && name.contains("spare"));
    assert_eq!(never.count(), 0, "a backend without a check is not probed");
}

#[test]
fn a_frontend_is_told_with_what_vpp_has() {
    let (bench, counters) = Bench::full();
    let series = bench.series(Some(&counters));
    let member = |metric: &str, pool: &str, backend: &str| {
        let name = format!(
            "maglev_frontend_backend_{metric}{{backend=\"{backend}\",frontend=\"shop\",pool=\"{pool}\"}}"
        );
        series[&name]
    };
    let weights = |pool, backend| {
        ["configured_weight", "effective_weight", "programmed_weight"].map(|name| member(name, pool, backend))
    };
    assert_eq!(weights("primary", "web1"), [50.0, 10.0, 1.0], "an operator's weight is not configured");
    assert_eq!(weights("primary", "web2"), [100.0, 100.0, 10.0]);
    assert_eq!(weights("fallback", "spare"), [100.0, 0.0, 0.0]);
    let expected = [
        (
            "maglev_frontend_info{address=\"203.0.113.10\",frontend=\"shop\",port=\"443\",protocol=\"tcp\"}",
            1.0,
        ),
        ("maglev_frontend_state{frontend=\"shop\",state=\"up\"}", 1.0),
        ("maglev_frontend_state{frontend=\"shop\",state=\"down\"}", 0.0),
        ("maglev_frontend_sync_state{frontend=\"shop\",state=\"pending\"}", 1.0),
        ("maglev_frontend_sync_state{frontend=\"plain\",state=\"synced\"}", 1.0),
        ("maglev_frontend_pool_active{frontend=\"shop\",pool=\"primary\"}", 1.0),
        ("maglev_frontend_pool_active{frontend=\"shop\",pool=\"fallback\"}", 0.0),
        ("maglev_frontend_pool_backends_up{frontend=\"shop\",pool=\"fallback\"}", 1.0),
        ("maglev_frontend_pool_min_up{frontend=\"shop\",pool=\"primary\"}", 2.0),
        ("maglev_frontend_active_pool_index{frontend=\"shop\"}", 0.0),
        ("maglev_frontend_panic{frontend=\"shop\"}", 0.0),
        ("maglev_frontend_backend_buckets{backend=\"web2\",frontend=\"shop\"}", 512.0),
        ("maglev_frontend_backend_flows{backend=\"web2\",frontend=\"shop\"}", 22.0),
        ("maglev_vip_packets_total{frontend=\"shop\",kind=\"existing_session\"}", 100.0),
        ("maglev_vip_packets_total{frontend=\"plain\",kind=\"existing_session\"}", 200.0),
        ("maglev_vip_packets_total{frontend=\"plain\",kind=\"no_server\"}", 1.0),
        ("maglev_vip_route_packets_total{prefix=\"203.0.113.10/32\"}", 1000.0),
        ("maglev_vip_route_bytes_total{prefix=\"203.0.113.10/32\"}", 64_000.0),
        ("maglev_vpp_counters_up", 1.0),
        ("maglev_vpp_counters_age_seconds", 0.5),
        ("maglev_vpp_server_figures_age_seconds", 30.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name).copied(), Some(value), "{name}");
    }
    let count = |prefix: &str| series.keys().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(count("maglev_frontend_backend_flows"), 2, "the server that nobody configured is no backend");
    assert_eq!(
        count("maglev_vip_route_bytes_total"),
        1,
        "two VIPs share the prefix, and the third is foreign"
    );
}

#[test]
fn without_an_agent_vpp_s_figures_are_absent() {
    let bench = Bench::new();
    let text = bench.text(None);
    let series = series(&text);
    assert_eq!(series["maglev_agent_up"], 0.0);
    assert_eq!((series["maglev_vpp_up"], series["maglev_vpp_counters_up"]), (0.0, 0.0));
    for absent in
        ["maglev_vip_packets_total", "maglev_vpp_info", "maglev_agent_info", "maglev_vpp_foreign_vips"]
    {
        assert!(!names(&text).contains(absent), "{absent}");
    }
}

#[test]
fn agent_and_vpp_are_told_with_their_returns() {
    let mut bench = Bench::new();
    bench.connect(7);
    bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!(bench.series(None)["maglev_agent_up"], 0.0);
    bench.connect(7);
    bench.connect(8);
    let series = bench.series(None);
    let expected = [
        ("maglev_agent_up", 1.0),
        ("maglev_agent_info{protocol=\"5\",version=\"1.2.3\"}", 1.0),
        ("maglev_agent_connections_total", 3.0),
        ("maglev_agent_connection_timestamp_seconds", 1000.0),
        ("maglev_agent_start_time_seconds", 1.0),
        ("maglev_vpp_up", 1.0),
        ("maglev_vpp_info{build_date=\"today\",version=\"26.10\"}", 1.0),
        ("maglev_vpp_start_time_seconds", 900.0),
        ("maglev_vpp_connections_total", 3.0),
        ("maglev_vpp_restarts_total", 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name).copied(), Some(value), "{name}");
    }
}

#[test]
fn the_time_to_vpp_begins_with_the_probe_and_not_with_the_warm_up() {
    let mut bench = Bench::new();
    bench.connect(7);
    bench.sync(SyncReport::default());
    let count =
        |bench: &Bench, what: &str| bench.series(None)[&format!("maglev_event_to_vpp_seconds_{what}")];
    let before = (count(&bench, "count"), count(&bench, "sum"));
    bench.later(Duration::from_secs(3600));
    bench.probe("web1", ProbeCode::L7Ok, 1);
    bench.probe("web1", ProbeCode::L7Ok, 1);
    bench.later(Duration::from_millis(250));
    let server = [10, 0, 0, 1].into();
    let changes = vec![Change::Reweighted { server, from: 0, to: 1, flushed: false }];
    let vip = VipReport { key: shop(), changes, table_length: None, errors: Vec::new() };
    bench.sync(SyncReport { vips: vec![vip], ..SyncReport::default() });
    assert_eq!(count(&bench, "count") - before.0, 2.0, "both frontends have it");
    assert_eq!(count(&bench, "sum") - before.1, 0.5);
    assert_eq!(bench.series(None)["maglev_sync_steps_total{kind=\"reweighted\"}"], 1.0);
    assert_eq!(bench.series(None)["maglev_syncs_total{kind=\"vip\",result=\"ok\"}"], 2.0);
}

#[test]
fn what_a_reload_removes_has_no_series_any_more_and_what_stays_goes_on_counting() {
    let mut bench = Bench::new();
    bench.probe("web1", ProbeCode::L7Ok, 3);
    bench.probe("web2", ProbeCode::L7Ok, 3);
    let of = |bench: &Bench, name: &str| {
        let label = format!("\"{name}\"");
        bench.series(Some(&counters())).into_keys().filter(|series| series.contains(&label)).count()
    };
    assert!(of(&bench, "web2") > 10 && of(&bench, "shop") > 10 && of(&bench, "secure") > 3);
    // web1's new check has another name; the server is the same.
    let backends = "{ web1: { address: 10.0.0.1, healthcheck: secure } }";
    let frontends = "{ plain: { address: 203.0.113.10, protocol: tcp, port: 80, \
                     pools: [ { name: only, backends: { web1: {} } } ] } }";
    bench.reload(backends, frontends);
    bench.later(Duration::from_millis(5));
    bench.probe("web1", ProbeCode::L6Rsp, 5);
    assert_eq!([of(&bench, "web2"), of(&bench, "shop"), of(&bench, "spare")], [0; 3]);
    let series = bench.series(None);
    let expected = [
        ("maglev_backend_probes_total{backend=\"web1\",code=\"L7OK\"}", 1.0),
        ("maglev_backend_probes_total{backend=\"web1\",code=\"L6RSP\"}", 1.0),
        ("maglev_probe_duration_seconds_count{healthcheck=\"web\"}", 2.0),
        ("maglev_probe_duration_seconds_count{healthcheck=\"secure\"}", 1.0),
        ("maglev_config_reloads_total{result=\"taken\"}", 1.0),
        ("maglev_config_last_reload_success_timestamp_seconds", 1000.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name).copied(), Some(value), "{name}");
    }
    // Another server under the same name starts from zero.
    bench.reload("{ web1: { address: 10.0.0.7, healthcheck: secure } }", frontends);
    assert_eq!(bench.series(None)["maglev_backend_probes_total{backend=\"web1\",code=\"L6RSP\"}"], 0.0);
}

#[test]
fn what_operators_set_is_told_one_by_one() {
    let (mut bench, _) = Bench::full();
    let pause = Command::Backend { backend: "web2".into(), wish: BackendWish::Pause };
    bench.core.command(pause.clone(), bench.now).unwrap();
    let nobody = Command::Backend { backend: "nobody".into(), wish: BackendWish::Pause };
    bench.core.command(nobody, bench.now).unwrap_err();
    let series = bench.series(None);
    let expected = [
        ("maglev_overrides{kind=\"paused\"}", 1.0),
        ("maglev_overrides{kind=\"weight\"}", 1.0),
        ("maglev_overrides{kind=\"disabled\"}", 0.0),
        ("maglev_overrides_unmatched", 0.0),
        ("maglev_overrides_persisted", 1.0),
        ("maglev_unserved_listeners", 2.0),
        (
            "maglev_override_set_timestamp_seconds{backend=\"web2\",frontend=\"\",kind=\"paused\",pool=\"\"}",
            1000.0,
        ),
        (
            "maglev_override_set_timestamp_seconds{backend=\"web1\",frontend=\"shop\",kind=\"weight\",pool=\"primary\"}",
            1000.0,
        ),
        (
            "maglev_override_end_timestamp_seconds{backend=\"web1\",frontend=\"shop\",kind=\"weight\",pool=\"primary\"}",
            4600.0,
        ),
        ("maglev_commands_total{command=\"pause\",result=\"done\"}", 1.0),
        ("maglev_commands_total{command=\"pause\",result=\"refused\"}", 1.0),
        ("maglev_commands_total{command=\"set_weight\",result=\"done\"}", 1.0),
        ("maglev_backend_state{backend=\"web2\",state=\"paused\"}", 1.0),
        ("maglev_warmup_phase{phase=\"over\"}", 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name).copied(), Some(value), "{name}");
    }
    let ends = series.keys().filter(|name| name.starts_with("maglev_override_end")).count();
    assert_eq!(ends, 1, "the pause has no end");
}

#[test]
fn differences_of_tables_are_counted_by_reason() {
    let (bench, _) = Bench::full();
    let series = bench.series(None);
    for reason in Reason::ALL {
        let name = format!("maglev_fleet_table_differences{{reason=\"{}\"}}", reason.word());
        let expected = match reason {
            Reason::Intent => 2.0,
            Reason::TableLength => 1.0,
            _ => 0.0,
        };
        assert_eq!(series.get(&name).copied(), Some(expected), "{name}");
    }
    assert_eq!(series["maglev_fleet_rivals"], 1.0);
    let away = Link::Away { since: None, reason: "no answer".into() };
    let mut out = Exposition::default();
    fleet::write(Some(&Status { link: away, ..fleet() }), &mut out);
    let text = out.finish().text;
    assert!(!text.contains("table_differences") && !text.contains("rivals"), "nothing is known: {text}");
}

/// A member of a fleet, beside one that is away, whose name another machine has.
fn fleet() -> Status {
    let difference = |last: u8, reason| Difference {
        vip: VipKey::port([203, 0, 113, last].into(), 6, 80),
        member: Name::new("lb2").unwrap(),
        lasts: Duration::from_secs(60),
        reason,
    };
    let member = |name: &str, state| MemberStatus {
        info: MemberInfo { name: Name::new(name).unwrap(), version: "0.2.0".to_owned(), first_seen_ms: 0 },
        state,
        rival: (name == "lb2").then_some(Rival { instance: 5, since_ms: 0 }),
    };
    let state = r#"{"running":null,"refused":null,"not_programmed":null,"vpp":true,"clock_ms":0}"#;
    let rollout = r#"{"revision":1,"back_to":null,"plan":{},"members":[],"stage":{"name":"done"},"may":[],
        "since_ms":0,"begun_ms":0,"who":null}"#;
    Status {
        fleet: Name::new("edge").unwrap(),
        member: Name::new("lb1").unwrap(),
        link: Link::Connected { since: SystemTime::UNIX_EPOCH },
        rollout: Some(serde_json::from_str(rollout).unwrap()),
        members: vec![member("lb1", Some(serde_json::from_str(state).unwrap())), member("lb2", None)],
        refused: Vec::new(),
        left_out: 0,
        unsaved: None,
        differences: vec![
            difference(1, Reason::Intent),
            difference(2, Reason::TableLength),
            difference(3, Reason::Intent),
        ],
        instance: 0,
        cut_off: Some(SystemTime::UNIX_EPOCH),
        withdraws: false,
        overruled: Overruled { kept: 3, down: 1 },
    }
}

#[test]
fn all_that_is_in_the_catalogue_is_exported() {
    let (bench, counters) = Bench::full();
    let text = bench.text(Some(&counters));
    let exported = names(&text);
    let catalogue: BTreeSet<_> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(exported, catalogue);
    assert_eq!(catalogue.len(), catalogue::ALL.len(), "two metrics have one name");
}

#[test]
fn labels_stand_in_a_text_as_prometheus_wants_them() {
    let mut out = Exposition::default();
    out.family(catalogue::BUILD_INFO, |rows| rows.add(&[("version", "a\"b\\c\nd")], 1.0));
    out.family(catalogue::EVENTS, |_| {});
    let Text { text, series } = out.finish();
    assert!(text.contains("maglev_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
    assert_eq!((series, text.lines().count()), (1, 3), "a metric without series is not there");
}

#[test]
fn the_kernel_s_figures_are_found_behind_any_program_name() {
    let stat = "4711 (a) b ( c) S 1 2 3 0 -1 4194560 5 6 7 8 1200 300 0 0 20 0 9 0 100 8192000 250 0";
    let process = Process::parse(stat, Some(100), Some(4096));
    assert_eq!(process.cpu_seconds, Some(15.0));
    assert_eq!((process.threads, process.virtual_bytes), (Some(9), Some(8_192_000)));
    assert_eq!(process.resident_bytes, Some(250 * 4096));
    assert_eq!(Process::parse("", Some(100), Some(4096)), Process::default());
    let own = Process::read();
    assert!(
        own.open_fds.is_some_and(|open| open >= 3) && own.resident_bytes.is_some_and(|bytes| bytes > 1 << 20)
    );
}

fn webhooks() -> [crate::webhooks::Reading; 1] {
    let attempts = [("delivered", 5), ("retried", 3), ("refused", 2), ("given_up", 1)];
    let failing = Some(crate::webhooks::Failing { since: UNIX_EPOCH, reason: "as a test".to_owned() });
    [crate::webhooks::Reading { name: "chat".to_owned(), waiting: 4, dropped: 6, attempts, failing }]
}

#[test]
fn webhooks_are_counted() {
    let series = Bench::new().series(None);
    for (name, value) in [
        ("maglev_webhook_deliveries_total{result=\"delivered\",webhook=\"chat\"}", 5.0),
        ("maglev_webhook_deliveries_total{result=\"given_up\",webhook=\"chat\"}", 1.0),
        ("maglev_webhook_queue{webhook=\"chat\"}", 4.0),
        ("maglev_webhook_dropped_total{webhook=\"chat\"}", 6.0),
        ("maglev_webhook_failing{webhook=\"chat\"}", 1.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}: {series:?}");
    }
}

#[test]
fn several_checks_of_a_backend_have_series_of_their_own() {
    let mut bench = Bench::new();
    bench.reload("{ web1: { address: 10.0.0.1, healthcheck: [web, secure] }, web2: { address: 10.0.0.2 }, spare: { address: 10.0.0.3 } }", FRONTENDS);
    bench.later(Duration::from_millis(5));
    bench.probe("web1", ProbeCode::L7Ok, 3);
    let series = bench.series(None);
    for (name, value) in [
        ("maglev_backend_info{address=\"10.0.0.1\",backend=\"web1\",healthcheck=\"web\"}", Some(1.0)),
        ("maglev_backend_info{address=\"10.0.0.1\",backend=\"web1\",healthcheck=\"secure\"}", Some(1.0)),
        ("maglev_backend_health_level{backend=\"web1\",healthcheck=\"web\"}", Some(4.0)),
        ("maglev_backend_health_level{backend=\"web1\",healthcheck=\"secure\"}", Some(0.0)),
        ("maglev_backend_health_level{backend=\"spare\"}", Some(1.0)),
        ("maglev_backend_probes_total{backend=\"web1\",code=\"L7OK\",healthcheck=\"web\"}", Some(1.0)),
        ("maglev_backend_probes_total{backend=\"web1\",code=\"L7OK\",healthcheck=\"secure\"}", Some(0.0)),
        ("maglev_backend_server_share_ratio{backend=\"web1\"}", Some(1.0)),
        ("maglev_backend_server_share_ratio{backend=\"spare\"}", None),
        ("maglev_backend_damped{backend=\"web1\"}", Some(0.0)),
    ] {
        assert_eq!(series.get(name).copied(), value, "{name}");
    }
}
