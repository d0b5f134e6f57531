//! Connections, over TCP, TLS or a unix socket.

mod last_word;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::service_fn;

use last_word::LastWord;

use super::ServerAddress;

/// Time between pings, which detect a server that has silently disappeared.
const PING: Duration = Duration::from_secs(10);

/// A host name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the name is not known")]
pub struct Unresolved(#[source] pub io::Error);

/// TLS files in PEM, for servers of the form `tls:HOST:PORT`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TlsFiles {
    /// CA certificates for verifying a tls: server, in PEM
    #[arg(long = "tls-ca", global = true, env = "MAGLEV_TLS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Client certificate for a tls: server, followed by its intermediates, in PEM
    #[arg(long = "tls-cert", global = true, env = "MAGLEV_TLS_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of the client certificate, in PEM
    #[arg(long = "tls-key", global = true, env = "MAGLEV_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Why a connection cannot be attempted.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address makes no URI.
    #[error(transparent)]
    Address(tonic::transport::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The files do not make a certificate.
    #[error(transparent)]
    Certificate(tonic::transport::Error),
    /// A file is missing, or is no PEM.
    #[error("{0}")]
    Files(String),
}

/// Settings of a connection. `timeout` limits the wait for the answer to a ping.
///
/// # Errors
/// If the TLS files cannot be used.
pub fn endpoint(server: &ServerAddress, tls: &TlsFiles, timeout: Duration) -> Result<Endpoint, SetupError> {
    let scheme = if matches!(server, ServerAddress::Tls { .. }) { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", server.authority()))
        .map_err(SetupError::Address)?
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(timeout);
    match server {
        ServerAddress::Tls { host, .. } => {
            let config = tls_config(tls)?.domain_name(host.split_once('%').map_or(host.as_str(), |it| it.0));
            endpoint.tls_config(config).map_err(SetupError::Certificate)
        }
        ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => Ok(endpoint),
    }
}

fn tls_config(files: &TlsFiles) -> Result<ClientTlsConfig, SetupError> {
    let ca = files.ca.as_deref().ok_or_else(|| {
        SetupError::Files(
            "a tls: server needs --tls-ca, the certificates of the authorities to trust".to_owned(),
        )
    })?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca, "CERTIFICATE")?));
    match (files.cert.as_deref(), files.key.as_deref()) {
        (Some(cert), Some(key)) => {
            Ok(config.identity(Identity::from_pem(read(cert, "CERTIFICATE")?, read(key, "PRIVATE KEY")?)))
        }
        (None, None) => Ok(config),
        (Some(_), None) => Err(SetupError::Files("--tls-cert needs its key: --tls-key FILE".to_owned())),
        (None, Some(_)) => {
            Err(SetupError::Files("--tls-key needs its certificate: --tls-cert FILE".to_owned()))
        }
    }
}

/// The library treats a file without the wanted section as an empty list, without an error.
fn read(path: &Path, kind: &str) -> Result<Vec<u8>, SetupError> {
    let text = std::fs::read(path).map_err(|error| SetupError::File { path: path.to_owned(), error })?;
    let is_there = String::from_utf8_lossy(&text)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----")));
    if is_there {
        Ok(text)
    } else {
        let path = path.display();
        Err(SetupError::Files(format!("{path} has no line `-----BEGIN {kind}-----`: it must be in PEM")))
    }
}

/// Connects directly rather than through tonic, whose errors would hide the operating system's.
///
/// # Errors
/// If nobody answers there.
pub async fn connect(endpoint: Endpoint, server: &ServerAddress) -> Result<Channel, tonic::transport::Error> {
    match server.clone() {
        ServerAddress::Tcp { host, port } | ServerAddress::Tls { host, port } => {
            let connector = service_fn(move |_| connect_tcp(host.clone(), port));
            endpoint.connect_with_connector(connector).await
        }
        ServerAddress::Unix(path) => {
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
            });
            endpoint.connect_with_connector(connector).await
        }
    }
}

async fn connect_tcp(
    host: String,
    port: u16,
) -> Result<TokioIo<LastWord>, Box<dyn std::error::Error + Send + Sync>> {
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(Unresolved)?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(LastWord(stream)))
}
