//! File format of a kept configuration: a line about it, then its text.
//!
//! ```text
//! maglev-config 1 5f3a0b1c {"number":7,"at_ms":1790000000000,"who":"user anna (uid 1000)",...}
//! maglev:
//!   ...
//! ```
//!
//! The line has a checksum, and contains that of the text: what a torn file cost is known.

use super::{Kept, Revision, Sum};

/// First word of a file.
const MAGIC: &str = "maglev-config";
/// Version of the format.
const VERSION: &str = "1";

/// Maximum length of the first line, in bytes.
pub const LONGEST_HEADER: usize = 4 << 10;

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'f> {
    /// The revision, and whether its text is intact.
    pub kept: Kept,
    /// Its text.
    pub text: &'f [u8],
}

/// Writes a revision.
///
/// # Errors
/// Never in practice: only if the line cannot be written as JSON.
pub fn render(revision: &Revision, text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let about = serde_json::to_string(revision)?;
    let header = format!("{MAGIC} {VERSION} {:08x} {about}\n", crc32fast::hash(about.as_bytes()));
    Ok([header.as_bytes(), text].concat())
}

/// Parses any bytes. `None` if the first line is damaged, or has another version.
pub fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let end = bytes.iter().take(LONGEST_HEADER).position(|&byte| byte == b'\n')?;
    let (header, text) = bytes.split_at_checked(end)?;
    let text = text.get(1..)?;
    let words = str::from_utf8(header).ok()?.strip_prefix(MAGIC)?.strip_prefix(' ')?;
    let words = words.strip_prefix(VERSION)?.strip_prefix(' ')?;
    let (sum, about) = words.split_once(' ')?;
    if sum != format!("{:08x}", crc32fast::hash(about.as_bytes())) {
        return None;
    }
    let revision: Revision = serde_json::from_str(about).ok()?;
    let intact = Sum::of(text) == revision.text;
    Some(Parsed { kept: Kept { revision, intact }, text })
}
