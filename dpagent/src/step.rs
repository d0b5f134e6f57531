//! One write to VPP, whatever message it becomes.

use std::fmt;
use std::net::IpAddr;

use maglev_protocol::{Change, Encap, VipKey};

/// What a write does to its VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Makes the VIP, without servers.
    AddVip {
        /// Encapsulation to the servers.
        encap: Encap,
        /// Whether flows are told apart by their source address alone.
        src_ip_sticky: bool,
        /// Buckets of the table for new flows.
        table_length: u32,
    },
    /// Removes the VIP, and with it whatever servers it has.
    RemoveVip {
        /// Set if it will be made anew right behind.
        anew: Option<Anew>,
    },
    /// Adds a server.
    AddServer {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
        /// Whether flows move at once that VPP still pins to it from before it was removed.
        flush: bool,
    },
    /// Changes a server's weight.
    Reweight {
        /// The server.
        server: IpAddr,
        /// The weight before.
        from: u8,
        /// The weight after.
        to: u8,
        /// Whether its flows move at once.
        flush: bool,
    },
    /// Moves a server's flows at once, and leaves its weight.
    Flush {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
    },
    /// Moves all flows of the VIP at once, and forgets those that came while it had no server. VPP must have the VIP:
    /// asked for one that it does not have, it flushes at random (read in its source).
    FlushVip,
    /// Removes a server and moves its flows at once. Without that, those of clients that never stop would keep
    /// a server that is no longer configured.
    RemoveServer {
        /// The server.
        server: IpAddr,
        /// The weight before.
        weight: u8,
    },
}

/// What cannot be changed in a VIP that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// Another encapsulation.
    Encap {
        /// What the VIP has.
        has: Encap,
        /// What it shall have.
        wanted: Encap,
    },
    /// The sticky flag.
    SrcIpSticky {
        /// What it shall be.
        wanted: bool,
    },
    /// Another table length, where that was demanded.
    TableLength {
        /// What the VIP has.
        has: u32,
        /// What it shall have.
        wanted: u32,
    },
}

/// A step with its VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The VIP.
    pub vip: VipKey,
    /// What to do to it.
    pub step: Step,
}

impl Step {
    /// What a report says once VPP has acknowledged it.
    pub fn change(&self) -> Change {
        match *self {
            Self::AddVip { .. } => Change::VipAdded,
            Self::RemoveVip { anew: None } => Change::VipRemoved,
            Self::RemoveVip { anew: Some(anew) } => Change::VipRecreated { reason: anew.to_string() },
            Self::AddServer { server, weight, .. } => Change::ServerAdded { server, weight },
            Self::Reweight { server, from, to, flush } => {
                Change::Reweighted { server, from, to, flushed: flush }
            }
            Self::Flush { server, weight } => Change::Flushed { server, weight },
            Self::FlushVip => Change::VipFlushed,
            Self::RemoveServer { server, .. } => Change::ServerRemoved { server, flushed: true },
        }
    }

    /// The step's name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddVip { .. } => "add-vip",
            Self::RemoveVip { .. } => "remove-vip",
            Self::AddServer { .. } => "add-server",
            Self::Reweight { .. } => "set-weight",
            Self::Flush { .. } => "flush-server",
            Self::FlushVip => "flush-vip",
            Self::RemoveServer { .. } => "remove-server",
        }
    }

    /// The server that it is about.
    pub fn server(&self) -> Option<IpAddr> {
        match *self {
            Self::AddVip { .. } | Self::RemoveVip { .. } | Self::FlushVip => None,
            Self::AddServer { server, .. }
            | Self::Reweight { server, .. }
            | Self::Flush { server, .. }
            | Self::RemoveServer { server, .. } => Some(server),
        }
    }

    /// The server's weight before and after; `None` is not being there.
    pub fn weights(&self) -> (Option<u8>, Option<u8>) {
        match *self {
            Self::AddVip { .. } | Self::RemoveVip { .. } | Self::FlushVip => (None, None),
            Self::AddServer { weight, .. } => (None, Some(weight)),
            Self::Reweight { from, to, .. } => (Some(from), Some(to)),
            Self::Flush { weight, .. } => (Some(weight), Some(weight)),
            Self::RemoveServer { weight, .. } => (Some(weight), None),
        }
    }

    /// Whether pinned flows move at once.
    pub fn flushes(&self) -> bool {
        matches!(
            self,
            Self::RemoveServer { .. }
                | Self::Flush { .. }
                | Self::FlushVip
                | Self::Reweight { flush: true, .. }
                | Self::AddServer { flush: true, .. }
        )
    }
}

impl fmt::Display for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encap { has, wanted } => {
                write!(f, "the encapsulation of a VIP cannot be changed: it has {has}, wanted is {wanted}")
            }
            Self::SrcIpSticky { wanted } => {
                write!(f, "src_ip_sticky of a VIP cannot be changed: it is {}, wanted is {wanted}", !wanted)
            }
            Self::TableLength { has, wanted } => {
                write!(
                    f,
                    "the table length of a VIP cannot be changed, and was demanded: it has {has}, wanted is {wanted}"
                )
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddVip { encap, src_ip_sticky, table_length } => {
                let sticky = if *src_ip_sticky { ", src_ip_sticky" } else { "" };
                write!(f, "make the VIP with {encap}{sticky}, {table_length} buckets")
            }
            Self::RemoveVip { anew: None } => f.write_str("remove the VIP"),
            Self::RemoveVip { anew: Some(_) } => f.write_str("remove the VIP to make it anew"),
            Self::AddServer { server, weight, .. } => write!(f, "add server {server} with weight {weight}"),
            Self::Reweight { server, from, to, flush } => {
                let flush = if *flush { " and move its flows" } else { "" };
                write!(f, "set server {server} from weight {from} to {to}{flush}")
            }
            Self::Flush { server, weight } => {
                write!(f, "move the flows of server {server}, of weight {weight}")
            }
            Self::FlushVip => f.write_str("move all flows of the VIP"),
            Self::RemoveServer { server, weight } => {
                write!(f, "remove server {server} of weight {weight} and move its flows")
            }
        }
    }
}
