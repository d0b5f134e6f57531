//! Operators on other machines: maglevc and the brain over TLS, each with a certificate.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use maglev_tests::certificates::{Authority, Identity, NOW};
use maglev_tests::stack::{self, Stack};
use maglev_tests::{binaries, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// maglevc's exit codes: a refusal, no connection, and a change that VPP does not have yet.
const REFUSED: i32 = 1;
const NO_CONNECTION: i32 = 3;
const INCOMPLETE: i32 = 4;

struct Brain {
    stack: Stack,
    authority: Authority,
    port: u16,
}

impl Brain {
    /// A brain without an agent, and everybody's certificates.
    async fn start() -> Self {
        let brain = Self {
            stack: Stack::empty().unwrap(),
            authority: Authority::root("operators").unwrap(),
            port: stack::free_port().unwrap(),
        };
        brain.write("brain", &brain.authority.issue(&["127.0.0.1"], NOW).unwrap());
        for operator in ["alice", "eve"] {
            brain.write(operator, &brain.authority.issue_client(operator, NOW).unwrap());
        }
        brain.write("former", &brain.authority.issue_client("alice", 2020..2021).unwrap());
        std::fs::write(brain.path("ca.pem"), brain.authority.pem()).unwrap();
        brain.run().await
    }

    async fn run(mut self) -> Self {
        let mut command = Command::new(binaries::program("maglev-brain").unwrap());
        command.env_clear().args(["--metrics", "off", "--grpc-admin-cert", "alice"]);
        command.arg("--config").arg(self.stack.config()).arg("--agent").arg(self.stack.agent_socket());
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--grpc").arg(format!("tls:127.0.0.1:{}", self.port));
        command.arg("--grpc-cert").arg(self.path("brain.pem")).arg("--grpc-key").arg(self.path("brain.key"));
        command.arg("--grpc-client-ca").arg(self.path("ca.pem"));
        self.stack.spawn("brain", command).unwrap();
        self.wait_for_log("msg=\"serving gRPC\" address=tls:127.0.0.1:").await;
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stack.directory().join(name)
    }

    fn write(&self, name: &str, identity: &Identity) {
        std::fs::write(self.path(&format!("{name}.pem")), &identity.chain).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), &identity.key).unwrap();
    }

    async fn wait_for_log(&self, text: &str) {
        let look =
            || async { Ok(std::fs::read_to_string(self.stack.log("brain"))?.contains(text).then_some(())) };
        let found = wait::until(&format!("the brain to say {text:?}"), look).await;
        found.map_err(|error| self.stack.explain(&error)).unwrap();
    }

    /// maglevc's output for an operator, with or without a certificate.
    fn maglevc(&self, operator: Option<&str>, words: &[&str]) -> Output {
        let mut command = Command::new(binaries::program("maglevc").unwrap());
        command.env_clear().stdin(Stdio::null());
        command.arg("--server").arg(format!("tls:127.0.0.1:{}", self.port));
        command.arg("--tls-ca").arg(self.path("ca.pem"));
        if let Some(operator) = operator {
            command.arg("--tls-cert").arg(self.path(&format!("{operator}.pem")));
            command.arg("--tls-key").arg(self.path(&format!("{operator}.key")));
        }
        command.args(words).output().unwrap()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_have_roles_by_their_certificates() {
    let brain = Brain::start().await;
    for operator in ["alice", "eve"] {
        let (code, text) = said(&brain.maglevc(Some(operator), &["show", "backends"]));
        assert!(code == Some(0) && text.contains("spare1"), "{operator}: {text}");
    }
    let pause = ["--yes", "set", "backend", "web1", "pause"];
    let (code, text) = said(&brain.maglevc(Some("eve"), &pause));
    assert_eq!(code, Some(REFUSED), "{text}");
    assert!(text.contains("cert eve, from 127.0.0.1:") && text.contains("--grpc-admin-cert NAME"), "{text}");
    let (code, text) = said(&brain.maglevc(Some("alice"), &pause));
    assert_eq!(code, Some(INCOMPLETE), "there is no VPP: {text}");
    assert!(text.contains("backend web1: paused"), "{text}");
    let log = std::fs::read_to_string(brain.stack.log("brain")).unwrap();
    assert!(log.contains("who=\"cert alice\" from=127.0.0.1:"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_without_a_valid_certificate_are_told_so() {
    let brain = Brain::start().await;
    let other = Authority::root("operators").unwrap();
    brain.write("stranger", &other.issue_client("alice", NOW).unwrap());
    for (operator, reason) in [
        (None, "it requires a client certificate, and none was presented"),
        (Some("former"), "it refused the client certificate: CertificateExpired"),
        (Some("stranger"), "it refused the client certificate: "),
    ] {
        let (code, text) = said(&brain.maglevc(operator, &["show", "backends"]));
        assert_eq!(code, Some(NO_CONNECTION), "{text}");
        assert!(text.contains(reason), "{operator:?}: {text}");
    }
    brain
        .wait_for_log("msg=\"no TLS handshake: peer sent no certificates\" who=127.0.0.1 from=127.0.0.1:")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brain_takes_renewed_certificates_when_it_is_told_to() {
    let brain = Brain::start().await;
    let show = || said(&brain.maglevc(Some("eve"), &["show", "backends"]));
    let hang_up = || {
        let pid = brain.stack.pid("brain").unwrap().try_into().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    };
    let successor = Authority::root("operators, next year").unwrap();
    std::fs::write(brain.path("ca.pem"), "nothing").unwrap();
    hang_up();
    brain.wait_for_log("gRPC certificates refused; the current ones stay in use").await;
    std::fs::write(brain.path("ca.pem"), brain.authority.pem()).unwrap();
    assert_eq!(show().0, Some(0));

    // The brain's own certificate stays; maglevc has to trust both authorities.
    std::fs::write(brain.path("ca.pem"), successor.pem()).unwrap();
    hang_up();
    brain.wait_for_log("gRPC certificates read").await;
    std::fs::write(brain.path("ca.pem"), brain.authority.pem() + &successor.pem()).unwrap();
    let (code, text) = show();
    assert_eq!(code, Some(NO_CONNECTION), "{text}");
    assert!(text.contains("it refused the client certificate: UnknownCA"), "{text}");
    brain.write("eve", &successor.issue_client("eve", NOW).unwrap());
    let (code, text) = show();
    assert_eq!(code, Some(0), "{text}");
}
