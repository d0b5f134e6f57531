//! Who may see and change what: persons of a users file, their sessions, and a proxy that is trusted.

mod limiter;
mod origin;
mod sessions;
pub(crate) mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, USER_AGENT};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use limiter::Limiter;
use sessions::Sessions;
pub(crate) use sessions::token;
use users::{Role, Users, UsersError};

/// Passwords that are looked at together: each takes 19 MiB and a core for a moment.
const HASHING: usize = 2;
const COOKIE_NAME: &str = "maglev_session";
/// Longest name of a person.
const NAME: usize = 64;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Whoever may open the unix socket.
    Unix,
    /// Somebody on this machine.
    Loopback(SocketAddr),
    /// Somebody anywhere, over TLS.
    Tls(SocketAddr),
}

/// Somebody whose name is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What this login is known by; the same for all that a trusted proxy vouches for by this name.
    pub(crate) login: String,
}

/// What operators decide of who may do what.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The file with names and hashes of passwords.
    pub(crate) users: PathBuf,
    /// Header in which a proxy, over the unix socket, says who asks.
    pub(crate) proxy_header: Option<String>,
    /// Names of this host under which loopback may be asked without a login.
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("log in first")]
    Login,
    #[error("{0} may only read: a login with the role admin is needed to change anything")]
    ReadOnly(String),
    #[error("refused: the request does not come from a page of this dashboard")]
    Foreign,
    #[error("refused: {0:?} is not a name of this host; use its address, or allow the name with --host")]
    Host(String),
    #[error("too many attempts: wait {0} s")]
    TooMany(u64),
    #[error("wrong name or password")]
    Wrong,
}

#[derive(Debug)]
pub(crate) struct Access {
    settings: Settings,
    users: RwLock<Arc<Users>>,
    sessions: Mutex<Sessions>,
    limiter: Mutex<Limiter>,
    hashing: Semaphore,
}

impl Access {
    /// Reads the users file, which need not be there.
    pub(crate) fn new(settings: Settings) -> Result<Self, UsersError> {
        let users = Users::read(&settings.users)?;
        Ok(Self {
            settings,
            users: RwLock::new(Arc::new(users)),
            sessions: Mutex::default(),
            limiter: Mutex::default(),
            hashing: Semaphore::new(HASHING),
        })
    }

    /// Reads the users file again. Persons who are gone, or have another password, are logged out.
    /// On an error, the one that was read before holds.
    pub(crate) fn reload(&self) -> Result<(), UsersError> {
        let users = Arc::new(Users::read(&self.settings.users)?);
        let before = std::mem::replace(
            &mut *self.users.write().unwrap_or_else(PoisonError::into_inner),
            Arc::clone(&users),
        );
        self.sessions().retain(|name| users.is_same(&before, name));
        Ok(())
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.users().is_empty()
    }

    /// Who asks, if that is known.
    pub(crate) fn person(&self, peer: Peer, headers: &HeaderMap, now: Instant) -> Option<Person> {
        if let (Peer::Unix, Some(header)) = (peer, &self.settings.proxy_header)
            && let Some(name) =
                headers.get(header).and_then(|name| name.to_str().ok()).filter(|name| is_name(name))
        {
            let role = self.users().role(name).unwrap_or(Role::Admin);
            return Some(Person { name: name.to_owned(), role, login: format!("proxy {name}") });
        }
        let token = session_cookie(headers)?;
        let name = self.sessions().find(token, &fingerprint(peer, headers), now)?;
        let role = self.users().role(&name)?;
        Some(Person { name, role, login: token.to_owned() })
    }

    /// Whether what there is may be seen, and by whom.
    pub(crate) fn reader(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Option<Person>, Refusal> {
        match (self.person(peer, headers, now), peer) {
            (Some(person), _) => Ok(Some(person)),
            (None, Peer::Tls(_)) => Err(Refusal::Login),
            (None, Peer::Unix) => Ok(None),
            (None, Peer::Loopback(_)) => match headers.get(HOST).and_then(|host| host.to_str().ok()) {
                Some(host) if !origin::is_own_name(host, &self.settings.hosts) => {
                    Err(Refusal::Host(host.chars().take(NAME).collect()))
                }
                _ => Ok(None),
            },
        }
    }

    pub(crate) fn admin(&self, peer: Peer, headers: &HeaderMap, now: Instant) -> Result<Person, Refusal> {
        origin::check(headers)?;
        let person = self.person(peer, headers, now).ok_or(Refusal::Login)?;
        match person.role {
            Role::Admin => Ok(person),
            Role::Reader => Err(Refusal::ReadOnly(person.name)),
        }
    }

    /// A new session, as the value of a `Set-Cookie` header.
    pub(crate) async fn log_in(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        name: &str,
        password: String,
    ) -> Result<String, Refusal> {
        origin::check(headers)?;
        self.limiter().admit(peer, Instant::now()).map_err(|wait| Refusal::TooMany(wait.as_secs() + 1))?;
        let (users, who) = (self.users(), name.to_owned());
        let place = self.hashing.acquire().await;
        let verified = spawn_blocking(move || users.verify(&who, &password)).await;
        drop(place);
        if !verified.unwrap_or(false) {
            return Err(Refusal::Wrong);
        }
        self.limiter().succeeded(peer);
        let token =
            self.sessions().begin(name, fingerprint(peer, headers), Instant::now()).ok_or(Refusal::Wrong)?;
        Ok(cookie(&token, peer, "Max-Age=43200"))
    }

    /// Ends a session; the value of a `Set-Cookie` header that has the browser forget it.
    pub(crate) fn log_out(&self, peer: Peer, headers: &HeaderMap) -> Result<String, Refusal> {
        origin::check(headers)?;
        if let Some(token) = session_cookie(headers) {
            self.sessions().end(token);
        }
        Ok(cookie("", peer, "Max-Age=0"))
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME && name.chars().all(|char| char.is_ascii_graphic())
}

/// Whom a session was given to. The cookie alone, taken elsewhere, is worth nothing.
fn fingerprint(peer: Peer, headers: &HeaderMap) -> String {
    let address = match peer {
        Peer::Unix => "unix".to_owned(),
        Peer::Loopback(address) | Peer::Tls(address) => address.ip().to_string(),
    };
    let agent = headers
        .get(USER_AGENT)
        .map_or_else(Default::default, |agent| String::from_utf8_lossy(agent.as_bytes()));
    format!("{address} {agent}")
}

fn cookie(token: &str, peer: Peer, age: &str) -> String {
    let secure = if matches!(peer, Peer::Tls(_)) { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict; {age}{secure}")
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|one| one.trim().split_once('='));
    cookies.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

#[cfg(test)]
mod tests;
