//! The programs' command lines.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use maglev_tests::stack::VPP_RUN_DIR;
use maglev_tests::{binaries, skipped, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = binaries::program(program).unwrap();
    Command::new(path).args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

#[test]
fn every_program_has_help_and_a_version() {
    for program in ["vppsim", "maglev-dpagent", "maglev-brain", "maglevc", "maglevt", "demo", "demo-backend"]
    {
        let help = run(program, &["--help"]);
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success() && text.contains("Usage:") && text.len() > 300, "{program}: {text}");
        let version = String::from_utf8(run(program, &["--version"]).stdout).unwrap();
        assert!(version.trim().ends_with(env!("CARGO_PKG_VERSION")), "{program}: {version}");
        let wrong = run(program, &["--no-such-flag"]);
        assert_eq!(wrong.status.code(), Some(2), "{program}");
    }
}

fn check(text: &str) -> (Option<i32>, String) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let output = run("maglev-brain", &["--config", path, "--check"]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap().replace(path, "FILE"))
}

#[test]
fn check_tells_fine_from_unparseable_from_invalid() {
    let example = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example.yaml"));
    let (code, text) = check(&example.unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("FILE: OK ("), "{text}");
    assert!(
        text.contains("65536 sticky buckets take 4 MiB of VPP's main heap for each VPP thread"),
        "{text}"
    );

    let (code, text) = check("maglev:\n  backends: [\n");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FILE:"), "{text}");

    let (code, text) = check(
        "maglev:\n  backends:\n    web: { address: 10.0.0.1, healthcheck: htpp }\n  healthchecks:\n    http: { type: http }\n",
    );
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("FILE:3:") && text.contains("htpp") && text.contains("did you mean"), "{text}");

    let missing = run("maglev-brain", &["--config", "/nonexistent/maglev.yaml", "--check"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/nonexistent/maglev.yaml"));
}

#[test]
fn examples_of_migrations_are_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrating.md");
    let text = std::fs::read_to_string(path).unwrap();
    let examples: Vec<_> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let (code, text) = check(example);
        assert!(code == Some(0) && text.contains("; 0 warnings)"), "{example}\n{text}");
    }
}

/// The programs' own commands, and their documented exit codes.
const COMMANDS: [(&str, &[&str], i32); 11] = [
    ("maglev-brain", &["--config", "../docs/example.yaml", "--check"], 0),
    ("maglev-brain", &["--config", "/nonexistent/maglev.yaml", "--check"], 1),
    ("maglev-brain", &["--print-schema"], 0),
    ("maglev-brain", &["--help"], 0),
    ("maglev-brain", &["--no-such-flag"], 2),
    ("maglev-dpagent", &["--print-protocol"], 0),
    ("maglev-dpagent", &["--version"], 0),
    ("maglevc", &["completions", "bash"], 0),
    ("maglevc", &["--no-such-flag"], 2),
    ("maglevt", &["--completions", "bash"], 0),
    ("maglevt", &["--no-such-flag"], 2),
];

fn exit_code(program: &str, arguments: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> i32 {
    let path = binaries::program(program).unwrap();
    let mut command = Command::new(path);
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).status().unwrap().code().unwrap()
}

/// As the brain's `--check`.
#[test]
fn policy_is_checked_whole_and_by_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.yaml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let output = run("maglev-dpagent", &["--policy", path.to_str().unwrap(), "--check"]);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said.replace(path.to_str().unwrap(), "FILE"))
    };
    let (code, said) = check("vips: [192.0.2.0/24]\nservers: []\n");
    assert!(code == Some(0) && said.starts_with("FILE: OK (prefixes: 1 for VIPs, 0 for servers"), "{said}");
    let (code, said) = check("vips: [192.0.2.0/24\n");
    assert!(code == Some(1) && said.contains("cannot be parsed"), "{said}");
    let (code, said) = check("vip: []\nservers: [10.0.0.1]\n");
    assert!(code == Some(2) && said.matches(": error: ").count() == 3, "{said}");
    assert_eq!(run("maglev-dpagent", &["--policy", "/nonexistent", "--check"]).status.code(), Some(1));
}

/// `EnvironmentFile=` in a unit sets a variable to blank in order to omit it.
#[test]
fn blank_variables_are_not_set_and_wrong_levels_are_refused() {
    let run = |program: &str, name: &str, value: &str| {
        let mut command = Command::new(binaries::program(program).unwrap());
        command.args(["--config", "/nonexistent.yaml"].into_iter().take(if program == "maglev-brain" {
            2
        } else {
            0
        }));
        // Both end at once, each for a reason of its own.
        command.args(if program == "maglev-brain" {
            [].as_slice()
        } else {
            &["--listen", "/nonexistent/a.sock"]
        });
        let output = command.env_clear().env(name, value).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (program, name) in [
        ("maglev-brain", "MAGLEV_METRICS"),
        ("maglev-brain", "MAGLEV_GRPC"),
        ("maglev-brain", "MAGLEV_LOG_FORMAT"),
        ("maglev-dpagent", "MAGLEV_SERVERS_AGE"),
        ("maglev-dpagent", "MAGLEV_BRAIN_USER"),
        ("maglev-dpagent", "MAGLEV_LOG"),
    ] {
        for blank in ["", " "] {
            let (code, said) = run(program, name, blank);
            assert!(code == Some(1) && said.contains("/nonexistent"), "{program} {name}: {said}");
        }
    }
    let (code, said) = run("maglev-dpagent", "MAGLEV_LOG", "inf");
    assert!(code == Some(2) && said.contains("`inf` is not a level"), "{said}");
}

#[test]
fn reader_that_has_gone_is_no_error() {
    for (program, arguments, code) in COMMANDS {
        let (_, writer) = nix::unistd::pipe().unwrap();
        let found = exit_code(program, arguments, writer.try_clone().unwrap(), writer);
        assert_eq!(found, code, "{program} {arguments:?}");
    }
}

#[test]
fn text_that_cannot_be_written_is_one_line_and_exit_code_1() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for (program, arguments, code) in COMMANDS {
        let answers = code == 0;
        let log = tempfile::NamedTempFile::new().unwrap();
        let found = exit_code(program, arguments, full(), log.reopen().unwrap());
        assert_eq!(found, if answers { 1 } else { code }, "{program} {arguments:?}");
        let said = std::fs::read_to_string(log.path()).unwrap();
        assert!(!answers || said.lines().filter(|line| line.contains("cannot write")).count() == 1, "{said}");
        assert_eq!(exit_code(program, arguments, full(), full()), found, "{program} {arguments:?}");
    }
}

/// A daemon keeps running if its log cannot be written, whether the pipe's reader is gone or the disk is
/// full.
#[tokio::test]
async fn daemons_go_on_where_their_log_cannot_be_written() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for disk_is_full in [false, true] {
        for program in ["vppsim", "maglev-dpagent", "maglev-brain"] {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
            let (arguments, socket) = match program {
                "vppsim" => (vec!["--run-dir".into(), path("")], "api.sock"),
                "maglev-dpagent" => (
                    ["--listen", "a.sock", "--policy", "none"]
                        .map(|word| match word {
                            "a.sock" | "none" => path(word),
                            flag => flag.to_owned(),
                        })
                        .to_vec(),
                    "a.sock",
                ),
                _ => {
                    let grpc = format!("unix:{}", path("b.sock"));
                    let example = "../docs/example.yaml".to_owned();
                    let state = path("state");
                    let words =
                        ["--metrics", "off", "--config", &example, "--grpc", &grpc, "--state-dir", &state];
                    (words.map(String::from).to_vec(), "b.sock")
                }
            };
            let (_, writer) = nix::unistd::pipe().unwrap();
            let stderr: Stdio = if disk_is_full { full().into() } else { writer.into() };
            let mut command = Command::new(binaries::program(program).unwrap());
            command.args(arguments).env_clear().env("MAGLEV_LOG", "trace");
            command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).stdout(Stdio::null());
            let mut process = command.stderr(stderr).spawn().unwrap();
            let socket = directory.path().join(socket);
            wait::until("the program to listen", || async { Ok(socket.exists().then_some(())) })
                .await
                .unwrap();
            kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), Signal::SIGTERM).unwrap();
            assert_eq!(process.wait().unwrap().code(), Some(0), "{program}");
        }
    }
}

/// A demo with a directory of its own for temporary files.
fn demo(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::program("demo").unwrap());
    command.args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

/// What is left in a directory.
fn leftovers(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Processes whose command line names this directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(directory.to_str().unwrap())).collect()
}

#[test]
fn demo_holds_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path(), &["--once"]).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("The story held."), "{text}");
    assert_eq!(leftovers(temporary.path()), Vec::<String>::new());
    assert_eq!(processes_of(temporary.path()), Vec::<String>::new());
}

async fn ends_without_leftovers(signal: Signal, demo_group: bool) {
    let temporary = tempfile::tempdir().unwrap();
    let mut process = {
        use std::os::unix::process::CommandExt;
        demo(temporary.path(), &[]).process_group(0).stdout(Stdio::piped()).spawn().unwrap()
    };
    wait::until("the brain to run", || async {
        Ok(processes_of(temporary.path()).iter().any(|line| line.contains("maglev-brain")).then_some(()))
    })
    .await
    .unwrap();
    let pid = i32::try_from(process.id()).unwrap();
    kill(Pid::from_raw(if demo_group { -pid } else { pid }), signal).unwrap();
    process.wait().unwrap();
    wait::until("everything to be gone", || async {
        let left = (leftovers(temporary.path()), processes_of(temporary.path()));
        if left.0.is_empty() && left.1.is_empty() { Ok(Some(())) } else { anyhow::bail!("{left:?} is left") }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn demo_that_is_killed_leaves_nothing_behind() {
    if std::env::var_os(VPP_RUN_DIR).is_some_and(|path| !path.is_empty()) {
        skipped("demos that are killed; the simulator alone is theirs to use");
        return;
    }
    ends_without_leftovers(Signal::SIGKILL, false).await;
}

#[tokio::test]
async fn demo_that_is_interrupted_leaves_nothing_behind() {
    if std::env::var_os(VPP_RUN_DIR).is_some_and(|path| !path.is_empty()) {
        skipped("demos that are killed; the simulator alone is theirs to use");
        return;
    }
    // As a terminal's Ctrl-C: to the whole group.
    ends_without_leftovers(Signal::SIGINT, true).await;
}
