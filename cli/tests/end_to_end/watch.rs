//! `watch events` of the real program.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::fake_brain::{self, Vpp};
use crate::program::{answer, maglevc, refusal, run, skipped};

fn watch(words: &str) -> Vec<&str> {
    ["watch", "events"].into_iter().chain(words.split_whitespace()).collect()
}

#[tokio::test]
async fn num_ends_it_and_the_mark_does_not_count() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    let text = answer(&server, &watch("num 2 backend")).await;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].ends_with("  backend        web1  up  L7OK: HTTP 200"), "{text}");
    assert!(lines[2].ends_with("  backend        web1  up -> down  L4TOUT: no answer in 1.5s"), "{text}");
}

#[tokio::test]
async fn json_is_one_document_a_line() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    let words = [&["--json"], watch("num 12 log level warn").as_slice()].concat();
    let text = answer(&server, &words).await;
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 13);
    assert_eq!((&events[2]["initial"], &events[2]["backend"]["to"]), (&true.into(), &"up".into()));
    assert_eq!(events[6]["log"]["level"], "warn");
    assert_eq!(events[9]["frontend"]["previous_state"], "up");
    assert_eq!(events[12]["missed"]["events"], 12);
}

#[tokio::test]
async fn it_ends_when_its_reader_has_gone_without_another_event() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    // The backends' events arrive at once, then no more.
    let mut child = maglevc(&server, &watch("backend")).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let status = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait()).await;
    assert_eq!(status.expect("it goes on").unwrap().code(), Some(0));
}

#[tokio::test]
async fn brain_that_ends_is_told() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Away).await.to_string();
    let output = run(&server, &watch("configuration")).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
    let expected = format!(
        "maglevc: {server} closed the event stream: maglev-brain is shutting down\n  \
         was maglev-brain just restarted? then watch again\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let output = run(&server, &watch("configuration")).await;
    assert_eq!(output.status.code(), Some(3), "a stream that ends without a word");
}

#[tokio::test]
async fn names_that_are_not_known_are_the_servers_word() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let expected = "maglevc: there is no backend \"web9\"; did you mean \"web1\"?\n";
    assert_eq!(refusal(&server, &watch("backend web9")).await, (1, expected.to_owned()));
    let (code, stderr) = refusal("unix:/nowhere", &watch("num x")).await;
    assert_eq!(code, 2);
    assert!(stderr.starts_with("maglevc: `num` takes the number of events"), "{stderr}");
}

/// Starts a watch and waits for its first line.
async fn started(server: &str, words: &str) -> (Child, BufReader<tokio::process::ChildStdout>) {
    let mut child = maglevc(server, &watch(words)).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).await.unwrap();
    assert!(first.contains("  agent  "), "{first}");
    (child, lines)
}

#[tokio::test]
async fn interrupt_is_the_end_that_was_meant_unless_a_number_was() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    for (words, code) in [("connections", 0), ("connections num 100", 130)] {
        let (mut child, _lines) = started(&server, words).await;
        let kill = Command::new("kill").args(["-INT", &child.id().unwrap().to_string()]).status().await;
        if kill.is_err() {
            return skipped("Ctrl-C, for want of the program `kill`");
        }
        assert_eq!(child.wait().await.unwrap().code(), Some(code), "{words}");
    }
}

#[tokio::test]
async fn reader_that_has_seen_enough_ends_it() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = maglevc(&server, &watch("")).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn brain_that_does_not_answer_ends_it_with_the_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let words = [&["--timeout", "200ms"], watch("").as_slice()].concat();
    let (code, stderr) = refusal(&server, &words).await;
    assert_eq!(code, 3);
    assert!(stderr.starts_with(&format!("maglevc: no answer from {server} within 200ms\n")), "{stderr}");
}
