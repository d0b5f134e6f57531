//! The network namespace that the process must have been started in.
//!
//! The brain never enters a namespace, which would need a privilege. It only checks that it is in the
//! configured one, since probes from elsewhere would judge the wrong network.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why the process must not start.
#[derive(Debug, thiserror::Error)]
pub enum WrongNamespace {
    /// The namespace does not exist, or is not accessible.
    #[error("healthchecker.netns is {name:?}, but {}: {error}", path.display())]
    Unknown {
        /// Name of the namespace.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
    /// The process is in another namespace.
    #[error(
        "healthchecker.netns is {name:?}, but this process is in another network namespace. \
         Put it there with this line in the [Service] section of its unit: NetworkNamespacePath={}",
        path.display()
    )]
    Elsewhere {
        /// Name of the namespace.
        name: String,
        /// Value for the unit's setting.
        path: PathBuf,
    },
}

/// Checks that this process is in the named namespace, in the sense of `ip netns`.
pub fn check(name: &str) -> Result<(), WrongNamespace> {
    compare(name, Path::new("/run/netns"), Path::new("/proc/self/ns/net"))
}

fn compare(name: &str, named: &Path, own: &Path) -> Result<(), WrongNamespace> {
    let path = named.join(name);
    let identity = |of: &Path| std::fs::metadata(of).map(|metadata| (metadata.dev(), metadata.ino()));
    let unknown = |error| WrongNamespace::Unknown { name: name.to_owned(), path: path.clone(), error };
    if identity(&path).map_err(unknown)? == identity(own).map_err(unknown)? {
        Ok(())
    } else {
        Err(WrongNamespace::Elsewhere { name: name.to_owned(), path })
    }
}

#[cfg(test)]
mod tests;
