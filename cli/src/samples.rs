//! Sample answers of maglev-brain for a small site, for tests.

// The tests of the whole program include this file by its path, and would otherwise look next to themselves.
#[path = "samples/changes.rs"]
mod changes;
#[path = "samples/checked.rs"]
mod checked;
#[path = "samples/events.rs"]
mod events;
#[path = "samples/fleet.rs"]
mod fleet;
#[path = "samples/vpp.rs"]
mod vpp;

use maglev_proto::{
    Announcement, Backend, BackendState, BackendUse, BrainStatus, Frontend, FrontendState, HealthCheck,
    HealthCheckParameter, HealthCheckUser, HealthCounter, ListRoutesResponse, Pool, PoolBackend, ProbeResult,
    Problem, Reload, Route, Router, Severity, SyncState, Transition, WarmupPhase,
};

pub(crate) use changes::{checked, cleared, danger, overrides, paused, recreated, reloaded, weight_set};
pub(crate) use checked::{checked_now, checked_through};
pub(crate) use events::events;
pub(crate) use fleet::{fleet, fleet_compared, fleet_configs, fleet_tables};
pub(crate) use vpp::{agent, synced, vpp_info, vpp_info_with_agent, vpp_lb_counters, vpp_lb_state};

/// 2026-11-21T04:12:03.250Z, the current time of this site.
pub(crate) const NOW: u64 = 1_795_234_323_250;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const REFUSED: &str =
    "VPP refused to add the VIP: another port of this prefix has another encap (INVALID_ARGUMENT, -73)";

/// Problems of the same site.
pub(crate) fn problems() -> Vec<Problem> {
    let problem = |severity: Severity, kind: &str, name: &str, what: &str, remedy: &str| Problem {
        severity: severity.into(),
        kind: kind.into(),
        name: name.into(),
        what: what.into(),
        remedy: remedy.into(),
        since_unix_ms: NOW - 45 * SECOND,
    };
    let (danger, notice) = (Severity::Danger, Severity::Notice);
    let refused = format!("not programmed as desired: {REFUSED}");
    let held_back = "held back by the warm-up until these backends are known: res1";
    vec![
        problem(danger, "frontend", "legacy", &refused, ""),
        problem(
            danger,
            "frontend",
            "mail",
            "down: no backend takes new flows (mx1 down)",
            "fix a backend, see `show frontends mail`",
        ),
        problem(notice, "frontend", "dns-anycast-resolver-v6", held_back, ""),
        problem(
            notice,
            "backend",
            "web2",
            "down: L4CON: connection refused",
            "fix it; its frontends are served by their other backends",
        ),
    ]
}

/// One that is announced, and one in its hold-down.
pub(crate) fn routes() -> ListRoutesResponse {
    let route = |address: &str, frontend: &str, announcement: Announcement, reason: &str| Route {
        address: address.into(),
        frontends: vec![frontend.into()],
        announcement: announcement.into(),
        router: announcement.into(),
        reason: reason.into(),
        since_unix_ms: NOW - 3 * SECOND,
        bird_protocol: format!("maglev_{}", address.replace(['.', ':'], "_")),
        bird_gshut_protocol: format!("maglev_{}_gshut", address.replace(['.', ':'], "_")),
        ..Route::default()
    };
    let held = route("2001:db8::53", "dns", Announcement::Withdrawn, "hold-down after a withdrawal");
    ListRoutesResponse {
        routes: vec![
            Route { hold_down_ms: 7 * SECOND, ..held },
            Route {
                since_unix_ms: NOW - 3 * DAY,
                ..route("203.0.113.10", "shop", Announcement::Announced, "enough backends can serve")
            },
        ],
        router: Some(Router {
            connected: true,
            version: "BIRD 2.0.12".into(),
            socket: "/run/bird/bird.ctl".into(),
            since_unix_ms: NOW - 3 * DAY,
            ..Router::default()
        }),
        drain: None,
    }
}

fn row(backend: &str, address: &str, state: BackendState, weights: [u32; 3]) -> PoolBackend {
    let [configured_weight, effective_weight, programmed_weight] = weights;
    PoolBackend {
        backend: backend.into(),
        address: address.into(),
        state: state.into(),
        configured_weight,
        effective_weight,
        programmed_weight,
        ..PoolBackend::default()
    }
}

trait InVppNow {
    fn with(self, buckets: u32, flows: u64) -> Self;
}

impl InVppNow for PoolBackend {
    fn with(self, buckets: u32, flows: u64) -> Self {
        Self { buckets: Some(buckets), flows: Some(flows), ..self }
    }
}

fn pool(name: &str, backends: Vec<PoolBackend>) -> Pool {
    let up = backends.iter().filter(|row| row.state() == BackendState::Up).count();
    Pool { name: name.into(), backends, up: up.try_into().unwrap(), ..Pool::default() }
}

/// Healthy, held back for an unknown backend, refused by VPP, and down; sorted by name.
pub(crate) fn frontends() -> Vec<Frontend> {
    let resolver = Frontend {
        name: "dns-anycast-resolver-v6".into(),
        address: "2001:db8:ffff:ffff:ffff:ffff:ffff:53".into(),
        protocol: "udp".into(),
        port: 53,
        state: FrontendState::Unknown.into(),
        pools: vec![pool(
            "resolvers",
            vec![row("res1", "2001:db8::a:1", BackendState::Unknown, [100, 0, 0])],
        )],
        sync: SyncState::HeldBack.into(),
        not_in_vpp: "held back by the warm-up until every backend is known".into(),
        new_flows_table_length: 1024,
        ..Frontend::default()
    };
    let legacy = Frontend {
        name: "legacy".into(),
        address: "203.0.113.20".into(),
        protocol: "any".into(),
        state: FrontendState::Up.into(),
        vpp_figures_error: "VPP does not have this VIP".into(),
        pools: vec![pool("only", vec![row("old", "10.0.0.9", BackendState::Up, [100, 100, 1])])],
        active_pool: "only".into(),
        sync: SyncState::Failed.into(),
        sync_error: REFUSED.into(),
        not_in_vpp: REFUSED.into(),
        new_flows_table_length: 1024,
        ..Frontend::default()
    };
    let mail = Frontend {
        name: "mail".into(),
        address: "203.0.113.30".into(),
        protocol: "tcp".into(),
        port: 25,
        state: FrontendState::Down.into(),
        pools: vec![pool("mx", vec![row("mx1", "10.0.1.1", BackendState::Down, [100, 0, 0])])],
        sync: SyncState::Pending.into(),
        not_in_vpp: "VPP has not acknowledged it yet".into(),
        new_flows_table_length: 1024,
        ..Frontend::default()
    };
    vec![resolver, legacy, mail, shop()]
}

/// One backend of its first pool is down, another has half its weight by an override, and its table is
/// shorter than desired.
pub(crate) fn shop() -> Frontend {
    let primary = vec![
        row("web1", "10.0.0.1", BackendState::Up, [100, 100, 2]).with(683, 1204),
        row("web2", "10.0.0.2", BackendState::Down, [100, 0, 0]).with(0, 17),
        web3(),
    ];
    let fallback = vec![row("sorry", "10.0.9.1", BackendState::Up, [100, 0, 0]).with(0, 0)];
    Frontend {
        name: "shop".into(),
        description: "The web shop".into(),
        address: "203.0.113.10".into(),
        protocol: "tcp".into(),
        port: 443,
        src_ip_sticky: false,
        flush_on_down: true,
        state: FrontendState::Up.into(),
        pools: vec![pool("primary", primary), pool("fallback", fallback)],
        active_pool: "primary".into(),
        sync: SyncState::Synced.into(),
        new_flows_table_length: 4096,
        kept_table_length: 1024,
        vpp_figures_age_ms: Some(1200),
        ..Frontend::default()
    }
}

fn web3() -> PoolBackend {
    PoolBackend {
        operator_weight: Some(50),
        operator_since_unix_ms: NOW - 10 * MINUTE,
        ..row("web3", "10.0.0.3", BackendState::Up, [100, 50, 1]).with(341, 633)
    }
}

fn probed(name: &str, address: &str, state: BackendState, value: u32, probe: Option<ProbeResult>) -> Backend {
    Backend {
        name: name.into(),
        address: address.into(),
        healthcheck: "http-alive".into(),
        state: state.into(),
        enabled: state != BackendState::Disabled,
        counter: Some(HealthCounter { value, rise: 2, fall: 3 }),
        last_probe: probe,
        frontends: vec!["shop".into()],
        flows: Some(0),
        vpp_figures_age_ms: Some(1200),
        ..Backend::default()
    }
}

fn probe(code: &str, detail: &str, duration_ms: f64) -> Option<ProbeResult> {
    let passed = code.ends_with("OK");
    let (code, detail) = (code.into(), detail.into());
    Some(ProbeResult { passed, code, detail, at_unix_ms: NOW - 2 * SECOND, duration_ms })
}

fn transition(from: BackendState, to: BackendState, ago: u64, cause: &str) -> Transition {
    Transition { from: from.into(), to: to.into(), at_unix_ms: NOW - ago, cause: cause.into() }
}

/// Up, down, unknown, static, disabled; sorted by name.
pub(crate) fn backends() -> Vec<Backend> {
    let resolver = probed("res1", "2001:db8:ffff:ffff:ffff:ffff:ffff:1", BackendState::Unknown, 1, None);
    let sorry = Backend {
        name: "sorry".into(),
        address: "10.0.9.1".into(),
        state: BackendState::Up.into(),
        enabled: true,
        counter: Some(HealthCounter { value: 1, rise: 1, fall: 1 }),
        transitions: vec![transition(BackendState::Unknown, BackendState::Up, 5 * DAY + 3 * HOUR, "static")],
        frontends: vec!["shop".into()],
        flows: Some(0),
        vpp_figures_age_ms: Some(1200),
        ..Backend::default()
    };
    let mut retired = probed("web4", "10.0.0.4", BackendState::Disabled, 0, None);
    retired.frontends.clear();
    vec![resolver, sorry, web1(), web2(), retired]
}

fn web1() -> Backend {
    let probe = probe("L7OK", "HTTP 200", 3.1);
    let mut web1 = probed("web1", "10.0.0.1", BackendState::Up, 4, probe);
    web1.flows = Some(1204);
    let age = 2 * HOUR + 14 * MINUTE;
    web1.transitions = vec![transition(BackendState::Unknown, BackendState::Up, age, "L7OK: HTTP 200")];
    web1
}

/// Down for 45 seconds, and used by two frontends.
pub(crate) fn web2() -> Backend {
    let probe = probe("L4CON", "connection refused", 0.184);
    let mut web2 = probed("web2", "10.0.0.2", BackendState::Down, 0, probe);
    web2.frontends.push("shop-v6".into());
    web2.flows = Some(17);
    (web2.sent_packets, web2.sent_bytes, web2.idle_ms) = (Some(48_112), Some(31_004_840), Some(3_100));
    let down = row("web2", "10.0.0.2", BackendState::Down, [100, 0, 0]);
    let used = |frontend: &str, flows| BackendUse {
        frontend: frontend.into(),
        pool: "primary".into(),
        row: Some(PoolBackend { vpp_weight: Some(0), ..down.clone().with(0, flows) }),
        sync: SyncState::Synced.into(),
    };
    web2.uses = vec![used("shop", 17), used("shop-v6", 0)];
    let age = 2 * HOUR + 14 * MINUTE;
    web2.transitions = vec![
        transition(BackendState::Up, BackendState::Down, 45 * SECOND, "L4CON: connection refused"),
        transition(BackendState::Unknown, BackendState::Up, age, "L7OK: HTTP 200"),
    ];
    web2
}

/// One over HTTP with settings of its own, and one over ICMP that is unused; sorted by name.
pub(crate) fn health_checks() -> Vec<HealthCheck> {
    let users = backends().into_iter().filter(|backend| !backend.healthcheck.is_empty());
    let setting = |key: &str, value: &str| HealthCheckParameter { key: key.into(), value: value.into() };
    let alive = HealthCheck {
        name: "http-alive".into(),
        r#type: "http".into(),
        port: 8080,
        interval_ms: 2000,
        fast_interval_ms: 500,
        down_interval_ms: 30_000,
        timeout_ms: 1500,
        rise: 2,
        fall: 3,
        parameters: vec![setting("path", "/alive"), setting("host", ""), setting("response-code", "200-299")],
        backends: users.map(|user| HealthCheckUser { backend: user.name, state: user.state }).collect(),
    };
    let ping = HealthCheck {
        name: "ping".into(),
        r#type: "icmp".into(),
        interval_ms: 1000,
        fast_interval_ms: 1000,
        down_interval_ms: 60_000,
        timeout_ms: 500,
        rise: 1,
        fall: 3,
        ..HealthCheck::default()
    };
    vec![alive, ping]
}

/// Includes every kind of problem.
pub(crate) fn status() -> BrainStatus {
    BrainStatus {
        version: "0.2.0".into(),
        config_file: "/etc/maglev/maglev.yaml".into(),
        uptime_ms: 12 * SECOND + 300,
        warmup: WarmupPhase::Releasing.into(),
        next_phase_in_ms: 17 * SECOND + 700,
        frontends: 4,
        frontends_up: 1,
        frontends_held_back: 1,
        frontends_failed: 1,
        frontends_in_panic: 0,
        backends: 5,
        backends_up: 2,
        overrides: 3,
        overrides_unmatched: 1,
        agent: vpp_info().agent,
        vpp_state: "connected".into(),
        problems: problems(),
        config_since_unix_ms: NOW - 2 * HOUR,
        last_reload: Some(Reload {
            at_unix_ms: NOW - MINUTE,
            taken: false,
            result: "/etc/maglev/maglev.yaml:9:7: error: unknown key `intervall` in health check `web`"
                .into(),
        }),
        ..BrainStatus::default()
    }
}
