//! The agent's socket: made with its mode, taken over from a dead predecessor, removed at the end.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tracing::{info, warn};

/// For the agent's user and group.
const MODE: u32 = 0o660;
/// Connections that wait to be accepted; the kernel refuses further ones.
const BACKLOG: u32 = 16;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("{} is in use: another agent listens there", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// What is there was not made by an agent.
    #[error("{} is there and is no socket: remove it, or choose another path", path.display())]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A listening socket. Its file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Listener {
    /// Listens at a path, for this user and this group. A socket that nobody listens at is replaced.
    ///
    /// # Errors
    /// When another agent listens there, something else lies there, or the kernel refuses.
    pub async fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |action| move |source| ListenError::Io { action, path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at")(error)),
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(ListenError::NoSocket { path: path.to_owned() });
            }
            Ok(_) => match UnixStream::connect(path).await {
                Ok(_) => return Err(ListenError::InUse { path: path.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(failed("replace"))?;
                    info!(socket = %path.display(), "the socket of an agent that is gone was replaced");
                }
                Err(error) => return Err(failed("find out who listens at")(error)),
            },
        }
        let socket = UnixSocket::new_stream().map_err(failed("make a socket for"))?;
        // The file is made with the socket's own mode, less the umask: it is never open to others, not for a moment.
        let mode = Mode::from_bits_truncate(MODE);
        fchmod(&socket, mode).map_err(|error| failed("set the mode of")(error.into()))?;
        socket.bind(path).map_err(failed("listen at"))?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed("set the mode of"))?;
        let socket = socket.listen(BACKLOG).map_err(failed("listen at"))?;
        let metadata = std::fs::symlink_metadata(path).map_err(failed("look at"))?;
        Ok(Self { socket, path: path.to_owned(), file: (metadata.dev(), metadata.ino()) })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A successor may have replaced it already.
        let file = std::fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if file.is_ok_and(|file| file == self.file)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            warn!(socket = %self.path.display(), %error, "the agent's socket cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
