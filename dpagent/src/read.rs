//! Joins the parts of a full read of VPP.
//!
//! The dumps list VIPs and servers; the CLI text has details that no dump contains. They are read one after
//! the other, so a foreign write in between can make them disagree. Whatever disagrees or cannot be
//! understood is set aside; the rest is used.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use maglev_protocol::{Encap, LbConf, LbState, Prefix, ServerState, VipKey, VipState};

use crate::cli_text::{Text, TextServer};
use crate::mirror::{Mirror, MirrorVip};

/// A VIP in the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VipRow {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// Encapsulation to the servers.
    pub encap: Encap,
    /// Buckets of the table for new flows.
    pub table_length: u32,
}

/// A server in the dump. Servers of removed VIPs are listed too, as unused, and under the same key if the VIP
/// was re-created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRow {
    /// Its VIP.
    pub vip: VipKey,
    /// Address.
    pub address: IpAddr,
    /// Whether it is in use, not removed.
    pub used: bool,
    /// Weight.
    pub weight: u8,
    /// Number of buckets in the new-flow table.
    pub buckets: u32,
}

/// Both dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dumps {
    /// VIPs in use.
    pub vips: Vec<VipRow>,
    /// Servers of all VIPs, including removed ones.
    pub servers: Vec<ServerRow>,
    /// VIPs that are not in `vips` because the dump has an unknown value for them, with a description.
    pub strange: Vec<(VipKey, String)>,
}

impl VipRow {
    /// Whether no VIP's prefix is ambiguous. VPP dumps `::/64` as 0.0.0.0/64.
    fn is_sound(&self) -> bool {
        self.key.prefix.is_valid()
    }
}

/// Result of a read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What was understood, and what was set aside.
    pub mirror: Mirror,
    /// Inconsistencies that a change of VPP during the read can explain, described.
    pub torn: BTreeSet<String>,
}

impl Reading {
    fn torn(&mut self, key: VipKey, reason: &str) {
        self.mirror.set_aside_mut().vip(key, reason);
        self.torn.insert(format!("VIP {key}: {reason}"));
    }
}

/// Why a VIP is set aside that the text has and the dumps lack.
const NOT_DUMPED: &str = "VPP's text has it, but its dump does not";
const NO_TEXT: &str = "VPP's dump has it, but its text does not";
const DUMPED_TWICE: &str = "VPP's dump has it twice";
const SERVER_TWICE: &str = "VPP's dump has one of its servers twice";

/// Details of a VIP that only the CLI text has.
type Details = BTreeMap<VipKey, (Option<u32>, Option<bool>)>;

/// Maximum length of a VIP and of a server in VPP's CLI text, in bytes, apart from absurdly large flow
/// counts. IPv4 takes 69 bytes a server (measured on VPP 26.10).
const TEXT_OF_VIP: usize = 192;
const TEXT_OF_SERVER: usize = 96;
/// Maximum length of the CLI text that is requested. VPP builds its answers in its API segment, of 16 MiB by
/// default, and aborts if one does not fit: at 220,000 servers, removed ones included, or 15.1 MB (measured
/// on VPP 26.10).
const MOST_TEXT: usize = 8 << 20;

/// Whether requesting the CLI text is safe with so many VIPs and servers, removed ones included.
pub fn text_is_safe(vips: usize, servers: usize) -> bool {
    let length = vips.saturating_mul(TEXT_OF_VIP).saturating_add(servers.saturating_mul(TEXT_OF_SERVER));
    length <= MOST_TEXT
}

impl Dumps {
    /// Number of VIPs, including removed ones as far as their servers reveal them, and of servers.
    pub fn rows(&self) -> (usize, usize) {
        let removed = self.servers.iter().filter(|row| !row.used);
        let removed: BTreeSet<_> = removed.map(|row| row.vip).collect();
        (self.vips.len() + removed.len(), self.servers.len())
    }

    /// Whether the CLI text must be read too: a VIP was added, removed or re-created since `remembered`.
    ///
    /// A VIP that somebody else re-created is recognized by its former servers, which VPP goes on dumping as
    /// removed for a minute or more. One without servers leaves no trace, so it needs the text every time, as
    /// does anything not understood.
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
        let keys: BTreeSet<_> = self.vips.iter().map(|row| row.key).collect();
        !(self.strange.is_empty() && remembered.set_aside().is_empty())
            || self.vips.len() != known.len()
            || keys.len() != known.len()
            || !self.vips.iter().all(same)
            || self.servers.iter().any(left_over)
    }

    /// The mirror, with the details of the text.
    pub fn mirror(&self, text: &Text) -> Reading {
        let used = || text.vips.iter().filter(|vip| !vip.removed);
        let details = used().map(|vip| (vip.key, (Some(vip.index), Some(vip.src_ip_sticky)))).collect();
        let drained = used().flat_map(|vip| {
            let drained = |server: &&TextServer| !server.removed && server.weight == 0 && server.flows == 0;
            vip.servers.iter().filter(drained).map(|server| (vip.key, server.address))
        });
        let drained: HashSet<_> = drained.collect();
        let mut reading = self.mirror_with(&details, |vip, server| drained.contains(&(vip, server)));
        for line in &text.unread {
            reading.mirror.set_aside_mut().other(line.to_string());
        }
        reading
    }

    /// The mirror, with the details that `remembered` has of the same VIPs; for when [`Dumps::need_text`] is
    /// false.
    pub fn mirror_like(&self, remembered: &Mirror) -> Reading {
        let known = remembered.vips().iter();
        let details = known.map(|(key, vip)| (*key, (vip.index, vip.src_ip_sticky))).collect();
        self.mirror_with(&details, |vip, server| remembered.is_drained(&vip, &server))
    }

    /// The mirror, with the details that `remembered` has of the same VIPs and none for others.
    pub fn mirror_without_text(&self, remembered: Option<&Mirror>) -> Reading {
        let known = |key| remembered.and_then(|mirror| mirror.get(key)?.src_ip_sticky);
        // The index is dropped: the VIP may have been re-created under another one.
        let details = self.vips.iter().map(|row| (row.key, (None, known(&row.key)))).collect();
        self.mirror_with(&details, |vip, server| {
            remembered.is_some_and(|mirror| mirror.is_drained(&vip, &server))
        })
    }

    fn mirror_with(&self, details: &Details, drained: impl Fn(VipKey, IpAddr) -> bool) -> Reading {
        let mut reading = Reading::default();
        let mut vips = self.vips_with(details, &mut reading);
        // VPP dumps the servers of a VIP together, so each VIP is looked up once.
        for rows in self.servers.chunk_by(|one, other| one.vip == other.vip) {
            let mut used = rows.iter().filter(|row| row.used).peekable();
            let Some(key) = used.peek().map(|row| row.vip) else { continue };
            let Some(vip) = vips.get_mut(&key) else {
                if reading.mirror.set_aside().blocks(&key).is_none() {
                    let words = format!("servers of VIP {key}, which VPP does not have");
                    reading.mirror.set_aside_mut().other(words.clone());
                    reading.torn.insert(words);
                }
                continue;
            };
            let mut twice = false;
            for row in used {
                twice |= vip.servers.insert(row.address, row.weight).is_some();
                if row.weight == 0 && drained(row.vip, row.address) {
                    vip.drained.insert(row.address);
                }
            }
            if twice {
                vips.remove(&key);
                reading.torn(key, SERVER_TWICE);
            }
        }
        reading.mirror.set_vips(vips);
        reading
    }

    /// The VIPs without their servers, as far as they can be told apart.
    fn vips_with(&self, details: &Details, reading: &mut Reading) -> BTreeMap<VipKey, MirrorVip> {
        // IPv6 prefixes that VPP dumps as IPv4, by the key that it dumps them under.
        let disguised = details.keys().filter_map(|key| Some((disguise(key)?, *key)));
        let mut disguised: BTreeMap<_, _> = disguised.collect();
        let mut rows = BTreeMap::<VipKey, Vec<&VipRow>>::new();
        for row in &self.vips {
            rows.entry(row.key).or_default().push(row);
        }
        let mut missing: BTreeSet<_> = details.keys().copied().collect();
        for (key, reason) in &self.strange {
            reading.mirror.set_aside_mut().vip(*key, reason.as_str());
            missing.remove(key);
        }
        let mut vips = BTreeMap::new();
        for (key, rows) in rows {
            let found = missing.remove(&key).then(|| details.get(&key)).flatten();
            let hidden = disguised.remove(&key);
            if let Some(hidden) = hidden {
                missing.remove(&hidden);
                reading.mirror.set_aside_mut().disguised(hidden, key);
            }
            match (found, hidden, &rows[..]) {
                (Some(&(index, src_ip_sticky)), None, [row]) if row.is_sound() => {
                    let (servers, drained) = (BTreeMap::new(), BTreeSet::new());
                    let VipRow { encap, table_length, .. } = **row;
                    let vip = MirrorVip { index, encap, src_ip_sticky, table_length, servers, drained };
                    vips.insert(key, vip);
                }
                (None, Some(_), [_]) => {}
                // It is impossible to know which of the two a server belongs to.
                (Some(_), Some(hidden), [_, _]) => {
                    let reason = format!("VPP dumps VIP {hidden} as this one too");
                    reading.mirror.set_aside_mut().vip(key, reason);
                }
                (_, None, [row]) if !row.is_sound() => {
                    reading.mirror.set_aside_mut().vip(key, "this is no prefix");
                }
                (None, _, _) => reading.torn(key, NO_TEXT),
                (_, _, [_]) => reading.torn(key, NOT_DUMPED),
                _ => reading.torn(key, DUMPED_TWICE),
            }
        }
        for key in missing {
            reading.torn(key, NOT_DUMPED);
        }
        vips
    }

    /// The state to show to an operator: what was understood and is consistent between dumps and text.
    pub fn state(&self, conf: LbConf, text: &Text) -> (LbState, Reading) {
        let mut reading = self.mirror(text);
        let used: BTreeMap<_, _> =
            text.vips.iter().filter(|vip| !vip.removed).map(|vip| (vip.key, vip)).collect();
        let mut vips = Vec::with_capacity(reading.mirror.vips().len());
        for (key, vip) in reading.mirror.vips() {
            let (Some(live), Some(index), Some(src_ip_sticky)) =
                (used.get(key), vip.index, vip.src_ip_sticky)
            else {
                continue;
            };
            let mut servers = Vec::with_capacity(vip.servers.len());
            let mut told: BTreeMap<_, _> =
                live.servers.iter().filter(|row| !row.removed).map(|row| (row.address, row)).collect();
            for (address, weight) in &vip.servers {
                match told.remove(address) {
                    Some(row) if row.weight == *weight => servers.push(ServerState {
                        address: *address,
                        weight: row.weight,
                        buckets: row.buckets,
                        flows: row.flows,
                    }),
                    _ => drop(reading.torn.insert(format!("server {address} of VIP {key}"))),
                }
            }
            reading.torn.extend(told.keys().map(|address| format!("server {address} of VIP {key}")));
            vips.push(VipState {
                key: *key,
                index,
                encap: vip.encap,
                src_ip_sticky,
                new_flows_table_length: vip.table_length,
                servers,
            });
        }
        (LbState { conf, vips, age: Duration::ZERO }, reading)
    }
}

/// The key under which VPP dumps an ambiguous IPv6 VIP, if this is one.
fn disguise(key: &VipKey) -> Option<VipKey> {
    let Prefix { address, length } = key.prefix;
    let address = (address.is_ipv6() && key.prefix.meets_ipv4_range()).then_some(Ipv4Addr::UNSPECIFIED)?;
    Some(VipKey { prefix: Prefix { address: address.into(), length }, ..*key })
}

#[cfg(test)]
mod tests;
