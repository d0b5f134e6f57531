//! Host routes of VIPs in the kernel's routing tables, from which a router learns them.
//!
//! [`sync`] reads the tables that the policy names, plans the difference with [`plan`], and makes the changes. Only routes
//! of the policy's protocol number count: the kernel itself compares it when a route is removed. They are blackholes,
//! which BIRD and FRR both learn, in tables that no packet is looked up in.

pub mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use caps::{CapSet, Capability};
use maglev_protocol::{AgentError, HostRoute, HostRoutes, Prefix, RoutesSpec};
use tracing::debug;

use crate::policy::{Policy, RouteTables};
use netlink::Netlink;

/// Access to the kernel's routes.
pub trait Kernel {
    /// The addresses with a host route of this protocol number in a table.
    ///
    /// # Errors
    /// When the kernel refuses, or does not answer.
    fn read(&mut self, table: u32, protocol: u8) -> io::Result<BTreeSet<IpAddr>>;

    /// Adds or removes one route.
    ///
    /// # Errors
    /// When the kernel refuses, or does not answer.
    fn change(&mut self, change: Change, protocol: u8) -> io::Result<()>;
}

/// One change of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Destination of the host route.
    pub address: IpAddr,
    /// The table's number.
    pub table: u32,
    /// Whether the route is added; otherwise, it is removed.
    pub add: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, preposition) = if self.add { ("add", "to") } else { ("remove", "from") };
        let Prefix { address, length } = Prefix::host(self.address);
        write!(f, "{verb} {address}/{length} {preposition} table {}", self.table)
    }
}

/// Addresses with a route, by the table that it is in.
pub type Found = BTreeMap<u32, BTreeSet<IpAddr>>;

/// Plans the changes to the desired routes. An address that stays reachable is never without a route in between.
pub fn plan(wanted: &RoutesSpec, tables: &RouteTables, has: &Found) -> Vec<Change> {
    let is_in = |table: u32, address: &IpAddr| has.get(&table).is_some_and(|found| found.contains(address));
    let mut changes = Vec::new();
    let mut bring = |address: IpAddr, to: HostRoute| {
        let rows = tables.all().map(|(table, means)| (table, means == to));
        let differing = rows.filter(|(table, add)| is_in(*table, &address) != *add);
        let mut steps: Vec<_> = differing.map(|(table, add)| Change { address, table, add }).collect();
        steps.sort_by_key(|change| !change.add);
        changes.extend(steps);
    };
    for (address, route) in &wanted.routes {
        // Without its table, a route stays as it is.
        if let Some(route) = route.filter(|route| *route != HostRoute::Gshut || tables.gshut_table.is_some())
        {
            bring(*address, route);
        }
    }
    let others: BTreeSet<_> = has.values().flatten().copied().collect();
    let others =
        others.into_iter().filter(|address| wanted.remove_others && !wanted.routes.contains_key(address));
    others.for_each(|address| bring(address, HostRoute::Absent));
    changes
}

/// Brings the kernel's tables to the desired routes. A refused change does not hold up the others.
///
/// # Errors
/// [`AgentError::NotAllowed`] or [`AgentError::TooMany`] by the policy, [`AgentError::NoRoutes`] if a table cannot be read.
pub fn sync(kernel: &mut impl Kernel, wanted: RoutesSpec, policy: &Policy) -> Result<HostRoutes, AgentError> {
    let tables = policy.check_routes(&wanted)?;
    let no_routes = |error: io::Error| AgentError::NoRoutes { reason: error.to_string() };
    let (wanted, mut refused) = allowed(wanted, policy, &tables);
    let has = read(kernel, &tables).map_err(no_routes)?;
    let mut changed = BTreeSet::new();
    for change in plan(&wanted, &tables, &has) {
        match kernel.change(change, tables.protocol) {
            Ok(()) => {
                debug!(%change, "route changed");
                changed.insert(change.address);
            }
            Err(error) => drop(refused.get_or_insert(format!("the kernel refused to {change}: {error}"))),
        }
    }
    let has = if changed.is_empty() { has } else { read(kernel, &tables).map_err(no_routes)? };
    let mut routes = BTreeMap::new();
    // The routes to announce last: they take precedence.
    for (table, means) in tables.all().rev() {
        routes.extend(has.get(&table).into_iter().flatten().map(|address| (*address, means)));
    }
    Ok(HostRoutes { table: tables.table, routes, changed: changed.into_iter().collect(), refused })
}

fn read(kernel: &mut impl Kernel, tables: &RouteTables) -> io::Result<Found> {
    tables.all().map(|(table, _)| Ok((table, kernel.read(table, tables.protocol)?))).collect()
}

/// Leaves out the routes that the policy forbids; they stay as they are. Returns the first refusal.
fn allowed(mut wanted: RoutesSpec, policy: &Policy, tables: &RouteTables) -> (RoutesSpec, Option<String>) {
    let mut refused = None;
    for (address, route) in &mut wanted.routes {
        let reason = match route {
            Some(HostRoute::Gshut) if tables.gshut_table.is_none() => {
                format!("`routes` in {} has no `gshut-table`", policy.source)
            }
            Some(HostRoute::Present | HostRoute::Gshut) if !policy.allows_vip(&Prefix::host(*address)) => {
                policy.rule("vips")
            }
            _ => continue,
        };
        refused.get_or_insert(format!("the agent refused a route of {address}: {reason}"));
        *route = None;
    }
    (wanted, refused)
}

/// The agent's access to the kernel's routes, shared by all connections.
#[derive(Debug, Clone)]
pub struct KernelRoutes(Arc<Mutex<Netlink>>);

impl KernelRoutes {
    /// Opens it, if the policy asks for routes. To be called before confinement.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn open(policy: &Policy) -> Result<Self, String> {
        if policy.routes.is_none() {
            return Err("the policy had no `routes` when the agent started: restart it".to_owned());
        }
        let capable = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_ADMIN);
        if !capable.unwrap_or(false) {
            return Err("the agent has no CAP_NET_ADMIN: install the drop-in `routes.conf`, then restart it"
                .to_owned());
        }
        let netlink = Netlink::open().map_err(|error| format!("cannot open a netlink socket: {error}"))?;
        Ok(Self(Arc::new(Mutex::new(netlink))))
    }

    /// Like the function [`sync`].
    ///
    /// # Errors
    /// Like the function [`sync`].
    pub fn sync(&self, wanted: RoutesSpec, policy: &Policy) -> Result<HostRoutes, AgentError> {
        sync(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), wanted, policy)
    }
}

#[cfg(test)]
mod tests;
