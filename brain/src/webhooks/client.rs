//! The HTTP client of a webhook: one POST on a connection of its own, without redirects, within a time limit.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use maglev_daemon::blocking::Blocking;
use maglev_engine::config::{TlsCheck, Webhook};
use maglev_probe::{TlsClient, files};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// Maximum size of a secret, in bytes.
pub(crate) const LARGEST_SECRET: u64 = 4096;
/// Maximum size of an answer's head, in bytes. Its body is not read.
const LARGEST_HEAD: usize = 16 << 10;
/// Time limit of reading the secret and looking up the host. A disk or name server that hangs costs one thread.
const PREPARED_WITHIN: Duration = Duration::from_secs(30);

/// A signed delivery.
pub(super) struct Request {
    pub(super) timestamp: u64,
    pub(super) signature: String,
    pub(super) body: String,
}

pub(super) struct Client {
    settings: Arc<Webhook>,
    tls: Option<TlsClient>,
    preparing: Blocking,
}

/// Reads the secret of a webhook: the file's text without the line break at its end. Blocks.
///
/// # Errors
/// The reason, as the rest of a sentence, never with a part of the secret.
pub(crate) fn secret(file: &Path) -> Result<Vec<u8>, String> {
    let mut secret =
        files::read_regular(file, LARGEST_SECRET).map_err(|error| format!("cannot be read: {error}"))?;
    let length = secret.trim_ascii_end().len();
    secret.truncate(length);
    if secret.is_empty() { Err("is empty".to_owned()) } else { Ok(secret) }
}

impl Client {
    pub(super) fn new(settings: &Arc<Webhook>) -> Self {
        let check = TlsCheck { verify: true, sni: None, ca_file: settings.ca_file.clone() };
        let tls = settings.url.is_https.then(|| TlsClient::new(&check, Some(&settings.url.authority)));
        let preparing = Blocking::new("looking up the receiver and reading the secret", 1, PREPARED_WITHIN);
        Self { settings: Arc::clone(settings), tls, preparing }
    }

    /// Makes one request; the status of its answer, or why there is none.
    pub(super) async fn post(&self, sign: impl FnOnce(&[u8]) -> Request) -> Result<u16, String> {
        let limit = self.settings.timeout;
        let deadline = Instant::now() + limit;
        let late = |_| format!("no answer within {limit:?}");
        timeout_at(deadline, self.post_until(sign, deadline)).await.map_err(late)?
    }

    async fn post_until(
        &self,
        sign: impl FnOnce(&[u8]) -> Request,
        deadline: Instant,
    ) -> Result<u16, String> {
        let settings = Arc::clone(&self.settings);
        let prepared = self.preparing.run(move || prepare(&settings)).await;
        let (secret, addresses) = prepared.map_err(|error| error.to_string())??;
        let stream =
            TcpStream::connect(&*addresses).await.map_err(|error| format!("not connected: {error}"))?;
        let peer = stream.peer_addr().map_err(|error| format!("not connected: {error}"))?;
        let request = sign(&secret);
        match &self.tls {
            None => self.exchange(stream, request).await,
            Some(tls) => {
                let stream = Box::pin(tls.handshake(stream, peer.ip(), deadline)).await;
                self.exchange(stream.map_err(|(_, detail)| format!("TLS: {detail}"))?, request).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, request: Request) -> Result<u16, String>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let url = &self.settings.url;
        let request = hyper::Request::post(&url.path)
            .header(HOST, &url.authority)
            .header(USER_AGENT, concat!("maglev-brain/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("X-Maglev-Timestamp", request.timestamp)
            .header("X-Maglev-Signature", request.signature)
            .body(Full::new(Bytes::from(request.body)))
            .map_err(|error| format!("no request can be made: {error}"))?;
        let failed = |error: hyper::Error| format!("no valid answer: {error}");
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LARGEST_HEAD);
        let (mut requests, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Closed with the answer's head, or with this future.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        Ok(requests.send_request(request).await.map_err(failed)?.status().as_u16())
    }
}

fn prepare(settings: &Webhook) -> Result<(Vec<u8>, Vec<SocketAddr>), String> {
    let secret = secret(&settings.secret_file)
        .map_err(|problem| format!("the file {} {problem}", settings.secret_file.display()))?;
    let found = (settings.url.host.as_str(), settings.url.port).to_socket_addrs();
    let addresses: Vec<_> = found.map_err(|error| format!("the receiver's name: {error}"))?.collect();
    if addresses.is_empty() {
        Err("the receiver's name has no address".to_owned())
    } else {
        Ok((secret, addresses))
    }
}
