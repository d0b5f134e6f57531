use std::sync::atomic::AtomicUsize;

use crate::policy::Policy;
use futures::FutureExt;
use futures::future::join_all;
use maglev_protocol::LbConf;
use tokio::time::{advance, sleep};

use super::*;

fn reads(per_second: u32) -> Reads {
    let mut policy = Policy { source: "policy.yaml".to_owned(), ..Policy::default() };
    policy.limits.reads_per_second = per_second;
    Reads::new(SharedPolicy::new(policy))
}

fn state() -> LbState {
    let conf = LbConf {
        ip4_src_address: [192, 0, 2, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    LbState { conf, vips: vec![], age: Duration::ZERO }
}

/// A VPP that counts its reads, each of which takes some time.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Counted {
    async fn read(&self) -> Result<LbState, AgentError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(100)).await;
        Ok(state())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_in_a_second_are_as_many_reads_as_the_rate() {
    let (reads, vpp) = (reads(2), Counted::default());
    let calls = (0..10_000_u32).map(|number| {
        let (reads, vpp) = (&reads, &vpp);
        async move {
            sleep(Duration::from_micros(100) * number).await;
            reads.state(|| vpp.read()).await.unwrap().age
        }
    });
    let ages = join_all(calls).await;
    // Two turns are free at the start.
    assert!(vpp.count() <= 3, "{} reads", vpp.count());
    assert!(ages.iter().all(|age| *age <= Duration::from_millis(500)), "{:?}", ages.iter().max());
    assert!(ages.iter().any(|age| *age >= Duration::from_millis(400)), "the age is told");
}

#[tokio::test(start_paused = true)]
async fn writes_are_seen_by_the_next_caller_and_do_not_make_reads_faster() {
    let (reads, vpp) = (reads(2), Counted::default());
    let start = Instant::now();
    for number in 1..=12 {
        let state = reads.state(|| vpp.read()).await.unwrap();
        assert_eq!((vpp.count(), state.age), (number, Duration::ZERO));
        reads.outdated();
    }
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_was_written_during_a_read_is_not_taken_for_read() {
    let (reads, vpp) = (reads(2), Counted::default());
    let read = reads.state(|| vpp.read());
    tokio::join!(async { read.await.unwrap() }, async { reads.outdated() });
    reads.state(|| vpp.read()).await.unwrap();
    assert_eq!(vpp.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn syncs_get_their_turn_while_others_read_as_much_as_they_can() {
    let (reads, vpp) = (reads(2), Counted::default());
    let flood = join_all((0..64).map(|_| async {
        loop {
            reads.state(|| vpp.read()).await.ok();
            reads.outdated();
            reads.turn_now().ok();
        }
    }));
    let syncs = async {
        sleep(Duration::from_secs(10)).await;
        for _ in 0..10 {
            let asked = Instant::now();
            reads.turn().await.unwrap();
            assert!(asked.elapsed() <= Duration::from_millis(1_100), "{:?}", asked.elapsed());
        }
    };
    tokio::select! {
        _ = flood => unreachable!(),
        () = syncs => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_would_wait_too_long_is_refused_by_the_name_of_its_limit() {
    let reads = reads(1);
    let turns = join_all((0..10).map(|_| reads.turn())).await;
    let refused: Vec<_> = turns.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 5, "one at once, four more within five seconds");
    assert_eq!(
        refused[0].to_string(),
        "too many reads of VPP's whole state in a second (`reads-per-second` in policy.yaml is 1): at most 1"
    );
    reads.turn().await.unwrap();
    advance(Duration::from_millis(999)).await;
    assert_eq!(reads.turn_now(), Err(refused[0].clone()));
    advance(Duration::from_millis(2)).await;
    assert_eq!(reads.turn_now(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_use_no_turn() {
    let reads = reads(1);
    reads.turn().await.unwrap();
    for _ in 0..1000 {
        assert!(reads.turn().now_or_never().is_none());
    }
    let asked = Instant::now();
    reads.turn().await.unwrap();
    assert!(asked.elapsed() <= Duration::from_millis(1_001), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_kept_for_nobody() {
    let (reads, vpp) = (reads(2), Counted::default());
    let lost = AgentError::VppLost { reason: "test".to_owned() };
    let failed = reads.state(|| async { Err(lost.clone()) }).await;
    assert_eq!(failed, Err(lost));
    reads.state(|| vpp.read()).await.unwrap();
    assert_eq!(vpp.count(), 1);
}
