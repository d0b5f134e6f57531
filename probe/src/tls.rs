//! The TLS client of health checks and webhooks.
//!
//! TLS 1.2 and 1.3. Each handshake is a full one: a resumed session would not show what a new client meets.
//! Like HAProxy's checks, it sends no ALPN, except for gRPC: a server that knows the protocol needs no hint, and
//! one that does not may refuse it. There is no client certificate.
//!
//! Limits on a hostile server, besides the deadline: rustls holds at most 64 KiB of an incomplete handshake
//! message (`MAX_HANDSHAKE_SIZE` in its `msgs/deframer`), and as much of a certificate chain
//! (`CERTIFICATE_MAX_SIZE_LIMIT` in its `msgs/handshake`), ends a handshake after a few empty records or
//! warnings, and keeps 16 KiB of a record and as much of its plaintext. Verification cannot be interrupted;
//! [`trust`] bounds its work.

mod trust;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

use compact_str::CompactString;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use maglev_engine::config::TlsCheck;
use maglev_engine::outcome::{Finding, ProbeCode};
use maglev_tls::provider;
pub use trust::trust_system;
use trust::{System, Trust};

use super::connect;

/// The TLS client of one health check, prepared once so that a probe costs only its handshake.
#[derive(Debug, Clone)]
pub struct Client {
    /// Or why no handshake can be made.
    ready: Result<Ready, Arc<str>>,
}

#[derive(Debug, Clone)]
struct Ready {
    config: Arc<ClientConfig>,
    trust: Trust,
    /// `None` for the address of the backend.
    name: Option<ServerName<'static>>,
}

impl Client {
    /// A client that requests the check's `sni`, else `host` (of an HTTP check, possibly with a port), else
    /// no name, and then expects a certificate for the backend's address. An address is never sent as a
    /// server name (RFC 6066, 3), but the certificate must match it.
    pub fn new(tls: &TlsCheck, host: Option<&str>) -> Client {
        Self::with_system(tls, host, &trust::SYSTEM)
    }

    fn with_system(tls: &TlsCheck, host: Option<&str>, system: &'static System) -> Client {
        let trust = match &tls.ca_file {
            _ if !tls.verify => Trust::Anybody,
            Some(file) => Trust::Only(Arc::clone(&file.authorities)),
            None => Trust::System(system),
        };
        let ready = server_name(tls.sni.as_deref(), host)
            .and_then(|name| Ok(Ready { config: config(trust.clone())?, trust, name }));
        Client { ready }
    }

    /// The same, but negotiates HTTP/2.
    #[must_use]
    pub(super) fn for_http2(mut self) -> Client {
        if let Ok(ready) = &mut self.ready {
            Arc::make_mut(&mut ready.config).alpn_protocols = vec![HTTP2.to_vec()];
        }
        self
    }

    /// Makes one handshake with the backend at `target`.
    ///
    /// # Errors
    /// `L6TOUT` if it is not complete at the deadline; `L6RSP` if it failed; `SOCKERR` if this machine lacks
    /// something, such as the authorities to verify a certificate. Each with a description. The stream is
    /// closed then.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        target: IpAddr,
        deadline: Instant,
    ) -> Result<TlsStream<S>, Finding> {
        let ready = self.ready.as_ref().map_err(|why| (ProbeCode::SockErr, CompactString::from(&**why)))?;
        if !ready.trust.is_possible() {
            return Err((ProbeCode::SockErr, CompactString::const_new(NO_AUTHORITIES)));
        }
        let name = ready.name.clone().unwrap_or_else(|| ServerName::IpAddress(target.into()));
        let connecting = TlsConnector::from(Arc::clone(&ready.config)).connect(name, stream);
        match timeout_at(deadline, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                Err((connect::judge(&error, ProbeCode::L6Rsp), words::handshake(&error).into()))
            }
            Err(_) => Err((
                ProbeCode::L6Tout,
                CompactString::const_new("connected, but no complete TLS handshake in time"),
            )),
        }
    }
}

/// Fails a connection over which the server will not speak HTTP/2: clients of gRPC refuse it as well.
pub(super) fn require_http2<S>(stream: &TlsStream<S>) -> Result<(), Finding> {
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Ok(()),
        _ => Err((
            ProbeCode::L6Rsp,
            CompactString::const_new("the server does not negotiate HTTP/2 (ALPN h2), which gRPC requires"),
        )),
    }
}

/// HTTP/2 in ALPN.
const HTTP2: &[u8] = b"h2";

/// Describes the TLS cause of an error from a layer above, if there is one: an alert, a broken record.
///
/// In TLS 1.3 a server that requires a client certificate says so after the client's handshake is complete. A
/// check of the handshake alone has passed then, as in HAProxy; one that reads fails at its first read.
pub(super) fn fault(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    words::fault(error)
}

const NO_AUTHORITIES: &str = "this machine has no certificate authorities to verify with: \
                              install ca-certificates and reload, or set `ca-file`";

fn config(trust: Trust) -> Result<Arc<ClientConfig>, Arc<str>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Arc::from(format!("TLS cannot be used: {error}")))?;
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn server_name(sni: Option<&str>, host: Option<&str>) -> Result<Option<ServerName<'static>>, Arc<str>> {
    let Some(name) = sni.or(host.map(without_port)) else { return Ok(None) };
    match ServerName::try_from(name) {
        Ok(name) => Ok(Some(name.to_owned())),
        Err(_) => Err(Arc::from(format!(
            "{} cannot be a server's name in TLS: set `sni` to a DNS name or an address",
            words::bounded(name)
        ))),
    }
}

/// The name or address of a Host header: `a.example:8443`, `192.0.2.1`, `[2001:db8::1]:8443`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
