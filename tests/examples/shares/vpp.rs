//! The same tables in a real VPP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use vppapi::client::{Client, ConnectOptions};
use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight, LbAsV2Dump, ShowVersion};
use vppapi::types::{Encap, Prefix, VipId};

use crate::table::{self, Table};

const TCP: u8 = 6;
/// Mismatches that are told; further ones are only counted.
const TOLD: usize = 20;

/// A real VPP, and what came of comparing it with the simulator.
pub(crate) struct Vpp {
    client: Client,
    version: String,
    tables: u32,
    servers: u32,
    mismatches: Vec<String>,
    vips: u32,
}

impl Vpp {
    pub(crate) async fn connect(folder: &Path) -> Result<Self> {
        let socket = folder.join("api.sock");
        let options = ConnectOptions { name: "shares".to_owned(), ..ConnectOptions::default() };
        let client = Client::connect(&socket, options).await?;
        let version = client.call(ShowVersion {}).await?.version.to_string();
        Ok(Self { client, version, tables: 0, servers: 0, mismatches: Vec::new(), vips: 0 })
    }

    /// Makes a VIP with this table, compares it full and with one server after another at 0, and removes it.
    pub(crate) async fn compare(&mut self, table: &Table) -> Result<()> {
        let address = table::vip(self.vips);
        self.vips += 1;
        let vip = VipId { prefix: Prefix::host(address), protocol: TCP, port: 80 };
        let make = LbAddDelVipV2::gre(vip, Encap::Gre4, table.length());
        self.client.call(make).await.with_context(|| format!("making the VIP {vip}"))?;
        let compared = self.compare_servers(vip, table).await;
        let removed = self.remove(vip, table).await;
        compared.and(removed)
    }

    async fn compare_servers(&mut self, vip: VipId, table: &Table) -> Result<()> {
        let add =
            |(as_address, weight)| LbAddDelAsV2 { vip, as_address, weight, is_del: false, is_flush: false };
        let adds: Vec<_> = table.servers().map(add).collect();
        for added in self.client.call_all(&adds).await {
            added.with_context(|| format!("adding a server to {vip}"))?;
        }
        self.compare_buckets(vip, table).await?;
        for out in table.leavers() {
            let Some((as_address, weight)) = table.servers().nth(out) else {
                bail!("{vip} has no server {out}");
            };
            let set = |weight| LbAsSetWeight { vip, as_address, weight, is_flush: false };
            self.client.call(set(0)).await.with_context(|| format!("{as_address} of {vip} to 0"))?;
            self.compare_buckets(vip, &table.without(out)).await?;
            self.client.call(set(weight)).await.with_context(|| format!("{as_address} of {vip} back"))?;
        }
        Ok(())
    }

    async fn compare_buckets(&mut self, vip: VipId, table: &Table) -> Result<()> {
        let dump = self.client.dump(LbAsV2Dump::default()).await?;
        let used = dump.into_iter().filter(|found| found.vip == vip && found.is_used());
        let mut found: BTreeMap<IpAddr, (u8, u32)> =
            used.map(|server| (server.as_address, (server.weight, server.num_buckets))).collect();
        self.tables += 1;
        for ((address, weight), buckets) in table.servers().zip(table.buckets()) {
            self.servers += 1;
            let real = found.remove(&address);
            if real != Some((weight, buckets)) {
                let real = real.map_or("nothing".to_owned(), |(weight, buckets)| {
                    format!("weight {weight}, {buckets} buckets")
                });
                self.mismatches.push(format!(
                    "{address} of {vip}, {} buckets: VPP has {real}; the simulator weight {weight}, {buckets} buckets",
                    table.length()
                ));
            }
        }
        self.mismatches.extend(found.keys().map(|address| format!("{address} of {vip}: only VPP has it")));
        Ok(())
    }

    async fn remove(&self, vip: VipId, table: &Table) -> Result<()> {
        let remove =
            |(as_address, _)| LbAddDelAsV2 { vip, as_address, weight: 0, is_del: true, is_flush: false };
        let removes: Vec<_> = table.servers().map(remove).collect();
        // One that was never added is refused, which is as good.
        drop(self.client.call_all(&removes).await);
        let removal = LbAddDelVipV2 { is_del: true, ..LbAddDelVipV2::gre(vip, Encap::Gre4, table.length()) };
        self.client.call(removal).await.with_context(|| format!("removing the VIP {vip}"))?;
        Ok(())
    }

    pub(crate) fn agrees(&self) -> bool {
        self.mismatches.is_empty()
    }

    pub(crate) fn verdict(&self) -> String {
        let Self { version, tables, servers, mismatches, .. } = self;
        let mut lines = vec![format!(
            "VPP {version}: {tables} tables, {servers} servers' buckets compared with the simulator's, {} differ",
            mismatches.len()
        )];
        lines.extend(mismatches.iter().take(TOLD).cloned());
        lines.join("\n")
    }
}
