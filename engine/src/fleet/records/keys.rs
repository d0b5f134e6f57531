//! Keys of the store.

use maglev_protocol::VipKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{IntentKey, Name, TABLE_PARTS, parse_vip, vip_text};
use crate::config::is_name;
use crate::overrides::PoolMember;

/// What stands for itself in a part of a key.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':');

/// A key of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An immutable revision of the configuration.
    Config(u64),
    /// The current rollout.
    Rollout,
    /// An operator's intent.
    Intent(IntentKey),
    /// Table length of a VIP.
    Length(VipKey),
    /// Who a member is. Without a lease: one that is away is known as away.
    Info(Name),
    /// A member's state, with its lease.
    State(Name),
    /// A part of what a member has in VPP, below [`TABLE_PARTS`](super::TABLE_PARTS), with its lease.
    Tables(Name, u8),
    /// Which backends a member sees down, with its lease.
    Votes(Name),
    /// A configuration that members preview, with a lease.
    Proposal,
    /// A member's answer to that, with a lease.
    Preview(Name),
    /// Another machine with the member's name, with that machine's lease.
    Rival(Name),
}

/// What all keys of a fleet begin with.
pub fn prefix(fleet: &Name) -> String {
    format!("/maglev/{fleet}/")
}

impl Key {
    /// The key in the store.
    pub fn path(&self, fleet: &Name) -> String {
        let part = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let rest = match self {
            Self::Config(number) => format!("config/{number:010}"),
            Self::Rollout => "rollout".to_owned(),
            Self::Proposal => "proposal".to_owned(),
            Self::Intent(IntentKey::Backend(backend)) => format!("intents/backend/{}", part(backend)),
            Self::Intent(IntentKey::Weight(PoolMember { frontend, pool, backend })) => {
                format!("intents/weight/{}/{}/{}", part(frontend), part(pool), part(backend))
            }
            Self::Length(vip) => format!("lengths/{}", part(&vip_text(vip))),
            Self::Info(member) => format!("members/{member}/info"),
            Self::State(member) => format!("members/{member}/state"),
            Self::Tables(member, part) => format!("members/{member}/tables/{part:02x}"),
            Self::Votes(member) => format!("members/{member}/votes"),
            Self::Preview(member) => format!("members/{member}/preview"),
            Self::Rival(member) => format!("members/{member}/rival"),
        };
        prefix(fleet) + &rest
    }

    /// The member that alone may write it; `None` if every member may.
    pub fn owner(&self) -> Option<&Name> {
        match self {
            Self::Info(member)
            | Self::State(member)
            | Self::Tables(member, _)
            | Self::Votes(member)
            | Self::Preview(member)
            | Self::Rival(member) => Some(member),
            Self::Config(_) | Self::Rollout | Self::Proposal | Self::Intent(_) | Self::Length(_) => None,
        }
    }

    /// Parses exactly what [`Self::path`] writes; anything else is not a key of this fleet.
    pub fn parse(fleet: &Name, key: &[u8]) -> Option<Self> {
        let path = str::from_utf8(key).ok()?;
        let parts: Vec<&str> = path.strip_prefix(&prefix(fleet))?.split('/').collect();
        let key = match parts[..] {
            ["config", number] => Self::Config(number.parse().ok()?),
            ["rollout"] => Self::Rollout,
            ["proposal"] => Self::Proposal,
            ["intents", "backend", backend] => Self::Intent(IntentKey::Backend(configured(backend)?)),
            ["intents", "weight", frontend, pool, backend] => Self::Intent(IntentKey::Weight(PoolMember {
                frontend: configured(frontend)?,
                pool: configured(pool)?,
                backend: configured(backend)?,
            })),
            ["lengths", vip] => Self::Length(parse_vip(&decoded(vip)?)?),
            ["members", member, "tables", part] => {
                let part = u8::from_str_radix(part, 16).ok().filter(|part| *part < TABLE_PARTS)?;
                Self::Tables(Name::new(member).ok()?, part)
            }
            ["members", member, what] => {
                let member = Name::new(member).ok()?;
                match what {
                    "info" => Self::Info(member),
                    "state" => Self::State(member),
                    "votes" => Self::Votes(member),
                    "preview" => Self::Preview(member),
                    "rival" => Self::Rival(member),
                    _ => return None,
                }
            }
            _ => return None,
        };
        // One key has one spelling, so that no value hides behind another one.
        (key.path(fleet) == path).then_some(key)
    }
}

fn decoded(part: &str) -> Option<String> {
    Some(percent_decode_str(part).decode_utf8().ok()?.into_owned())
}

fn configured(part: &str) -> Option<String> {
    decoded(part).filter(|name| is_name(name))
}
