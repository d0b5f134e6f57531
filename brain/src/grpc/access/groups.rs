//! Lookup of users and groups, which may be slow (LDAP).

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maglev_daemon::blocking::Blocking;
use maglev_protocol::printable;
use nix::errno::Errno;
use nix::unistd::{Group, Uid, User, getgrouplist};
use tokio::time::Instant;

/// How long a connecting client waits for the lookup.
const ANSWERS: Duration = Duration::from_secs(3);
/// How long a result is cached. After this time, a user added to a group can use it with a new connection.
const HOLDS: Duration = Duration::from_secs(5);
/// Maximum length of a user name that is shown, in characters.
const LONGEST: usize = 100;
/// Maximum number of cached results. Beyond it, the cache is cleared: frequent users return at once.
const MOST_KEPT: usize = 1024;
/// Maximum number of concurrent lookups. Each holds a thread until it is answered, possibly forever; further
/// ones wait until their timeout.
const MOST_ASKED: usize = 8;

/// The names of the groups with rights.
#[derive(Debug, Clone)]
pub(in crate::grpc) struct GroupNames {
    pub(in crate::grpc) admins: String,
    pub(in crate::grpc) readers: String,
}

/// Result of a lookup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::grpc) struct Known {
    pub(in crate::grpc) user: Option<String>,
    /// All groups of the user; a process may have yet another one.
    pub(in crate::grpc) groups: Vec<u32>,
    /// `None` if there is no such group.
    pub(in crate::grpc) admin_group: Option<u32>,
    pub(in crate::grpc) reader_group: Option<u32>,
}

/// The result, or why there is none.
pub(in crate::grpc) type LookUp = Result<Arc<Known>, String>;

type Question = dyn Fn(u32, &GroupNames) -> Result<Known, Errno> + Send + Sync;

/// The machine's users and groups, cached briefly.
pub(in crate::grpc) struct UserDatabase {
    names: GroupNames,
    question: Arc<Question>,
    kept: Mutex<HashMap<u32, (Instant, Arc<Known>)>>,
    asking: Blocking,
}

impl std::fmt::Debug for UserDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserDatabase").field("names", &self.names).finish_non_exhaustive()
    }
}

impl UserDatabase {
    pub(in crate::grpc) fn new(
        names: GroupNames,
        question: impl Fn(u32, &GroupNames) -> Result<Known, Errno> + Send + Sync + 'static,
    ) -> Self {
        Self {
            names,
            question: Arc::new(question),
            kept: Mutex::default(),
            asking: Blocking::new("asking the user database", MOST_ASKED, ANSWERS),
        }
    }

    /// A user's groups, at most some seconds old.
    pub(in crate::grpc) async fn known(&self, uid: u32) -> LookUp {
        let now = Instant::now();
        if let Some((at, known)) = self.kept().get(&uid)
            && now.saturating_duration_since(*at) < HOLDS
        {
            return Ok(Arc::clone(known));
        }
        let known = self.ask(uid).await?;
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(uid, (Instant::now(), Arc::clone(&known)));
        Ok(known)
    }

    async fn ask(&self, uid: u32) -> LookUp {
        let (question, names) = (Arc::clone(&self.question), self.names.clone());
        match self.asking.run(move || question(uid, &names)).await {
            Ok(Ok(known)) => Ok(Arc::new(known)),
            Ok(Err(error)) => Err(format!("since the user database does not answer: {error}")),
            Err(error) => Err(format!("since {error}")),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<u32, (Instant, Arc<Known>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queries the C library, and through it the sources in `/etc/nsswitch.conf`. Blocks.
pub(in crate::grpc) fn look_up(uid: u32, names: &GroupNames) -> Result<Known, Errno> {
    let user = User::from_uid(Uid::from_raw(uid))?;
    let groups = match &user {
        Some(user) => {
            let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
            getgrouplist(&name, user.gid)?
        }
        None => Vec::new(),
    };
    let gid = |name: &str| Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
    Ok(Known {
        user: user.map(|user| printable(&user.name, LONGEST)),
        groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        admin_group: gid(&names.admins)?,
        reader_group: gid(&names.readers)?,
    })
}

#[cfg(test)]
mod tests;
