use std::sync::Mutex;

use super::*;

const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<EchoOutcome, EchoFailure>;

/// An agent that answers after a time.
#[derive(Debug)]
struct Fake {
    after: Duration,
    answer: Answer,
    asked: Mutex<Option<EchoRequest>>,
}

impl Echo for Fake {
    async fn echo(&self, request: EchoRequest, _: Instant) -> Answer {
        *self.asked.lock().unwrap() = Some(request);
        tokio::time::sleep(self.after).await;
        self.answer.clone()
    }
}

/// The probe's result for an answer after some time, and the request it sent.
async fn answered(
    source: Option<IpAddr>,
    after: Duration,
    answer: Answer,
) -> ((ProbeCode, CompactString, Option<Duration>), EchoRequest) {
    let fake = Fake { after, answer, asked: Mutex::default() };
    let found = echo(&fake, TARGET, source, None, Instant::now() + SECOND).await;
    (found, fake.asked.into_inner().unwrap().unwrap())
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
        assert_eq!((found, words), (code, detail.into()));
        assert_eq!(round_trip.is_some(), code == ProbeCode::L4Ok);
        assert_eq!((request.target, request.source, request.size), (TARGET, source, 56));
    }
    let ((.., round_trip), _) = answered(None, SECOND / 2, reply).await;
    assert_eq!(round_trip, Some(Duration::from_micros(312)), "the agent's time, not the way to it");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_agent_say_nothing_of_the_backend() {
    for (failure, detail) in [
        (EchoFailure::Away("no such file".into()), "not probed: the agent is disconnected: no such file"),
        (EchoFailure::Silent, "not probed: the agent did not answer in time"),
        (EchoFailure::TooMany("too many".into()), "not probed: too many"),
        (
            EchoFailure::NotAllowed("no prefix of `ping` in p.yaml covers it".into()),
            "not probed: no prefix of `ping` in p.yaml covers it: add one to that list and restart the agent",
        ),
        (EchoFailure::Refused("no CAP_NET_RAW".into()), "not probed: no CAP_NET_RAW"),
    ] {
        let (found, _) = answered(None, Duration::ZERO, Err(failure)).await;
        assert_eq!(found, (ProbeCode::SockErr, detail.into(), None));
    }
}

#[test]
fn agent_waits_a_little_less_than_the_probe() {
    let milliseconds = Duration::from_millis;
    for (left, waits) in [(0, 0), (10, 9), (1000, 900), (2000, 1800), (10_000, 9800), (3_600_000, 60_000)] {
        assert_eq!(wait(milliseconds(left)), milliseconds(waits), "{left} ms");
    }
}
