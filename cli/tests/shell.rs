//! The real shell on a pseudo-terminal, and on a pipe, against a maglev-brain with canned answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fake_brain;
#[path = "../src/samples.rs"]
mod samples;
mod terminal;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use fake_brain::Vpp;
use terminal::Terminal;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::process::Command;

const UP: &str = "\x1b[A";
const CTRL_A: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_E: &str = "\x05";
const CTRL_U: &str = "\x15";

async fn brain() -> String {
    fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn greets_runs_prefixes_and_leaves() {
    let server = brain().await;
    let mut shell = Terminal::start(&server, &[]);
    let version = samples::status().version;
    shell.sees(&format!("at {server}, maglev-brain {version}. Type `?` for completions")).await;
    shell.sees(&format!("maglev@{server}> ")).await;
    shell.types("sh fr\r");
    shell.sees("shop                     up       yes").await;
    shell.sees("> ").await;
    shell.types("sh fr shp\r");
    shell.sees("maglevc: there is no frontend \"shp\"; did you mean \"shop\"?").await;
    shell.sees("> ").await;
    shell.types("sh fx\r");
    shell.sees("  sh fx\n     ^^\n  expected one of: version, status, frontends").await;
    shell.sees("> ").await;
    shell.types("ex\r");
    assert_eq!(shell.exit_code().await, 0, "errors on the way are none of the shell");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_has_the_whole_terminal_and_gives_it_back() {
    let server = brain().await;
    let mut top = Terminal::start(&server, &["top"]);
    top.sees(" frontends by trouble ").await;
    top.sees("q quit").await;
    top.types("b");
    top.sees(" backends by trouble ").await;
    top.sees("web1").await;
    top.types("/web2");
    top.sees("filter: web2_").await;
    top.types(CTRL_C);
    assert_eq!(top.exit_code().await, 0);
    let mut shell = Terminal::start(&server, &[]);
    shell.sees("> ").await;
    shell.types("top\r");
    shell.sees("q quit").await;
    shell.types("q");
    shell.sees("> ").await;
    shell.types("show version\r");
    shell.sees("maglev-brain").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tab_completes_words_and_live_names() {
    let mut shell = Terminal::start(&brain().await, &[]);
    shell.sees("> ").await;
    shell.types("sh\tfr\tm");
    shell.types_until("\t", "> show frontends mail ").await;
    shell.types("\r");
    shell.sees("Frontend       mail").await;
    shell.sees("> ").await;
    shell.types("se f ");
    shell.types_until("\t", "\n    dns-anycast-resolver-v6  legacy  mail  shop\n").await;
    shell.sees("> se f ").await;
    shell.types("sh");
    shell.types_until("\t", "> se f shop ").await;
    shell.types("p\tf");
    shell.types_until("\t", "> se f shop pool fallback ").await;
    shell.types("b\ts");
    shell.types_until("\t", "> se f shop pool fallback backend sorry ").await;
    shell.types("w\t7\r");
    shell.sees("weight of sorry in pool fallback of shop: 7 (configured 100)").await;
    shell.sees("> ").await;
    shell.types("cl\tov\tb\tweb1");
    shell.types_until("\t", "> clear override backend web1 ").await;
    shell.types("\r");
    shell.sees("backend web1: up (was paused)").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tab_lists_where_prompt_and_line_wrap() {
    let mut shell = Terminal::start_in_columns(&brain().await, 40);
    shell.sees("> ").await;
    shell.types("watch events backend web1 frontend shop backend web");
    shell.types_until("\t", "web1").await;
    shell.sees("web2").await;
    shell.sees("> watch events").await;
    shell.types(CTRL_U);
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_mark_lists_at_once_and_keeps_the_line() {
    let mut shell = Terminal::start(&brain().await, &[]);
    shell.sees("> ").await;
    shell.types("show frontends ");
    shell
        .types_until(
            "?",
            "  <NAME>   Name of one frontend; or part of names, or a state: up, down, unknown\n  <Enter>  do it\n    \
             dns-anycast-resolver-v6  legacy  mail  shop\n",
        )
        .await;
    shell.sees("> show frontends ").await;
    shell.types("mail");
    // In the middle of the line it helps with the text left of the cursor, which does not move.
    shell.types(&format!("{CTRL_A}?"));
    shell.sees("  config    The configuration file").await;
    shell.sees("> show frontends mail").await;
    shell.types(&format!("{CTRL_E}\r"));
    shell.sees("Frontend       mail").await;
    shell.sees("> ").await;
    shell.types("show frontends 'a?b'\r");
    shell.sees("there is no frontend \"a?b\"").await;
    shell.sees("> ").await;
    shell.types("shw ?");
    shell.sees("unknown word `shw`").await;
    shell.sees("> shw ").await;
    shell.types(CTRL_C);
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_outlives_the_shell_and_is_private() {
    let server = brain().await;
    let mut shell = Terminal::start(&server, &[]);
    shell.sees("> ").await;
    shell.types("sh ba web2\r");
    shell.sees("Backend       web2").await;
    shell.leaves().await;
    let file = shell.state.path().join("maglevc/history");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("\nsh ba web2\n"));

    let mut shell = shell.again(&server);
    shell.sees("> ").await;
    shell.types(UP);
    shell.sees("> sh ba web2").await;
    shell.types("\r");
    shell.sees("Backend       web2").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_cannot_be_kept_is_no_error() {
    let server = brain().await;
    let mut shell = Terminal::start(&server, &[]);
    shell.sees("> ").await;
    let directory = shell.state.path().join("maglevc");
    std::fs::remove_dir(&directory).unwrap();
    std::fs::write(&directory, "").unwrap();
    shell.types("sh ba web2\r");
    shell.sees("Backend       web2").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_forgets_the_line() {
    let mut shell = Terminal::start(&brain().await, &[]);
    shell.sees("> ").await;
    shell.types(&format!("set backend web1 disable{CTRL_C}"));
    shell.sees("disable\n").await;
    shell.sees("> ").await;
    shell.types("sh ba web2\r");
    shell.sees("Backend       web2").await;
    shell.leaves().await;
}

/// The socket is created after the greeting, so that each connection belongs to a command.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_command_and_not_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("brain.sock");
    let mut shell = Terminal::start(&format!("unix:{}", socket.display()), &["--timeout", "10m"]);
    shell.sees("> ").await;
    let listener = UnixListener::bind(&socket).unwrap();
    for (line, told) in
        [("sh vpp lb state\r", ""), ("se b web1 pause\r", "no longer waiting; the change may or may not")]
    {
        shell.types(line);
        let hanging = listener.accept().await.unwrap();
        shell.types(CTRL_C);
        shell.sees(told).await;
        shell.sees("> ").await;
        drop(hanging);
    }
    shell.types("qu\r");
    assert_eq!(shell.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_a_question_changes_nothing_and_takes_no_later_line() {
    let server = fake_brain::that_previews(samples::danger()).await.to_string();
    let mut shell = Terminal::start(&server, &[]);
    shell.sees("> ").await;
    for answer in [CTRL_C, "n\r"] {
        shell.types("se b web1 pause\r");
        shell.sees("Continue? [y/N] ").await;
        shell.types(answer);
        shell.sees("nothing is changed").await;
        shell.sees("> ").await;
    }
    shell.types("se b web1 pause\r");
    shell.sees("Continue? [y/N] ").await;
    shell.types("y\r");
    shell.sees("backend web1: paused").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_without_the_brain_and_finds_it_later() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("brain.sock");
    let mut shell = Terminal::start(&format!("unix:{}", socket.display()), &[]);
    shell.sees("maglevc: cannot connect to unix:").await;
    shell.sees("> ").await;
    shell.types("sh\tba\tw\t\r");
    shell.sees("maglevc: cannot connect to unix:").await;
    shell.sees("> ").await;
    fake_brain::on_unix(&socket);
    shell.types("sh ba web2\r");
    shell.sees("Backend       web2").await;
    shell.leaves().await;
}

/// Completion of names times out, and typing goes on.
#[tokio::test(flavor = "multi_thread")]
async fn silent_brain_does_not_hold_up_typing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let mut shell = Terminal::start(&server, &["--timeout", "10m"]);
    drop(listener.accept().await.unwrap());
    shell.sees("> ").await;
    shell.types("se\tb\t w\teb1 pa\t");
    shell.sees("> set backend web1 pause ").await;
    shell.types(&format!("{CTRL_U}show backends ?"));
    shell.sees("<NAME>   Name of one backend; or part of names, or a state: up, down, unknown, paused, disabled; or the word `label`\n  <Enter>  do it\n").await;
    shell.sees("> show backends ").await;
    shell.types(CTRL_C);
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_site_is_listed_in_part() {
    let server = fake_brain::large(2_000).await.to_string();
    let mut shell = Terminal::start(&server, &[]);
    shell.sees("> ").await;
    shell.types("show backends b");
    shell.types_until("\t", "> show backends backend-00").await;
    shell.types("?");
    shell.sees("    ... and 1900 more\n").await;
    shell.sees("> show backends backend-00").await;
    shell.types("\t");
    shell.sees("... and 1900 more").await;
    shell.sees("> show backends backend-00").await;
    shell.types("0042\r");
    shell.sees("Backend       backend-000042").await;
    shell.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_hold_for_all_lines_until_one_says_otherwise() {
    let server = brain().await;
    let mut shell = Terminal::start("unix:/nowhere", &["--server", &server, "--json"]);
    shell.sees("> ").await;
    shell.types("sh ba web2\r");
    shell.sees("\"name\": \"web2\"").await;
    shell.sees("> ").await;
    shell.types("sh --json ba web2\r");
    shell.sees("\"name\": \"web2\"").await;
    shell.sees("> ").await;
    shell.types("--server unix:/nowhere/else sh ba\r");
    shell.sees("cannot connect to unix:/nowhere/else").await;
    shell.leaves().await;
}

async fn piped(server: &str, words: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglevc"));
    command.env_clear().env("MAGLEV_SERVER", server).args(words).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The shell may exit before it has read everything.
    match stdin.write_all(input).await {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    drop(stdin);
    tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn servers_of_a_line_are_asked_instead_of_the_shells() {
    let server = brain().await;
    for given in [&["--server", "unix:/nowhere"][..], &["--server=unix:/nowhere", "--json"]] {
        for line in [format!("--server {server} show backends"), format!("se b web1 pause --server={server}")]
        {
            let output = piped("unix:/nowhere/else", given, line.as_bytes()).await;
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((output.status.code(), &*err), (Some(0), ""), "{given:?} {line}: {out}");
            assert!(!out.contains("nowhere"), "{given:?} {line}: {out}");
        }
    }
}

#[tokio::test]
async fn pipe_is_read_to_its_end_and_the_last_failure_is_the_exit_code() {
    let server = brain().await;
    let input = "# drain\n\n  se b web1 pause # gone\r\nsh fr nowhere\nshow frontend shop x\nsh ba web2";
    let output = piped(&server, &[], input.as_bytes()).await;
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.starts_with("backend web1: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\nBackend       web2\n"), "{out}");
    let expected = "maglevc: there is no frontend \"nowhere\"; did you mean \"shop\"?
maglevc: unexpected argument `x`
  show frontend shop x
                     ^
";
    assert_eq!((output.status.code(), err.as_str()), (Some(2), expected));
    let output = piped(&server, &[], b"sh fr x x\nsh fr nowhere\nexit\nsh fr x x\n").await;
    assert_eq!(output.status.code(), Some(1), "what stands behind exit is not done");
    let output = piped(&server, &[], b"sh ba web2\n").await;
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn pipe_has_help_too_and_bounds() {
    let output = piped("unix:/nowhere", &[], b"sh vpp ?\nhelp se b\n").await;
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.starts_with("  info  Connections of the agent"), "{out}");
    assert!(out.contains("Usage: set backend <NAME> pause|resume|enable|disable [reason <TEXT>]"), "{out}");
    assert_eq!(output.status.code(), Some(0));
    let output = piped("unix:/nowhere", &[], b"show \xff\n").await;
    assert_eq!(
        (output.status.code(), output.stderr),
        (Some(2), b"maglevc: skipped a line that is not UTF-8\n".to_vec())
    );
    let output = piped("unix:/nowhere", &[], &[b'a'; 70_000]).await;
    let told = b"maglevc: cannot read the next command: it has more than 65536 bytes\n".to_vec();
    assert_eq!((output.status.code(), output.stderr), (Some(2), told));
    let output = piped("unix:/nowhere", &[], b"").await;
    assert_eq!((output.status.code(), output.stdout), (Some(0), Vec::new()));
}

#[tokio::test]
async fn json_and_options_hold_in_a_pipe() {
    let output = piped(&brain().await, &["--json"], b"sh ba web2\nsh st\n").await;
    let out = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!((documents.len(), documents[0]["name"].as_str()), (2, Some("web2")));
}
