//! The real program against a maglev-brain with canned answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "end_to_end/consent.rs"]
mod consent;
mod fake_brain;
mod program;
#[path = "../src/samples.rs"]
mod samples;
#[path = "end_to_end/servers.rs"]
mod servers;
#[path = "end_to_end/tls.rs"]
mod tls;
#[path = "end_to_end/top.rs"]
mod top;
#[path = "end_to_end/watch.rs"]
mod watch;

use std::fs::File;
use std::process::Stdio;

use fake_brain::Vpp;
use program::{answer, maglevc, refusal, run, skipped};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

#[tokio::test]
async fn every_command_over_tcp() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let frontends = answer(&server, &["show", "frontends"]).await;
    assert!(frontends.starts_with("frontend legacy ("), "problems come first: {frontends}");
    let shop = "shop                     up       yes        primary          2/3";
    assert_eq!(frontends.lines().last(), Some(shop));
    let wide = answer(&server, &["--wide", "show", "frontends"]).await;
    let shop = "shop                     up       yes        203.0.113.10                          tcp/443  primary          2/3";
    assert_eq!(wide.lines().last(), Some(shop));
    let one = answer(&server, &["show", "frontends", "shop"]).await;
    assert!(
        one.contains("  web3     up            100        50         50       1      341    633\n"),
        "{one}"
    );
    let backends = answer(&server, &["show", "backends"]).await;
    assert_eq!(backends.lines().count(), 6);
    let one = answer(&server, &["show", "backends", "web2"]).await;
    assert!(one.contains("up       down  L4CON: connection refused\n"), "{one}");
    let info = answer(&server, &["show", "vpp", "info"]).await;
    assert!(info.contains("VPP version      26.10-rc0~374\n"), "{info}");
    let state = answer(&server, &["sh", "vp", "l", "s"]).await;
    assert!(state.contains("  10.0.0.1  web1          2      683  66.70%   1204\n"), "{state}");
}

#[tokio::test]
async fn agent_versions_counters_and_health_checks() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let version = answer(&server, &["show", "version"]).await;
    assert!(
        version.ends_with("maglev-dpagent  0.2.0, protocol 10\nVPP             26.10-rc0~374\n"),
        "{version}"
    );
    let agent = answer(&server, &["show", "agent"]).await;
    assert!(agent.contains("\nProtocol      10\n"), "{agent}");
    let checks = answer(&server, &["show", "healthchecks"]).await;
    assert_eq!(checks.lines().count(), 3);
    let ping = answer(&server, &["show", "healthchecks", "ping"]).await;
    assert!(ping.ends_with("\nNo backend uses it.\n"), "{ping}");
    let counters = answer(&server, &["show", "vpp", "lb", "counters"]).await;
    assert_eq!(counters.lines().count(), 6);
    let shop = answer(&server, &["sh", "vp", "l", "c", "shop"]).await;
    assert_eq!(shop.lines().count(), 3);
}

#[tokio::test]
async fn status_is_checked_for_monitoring() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    for (words, code) in [(&["show", "status"][..], 0), (&["show", "status", "--check"], 1)] {
        let output = run(&server, words).await;
        assert!(String::from_utf8(output.stdout).unwrap().contains("\nHealth         4 problems\n"));
        assert_eq!(output.status.code(), Some(code));
    }
    let nobody = run("unix:/nowhere", &["show", "status", "--check"]).await;
    assert_eq!(nobody.status.code(), Some(3));
}

/// A state, part of a name, or a name.
#[tokio::test]
async fn lists_are_filtered_by_state_and_by_part_of_a_name() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let names = async |words: &[&str]| {
        let text = answer(&server, words).await;
        let names = text.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["show", "backends", "down"]).await, "web2");
    assert_eq!(names(&["show", "backends", "web"]).await, "web2 web4 web1");
    assert_eq!(names(&["show", "frontends", "up"]).await, "shop");
    assert_eq!(answer(&server, &["show", "backends", "paused"]).await, "No backends.\n");
    assert!(answer(&server, &["show", "backends", "web2"]).await.starts_with("Backend       web2\n"));
    assert_eq!(refusal(&server, &["show", "backends", "xyz"]).await.0, 1);
}

#[tokio::test]
async fn version_without_a_brain_is_that_of_maglevc() {
    let output = run("unix:/nowhere", &["show", "version"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "maglevc         {}\nmaglev-brain    cannot connect to unix:/nowhere: No such file or directory\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn sync_tells_what_it_did() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let shop = answer(&server, &["sync", "vpp", "lb", "state", "shop"]).await;
    assert!(shop.starts_with("shop  203.0.113.10 tcp/443\n  10.0.0.3: weight 2 -> 1\n"), "{shop}");
    let output = run(&server, &["sync", "vpp", "lb", "state"]).await;
    assert_eq!(output.status.code(), Some(4), "VPP refused something");
}

#[tokio::test]
async fn every_change_over_tcp() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    for (action, line) in [
        ("pause", "backend b7: paused; programmed in VPP in 2 of 2 frontends; persists across restarts\n"),
        (
            "resume",
            "backend b7: unknown until it is probed; programmed in VPP in 2 of 2 frontends; no override\n",
        ),
        (
            "enable",
            "backend b7: unknown until it is probed; programmed in VPP in 2 of 2 frontends; persists across restarts\n",
        ),
        (
            "disable",
            "backend b7: disabled; programmed in VPP in 2 of 2 frontends; persists across restarts\n",
        ),
    ] {
        assert_eq!(answer(&server, &["set", "backend", "b7", action]).await, line);
    }
    let words: Vec<_> = "set frontend f1 pool p1 backend b7 weight 30 flush".split(' ').collect();
    let line =
        "weight of b7 in pool p1 of f1: 30 (configured 100); programmed in VPP; persists across restarts\n";
    assert_eq!(answer(&server, &words).await, line);
    let overrides = answer(&server, &["show", "overrides"]).await;
    assert!(overrides.contains("web3     shop      weight 50"), "{overrides}");
    let line = "VIP of shop: re-created with 4096 buckets; VPP has forgotten its pinned flows\n";
    assert_eq!(answer(&server, &["recreate", "frontend", "shop", "force"]).await, line);
    let checked = answer(&server, &["config", "check"]).await;
    assert!(
        checked
            .ends_with(": OK, 1 warning; a reload would change: 1 backend added (web4), 1 removed (web0)\n"),
        "{checked}"
    );
    let reloaded = answer(&server, &["config", "reload"]).await;
    assert!(
        reloaded.ends_with(": reloaded; 1 backend added (web4), 1 removed (web0); programmed in VPP\n"),
        "{reloaded}"
    );
    let status = answer(&server, &["show", "status"]).await;
    assert!(status.contains("\nFrontends      1 of 4 up"), "{status}");
}

#[tokio::test]
async fn incomplete_changes_end_with_another_code() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Away).await.to_string();
    let words: Vec<_> = "set frontend f1 pool p1 backend b7 weight 30".split(' ').collect();
    let output = run(&server, &words).await;
    let line = "weight of b7 in pool p1 of f1: 30 (configured 100); VPP cannot be programmed now, will be when it can; \
                persists across restarts\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), line);
    assert_eq!(output.status.code(), Some(4));
    for (words, line) in [
        (
            "clear override backend web1",
            "backend web1: up (was paused); VPP cannot be programmed now, will be when it can; no override\n",
        ),
        (
            "clear override frontend shop pool primary backend web3",
            "weight of web3 in pool primary of shop: 100 (was 50); VPP cannot be programmed now, will be when it can; \
             no override\n",
        ),
    ] {
        let output = run(&server, &words.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(
            (String::from_utf8(output.stdout).unwrap().as_str(), output.status.code()),
            (line, Some(4))
        );
    }
    let output = run(&server, &["config", "check"]).await;
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("a reload would be refused\n"));
    assert_eq!(output.status.code(), Some(1));
    let expected = "maglevc: maglev.yaml:1:1: error: the file is empty\n  |\n1 | \n";
    assert_eq!(refusal(&server, &["config", "reload"]).await, (1, expected.to_owned()));
    let (code, stderr) = refusal(&server, &["recreate", "frontend", "shop", "force"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("`maglevc show vpp info` tells what is connected"), "{stderr}");
    let expected = "maglevc: there is no override for backend \"web2\"\n";
    let words = ["clear", "override", "backend", "web2"];
    assert_eq!(refusal(&server, &words).await, (1, expected.to_owned()));
}

#[tokio::test]
async fn json_is_one_document_each() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    for (words, pointer, expected) in [
        (&["show", "frontends"][..], "/frontends/3/active_pool", "primary"),
        (&["show", "frontends", "legacy"], "/sync", "failed"),
        (&["show", "backends"], "/backends/4/state", "disabled"),
        (&["show", "backends", "web2"], "/transitions/0/to", "down"),
        (&["show", "status"], "/warmup", "releasing"),
        (&["show", "overrides"], "/overrides/1/operator_state", "paused"),
        (&["set", "backend", "b7", "pause"], "/backend/state", "paused"),
        (&["recreate", "frontend", "shop", "force"], "/outcome/in_vpp", "acknowledged"),
        (&["config", "check"], "/verdict", "fine"),
        (&["config", "reload"], "/unmatched/0/backend", "web0"),
        (&["show", "version"], "/vpp/version", "26.10-rc0~374"),
        (&["show", "agent"], "/foreign/0", "198.51.100.1 udp/53"),
        (&["show", "healthchecks"], "/healthchecks/0/backends/1/state", "up"),
        (&["show", "healthchecks", "http-alive"], "/parameters/0/value", "/alive"),
        (&["show", "vpp", "lb", "counters"], "/vips/0/frontend", "mail"),
        (&["sync", "vpp", "lb", "state", "shop"], "/vips/0/changes/0", "10.0.0.3: weight 2 -> 1"),
        (&["show", "vpp", "info"], "/agent/socket", "/run/maglev/dpagent.sock"),
        (&["show", "vpp", "lb", "state"], "/vips/1/application_servers/0/backend", "web1"),
    ] {
        let words = [words, &["--json", "--color", "always"]].concat();
        let text = answer(&server, &words).await;
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document.pointer(pointer), Some(&Value::from(expected)), "{words:?}");
    }
}

#[tokio::test]
async fn ipv6_and_unix_sockets_are_reached() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("brain.sock");
    fake_brain::on_unix(&path);
    let by_path = answer(&format!("unix:{}", path.display()), &["show", "frontends"]).await;
    // Containers often have no IPv6, not even on the loopback interface.
    if TcpListener::bind("[::1]:0").await.is_ok() {
        let address = fake_brain::on_tcp("[::1]:0", Vpp::Connected).await;
        assert_eq!(answer(&format!("http://{address}"), &["show", "frontends"]).await, by_path);
    } else {
        skipped("[::1], which this machine does not have");
    }
    // The barest of machines have no /etc/hosts either.
    if tokio::net::lookup_host("localhost:1").await.is_ok() {
        let named = format!("localhost:{}", fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.port());
        assert_eq!(answer("unix:/nowhere", &["--server", &named, "show", "frontends"]).await, by_path);
    } else {
        skipped("localhost, which this machine cannot look up");
    }
}

#[tokio::test]
async fn color_is_for_terminals_and_on_demand() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    assert!(!answer(&server, &["show", "frontends"]).await.contains('\x1b'));
    for word in ["always", "true"] {
        assert!(answer(&server, &["--color", word, "show", "frontends"]).await.contains("\x1b[32mup\x1b[0m"));
    }
    assert!(!answer(&server, &["--color=false", "show", "frontends"]).await.contains('\x1b'));
}

#[tokio::test]
async fn unknown_name_is_the_servers_word() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let expected = "maglevc: there is no frontend \"shp\"; did you mean \"shop\"?\n";
    assert_eq!(refusal(&server, &["show", "frontends", "shp"]).await, (1, expected.to_owned()));
}

#[tokio::test]
async fn vpp_away_is_the_servers_word() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Away).await.to_string();
    let expected = "maglevc: VPP is not connected: no such file or directory\n  \
                    `maglevc show vpp info` tells what is connected\n";
    assert_eq!(refusal(&server, &["show", "vpp", "lb", "state"]).await, (1, expected.to_owned()));
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (code, stderr) = refusal(&server, &["show", "frontends"]).await;
    let expected = format!(
        "maglevc: cannot connect to {server}: Connection refused\n  is maglev-brain running, and does it listen on \
         {server} (its --grpc)? name another address with --server or MAGLEV_SERVER\n"
    );
    assert_eq!((code, stderr), (3, expected));
    let directory = tempfile::tempdir().unwrap();
    let server = format!("unix:{}/brain.sock", directory.path().display());
    let (code, stderr) = refusal(&server, &["show", "frontends"]).await;
    let expected =
        format!("maglevc: cannot connect to {server}: No such file or directory\n  is maglev-brain");
    assert_eq!(code, 3);
    assert!(stderr.starts_with(&expected), "{stderr}");
}

#[tokio::test]
async fn no_answer_ends_with_the_timeout() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Hanging).await.to_string();
    let (code, stderr) = refusal(&server, &["--timeout", "200ms", "show", "vpp", "lb", "state"]).await;
    assert_eq!(code, 3);
    assert!(stderr.starts_with(&format!("maglevc: no answer from {server} within 200ms\n")), "{stderr}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mute.sock");
    let _mute = UnixListener::bind(&path).unwrap();
    let server = format!("unix:{}", path.display());
    let (code, stderr) = refusal(&server, &["--timeout", "200ms", "show", "backends"]).await;
    assert_eq!(code, 3);
    assert!(stderr.starts_with(&format!("maglevc: no answer from {server} within 200ms\n")), "{stderr}");
}

/// Like a web server at the given address.
#[tokio::test]
async fn other_protocol_is_told_from_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    });
    let (code, stderr) = refusal(&server, &["show", "backends"]).await;
    assert_eq!(code, 3);
    assert!(stderr.contains(&format!("connection to {server} broke")), "{stderr}");
    assert!(stderr.contains("is this its --grpc address?"), "{stderr}");
}

/// Like a server of another gRPC service, or of an older version of this one.
#[tokio::test]
async fn unknown_service_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let empty = tonic::service::Routes::default();
    tokio::spawn(tonic::transport::Server::builder().add_routes(empty).serve_with_incoming(incoming));
    let (code, stderr) = refusal(&server, &["show", "backends"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.starts_with(&format!("maglevc: the server at {server} does not support this request\n")),
        "{stderr}"
    );
}

#[tokio::test]
async fn large_site_is_listed() {
    let server = fake_brain::large(25_000).await.to_string();
    let text = answer(&server, &["show", "backends"]).await;
    assert_eq!(text.lines().count(), 25_001);
}

#[tokio::test]
async fn reader_that_goes_away_is_no_error() {
    let server = fake_brain::large(2_000).await.to_string();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child =
        maglevc(&server, &["show", "backends"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn full_disk_is_an_error() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = maglevc(&server, &["show", "backends"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = "maglevc: cannot write the answer: No space left on device\n";
    assert_eq!((output.status.code(), stderr.as_str()), (Some(1), expected));
}

/// As helpful as the shell's.
#[tokio::test]
async fn usage_errors_need_no_server() {
    for (words, expected) in [
        (
            &["show", "frontend", "a", "b"][..],
            "maglevc: unexpected argument `b`\n  show frontend a b\n                  ^\n",
        ),
        (
            &["ready", "web1"],
            "maglevc: unknown word `ready`\n  ready web1\n  ^^^^^\n  did you mean `set backend NAME resume`?\n  \
             expected one of: show, check, set, drain, undrain, generate, whatif,\n    clear, config, fleet, recreate, sync, watch, top, completions, man, help\n",
        ),
        (
            &["set", "backend", "web 1", "stop"],
            "maglevc: unknown word `stop`\n  set backend 'web 1' stop\n                      ^^^^\n  \
             expected one of: pause, resume, enable, disable\n",
        ),
        (
            &["set", "backend"],
            "maglevc: `set backend` is not complete; what can follow:\n  <NAME>  Name of the backend\n",
        ),
        (
            &["set", "frontend", "a", "pool", "p", "backend", "b", "weight", "101"],
            "maglevc: invalid value '101' for '<WEIGHT>': a weight is a whole number from 0 to 100\n  \
             set frontend a pool p backend b weight 101\n                                         ^^^\n",
        ),
    ] {
        assert_eq!(refusal("unix:/nowhere", words).await, (2, expected.to_owned()));
    }
    let (code, stderr) = refusal("::1:9090", &["show", "frontends"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("in brackets before its port, as [::1]:17090"), "{stderr}");
    let (code, stderr) = refusal("unix:/nowhere", &["show"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("`show` is not complete; what can follow:\n  version "), "{stderr}");
}

#[tokio::test]
async fn errors_are_json_where_answers_are() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    for (server, words, code, error) in [
        (
            server.as_str(),
            &["--json", "show", "frontends", "shp"][..],
            1,
            "there is no frontend \"shp\"; did you mean \"shop\"?",
        ),
        (
            "unix:/nowhere",
            &["--json", "show", "status"],
            3,
            "cannot connect to unix:/nowhere: No such file or directory",
        ),
        ("unix:/nowhere", &["ready", "--json"], 2, "unknown word `ready`"),
    ] {
        let (exit, stderr) = refusal(server, words).await;
        let document: Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!((exit, document["exit_code"].as_u64()), (code, Some(code.try_into().unwrap())));
        assert!(document["error"].as_str().unwrap().starts_with(error), "{document}");
    }
}

/// Used by the completion scripts.
#[tokio::test]
async fn words_and_names_are_completed_for_other_shells() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    for (line, words) in [
        ("sh", "show\n"),
        ("show back", "backends\n"),
        ("set backend web", "web1\nweb2\nweb4\n"),
        ("set frontend shop pool ", "fallback\nprimary\n"),
        ("set backend web1 r", "resume\n"),
        ("show status --ch", "--check\n"),
        ("nonsense ", ""),
    ] {
        assert_eq!(answer(&server, &["complete", "--", line]).await, words, "{line}");
    }
    assert_eq!(answer("unix:/nowhere", &["complete", "--", "set back"]).await, "backend\nbackends\n");
}

#[tokio::test]
async fn help_and_version_need_no_server() {
    let help = answer("unix:/nowhere", &["--help"]).await;
    assert!(help.find("Examples:") < help.find("Exit codes:"), "{help}");
    assert!(help.find("Exit codes:") < help.find("\nOptions:"), "options stand last: {help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    let one = answer("unix:/nowhere", &["show", "status", "--help"]).await;
    assert!(one.lines().count() <= 14 && !one.contains("--server") && one.contains("--check"), "{one}");
    let version = answer("unix:/nowhere", &["--version"]).await;
    assert_eq!(version, format!("maglevc {}\n", env!("CARGO_PKG_VERSION")));
}
