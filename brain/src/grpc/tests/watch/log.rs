//! Log lines in the event stream.

use tracing::subscriber::set_default;
use tracing::{debug, info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::*;
use crate::controller::Terms;
use crate::logs::LogTap;
use crate::logs::tap::ALONE;

fn lines_from(level: LogLevel) -> WatchEventsRequest {
    // As little else as possible.
    WatchEventsRequest {
        backends: true,
        backend_names: vec!["spare".into()],
        log_level: level.into(),
        ..everything()
    }
}

async fn line(events: &mut super::super::super::watch::Events) -> (LogLevel, String) {
    loop {
        let What::Log(line) = change(events).await else { panic!("it is no line") };
        // Other parts of the brain may log as well.
        if line.target == module_path!() {
            return (line.level(), line.message);
        }
    }
}

#[tokio::test]
async fn each_watcher_gets_lines_of_its_level() {
    let _alone = ALONE.lock().await;
    let tap = LogTap::default();
    let _guard = set_default(registry().with(tap.layer()));
    let brain = Brain::start(CONFIG);
    let service = brain.service.clone().with_logs(tap.clone());
    let mut debugging = watch(&service, lines_from(LogLevel::Debug));
    let mut warned = watch(&service, lines_from(LogLevel::Warn));
    let mut silent = watch(&service, WatchEventsRequest { log_level: 0, ..lines_from(LogLevel::Warn) });
    for events in [&mut debugging, &mut warned, &mut silent] {
        assert_eq!(state(events).await.len(), 1);
    }
    debug!("first");
    warn!(port = 80, zone = "b", "second");
    info!("third");
    let [first, second, third] = ["first", "second", "third"].map(String::from);
    assert_eq!(line(&mut debugging).await, (LogLevel::Debug, first));
    assert_eq!(line(&mut debugging).await, (LogLevel::Warn, second.clone()));
    assert_eq!(line(&mut debugging).await, (LogLevel::Info, third));
    assert_eq!(line(&mut warned).await, (LogLevel::Warn, second));
    service
        .operator
        .command(Terms::default(), Command::Backend { backend: "spare".into(), wish: BackendWish::Enable })
        .await
        .unwrap();
    assert!(matches!(change(&mut silent).await, What::Backend(_)), "no line before it");
}

#[tokio::test]
async fn lines_come_in_the_order_of_what_they_are_about() {
    let _alone = ALONE.lock().await;
    let tap = LogTap::default();
    let _guard = set_default(registry().with(tap.layer()));
    let brain = Brain::start(CONFIG);
    let service = brain.service.clone().with_logs(tap.clone());
    let mut events = watch(&service, lines_from(LogLevel::Info));
    state(&mut events).await;
    let command = |wish| Command::Backend { backend: "spare".into(), wish };
    for wish in [BackendWish::Enable, BackendWish::Disable].into_iter().cycle().take(20) {
        info!("before");
        service.operator.command(Terms::default(), command(wish)).await.unwrap();
        info!("after");
    }
    // Each change is behind the line that says it, and both are between the lines of whoever asked for them.
    for round in 0..20 {
        let mut told = Vec::new();
        while told.last() != Some(&"after".to_owned()) {
            match change(&mut events).await {
                What::Log(line) if line.target == module_path!() || line.message == "backend changed" => {
                    told.push(line.message);
                }
                What::Backend(change) => told.push(change.backend),
                _ => {}
            }
        }
        let (first, between) = (told.remove(0), &told[..told.len() - 1]);
        assert_eq!(first, "before", "round {round}");
        let is_pair = |pair: &[String]| pair == ["backend changed", "spare"];
        assert!(!between.is_empty() && between.chunks(2).all(is_pair), "round {round}: {between:?}");
    }
}

#[tokio::test]
async fn lines_are_taken_only_while_somebody_watches() {
    let _alone = ALONE.lock().await;
    let tap = LogTap::default();
    let _guard = set_default(registry().with(tap.layer()));
    let brain = Brain::start(CONFIG);
    let service = brain.service.clone().with_logs(tap.clone());
    let mut lines = tap.lines();
    info!("unheard");
    let events = watch(&service, lines_from(LogLevel::Info));
    info!("heard");
    drop(events);
    info!("unheard again");
    let ours = std::iter::from_fn(|| lines.try_recv().ok()).filter(|line| line.target == module_path!());
    assert_eq!(ours.map(|line| line.message.clone()).collect::<Vec<_>>(), ["heard"]);
}

#[tokio::test]
async fn more_lines_than_wait_are_counted_and_the_state_is_told_anew() {
    let _alone = ALONE.lock().await;
    let tap = LogTap::default();
    let _guard = set_default(registry().with(tap.layer()));
    let brain = Brain::start(CONFIG);
    let service = brain.service.clone().with_logs(tap.clone());
    let mut events = watch(&service, lines_from(LogLevel::Info));
    state(&mut events).await;
    // More than the tap buffers for the hub, which gets no time to read.
    for number in 0..5000 {
        info!(number, "flood");
    }
    let What::Missed(missed) = change(&mut events).await else { panic!("nothing is missed") };
    assert_eq!(state(&mut events).await.len(), 1);
    let mut read = 0;
    while line(&mut events).await.1 == "flood" {
        read += 1;
        if missed.events + read == 5000 {
            return;
        }
    }
}
