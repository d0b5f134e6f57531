//! Live activity: weights, probes, VPP's answers; and the author of a change.

use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::Remark;
use maglev_proto::probe_event;
use maglev_protocol::StepError;

use super::*;
use crate::activity::{Action, Activity};

async fn next(events: &mut super::super::super::watch::Events) -> What {
    events.next().await.unwrap().unwrap().what.unwrap()
}

#[tokio::test]
async fn weights_are_told_to_those_who_ask_and_commands_with_who_gave_them() {
    let brain = Brain::start(CONFIG);
    let service = &brain.service;
    let asked = WatchEventsRequest { weights: true, configuration: true, ..WatchEventsRequest::default() };
    let mut events = watch(service, asked);
    state(&mut events).await;
    let pause = Command::Backend { backend: "web1".into(), wish: BackendWish::Pause };
    let terms =
        Terms { remark: Remark { who: Some("alice".into()), ..Remark::default() }, ..Terms::default() };
    service.operator.command(terms, pause).await.unwrap();
    let (mut weights, mut commands) = (Vec::new(), Vec::new());
    while weights.len() < 2 || commands.is_empty() {
        match next(&mut events).await {
            What::Weights(event) => weights.push(event),
            What::Configuration(event) => commands.push(event),
            other => panic!("not asked for: {other:?}"),
        }
    }
    assert_eq!((commands[0].command, commands[0].who.as_str()), (true, "alice"), "{commands:?}");
    let shop = weights.iter().find(|event| event.frontend == "shop").unwrap();
    let of: Vec<_> = shop.weights.iter().map(|row| (row.backend.as_str(), row.effective_weight)).collect();
    let shown = view::frontend(&service.snapshot(), "shop").unwrap();
    let rows = shown.pools.iter().flat_map(|pool| &pool.backends);
    let expected: Vec<_> = rows.map(|row| (row.backend.as_str(), row.effective_weight)).collect();
    assert_eq!(of, expected);
    assert!(of.contains(&("web1", 0)), "{of:?}");
}

#[tokio::test]
async fn who_does_not_ask_is_told_of_none_of_it() {
    let brain = Brain::start(CONFIG);
    let mut events = watch(&brain.service, everything());
    state(&mut events).await;
    brain
        .service
        .operator
        .command(Terms::default(), Command::Backend { backend: "web1".into(), wish: BackendWish::Pause })
        .await
        .unwrap();
    for _ in 0..3 {
        let what = change(&mut events).await;
        assert!(!matches!(what, What::Weights(_) | What::Probe(_) | What::VppWrite(_)), "{what:?}");
    }
}

fn probed(activity: &Activity, backend: &str) {
    let outcome = ProbeOutcome {
        code: ProbeCode::L7Ok,
        detail: "HTTP 200".into(),
        duration: Duration::from_millis(3),
        asked: None,
    };
    let ended = Instant::now().into_std();
    let report = Report { backend: backend.into(), check: 0, outcome, late: Duration::ZERO, ended };
    activity.arrived(&Input::Probe(report));
}

#[tokio::test]
async fn probes_are_told_from_beginning_to_end_and_at_most_a_thousand_a_second() {
    let brain = Brain::start(CONFIG);
    let activity = brain.service.watching.activity().clone();
    let asked = WatchEventsRequest { probes: true, connections: true, ..WatchEventsRequest::default() };
    let mut events = watch(&brain.service, asked);
    state(&mut events).await;
    activity.probe_started(&"web1".into(), 0);
    probed(&activity, "web1");
    let mut probes = Vec::new();
    while probes.len() < 2 {
        if let What::Probe(probe) = next(&mut events).await {
            probes.push(probe);
        }
    }
    assert_eq!(probes[0].what, Some(probe_event::What::Started(true)));
    let Some(probe_event::What::Result(result)) = &probes[1].what else { panic!("{probes:?}") };
    assert_eq!((result.passed, result.code.as_str(), result.duration_ms), (true, "L7OK", 3.0));
    // Time stands still, however long it takes to tell them.
    tokio::time::pause();
    (0..3_000).for_each(|_| probed(&activity, "web1"));
    let mut told = 2;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(200), events.next()).await {
        told += usize::from(matches!(event.unwrap().what, Some(What::Probe(_))));
    }
    assert_eq!(told, 1_000);
}

#[tokio::test]
async fn writes_have_the_server_both_weights_and_vpps_refusal() {
    let brain = Brain::start(CONFIG);
    let activity = brain.service.watching.activity().clone();
    let asked = WatchEventsRequest { vpp_writes: true, connections: true, ..WatchEventsRequest::default() };
    let mut events = watch(&brain.service, asked);
    state(&mut events).await;
    let snapshot = brain.service.snapshot();
    let server: IpAddr = "10.0.0.1".parse().unwrap();
    let report = VipReport {
        key: vip_key(&snapshot.config.frontends["shop"]),
        changes: vec![Change::Reweighted { server, from: 2, to: 0, flushed: true }],
        table_length: None,
        errors: vec![StepError {
            step: "add 10.0.0.2".into(),
            code: Some(-6),
            meaning: "no such entry".into(),
        }],
    };
    let report = SyncReport { vips: vec![report], ..SyncReport::default() };
    let result = Ok(Arc::new(report));
    activity.arrived(&Input::Agent(AgentEvent::Synced { specs: vec![], demanded: None, result }));
    let mut writes = Vec::new();
    while writes.len() < 2 {
        if let What::VppWrite(write) = next(&mut events).await {
            writes.push(write);
        }
    }
    let write = &writes[0];
    assert_eq!((write.frontend.as_str(), write.server.as_str()), ("shop", "10.0.0.1"));
    assert_eq!((write.from_weight, write.to_weight, write.flush), (Some(2), Some(0), true));
    assert_eq!((writes[1].text.as_str(), writes[1].error.as_str()), ("add 10.0.0.2", "no such entry"));
}

#[test]
fn an_action_is_small() {
    assert!(size_of::<Action>() <= 32, "thousands may wait");
}
