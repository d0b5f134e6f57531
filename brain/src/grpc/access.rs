//! Access rights: from what is known about a connection's peer to what it may do. Pure, except for looking up
//! users.

mod certificates;
pub(super) mod groups;

use std::net::SocketAddr;

use clap::ValueEnum;
use nix::unistd::{Group, geteuid};
use rustls::pki_types::CertificateDer;

use super::caller::{Caller, Rights, Who};
use certificates::Names;
use groups::{GroupNames, Known, LookUp, UserDatabase};

/// Default group whose members may change things.
pub const ADMIN_GROUP: &str = "maglev-admin";
/// Default group whose members may read.
pub const READER_GROUP: &str = "maglev";

const NO_ADMIN_CERTIFICATE: &str = "to change things, use a certificate with a name for which the brain was started \
                                    with --grpc-admin-cert NAME";

/// Rights of clients over TCP without TLS, which cannot be identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Loopback {
    /// They may read
    ReadOnly,
    /// They may make changes: for machines without other users
    Admin,
    /// They are refused
    Off,
}

/// Configured access rights.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// Group whose members may change things. `None`: [`ADMIN_GROUP`], if it exists.
    pub admin_group: Option<String>,
    /// Group whose members may read. `None`: [`READER_GROUP`], if it exists.
    pub reader_group: Option<String>,
    /// Rights of unidentified clients.
    pub loopback: Loopback,
}

/// A configured group that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {name}: {reason}; create it with `groupadd --system {name}`, or name another")]
pub struct NoSuchGroup {
    flag: &'static str,
    name: String,
    reason: String,
}

/// Access rules.
#[derive(Debug)]
pub struct Access {
    names: GroupNames,
    loopback: Loopback,
    own_uid: u32,
    users: UserDatabase,
    /// Names in certificates whose owners may change things.
    admin_certificates: Vec<String>,
}

/// The process at the other end of a unix socket, as identified by the kernel when it connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: Option<i32>,
}

impl Access {
    /// The rules of these settings. Blocks while looking up groups.
    ///
    /// # Errors
    /// If a configured group does not exist.
    pub fn new(settings: AccessSettings) -> Result<Self, NoSuchGroup> {
        let AccessSettings { admin_group, reader_group, loopback } = settings;
        let names = GroupNames {
            admins: group("--grpc-admin-group", admin_group, ADMIN_GROUP)?,
            readers: group("--grpc-group", reader_group, READER_GROUP)?,
        };
        let users = UserDatabase::new(names.clone(), groups::look_up);
        Ok(Self { names, loopback, own_uid: geteuid().as_raw(), users, admin_certificates: Vec::new() })
    }

    /// The same with admin certificates: a certificate with one of these names may change things, as its
    /// subject's common name or among its alternative names (DNS, e-mail, URI).
    #[must_use]
    pub fn with_admin_certificates(mut self, names: Vec<String>) -> Self {
        self.admin_certificates = names;
        self
    }

    pub(super) fn over_loopback(&self, address: SocketAddr) -> Caller {
        let rights = match self.loopback {
            Loopback::Admin => Rights::Admin,
            Loopback::ReadOnly => Rights::ReadOnly(
                "connections over loopback TCP are anonymous; use the brain's unix socket, or start the brain \
                with --grpc-loopback admin"
                    .to_owned(),
            ),
            Loopback::Off => Rights::Nothing(
                "the brain was started with --grpc-loopback off; use its unix socket".to_owned(),
            ),
        };
        Caller::new(Who::Loopback(address), rights)
    }

    /// The caller with this verified certificate.
    pub(super) fn over_tls(&self, address: SocketAddr, certificate: Option<&CertificateDer<'_>>) -> Caller {
        let Some(certificate) = certificate else {
            return Caller::new(Who::Nobody, Rights::Nothing("it presented no certificate".to_owned()));
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
        // Independent of the user database, which may not answer.
        if peer.uid == 0 || peer.uid == self.own_uid {
            return Rights::Admin;
        }
        let GroupNames { admins, readers } = &self.names;
        let known = match known {
            Ok(known) => known,
            Err(reason) => {
                return Rights::Nothing(format!(
                    "its groups are unknown, {reason}; members of the group {readers} may read, those of \
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
            Rights::ReadOnly(format!("to change things, join the group {admins}{}", missing(admin_group)))
        } else {
            Rights::Nothing(format!(
                "to read, join the group {readers}{}; to change things, in {admins}{}",
                missing(reader_group),
                missing(admin_group),
            ))
        }
    }
}

fn missing(group: Option<u32>) -> &'static str {
    if group.is_some() { "" } else { " (which does not exist yet)" }
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
