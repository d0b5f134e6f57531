//! Watchers of a real controller without an agent.

mod activity;
mod flood;
mod log;

use std::collections::BTreeMap;

use futures::StreamExt;
use maglev_engine::core::Command;
use maglev_engine::overrides::PoolMember;
use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{Event, FrontendEvent, LogLevel};
use tonic::Code;

use super::changes::Brain;
use super::standard::{Served, served};
use super::*;
use crate::controller::Terms;
use crate::grpc::caller::Who;

pub(super) const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  backends:
    web1: { address: 10.0.0.1 }
    web2: { address: 10.0.0.2 }
    spare: { address: 10.0.0.3, enabled: false }
  frontends:
    shop:
      address: 203.0.113.10
      panic-threshold: 60
      pools:
        - { name: primary, backends: { web1: {}, web2: {} } }
        - { name: fallback, backends: { spare: {} } }
    any: { address: 203.0.113.11, pools: [ { name: only, backends: { web1: {} } } ] }
";

/// A caller with read access.
fn reader() -> Caller {
    let rights = Rights::ReadOnly("it is a test".to_owned());
    Caller::new(Who::Process { uid: 1000, user: None, pid: None }, rights)
}

fn watch(service: &Service, request: WatchEventsRequest) -> super::super::watch::Events {
    service.watch(&reader(), request).unwrap()
}

fn everything() -> WatchEventsRequest {
    WatchEventsRequest::default()
}

/// The initial state, up to its end marker.
async fn state(events: &mut super::super::watch::Events) -> Vec<What> {
    let mut told = Vec::new();
    loop {
        let event = events.next().await.unwrap().unwrap();
        assert!(event.initial && event.at_unix_ms > 1_700_000_000_000, "{event:?}");
        match event.what.unwrap() {
            What::InitialStateEnd(_) => return told,
            what => told.push(what),
        }
    }
}

/// The next change.
async fn change(events: &mut super::super::watch::Events) -> What {
    let event = events.next().await.unwrap().unwrap();
    assert!(!event.initial && event.at_unix_ms > 1_700_000_000_000, "{event:?}");
    event.what.unwrap()
}

/// Kind, name and state of an event.
fn words(what: &What) -> String {
    match what {
        What::Backend(event) if event.from == 0 => format!("{} {}", event.backend, event.to().word()),
        What::Backend(event) => {
            format!("{} {} {}: {}", event.backend, event.from().word(), event.to().word(), event.cause)
        }
        What::Frontend(event) => {
            let changed = match &event.changed {
                None => String::new(),
                Some(Changed::PreviousState(_)) => format!(", was {}", event.previous().word()),
                Some(Changed::PreviousActivePool(pool)) => format!(", was on {pool:?}"),
                Some(Changed::PreviousPanicPool(pool)) => format!(", panic was {pool:?}"),
                Some(Changed::MinUp(pool)) => format!(", {pool:?}"),
                Some(Changed::Removed(_)) => ", removed".to_owned(),
            };
            let FrontendEvent { frontend, active_pool, panic_pool, .. } = event;
            format!("{frontend} {} {active_pool:?} {panic_pool:?}{changed}", event.state().word())
        }
        What::Agent(event) => format!("agent {}", event.connected),
        What::Vpp(event) => format!("vpp {}: {}", event.state, event.reason),
        What::Configuration(event) => event.changes.clone(),
        other => format!("{other:?}"),
    }
}

trait Previous {
    fn previous(&self) -> FrontendState;
}

impl Previous for FrontendEvent {
    fn previous(&self) -> FrontendState {
        match self.changed {
            Some(Changed::PreviousState(state)) => FrontendState::try_from(state).unwrap(),
            _ => FrontendState::Unspecified,
        }
    }
}

async fn words_of_state(service: &Service, request: WatchEventsRequest) -> Vec<String> {
    let mut told = state(&mut watch(service, request)).await;
    // Whether the agent's absence has been noticed yet is a matter of timing.
    told.retain(|what| !matches!(what, What::Agent(_)));
    told.iter().map(words).collect()
}

#[tokio::test]
async fn state_is_told_first_sorted_by_name() {
    let brain = Brain::start(CONFIG);
    let file = brain.service.reloader.path().display().to_string();
    let expected = [
        file.as_str(),
        "vpp unknown: the agent is disconnected",
        "spare disabled",
        "web1 up",
        "web2 up",
        r#"any up "only" """#,
        r#"shop up "primary" """#,
    ];
    assert_eq!(words_of_state(&brain.service, everything()).await, expected);
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let brain = Brain::start(CONFIG);
    let service = &brain.service;
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let request = WatchEventsRequest { backends: true, backend_names: some(&["web2"]), ..everything() };
    assert_eq!(words_of_state(service, request).await, ["web2 up"]);
    let request = WatchEventsRequest { frontends: true, ..everything() };
    assert_eq!(words_of_state(service, request).await, [r#"any up "only" """#, r#"shop up "primary" """#]);
    let request = WatchEventsRequest { connections: true, ..everything() };
    assert_eq!(words_of_state(service, request).await, ["vpp unknown: the agent is disconnected"]);
    let request = WatchEventsRequest {
        backend_names: some(&["web1"]),
        frontend_names: some(&["shop", "shop"]),
        ..everything()
    };
    assert_eq!(words_of_state(service, request).await.len(), 4, "names alone narrow what is named");

    let mut events = watch(service, WatchEventsRequest { configuration: true, ..everything() });
    assert_eq!(state(&mut events).await.len(), 1);
    service
        .operator
        .command(Terms::default(), Command::Backend { backend: "web1".into(), wish: BackendWish::Pause })
        .await
        .unwrap();
    service
        .operator
        .command(Terms::default(), Command::Backend { backend: "web1".into(), wish: BackendWish::Resume })
        .await
        .unwrap();
    assert_eq!(words(&change(&mut events).await), "set backend web1 pause");
    assert_eq!(words(&change(&mut events).await), "set backend web1 resume");
}

#[tokio::test]
async fn names_that_nothing_has_are_refused_with_the_nearest() {
    let brain = Brain::start(CONFIG);
    for (request, expected) in [
        (
            WatchEventsRequest { backend_names: vec!["web3".into()], ..everything() },
            "there is no backend \"web3\"; did you mean \"web1\" or \"web2\"?",
        ),
        (
            WatchEventsRequest { frontend_names: vec!["zzz".into()], ..everything() },
            "there is no frontend \"zzz\"; `show frontends` lists them",
        ),
        (
            WatchEventsRequest { frontend_names: vec![String::new()], ..everything() },
            "the name of the frontend is missing",
        ),
        (
            WatchEventsRequest { log_level: 6, ..everything() },
            "log level 6: must be 1 (error) to 5 (trace), or 0 for none",
        ),
    ] {
        let Err(status) = brain.service.watch(&reader(), request) else { panic!("{expected}") };
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, expected));
    }
}

#[tokio::test]
async fn changes_follow_in_order() {
    let brain = Brain::start(CONFIG);
    let request = WatchEventsRequest { backends: true, frontends: true, configuration: true, ..everything() };
    let mut events = watch(&brain.service, request);
    state(&mut events).await;
    let operator = &brain.service.operator;
    operator
        .command(Terms::default(), Command::Backend { backend: "web1".into(), wish: BackendWish::Disable })
        .await
        .unwrap();
    let fewer = CONFIG.replace("    any: {", "    other: {").replace("    spare:", "    spare2:");
    let fewer =
        Arc::new(parse("maglev.yaml", &fewer.replace("{ spare: {} }", "{ spare2: {} }")).unwrap().config);
    let changes = operator
        .command(Terms::default(), Command::Reload(fewer.into()))
        .await
        .unwrap()
        .changes
        .unwrap()
        .to_string();
    for expected in [
        "set backend web1 disable",
        "web1 up disabled: disabled",
        r#"any down "" "", was on "only""#,
        r#"any down "" "", was up"#,
        &changes,
        "spare disabled removed: renamed",
        "spare2 removed unknown: added to the configuration",
        "spare2 unknown disabled: renamed",
        r#"any unspecified "" "", removed"#,
        r#"other down "" """#,
    ] {
        assert_eq!(words(&change(&mut events).await), expected);
    }
}

#[tokio::test]
async fn watchers_are_told_when_it_is_over() {
    let brain = Brain::start(CONFIG);
    let mut events = watch(&brain.service, everything());
    state(&mut events).await;
    brain.service.ending().cancel();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    let status = last.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "maglev-brain is shutting down"));
    // Later watchers are refused as well, once the hub has noticed.
    while brain.service.watch(&reader(), everything()).is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn watchers_do_not_keep_the_server_from_ending() {
    let Served { brain: _brain, channel, stop, server } = served().await;
    let mut client = MaglevClient::new(channel);
    let mut events = client.watch_events(everything()).await.unwrap().into_inner();
    loop {
        let event = events.message().await.unwrap().unwrap();
        if matches!(event.what, Some(What::InitialStateEnd(_))) {
            break;
        }
    }
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let status = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it is not said why it ends"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "maglev-brain is shutting down"));
}
