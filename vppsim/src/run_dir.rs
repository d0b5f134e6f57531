//! The folder with the sockets.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{info, warn};

/// The sockets of one simulator. They are removed when this is dropped.
#[derive(Debug)]
pub struct RunDir(SocketPaths);

/// Where the sockets are. Clones own nothing.
#[derive(Debug, Clone)]
pub struct SocketPaths {
    /// VPP's API socket.
    pub api: PathBuf,
    /// VPP's stats socket.
    pub stats: PathBuf,
    /// The socket that takes faults.
    pub control: PathBuf,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder {}: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody serves there.
    #[error("{} is in use: another process listens there; stop it, or give another --run-dir", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{} is not a socket; remove it, or give another --run-dir", .0.display())]
    NotASocket(PathBuf),
    /// The path cannot be looked at, or what was left there cannot be removed.
    #[error("cannot use {}: {error}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl RunDir {
    /// Makes the folder if it is not there, and removes sockets that a dead process left in it.
    ///
    /// # Errors
    /// When a live process listens there, or the paths cannot be used.
    pub fn claim(folder: &Path) -> Result<Self, RunDirError> {
        fs::create_dir_all(folder).map_err(|error| RunDirError::Folder { path: folder.to_owned(), error })?;
        let path = |name| folder.join(name);
        let paths =
            SocketPaths { api: path("api.sock"), stats: path("stats.sock"), control: path("control.sock") };
        clear(&paths.api, Type::STREAM)?;
        clear(&paths.stats, Type::SEQPACKET)?;
        clear(&paths.control, Type::STREAM)?;
        Ok(Self(paths))
    }

    /// Path of the API socket.
    pub fn api(&self) -> &Path {
        &self.0.api
    }

    /// Path of the stats socket.
    pub fn stats(&self) -> &Path {
        &self.0.stats
    }

    /// Path of the socket that takes faults.
    pub fn control(&self) -> &Path {
        &self.0.control
    }

    /// Where the sockets are.
    pub fn paths(&self) -> &SocketPaths {
        &self.0
    }
}

impl SocketPaths {
    /// Removes VPP's own sockets, as if it had died.
    pub fn remove_vpp_sockets(&self) {
        remove(&self.api);
        remove(&self.stats);
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        self.0.remove_vpp_sockets();
        remove(&self.0.control);
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(path = %path.display(), %error, "a socket is left behind");
        }
        _ => {}
    }
}

fn clear(path: &Path, kind: Type) -> Result<(), RunDirError> {
    let unusable = |error| RunDirError::Path { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(RunDirError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    if is_served(path, kind).map_err(unusable)? {
        return Err(RunDirError::InUse(path.to_owned()));
    }
    info!(path = %path.display(), "replacing a socket that nobody listens at");
    fs::remove_file(path).map_err(unusable)
}

/// A socket whose process is dead refuses connections. One that cannot take more of them just now is alive.
fn is_served(path: &Path, kind: Type) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}
