//! The user that the agent becomes when root starts it by hand. A service manager does that by itself.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getresgid, getresuid, initgroups, setresgid, setresuid};

/// Why the process cannot become a user.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No such name.
    #[error("there is no {kind} {name:?} on this machine: expected USER or USER:GROUP")]
    Unknown {
        /// User or group.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The databases of users cannot be read.
    #[error("cannot look up the {kind} {name:?}: {source}")]
    LookUp {
        /// User or group.
        kind: &'static str,
        /// The name.
        name: String,
        /// What the system said.
        source: Errno,
    },
    /// Somebody else would be.
    #[error("cannot become {name:?}: only root can, and this is user {uid}; start it as that user")]
    NotRoot {
        /// The user wanted.
        name: String,
        /// The user that it is.
        uid: Uid,
    },
    /// The kernel refused.
    #[error("cannot {action} of {name:?}: {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The user wanted.
        name: String,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel did something else.
    #[error("the process did not become {name:?}: it has user {uid} and group {gid}")]
    Else {
        /// The user wanted.
        name: String,
        /// The user that it is.
        uid: Uid,
        /// The group that it has.
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
    /// When one of them is not known here.
    pub fn find(text: &str) -> Result<Self, IdentityError> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let user = known("user", user, User::from_name(user))?;
        let gid = match group {
            None => user.gid,
            Some(group) => known("group", group, Group::from_name(group))?.gid,
        };
        Ok(Self { name: user.name, uid: user.uid, gid })
    }

    /// Becomes this user, in this group and all of the user's other ones. Root's capabilities go with it. Nothing is
    /// done where the process is that user already, as it is under a service manager.
    ///
    /// # Errors
    /// When the process is not root's, or the kernel refuses.
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
