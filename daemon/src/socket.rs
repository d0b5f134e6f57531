//! A daemon's listening unix socket: created with its mode, taken over from a dead predecessor, removed at
//! the end.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tracing::{info, warn};

/// Why a socket could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error("cannot listen on {}: another process already does", .0.display())]
    InUse(PathBuf),
    /// The existing file is not a socket.
    #[error("cannot listen on {}: that file is not a socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The operating system refused.
    #[error("cannot {action} {}: {error}", path.display())]
    Refused {
        /// The operation that failed.
        action: &'static str,
        /// The socket.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// The file of a listening socket. Dropping this removes it, unless a successor has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens at a path, with this mode and at most `backlog` connections waiting to be accepted. Replaces a
/// socket that nobody listens on.
///
/// # Errors
/// When another process listens there or might, something else is there, or the operating system refuses.
pub async fn listen(path: &Path, mode: u32, backlog: u32) -> Result<(UnixListener, SocketFile), SocketError> {
    let refused = |action| move |error| SocketError::Refused { action, path: path.to_owned(), error };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(SocketError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(refused("replace"))?;
                info!(socket = %path.display(), "stale socket replaced");
            }
            // Its backlog may be full, or it may belong to another user: something may well listen there.
            Err(error) => return Err(refused("find out who listens on")(error)),
        },
    }
    let socket = UnixSocket::new_stream().map_err(refused("make a socket for"))?;
    // The file is created with the socket's own mode, minus the umask, so it is never open to others, even
    // briefly.
    fchmod(&socket, Mode::from_bits_truncate(mode))
        .map_err(|error| refused("set the mode of")(error.into()))?;
    socket.bind(path).map_err(refused("listen on"))?;
    let identity = identity(path).map_err(refused("look at"))?;
    let file = SocketFile { path: path.to_owned(), identity };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(refused("set the mode of"))?;
    Ok((socket.listen(backlog).map_err(refused("listen on"))?, file))
}

/// Device and inode of a file.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            warn!(socket = %self.path.display(), %error, "socket cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
