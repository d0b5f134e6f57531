//! What an operator says, on the command line, of operators' gRPC.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tracing::{info, warn};

use super::access::{Access, AccessSettings, Loopback, NoSuchGroup};
use super::listen::{Gate, ListenAddress, ListenError, Listener};
use crate::service::InheritedSocket;

/// Where the brain listens if nothing is said.
const DEFAULT_TCP: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);
/// The same; the unit makes its directory.
const DEFAULT_UNIX: &str = "/run/maglev-brain/brain.sock";

/// Where operators' gRPC listens, and who may do what.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Arguments {
    /// Where operators' gRPC listens: a loopback ADDRESS:PORT, or unix:PATH. May be given several times, or
    /// with commas [default: 127.0.0.1:9090 and unix:/run/maglev-brain/brain.sock]
    #[arg(long, env = "MAGLEV_GRPC", value_name = "ADDR", value_delimiter = ',')]
    grpc: Vec<ListenAddress>,

    /// Group whose members may change things over the unix socket, as root and the brain's own user may
    /// [default: maglev-admin, if there is one]
    #[arg(long, env = "MAGLEV_GRPC_ADMIN_GROUP", value_name = "NAME")]
    grpc_admin_group: Option<String>,

    /// Group whose members may read over the unix socket [default: maglev, if there is one]
    #[arg(long, env = "MAGLEV_GRPC_GROUP", value_name = "NAME")]
    grpc_group: Option<String>,

    /// What those may do who connect to a loopback address: every user of this machine can, and
    /// nobody knows which one it is
    #[arg(long, env = "MAGLEV_GRPC_LOOPBACK", value_name = "ROLE", value_enum, default_value = "read-only")]
    grpc_loopback: Loopback,
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
        Ok(Gate::new(access))
    }

    /// Takes the sockets that the service manager has opened, or else opens those that were asked for, or else those
    /// that are open by default.
    ///
    /// # Errors
    /// If one of them cannot be opened. By default, the unix socket may be missing, if TCP is served.
    pub async fn open(&self, inherited: Vec<InheritedSocket>) -> Result<Vec<Listener>, ListenError> {
        let mut listeners = Vec::new();
        for socket in inherited {
            listeners.push(Listener::inherited(socket)?);
        }
        if !listeners.is_empty() {
            if !self.grpc.is_empty() {
                info!("the service manager's sockets are served, and not the addresses of --grpc");
            }
            return Ok(listeners);
        }
        for address in &self.grpc {
            listeners.push(Listener::bind(address.clone()).await?);
        }
        if !listeners.is_empty() {
            return Ok(listeners);
        }
        if self.grpc_loopback != Loopback::Off {
            listeners.push(Listener::bind(ListenAddress::Tcp(DEFAULT_TCP.into())).await?);
        }
        let unix = Path::new(DEFAULT_UNIX);
        let is_there = unix.parent().is_some_and(Path::is_dir);
        if is_there || listeners.is_empty() {
            listeners.push(Listener::bind(ListenAddress::Unix(unix.to_owned())).await?);
        } else {
            warn!(
                socket = DEFAULT_UNIX,
                "no unix socket is served, since its directory is not there: without it, --grpc-loopback alone says \
                 who may do what; make the directory, or say --grpc unix:PATH"
            );
        }
        Ok(listeners)
    }
}
