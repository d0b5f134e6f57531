use std::net::IpAddr;
use std::time::Duration;

use maglev_engine::config::{HealthCheck, parse};
use maglev_engine::outcome::{Finding, ProbeCode, ProbeOutcome};
use maglev_probe::Checker;

use super::*;

const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SECOND: Duration = Duration::from_secs(1);

/// An ICMP check that ends after a second.
fn check() -> HealthCheck {
    let text = "maglev: { healthchecks: { ping: { type: icmp, interval: 1s, timeout: 1s } } }";
    parse("test.yaml", text).unwrap().config.healthchecks["ping"].clone()
}

async fn probe(echoes: &EchoSender) -> Finding {
    let ProbeOutcome { code, detail, .. } = Checker::new(check(), echoes.clone()).probe(TARGET).await;
    (code, detail)
}

#[tokio::test(start_paused = true)]
async fn agent_that_hangs_holds_a_probe_no_longer_than_its_deadline() {
    let (echoes, mut asks) = echo_queue();
    let start = Instant::now();
    let (code, detail) = probe(&echoes).await;
    assert_eq!((code, detail.as_str()), (ProbeCode::SockErr, "not probed: the agent did not answer in time"));
    // The timer's resolution is a millisecond.
    assert!((SECOND..=SECOND + Duration::from_millis(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(asks.recv().await);
    let agent = async {
        let ask = asks.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1001)).await;
        drop(ask.answer.send(Ok(EchoOutcome::TimedOut)));
    };
    let ((code, _), ()) = tokio::join!(probe(&echoes), agent);
    assert_eq!(code, ProbeCode::SockErr, "a word that comes too late is none");
}

#[tokio::test(start_paused = true)]
async fn dropped_questions_and_a_missing_server_are_told() {
    let (echoes, mut asks) = echo_queue();
    let ((code, detail), ()) = tokio::join!(probe(&echoes), async { drop(asks.recv().await) });
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(detail, "not probed: the agent is disconnected: the connection to it broke");
    drop(asks);
    let (code, detail) = probe(&echoes).await;
    assert_eq!(
        (code, detail.as_str()),
        (ProbeCode::SockErr, "not probed: the agent is disconnected: this process ends")
    );
}

#[tokio::test(start_paused = true)]
async fn full_queue_refuses_at_once_and_takes_more_when_there_is_room() {
    let (echoes, mut asks) = echo_queue();
    let start = Instant::now();
    let mut waiting: Vec<_> = (0..ECHOES).map(|_| Box::pin(probe(&echoes))).collect();
    for probe in &mut waiting {
        assert!(futures::poll!(probe).is_pending());
    }
    let (code, detail) = probe(&echoes).await;
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(detail, "not probed: too many echo requests are queued: at most 16384");
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(asks.recv().await);
    assert!(futures::poll!(std::pin::pin!(probe(&echoes))).is_pending());
}

#[tokio::test(start_paused = true)]
async fn answers_reach_the_probe_that_asked() {
    let (echoes, mut asks) = echo_queue();
    let agent = async {
        let ask = asks.recv().await.unwrap();
        assert_eq!((ask.request.target, ask.request.size), (TARGET, 56));
        drop(ask.answer.send(Ok(EchoOutcome::Reply { round_trip: Duration::from_micros(312) })));
    };
    let (found, ()) = tokio::join!(probe(&echoes), agent);
    assert_eq!(found, (ProbeCode::L4Ok, "echo reply after 0.31 ms".into()));
}
