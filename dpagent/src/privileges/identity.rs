//! Switching from root to another user, for an agent started by hand. A service manager does that by itself.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getresgid, getresuid, initgroups, setresgid, setresuid};

/// Why the process could not switch users.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No such user or group.
    #[error("there is no {kind} {name:?} on this machine: expected USER or USER:GROUP")]
    Unknown {
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The user database cannot be read.
    #[error("cannot look up the {kind} {name:?}: {source}")]
    LookUp {
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
        /// The system's error.
        source: Errno,
    },
    /// Only root can switch to another user.
    #[error("cannot become {name:?}: only root can, and this is user {uid}; start it as that user")]
    NotRoot {
        /// The requested user.
        name: String,
        /// The current user.
        uid: Uid,
    },
    /// The kernel refused.
    #[error("cannot {action} of {name:?}: {source}")]
    Refused {
        /// The operation that failed.
        action: &'static str,
        /// The requested user.
        name: String,
        /// The kernel's error.
        source: Errno,
    },
    /// The switch succeeded, but not to the requested user and group.
    #[error("the process did not become {name:?}: it has user {uid} and group {gid}")]
    Else {
        /// The requested user.
        name: String,
        /// The user id found.
        uid: Uid,
        /// The group id found.
        gid: Gid,
    },
}

/// A user of this machine, with the group to run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// Looks up `USER`, with its own group, or `USER:GROUP`.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn find(text: &str) -> Result<Self, IdentityError> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let user = known("user", user, User::from_name(user))?;
        let gid = match group {
            None => user.gid,
            Some(group) => known("group", group, Group::from_name(group))?.gid,
        };
        Ok(Self { name: user.name, uid: user.uid, gid })
    }

    /// Switches to this user, this group, and the user's supplementary groups; root's capabilities are lost
    /// with it. Does nothing if the process already runs as that user, as under a service manager.
    ///
    /// # Errors
    /// When the process does not run as root, or the kernel refuses.
    pub(super) fn assume(&self) -> Result<(), IdentityError> {
        let refused = |action| {
            let name = self.name.clone();
            move |source| IdentityError::Refused { action, name, source }
        };
        if self.is_current().map_err(refused("find out whether this is a process"))? {
            return Ok(());
        }
        if !Uid::effective().is_root() {
            return Err(IdentityError::NotRoot { name: self.name.clone(), uid: Uid::effective() });
        }
        let name = CString::new(self.name.as_str());
        let name = name.map_err(|_| IdentityError::Unknown { kind: "user", name: self.name.clone() })?;
        initgroups(&name, self.gid).map_err(refused("take the groups"))?;
        setresgid(self.gid, self.gid, self.gid).map_err(refused("take the group"))?;
        setresuid(self.uid, self.uid, self.uid).map_err(refused("take the user id"))?;
        if self.is_current().map_err(refused("find out whether this is a process"))? {
            return Ok(());
        }
        Err(IdentityError::Else { name: self.name.clone(), uid: Uid::effective(), gid: Gid::effective() })
    }

    fn is_current(&self) -> Result<bool, Errno> {
        let (user, group) = (getresuid()?, getresgid()?);
        Ok([user.real, user.effective, user.saved] == [self.uid; 3]
            && [group.real, group.effective, group.saved] == [self.gid; 3])
    }
}

fn known<T>(kind: &'static str, name: &str, found: Result<Option<T>, Errno>) -> Result<T, IdentityError> {
    let name = || name.to_owned();
    found
        .map_err(|source| IdentityError::LookUp { kind, name: name(), source })?
        .ok_or_else(|| IdentityError::Unknown { kind, name: name() })
}

#[cfg(test)]
mod tests;
