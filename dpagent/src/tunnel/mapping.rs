//! Which packets are delivered to which server: the probe addresses of all connections. Pure.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use maglev_protocol::{Prefix, TunnelRefusal, TunnelReport, TunnelTarget};

use super::packet::Addresses;

/// The probe addresses in use.
#[derive(Debug, Default)]
pub struct Mapping {
    routes: HashMap<IpAddr, Route>,
    /// Place of the next address to try. It moves on, so that an address that was freed rests as long as possible:
    /// packets of its former probes may still be on their way.
    next: u64,
}

#[derive(Debug)]
struct Route {
    /// Number of the connection.
    owner: u64,
    target: TunnelTarget,
    report: TunnelReport,
}

impl Mapping {
    /// Replaces the targets of a connection, and returns an address of the VIP's family from these prefixes for each;
    /// `None` if none is left. A target keeps its address.
    pub fn set(&mut self, owner: u64, targets: &[TunnelTarget], prefixes: &[Prefix]) -> Vec<Option<IpAddr>> {
        let wanted: HashSet<&TunnelTarget> = targets.iter().collect();
        let covered = |source: IpAddr| prefixes.iter().any(|prefix| prefix.covers(&Prefix::host(source)));
        self.routes.retain(|source, route| {
            route.owner != owner || wanted.contains(&route.target) && covered(*source)
        });
        let own = self.routes.iter().filter(|(_, route)| route.owner == owner);
        let mut known: HashMap<_, _> = own.map(|(source, route)| (route.target, Some(*source))).collect();
        // A family without a free address is not searched again: that may take long.
        let mut full = [false; 2];
        let mut address = |target: &TunnelTarget| {
            let is_ipv4 = target.vip.is_ipv4();
            let full = full.get_mut(usize::from(is_ipv4)).filter(|full| !**full)?;
            let source = self.free(is_ipv4, prefixes);
            *full = source.is_none();
            let route = Route { owner, target: *target, report: TunnelReport::default() };
            self.routes.insert(source?, route);
            source
        };
        targets.iter().map(|target| *known.entry(*target).or_insert_with_key(&mut address)).collect()
    }

    /// Removes the targets of a connection.
    pub fn leave(&mut self, owner: u64) {
        self.routes.retain(|_, route| route.owner != owner);
    }

    /// The server that a packet is for, if it is from a probe address to that address's VIP.
    pub fn server(&self, packet: Addresses) -> Option<IpAddr> {
        let route = self.routes.get(&packet.source).filter(|route| route.target.vip == packet.target)?;
        Some(route.target.server)
    }

    /// Counts a packet from a probe address.
    pub fn count(&mut self, source: IpAddr, sent: Result<(), TunnelRefusal>) {
        let Some(Route { report, .. }) = self.routes.get_mut(&source) else { return };
        match sent {
            Ok(()) => report.sent += 1,
            Err(refusal) => {
                report.refused += 1;
                report.refusal = Some(refusal);
            }
        }
    }

    /// What became of the packets from a connection's probe address.
    pub fn report(&self, owner: u64, source: IpAddr) -> Option<TunnelReport> {
        self.routes.get(&source).filter(|route| route.owner == owner).map(|route| route.report.clone())
    }

    fn free(&mut self, is_ipv4: bool, prefixes: &[Prefix]) -> Option<IpAddr> {
        let of_family = || prefixes.iter().filter(|prefix| prefix.address.is_ipv4() == is_ipv4);
        let count = of_family().map(hosts).fold(0u64, u64::saturating_add);
        for _ in 0..count.min(self.routes.len() as u64 + 1) {
            let place = self.next.checked_rem(count)?;
            self.next = self.next.wrapping_add(1);
            let source = nth(of_family(), place)?;
            if !self.routes.contains_key(&source) {
                return Some(source);
            }
        }
        None
    }
}

/// Length in bits of the part of a prefix's addresses that is not the prefix's.
fn host_bits(prefix: &Prefix) -> u8 {
    let bits: u8 = if prefix.address.is_ipv4() { 32 } else { 128 };
    bits.saturating_sub(prefix.length)
}

/// Number of addresses that are used of a prefix: at most 2^32, and not the first and the last one, which may stand for a
/// network, its routers or its broadcast.
fn hosts(prefix: &Prefix) -> u64 {
    match host_bits(prefix) {
        0 | 1 => 1,
        bits => (1 << bits.min(32)) - 2,
    }
}

fn nth<'p>(prefixes: impl Iterator<Item = &'p Prefix>, mut place: u64) -> Option<IpAddr> {
    for prefix in prefixes {
        let count = hosts(prefix);
        if place < count {
            let number = place + u64::from(host_bits(prefix) > 1);
            return match prefix.address {
                IpAddr::V4(network) => {
                    let address = u32::from(network).checked_add(u32::try_from(number).ok()?)?;
                    Some(IpAddr::V4(address.into()))
                }
                IpAddr::V6(network) => {
                    Some(IpAddr::V6(u128::from(network).checked_add(number.into())?.into()))
                }
            };
        }
        place -= count;
    }
    None
}

#[cfg(test)]
mod tests;
