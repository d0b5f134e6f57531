//! What a member says of itself.

use std::collections::BTreeMap;

use maglev_protocol::VipKey;
use serde::{Deserialize, Serialize};

use super::{LONGEST_REASON, Name, Record, Sha256, check_text, vip};
use crate::config::is_name;
use crate::votes::{Backends, MOST_LISTED, Votes};

/// Maximum number of VIPs in a digest: as many as fit the size of a value.
pub const MOST_VIPS: usize = 5_000;
/// Maximum length of a version.
const LONGEST_VERSION: usize = 64;
/// Maximum length of the hash of the backends that votes are on.
const LONGEST_SUBJECT: usize = 64;

/// Who a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name, which is in its key, too.
    pub name: Name,
    /// Version of its brain.
    pub version: String,
    /// When it joined the fleet, in Unix milliseconds.
    pub first_seen_ms: u64,
}

impl Record for MemberInfo {
    fn check(&self) -> Result<(), String> {
        check_text("`version`", &self.version, LONGEST_VERSION)
    }
}

/// A revision that a member runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub revision: u64,
    /// Of its text.
    pub sha256: Sha256,
}

/// A revision that a member refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub revision: u64,
    /// Why.
    pub reason: String,
    /// Begin of the rollout in which it refused it: in another one it tries again.
    pub begun_ms: u64,
}

/// What went wrong since a member began to run its revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problems {
    /// Backends that went down.
    pub downs: u64,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Differences in VPP that nobody here made.
    pub drift: u64,
    /// Routes that were withdrawn.
    pub withdrawn: u64,
}

/// What a member does with its routes because much is unreachable only from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routes {
    /// Nothing: they are as its backends demand.
    #[default]
    Normal,
    /// It wants to withdraw them, and does so once the fleet has seen that.
    Withdrawing,
}

/// A member's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// The revision in use; `None`: the configuration of its own file.
    pub running: Option<Running>,
    /// The latest revision that it refused.
    pub refused: Option<Refused>,
    /// The store's revision up to which it has applied all intents.
    #[serde(default)]
    pub intents: u64,
    /// Overrides that are set only on it.
    #[serde(default)]
    pub local: u64,
    /// Why VPP has not acknowledged all decisions; `None` if it has.
    pub not_programmed: Option<String>,
    /// Whether VPP is connected.
    pub vpp: bool,
    /// What went wrong since it began to run its revision.
    #[serde(default)]
    pub problems: Problems,
    /// Whether it announces at least one route.
    #[serde(default)]
    pub announces: bool,
    /// What it does with its routes because of the fleet.
    #[serde(default)]
    pub routes: Routes,
    /// Its clock when this was written, in Unix milliseconds.
    pub clock_ms: u64,
    /// The process that wrote it: a random number, by which two machines with one name recognize each other.
    #[serde(default, with = "hexadecimal")]
    pub instance: u64,
}

impl Record for MemberState {
    fn check(&self) -> Result<(), String> {
        let refused = self.refused.as_ref().map_or("", |refused| &refused.reason);
        check_text("the reason for a refusal", refused, LONGEST_REASON)?;
        check_text("`not_programmed`", self.not_programmed.as_deref().unwrap_or_default(), LONGEST_REASON)
    }
}

/// A machine that has the name of another one, and so publishes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// Its process.
    #[serde(with = "hexadecimal")]
    pub instance: u64,
    /// Since when it knows, by its clock, in Unix milliseconds.
    pub since_ms: u64,
}

impl Record for Rival {
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Number of parts that a member's tables are written in. With 1,000 VIPs, a change of one makes each member write and read
/// some 2 kB instead of 118.
pub const TABLE_PARTS: u8 = 64;

/// The tables that a member has in VPP, or a part of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// One for each VIP, in the order of the VIPs.
    pub vips: Vec<Digest>,
}

/// A VIP in VPP, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Which.
    #[serde(with = "vip::as_text")]
    pub vip: VipKey,
    /// Its table length in VPP, in buckets; 0 if VPP does not have it.
    pub length: u32,
    /// Hash of its servers and their weights in VPP.
    #[serde(with = "hexadecimal")]
    pub programmed: u64,
    /// Number of its servers in VPP.
    pub servers: u32,
    /// The same hash of what was decided.
    #[serde(with = "hexadecimal")]
    pub decided: u64,
}

impl Tables {
    /// Its parts, by their numbers. The first one is always there, and with it the member's tables, even if they are empty.
    pub fn parts(&self) -> BTreeMap<u8, Self> {
        let mut parts: BTreeMap<u8, Self> = [(0, Self::default())].into();
        for digest in &self.vips {
            parts.entry(part_of(&digest.vip)).or_default().vips.push(*digest);
        }
        parts
    }

    /// The tables that have these parts. A VIP that is in several, of which one is a foreign program's, is taken once.
    pub fn of_parts<'p>(parts: impl IntoIterator<Item = &'p Self>) -> Self {
        let mut vips: Vec<_> = parts.into_iter().flat_map(|part| part.vips.iter().copied()).collect();
        vips.sort_by_key(|digest| digest.vip);
        vips.dedup_by_key(|digest| digest.vip);
        Self { vips }
    }
}

/// The part that a VIP is in; the same in all versions.
fn part_of(vip: &VipKey) -> u8 {
    let hash = crc32fast::hash(super::vip_text(vip).as_bytes());
    u8::try_from(hash % u32::from(TABLE_PARTS)).unwrap_or_default()
}

impl Record for Tables {
    fn check(&self) -> Result<(), String> {
        if self.vips.len() > MOST_VIPS {
            return Err(format!("it has {} VIPs, more than {MOST_VIPS}", self.vips.len()));
        }
        match self.vips.is_sorted_by(|one, next| one.vip < next.vip) {
            true => Ok(()),
            false => Err("its VIPs are not in order".to_owned()),
        }
    }
}

impl Record for Votes {
    fn check(&self) -> Result<(), String> {
        if self.subject.len() > LONGEST_SUBJECT || !self.subject.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err("`subject` is not a hash".to_owned());
        }
        for (what, listed) in [("down", &self.down), ("unknown", &self.unknown)] {
            let Backends::These(names) = listed else { continue };
            if names.len() > MOST_LISTED {
                return Err(format!("it lists {} backends as {what}, more than {MOST_LISTED}", names.len()));
            }
            if names.iter().any(|name| !is_name(name)) {
                return Err(format!("a name among the backends that are {what} is malformed"));
            }
        }
        Ok(())
    }
}

/// Hashes in hexadecimal: other programs read large JSON numbers inexactly.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let parsed = (text.len() == 16 && text.bytes().all(is_digit)).then(|| u64::from_str_radix(&text, 16));
        parsed.and_then(Result::ok).ok_or_else(|| D::Error::custom("a hash is malformed"))
    }
}
