//! Command-line options of the operators' gRPC server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tracing::{info, warn};

use super::access::{Access, AccessSettings, Loopback, NoSuchGroup};
use super::listen::{Gate, ListenAddress, ListenError, Listener};
use super::tls::{TlsFiles, TlsSource};
use crate::service::InheritedSocket;

/// Default TCP address.
const DEFAULT_TCP: ([u8; 4], u16) = ([127, 0, 0, 1], 17090);
/// Default unix socket; the unit creates its directory.
const DEFAULT_UNIX: &str = "/run/maglev-brain/brain.sock";

/// Where operators' gRPC listens, and who may do what.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Arguments {
    /// Address of the operators' gRPC server: a loopback ADDRESS:PORT, tls:ADDRESS:PORT, or unix:PATH. May be given several
    /// times, or with commas [default: 127.0.0.1:17090 and unix:/run/maglev-brain/brain.sock]
    #[arg(long, env = "MAGLEV_GRPC", value_name = "ADDR", value_delimiter = ',')]
    grpc: Vec<ListenAddress>,

    /// Group whose members may make changes over the unix socket, besides root and the brain's own user [default:
    /// maglev-admin, if it exists]
    #[arg(long, env = "MAGLEV_GRPC_ADMIN_GROUP", value_name = "NAME")]
    grpc_admin_group: Option<String>,

    /// Group whose members may read over the unix socket [default: maglev, if it exists]
    #[arg(long, env = "MAGLEV_GRPC_GROUP", value_name = "NAME")]
    grpc_group: Option<String>,

    /// Rights of clients on a loopback address without TLS, which any user of this machine can be, anonymously
    #[arg(long, env = "MAGLEV_GRPC_LOOPBACK", value_name = "ROLE", value_enum, default_value = "read-only")]
    grpc_loopback: Loopback,

    /// The brain's certificate for tls: addresses, followed by its intermediates, in PEM. Read again at SIGHUP,
    /// like the next two
    #[arg(long, env = "MAGLEV_GRPC_CERT", value_name = "FILE")]
    grpc_cert: Option<PathBuf>,

    /// Private key of that certificate, in PEM
    #[arg(long, env = "MAGLEV_GRPC_KEY", value_name = "FILE")]
    grpc_key: Option<PathBuf>,

    /// CA certificates of the clients at tls: addresses, in PEM; a client with a certificate may read
    #[arg(long, env = "MAGLEV_GRPC_CLIENT_CA", value_name = "FILE")]
    grpc_client_ca: Option<PathBuf>,

    /// Name in a client certificate that may make changes: its common name, or a DNS name, e-mail address or URI
    /// among its alternative names. May be given several times, or with commas
    #[arg(long, env = "MAGLEV_GRPC_ADMIN_CERT", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    grpc_admin_cert: Vec<String>,
}

/// A name, trimmed. An empty one would match every certificate with an empty name.
fn name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("the name of a certificate must not be empty; without admins, leave it out"),
        name => Ok(name.to_owned()),
    }
}

/// The opened listeners.
#[derive(Debug)]
pub struct Opened {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// Addresses that could not be opened yet.
    pub missing: Vec<Missing>,
    /// Present if one of them needs it.
    pub tls: Option<Arc<TlsSource>>,
}

/// An address that cannot be listened on for now, since the system refuses or the TLS files cannot be used. The
/// brain goes on: backends are checked all the same.
#[derive(Debug)]
pub struct Missing {
    address: ListenAddress,
    tls: Option<Arc<TlsSource>>,
    /// The service manager's socket for it, if there is one.
    inherited: Option<InheritedSocket>,
}

impl Missing {
    /// The address.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Retries to open it.
    ///
    /// # Errors
    /// If it cannot be opened yet.
    pub async fn open(&self) -> Result<Listener, ListenError> {
        let tls = match (&self.address, &self.tls) {
            (ListenAddress::Tls(_), Some(source)) => Some(source.get().await?),
            _ => None,
        };
        match (&self.inherited, &self.address, tls) {
            (Some(socket), address, tls) => {
                let refused = |error| ListenError::Refused { address: address.clone(), error };
                Listener::inherited(socket.try_clone().map_err(refused)?, tls.as_ref())
            }
            (None, ListenAddress::Tls(address), Some(tls)) => Listener::bind_tls(*address, tls).await,
            (None, address, _) => Listener::bind(address.clone()).await,
        }
    }
}

/// Why the listeners cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Only some of the required files are given.
    #[error("TLS needs --grpc-cert, --grpc-key and --grpc-client-ca, but {0} is missing")]
    Incomplete(&'static str),
}

impl Arguments {
    /// The access rules.
    ///
    /// # Errors
    /// If a configured group does not exist.
    pub fn gate(&self) -> Result<Arc<Gate>, NoSuchGroup> {
        let access = Access::new(AccessSettings {
            admin_group: self.grpc_admin_group.clone(),
            reader_group: self.grpc_group.clone(),
            loopback: self.grpc_loopback,
        })?;
        Ok(Gate::new(access.with_admin_certificates(self.grpc_admin_cert.clone())))
    }

    /// Uses the service manager's sockets, otherwise opens the configured ones, otherwise the default ones.
    ///
    /// # Errors
    /// If one of them must not be opened. Of the defaults, the unix socket may be missing if TCP works.
    pub async fn open(&self, inherited: Vec<InheritedSocket>) -> Result<Opened, OpenError> {
        let tls = self.tls(&inherited)?;
        let mut opened = Opened { listeners: Vec::new(), missing: Vec::new(), tls: tls.clone() };
        if !inherited.is_empty() && !self.grpc.is_empty() {
            info!("the service manager's sockets are served instead of the addresses of --grpc");
        }
        let addresses = if inherited.is_empty() { self.addresses() } else { Vec::new() };
        let addresses = addresses.into_iter().map(|address| (address, None));
        for (address, inherited) in
            inherited.into_iter().map(|socket| (socket.address(), Some(socket))).chain(addresses)
        {
            let missing = Missing { address, tls: tls.clone(), inherited };
            match missing.open().await {
                Ok(listener) => opened.listeners.push(listener),
                Err(ListenError::Refused { .. } | ListenError::Unix(_) | ListenError::Tls(_)) => {
                    opened.missing.push(missing);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(opened)
    }

    fn tls(&self, inherited: &[InheritedSocket]) -> Result<Option<Arc<TlsSource>>, OpenError> {
        let is_needed = if inherited.is_empty() {
            self.grpc.iter().any(|address| matches!(address, ListenAddress::Tls(_)))
        } else {
            inherited.iter().any(|socket| matches!(socket, InheritedSocket::Tls(..)))
        };
        let files = match (&self.grpc_cert, &self.grpc_key, &self.grpc_client_ca) {
            // A socket that needs them, if there is one, reports the error.
            (None, None, None) => return Ok(None),
            (Some(certificate), Some(key), Some(client_ca)) => {
                TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: client_ca.clone() }
            }
            (None, ..) => return Err(OpenError::Incomplete("--grpc-cert")),
            (_, None, _) => return Err(OpenError::Incomplete("--grpc-key")),
            (.., None) => return Err(OpenError::Incomplete("--grpc-client-ca")),
        };
        if !is_needed {
            warn!("--grpc-cert has no effect: no socket is served with TLS; use --grpc tls:ADDRESS:PORT");
            return Ok(None);
        }
        if self.grpc_admin_cert.is_empty() {
            info!("without --grpc-admin-cert, every client's certificate is read-only");
        }
        Ok(Some(Arc::new(TlsSource::new(files))))
    }

    /// The configured addresses, otherwise the defaults.
    fn addresses(&self) -> Vec<ListenAddress> {
        if !self.grpc.is_empty() {
            return self.grpc.clone();
        }
        let mut addresses = Vec::new();
        if self.grpc_loopback != Loopback::Off {
            addresses.push(ListenAddress::Tcp(DEFAULT_TCP.into()));
        }
        let unix = Path::new(DEFAULT_UNIX);
        let is_there = unix.parent().is_some_and(Path::is_dir);
        if is_there || addresses.is_empty() {
            addresses.push(ListenAddress::Unix(unix.to_owned()));
        } else {
            warn!(
                socket = DEFAULT_UNIX,
                "no unix socket is served, since its directory is not there: without it, access depends on \
                --grpc-loopback alone; create the directory, or use --grpc unix:PATH"
            );
        }
        addresses
    }
}
