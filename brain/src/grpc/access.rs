//! Who may do what: from what a connection tells of the other end to what it may ask for. Pure, but for the look at
//! the user database.

mod certificates;
pub(super) mod groups;

use std::net::SocketAddr;

use clap::ValueEnum;
use nix::unistd::{Group, geteuid};
use rustls::pki_types::CertificateDer;

use super::caller::{Caller, Rights, Who};
use certificates::Names;
use groups::{GroupNames, Known, LookUp, UserDatabase};

/// Members of this group may change things, unless another is named.
pub const ADMIN_GROUP: &str = "maglev-admin";
/// Members of this group may read, unless another is named.
pub const READER_GROUP: &str = "maglev";

const NO_ADMIN_CERTIFICATE: &str = "to change things, use a certificate with a name for which the brain was started \
                                    with --grpc-admin-cert NAME";

/// What those may do who connect over TCP without TLS. Nobody knows which user of this machine they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Loopback {
    /// They may read
    ReadOnly,
    /// They may do everything: for machines without other users
    Admin,
    /// They may do nothing
    Off,
}

/// What an operator says of who may do what.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// Group of those who may change things. `None`: [`ADMIN_GROUP`], if there is one.
    pub admin_group: Option<String>,
    /// Group of those who may read. `None`: [`READER_GROUP`], if there is one.
    pub reader_group: Option<String>,
    /// Those without an identity.
    pub loopback: Loopback,
}

/// A group that was named and is not there.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {name}: {reason}; create it with `groupadd --system {name}`, or name another")]
pub struct NoSuchGroup {
    flag: &'static str,
    name: String,
    reason: String,
}

/// Who may do what.
#[derive(Debug)]
pub struct Access {
    names: GroupNames,
    loopback: Loopback,
    own_uid: u32,
    users: UserDatabase,
    /// Names of certificates whose owners may change things.
    admin_certificates: Vec<String>,
}

/// A process at the other end of a unix socket, by the kernel's word when it connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: Option<i32>,
}

impl Access {
    /// The rules of these settings. Blocks for as long as the user database does.
    ///
    /// # Errors
    /// If a group is named that is not there.
    pub fn new(settings: AccessSettings) -> Result<Self, NoSuchGroup> {
        let AccessSettings { admin_group, reader_group, loopback } = settings;
        let names = GroupNames {
            admins: group("--grpc-admin-group", admin_group, ADMIN_GROUP)?,
            readers: group("--grpc-group", reader_group, READER_GROUP)?,
        };
        let users = UserDatabase::new(names.clone(), groups::look_up);
        Ok(Self { names, loopback, own_uid: geteuid().as_raw(), users, admin_certificates: Vec::new() })
    }

    /// The same, where those may change things whose certificate has one of these names: as the common name of its
    /// subject, or among its alternative names (DNS, e-mail, URI).
    #[must_use]
    pub fn with_admin_certificates(mut self, names: Vec<String>) -> Self {
        self.admin_certificates = names;
        self
    }

    pub(super) fn over_loopback(&self, address: SocketAddr) -> Caller {
        let rights = match self.loopback {
            Loopback::Admin => Rights::Admin,
            Loopback::ReadOnly => Rights::ReadOnly(
                "nobody can tell which user of this machine connects over TCP; use the brain's unix socket, \
                 or start it with --grpc-loopback admin"
                    .to_owned(),
            ),
            Loopback::Off => Rights::Nothing(
                "the brain was started with --grpc-loopback off; use its unix socket".to_owned(),
            ),
        };
        Caller::new(Who::Loopback(address), rights)
    }

    /// Somebody whose certificate has been verified.
    pub(super) fn over_tls(&self, address: SocketAddr, certificate: Option<&CertificateDer<'_>>) -> Caller {
        let Some(certificate) = certificate else {
            return Caller::new(Who::Nobody, Rights::Nothing("it has shown no certificate".to_owned()));
        };
        let names = Names::of(certificate);
        let (name, rights) = match names.admin(&self.admin_certificates) {
            Some(name) => (certificates::shown(name), Rights::Admin),
            None => (names.known_by(), Rights::ReadOnly(NO_ADMIN_CERTIFICATE.to_owned())),
        };
        Caller::new(Who::Certificate { name, address }, rights)
    }

    pub(super) async fn over_unix(&self, peer: Peer) -> Caller {
        let known = self.users.known(peer.uid).await;
        let user = known.as_ref().ok().and_then(|known| known.user.clone());
        Caller::new(Who::Process { uid: peer.uid, user, pid: peer.pid }, self.rights(peer, &known))
    }

    fn rights(&self, peer: Peer, known: &LookUp) -> Rights {
        // Whatever the database says, or if it says nothing.
        if peer.uid == 0 || peer.uid == self.own_uid {
            return Rights::Admin;
        }
        let GroupNames { admins, readers } = &self.names;
        let known = match known {
            Ok(known) => known,
            Err(reason) => {
                return Rights::Nothing(format!(
                    "its groups are not known, {reason}; members of the group {readers} may read, those of \
                     {admins} change things"
                ));
            }
        };
        let is_member = |group: Option<u32>| {
            group.is_some_and(|group| group == peer.gid || known.groups.contains(&group))
        };
        let Known { admin_group, reader_group, .. } = **known;
        if is_member(admin_group) {
            Rights::Admin
        } else if is_member(reader_group) {
            Rights::ReadOnly(format!("to change things, be in the group {admins}{}", missing(admin_group)))
        } else {
            Rights::Nothing(format!(
                "to read, be in the group {readers}{}; to change things, in {admins}{}",
                missing(reader_group),
                missing(admin_group),
            ))
        }
    }
}

fn missing(group: Option<u32>) -> &'static str {
    if group.is_some() { "" } else { " (which is not there yet)" }
}

fn group(flag: &'static str, named: Option<String>, default: &str) -> Result<String, NoSuchGroup> {
    let Some(name) = named else {
        return Ok(default.to_owned());
    };
    let reason = match Group::from_name(&name) {
        Ok(Some(_)) => return Ok(name),
        Ok(None) => "there is no such group on this machine".to_owned(),
        Err(error) => format!("it cannot be looked up: {error}"),
    };
    Err(NoSuchGroup { flag, name, reason })
}

#[cfg(test)]
mod tests;
