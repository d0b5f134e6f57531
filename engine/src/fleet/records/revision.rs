//! A revision of the configuration, and its text in packed form.

use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use super::{LONGEST_REASON, Record, check_text};
use crate::overrides::LONGEST_WHO;

/// Maximum size of a configuration's text, in bytes.
pub const LARGEST_TEXT: usize = 16 << 20;

/// The SHA-256 of a text, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(Arc<str>);

impl Sha256 {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(maglev_tls::sha256(bytes).into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its start, by which people recognize it.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or_default()
    }
}

impl Display for Sha256 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Ok(Self(text.into())),
            false => Err("a SHA-256 is malformed"),
        }
    }
}

impl From<Sha256> for String {
    fn from(sum: Sha256) -> Self {
        sum.as_str().to_owned()
    }
}

/// A revision of the fleet's configuration, which never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number, which is in its key, too. Consecutive, from 1.
    pub number: u64,
    /// Of its text.
    pub sha256: Sha256,
    /// Who wrote it to the store.
    pub author: Option<String>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// Its text: deflated, in base64.
    text: Arc<str>,
}

/// Why a text cannot become a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    /// Its size.
    #[error("it has {0} bytes, more than the {LARGEST_TEXT} that a fleet's configuration may have")]
    TooLarge(usize),
    /// It cannot be compressed.
    #[error("it cannot be compressed: {0}")]
    NotPacked(String),
}

impl Revision {
    /// A revision with this text.
    ///
    /// # Errors
    /// If it is too large.
    pub fn new(
        number: u64,
        text: &str,
        author: Option<String>,
        at_ms: u64,
        comment: String,
    ) -> Result<Self, Unpackable> {
        if text.len() > LARGEST_TEXT {
            return Err(Unpackable::TooLarge(text.len()));
        }
        let not_packed = |error: std::io::Error| Unpackable::NotPacked(error.to_string());
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(text.as_bytes()).map_err(not_packed)?;
        let packed = packer.finish().map_err(not_packed)?;
        let sha256 = Sha256::of(text.as_bytes());
        Ok(Self { number, sha256, author, at_ms, comment, text: STANDARD.encode(packed).into() })
    }

    /// Its text. A decoded revision has been checked already, but does not keep it unpacked.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn text(&self) -> Result<String, String> {
        let packed = STANDARD.decode(&*self.text).map_err(|_| "its text is not base64".to_owned())?;
        let mut bytes = Vec::new();
        let most = u64::try_from(LARGEST_TEXT).unwrap_or(u64::MAX).saturating_add(1);
        let mut unpacker = DeflateDecoder::new(&packed[..]).take(most);
        unpacker.read_to_end(&mut bytes).map_err(|_| "its text cannot be unpacked".to_owned())?;
        if bytes.len() > LARGEST_TEXT {
            return Err(format!("its text has more than {LARGEST_TEXT} bytes"));
        }
        if Sha256::of(&bytes) != self.sha256 {
            return Err("its text does not match its SHA-256".to_owned());
        }
        String::from_utf8(bytes).map_err(|_| "its text is not UTF-8".to_owned())
    }
}

impl Record for Revision {
    fn check(&self) -> Result<(), String> {
        check_text("`author`", self.author.as_deref().unwrap_or_default(), LONGEST_WHO)?;
        check_text("`comment`", &self.comment, LONGEST_REASON)?;
        if self.number == 0 {
            return Err("its number is 0".to_owned());
        }
        self.text().map(drop)
    }
}
