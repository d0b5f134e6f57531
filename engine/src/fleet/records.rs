//! Keys and values of a fleet in its store.
//!
//! A value is a JSON object with `"format": 1`. Unknown fields are ignored, so that a later version may add some; another
//! format is refused. Values come from a store that others write to as well: each is bounded and checked, and a damaged one
//! is refused alone.

mod intent;
mod keys;
mod member;
mod names;
mod revision;
mod rollout;
mod vip;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use intent::{Aim, Intent, IntentKey};
pub use keys::{Key, prefix};
pub use member::{
    Digest, MOST_VIPS, MemberInfo, MemberState, Problems, Refused, Rival, Routes, Running, TABLE_PARTS,
    Tables,
};
pub use names::{BadName, LONGEST_NAME, Name};
pub use revision::{LARGEST_TEXT, Revision, Sha256, Unpackable};
pub use rollout::{MOST_MEMBERS, Order, Plan, Rollout, SOAK, Stage, TableLength};
pub use vip::{parse_vip, vip_text};

use crate::config::is_deceptive;

/// The format of values.
pub const FORMAT: u64 = 1;
/// Maximum size of a value, in bytes. etcd accepts requests of up to 1.5 MiB by default.
pub const LARGEST_VALUE: usize = 1 << 20;
/// Maximum length of a comment or a reason in a value, in characters.
pub const LONGEST_REASON: usize = 500;

/// Why a value was refused. Whatever was known of its key before stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its size.
    #[error("it has {0} bytes, more than the {LARGEST_VALUE} that are accepted")]
    TooLarge(usize),
    /// Its format.
    #[error(
        "it has format {0}, and this version of maglev knows only format {FORMAT}: upgrade this load balancer"
    )]
    OtherFormat(u64),
    /// It names no format.
    #[error("it has no `format`")]
    NoFormat,
    /// It is not JSON of the expected form.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Its contents break a rule.
    #[error("it is invalid: {0}")]
    Invalid(String),
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// Its size.
    #[error("it would have {0} bytes, more than the {LARGEST_VALUE} that are allowed")]
    TooLarge(usize),
    /// Its contents break a rule.
    #[error("it is invalid: {0}")]
    Invalid(String),
}

/// A value of the store.
pub trait Record: Serialize + DeserializeOwned {
    /// Checks what its type does not say.
    ///
    /// # Errors
    /// What is wrong, as a sentence without its end.
    fn check(&self) -> Result<(), String>;
}

/// The part of a value that all formats have.
#[derive(Deserialize)]
struct Header {
    format: Option<u64>,
}

#[derive(Serialize)]
struct Written<'r, R> {
    format: u64,
    #[serde(flatten)]
    record: &'r R,
}

/// Encodes a value.
///
/// # Errors
/// If [`decode`] would refuse it.
pub fn encode<R: Record>(record: &R) -> Result<Vec<u8>, Unwritable> {
    record.check().map_err(Unwritable::Invalid)?;
    let bytes = serde_json::to_vec(&Written { format: FORMAT, record })
        .map_err(|error| Unwritable::Invalid(error.to_string()))?;
    if bytes.len() > LARGEST_VALUE {
        return Err(Unwritable::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes any bytes.
///
/// # Errors
/// Why they are refused.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, Refusal> {
    if bytes.len() > LARGEST_VALUE {
        return Err(Refusal::TooLarge(bytes.len()));
    }
    // Otherwise an array would do, with the fields by their positions.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::Damaged("it is not a JSON object".to_owned()));
    }
    let damaged = |error: serde_json::Error| Refusal::Damaged(clean(&error.to_string(), LONGEST_REASON));
    let header: Header = serde_json::from_slice(bytes).map_err(damaged)?;
    match header.format {
        Some(FORMAT) => {}
        Some(other) => return Err(Refusal::OtherFormat(other)),
        None => return Err(Refusal::NoFormat),
    }
    let record: R = serde_json::from_slice(bytes).map_err(damaged)?;
    record.check().map_err(Refusal::Invalid)?;
    Ok(record)
}

/// A text for a value: without characters that a terminal would not show as they are, and cut to its maximum length.
pub fn clean(text: &str, longest: usize) -> String {
    let chars = text.chars().map(|char| if is_deceptive(char) { ' ' } else { char });
    let mut cleaned: String = chars.clone().take(longest).collect();
    if chars.clone().nth(longest).is_some() {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned
}

/// Checks a text that operators see.
fn check_text(what: &str, text: &str, longest: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length > longest {
        return Err(format!("{what} has {length} characters, more than {longest}"));
    }
    match text.chars().find(|char| is_deceptive(*char)) {
        Some(wrong) => Err(format!("{what} contains U+{:04X}, which is not printable", u32::from(wrong))),
        None => Ok(()),
    }
}

/// A time of day in a value.
pub fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).min(LATEST_MS)
}

/// The time of day that a value has. A later one than any calendar has counts as the latest.
pub fn system_time(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms.min(LATEST_MS))
}

/// 9999-12-31T23:59:59Z, in Unix milliseconds.
const LATEST_MS: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests;
