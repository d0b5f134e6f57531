//! Quotas on what clients can hold: connections, event streams, checks of the configuration.
//!
//! One rule for all. Admins, readers, and clients without rights have separate places, and within each group
//! a party may hold no more than a quarter. So nobody can keep others out. A network address, which several
//! parties may share, may hold half.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::caller::{Caller, Rights, Who};

/// A party's maximum fraction of its group's places.
const PART_OF_A_PARTY: usize = 4;
/// The same for an address.
const PART_OF_AN_ADDRESS: usize = 2;

/// A party, whose places are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// Processes of one user, over the unix socket.
    User(u32),
    /// Clients with certificates of one name.
    Certificate(String),
    /// An IPv4 address, or the network of an IPv6 address.
    Network(IpAddr),
    /// All clients over loopback TCP, which cannot be distinguished.
    Loopback,
    /// Requests without a connection.
    Nobody,
}

impl Party {
    /// The parties that a client belongs to; over TLS, one of them is its address.
    fn of(who: &Who) -> Vec<Self> {
        match who {
            Who::Process { uid, .. } => vec![Self::User(*uid)],
            Who::Loopback(_) => vec![Self::Loopback],
            Who::Certificate { name, address } => {
                vec![Self::Certificate(name.clone()), Self::at(address.ip())]
            }
            Who::Nobody => vec![Self::Nobody],
        }
    }

    /// The /64 of an IPv6 address, since a host may use all of it.
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }

    fn most(&self, places: usize) -> usize {
        let part = if matches!(self, Self::Network(_)) { PART_OF_AN_ADDRESS } else { PART_OF_A_PARTY };
        (places / part).max(1)
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Certificate(name) => write!(f, "cert {name}"),
            Self::Network(address @ IpAddr::V4(_)) => address.fmt(f),
            Self::Network(address @ IpAddr::V6(_)) => write!(f, "{address}/64"),
            Self::Loopback => f.write_str("loopback TCP"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("{party} already has its maximum of {most} {what}")]
    Share { party: Party, most: usize, what: &'static str },
    #[error("all {most} {what} of {group} are taken")]
    All { group: &'static str, most: usize, what: &'static str },
}

/// The places of a group.
#[derive(Debug)]
struct Group {
    name: &'static str,
    most: usize,
    taken: Mutex<Taken>,
}

/// The places taken, and by whom.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: BTreeMap<Party, usize>,
}

impl Group {
    fn new(name: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self { name, most, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, parties: Vec<Party>, what: &'static str) -> Result<Place, Full> {
        let mut taken = self.taken();
        for party in &parties {
            let most = party.most(self.most);
            if taken.by.get(party).is_some_and(|held| *held >= most) {
                return Err(Full::Share { party: party.clone(), most, what });
            }
        }
        if taken.all >= self.most {
            return Err(Full::All { group: self.name, most: self.most, what });
        }
        taken.all += 1;
        for party in &parties {
            *taken.by.entry(party.clone()).or_default() += 1;
        }
        Ok(Place { group: Arc::clone(self), parties })
    }
}

/// A place, released when dropped.
#[derive(Debug)]
pub(super) struct Place {
    group: Arc<Group>,
    parties: Vec<Party>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.group.taken();
        taken.all = taken.all.saturating_sub(1);
        for party in &self.parties {
            if let Some(held) = taken.by.get_mut(party) {
                *held = held.saturating_sub(1);
                if *held == 0 {
                    taken.by.remove(party);
                }
            }
        }
    }
}

/// Number of places of each group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) admins: usize,
    pub(super) readers: usize,
    /// For clients without rights, who only get refusals.
    pub(super) strangers: usize,
}

/// All places of one kind. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    what: &'static str,
    admins: Arc<Group>,
    readers: Arc<Group>,
    strangers: Arc<Group>,
}

impl Shares {
    pub(super) fn new(what: &'static str, places: Places) -> Self {
        Self {
            what,
            admins: Group::new("admins", places.admins),
            readers: Group::new("readers", places.readers),
            strangers: Group::new("clients without rights", places.strangers),
        }
    }

    /// Takes a place, if there is one.
    pub(super) fn take(&self, caller: &Caller) -> Result<Place, Full> {
        let group = match caller.rights() {
            Rights::Admin => &self.admins,
            Rights::ReadOnly(_) => &self.readers,
            Rights::Nothing(_) => &self.strangers,
        };
        group.take(Party::of(caller.who()), self.what)
    }
}

#[cfg(test)]
mod tests;
