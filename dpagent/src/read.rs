//! What reading VPP brings, and how the parts of it are joined.
//!
//! The dumps tell which VIPs and servers there are; the text tells what is in no dump. They are read one after
//! the other, so somebody else's write in between can make them disagree.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use maglev_protocol::{Encap, LbConf, LbState, ServerState, VipKey, VipState};

use crate::cli_text::{TextServer, TextVip};
use crate::mirror::{Mirror, MirrorVip};

/// A VIP of the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VipRow {
    /// Which VIP.
    pub key: VipKey,
    /// Encapsulation to the servers.
    pub encap: Encap,
    /// Buckets of the table for new flows.
    pub table_length: u32,
}

/// A server of the dump. Servers of removed VIPs stand there too, unused, and under the same key if the VIP was
/// made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRow {
    /// Its VIP.
    pub vip: VipKey,
    /// Address.
    pub address: IpAddr,
    /// Whether it is in use, and not removed.
    pub used: bool,
    /// Weight.
    pub weight: u8,
    /// Buckets of the new-flow table.
    pub buckets: u32,
}

/// Both dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dumps {
    /// VIPs in use.
    pub vips: Vec<VipRow>,
    /// Servers of all VIPs, removed ones too.
    pub servers: Vec<ServerRow>,
}

/// The parts do not fit together: VPP was changed while it was read, or tells one thing twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("VPP's dumps and its text do not agree about VIP {0}")]
pub struct Torn(pub VipKey);

/// What only the text tells of a VIP.
type Details = BTreeMap<VipKey, (Option<u32>, Option<bool>)>;

/// Bytes of VPP's text that a VIP and a server take at most, without the flows' digits that nobody has. IPv4 ones take
/// 69 bytes a server (measured on VPP 26.10).
const TEXT_OF_VIP: usize = 192;
const TEXT_OF_SERVER: usize = 96;
/// Longest text that is asked for. VPP makes its answers in its API segment, of 16 MiB unless configured otherwise, and
/// aborts when one does not fit: at 220,000 servers, removed ones included, or 15.1 MB (measured on VPP 26.10).
const MOST_TEXT: usize = 8 << 20;

/// Whether VPP can be asked for its text when it has so many VIPs and servers, removed ones included.
pub fn text_is_safe(vips: usize, servers: usize) -> bool {
    let length = vips.saturating_mul(TEXT_OF_VIP).saturating_add(servers.saturating_mul(TEXT_OF_SERVER));
    length <= MOST_TEXT
}

impl Dumps {
    /// Numbers of VIPs, removed ones included as far as their servers show them, and of servers.
    pub fn rows(&self) -> (usize, usize) {
        let removed = self.servers.iter().filter(|row| !row.used);
        let removed: BTreeSet<_> = removed.map(|row| row.vip).collect();
        (self.vips.len() + removed.len(), self.servers.len())
    }

    /// Whether the text must be read too: a VIP came, went, or was made anew since `remembered`.
    ///
    /// A VIP that somebody else made anew is known by the servers that it had, which VPP goes on dumping as removed
    /// ones for a minute or more. One without servers leaves no trace, so it needs the text each time.
    pub fn need_text(&self, remembered: &Mirror) -> bool {
        let known = remembered.vips();
        let same = |row: &VipRow| {
            known.get(&row.key).is_some_and(|vip| {
                vip.index.is_some()
                    && vip.encap == row.encap
                    && vip.table_length == row.table_length
                    && !vip.servers.is_empty()
            })
        };
        let left_over = |row: &ServerRow| {
            !row.used && known.get(&row.vip).is_some_and(|vip| vip.servers.contains_key(&row.address))
        };
        self.vips.len() != known.len() || !self.vips.iter().all(same) || self.servers.iter().any(left_over)
    }

    /// The mirror, with what the text tells.
    ///
    /// # Errors
    /// When a VIP is not in the text, or a VIP or a server in use is dumped twice.
    pub fn mirror(&self, text: &[TextVip]) -> Result<Mirror, Torn> {
        let used = || text.iter().filter(|vip| !vip.removed);
        let details = used().map(|vip| (vip.key, (Some(vip.index), Some(vip.src_ip_sticky)))).collect();
        let drained = used().flat_map(|vip| {
            let drained = |server: &&TextServer| !server.removed && server.weight == 0 && server.flows == 0;
            vip.servers.iter().filter(drained).map(|server| (vip.key, server.address))
        });
        let drained: HashSet<_> = drained.collect();
        self.mirror_with(&details, |vip, server| drained.contains(&(vip, server)))
    }

    /// The mirror, with what `remembered` knows of the same VIPs, where [`Dumps::need_text`] said no.
    ///
    /// # Errors
    /// When a VIP is not in `remembered`, or a VIP or a server in use is dumped twice.
    pub fn mirror_like(&self, remembered: &Mirror) -> Result<Mirror, Torn> {
        let known = remembered.vips().iter();
        let details = known.map(|(key, vip)| (*key, (vip.index, vip.src_ip_sticky))).collect();
        self.mirror_with(&details, |vip, server| remembered.is_drained(&vip, &server))
    }

    /// The mirror, with what `remembered` knows of the same VIPs and nothing of others.
    ///
    /// # Errors
    /// When a VIP or a server in use is dumped twice.
    pub fn mirror_without_text(&self, remembered: Option<&Mirror>) -> Result<Mirror, Torn> {
        let known = |key| remembered.and_then(|mirror| mirror.get(key)?.src_ip_sticky);
        // Whether it still is the VIP that had the index is not known.
        let details = self.vips.iter().map(|row| (row.key, (None, known(&row.key)))).collect();
        self.mirror_with(&details, |vip, server| {
            remembered.is_some_and(|mirror| mirror.is_drained(&vip, &server))
        })
    }

    fn mirror_with(
        &self,
        details: &Details,
        drained: impl Fn(VipKey, IpAddr) -> bool,
    ) -> Result<Mirror, Torn> {
        let mut vips = BTreeMap::new();
        for row in &self.vips {
            let &(index, src_ip_sticky) = details.get(&row.key).ok_or(Torn(row.key))?;
            let (servers, set) = (BTreeMap::new(), BTreeSet::new());
            let (encap, table_length) = (row.encap, row.table_length);
            let vip = MirrorVip { index, encap, src_ip_sticky, table_length, servers, drained: set };
            if vips.insert(row.key, vip).is_some() {
                return Err(Torn(row.key));
            }
        }
        // VPP dumps the servers of a VIP together, so that each VIP is looked up once.
        for rows in self.servers.chunk_by(|one, other| one.vip == other.vip) {
            let Some(vip) = rows.first().and_then(|row| vips.get_mut(&row.vip)) else { continue };
            for row in rows.iter().filter(|row| row.used) {
                if vip.servers.insert(row.address, row.weight).is_some() {
                    return Err(Torn(row.vip));
                }
                if row.weight == 0 && drained(row.vip, row.address) {
                    vip.drained.insert(row.address);
                }
            }
        }
        Ok(Mirror::new(vips))
    }

    /// What an operator is shown.
    ///
    /// # Errors
    /// When dumps and text tell different servers or weights.
    pub fn state(&self, conf: LbConf, text: &[TextVip]) -> Result<LbState, Torn> {
        let mirror = self.mirror(text)?;
        let used: BTreeMap<_, _> = text.iter().filter(|vip| !vip.removed).map(|vip| (vip.key, vip)).collect();
        let mut vips = Vec::with_capacity(mirror.vips().len());
        for (key, vip) in mirror.vips() {
            let torn = || Torn(*key);
            let live = used.get(key).ok_or_else(torn)?;
            let mut servers: Vec<_> = live
                .servers
                .iter()
                .filter(|server| !server.removed)
                .map(|server| ServerState {
                    address: server.address,
                    weight: server.weight,
                    buckets: server.buckets,
                    flows: server.flows,
                })
                .collect();
            servers.sort_unstable_by_key(|server| server.address);
            let dumped = vip.servers.iter().map(|(address, weight)| (*address, *weight));
            if !dumped.eq(servers.iter().map(|server| (server.address, server.weight))) {
                return Err(torn());
            }
            vips.push(VipState {
                key: *key,
                index: vip.index.ok_or_else(torn)?,
                encap: vip.encap,
                src_ip_sticky: vip.src_ip_sticky.ok_or_else(torn)?,
                new_flows_table_length: vip.table_length,
                servers,
            });
        }
        if let Some(other) = used.keys().find(|key| !mirror.vips().contains_key(key)) {
            return Err(Torn(*other));
        }
        Ok(LbState { conf, vips, age: Duration::ZERO })
    }
}

#[cfg(test)]
mod tests;
