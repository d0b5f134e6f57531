//! The brain's process with TLS: errors for wrong arguments, an inherited socket, and certificates renewed at
//! run time.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{ChangeBackendRequest, GetBackendRequest, GetStatusRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    b1: { address: 10.0.0.1 }
  frontends:
    shop: { address: 203.0.113.10, pools: [ { name: only, backends: { b1: {} } } ] }
";

/// Only reached if the brain does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, host: &[&str], client: Option<&str>) -> (String, String) {
        let host: Vec<_> = host.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(host).unwrap();
        params.extended_key_usages = vec![match client {
            Some(_) => ExtendedKeyUsagePurpose::ClientAuth,
            None => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.distinguished_name.push(DnType::CommonName, client.unwrap_or("the brain"));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory with what a brain needs, and the brain itself once started.
struct Brain {
    folder: TempDir,
    authority: Authority,
    notify: UnixDatagram,
    child: Option<Child>,
}

impl Brain {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let brain = Self { folder, authority: Authority::new(), notify, child: None };
        brain.write("maglev.yaml", CONFIG);
        brain.renew(&brain.authority);
        brain.write("ca.pem", &brain.authority.0.pem());
        brain
    }

    fn renew(&self, authority: &Authority) {
        let (chain, key) = authority.issue(&["127.0.0.1"], None);
        self.write("cert.pem", &chain);
        self.write("key.pem", &key);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    /// A shell that execs the brain, since it knows the process id.
    fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"LISTEN_PID=$$ exec "$@""#, "sh", env!("CARGO_BIN_EXE_maglev-brain")]);
        command.arg("--config").arg(self.path("maglev.yaml")).arg("--agent").arg(self.path("agent.sock"));
        command.arg("--state-dir").arg(self.path("state")).args(["--metrics", "off"]);
        command.env_clear().stdin(Stdio::null());
        command
    }

    fn with_files(&self) -> Command {
        let mut command = self.command();
        command.arg("--grpc-cert").arg(self.path("cert.pem")).arg("--grpc-key").arg(self.path("key.pem"));
        command.arg("--grpc-client-ca").arg(self.path("ca.pem"));
        command
    }

    /// Starts the brain on an inherited socket.
    async fn start(&mut self, mut command: Command) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "grpc-tls");
        command.fd_mappings(vec![FdMapping { parent_fd: socket.into(), child_fd: 3 }]).unwrap();
        let log = std::fs::File::create(self.path("log")).unwrap();
        command.env("NOTIFY_SOCKET", self.path("notify")).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.told("READY=1").await;
        address
    }

    async fn told(&self, words: &str) {
        let mut buffer = [0; 4096];
        loop {
            let Ok(length) = timeout(PATIENCE, self.notify.recv(&mut buffer)).await else {
                panic!("no {words}; {}", self.log());
            };
            if String::from_utf8_lossy(&buffer[..length.unwrap()]).contains(words) {
                return;
            }
        }
    }

    async fn reload(&self) {
        let pid = self.child.as_ref().unwrap().id().try_into().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
        self.told("RELOADING=1").await;
        self.told("READY=1").await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// The last line of a brain that refuses to start.
    fn refusal(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        let last = said.find("maglev-brain: ").map_or(said.as_str(), |start| &said[start..]);
        last.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

impl Drop for Brain {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

/// A connection with this client certificate, which trusts `servers`.
async fn connect(
    address: SocketAddr,
    servers: &Authority,
    (chain, key): (String, String),
) -> Result<MaglevClient<Channel>, tonic::transport::Error> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(servers.0.pem()))
        .identity(Identity::from_pem(chain, key));
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
    endpoint.timeout(PATIENCE).connect().await.map(MaglevClient::new)
}

#[tokio::test]
async fn socket_of_a_service_manager_is_served_with_tls() {
    let mut brain = Brain::new();
    let mut command = brain.with_files();
    command.env("MAGLEV_GRPC_ADMIN_CERT", "alice, ops.example.org");
    let address = brain.start(command).await;
    let pause = || ChangeBackendRequest { name: "b1".to_owned(), ..ChangeBackendRequest::default() };
    let reader = brain.authority.issue(&["www.example.org"], Some("eve"));
    let mut reader = connect(address, &brain.authority, reader).await.unwrap();
    let status = reader.pause_backend(pause()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    reader.get_status(GetStatusRequest {}).await.unwrap();
    let admin = brain.authority.issue(&["OPS.example.org"], Some("somebody"));
    let mut admin = connect(address, &brain.authority, admin).await.unwrap();
    admin.pause_backend(pause()).await.unwrap();

    let log = brain.log();
    assert!(log.contains(&format!("msg=\"serving gRPC\" address=tls:{address}")), "{log}");
    let line = log.lines().find(|line| line.contains("operator command")).expect(&log);
    assert!(line.contains("who=\"cert ops.example.org\" from=127.0.0.1:"), "{line}");
    assert!(line.contains("what=\"set backend b1 pause\""), "{line}");
    assert!(
        log.contains("msg=\"a change was refused: not an admin\" who=\"cert eve\" from=127.0.0.1:"),
        "{log}"
    );
}

#[tokio::test]
async fn renewed_certificates_are_taken_by_a_reload() {
    let mut brain = Brain::new();
    let address = brain.start(brain.with_files()).await;
    let eve = || brain.authority.issue(&[], Some("eve"));
    let mut stands = connect(address, &brain.authority, eve()).await.unwrap();
    stands.get_status(GetStatusRequest {}).await.unwrap();

    let successor = Authority::new();
    brain.write("key.pem", "-----BEGIN PRIVATE KEY-----");
    brain.reload().await;
    let refused = format!(
        "gRPC certificates refused; the current ones stay in use: --grpc-key {}: it is damaged: a section has no \
         `-----END` line; each section belongs between",
        brain.path("key.pem").display()
    );
    assert!(brain.log().contains(&refused), "{}", brain.log());
    connect(address, &brain.authority, eve()).await.unwrap();

    brain.renew(&successor);
    brain.reload().await;
    assert!(brain.log().contains("gRPC certificates read"), "{}", brain.log());
    assert!(connect(address, &brain.authority, eve()).await.is_err(), "it has another certificate");
    connect(address, &successor, eve()).await.unwrap().get_status(GetStatusRequest {}).await.unwrap();
    stands.get_status(GetStatusRequest {}).await.unwrap();
}

/// A configuration with a check of the TLS server at this local port, without `ca-file`.
fn checking(port: u16) -> String {
    CONFIG
        .replace(
            "  backends:",
            &format!(
                "  healthchecks:
    tls: {{ type: tcp, port: {port}, interval: 100ms, timeout: 5s, params: {{ ssl: true, sni: a.example }} }}
  backends:"
            ),
        )
        .replace("address: 10.0.0.1", "address: 127.0.0.1, healthcheck: tls")
}

/// A TLS server for `a.example`, with a certificate of this authority.
async fn serve(authority: &Authority) -> u16 {
    let (chain, key) = authority.issue(&["a.example"], None);
    let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    port
}

/// The system's authorities are read together with the configuration.
#[tokio::test]
async fn the_systems_authorities_are_read_at_a_reload() {
    let mut brain = Brain::new();
    let other = Authority::new();
    brain.write("maglev.yaml", &checking(serve(&other).await));
    brain.write("system.pem", &brain.authority.0.pem());
    let mut command = brain.with_files();
    command.env("SSL_CERT_FILE", brain.path("system.pem"));
    let address = brain.start(command).await;
    let admin = brain.authority.issue(&[], Some("eve"));
    let mut client = connect(address, &brain.authority, admin).await.unwrap();
    let mut find = async |wanted: &str| {
        let found = timeout(PATIENCE, async {
            loop {
                let backend = GetBackendRequest { name: "b1".to_owned() };
                let probe = client.get_backend(backend).await.unwrap().into_inner().last_probe;
                if probe.is_some_and(|probe| probe.detail == wanted) {
                    return;
                }
            }
        });
        assert!(found.await.is_ok(), "{wanted}: {}", brain.log());
    };
    find("certificate is not signed with its authority's key").await;
    brain.write("system.pem", &other.0.pem());
    brain.reload().await;
    find("TLS handshake complete").await;
    brain.write("system.pem", "nothing");
    brain.reload().await;
    find(
        "this machine has no certificate authorities to verify with: install ca-certificates and reload, or set `ca-file`",
    )
    .await;
}

/// Checked section by section, like a `ca-file`.
#[tokio::test]
async fn the_systems_authorities_are_checked() {
    let brain = Brain::new();
    brain.write("maglev.yaml", &checking(1));
    let mut params = CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let expired = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let trusted = brain.authority.0.pem().replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let check = |contents: &str| {
        brain.write("system.pem", contents);
        let mut command = brain.command();
        command.arg("--check").env("SSL_CERT_FILE", brain.path("system.pem"));
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr)
            .unwrap()
            .replace(&brain.folder.path().display().to_string(), "FOLDER")
    };
    let said = check(&format!("{expired}{trusted}"));
    for expected in [
        "the system's authorities: 1 have expired or are not valid yet; the first: the section at line 1 of FOLDER/system.pem is the \
         certificate",
        "the system's authorities: the section at line 11 of FOLDER/system.pem is a `TRUSTED CERTIFICATE`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let said = check("");
    assert!(
        said.contains("none found: checks and webhooks without `ca-file` cannot verify certificates"),
        "{said}"
    );
}

#[tokio::test]
async fn doubtful_certificate_is_warned_of_and_served() {
    let mut brain = Brain::new();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let key = KeyPair::generate().unwrap();
    brain.write("cert.pem", &params.signed_by(&key, &brain.authority.0).unwrap().pem());
    brain.write("key.pem", &key.serialize_pem());
    brain.start(brain.with_files()).await;
    let doubt = format!(
        "--grpc-cert {}: its certificate has expired on 2020-01-02T00:00:00Z: renew it, and reload",
        brain.path("cert.pem").display()
    );
    assert!(brain.log().contains(&doubt), "{}", brain.log());
}

#[tokio::test]
async fn wrong_arguments_are_refused_in_words() {
    let brain = Brain::new();
    let with = |arguments: &[&str]| {
        let mut command = brain.command();
        command.args(arguments);
        brain.refusal(command)
    };
    assert_eq!(
        with(&["--grpc", "tls:0.0.0.0:0"]),
        "maglev-brain: cannot listen on tls:0.0.0.0:0 without certificates: use --grpc-cert, --grpc-key and \
        --grpc-client-ca\n"
    );
    assert_eq!(
        with(&["--grpc", "tls:0.0.0.0:0", "--grpc-cert", "/cert.pem", "--grpc-key", "/key.pem"]),
        "maglev-brain: TLS needs --grpc-cert, --grpc-key and --grpc-client-ca, but --grpc-client-ca is missing\n"
    );
    let plain = with(&["--grpc", "0.0.0.0:9090"]);
    let right = "0.0.0.0:9090 is not a loopback address, and only those are served without encryption: use \
                 tls:0.0.0.0:9090, 127.0.0.1:9090, [::1]:9090 or unix:PATH";
    assert!(plain.contains(right), "{plain}");
    let named = with(&["--grpc", "tls:localhost:9443"]);
    let right = "\"tls:localhost:9443\" is not a listening address: use tls:ADDRESS:PORT or tls:[IPV6]:PORT";
    assert!(named.contains(right), "{named}");
    let nobody = with(&["--grpc-admin-cert", "alice,,bob"]);
    assert!(nobody.contains("the name of a certificate must not be empty"), "{nobody}");
}

#[tokio::test]
async fn missing_certificates_keep_no_backend_unchecked_and_are_read_once_they_are_there() {
    let mut brain = Brain::new();
    let (path, authorities) = (brain.path("ca.pem"), std::fs::read(brain.path("ca.pem")).unwrap());
    std::fs::remove_file(&path).unwrap();
    let command = brain.with_files();
    let address = brain.start(command).await;
    let reason = format!("--grpc-client-ca {}: it cannot be read: No such file or directory", path.display());
    // Systemd may have been told before it was told that the brain is ready.
    let said = async {
        while !brain.log().contains(&reason) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("{}", brain.log()));
    std::fs::write(&path, authorities).unwrap();
    let client = brain.authority.issue(&[], Some("alice"));
    connect(address, &brain.authority, client).await.unwrap();
}
