//! What an operator says, on the command line, of operators' gRPC.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tracing::{info, warn};

use super::access::{Access, AccessSettings, Loopback, NoSuchGroup};
use super::listen::{Gate, ListenAddress, ListenError, Listener};
use super::tls::{TlsFiles, TlsSource};
use crate::service::InheritedSocket;

/// Where the brain listens if nothing is said.
const DEFAULT_TCP: ([u8; 4], u16) = ([127, 0, 0, 1], 17090);
/// The same; the unit makes its directory.
const DEFAULT_UNIX: &str = "/run/maglev-brain/brain.sock";

/// Where operators' gRPC listens, and who may do what.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Arguments {
    /// Where operators' gRPC listens: a loopback ADDRESS:PORT, tls:ADDRESS:PORT, or unix:PATH. May be given several
    /// times, or with commas [default: 127.0.0.1:17090 and unix:/run/maglev-brain/brain.sock]
    #[arg(long, env = "MAGLEV_GRPC", value_name = "ADDR", value_delimiter = ',')]
    grpc: Vec<ListenAddress>,

    /// Group whose members may change things over the unix socket, as root and the brain's own user may
    /// [default: maglev-admin, if there is one]
    #[arg(long, env = "MAGLEV_GRPC_ADMIN_GROUP", value_name = "NAME")]
    grpc_admin_group: Option<String>,

    /// Group whose members may read over the unix socket [default: maglev, if there is one]
    #[arg(long, env = "MAGLEV_GRPC_GROUP", value_name = "NAME")]
    grpc_group: Option<String>,

    /// What those may do who connect to a loopback address without TLS: every user of this machine can, and
    /// nobody knows which one it is
    #[arg(long, env = "MAGLEV_GRPC_LOOPBACK", value_name = "ROLE", value_enum, default_value = "read-only")]
    grpc_loopback: Loopback,

    /// The brain's certificate for tls: addresses, followed by those between it and its authority, in PEM. Read again
    /// at SIGHUP, as are the next two
    #[arg(long, env = "MAGLEV_GRPC_CERT", value_name = "FILE")]
    grpc_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(long, env = "MAGLEV_GRPC_KEY", value_name = "FILE")]
    grpc_key: Option<PathBuf>,

    /// Authorities whose clients are let in at tls: addresses, in PEM: with a certificate of theirs one may read
    #[arg(long, env = "MAGLEV_GRPC_CLIENT_CA", value_name = "FILE")]
    grpc_client_ca: Option<PathBuf>,

    /// Name of a client's certificate with which one may change things: the common name of its subject, or a DNS
    /// name, e-mail address or URI among its alternative names. May be given several times, or with commas
    #[arg(long, env = "MAGLEV_GRPC_ADMIN_CERT", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    grpc_admin_cert: Vec<String>,
}

/// A name, without the blanks around it. An empty one would be that of everybody whose certificate has an empty one.
fn name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("the name of a certificate must not be empty; without admins, leave it out"),
        name => Ok(name.to_owned()),
    }
}

/// What operators connect to.
#[derive(Debug)]
pub struct Opened {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// Those that could not be opened now.
    pub missing: Vec<Missing>,
    /// If one of them needs it.
    pub tls: Option<Arc<TlsSource>>,
}

/// An address that is not listened on, since the system refuses, or the files for TLS cannot be used. The brain goes on:
/// backends are checked all the same.
#[derive(Debug)]
pub struct Missing {
    address: ListenAddress,
    tls: Option<Arc<TlsSource>>,
    /// The service manager's socket, if it has opened one.
    inherited: Option<InheritedSocket>,
}

impl Missing {
    /// Where.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Tries to open it.
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

/// Why operators' gRPC cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Some files are named, but not all of them.
    #[error("TLS needs --grpc-cert, --grpc-key and --grpc-client-ca, and {0} is missing")]
    Incomplete(&'static str),
}

impl Arguments {
    /// Who may do what.
    ///
    /// # Errors
    /// If a group is named that is not there.
    pub fn gate(&self) -> Result<Arc<Gate>, NoSuchGroup> {
        let access = Access::new(AccessSettings {
            admin_group: self.grpc_admin_group.clone(),
            reader_group: self.grpc_group.clone(),
            loopback: self.grpc_loopback,
        })?;
        Ok(Gate::new(access.with_admin_certificates(self.grpc_admin_cert.clone())))
    }

    /// Takes the sockets that the service manager has opened, or else opens those that were asked for, or else those
    /// that are open by default.
    ///
    /// # Errors
    /// If one of them must not be opened as it is. By default, the unix socket may be missing, if TCP is served.
    pub async fn open(&self, inherited: Vec<InheritedSocket>) -> Result<Opened, OpenError> {
        let tls = self.tls(&inherited)?;
        let mut opened = Opened { listeners: Vec::new(), missing: Vec::new(), tls: tls.clone() };
        if !inherited.is_empty() && !self.grpc.is_empty() {
            info!("the service manager's sockets are served, and not the addresses of --grpc");
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
            // The socket that needs them, if there is one, says so.
            (None, None, None) => return Ok(None),
            (Some(certificate), Some(key), Some(client_ca)) => {
                TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: client_ca.clone() }
            }
            (None, ..) => return Err(OpenError::Incomplete("--grpc-cert")),
            (_, None, _) => return Err(OpenError::Incomplete("--grpc-key")),
            (.., None) => return Err(OpenError::Incomplete("--grpc-client-ca")),
        };
        if !is_needed {
            warn!("--grpc-cert has no effect: no socket is served with TLS; say --grpc tls:ADDRESS:PORT");
            return Ok(None);
        }
        if self.grpc_admin_cert.is_empty() {
            info!("without --grpc-admin-cert, every client's certificate is read-only");
        }
        Ok(Some(Arc::new(TlsSource::new(files))))
    }

    /// Those that are asked for, or else the default ones.
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
                "no unix socket is served, since its directory is not there: without it, --grpc-loopback alone says \
                 who may do what; make the directory, or say --grpc unix:PATH"
            );
        }
        addresses
    }
}
