use std::time::Duration;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::super::tests::{NoEcho, check, get};
use super::super::{Checker, KeptConnection};
use super::*;
use maglev_engine::config::{CheckKind, Exchange, HealthCheck, HttpCheck};

fn serves(percent: u8) -> AgentWord {
    AgentWord::Word(Word::Serves(Share::of(percent).unwrap()))
}

fn of(pieces: &[&str]) -> AgentWord {
    let mut reply = AgentReply::default();
    pieces.iter().find_map(|piece| reply.feed(piece.as_bytes())).unwrap_or_else(|| reply.end())
}

#[test]
fn a_line_ends_where_haproxy_s_does() {
    assert_eq!(of(&["40%\n"]), serves(40));
    assert_eq!(of(&["dr", "ain\r\n"]), serves(0));
    assert_eq!(of(&["ready up 75%\nfail\n"]), serves(75), "the next line is not read");
    assert_eq!(of(&["maint"]), serves(0), "closed without a line break");
    let long = format!("down # {}", "x".repeat(500));
    assert_eq!(of(&[&long]), AgentWord::Word(Word::Down));
    assert_eq!(of(&["", ""]), AgentWord::Missing("closed without a line".into()));
    assert_eq!(of(&["HTTP/1.1 400\r\n"]), AgentWord::Unclear("\"HTTP/1.1 400\"".to_owned()));
    assert_eq!(of(&["\nup\n"]), AgentWord::Unclear("\"\"".to_owned()));
    assert!(matches!(of(&[&"up ".repeat(200)]), AgentWord::Unclear(_)));
}

fn outcome(asked: Option<u8>) -> ProbeOutcome {
    let asked = asked.and_then(Share::of);
    ProbeOutcome { code: ProbeCode::L4Ok, detail: "connected".into(), duration: Duration::ZERO, asked }
}

fn completed(word: AgentWord, asked: Option<u8>) -> (ProbeCode, String, Option<u8>) {
    let done = complete(word, 9999, outcome(asked));
    (done.code, done.detail.to_string(), done.asked.map(Share::percent))
}

#[test]
fn the_lesser_share_counts_and_silence_changes_nothing() {
    use ProbeCode::{L4Ok, L7Sts};
    let row = |code, detail: &str, asked| (code, detail.to_owned(), asked);
    assert_eq!(completed(serves(100), None), row(L4Ok, "connected", Some(100)));
    assert_eq!(completed(serves(40), None), row(L4Ok, "connected, agent: 40%", Some(40)));
    assert_eq!(completed(serves(40), Some(0)), row(L4Ok, "connected, agent: 40%", Some(0)));
    assert_eq!(completed(serves(100), Some(40)), row(L4Ok, "connected", Some(40)));
    assert_eq!(completed(AgentWord::Word(Word::Down), None), row(L7Sts, "connected, agent: down", None));
    let missing = || AgentWord::Missing("connection refused".into());
    let told = "connected, no word of its agent on port 9999: connection refused";
    assert_eq!(completed(missing(), None), row(L4Ok, told, None));
    assert_eq!(completed(missing(), Some(100)), row(L4Ok, told, None), "it may have said less before");
    assert_eq!(completed(missing(), Some(0)), row(L4Ok, told, Some(0)));
    let told = "connected, agent ignored: \"?\" is not up, drain, maint, down or a percentage to 100%";
    assert_eq!(completed(AgentWord::Unclear("\"?\"".to_owned()), None), row(L4Ok, told, None));
    let failed = ProbeOutcome { code: ProbeCode::L4Con, ..outcome(None) };
    assert_eq!(complete(serves(100), 9999, failed.clone()), failed);
}

/// Answers each connection with a line, once it has got what is expected.
async fn agent(expected: &'static str, line: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(got, expected.as_bytes());
            stream.write_all(line.as_bytes()).await.unwrap();
        }
    });
    port
}

async fn probed(check: HealthCheck) -> ProbeOutcome {
    Checker::new(check, NoEcho).probe([127, 0, 0, 1].into()).await
}

fn tcp(port: u16, agent: u16, send: &str) -> HealthCheck {
    let kind = CheckKind::Tcp { port, exchange: Exchange::default(), tls: None };
    HealthCheck { agent: Some(AgentLine { port: agent, send: send.to_owned() }), ..check(kind) }
}

#[tokio::test]
async fn an_agent_is_asked_beside_the_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = probed(tcp(port, agent("web1\n", "25%\n").await, "web1\n")).await;
    assert_eq!(
        (said.code, said.detail.as_str(), said.asked),
        (ProbeCode::L4Ok, "connected, agent: 25%", Share::of(25))
    );
    let said = probed(tcp(port, agent("", "stopped\n").await, "")).await;
    assert_eq!((said.code, said.asked), (ProbeCode::L7Sts, None));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = probed(tcp(port, closed, "")).await;
    let told = format!("connected, no word of its agent on port {closed}: connection refused");
    assert_eq!((nobody.code, nobody.detail.to_string(), nobody.asked), (ProbeCode::L4Ok, told, None));
    // The other way round, nobody waits for the agent.
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let failed = HealthCheck {
        timeout: Duration::from_secs(3600),
        ..tcp(closed, hung.local_addr().unwrap().port(), "")
    };
    assert_eq!(probed(failed).await.code, ProbeCode::L4Con);
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_waited_for_no_longer_than_a_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = probed(HealthCheck { timeout: Duration::from_millis(100), ..tcp(port, port, "") }).await;
    assert_eq!(silent.code, ProbeCode::L4Ok);
    assert!(silent.detail.ends_with("no complete line in time"), "{}", silent.detail);
}

#[tokio::test]
async fn probes_over_a_kept_connection_ask_too() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut check = tcp(port, agent("", "drain\n").await, "");
    let http = HttpCheck { keepalive: true, ..get(None) };
    check.kind = CheckKind::Http { port, http, tls: None };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut got = [0; 1024];
            if stream.read(&mut got).await.is_ok() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        }
    });
    let checker = Checker::new(check, NoEcho);
    let said = checker.probe_over([127, 0, 0, 1].into(), &KeptConnection::default()).await;
    assert_eq!((said.code, said.asked), (ProbeCode::L7Ok, Some(Share::DRAIN)), "{}", said.detail);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(bytes in proptest::collection::vec(any::<u8>(), 1..400), cut: proptest::sample::Index) {
        let decide = |pieces: &[&[u8]]| {
            let mut reply = AgentReply::default();
            pieces.iter().find_map(|piece| reply.feed(piece)).unwrap_or_else(|| reply.end())
        };
        let (one, other) = bytes.split_at(cut.index(bytes.len()));
        let whole = decide(&[&bytes]);
        if let AgentWord::Word(word) = decide(&[one, other]) {
            prop_assert_eq!(whole, AgentWord::Word(word));
        } else {
            prop_assert!(!matches!(whole, AgentWord::Word(_)));
        }
    }
}
