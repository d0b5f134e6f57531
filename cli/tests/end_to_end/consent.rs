//! Changes that take traffic away ask for consent first.

use std::process::Stdio;

use maglev_proto::Severity;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::fake_brain::{self, Vpp};
use crate::program::{answer, refusal, run, skipped};
use crate::samples;

const LOSS: &str =
    "frontend shop: no backend left: new flows are dropped; 1,204 flows of web1 are cut at once";

#[tokio::test]
async fn without_a_terminal_it_takes_a_word() {
    let server = fake_brain::that_previews(samples::danger()).await.to_string();
    for words in [
        "set backend web1 pause",
        "set frontend shop pool primary backend web1 weight 0",
        "clear override backend b12",
        "config reload",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let expected = format!("maglevc: refused: add --yes to confirm\n  {LOSS}\n");
        assert_eq!(refusal(&server, &words).await, (2, expected), "{words:?}");
        let output = run(&server, &[&words, &["--yes"][..]].concat()).await;
        assert_ne!(output.status.code(), Some(2), "{words:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("no backend left"), "{words:?}");
    }
}

#[tokio::test]
async fn what_changes_no_traffic_is_done_without_a_word() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    assert_eq!(
        answer(&server, &["set", "backend", "web1", "disable"]).await,
        "backend web1: disabled; programmed in VPP in 2 of 2 frontends; persists across restarts\n"
    );
}

#[tokio::test]
async fn notice_is_told_and_the_change_is_made() {
    let mut preview = samples::danger();
    preview.set_severity(Severity::Notice);
    preview.frontends[0].sentences = vec!["pool fallback takes over from pool primary".into()];
    let server = fake_brain::that_previews(preview).await.to_string();
    let output = run(&server, &["set", "backend", "web1", "pause"]).await;
    let expected = "frontend shop: pool fallback takes over from pool primary\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "backend web1: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

/// On a terminal created by `script`. The fake brain refuses a change with another state than its preview's.
#[tokio::test]
async fn on_a_terminal_it_asks() {
    let server = fake_brain::that_previews(samples::danger()).await.to_string();
    for (reply, code, end) in [
        (
            "y\n",
            0,
            "backend web1: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\r\n",
        ),
        (
            "YES\n",
            0,
            "backend web1: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\r\n",
        ),
        ("n\n", 2, "maglevc: nothing is changed\r\n"),
        ("\n", 2, "maglevc: nothing is changed\r\n"),
    ] {
        let line = format!("{} --server {server} set backend web1 pause", env!("CARGO_BIN_EXE_maglevc"));
        let child = Command::new("script")
            .args(["-q", "-e", "-E", "never", "-c", &line, "/dev/null"])
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut child) = child else {
            return skipped("the question on a terminal, for want of the program `script`");
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(reply.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        drop(stdin);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("{LOSS}\r\nContinue? [y/N] ")), "{text}");
        assert!(text.ends_with(end), "{text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
}
