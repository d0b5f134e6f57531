use futures::FutureExt;
use maglev_protocol::{AgentError, PROTOCOL_VERSION};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use super::*;
use crate::agent::tests::{Bench, connected, spec, wanted};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(20);

fn bench() -> Bench {
    Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION)
}

fn ask(bench: &Bench) -> JoinHandle<Result<LbState, CallError>> {
    let reader = bench.reader.clone();
    tokio::spawn(async move { reader.lb_state().await })
}

/// Waits until the agent has received so many requests.
async fn came(bench: &Bench, count: usize) {
    let came = async {
        while bench.reads() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, came).await.expect("the questions did not come");
}

#[tokio::test]
async fn reads_have_a_connection_of_their_own_once_there_is_one() {
    let mut bench = bench();
    bench.synced().await;
    assert_eq!(bench.hellos(), 1, "nobody has asked anything yet");
    bench.syncs_held.send_replace(true);
    bench.vpp_restarts();
    for _ in 0..3 {
        let state = timeout(LONG, bench.reader.lb_state()).await.expect("it waits for the sync");
        assert_eq!(state.unwrap().vips, []);
        assert_eq!(bench.hellos(), 2);
    }
    bench.syncs_held.send_replace(false);
    bench.synced().await;
}

#[tokio::test]
async fn counters_do_not_wait_for_the_state() {
    let bench = bench();
    bench.reads_held.send_replace(true);
    let state = ask(&bench);
    let no_stats = Err(CallError::Agent(AgentError::NoStats { reason: "test".into() }));
    assert_eq!(timeout(LONG, bench.reader.counters()).await.expect("they wait"), no_stats);
    assert!(!state.is_finished());
    bench.reads_held.send_replace(false);
    state.await.unwrap().unwrap();
}

#[tokio::test]
async fn too_many_questions_are_refused_at_once() {
    let bench = bench();
    bench.reads_held.send_replace(true);
    let asked: Vec<_> = (0..AT_ONCE).map(|_| ask(&bench)).collect();
    came(&bench, AT_ONCE).await;
    let waiting: Vec<_> = (0..WAITING).map(|_| ask(&bench)).collect();
    let queued = async {
        while bench.reader.reads.capacity() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, queued).await.expect("more than so many are asked at once");
    assert_eq!(bench.reader.lb_state().now_or_never(), Some(Err(CallError::Busy)));
    assert_eq!(bench.reads(), AT_ONCE);
    bench.reads_held.send_replace(false);
    for question in asked.into_iter().chain(waiting) {
        assert!(timeout(LONG, question).await.expect("no answer").unwrap().is_ok());
    }
}

#[tokio::test]
async fn reads_are_refused_with_the_reason_while_the_agent_is_away() {
    let mut bench = bench();
    bench.reader.lb_state().await.unwrap();
    bench.reads_held.send_replace(true);
    let under_way = ask(&bench);
    came(&bench, 2).await;
    bench.stop_agent().await;
    let broken = timeout(LONG, under_way).await.expect("it waits for ever").unwrap();
    assert!(matches!(&broken, Err(CallError::Away(reason)) if reason.contains("agent")), "{broken:?}");
    bench.reads_held.send_replace(false);
    let refused = async {
        loop {
            let Err(CallError::Away(reason)) = bench.reader.lb_state().await else {
                panic!("nobody answers")
            };
            if reason.contains("cannot connect to the agent's socket") {
                return;
            }
        }
    };
    timeout(LONG, refused).await.expect("the reason is not told");
    bench.start_agent();
    let answered = async { while bench.reader.lb_state().await.is_err() {} };
    timeout(LONG, answered).await.expect("no connection to the new agent");
}

#[tokio::test]
async fn agent_of_another_protocol_is_not_asked() {
    let bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION + 1);
    let error = bench.reader.lb_state().await.unwrap_err();
    assert!(matches!(&error, CallError::Away(reason) if reason.contains("upgrade maglev-brain")), "{error}");
}
