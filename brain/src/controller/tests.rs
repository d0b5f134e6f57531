use std::time::Duration;

use maglev_engine::config::parse;
use maglev_engine::core::{BackendWish, Command, Event};
use maglev_engine::health::State;
use maglev_engine::weights::FrontendState;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(port: u16) -> Arc<Config> {
    let text = format!(
        "
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1 }} }}
  healthchecks:
    tcp: {{ type: tcp, port: {port}, interval: 20ms, timeout: 5s, rise: 2, fall: 2 }}
  backends:
    live: {{ address: 127.0.0.1, healthcheck: tcp }}
    fixed: {{ address: 127.0.0.2 }}
  frontends:
    www:
      address: 127.90.0.1
      protocol: tcp
      port: 80
      pools:
        - {{ name: primary, backends: {{ live: {{}} }} }}
        - {{ name: fallback, backends: {{ fixed: {{}} }} }}
"
    );
    Arc::new(parse("test.yaml", &text).unwrap().config)
}

fn setup(port: u16, agent_socket: PathBuf) -> Setup {
    Setup {
        config: config(port),
        overrides: Overrides::default(),
        history: None,
        state: None,
        agent_socket,
        instance: 1,
    }
}

fn backend(wish: BackendWish, name: &str) -> Command {
    Command::Backend { backend: name.to_owned(), wish }
}

/// Starts a controller without an agent; it runs until aborted.
fn running(port: u16) -> (Controller, tokio::task::JoinHandle<()>) {
    let nobody = PathBuf::from("/nonexistent/agent.sock");
    let (controller, task) = start(setup(port, nobody), &Handle::current(), std::future::pending());
    (controller, tokio::spawn(task))
}

async fn wait_for(snapshots: &mut watch::Receiver<Arc<Snapshot>>, is: impl FnMut(&Arc<Snapshot>) -> bool) {
    let found = timeout(PATIENCE, snapshots.wait_for(is)).await;
    found.expect("the snapshot did not come").expect("the controller is gone");
}

#[tokio::test]
async fn snapshots_follow_a_backend_that_dies_and_returns() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let socket = directory.path().join("nobody.sock");
    let (controller, task) = start(setup(address.port(), socket), &Handle::current(), shutdown);
    let task = tokio::spawn(task);
    let mut snapshots = controller.snapshots.clone();
    let active = |snapshot: &Arc<Snapshot>| snapshot.frontends["www"].weights.active_pool;

    wait_for(&mut snapshots, |now| {
        now.backends["live"].health.state() == State::Up && active(now) == Some(0)
    })
    .await;
    drop(listener);
    wait_for(&mut snapshots, |now| {
        now.backends["live"].health.state() == State::Down && active(now) == Some(1)
    })
    .await;
    assert_eq!(snapshots.borrow().frontends["www"].weights.state, FrontendState::Up);
    let listener = TcpListener::bind(address).await.unwrap();
    wait_for(&mut snapshots, |now| active(now) == Some(0)).await;
    wait_for(&mut snapshots, |now| now.agent.connection.is_err()).await;
    drop(listener);

    drop(stop);
    timeout(PATIENCE, task).await.expect("it does not end").unwrap();
    assert!(
        timeout(PATIENCE, snapshots.wait_for(|_| false)).await.unwrap().is_err(),
        "its snapshots end with it"
    );
}

#[tokio::test]
async fn details_of_probes_are_published_without_a_change_of_state() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (controller, task) = running(port);
    let mut snapshots = controller.snapshots.clone();
    wait_for(&mut snapshots, |now| now.backends["live"].last_probe().is_some()).await;
    let first = snapshots.borrow().backends["live"].last_probe().map(|probe| probe.at).unwrap();
    wait_for(&mut snapshots, |now| now.backends["live"].last_probe().is_some_and(|probe| probe.at > first))
        .await;
    task.abort();
}

#[tokio::test]
async fn operators_see_what_they_changed_and_paused_backends_get_no_packets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (controller, task) = running(port);
    let mut snapshots = controller.snapshots.clone();
    let mut events = controller.operator.events();
    wait_for(&mut snapshots, |now| now.backends["live"].health.state() == State::Up).await;
    for number in 1.. {
        let told = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        assert_eq!(told.number, number);
        if let Event::Backend { transition, .. } = told.event {
            assert_eq!(transition.to, State::Up);
            break;
        }
    }

    controller.operator.command(Terms::default(), backend(BackendWish::Pause, "live")).await.unwrap();
    let paused = Arc::clone(&snapshots.borrow());
    assert_eq!(paused.backends["live"].health.state(), State::Paused);
    assert_eq!(paused.frontends["www"].weights.active_pool, Some(1));
    while timeout(Duration::from_millis(200), listener.accept()).await.is_ok() {}
    let nothing = timeout(Duration::from_millis(400), listener.accept()).await;
    assert!(nothing.is_err(), "twenty intervals without a connection");
    assert_eq!(snapshots.borrow().backends["live"].health.history().count(), 2, "and nothing is forgotten");

    let refused = controller
        .operator
        .command(Terms::default(), backend(BackendWish::Pause, "nobody"))
        .await
        .unwrap_err();
    assert_eq!(refused, CommandError::NoSuchBackend("nobody".to_owned()));
    controller.operator.command(Terms::default(), backend(BackendWish::Resume, "live")).await.unwrap();
    wait_for(&mut snapshots, |now| now.backends["live"].health.state() == State::Up).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let ending =
        controller.operator.command(Terms::default(), backend(BackendWish::Pause, "live")).await.unwrap_err();
    assert_eq!(ending, CommandError::Ending);
}

#[tokio::test]
async fn weight_that_the_configuration_has_at_the_start_is_forgotten_on_the_disk_as_well() {
    use crate::state::StateDirectory;
    use maglev_engine::overrides::{PoolMember, Stamp, Stamped};
    let directory = tempfile::tempdir().unwrap();
    let mut state = StateDirectory::open(directory.path()).unwrap();
    state.load().unwrap();
    let member = PoolMember { frontend: "www".into(), pool: "primary".into(), backend: "live".into() };
    let mut overrides = Overrides::default();
    // The same weight as configured.
    overrides.weights.insert(member, Stamped { value: 100, stamp: Stamp::at(SystemTime::UNIX_EPOCH) });
    state.save(&overrides).unwrap();
    let file = state.file();
    let nobody = PathBuf::from("/nonexistent/agent.sock");
    let setup = Setup { overrides, state: Some(state), ..setup(9, nobody) };
    let (controller, task) = start(setup, &Handle::current(), std::future::pending());
    let task = tokio::spawn(task);
    assert!(controller.snapshots.borrow().overrides.is_empty());
    let mut kept = controller.operator.kept.clone();
    timeout(PATIENCE, kept.wait_for(|kept| kept.version == 1)).await.expect("it was not kept").unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("live"), "{text}");
    task.abort();
}
