//! Application servers of VIPs: added, reweighted, removed, revived.

use std::collections::BTreeMap;

use maglev_table::buckets::{Candidate, NO_SERVER, buckets};

use super::{Lb, Refusal, Uptime, Vip, VipKey, seconds};
use crate::address::{Ip46, Ip46Prefix};

/// An application server of one VIP.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub address: Ip46,
    /// Share of new flows. VPP does not check it.
    pub weight: u8,
    /// Not removed.
    pub used: bool,
    /// Index of the route to its address, `dpo` in the CLI text.
    pub route: u32,
}

impl Lb {
    /// Adds a server to a VIP, or revives it if it was removed. `flush` lets a revived one start without old flows.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`] without the VIP, [`Refusal::Exists`], [`Refusal::WrongFamily`], and
    /// [`Refusal::Deadly`] for a NAT VIP of all ports.
    pub fn add_server(
        &mut self,
        key: &VipKey,
        address: Ip46,
        weight: u8,
        flush: bool,
        now: Uptime,
    ) -> Result<(), Refusal> {
        let vip_index = self.find(key).ok_or(Refusal::NoSuchEntry)?;
        let vip = self.vips.get(vip_index).ok_or(Refusal::NoSuchEntry)?;
        let known = self.server_index(vip, address);
        if let Some(index) = known {
            let server = self.servers.get_mut(index).ok_or(Refusal::NoSuchEntry)?;
            if server.used {
                return Err(Refusal::Exists);
            }
            server.used = true;
            server.weight = weight;
        } else if address.is_ipv4() == vip.kind.servers_are_ipv4() {
            if vip.is_nat_of_all_ports() {
                return Err(Refusal::Deadly("it adds a server to a NAT VIP of all ports".to_owned()));
            }
            self.insert_server(vip_index, address, weight);
        } else {
            return Err(Refusal::WrongFamily);
        }
        self.rebuild(vip_index);
        if let (true, Some(index)) = (flush, known) {
            self.flush(vip_index, Some(index));
        }
        self.collect_servers(vip_index, now);
        Ok(())
    }

    /// Removes a server; its entry stays until it is collected. Removing it again succeeds.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`].
    pub fn remove_server(
        &mut self,
        key: &VipKey,
        address: Ip46,
        flush: bool,
        now: Uptime,
    ) -> Result<(), Refusal> {
        let (vip_index, index) = self.find_server(key, address)?;
        self.collect_servers(vip_index, now);
        self.mark_removed(index, now);
        self.rebuild(vip_index);
        if flush {
            self.flush(vip_index, Some(index));
        }
        Ok(())
    }

    /// Changes a server's weight.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`], also for a removed server.
    pub fn set_weight(
        &mut self,
        key: &VipKey,
        address: Ip46,
        weight: u8,
        flush: bool,
    ) -> Result<(), Refusal> {
        let (vip_index, index) = self.find_server(key, address)?;
        let server = self.servers.get_mut(index).filter(|server| server.used).ok_or(Refusal::NoSuchEntry)?;
        server.weight = weight;
        self.rebuild(vip_index);
        if flush {
            self.flush(vip_index, Some(index));
        }
        Ok(())
    }

    /// Flushes a VIP. For a VIP that does not exist VPP reports no error and flushes something undefined
    /// (read in its source); here, nothing.
    pub fn flush_vip(&mut self, key: &VipKey) {
        if let Some(index) = self.find(key) {
            self.flush(index, None);
        }
    }

    /// How many buckets each server of a VIP has, by server index. Servers without a bucket are missing.
    pub fn bucket_counts(vip: &Vip) -> BTreeMap<u32, u32> {
        let mut counts = BTreeMap::new();
        for server in &vip.table {
            *counts.entry(*server).or_insert(0) += 1;
        }
        counts.remove(&NO_SERVER);
        counts
    }

    pub(super) fn mark_removed(&mut self, index: u32, now: Uptime) {
        if let Some(server) = self.servers.get_mut(index) {
            server.used = false;
        }
        if let Some(last_used) = self.last_used.get_mut(index as usize) {
            *last_used = seconds(now);
        }
    }

    fn insert_server(&mut self, vip_index: u32, address: Ip46, weight: u8) {
        let route = self.fib.add_server(Ip46Prefix::host(address));
        let index = self.servers.insert(Server { address, weight, used: true, route });
        if self.last_used.len() <= index as usize {
            self.last_used.resize(index as usize + 1, 0);
        }
        if let Some(vip) = self.vips.get_mut(vip_index) {
            vip.servers.insert(index);
        }
    }

    /// Rebuilds a VIP's new-flow table, as VPP does even if nothing changes.
    pub(super) fn rebuild(&mut self, vip_index: u32) {
        let Some(vip) = self.vips.get(vip_index) else {
            return;
        };
        let candidates: Vec<_> = self
            .servers_of(vip)
            .filter(|(_, server)| server.used)
            .map(|(id, server)| Candidate { id, address: server.address.into(), weight: server.weight })
            .collect();
        let table = buckets(vip.table_length(), &candidates);
        if let Some(vip) = self.vips.get_mut(vip_index) {
            vip.table = table;
            vip.rebuilds += 1;
            self.rebuilds += 1;
        }
    }

    fn find_server(&self, key: &VipKey, address: Ip46) -> Result<(u32, u32), Refusal> {
        let vip_index = self.find(key).ok_or(Refusal::NoSuchEntry)?;
        let vip = self.vips.get(vip_index).ok_or(Refusal::NoSuchEntry)?;
        let index = self.server_index(vip, address).ok_or(Refusal::NoSuchEntry)?;
        Ok((vip_index, index))
    }

    fn server_index(&self, vip: &Vip, address: Ip46) -> Option<u32> {
        self.servers_of(vip).find(|(_, server)| server.address == address).map(|(index, _)| index)
    }
}
