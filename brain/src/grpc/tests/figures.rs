//! VPP's counters, from an agent played by the test.

use maglev_engine::agent::CallError;
use maglev_protocol::{AgentError, RouteCounters, ServerFigure, ServerFigures, ServerTraffic, VipCounters};
use tonic::Code;

use super::changes::{Brain, CONFIG};
use super::*;

fn shop() -> VipKey {
    VipKey::all_ports([203, 0, 113, 10].into())
}

fn foreign() -> VipKey {
    VipKey::port([192, 0, 2, 99].into(), 17, 53)
}

/// Counters of b1 and b2 of the configuration, and of an unknown server.
fn counters() -> Counters {
    let server = |last, buckets, flows| {
        let address = [10, 0, 0, last].into();
        ServerFigure { vip: shop(), address, weight: 1, buckets, flows }
    };
    let vip = |key, first_session, route| VipCounters {
        key,
        epoch: 1,
        existing_sessions: 40,
        first_session,
        untracked: 2,
        no_server: 1,
        route,
    };
    let route = RouteCounters { epoch: 1, packets: 50, bytes: 5000 };
    let sent = |last, idle| ServerTraffic {
        address: [10, 0, 0, last].into(),
        packets: 100,
        bytes: 12_400,
        idle: Duration::from_millis(idle),
    };
    let servers = vec![server(1, 700, 9), server(2, 324, 0), server(7, 0, 4)];
    Counters {
        age: Duration::from_millis(300),
        vips: vec![vip(foreign(), 3, None), vip(shop(), 7, Some(route))],
        sent: vec![sent(1, 600), sent(2, 41_000)],
        servers: Some(ServerFigures { age: Duration::from_millis(800), servers }),
    }
}

/// A service whose agent gives this answer.
fn asking(brain: &Brain, answer: Result<Counters, CallError>) -> Service {
    let figures = Figures::from_source(move || {
        let answer = answer.clone();
        async move { answer }
    });
    Service { figures, ..brain.service.clone() }
}

async fn frontend(service: &Service) -> Frontend {
    let request = Request::new(GetFrontendRequest { name: "shop".into() });
    service.get_frontend(request).await.unwrap().into_inner()
}

type Row = (String, Option<u32>, Option<u64>);

fn rows(frontend: &Frontend) -> Vec<Row> {
    let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
    rows.map(|row| (row.backend.clone(), row.buckets, row.flows)).collect()
}

#[tokio::test(start_paused = true)]
async fn frontends_show_what_vpp_gave_to_each_backend() {
    let brain = Brain::start(CONFIG);
    let service = asking(&brain, Ok(counters()));
    let shop = frontend(&service).await;
    let expected =
        [("b1".into(), Some(700), Some(9)), ("b2".into(), Some(324), Some(0)), ("b3".into(), None, None)];
    assert_eq!(rows(&shop), expected);
    assert_eq!(
        (shop.vpp_figures_age_ms, shop.vpp_figures_error.as_str()),
        (Some(800), "VPP does not have all of its backends yet")
    );
    let all = service.list_frontends(Request::new(ListFrontendsRequest {})).await.unwrap().into_inner();
    assert_eq!(all.frontends, [shop]);
}

#[tokio::test(start_paused = true)]
async fn backends_show_the_flows_of_all_their_frontends() {
    let text = CONFIG.replace(
        "  frontends:\n",
        "  frontends:\n    other: { address: 203.0.113.77, pools: [ { name: p, backends: { b1: {} } } ] }\n",
    );
    let brain = Brain::start(&text);
    let mut figures = counters();
    let other = VipKey::all_ports([203, 0, 113, 77].into());
    let figure =
        ServerFigure { vip: other, address: [10, 0, 0, 1].into(), weight: 1, buckets: 1024, flows: 5 };
    let servers = figures.servers.as_mut().unwrap();
    servers.servers.push(figure);
    servers.servers.sort_by_key(|server| (server.vip, server.address));
    let service = asking(&brain, Ok(figures));
    let get = |name: &str| service.get_backend(Request::new(GetBackendRequest { name: name.into() }));
    let b1 = get("b1").await.unwrap().into_inner();
    assert_eq!((b1.flows, b1.vpp_figures_age_ms), (Some(14), Some(800)));
    assert_eq!((b1.sent_packets, b1.sent_bytes, b1.idle_ms), (Some(100), Some(12_400), Some(600)));
    let uses: Vec<_> = b1
        .uses
        .iter()
        .map(|used| {
            let row = used.row.as_ref().unwrap();
            (used.frontend.as_str(), row.backend.as_str(), row.vpp_weight, row.flows)
        })
        .collect();
    assert_eq!(uses, [("other", "b1", Some(1), Some(5)), ("shop", "b1", Some(1), Some(9))]);
    let all = service.list_backends(Request::new(ListBackendsRequest {})).await.unwrap().into_inner();
    let flows: Vec<_> = all.backends.iter().map(|one| (one.flows, one.uses.len())).collect();
    assert_eq!(flows, [(Some(14), 0), (Some(0), 0), (Some(0), 0)], "VPP has no flows of what it has not");

    let away = asking(&brain, Err(CallError::Away("the agent is not connected".into())));
    let b1 =
        away.get_backend(Request::new(GetBackendRequest { name: "b1".into() })).await.unwrap().into_inner();
    assert_eq!((b1.flows, b1.vpp_figures_error.as_str()), (None, "the agent is not connected"));
}

#[tokio::test(start_paused = true)]
async fn frontends_are_shown_without_figures_that_do_not_come() {
    let brain = Brain::start(CONFIG);
    let untold = Counters { servers: None, ..counters() };
    for (answer, expected) in [
        (Err(CallError::Away("the agent is not connected".into())), "the agent is not connected"),
        (
            Err(CallError::Agent(AgentError::NoStats { reason: "no segment".into() })),
            "no counters: no segment",
        ),
        (Ok(untold), "the agent has not read the servers' figures yet"),
    ] {
        let shop = frontend(&asking(&brain, answer)).await;
        assert_eq!((shop.vpp_figures_age_ms, shop.vpp_figures_error.as_str()), (None, expected));
        assert_eq!(rows(&shop)[0], ("b1".into(), None, None));
    }
    let silent = Figures::from_source(std::future::pending);
    let service = Service { figures: silent, ..brain.service.clone() };
    let asked = Instant::now();
    let shop = frontend(&service).await;
    assert_eq!(shop.vpp_figures_error, "the agent did not answer within 1 s");
    assert_eq!(asked.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn counters_are_sorted_by_frontend() {
    let brain = Brain::start(CONFIG);
    let service = asking(&brain, Ok(counters()));
    let get = |frontend: &str| {
        service.get_vpplb_counters(Request::new(GetVpplbCountersRequest { frontend: frontend.into() }))
    };
    let all = get("").await.unwrap().into_inner();
    let words = |vip: &maglev_proto::VipCounters| {
        format!("{:?} {} {} {}", vip.frontend, vip.prefix, vip.protocol, vip.port)
    };
    let vips: Vec<_> = all.vips.iter().map(words).collect();
    assert_eq!(vips, [r#""shop" 203.0.113.10/32 any 0"#, r#""" 192.0.2.99/32 udp 53"#]);
    assert_eq!(all.age_ms, 300);
    let shop = &all.vips[0];
    let counts = (shop.existing_sessions, shop.first_session, shop.untracked, shop.no_server);
    assert_eq!((counts, shop.route_packets, shop.route_bytes), ((40, 7, 2, 1), Some(50), Some(5000)));
    assert_eq!((all.vips[1].route_packets, all.vips[1].route_bytes), (None, None));
    assert_eq!(get("shop").await.unwrap().into_inner().vips.as_slice(), &all.vips[..1]);
    let status = get("shob").await.unwrap_err();
    let expected = (Code::NotFound, "there is no frontend \"shob\"; did you mean \"shop\"?");
    assert_eq!((status.code(), status.message()), expected);
    assert_eq!(get(&"x".repeat(65)).await.unwrap_err().code(), Code::InvalidArgument);

    let away = asking(&brain, Err(CallError::Away("the agent is not connected".into())));
    let request = Request::new(GetVpplbCountersRequest::default());
    let status = away.get_vpplb_counters(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the agent is not connected"));
}

#[tokio::test]
async fn agent_is_shown() {
    let brain = Brain::start(CONFIG);
    let agent =
        brain.service.get_agent_info(Request::new(GetAgentInfoRequest {})).await.unwrap().into_inner();
    assert_eq!((agent.connected, agent.socket.as_str()), (false, "/nonexistent/agent.sock"));
    assert!(!agent.reason.is_empty());
}

#[tokio::test(start_paused = true)]
async fn everything_listed_is_sorted_by_name() {
    let backends = ["b10", "B2", "a", "b2", "c-1", "c"];
    let line = |name: &&str| {
        format!("    {name}: {{ address: 10.0.0.{} }}\n", name.len() * 7 + name.as_bytes()[0] as usize)
    };
    let frontend = |(index, name): (usize, &&str)| {
        format!(
            "    f{name}: {{ address: 203.0.113.{index}, pools: [ {{ name: p, backends: {{ {name}: {{}} }} }} ] }}\n"
        )
    };
    let text = format!(
        "maglev:\n  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}\n  backends:\n{}  frontends:\n{}",
        backends.iter().map(line).collect::<String>(),
        backends.iter().enumerate().map(frontend).collect::<String>(),
    );
    let brain = Brain::start(&text);
    let service = &brain.service;
    let listed = service.list_backends(Request::new(ListBackendsRequest {})).await.unwrap().into_inner();
    let names: Vec<_> = listed.backends.into_iter().map(|backend| backend.name).collect();
    assert_eq!(names, ["B2", "a", "b10", "b2", "c", "c-1"]);
    let listed = service.list_frontends(Request::new(ListFrontendsRequest {})).await.unwrap().into_inner();
    let names: Vec<_> = listed.frontends.into_iter().map(|frontend| frontend.name).collect();
    assert_eq!(names, ["fB2", "fa", "fb10", "fb2", "fc", "fc-1"]);
}
