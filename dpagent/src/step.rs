//! A single write to VPP, independent of its message.

use std::fmt;
use std::net::IpAddr;

use maglev_protocol::{Change, Encap, VipKey};

/// What a write does to its VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Adds the VIP, without servers.
    AddVip {
        /// Encapsulation to the servers.
        encap: Encap,
        /// Whether VPP hashes flows by their source address alone.
        src_ip_sticky: bool,
        /// Buckets of the table for new flows.
        table_length: u32,
    },
    /// Removes the VIP with all of its servers.
    RemoveVip {
        /// Set if the VIP is added again right after.
        anew: Option<Anew>,
    },
    /// Adds a server.
    AddServer {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
        /// Whether to flush flows that are still pinned to the server from before it was removed.
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
        /// Whether to flush its flows.
        flush: bool,
    },
    /// Flushes a server's flows without changing its weight.
    Flush {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
    },
    /// Flushes all flows of the VIP, and forgets flows that arrived while it had no server. VPP must have the
    /// VIP: without it, VPP flushes an arbitrary one (by its source).
    FlushVip,
    /// Removes a server and flushes its flows. Otherwise clients that never stop sending would hold a server
    /// that is no longer configured.
    RemoveServer {
        /// The server.
        server: IpAddr,
        /// The weight before.
        weight: u8,
    },
}

/// Why a VIP must be re-created: the property that cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// The encapsulation.
    Encap {
        /// What VPP has.
        has: Encap,
        /// What is desired.
        wanted: Encap,
    },
    /// The sticky flag.
    SrcIpSticky {
        /// What is desired.
        wanted: bool,
    },
    /// The table length, if re-creating for it was requested.
    TableLength {
        /// What VPP has.
        has: u32,
        /// What is desired.
        wanted: u32,
    },
}

/// A step and its VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The VIP.
    pub vip: VipKey,
    /// What to do with it.
    pub step: Step,
}

impl Step {
    /// The entry in a report once VPP has acknowledged it.
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

    /// The server that the step is about, if any.
    pub fn server(&self) -> Option<IpAddr> {
        match *self {
            Self::AddVip { .. } | Self::RemoveVip { .. } | Self::FlushVip => None,
            Self::AddServer { server, .. }
            | Self::Reweight { server, .. }
            | Self::Flush { server, .. }
            | Self::RemoveServer { server, .. } => Some(server),
        }
    }

    /// The server's weight before and after; `None` if it does not exist.
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
                    "the table length of a VIP cannot be changed, and that was requested: it has {has}, \
                    wanted is {wanted}"
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
                write!(f, "add the VIP with {encap}{sticky}, {table_length} buckets")
            }
            Self::RemoveVip { anew: None } => f.write_str("remove the VIP"),
            Self::RemoveVip { anew: Some(_) } => f.write_str("remove the VIP to re-create it"),
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
