//! A thousand backends, most of them malicious, probed by a real brain: each gets the right verdict, the good
//! ones are not affected, and memory and descriptors stay within limits.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use maglev_tests::hostile::{Datagrams, Deaf, Server};
use maglev_tests::stack::{Stack, free_port};
use maglev_tests::wait;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use kinds::{Backend, Check, Kind};

/// Backends of each kind that fails, and of each that passes.
const HOSTILE: usize = 12;
const HEALTHY: usize = 30;
/// How often all are looked at, which takes the brain a while with so many.
const LOOK: Duration = Duration::from_millis(500);
/// Probes of each backend that are seen.
const PROBES: usize = 4;
/// Maximum resident memory for each backend on average, in bytes, beyond what it takes when all refuse
/// connections. A hundred of the thousand stall with 16 to 100 KiB allocated, the others use next to nothing,
/// and 7 KiB were measured; one that used everything it is sent would take megabytes.
const MOST_MEMORY: u64 = 32 << 10;
/// Most descriptors that are in use besides those of a brain at rest: probes that are just under way.
const MOST_DESCRIPTORS: usize = 10;

/// A backend, and what has been seen of it.
struct Watched<'a> {
    kind: &'a Kind,
    /// Times of its probes.
    probes: BTreeSet<u64>,
    /// Whether one ended as expected.
    judged: bool,
    newest: String,
}

struct Scene {
    stack: Stack,
    kinds: Vec<Kind>,
    port: u16,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { stack: Stack::empty().unwrap(), kinds: kinds::all(), port: free_port().unwrap() };
        let mut checks = String::new();
        for check in Check::ALL {
            // `fall` forgives a good backend two probes that a machine under load is too slow for.
            let times = "interval: 2s, timeout: 1500ms, rise: 2, fall: 3";
            let port = scene.port;
            let yaml = check.yaml().replace("PORT", &port.to_string());
            writeln!(checks, "    {check:?}: {{ port: {port}, {times}, {yaml} }}").unwrap();
        }
        let mut backends = String::new();
        for (name, kind) in scene.backends() {
            let (address, check) = (scene.address(kind).ip(), kind.check);
            writeln!(backends, "    {name}: {{ address: {address}, healthcheck: {check:?} }}").unwrap();
        }
        let configuration = format!("maglev:\n  healthchecks:\n{checks}  backends:\n{backends}");
        scene.stack.configure(&configuration).unwrap();
        scene
    }

    fn backends(&self) -> BTreeMap<String, &Kind> {
        let number = |kind: &Kind| if kind.is_healthy() { HEALTHY } else { HOSTILE };
        let named = |kind| (0..number(kind)).map(move |index| (format!("{}-{index}", kind.name), kind));
        self.kinds.iter().flat_map(named).collect()
    }

    /// Each kind has an address of its own.
    fn address(&self, kind: &Kind) -> SocketAddr {
        let index = self.kinds.iter().position(|other| other.name == kind.name).unwrap();
        SocketAddr::new(Ipv4Addr::new(127, 82, 0, u8::try_from(index + 1).unwrap()).into(), self.port)
    }

    async fn start_servers(&self) -> (Vec<Server>, Vec<Datagrams>, Vec<Deaf>) {
        let (mut servers, mut datagrams, mut deaf) = (Vec::new(), Vec::new(), Vec::new());
        for kind in &self.kinds {
            let address = self.address(kind);
            match &kind.backend {
                Backend::Plays(script) => servers.push(Server::start(address, script.clone()).unwrap()),
                Backend::Datagrams(answers) => {
                    datagrams.push(Datagrams::start(address, answers.clone()).await.unwrap());
                }
                Backend::Deaf => deaf.push(Deaf::start(address).await.unwrap()),
                Backend::Nobody => {}
            }
        }
        (servers, datagrams, deaf)
    }

    /// Waits until all refuse connections, and are known to.
    async fn wait_refused(&self) {
        let look = || async {
            let backends = self.stack.backends().await?;
            let other = backends.iter().find(|(_, backend)| backend["last_probe"]["code"] != "L4CON");
            match other {
                Some((name, backend)) => anyhow::bail!("{name}: {}", backend["last_probe"]),
                None => Ok(Some(())),
            }
        };
        wait::until_every(LOOK, "all to refuse", look)
            .await
            .map_err(|error| self.stack.explain(&error))
            .unwrap();
    }

    /// Looks until every backend was seen to be probed some times, and one of its probes to end as expected.
    async fn watch(&self) {
        let watched = |(name, kind)| {
            (name, Watched { kind, probes: BTreeSet::new(), judged: false, newest: String::new() })
        };
        let watched: BTreeMap<_, _> = self.backends().into_iter().map(watched).collect();
        let watched = std::cell::RefCell::new(watched);
        let look = || async {
            let backends = self.stack.backends().await?;
            let mut open = Vec::new();
            for (name, watched) in watched.borrow_mut().iter_mut() {
                watched.look(&backends[name]["last_probe"]);
                if !watched.judged || watched.probes.len() < PROBES {
                    open.push(format!("{name} ({} probes, {})", watched.probes.len(), watched.newest));
                }
            }
            open.truncate(30);
            anyhow::ensure!(open.is_empty(), "still open: {}", open.join("; "));
            Ok(Some(()))
        };
        wait::until_every(LOOK, "every backend to be judged", look)
            .await
            .map_err(|error| self.stack.explain(&error))
            .unwrap();
    }

    /// A field of the brain's `/proc/PID/status`, in bytes.
    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap().trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    fn pid(&self) -> u32 {
        self.stack.pid("brain").unwrap()
    }
}

impl Watched<'_> {
    fn look(&mut self, probe: &Value) {
        let Some(time) = probe["at_unix_ms"].as_u64() else { return };
        self.probes.insert(time);
        self.newest = format!("{}: {}", probe["code"], probe["detail"]);
        let (code, words) = (probe["code"].as_str().unwrap(), probe["detail"].as_str().unwrap());
        self.judged |= self.kind.codes.contains(&code) && words.starts_with(self.kind.words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_backends_cost_no_more_than_their_timeout() {
    // The servers' side of a thousand connections.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let mut scene = Scene::new();
    let backends = u64::try_from(scene.backends().len()).unwrap();
    assert!((900..1100).contains(&backends), "{backends} backends");

    scene.stack.start_brain().unwrap();
    scene.wait_refused().await;
    let (memory, descriptors) = (scene.memory("VmHWM"), scene.descriptors());
    scene.stack.kill("brain").unwrap();

    let servers = scene.start_servers().await;
    scene.stack.start_brain().unwrap();
    scene.watch().await;

    let shown = scene.stack.backends().await.unwrap();
    for (name, kind) in scene.backends() {
        let transitions = shown[&name]["transitions"].as_array().unwrap();
        let state = if kind.is_healthy() { "up" } else { "down" };
        assert_eq!(shown[&name]["state"], state, "{}", shown[&name]);
        assert_eq!(transitions.len(), 1, "{name} has changed again: {}", shown[&name]);
    }

    let each = scene.memory("VmHWM").saturating_sub(memory) / backends;
    let words =
        format!("{backends} backends, most of them hostile: {} KiB of memory for each at most", each >> 10);
    writeln!(std::io::stderr(), "{words}").ok();
    assert!(each <= MOST_MEMORY, "{each} bytes for each backend");

    let under_way = scene.descriptors();
    assert!(under_way > descriptors + MOST_DESCRIPTORS, "{under_way}: nothing is under way");
    drop(servers);
    scene.wait_refused().await;
    let what = format!("all but {descriptors} descriptors to be closed again");
    let closed = || async {
        let left = scene.descriptors();
        anyhow::ensure!(left <= descriptors + MOST_DESCRIPTORS, "{left} are open");
        Ok(Some(()))
    };
    wait::until(&what, closed).await.unwrap();
}
