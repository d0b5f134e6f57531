//! A running test: a task for each VIP, and for each flow.
//!
//! Tasks: `probe` of each VIP, `flows::hold` of each flow. They end with the [`Tester`], and may be aborted at any
//! point: a request under way is then not counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::client::{Client, Naming};
use crate::flows::{self, FlowBook};
use crate::locked;
use crate::pace::{Cadence, Rate};
use crate::servers::Expected;
use crate::stats::Stats;
use crate::target::{Request, Shape, Target};

/// How VIPs are tested.
#[derive(Debug, Clone)]
pub struct Options {
    /// From the start of a probe to the start of the next one.
    pub interval: Duration,
    /// Probes that each VIP gets at most, in a second.
    pub vip_rate: u32,
    /// Requests in all at most, in a second; those of flows included.
    pub rate: u32,
    /// Whether probes keep their connection.
    pub keepalive: bool,
    /// Long-lived flows through each VIP.
    pub flows: u32,
    /// Whether VIPs are probed at all; without, there are only flows.
    pub probes: bool,
    /// The same for all requests.
    pub shape: Shape,
    /// Who answers.
    pub naming: Naming,
}

/// A VIP under test.
#[derive(Debug, Clone)]
pub struct Vip {
    /// What is tested.
    pub target: Target,
    /// What is counted of its probes.
    pub stats: Arc<Mutex<Stats>>,
    /// What is counted of its flows.
    pub flows: Arc<Mutex<FlowBook>>,
}

/// A test that runs until this is dropped.
#[derive(Debug)]
pub struct Tester {
    vips: Vec<Vip>,
    started: Mutex<(Instant, SystemTime)>,
    paused: watch::Sender<bool>,
    keepalive: bool,
    flows: u32,
    // Aborts them when it is dropped.
    _tasks: JoinSet<()>,
}

impl Tester {
    /// Starts to test. Must run inside a tokio runtime.
    pub fn start(targets: Vec<Target>, options: &Options) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let (paused, _) = watch::channel(false);
        let all = Arc::new(Mutex::new(Rate::new(options.rate, now)));
        let mut tasks = JoinSet::new();
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
        let vips: Vec<_> = targets
            .into_iter()
            .map(|target| Vip { target, stats: Arc::default(), flows: Arc::default() })
            .collect();
        for (vip, rank) in vips.iter().zip(0..) {
            if options.probes {
                // Spread over an interval, so that VIPs are not asked in step.
                let first = now + options.interval / count * rank;
                let pace = Pace {
                    cadence: Cadence::new(options.interval, first),
                    own: Rate::new(options.vip_rate, now),
                    all: Arc::clone(&all),
                    paused: paused.subscribe(),
                };
                let client = Client::new(&vip.target, &options.shape, &options.naming, options.keepalive);
                tasks.spawn(probe(client, pace, Arc::clone(&vip.stats)));
            }
            for flow in 1..=options.flows {
                tasks.spawn(flows::hold(
                    flow,
                    vip.target.clone(),
                    options.shape.clone(),
                    options.naming.clone(),
                    Arc::clone(&vip.flows),
                    Arc::clone(&all),
                ));
            }
        }
        let started = Mutex::new((now, SystemTime::now()));
        Self { vips, started, paused, keepalive: options.keepalive, flows: options.flows, _tasks: tasks }
    }

    /// The VIPs, in the order in which they were given.
    pub fn vips(&self) -> &[Vip] {
        &self.vips
    }

    /// When the run began.
    pub fn started(&self) -> (Instant, SystemTime) {
        *locked(&self.started)
    }

    /// Flows of each VIP.
    pub fn flows(&self) -> u32 {
        self.flows
    }

    /// Stops or resumes probes. Flows go on: a pause would break some.
    pub fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Whether probes are stopped.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Begins a new run.
    pub fn reset(&self, now: Instant, clock: SystemTime) {
        for vip in &self.vips {
            locked(&vip.stats).reset(now);
            locked(&vip.flows).reset();
        }
        *locked(&self.started) = (now, clock);
    }

    /// Takes the buckets that VPP has now. VIPs of which nothing is known are expected nothing of; nor are those whose
    /// requests are not hashed one by one.
    pub fn expect(&self, buckets: impl Fn(SocketAddr, bool) -> Option<Expected>, now: Instant) {
        for vip in &self.vips {
            let is_udp = matches!(vip.target.request, Request::Udp);
            let is_hashed = !self.keepalive && !vip.target.src_ip_sticky;
            let expected = Some(()).filter(|()| is_hashed).and_then(|()| buckets(vip.target.vip, is_udp));
            locked(&vip.stats).expect(expected, now);
        }
    }
}

/// When the next probe of a VIP may start.
struct Pace {
    cadence: Cadence,
    own: Rate,
    all: Arc<Mutex<Rate>>,
    paused: watch::Receiver<bool>,
}

impl Pace {
    async fn wait(&mut self) {
        sleep_until(self.cadence.due().into()).await;
        // The sender is gone when the tester is, which ends this too.
        if self.paused.wait_for(|paused| !paused).await.is_err() {
            std::future::pending::<()>().await;
        }
        let own = self.own.reserve(tokio::time::Instant::now().into_std());
        sleep_until(own.into()).await;
        let turn = locked(&self.all).reserve(tokio::time::Instant::now().into_std());
        sleep_until(turn.into()).await;
    }
}

/// Probes a VIP for ever.
async fn probe(mut client: Client, mut pace: Pace, stats: Arc<Mutex<Stats>>) {
    loop {
        pace.wait().await;
        let started = tokio::time::Instant::now().into_std();
        let exchange = client.ask().await;
        let now = tokio::time::Instant::now().into_std();
        locked(&stats).add(exchange, started, now);
        pace.cadence.ended(now, fastrand::f64());
    }
}
