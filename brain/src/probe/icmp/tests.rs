use super::*;

const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<EchoOutcome, EchoFailure>;

/// What a probe makes of an answer that comes after a time, and what it asked for.
async fn answered(
    source: Option<IpAddr>,
    after: Duration,
    answer: Answer,
) -> ((ProbeCode, String, Option<Duration>), EchoRequest) {
    let (echoes, mut asks) = echo_queue();
    let agent = async {
        let ask = asks.recv().await.unwrap();
        tokio::time::sleep(after).await;
        drop(ask.answer.send(answer));
        ask.request
    };
    tokio::join!(echo(&echoes, TARGET, source, Instant::now() + SECOND), agent)
}

fn not_sent(reason: &str) -> Answer {
    Ok(EchoOutcome::NotSent { reason: reason.to_owned() })
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_judged() {
    let ours = Some(IpAddr::from([10, 0, 0, 254]));
    let reply = Ok(EchoOutcome::Reply { round_trip: Duration::from_micros(312) });
    let unreachable = Ok(EchoOutcome::Unreachable {
        from: [10, 0, 9, 9].into(),
        kind: 3,
        code: 1,
        meaning: "host unreachable".into(),
    });
    let no_route = "no route to 10.0.0.1 (Network is unreachable (os error 101))";
    let no_route_from = "no route to 10.0.0.1 from 10.0.0.254, or that is not an address of this machine";
    let forbidden = "a packet filter of this machine forbids it (Operation not permitted (os error 1))";
    let full = "the kernel took no more packets until the timeout";
    let not_probed = |reason: &str| format!("not probed: {reason}");
    for (source, answer, code, detail) in [
        (None, reply.clone(), ProbeCode::L4Ok, "echo reply after 0.31 ms".to_owned()),
        (None, Ok(EchoOutcome::TimedOut), ProbeCode::L4Tout, "no echo reply in time".to_owned()),
        (None, unreachable, ProbeCode::L4Con, "host unreachable, says 10.0.9.9".to_owned()),
        (None, Ok(EchoOutcome::NoRoute { reason: no_route.into() }), ProbeCode::L4Con, no_route.to_owned()),
        (ours, not_sent(no_route_from), ProbeCode::SockErr, not_probed(no_route_from)),
        (None, not_sent(forbidden), ProbeCode::SockErr, not_probed(forbidden)),
        (None, not_sent(full), ProbeCode::SockErr, not_probed(full)),
    ] {
        let ((found, words, round_trip), request) = answered(source, Duration::ZERO, answer).await;
        assert_eq!((found, words), (code, detail));
        assert_eq!(round_trip.is_some(), code == ProbeCode::L4Ok);
        assert_eq!((request.target, request.source, request.size), (TARGET, source, 56));
    }
    let ((.., round_trip), _) = answered(None, SECOND / 2, reply).await;
    assert_eq!(round_trip, Some(Duration::from_micros(312)), "the agent's time, not the way to it");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_agent_say_nothing_of_the_backend() {
    for (failure, detail) in [
        (EchoFailure::Away("no such file".into()), "not probed: the agent is away: no such file"),
        (EchoFailure::Silent, "not probed: the agent did not answer in time"),
        (EchoFailure::TooMany("too many".into()), "not probed: too many"),
        (
            EchoFailure::NotAllowed("no prefix of `ping` in p.yaml covers it".into()),
            "not probed: no prefix of `ping` in p.yaml covers it: add one to that list and restart the agent",
        ),
        (EchoFailure::Refused("no CAP_NET_RAW".into()), "not probed: no CAP_NET_RAW"),
    ] {
        let (found, _) = answered(None, Duration::ZERO, Err(failure)).await;
        assert_eq!(found, (ProbeCode::SockErr, detail.to_owned(), None));
    }
}

#[tokio::test(start_paused = true)]
async fn agent_that_hangs_holds_a_probe_no_longer_than_its_deadline() {
    let (echoes, _asks) = echo_queue();
    let start = Instant::now();
    let (code, detail, _) = echo(&echoes, TARGET, None, start + SECOND).await;
    assert_eq!((code, detail.as_str()), (ProbeCode::SockErr, "not probed: the agent did not answer in time"));
    // The timer's grain is a millisecond.
    assert!((SECOND..=SECOND + Duration::from_millis(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let late = Duration::from_millis(1001);
    let ((code, ..), _) = answered(None, late, Ok(EchoOutcome::TimedOut)).await;
    assert_eq!(code, ProbeCode::SockErr, "a word that comes too late is none");
}

#[tokio::test(start_paused = true)]
async fn dropped_questions_and_a_missing_server_are_told() {
    let (echoes, mut asks) = echo_queue();
    let deadline = Instant::now() + SECOND;
    let ((code, detail, _), ()) =
        tokio::join!(echo(&echoes, TARGET, None, deadline), async { drop(asks.recv().await) });
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(detail, "not probed: the agent is away: the connection to it broke");
    drop(asks);
    let (code, detail, _) = echo(&echoes, TARGET, None, deadline).await;
    assert_eq!(
        (code, detail.as_str()),
        (ProbeCode::SockErr, "not probed: the agent is away: this process ends")
    );
}

#[tokio::test(start_paused = true)]
async fn full_queue_refuses_at_once_and_takes_more_when_there_is_room() {
    let (echoes, mut asks) = echo_queue();
    let start = Instant::now();
    let mut waiting: Vec<_> =
        (0..ECHOES).map(|_| Box::pin(echo(&echoes, TARGET, None, start + SECOND))).collect();
    for probe in &mut waiting {
        assert!(futures::poll!(probe).is_pending());
    }
    let (code, detail, _) = echo(&echoes, TARGET, None, start + SECOND).await;
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(detail, "not probed: too many echo requests wait: at most 16384 may");
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(asks.recv().await);
    let probe = echo(&echoes, TARGET, None, start + SECOND);
    assert!(futures::poll!(std::pin::pin!(probe)).is_pending());
}

#[test]
fn agent_waits_a_little_less_than_the_probe() {
    let milliseconds = Duration::from_millis;
    for (left, waits) in [(0, 0), (10, 9), (1000, 900), (2000, 1800), (10_000, 9800), (3_600_000, 60_000)] {
        assert_eq!(wait(milliseconds(left)), milliseconds(waits), "{left} ms");
    }
}
