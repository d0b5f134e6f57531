use std::net::IpAddr;

use futures::FutureExt;
use maglev_probe::Echo;
use maglev_protocol::{AgentRequest, AgentResponse, EchoOutcome, EchoRequest, PROTOCOL_VERSION};
use tarpc::client::{Config, NewClient};
use tarpc::transport::channel::{UnboundedChannel, unbounded};
use tarpc::{ClientMessage, Response};
use tokio::time::timeout;

use super::*;
use crate::agent::tests::{Bench, Echoing, connected, spec, wanted};
use crate::agent::{EchoSender, echo_queue};

type Answer = Result<EchoOutcome, EchoFailure>;

const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const REPLY: EchoOutcome = EchoOutcome::Reply { round_trip: Duration::from_micros(300) };
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

async fn ask(echoes: &EchoSender) -> Answer {
    let request = EchoRequest { target: TARGET, source: None, timeout: LONG, size: 56 };
    echoes.echo(request, Instant::now() + LONG).await
}

fn ask_many(echoes: &EchoSender, count: usize) -> Vec<JoinHandle<Answer>> {
    (0..count)
        .map(|_| {
            let echoes = echoes.clone();
            tokio::spawn(async move { ask(&echoes).await })
        })
        .collect()
}

async fn answers(probes: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let all = futures::future::join_all(probes);
    let all = timeout(LONG / 2, all).await.expect("answers are missing");
    all.into_iter().map(Result::unwrap).collect()
}

fn bench() -> Bench {
    Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION)
}

fn say(bench: &Bench, answer: Result<EchoOutcome, AgentError>) {
    bench.echoing.send_replace(Echoing::Answer(answer));
}

#[tokio::test]
async fn outcomes_come_back_as_the_agent_tells_them() {
    let bench = bench();
    let not_sent = EchoOutcome::NotSent { reason: "test".into() };
    for outcome in [REPLY, EchoOutcome::TimedOut, not_sent] {
        say(&bench, Ok(outcome.clone()));
        assert_eq!(ask(&bench.echoes).await, Ok(outcome));
    }
}

#[tokio::test]
async fn refusals_name_what_the_operator_can_change() {
    let bench = bench();
    let rule = "no prefix of `ping` in /etc/maglev/policy.yaml covers it".to_owned();
    let what = "an echo request to 10.0.0.1".to_owned();
    say(&bench, Err(AgentError::NotAllowed { what, rule }));
    let refused = ask(&bench.echoes).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the agent refused an echo request to 10.0.0.1: no prefix of `ping` in /etc/maglev/policy.yaml covers it: \
         add one to that list and restart the agent"
    );
    say(&bench, Err(AgentError::TooMany { what: "echo requests in a second".into(), most: 10_000 }));
    let refused = ask(&bench.echoes).await.unwrap_err();
    assert!(matches!(refused, EchoFailure::TooMany(_)), "{refused:?}");
    for part in ["at most 10000", "echo-requests-per-second"] {
        assert!(refused.to_string().contains(part), "{part} in {refused}");
    }
    say(&bench, Err(AgentError::Echo { target: TARGET, reason: "without CAP_NET_RAW".into() }));
    let refused = ask(&bench.echoes).await.unwrap_err();
    assert_eq!(refused.to_string(), "no echo request to 10.0.0.1: without CAP_NET_RAW");
}

#[tokio::test]
async fn five_thousand_at_once_are_all_answered() {
    let bench = bench();
    let probes = ask_many(&bench.echoes, 5000);
    bench.echoes_came(5000).await;
    say(&bench, Ok(REPLY));
    assert!(answers(probes).await.into_iter().all(|answer| answer == Ok(REPLY)));
}

#[tokio::test]
async fn sync_under_way_delays_no_echo_and_echoes_delay_no_sync() {
    let mut bench = bench();
    bench.syncs_held.send_replace(true);
    say(&bench, Ok(REPLY));
    bench.vpp_restarts();
    assert_eq!(ask(&bench.echoes).await, Ok(REPLY));
    bench.echoing.send_replace(Echoing::Hold);
    let probes = ask_many(&bench.echoes, 2000);
    bench.echoes_came(1 + 2000).await;
    bench.syncs_held.send_replace(false);
    bench.synced().await;
    say(&bench, Ok(REPLY));
    assert!(answers(probes).await.into_iter().all(|answer| answer == Ok(REPLY)));
}

#[tokio::test]
async fn agent_that_dies_is_told_to_all_in_flight_and_its_successor_is_asked() {
    let mut bench = bench();
    let probes = ask_many(&bench.echoes, 1000);
    bench.echoes_came(1000).await;
    bench.stop_agent().await;
    for answer in answers(probes).await {
        assert!(matches!(answer, Err(EchoFailure::Away(_))), "{answer:?}");
    }
    let refused = async {
        loop {
            let failure = ask(&bench.echoes).await.unwrap_err();
            if failure.to_string().contains("cannot connect to the agent's socket") {
                return;
            }
        }
    };
    timeout(LONG / 2, refused).await.expect("the reason is not told");
    say(&bench, Ok(REPLY));
    bench.start_agent();
    let answered = async {
        while let Err(failure) = ask(&bench.echoes).await {
            assert!(matches!(failure, EchoFailure::Away(_)), "{failure}");
        }
    };
    timeout(LONG / 2, answered).await.expect("no connection to the new agent");
}

#[tokio::test]
async fn agent_of_another_protocol_is_not_asked() {
    let bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION + 1);
    let failure = ask(&bench.echoes).await.unwrap_err();
    assert!(
        matches!(&failure, EchoFailure::Away(reason) if reason.contains("upgrade maglev-brain")),
        "{failure}"
    );
}

#[tokio::test]
async fn question_whose_time_is_up_is_not_asked() {
    let bench = bench();
    say(&bench, Ok(REPLY));
    assert_eq!(ask(&bench.echoes).await, Ok(REPLY));
    let request = EchoRequest { target: TARGET, source: None, timeout: LONG, size: 56 };
    assert_eq!(bench.echoes.echo(request, Instant::now()).await, Err(EchoFailure::Silent));
    assert_eq!(ask(&bench.echoes).await, Ok(REPLY));
    bench.echoes_came(2).await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_is_logged_once_in_a_while() {
    let mut log = FailureLog::default();
    let start = Instant::now();
    let (many, away) = (EchoFailure::TooMany("a".into()), EchoFailure::Away("b".into()));
    assert_eq!(log.due(&many, start), Some(0));
    assert_eq!(log.due(&many, start), None);
    assert_eq!(log.due(&away, start), Some(0), "another kind is");
    assert_eq!(log.due(&EchoFailure::TooMany("c".into()), start + QUIET / 2), None);
    assert_eq!(log.due(&many, start + QUIET), Some(2), "with the number of those that were not");
    assert_eq!(log.due(&many, start + QUIET), None);
}

type AgentsEnd = UnboundedChannel<ClientMessage<AgentRequest>, Response<AgentResponse>>;

/// A service with room for two requests, over a transport without sockets, as a paused clock requires.
fn service(log: &mut FailureLog) -> (Service<'_>, JoinHandle<()>, AgentsEnd) {
    let (transport, agent) = unbounded();
    let NewClient { client, dispatch } = AgentClient::new(Config::default(), transport);
    let task = tokio::spawn(dispatch.map(drop));
    (Service { client, most: 2, answered: false, log }, task, agent)
}

#[tokio::test(start_paused = true)]
async fn questions_to_an_agent_that_hangs_end_at_their_deadline_and_too_many_at_once() {
    let mut log = FailureLog::default();
    let (mut service, task, agent) = service(&mut log);
    let (echoes, mut asks) = echo_queue();
    let start = Instant::now();
    let timed = || async {
        let answer = ask(&echoes).await;
        (answer, start.elapsed().as_secs())
    };
    let (first, second, third) = (timed(), timed(), timed());
    let asking = async {
        let ended = tokio::join!(first, second, third);
        drop(agent);
        ended
    };
    let serving = async {
        let first = asks.recv().await.unwrap();
        service.run(first, &mut asks, task).await
    };
    let (reason, (first, second, third)) = tokio::join!(serving, asking);
    assert_eq!((&first, &second), (&(Err(EchoFailure::Silent), 60), &(Err(EchoFailure::Silent), 60)));
    let too_many = EchoFailure::TooMany("too many echo requests are in flight: at most 2 may be".into());
    assert_eq!(third, (Err(too_many), 0));
    assert_eq!(reason, "the agent closed the connection");
    assert!(!service.answered, "so that it is not connected to again at once");
}
