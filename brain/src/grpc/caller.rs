//! The caller of a request and its rights, determined once per connection.

mod person;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use maglev_proto::CallerInfo;
use tonic::codegen::http::HeaderMap;
use tonic::{Extensions, Status};

/// The peer of a connection, attached to every request on it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    found: Arc<Found>,
    /// The person on whose behalf a program calls, as stated by the program.
    person: Option<Arc<str>>,
    /// Why; or what is wrong with the reason.
    reason: Result<String, &'static str>,
    /// Whether a change is only for this load balancer, and not for its fleet.
    is_local: bool,
}

#[derive(Debug)]
struct Found {
    who: Who,
    rights: Rights,
}

/// Identity, as far as the connection reveals it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Credentials from the kernel at the time of connecting.
    Process { uid: u32, user: Option<String>, pid: Option<i32> },
    /// Any user of this machine.
    Loopback(SocketAddr),
    /// Identified by a name in its certificate.
    Certificate { name: String, address: SocketAddr },
    /// A request without a connection.
    Nobody,
}

/// Rights of a caller, and how to get more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rights {
    Admin,
    ReadOnly(String),
    Nothing(String),
}

impl Caller {
    pub(super) fn new(who: Who, rights: Rights) -> Self {
        Self {
            found: Arc::new(Found { who, rights }),
            person: None,
            reason: Ok(String::new()),
            is_local: false,
        }
    }

    pub(super) fn of(connection: &Extensions) -> Self {
        let found = connection.get::<Self>().cloned();
        found.unwrap_or_else(|| {
            Self::new(Who::Nobody, Rights::Nothing("it came over no connection of the brain's".to_owned()))
        })
    }

    pub(super) fn who(&self) -> &Who {
        &self.found.who
    }

    /// The same with the person named in a request, and the reason.
    pub(super) fn with_person(mut self, headers: &HeaderMap) -> Self {
        self.person = person::named(headers);
        self.reason = person::reason(headers);
        self.is_local = headers.contains_key(maglev_proto::LOCAL_HEADER);
        self
    }

    /// The reason for the request; empty if none was given.
    ///
    /// # Errors
    /// If it is not a single line of text.
    pub(super) fn reason(&self) -> Result<String, Status> {
        self.reason.clone().map_err(Status::invalid_argument)
    }

    /// Whether a change is only for this load balancer, and not for its fleet.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Who to contact about a change: the person, and the program acting for that person.
    pub(super) fn responsible(&self) -> Arc<str> {
        match &self.person {
            Some(person) => format!("{person}, by {}", self.who()).into(),
            None => self.who().to_string().into(),
        }
    }

    pub(super) fn rights(&self) -> &Rights {
        &self.found.rights
    }

    /// The caller's identity and rights, as reported to itself.
    pub(super) fn info(&self) -> CallerInfo {
        let (may_change, why_not) = match self.rights() {
            Rights::Admin => (true, String::new()),
            Rights::ReadOnly(right) | Rights::Nothing(right) => (false, right.clone()),
        };
        CallerInfo { who: self.who().to_string(), may_change, why_not }
    }

    /// Origin: a process or an address.
    pub(super) fn from(&self) -> String {
        match &self.found.who {
            Who::Process { pid: Some(pid), .. } => format!("process {pid}"),
            Who::Process { pid: None, .. } => "a process of another pid namespace".to_owned(),
            Who::Loopback(address) | Who::Certificate { address, .. } => address.to_string(),
            Who::Nobody => "nowhere".to_owned(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, user: Some(user), .. } => write!(f, "user {user} (uid {uid})"),
            Self::Process { uid, user: None, .. } => write!(f, "uid {uid}"),
            Self::Loopback(_) => f.write_str("someone on this machine"),
            Self::Certificate { name, .. } => write!(f, "cert {name}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// The caller in a sentence.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found.who {
            who @ (Who::Process { .. } | Who::Nobody) => who.fmt(f),
            who @ (Who::Loopback(address) | Who::Certificate { address, .. }) => {
                write!(f, "{who}, from {address},")
            }
        }
    }
}
