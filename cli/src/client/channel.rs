//! Connections, over TCP, TLS or a unix socket.

mod last_word;

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::service_fn;

use crate::address::ServerAddress;
use crate::args::TlsFiles;
use crate::client::channel::last_word::LastWord;
use crate::error::Error;

/// Time between pings, which find out that a server is gone without a word.
const PING: Duration = Duration::from_secs(10);

/// A host name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the name is not known")]
pub(crate) struct Unresolved(#[source] pub(crate) io::Error);

/// `timeout` holds for the answer to a ping.
pub(super) fn endpoint(server: &ServerAddress, tls: &TlsFiles, timeout: Duration) -> Result<Endpoint, Error> {
    let scheme = if matches!(server, ServerAddress::Tls { .. }) { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", server.authority()))
        .map_err(|error| Error::connect(server, &error))?
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(timeout);
    match server {
        ServerAddress::Tls { host, .. } => {
            let config = tls_config(tls)?.domain_name(host.split_once('%').map_or(host.as_str(), |it| it.0));
            endpoint.tls_config(config).map_err(|error| Error::tls_setup(&error))
        }
        ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => Ok(endpoint),
    }
}

fn tls_config(files: &TlsFiles) -> Result<ClientTlsConfig, Error> {
    let ca = files.ca.as_deref().ok_or_else(|| {
        Error::TlsSetup(
            "a tls: server needs --tls-ca, the certificates of the authorities to trust".to_owned(),
        )
    })?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca, "CERTIFICATE")?));
    match (files.cert.as_deref(), files.key.as_deref()) {
        (Some(cert), Some(key)) => {
            Ok(config.identity(Identity::from_pem(read(cert, "CERTIFICATE")?, read(key, "PRIVATE KEY")?)))
        }
        (None, None) => Ok(config),
        (Some(_), None) => Err(Error::TlsSetup("--tls-cert needs its key: --tls-key FILE".to_owned())),
        (None, Some(_)) => {
            Err(Error::TlsSetup("--tls-key needs its certificate: --tls-cert FILE".to_owned()))
        }
    }
}

/// The library takes a file without what it looks for as an empty list, and says nothing.
fn read(path: &Path, kind: &str) -> Result<Vec<u8>, Error> {
    let text = std::fs::read(path).map_err(|error| Error::TlsFile { path: path.to_owned(), error })?;
    let is_there = String::from_utf8_lossy(&text)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----")));
    if is_there {
        Ok(text)
    } else {
        let path = path.display();
        Err(Error::TlsSetup(format!("{path} has no line `-----BEGIN {kind}-----`: it must be in PEM")))
    }
}

/// Connects by itself rather than by tonic, whose errors would hide the operating system's.
pub(super) async fn connect(
    endpoint: Endpoint,
    server: &ServerAddress,
) -> Result<Channel, tonic::transport::Error> {
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
