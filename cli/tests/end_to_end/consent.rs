//! What takes the last backend of a frontend away is asked for first.

use std::process::Stdio;

use maglev_proto::BackendState;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::fake_brain::{self, Vpp};
use crate::program::{answer, refusal, run, skipped};
use crate::samples;

const LOSS: &str = "frontend shop: no backend left; new flows will be dropped; 1,204 flows that web1 has ";

/// Only web1 is up.
async fn last_one() -> String {
    let mut frontends = samples::frontends();
    for row in frontends[3].pools.iter_mut().flat_map(|pool| &mut pool.backends) {
        if row.backend != "web1" {
            row.set_state(BackendState::Down);
        }
    }
    fake_brain::with(frontends, samples::backends()).await.to_string()
}

#[tokio::test]
async fn without_a_terminal_it_takes_a_word() {
    let server = last_one().await;
    for (words, end) in [
        ("set backend web1 pause", "end by themselves"),
        ("set backend web1 disable", "are cut at once"),
        ("set frontend shop pool primary backend web1 weight 0", "end by themselves"),
        ("set frontend shop pool primary backend web1 weight 0 flush", "are cut at once"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let expected = format!("maglevc: not done without a word from you: --yes\n  {LOSS}{end}\n");
        assert_eq!(refusal(&server, &words).await, (2, expected), "{words:?}");
        let output = run(&server, &[&words, &["--yes"][..]].concat()).await;
        assert_ne!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{words:?}");
    }
}

#[tokio::test]
async fn what_takes_nothing_away_is_done() {
    let server = last_one().await;
    for words in ["set backend web2 pause", "set backend web1 resume", "clear override backend web1"] {
        let output = run(&server, &words.split(' ').collect::<Vec<_>>()).await;
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{words}");
    }
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    assert_eq!(
        answer(&server, &["set", "backend", "web1", "disable"]).await,
        "backend web1: disabled; kept over restarts\n"
    );
}

#[tokio::test]
async fn clearing_what_kept_a_backend_in_service_is_asked_for() {
    let mut backends = samples::backends();
    backends[2].enabled = false;
    let mut frontends = samples::frontends();
    frontends[3].pools.truncate(1);
    frontends[3].pools[0].backends.truncate(2);
    let server = fake_brain::with(frontends, backends).await.to_string();
    let (code, stderr) = refusal(&server, &["clear", "override", "backend", "web1"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains(&format!("{LOSS}are cut at once\n")), "{stderr}");
}

#[tokio::test]
async fn another_pool_that_takes_over_is_told() {
    let mut frontends = samples::frontends();
    frontends[3].pools[0].backends.truncate(2);
    let server = fake_brain::with(frontends, samples::backends()).await.to_string();
    let output = run(&server, &["set", "backend", "web1", "pause"]).await;
    let expected = "frontend shop: pool fallback takes over from pool primary; 1,204 flows that web1 has end by \
                    themselves\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "backend web1: paused; kept over restarts\n");
    assert_eq!(output.status.code(), Some(0));
}

/// With a terminal that `script` makes.
#[tokio::test]
async fn on_a_terminal_it_asks() {
    let server = last_one().await;
    for (reply, code, end) in [
        ("y\n", 0, "backend web1: paused; kept over restarts\r\n"),
        ("YES\n", 0, "backend web1: paused; kept over restarts\r\n"),
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
        assert!(text.contains(&format!("{LOSS}end by themselves\r\nGo on? [y/N] ")), "{text}");
        assert!(text.ends_with(end), "{text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
}
