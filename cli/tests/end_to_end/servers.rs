//! Several servers at once.

use std::net::SocketAddr;

use maglev_proto::BackendState;
use serde_json::Value;

use crate::fake_brain::{self, Vpp};
use crate::program::{answer, refusal, run};
use crate::samples;

/// Two servers that differ in one backend.
async fn two() -> (SocketAddr, SocketAddr, String) {
    let one = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await;
    let mut backends = samples::backends();
    backends[3].set_state(BackendState::Up);
    let other = fake_brain::with(samples::frontends(), backends).await;
    (one, other, format!("{one},{other}"))
}

#[tokio::test]
async fn lists_are_one_table() {
    let (one, other, servers) = two().await;
    let table = answer(&servers, &["show", "backends"]).await;
    assert_eq!(table.lines().count(), 7, "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("all  ")).count(), 4, "{table}");
    for (server, state) in [(one, "down"), (other, "up")] {
        let line = table.lines().find(|line| line.starts_with(&server.to_string())).unwrap();
        assert!(line.contains(&format!("web2   {state} ")), "{line}");
        assert!(line.ends_with("  state"), "{line}");
    }
    let pages = answer(&servers, &["show", "frontends", "shop"]).await;
    assert!(pages.contains(&format!("--- {other}\nFrontend       shop\n")), "{pages}");
    assert!(pages.ends_with("\nDiffers: nothing\n"), "{pages}");
}

#[tokio::test]
async fn one_that_is_away_is_told_beside_the_others() {
    let (one, _, _) = two().await;
    let servers = format!("{one},unix:/nowhere");
    for words in [&["show", "backends"][..], &["show", "version"]] {
        let output = run(&servers, words).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = "\nunix:/nowhere: cannot connect to unix:/nowhere: No such file or directory\n";
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(output.status.code(), Some(5), "{words:?}");
    }
    let output = run("unix:/nowhere,unix:/elsewhere", &["show", "backends"]).await;
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn json_has_an_element_for_each() {
    let (one, _, _) = two().await;
    let output = run(&format!("{one},unix:/nowhere"), &["--json", "show", "backends", "web2"]).await;
    assert_eq!(output.status.code(), Some(5));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document[0]["server"], one.to_string());
    assert_eq!(document[0]["answer"]["name"], "web2");
    let error = "cannot connect to unix:/nowhere: No such file or directory";
    assert_eq!((&document[1]["server"], &document[1]["error"]), (&"unix:/nowhere".into(), &error.into()));
}

#[tokio::test]
async fn changes_go_to_one() {
    for (words, what) in [
        (&["set", "backend", "web1", "pause"][..], "a change is made on one only"),
        (&["sync", "vpp", "lb", "state"], "a change is made on one only"),
        (&["config", "check"], "each has its own configuration"),
        (&["watch", "events"], "only one can be watched"),
    ] {
        let expected =
            format!("maglevc: 2 servers are named, but {what}\n  name the one that is meant with --server\n");
        assert_eq!(refusal("unix:/nowhere,unix:/elsewhere", words).await, (2, expected), "{words:?}");
    }
}
