//! The form of overrides in a file: text that people can read, and damage to one line loses that line only.
//!
//! ```text
//! maglev-overrides 1 lines=2 d048db35;
//! backend web1 paused 2026-11-21T13:05:05Z 06285240;
//! weight www primary web1 30 2026-11-21T13:07:41Z 9479cf32;
//! ```
//!
//! The last word of a line is the CRC-32 of the others, which notices any change of up to four bytes in a row.
//! In all versions the first line has the version as its second word. The number of lines tells when the end
//! is missing. Both `;` and the line feed end a line, so that losing one of them joins no line to the next.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{BackendOverride, Override, Overrides, PoolMember};

/// The largest file, in bytes: more than 50,000 backends need, all paused and reweighted, with names of the
/// usual length.
pub const LARGEST_FILE: u64 = 16 << 20;

/// The version of the format.
const VERSION: u32 = 1;

/// First word of a file.
const MAGIC: &str = "maglev-overrides";

/// The longest line, in bytes; a weight with three names of 64 characters takes 235.
const LONGEST_LINE: usize = 256;

/// The longest name, in characters, as in a configuration.
const LONGEST_NAME: usize = 64;

/// Damaged lines that are listed; of more, only the number is told.
const MOST_LISTED: usize = 100;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What its whole lines say.
    pub overrides: Overrides,
    /// The first hundred damaged lines, in the order of the file.
    pub damaged: Vec<Damage>,
    /// How many more there are.
    pub unlisted: usize,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}{}", quoted(text))]
pub struct Damage {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong, as the rest of a sentence that begins with the line.
    pub what: &'static str,
    /// How the line begins, in printable ASCII; nothing if there is no such line.
    pub text: String,
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text:?}") }
}

/// The file was written by another version of this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has version {version} of the format, and this program knows version {VERSION}")]
pub struct OtherVersion {
    /// Version of the file.
    pub version: u32,
}

/// An entry that a file cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} cannot be written: it {what}")]
pub struct Unwritable {
    /// The entry, as listed.
    pub entry: String,
    /// What is wrong with it.
    pub what: &'static str,
}

const BAD_NAME: &str = "has a name that no configuration can have";
const BAD_WEIGHT: &str = "has a weight that is not a number from 0 to 100";

/// Writes overrides as text. Times lose what is below a second.
///
/// # Errors
/// If a name or a weight is one that no configuration can have.
pub fn render(overrides: &Overrides) -> Result<String, Unwritable> {
    let header = format!("{MAGIC} {VERSION} lines={}", overrides.len());
    let mut text = format!("{header} {};\n", checksum(&[&header]));
    for entry in overrides.iter() {
        check(&entry).map_err(|what| Unwritable { entry: entry.to_string(), what })?;
        let words = words(&entry);
        text += &format!("{words} {};\n", line_checksum(&words));
    }
    Ok(text)
}

/// Reads what it can of any bytes, and tells what it cannot read.
///
/// # Errors
/// If a whole header says that it is of another version.
pub fn parse(bytes: &[u8]) -> Result<Parsed, OtherVersion> {
    let mut reader = Reader::default();
    let mut lines_promised = 0;
    let mut lines_read = 0;
    let mut last_line = 0;
    for (index, (line, piece)) in pieces(bytes).enumerate() {
        last_line = line;
        if index == 0 {
            match header(piece) {
                Some(Header::Lines(lines)) => {
                    lines_promised = lines;
                    continue;
                }
                Some(Header::OtherVersion(version)) => return Err(OtherVersion { version }),
                None => reader.add_damage(line, "is not the header that belongs there", piece),
            }
        }
        match read(piece) {
            Ok(entry) if reader.parsed.overrides.has_same_key(&entry) => {
                reader.add_damage(line, "sets what an earlier line has set", piece);
            }
            Ok(entry) => {
                lines_read += 1;
                reader.parsed.overrides.insert(entry);
            }
            Err(what) => reader.add_damage(line, what, piece),
        }
    }
    if last_line == 0 {
        reader.add_damage(1, "is missing: the file is empty", b"");
    } else if lines_read + reader.parsed.damaged_lines() < lines_promised {
        reader.add_damage(last_line + 1, "is missing, and perhaps more: the file ends too early", b"");
    }
    Ok(reader.parsed)
}

impl Parsed {
    /// How many lines are damaged.
    pub fn damaged_lines(&self) -> usize {
        self.damaged.len() + self.unlisted
    }
}

#[derive(Default)]
struct Reader {
    parsed: Parsed,
    last_damaged: usize,
}

impl Reader {
    /// Counts a line once, whatever number of pieces it is in.
    fn add_damage(&mut self, line: usize, what: &'static str, piece: &[u8]) {
        if self.last_damaged == line {
            return;
        }
        self.last_damaged = line;
        let Parsed { damaged, unlisted, .. } = &mut self.parsed;
        if damaged.len() == MOST_LISTED {
            *unlisted += 1;
            return;
        }
        let start = piece.get(..LONGEST_LINE).unwrap_or(piece);
        let text = start.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' });
        damaged.push(Damage { line, what, text: text.collect() });
    }
}

impl Overrides {
    fn has_same_key(&self, entry: &Override) -> bool {
        match entry {
            Override::Backend { name, .. } => self.backends.contains_key(name),
            Override::Weight { member, .. } => self.weights.contains_key(member),
        }
    }
}

/// What stands between the ends of lines, with the number of its line.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    let pieces =
        lines.flat_map(|(number, line)| line.split(|&byte| byte == b';').map(move |piece| (number, piece)));
    pieces.filter(|(_, piece)| !piece.is_empty())
}

enum Header {
    /// How many lines follow.
    Lines(usize),
    OtherVersion(u32),
}

fn header(piece: &[u8]) -> Option<Header> {
    let (words, sum) = text_of(piece).ok()?.rsplit_once(' ')?;
    if sum != checksum(&[words]) {
        return None;
    }
    let (version, rest) = words.strip_prefix(MAGIC)?.strip_prefix(' ')?.split_once(' ')?;
    match version.parse().ok()? {
        VERSION => Some(Header::Lines(rest.strip_prefix("lines=")?.parse().ok()?)),
        other => Some(Header::OtherVersion(other)),
    }
}

fn text_of(piece: &[u8]) -> Result<&str, &'static str> {
    if piece.len() > LONGEST_LINE {
        return Err("is longer than any that belongs there");
    }
    str::from_utf8(piece).ok().filter(|text| text.is_ascii()).ok_or("has bytes that are not ASCII")
}

/// Takes only what [`render`] writes, to the byte.
fn read(piece: &[u8]) -> Result<Override, &'static str> {
    let (line, sum) = text_of(piece)?.rsplit_once(' ').ok_or("has no checksum")?;
    if sum != line_checksum(line) {
        return Err("does not fit its checksum");
    }
    let entry = read_words(line)?;
    check(&entry)?;
    if words(&entry) == line { Ok(entry) } else { Err("is not written as this program does") }
}

fn read_words(line: &str) -> Result<Override, &'static str> {
    let fields: Vec<&str> = line.split(' ').collect();
    match fields[..] {
        ["backend", name, state, since] => {
            use BackendOverride::{Disabled, Enabled, Paused};
            let state = [Paused, Disabled, Enabled].into_iter().find(|known| known.word() == state);
            let state = state.ok_or("has a state that this program does not know")?;
            Ok(Override::Backend { name: name.to_owned(), state, since: read_time(since)? })
        }
        ["weight", frontend, pool, backend, weight, since] => {
            let [frontend, pool, backend] = [frontend, pool, backend].map(str::to_owned);
            let weight = weight.parse().map_err(|_| BAD_WEIGHT)?;
            let member = PoolMember { frontend, pool, backend };
            Ok(Override::Weight { member, weight, since: read_time(since)? })
        }
        _ => Err("is of a kind that this program does not know"),
    }
}

fn read_time(text: &str) -> Result<SystemTime, &'static str> {
    humantime::parse_rfc3339(text).map_err(|_| "has a malformed time")
}

fn words(entry: &Override) -> String {
    /// 9999-12-31T23:59:59Z, the last time that fits the form.
    const LAST: u64 = 253_402_300_799;
    let seconds = entry.since().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST);
    let since = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
    match entry {
        Override::Backend { name, state, .. } => format!("backend {name} {} {since}", state.word()),
        Override::Weight { member: PoolMember { frontend, pool, backend }, weight, .. } => {
            format!("weight {frontend} {pool} {backend} {weight} {since}")
        }
    }
}

/// What no configuration, and so no operator's command, can have.
fn check(entry: &Override) -> Result<(), &'static str> {
    match entry {
        Override::Backend { name, .. } => is_name(name).then_some(()).ok_or(BAD_NAME),
        Override::Weight { member: PoolMember { frontend, pool, backend }, weight, .. } => {
            [frontend, pool, backend].into_iter().all(|name| is_name(name)).then_some(()).ok_or(BAD_NAME)?;
            (*weight <= 100).then_some(()).ok_or(BAD_WEIGHT)
        }
    }
}

/// The configuration's rule for names.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-/@+".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('-')
}

/// Covers the version too: where the header is lost, a line of another version is none of this one.
fn line_checksum(words: &str) -> String {
    checksum(&[&format!("{VERSION} "), words])
}

fn checksum(parts: &[&str]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    format!("{:08x}", hasher.finalize())
}

#[cfg(test)]
mod tests;
