//! A small site, for tests: what maglev-brain would say of it.

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::{
    AgentEvent, AgentInfo, Backend, BackendEvent, BackendOverride, BackendState, BrainStatus,
    ChangeBackendResponse, CheckConfigResponse, ClearOverrideResponse, ConfigVerdict, ConfigurationEvent,
    Event, Frontend, FrontendEvent, FrontendState, HealthCheck, HealthCheckParameter, HealthCheckUser,
    HealthCounter, InVpp, InitialStateEnd, ListOverridesResponse, LogField, LogLevel, LogLine, MissedEvents,
    Outcome, Override, Pool, PoolBackend, ProbeResult, RecreateVipResponse, ReloadConfigResponse,
    SetFrontendPoolBackendWeightResponse, SyncState, SyncVpplbStateResponse, Transition, VipCounters,
    VipSync, VppApplicationServer, VppEvent, VppInfo, VpplbConf, VpplbCounters, VpplbState, Vppvip,
    WarmupPhase,
};

/// 2026-11-21T04:12:03.250Z, the present of this site.
pub(crate) const NOW: u64 = 1_795_234_323_250;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

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
    Pool { name: name.into(), backends }
}

/// Healthy, held back for an unknown backend, refused by VPP, and down: sorted by name.
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
        sync_error: "making the VIP: VPP refused with -73, another port of this prefix has another encap"
            .into(),
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
        new_flows_table_length: 1024,
        ..Frontend::default()
    };
    vec![resolver, legacy, mail, shop()]
}

/// One backend of its first pool is down, another has half its weight by an operator's wish, and its table is shorter
/// than wanted.
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

/// Up, down, unknown, static, disabled: sorted by name.
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
        ..Backend::default()
    };
    let mut retired = probed("web4", "10.0.0.4", BackendState::Disabled, 0, None);
    retired.frontends.clear();
    vec![resolver, sorry, web1(), web2(), retired]
}

fn web1() -> Backend {
    let probe = probe("L7OK", "HTTP 200", 3.1);
    let mut web1 = probed("web1", "10.0.0.1", BackendState::Up, 4, probe);
    let age = 2 * HOUR + 14 * MINUTE;
    web1.transitions = vec![transition(BackendState::Unknown, BackendState::Up, age, "L7OK: HTTP 200")];
    web1
}

/// Down since 45 seconds, and used by two frontends.
pub(crate) fn web2() -> Backend {
    let probe = probe("L4CON", "connection refused", 0.184);
    let mut web2 = probed("web2", "10.0.0.2", BackendState::Down, 0, probe);
    web2.frontends.push("shop-v6".into());
    let age = 2 * HOUR + 14 * MINUTE;
    web2.transitions = vec![
        transition(BackendState::Up, BackendState::Down, 45 * SECOND, "L4CON: connection refused"),
        transition(BackendState::Unknown, BackendState::Up, age, "L7OK: HTTP 200"),
    ];
    web2
}

/// All well.
pub(crate) fn vpp_info() -> VppInfo {
    VppInfo {
        agent: Some(AgentInfo {
            connected: true,
            socket: "/run/maglev/dpagent.sock".into(),
            version: "0.1.0".into(),
            ..AgentInfo::default()
        }),
        state: "connected".into(),
        version: "26.10-rc0~374".into(),
        build_date: "2026-08-12T09:00:00".into(),
        build_directory: "/build/vpp".into(),
        pid: 4711,
        boot_time_unix_ms: NOW - 5 * DAY - 3 * HOUR,
        connected_unix_ms: NOW - 14 * MINUTE - 2 * SECOND,
        ..VppInfo::default()
    }
}

fn server(address: &str, backend: &str, weight: u32, buckets: u32, flows: u64) -> VppApplicationServer {
    VppApplicationServer { address: address.into(), backend: backend.into(), weight, buckets, flows }
}

/// A VIP with a drained server, one over IPv6 that nobody serves, and one that no frontend wants.
pub(crate) fn vpp_lb_state() -> VpplbState {
    let vip = |frontend: &str, prefix: &str, port, index, servers| Vppvip {
        frontend: frontend.into(),
        prefix: prefix.into(),
        protocol: "tcp".into(),
        port,
        encap: "gre4".into(),
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        index,
        application_servers: servers,
    };
    let shop = vec![
        server("10.0.0.1", "web1", 2, 683, 1204),
        server("10.0.0.2", "web2", 0, 0, 17),
        server("10.0.0.3", "web3", 1, 341, 633),
        server("10.0.9.1", "sorry", 0, 0, 0),
    ];
    let long = "2001:db8:ffff:ffff:ffff:ffff:ffff:10/128";
    let shop_v6 = Vppvip {
        encap: "gre6".into(),
        src_ip_sticky: true,
        new_flows_table_length: 65_536,
        application_servers: vec![
            server("2001:db8::1:1", "web1-v6", 100, 65_535, 9),
            server("2001:db8:ffff:ffff:ffff:ffff:ffff:2", "web2-v6-in-the-far-hall", 1, 1, 0),
        ],
        ..vip("shop-v6", long, 443, 2, Vec::new())
    };
    let foreign = vec![server("192.0.2.77", "", 1, 1024, 0)];
    VpplbState {
        conf: Some(VpplbConf {
            ip4_src_address: "192.0.2.1".into(),
            ip6_src_address: "2001:db8::1".into(),
            sticky_buckets_per_core: 65_536,
            flow_timeout_seconds: 40,
        }),
        vips: vec![
            vip("mail", "203.0.113.30/32", 25, 3, Vec::new()),
            vip("shop", "203.0.113.10/32", 443, 1, shop),
            shop_v6,
            Vppvip { protocol: "any".into(), ..vip("", "203.0.113.99/32", 0, 7, foreign) },
        ],
    }
}

/// Over HTTP with settings of its own, and over ICMP with nobody to use it: sorted by name.
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

/// Connected, the second time, and with a VIP that is not its business.
pub(crate) fn agent() -> AgentInfo {
    AgentInfo {
        protocol: 3,
        pid: 4242,
        started_unix_ms: NOW - 5 * DAY,
        connected_unix_ms: NOW - 14 * MINUTE,
        connections: 2,
        foreign: vec!["198.51.100.1/32 udp/53".into()],
        ..vpp_info().agent.unwrap_or_default()
    }
}

/// All well, and all that is known of the agent.
pub(crate) fn vpp_info_with_agent() -> VppInfo {
    VppInfo { agent: Some(agent()), ..vpp_info() }
}

/// Two VIPs that share a prefix, one that lost packets, and one that no frontend wants.
pub(crate) fn vpp_lb_counters() -> VpplbCounters {
    let vip = |frontend: &str, prefix: &str, port, counts: [u64; 4]| {
        let [existing_sessions, first_session, untracked, no_server] = counts;
        VipCounters {
            frontend: frontend.into(),
            prefix: prefix.into(),
            protocol: "tcp".into(),
            port,
            existing_sessions,
            first_session,
            untracked,
            no_server,
            route_packets: Some(1_000_000),
            route_bytes: Some(1_400_000_000),
        }
    };
    let foreign = vip("", "203.0.113.99/32", 0, [0, 0, 0, 0]);
    let long = "2001:db8:ffff:ffff:ffff:ffff:ffff:10/128";
    VpplbCounters {
        age_ms: 700,
        vips: vec![
            vip("mail", "203.0.113.30/32", 25, [0, 0, 0, 512]),
            vip("shop", "203.0.113.10/32", 443, [987_654, 12_345, 1, 0]),
            vip("shop-v6", long, 443, [4, 2, 0, 0]),
            VipCounters { protocol: "any".into(), route_packets: None, route_bytes: None, ..foreign },
        ],
    }
}

/// Something of everything.
pub(crate) fn synced() -> SyncVpplbStateResponse {
    let vip = |frontend: &str, vip: &str| VipSync {
        frontend: frontend.into(),
        vip: vip.into(),
        ..VipSync::default()
    };
    SyncVpplbStateResponse {
        vips: vec![
            VipSync {
                errors: vec!["making the VIP: VPP refused with -73".into()],
                ..vip("legacy", "203.0.113.20/32 any")
            },
            VipSync {
                changes: vec!["10.0.0.3: weight 2 -> 1".into()],
                ..vip("shop", "203.0.113.10/32 tcp/443")
            },
            VipSync { changes: vec!["removed".into()], ..vip("", "203.0.113.99/32 any") },
        ],
        drift: vec!["203.0.113.10/32 tcp/443: 10.0.0.3 has weight 2, not 1".into()],
        held_back: vec!["dns-anycast-resolver-v6".into()],
        foreign: vec!["198.51.100.1/32 udp/53".into()],
        vips_read: 5,
        application_servers_read: 9,
    }
}

/// Some of everything.
pub(crate) fn status() -> BrainStatus {
    BrainStatus {
        version: "0.1.0".into(),
        config_file: "/etc/maglev/maglev.yaml".into(),
        uptime_ms: 12 * SECOND + 300,
        warmup: WarmupPhase::Releasing.into(),
        next_phase_in_ms: 17 * SECOND + 700,
        frontends: 4,
        frontends_up: 2,
        frontends_held_back: 1,
        frontends_failed: 1,
        frontends_in_panic: 0,
        backends: 5,
        backends_up: 2,
        overrides: 3,
        overrides_unmatched: 1,
        agent: vpp_info().agent,
        vpp_state: "connected".into(),
    }
}

/// A backend, a weight, and one that the configuration has no more.
pub(crate) fn overrides() -> ListOverridesResponse {
    let gone = Override {
        backend: "web0".into(),
        operator_state: BackendOverride::Disabled.into(),
        since_unix_ms: NOW - 5 * DAY,
        ..Override::default()
    };
    let paused = Override {
        backend: "web1".into(),
        operator_state: BackendOverride::Paused.into(),
        since_unix_ms: NOW - 45 * SECOND,
        configured: true,
        configured_enabled: Some(true),
        ..Override::default()
    };
    ListOverridesResponse { overrides: vec![gone, paused, weight_of_web3()] }
}

fn weight_of_web3() -> Override {
    Override {
        backend: "web3".into(),
        frontend: "shop".into(),
        pool: "primary".into(),
        operator_weight: Some(50),
        since_unix_ms: NOW - 10 * MINUTE,
        configured: true,
        configured_weight: Some(100),
        ..Override::default()
    }
}

fn outcome(in_vpp: InVpp) -> Option<Outcome> {
    Some(Outcome { in_vpp: in_vpp.into(), ..Outcome::default() })
}

/// Paused just now.
pub(crate) fn paused() -> ChangeBackendResponse {
    let backend = Backend {
        state: BackendState::Paused.into(),
        operator_state: BackendOverride::Paused.into(),
        operator_since_unix_ms: NOW,
        ..web1()
    };
    ChangeBackendResponse { backend: Some(backend), outcome: outcome(InVpp::NotAsked) }
}

/// Another weight, which VPP has.
pub(crate) fn weight_set() -> SetFrontendPoolBackendWeightResponse {
    SetFrontendPoolBackendWeightResponse {
        backend: Some(web3()),
        outcome: outcome(InVpp::Acknowledged),
        frontend: "shop".into(),
        pool: "primary".into(),
    }
}

/// That weight taken back, while VPP is away.
pub(crate) fn cleared() -> ClearOverrideResponse {
    ClearOverrideResponse {
        cleared: Some(weight_of_web3()),
        backend: Some(web1()),
        outcome: outcome(InVpp::Away),
    }
}

/// Made anew with the table that was wanted.
pub(crate) fn recreated() -> RecreateVipResponse {
    let frontend = Frontend { kept_table_length: 0, ..shop() };
    RecreateVipResponse { frontend: Some(frontend), outcome: outcome(InVpp::Acknowledged) }
}

const WARNING: &str = "\
/etc/maglev/maglev.yaml:31:5: warning: no frontend uses backend `web4`
   |
31 |     web4: { address: 10.0.0.4, healthcheck: http-alive, enabled: false }
   |     ^^^^
   = help: it is probed, and gets no traffic: put it in a pool, or remove it";

/// With a warning.
pub(crate) fn checked() -> CheckConfigResponse {
    CheckConfigResponse {
        file: "/etc/maglev/maglev.yaml".into(),
        verdict: ConfigVerdict::Fine.into(),
        findings: vec![WARNING.into()],
        errors: 0,
        warnings: 1,
        changes: "1 backend added (web4), 1 removed (web0)".into(),
    }
}

/// The same, taken.
pub(crate) fn reloaded() -> ReloadConfigResponse {
    let CheckConfigResponse { file, findings, changes, .. } = checked();
    let unmatched = overrides().overrides.drain(..1).collect();
    ReloadConfigResponse { file, changes, warnings: findings, unmatched, not_kept: String::new() }
}

/// As somebody sees them who watches everything, and then is too slow.
pub(crate) fn events() -> Vec<Event> {
    let at = |ago: u64, initial, what| Event { at_unix_ms: NOW - ago, initial, what: Some(what) };
    let backend = |name: &str, from: BackendState, to: BackendState, cause: &str| {
        let (from, to) = (from.into(), to.into());
        What::Backend(BackendEvent { backend: name.into(), from, to, cause: cause.into() })
    };
    let frontend = |state: FrontendState, active_pool: &str, changed| {
        What::Frontend(FrontendEvent {
            frontend: "shop".into(),
            state: state.into(),
            active_pool: active_pool.into(),
            changed,
            ..FrontendEvent::default()
        })
    };
    let vpp = |state: &str, version: &str, reason: &str| {
        What::Vpp(VppEvent { state: state.into(), version: version.into(), reason: reason.into() })
    };
    let log = LogLine {
        level: LogLevel::Warn.into(),
        target: "maglev_brain::probe".into(),
        message: "no answer".into(),
        fields: vec![LogField { name: "backend".into(), value: "web1".into() }],
    };
    vec![
        at(
            HOUR,
            true,
            What::Agent(AgentEvent { connected: true, version: "0.1.0".into(), ..AgentEvent::default() }),
        ),
        at(HOUR, true, vpp("connected", "26.10-rc0~374", "")),
        at(HOUR, true, backend("web1", BackendState::Unspecified, BackendState::Up, "L7OK: HTTP 200")),
        at(HOUR, true, frontend(FrontendState::Up, "primary", None)),
        at(HOUR, false, What::InitialStateEnd(InitialStateEnd {})),
        at(9 * SECOND, false, What::Log(log)),
        at(
            9 * SECOND,
            false,
            backend("web1", BackendState::Up, BackendState::Down, "L4TOUT: no answer in 1.5s"),
        ),
        at(
            9 * SECOND,
            false,
            frontend(FrontendState::Up, "fallback", Some(Changed::PreviousActivePool("primary".into()))),
        ),
        at(
            8 * SECOND,
            false,
            frontend(FrontendState::Down, "", Some(Changed::PreviousState(FrontendState::Up.into()))),
        ),
        at(7 * SECOND, false, vpp("disconnected", "", "connection reset by peer")),
        at(
            6 * SECOND,
            false,
            What::Configuration(ConfigurationEvent { changes: "1 backend added (web4)".into() }),
        ),
        at(5 * SECOND, false, What::Missed(MissedEvents { events: 12 })),
    ]
}
