//! Whether all members have the same tables: digests of what VPP has, their comparison, and for how long they have differed.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use maglev_protocol::{Programmed, VipKey, VipSpec};

use super::records::{Digest, MOST_VIPS, MemberState, Name, Tables};
use crate::votes::short_hash;

/// Maximum number of differences that are followed; the first in the order of VIPs and members.
pub const MOST_DIFFERENCES: usize = 10_000;

/// Hash of the servers of a VIP and their weights, in the order of their addresses.
pub fn hash(servers: impl IntoIterator<Item = (IpAddr, u8)>) -> u64 {
    let servers: BTreeMap<IpAddr, u8> = servers.into_iter().collect();
    let lines = servers.iter().map(|(address, weight)| format!("{address} {weight}\n"));
    u64::from_str_radix(&short_hash(&lines.collect::<String>()), 16).unwrap_or_default()
}

/// The digest of a member's VIPs: what was decided for each, and what VPP has of it. VIPs beyond [`MOST_VIPS`] are left out,
/// which are the same for all members.
pub fn tables<'d>(decided: impl IntoIterator<Item = &'d VipSpec>, programmed: &Programmed) -> Tables {
    let in_vpp: BTreeMap<_, _> = programmed.vips.iter().map(|vip| (vip.key, vip)).collect();
    let specs: BTreeMap<_, _> = decided.into_iter().map(|spec| (spec.key, spec)).collect();
    let digest = |(vip, spec): (VipKey, &VipSpec)| {
        let servers = spec.servers.iter().map(|(address, server)| (*address, server.weight));
        let found = in_vpp.get(&vip);
        let has = found.map(|found| &found.servers);
        Digest {
            vip,
            length: found.map_or(0, |found| found.new_flows_table_length),
            programmed: hash(has.into_iter().flatten().map(|(address, weight)| (*address, *weight))),
            servers: has.map_or(0, |has| u32::try_from(has.len()).unwrap_or(u32::MAX)),
            decided: hash(servers),
        }
    };
    Tables { vips: specs.into_iter().take(MOST_VIPS).map(digest).collect() }
}

/// Why two members have different tables for a VIP. In the order in which they are looked for: each explains those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// VPP of one of them does not have what was decided.
    NotProgrammed,
    /// They run different revisions of the configuration.
    Config,
    /// Their tables have different lengths.
    TableLength,
    /// Somebody else has changed VPP of one of them.
    Drift,
    /// One of them has not applied all intents, or has overrides of its own.
    Intent,
    /// They see different backends down.
    Vote,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NotProgrammed, Self::Config, Self::TableLength, Self::Drift, Self::Intent, Self::Vote];

    /// One word, for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotProgrammed => "not_programmed",
            Self::Config => "config",
            Self::TableLength => "table_length",
            Self::Drift => "drift",
            Self::Intent => "intent",
            Self::Vote => "vote",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotProgrammed => "not programmed in VPP",
            Self::Config => "different revisions of the configuration",
            Self::TableLength => "different table lengths",
            Self::Drift => "changed in VPP by somebody else",
            Self::Intent => "different intents or overrides",
            Self::Vote => "different views of health",
        })
    }
}

/// A member's tables, and what explains them.
#[derive(Debug, Clone, Copy)]
pub struct Side<'m> {
    /// Its state.
    pub state: &'m MemberState,
    /// Its tables.
    pub tables: &'m Tables,
}

/// The VIPs for which other members have different tables than `own` has. `newest_intent` is the store's revision in which
/// the intents changed last.
pub fn differences(
    own: &Side<'_>,
    others: &BTreeMap<Name, Side<'_>>,
    newest_intent: u64,
) -> BTreeMap<(VipKey, Name), Reason> {
    let by_vip =
        |side: &Side<'_>| side.tables.vips.iter().map(|vip| (vip.vip, *vip)).collect::<BTreeMap<_, _>>();
    let mine = by_vip(own);
    let mut found = BTreeMap::new();
    // Nearly all are equal.
    for (name, other) in others.iter().filter(|(_, other)| other.tables != own.tables) {
        let theirs = by_vip(other);
        for vip in mine.keys().chain(theirs.keys().filter(|vip| !mine.contains_key(vip))) {
            let pair = [(own, mine.get(vip)), (other, theirs.get(vip))];
            if let Some(reason) = difference(&pair, newest_intent) {
                found.insert((*vip, name.clone()), reason);
            }
        }
    }
    while found.len() > MOST_DIFFERENCES {
        found.pop_last();
    }
    found
}

fn difference(pair: &[(&Side<'_>, Option<&Digest>); 2], newest_intent: u64) -> Option<Reason> {
    let [(_, mine), (_, theirs)] = pair;
    let in_vpp = |digest: &&Digest| (digest.length, digest.programmed, digest.servers);
    if mine.as_ref().map(in_vpp) == theirs.as_ref().map(in_vpp) {
        return None;
    }
    let any = |is: &dyn Fn(&Side<'_>, Option<&Digest>) -> bool| pair.iter().any(|(side, vip)| is(side, *vip));
    let revision = |side: &Side<'_>| side.state.running.as_ref().map(|running| running.sha256.clone());
    let [length, other_length] = pair.map(|(_, vip)| vip.map(|vip| vip.length));
    let is_unprogrammed = |side: &Side<'_>, vip: Option<&Digest>| {
        side.state.not_programmed.is_some() || vip.is_some_and(|vip| vip.length == 0)
    };
    Some(if any(&is_unprogrammed) {
        Reason::NotProgrammed
    } else if revision(pair[0].0) != revision(pair[1].0) || length.is_none() || other_length.is_none() {
        Reason::Config
    } else if length != other_length {
        Reason::TableLength
    } else if any(&|_, vip| vip.is_some_and(|vip| vip.programmed != vip.decided)) {
        Reason::Drift
    } else if any(&|side, _| side.state.intents < newest_intent || side.state.local > 0) {
        Reason::Intent
    } else {
        Reason::Vote
    })
}

/// A difference that has lasted too long, or no longer exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The VIP.
    pub vip: VipKey,
    /// The other member.
    pub member: Name,
    /// Why; `None` if the tables are equal again.
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy)]
struct Lasting {
    since: Instant,
    reason: Reason,
    told: bool,
}

/// For how long tables have differed. Short differences are normal: members do not act in the same instant.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    lasting: BTreeMap<(VipKey, Name), Lasting>,
}

impl Comparison {
    /// Takes over what a comparison found. Differences are news when they have lasted for longer than `patience`, which is
    /// two sync intervals, and when those end.
    pub fn see(
        &mut self,
        found: &BTreeMap<(VipKey, Name), Reason>,
        patience: Duration,
        now: Instant,
    ) -> Vec<News> {
        let mut news = Vec::new();
        let ended = self.lasting.extract_if(.., |key, _| !found.contains_key(key));
        for ((vip, member), lasting) in ended {
            if lasting.told {
                news.push(News { vip, member, reason: None });
            }
        }
        for (key, reason) in found {
            let new = Lasting { since: now, reason: *reason, told: false };
            let lasting = self.lasting.entry(key.clone()).or_insert(new);
            lasting.reason = *reason;
            if !lasting.told && now.saturating_duration_since(lasting.since) > patience {
                lasting.told = true;
                news.push(News { vip: key.0, member: key.1.clone(), reason: Some(*reason) });
            }
        }
        news
    }

    /// When a difference will have lasted too long, if it stays. At that time the comparison is due again.
    pub fn next(&self, patience: Duration) -> Option<Instant> {
        let waiting = self.lasting.values().filter(|lasting| !lasting.told);
        waiting.map(|lasting| lasting.since + patience + Duration::from_millis(1)).min()
    }

    /// The differences that have lasted too long, since when, and why.
    pub fn standing(&self) -> impl Iterator<Item = (&VipKey, &Name, Instant, Reason)> {
        let told = self.lasting.iter().filter(|(_, lasting)| lasting.told);
        told.map(|((vip, member), lasting)| (vip, member, lasting.since, lasting.reason))
    }
}

/// A table that has differed from another member's for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The VIP.
    pub vip: VipKey,
    /// The other member.
    pub member: Name,
    /// For how long.
    pub lasts: Duration,
    /// Why.
    pub reason: Reason,
}

#[cfg(test)]
mod tests;
