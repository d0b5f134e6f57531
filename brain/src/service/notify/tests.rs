use maglev_engine::config::parse;
use maglev_engine::core::{Core, Now};
use maglev_engine::overrides::Overrides;
use tokio::time::sleep;

use super::*;

fn manager() -> (tempfile::TempDir, UnixDatagram) {
    let directory = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    (directory, socket)
}

fn heard(manager: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| {
        let length = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    })
    .collect()
}

fn notifier(directory: &tempfile::TempDir, watchdog: Option<Duration>) -> Arc<Notifier> {
    Arc::new(Notifier::new(directory.path().join("notify").as_os_str(), watchdog).unwrap())
}

#[tokio::test(start_paused = true)]
async fn watchdog_is_told_twice_as_often_as_it_wants() {
    let (directory, manager) = manager();
    let task = tokio::spawn(keep_alive(notifier(&directory, Some(Duration::from_secs(10)))));
    tokio::task::yield_now().await;
    assert_eq!(heard(&manager), ["READY=1\n", "WATCHDOG=1\n"]);
    for _ in 0..3 {
        sleep(Duration::from_secs(4)).await;
        assert!(heard(&manager).is_empty());
        sleep(Duration::from_millis(1001)).await;
        assert_eq!(heard(&manager), ["WATCHDOG=1\n"]);
    }
    task.abort();
}

#[tokio::test]
async fn without_a_watchdog_it_is_ready_and_that_is_all() {
    let (directory, manager) = manager();
    keep_alive(notifier(&directory, None)).await;
    assert_eq!(heard(&manager), ["READY=1\n"]);
}

#[test]
fn reload_carries_the_time() {
    let (directory, manager) = manager();
    let notifier = notifier(&directory, None);
    notifier.reloading();
    notifier.ready();
    notifier.stopping();
    let [reloading, ready, stopping] = heard(&manager).try_into().unwrap();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
    assert!(time.parse::<u64>().unwrap() > 0);
    assert_eq!((ready.as_str(), stopping.as_str()), ("READY=1\n", "STOPPING=1\n"));
}

#[test]
fn manager_that_does_not_listen_holds_nobody_up() {
    let (directory, manager) = manager();
    let notifier = notifier(&directory, None);
    for _ in 0..10_000 {
        notifier.ready();
    }
    assert!(heard(&manager).len() < 10_000, "its queue has a bound");
    drop(manager);
    notifier.ready();
    for nowhere in ["/nonexistent/notify", "vsock:2:1234"] {
        let error = Notifier::new(OsStr::new(nowhere), None).unwrap_err().to_string();
        assert!(error.contains(&format!("NOTIFY_SOCKET={nowhere}: ")), "{error}");
    }
}

#[test]
fn abstract_names_are_known() {
    let name = format!("maglev-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_nonblocking(true).unwrap();
    Notifier::new(OsStr::new(&format!("@{name}")), None).unwrap().ready();
    assert_eq!(heard(&manager), ["READY=1\n"]);
}

#[test]
fn status_is_one_line() {
    let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    b1: { address: 10.0.0.1 }
    b2: { address: 10.0.0.2, enabled: false }
  frontends:
    shop: { address: 203.0.113.10, pools: [ { name: only, backends: { b1: {}, b2: {} } } ] }
";
    let config = Arc::new(parse("test.yaml", text).unwrap().config);
    let mono = tokio::time::Instant::now().into_std();
    let now = Now { wall: std::time::UNIX_EPOCH, mono };
    let core = Core::new(config, Overrides::default(), "/nonexistent".into(), now);
    assert_eq!(status(&core.snapshot(mono)), "1 of 1 frontends up, 1 of 2 backends up");
}
