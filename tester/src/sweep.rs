//! A request through each bucket of a VIP's table for new flows: a server that fails behind a single bucket is found.
//!
//! The source port selects the bucket, by VPP's flow hash. Ports that are in use are passed over.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use futures::{StreamExt, stream};
use maglev_table::buckets::{Candidate, NO_SERVER, buckets};
use maglev_table::flow::{Flow, MixedFamilies, bucket};
use serde::Serialize;
use tokio::time::sleep_until;

use crate::class::Class;
use crate::client::{Client, Naming};
use crate::locked;
use crate::pace::Rate;
use crate::servers::clean;
use crate::stats::Exchange;
use crate::target::{Shape, Target};

/// Requests under way at once.
const AT_ONCE: usize = 32;
/// Ports that are tried for one bucket.
const PORTS: usize = 4;
/// Failures that a report names.
const NAMED: usize = 20;

/// A VIP's table for new flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    vip: SocketAddr,
    is_udp: bool,
    src_ip_sticky: bool,
    owners: Vec<u32>,
    names: Vec<String>,
}

impl Table {
    /// The table that VPP lays out for these servers: name, address and weight. `None` if VPP would lay out none.
    pub fn new(
        vip: SocketAddr,
        is_udp: bool,
        src_ip_sticky: bool,
        length: u32,
        servers: &[(String, IpAddr, u8)],
    ) -> Option<Self> {
        if !length.is_power_of_two() || length > 1 << 24 {
            return None;
        }
        let candidates: Vec<_> = servers
            .iter()
            .zip(1..)
            .map(|((_, address, weight), id)| Candidate { id, address: *address, weight: *weight })
            .collect();
        let names = servers.iter().map(|(name, ..)| name.clone()).collect();
        Some(Self { vip, is_udp, src_ip_sticky, owners: buckets(length, &candidates), names })
    }

    /// Where the VIP is.
    pub fn vip(&self) -> SocketAddr {
        self.vip
    }

    /// Whether it is that of a UDP service.
    pub fn is_udp(&self) -> bool {
        self.is_udp
    }

    /// Whether ports do not count, so that one address reaches a single bucket.
    pub fn src_ip_sticky(&self) -> bool {
        self.src_ip_sticky
    }

    /// How many buckets each server has.
    pub fn shares(&self) -> BTreeMap<&str, u32> {
        let mut shares = BTreeMap::new();
        for owner in self.owners.iter().filter_map(|owner| self.name(*owner)) {
            *shares.entry(owner).or_default() += 1;
        }
        shares
    }

    fn owner(&self, bucket: u32) -> Option<&str> {
        self.owners.get(bucket as usize).and_then(|owner| self.name(*owner))
    }

    fn name(&self, owner: u32) -> Option<&str> {
        let index = (owner != NO_SERVER).then(|| owner - 1)?;
        self.names.get(index as usize).map(String::as_str)
    }

    /// For each bucket some ports of this source that lead to it, none of them twice; those that no port leads to have
    /// none. Ports beyond the range that the system gives to clients go first.
    ///
    /// # Errors
    /// If source and VIP are of different families.
    pub fn ports(&self, source: IpAddr) -> Result<Vec<Vec<u16>>, MixedFamilies> {
        let length = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let mut found = vec![Vec::new(); self.owners.len()];
        for port in (10_000..32_768).chain(61_000..=u16::MAX).chain(32_768..61_000).chain(1024..10_000) {
            let hash = Flow::new(SocketAddr::new(source, port), self.vip)?.hash(self.src_ip_sticky);
            if let Some(ports) = found.get_mut(bucket(hash, length) as usize)
                && ports.len() < PORTS
            {
                ports.push(port);
            }
        }
        Ok(found)
    }
}

/// What a sweep found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Buckets of the table.
    pub buckets: u32,
    /// Buckets through which a request was answered or failed.
    pub probed: u32,
    /// Buckets that no port of the source leads to, or only ports that are in use.
    pub unreached: u32,
    /// Requests that failed.
    pub failed: u32,
    /// Requests that another server answered than the table says: their flow is pinned from before, or the table has
    /// changed meanwhile.
    pub elsewhere: u32,
    /// By the server that has the bucket.
    pub servers: BTreeMap<String, SweptServer>,
    /// The first failures in words, in the order of the buckets.
    pub failures: Vec<String>,
}

/// The buckets of one server in a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweptServer {
    /// Buckets that it has.
    pub buckets: u32,
    /// Requests through them that were answered.
    pub answered: u32,
    /// Requests through them that failed.
    pub failed: u32,
}

/// Sweeps a VIP from this source address.
///
/// # Errors
/// If source and VIP are of different families.
pub async fn sweep(
    target: &Target,
    table: &Table,
    source: IpAddr,
    shape: &Shape,
    naming: &Naming,
    rate: Arc<Mutex<Rate>>,
) -> Result<Swept, MixedFamilies> {
    let asked = table.ports(source)?.into_iter().zip(0u32..).map(|(ports, bucket)| {
        let mut client = Client::new(target, shape, naming, false);
        let rate = Arc::clone(&rate);
        async move { (bucket, through(&mut client, source, &ports, &rate).await) }
    });
    let mut results: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    results.sort_unstable_by_key(|(bucket, _)| *bucket);
    Ok(table.judge(results))
}

/// The first request that can be made from one of these ports.
async fn through(
    client: &mut Client,
    source: IpAddr,
    ports: &[u16],
    rate: &Mutex<Rate>,
) -> Option<(u16, Exchange)> {
    for port in ports {
        let turn = locked(rate).reserve(tokio::time::Instant::now().into_std());
        sleep_until(turn.into()).await;
        let exchange = client.ask_from(Some(SocketAddr::new(source, *port))).await;
        if Class::of(&exchange.outcome) != Some(Class::Local) {
            return Some((*port, exchange));
        }
    }
    None
}

impl Table {
    fn judge(&self, results: Vec<(u32, Option<(u16, Exchange)>)>) -> Swept {
        let mut swept =
            Swept { buckets: u32::try_from(self.owners.len()).unwrap_or(u32::MAX), ..Swept::default() };
        let shares = self.shares();
        for (bucket, result) in results {
            let Some((port, exchange)) = result else {
                swept.unreached += 1;
                continue;
            };
            swept.probed += 1;
            let owner = self.owner(bucket).unwrap_or("(no server)");
            let row = swept.servers.entry(clean(owner)).or_default();
            row.buckets = shares.get(owner).copied().unwrap_or(0);
            if Class::of(&exchange.outcome).is_some() {
                row.failed += 1;
                swept.failed += 1;
                if swept.failures.len() < NAMED {
                    let words = maglev_proto::client::printable(&exchange.outcome.to_string());
                    swept.failures.push(format!("bucket {bucket} of {}, port {port}: {words}", clean(owner)));
                }
                continue;
            }
            row.answered += 1;
            // Answers by a name that is no server's cannot be compared.
            let answered_by = exchange.server.filter(|server| self.names.contains(server));
            swept.elsewhere += u32::from(answered_by.is_some_and(|server| server != owner));
        }
        swept
    }
}

#[cfg(test)]
mod tests;
