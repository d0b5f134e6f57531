use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use maglev_engine::config::Bird;
use maglev_engine::routes::Announcement::{self, Announced, Withdrawn};
use maglev_engine::routes::bird::{Protocols, Step, protocol};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::Notify;

use super::bird::{Control, sync};
use super::*;

const PREFIX: &str = "maglev_";

/// A router in memory.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<(Mutex<World>, Notify)>);

#[derive(Debug, Default)]
struct World {
    protocols: Protocols,
    refused: BTreeSet<String>,
    applied: Vec<String>,
    /// Restarts so far: connections to an earlier process are of no use.
    lives: u32,
    connections: u32,
    is_down: bool,
}

impl Fake {
    /// With all protocols of these addresses disabled.
    fn of(addresses: &[IpAddr]) -> Self {
        let fake = Self::default();
        let protocols = addresses.iter().map(|address| (protocol(PREFIX, *address), false));
        fake.with(|world| world.protocols = protocols.collect());
        fake
    }

    fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enabled(&self) -> usize {
        self.with(|world| world.protocols.values().filter(|on| **on).count())
    }

    /// Ends the process, which forgets what was enabled.
    fn dies(&self) {
        self.with(|world| {
            world.protocols.values_mut().for_each(|on| *on = false);
            (world.lives, world.is_down) = (world.lives + 1, true);
        });
        self.0.1.notify_waiters();
    }
}

struct FakeSession {
    fake: Fake,
    life: u32,
    prefix: String,
}

fn broken() -> RouterError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}

impl Connect for Fake {
    type Router = FakeSession;

    async fn connect(&self, router: &config::Router) -> Result<FakeSession, RouterError> {
        let config::Router::Bird(Bird { prefix, .. }) = router else { panic!("there is only BIRD") };
        self.with(|world| world.connections += 1);
        match self.with(|world| (!world.is_down).then_some(world.lives)) {
            Some(life) => Ok(FakeSession { fake: self.clone(), life, prefix: prefix.clone() }),
            None => Err(broken()),
        }
    }
}

impl FakeSession {
    fn alive<T>(&self, look: impl FnOnce(&mut World) -> T) -> Result<T, RouterError> {
        self.fake.with(|world| if world.lives == self.life { Ok(look(world)) } else { Err(broken()) })
    }
}

impl Control for FakeSession {
    fn version(&self) -> &str {
        "BIRD 2.0.12"
    }

    async fn read(&mut self, prefix: &str) -> Result<Protocols, RouterError> {
        let ours = |world: &mut World| {
            let all = world.protocols.iter().filter(|(name, _)| name.starts_with(prefix));
            all.map(|(name, on)| (name.clone(), *on)).collect()
        };
        self.alive(ours)
    }

    async fn apply(&mut self, step: &Step) -> Result<(), RouterError> {
        tokio::task::yield_now().await;
        self.alive(|world| {
            if world.refused.contains(&step.protocol) {
                return Err(ReplyError::Refused { code: 8007, text: "Access denied".to_owned() }.into());
            }
            world.applied.push(step.command());
            world.protocols.insert(step.protocol.clone(), step.enable);
            Ok(())
        })?
    }
}

impl Router for FakeSession {
    async fn sync(&mut self, wanted: &WantedRoutes) -> Result<Synced, RouterError> {
        let prefix = self.prefix.clone();
        sync(self, &prefix, wanted).await
    }

    async fn closed(&mut self) -> RouterError {
        loop {
            let notified = self.fake.0.1.notified();
            if self.alive(|_| ()).is_err() {
                return broken();
            }
            notified.await;
        }
    }
}

fn addresses(count: u16) -> Vec<IpAddr> {
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([198, 18, high, low])
    };
    (0..count).map(address).collect()
}

fn wanted(addresses: &[IpAddr], announcement: impl Into<Option<Announcement>>) -> Arc<WantedRoutes> {
    let announcement = announcement.into();
    let router = bird(PREFIX);
    let routes = addresses.iter().map(|address| (*address, announcement)).collect();
    Arc::new(WantedRoutes { router, routes, others: true })
}

fn bird(prefix: &str) -> config::Router {
    config::Router::Bird(Bird { socket: "/nonexistent/bird.ctl".into(), prefix: prefix.to_owned() })
}

struct Bench {
    fake: Fake,
    wanted: watch::Sender<Arc<WantedRoutes>>,
    events: mpsc::Receiver<RouterEvent>,
}

impl Bench {
    fn start(fake: &Fake, first: Arc<WantedRoutes>) -> Self {
        let (wanted, receiver) = watch::channel(first);
        let (sender, events) = mpsc::channel(4);
        tokio::spawn(run(fake.clone(), receiver, sender));
        Self { fake: fake.clone(), wanted, events }
    }

    /// The next event that a router was read.
    async fn read(&mut self) -> (BTreeMap<IpAddr, Announcement>, Vec<String>, Option<String>) {
        loop {
            match self.events.recv().await.unwrap() {
                RouterEvent::Read { routes, missing, refused, .. } => return (routes, missing, refused),
                RouterEvent::Lost { .. } => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_undecided_is_told_and_left_alone() {
    let all = addresses(2);
    let fake = Fake::of(&all);
    fake.with(|world| world.protocols.insert(protocol(PREFIX, all[1]), true));
    let mut bench = Bench::start(&fake, wanted(&all, None));
    let (routes, missing, refused) = bench.read().await;
    assert_eq!(routes, [(all[0], Withdrawn), (all[1], Announced)].into());
    assert_eq!((missing, refused), (Vec::new(), None));
    bench.wanted.send_replace(wanted(&all, Announced));
    assert_eq!(bench.read().await.0, [(all[0], Announced), (all[1], Announced)].into());
    assert_eq!(fake.with(|world| world.applied.clone()), ["enable \"maglev_198_18_0_0\""]);
}

#[tokio::test(start_paused = true)]
async fn a_router_that_was_restarted_or_reconfigured_gets_the_right_set() {
    let all = addresses(3);
    let fake = Fake::of(&all);
    let mut bench = Bench::start(&fake, wanted(&all, Announced));
    bench.read().await;
    assert_eq!(fake.enabled(), 3);
    // As `birdc configure` does, which nobody tells.
    fake.with(|world| world.protocols.values_mut().for_each(|on| *on = false));
    let Some(RouterEvent::Read { restored, .. }) = bench.events.recv().await else { panic!("it is read") };
    assert_eq!((fake.enabled(), restored), (3, all.clone()));
    fake.dies();
    assert!(matches!(bench.events.recv().await, Some(RouterEvent::Lost { .. })));
    assert_eq!(fake.enabled(), 0);
    fake.with(|world| world.is_down = false);
    bench.read().await;
    assert_eq!(fake.enabled(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_does_not_hold_up_other_routes() {
    let all = addresses(3);
    let fake = Fake::of(&all);
    fake.with(|world| world.refused.insert(protocol(PREFIX, all[0])));
    let mut bench = Bench::start(&fake, wanted(&all, Announced));
    let (routes, _, refused) = bench.read().await;
    assert_eq!(routes[&all[0]], Withdrawn);
    assert_eq!((routes[&all[1]], routes[&all[2]]), (Announced, Announced));
    assert_eq!(refused.as_deref(), Some("BIRD refused: Access denied (code 8007)"));
    fake.with(|world| world.refused.clear());
    let (routes, _, refused) = bench.read().await;
    assert_eq!((routes[&all[0]], refused), (Announced, None));
}

#[tokio::test(start_paused = true)]
async fn protocols_that_are_missing_are_named_and_those_of_others_disabled() {
    let all = addresses(2);
    let fake = Fake::of(&all[..1]);
    fake.with(|world| world.protocols.insert("maglev_192_0_2_9".to_owned(), true));
    let mut bench = Bench::start(&fake, wanted(&all, Announced));
    assert_eq!(bench.read().await.1, ["maglev_198_18_0_1"]);
    assert_eq!(
        fake.with(|world| world.applied.clone()),
        ["enable \"maglev_198_18_0_0\"", "disable \"maglev_192_0_2_9\""]
    );
}

#[tokio::test(start_paused = true)]
async fn protocols_of_another_prefix_take_over_before_those_of_the_former_one_end() {
    let all = addresses(2);
    let fake = Fake::of(&all);
    let mut bench = Bench::start(&fake, wanted(&all, Announced));
    bench.read().await;
    let renamed = WantedRoutes { router: bird("vip_"), ..(*wanted(&all, Announced)).clone() };
    bench.wanted.send_replace(Arc::new(renamed));
    assert_eq!(bench.read().await.1, ["vip_198_18_0_0", "vip_198_18_0_1"]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fake.enabled(), 2, "BIRD has no protocols of the new prefix");
    fake.with(|world| {
        world.applied.clear();
        world.protocols.extend(all.iter().map(|address| (protocol("vip_", *address), false)));
    });
    let (_, missing, _) = bench.read().await;
    sleep(READ_EVERY).await;
    assert_eq!((missing, fake.enabled()), (Vec::new(), 2));
    let expected = ["enable \"vip_198_18_0_0\"", "enable \"vip_198_18_0_1\""];
    let after = ["disable \"maglev_198_18_0_0\"", "disable \"maglev_198_18_0_1\""];
    assert_eq!(fake.with(|world| world.applied.clone()), [expected, after].concat());
}

#[tokio::test(start_paused = true)]
async fn without_routes_no_router_is_needed() {
    let fake = Fake::of(&addresses(1));
    let bench = Bench::start(&fake, wanted(&[], None));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.fake.with(|world| world.connections), 0);
    bench.wanted.send_replace(wanted(&addresses(1), Announced));
    while fake.enabled() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_flapping_routes_wait_in_one_place_each() {
    const FLAPS: usize = 200;
    let all = addresses(1000);
    let fake = Fake::of(&all);
    let mut bench = Bench::start(&fake, wanted(&all, Withdrawn));
    bench.read().await;
    for flap in 1..=FLAPS {
        let next = if flap % 2 == 0 { Announced } else { Withdrawn };
        // The sender never waits, whatever the router does.
        bench.wanted.send_replace(wanted(&all, next));
        if flap % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while fake.enabled() < all.len() {
        let routes = bench.read().await.0;
        assert_eq!(routes.len(), all.len());
    }
    let applied = fake.with(|world| world.applied.len());
    assert!(applied <= 3 * all.len(), "{applied} steps for {} decisions", FLAPS * all.len());
}

#[tokio::test(start_paused = true)]
async fn a_router_that_hangs_or_is_another_program_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let bird = |name: &str| Bird { socket: directory.path().join(name), prefix: PREFIX.to_owned() };
    let error = BirdSocket.connect(&bird("none")).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to /") && error.contains("none: No such file"), "{error}");

    let _hangs = UnixListener::bind(bird("hangs").socket).unwrap();
    let error = BirdSocket.connect(&bird("hangs")).await.unwrap_err().to_string();
    assert_eq!(error, "no answer within 5 s");

    let other = UnixListener::bind(bird("other").socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.unwrap();
        stream.write_all(b"220 mail.example.net ESMTP\r\n").await.unwrap();
    });
    let error = BirdSocket.connect(&bird("other")).await.unwrap_err().to_string();
    assert!(error.starts_with("the answer is not BIRD's"), "{error}");
}
