//! File format of overrides. Readable, and editable while the brain is stopped.
//!
//! ```text
//! maglev-overrides 3 58e54af3;
//! # Edit only while maglev-brain is stopped. Every line has the time since which it holds, who set it, why, and when it is cleared; the last line is `end`.
//! backend web1 paused 2026-11-21T13:05:05Z by="user anna (uid 1000)" reason="RAM swap" until=2026-11-21T15:05:05Z
//! weight www primary web1 30 2026-11-21T13:07:41Z by="" reason="" until=cleared
//! lb drained withdraw 2026-11-21T13:09:00Z by="" reason="" until=cleared
//! end
//! ```
//!
//! The file is replaced as a whole, so lines have no checksums: `end` marks a complete file, and a damaged line affects
//! only itself. Versions 1 and 2, which are still read, had lines that ended after the time; version 1 had the number of lines in its header, and a CRC-32 of each line's other
//! words before `;`. The header's checksum is constant now: programs that know only version 1 reject the file by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{BackendOverride, Override, Overrides, PoolMember, Remark, Stamp};
use crate::config::is_name;
use crate::routes::Drain;

/// Maximum size of the file, in bytes: enough for 50,000 backends, all paused and reweighted, with names of
/// usual length.
pub const LARGEST_FILE: u64 = 16 << 20;

/// The version of the format.
const VERSION: u32 = 3;

/// First word of a file.
const MAGIC: &str = "maglev-overrides";

/// First line of a file, without the final `;`.
const HEADER: &str = "maglev-overrides 3 58e54af3";

/// The same of version 2.
const HEADER_2: &str = "maglev-overrides 2 2fe27a65";

/// A hint for anyone who opens the file in an editor.
const HINT: &str = "# Edit only while maglev-brain is stopped. Every line has the time since which it holds, who set it, \
                    why, and when it is cleared; the last line is `end`.";

/// Last line of a file.
const END: &str = "end";

/// Maximum length of the name of who set an override, in characters.
pub const LONGEST_WHO: usize = 128;

/// Maximum length of the reason for an override, in characters.
pub const LONGEST_REASON: usize = 200;

/// Maximum length of a line, in bytes: a weight with three names of 64 characters takes 270, and each character of the
/// two texts at most 12.
const LONGEST_LINE: usize = 270 + 12 * (LONGEST_WHO + LONGEST_REASON);

/// What is shown of a damaged line, in bytes.
const LONGEST_SHOWN: usize = 256;

/// Stands for the time at which an override is cleared by itself, where there is none.
const UNTIL_CLEARED: &str = "cleared";

/// Maximum number of damaged lines that are listed; the rest are only counted.
const MOST_LISTED: usize = 100;

/// The parsed file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Overrides of the intact lines.
    pub overrides: Overrides,
    /// The first hundred damaged lines, in the order of the file.
    pub damaged: Vec<Damage>,
    /// Number of further ones.
    pub unlisted: usize,
}

/// A damaged line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}{}", quoted(text))]
pub struct Damage {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong, as the rest of a sentence that begins with the line.
    pub what: &'static str,
    /// The start of the line, in printable ASCII; empty if there is no such line.
    pub text: String,
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text:?}") }
}

/// The file was written by another version of this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has version {version} of the format, and this program knows version {VERSION}")]
pub struct OtherVersion {
    /// Format version of the file.
    pub version: u32,
}

/// An entry that cannot be written to a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} cannot be written: it {what}")]
pub struct Unwritable {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub what: &'static str,
}

const BAD_NAME: &str = "has an invalid name";
const BAD_REMARK: &str = "has a malformed or too long remark of who set it, why and until when";
const BAD_WEIGHT: &str = "has a weight that is not a number from 0 to 100";

/// Writes overrides as text. Times are truncated to seconds.
///
/// # Errors
/// If a name or a weight is invalid in any configuration.
pub fn render(overrides: &Overrides) -> Result<String, Unwritable> {
    let mut text = format!("{HEADER};\n{HINT}\n");
    for entry in overrides.iter() {
        check(&entry).map_err(|what| Unwritable { entry: entry.to_string(), what })?;
        text += &format!("{}{}\n", words(&entry), remark_words(&entry.stamp().remark));
    }
    Ok(text + END + "\n")
}

/// Parses any bytes as far as possible; damaged lines are reported.
///
/// # Errors
/// If an intact header has another version.
pub fn parse(bytes: &[u8]) -> Result<Parsed, OtherVersion> {
    let mut reader = Reader::default();
    let (mut lines_promised, mut lines_read, mut end_promised) = (0, 0, false);
    // Assume version 1 unless the file proves otherwise, so that a torn line cannot pass for one that needs
    // no checksum.
    let mut checksums = pieces(bytes).last().is_none_or(|(_, piece)| piece != END.as_bytes());
    let (mut last_line, mut remarks) = (0, None);
    for (index, (line, piece)) in pieces(bytes).enumerate() {
        last_line = line;
        if index == 0 {
            match header(piece) {
                Some(Header::End { with_remarks }) => {
                    (end_promised, checksums, remarks) = (true, false, Some(with_remarks));
                    continue;
                }
                Some(Header::Lines(lines)) => {
                    (lines_promised, checksums, remarks) = (lines, true, Some(false));
                    continue;
                }
                Some(Header::OtherVersion(version)) => return Err(OtherVersion { version }),
                None => reader.add_damage(line, "is not the expected header", piece),
            }
        }
        if piece == END.as_bytes() {
            end_promised = false;
            continue;
        }
        match read(piece, checksums, remarks) {
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
    } else if end_promised || lines_read + reader.parsed.damaged_lines() < lines_promised {
        reader.add_damage(last_line + 1, "is missing, and perhaps more: the file ends too early", b"");
    }
    Ok(reader.parsed)
}

impl Parsed {
    /// Number of damaged lines.
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
    /// Counts a damaged line once, however many pieces it is in.
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
        let start = piece.get(..LONGEST_SHOWN).unwrap_or(piece);
        let text = start.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' });
        damaged.push(Damage { line, what, text: text.collect() });
    }
}

impl Overrides {
    fn has_same_key(&self, entry: &Override) -> bool {
        match entry {
            Override::Backend { name, .. } => self.backends.contains_key(name),
            Override::Weight { member, .. } => self.weights.contains_key(member),
            Override::Lb { .. } => self.lb.is_some(),
        }
    }
}

/// The file's lines with their numbers, without comments.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.starts_with(b"#"));
    let pieces =
        lines.flat_map(|(number, line)| line.split(|&byte| byte == b';').map(move |piece| (number, piece)));
    pieces.map(|(number, piece)| (number, piece.trim_ascii_end())).filter(|(_, piece)| !piece.is_empty())
}

enum Header {
    /// The last line marks the end.
    End {
        /// Whether lines say who, why and until when.
        with_remarks: bool,
    },
    /// Number of lines that follow.
    Lines(usize),
    OtherVersion(u32),
}

fn header(piece: &[u8]) -> Option<Header> {
    let text = text_of(piece).ok()?;
    if let Some(with_remarks) = [(HEADER, true), (HEADER_2, false)].iter().find(|known| known.0 == text) {
        return Some(Header::End { with_remarks: with_remarks.1 });
    }
    let (words, sum) = text.rsplit_once(' ')?;
    if sum != checksum(&[words]) {
        return None;
    }
    let words = words.strip_prefix(MAGIC)?.strip_prefix(' ')?;
    let (version, rest) = words.split_once(' ').unwrap_or((words, ""));
    match version.parse().ok()? {
        1 => Some(Header::Lines(rest.strip_prefix("lines=")?.parse().ok()?)),
        2 | VERSION => None,
        other => Some(Header::OtherVersion(other)),
    }
}

fn text_of(piece: &[u8]) -> Result<&str, &'static str> {
    if piece.len() > LONGEST_LINE {
        return Err("is too long");
    }
    str::from_utf8(piece).ok().filter(|text| text.is_ascii()).ok_or("has bytes that are not ASCII")
}

/// Accepts only exactly what [`render`] writes, or wrote in an earlier version. `remarks`: whether a line has one, unless
/// the header is lost.
fn read(piece: &[u8], checksums: bool, remarks: Option<bool>) -> Result<Override, &'static str> {
    let mut line = text_of(piece)?;
    if let Some((words, sum)) = line.rsplit_once(' ').filter(|(_, last)| is_checksum(last)) {
        // Includes the version: if the header is lost, a line of another version does not match.
        if sum != checksum(&["1 ", words]) {
            return Err("does not fit its checksum");
        }
        line = words;
    } else if checksums {
        // A line that is not merely torn is reported for what it is.
        check(&read_words(line)?)?;
        return Err("has no checksum");
    }
    let (head, remark) = match line.find(" by=") {
        Some(at) if remarks != Some(false) => line.split_at(at),
        None if remarks == Some(true) => {
            // A line that is not merely torn is reported for what it is.
            check(&read_words(line)?)?;
            return Err("does not say who set it, why and until when");
        }
        _ => (line, ""),
    };
    let mut entry = read_words(head)?;
    let mut written = words(&entry);
    if !remark.is_empty() {
        entry.stamp_mut().remark = read_remark(remark).ok_or(BAD_REMARK)?;
        written += &remark_words(&entry.stamp().remark);
    }
    check(&entry)?;
    if written == line { Ok(entry) } else { Err("is not in this program's format") }
}

fn read_remark(text: &str) -> Option<Remark> {
    let (who, text) = unquote(text.strip_prefix(" by=")?)?;
    let (reason, text) = unquote(text.strip_prefix(" reason=")?)?;
    let until = match text.strip_prefix(" until=")? {
        UNTIL_CLEARED => None,
        time => Some(read_time(time).ok()?),
    };
    Some(Remark { who: (!who.is_empty()).then(|| who.into()), reason, until })
}

fn remark_words(Remark { who, reason, until }: &Remark) -> String {
    let until = until.map_or_else(|| UNTIL_CLEARED.to_owned(), time_words);
    format!(" by={} reason={} until={until}", quote(who.as_deref().unwrap_or_default()), quote(reason))
}

/// Printable ASCII, without the characters that end a text, a line or a piece of one.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            ' '..='~' if !"\"\\;".contains(char) => quoted.push(char),
            _ => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| quoted += &format!("\\u{unit:04x}")),
        }
    }
    quoted + "\""
}

/// The text in quotes at the beginning, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    Some((serde_json::from_str(&format!("\"{inside}\"")).ok()?, rest))
}

fn read_words(line: &str) -> Result<Override, &'static str> {
    let fields: Vec<&str> = line.split(' ').collect();
    match fields[..] {
        ["backend", name, state, since] => {
            use BackendOverride::{Disabled, Enabled, Paused};
            let state = [Paused, Disabled, Enabled].into_iter().find(|known| known.word() == state);
            let state = state.ok_or("has a state that this program does not know")?;
            Ok(Override::Backend { name: name.to_owned(), state, stamp: Stamp::at(read_time(since)?) })
        }
        ["weight", frontend, pool, backend, weight, since] => {
            let [frontend, pool, backend] = [frontend, pool, backend].map(str::to_owned);
            let weight = weight.parse().map_err(|_| BAD_WEIGHT)?;
            let member = PoolMember { frontend, pool, backend };
            Ok(Override::Weight { member, weight, stamp: Stamp::at(read_time(since)?) })
        }
        ["lb", "drained", how, since] => {
            let drain = Drain::ALL.into_iter().find(|known| known.word() == how);
            let drain = drain.ok_or("has a drain that this program does not know")?;
            Ok(Override::Lb { drain, stamp: Stamp::at(read_time(since)?) })
        }
        _ => Err("is of a kind that this program does not know"),
    }
}

fn read_time(text: &str) -> Result<SystemTime, &'static str> {
    humantime::parse_rfc3339(text).map_err(|_| "has a malformed time")
}

fn time_words(at: SystemTime) -> String {
    /// 9999-12-31T23:59:59Z, the last time that the format can represent.
    const LAST: u64 = 253_402_300_799;
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// The line without its remark.
fn words(entry: &Override) -> String {
    let since = time_words(entry.since());
    match entry {
        Override::Backend { name, state, .. } => format!("backend {name} {} {since}", state.word()),
        Override::Weight { member: PoolMember { frontend, pool, backend }, weight, .. } => {
            format!("weight {frontend} {pool} {backend} {weight} {since}")
        }
        Override::Lb { drain, .. } => format!("lb drained {} {since}", drain.word()),
    }
}

/// Rejects what no configuration, and so no operator's command, can contain.
fn check(entry: &Override) -> Result<(), &'static str> {
    let Remark { who, reason, .. } = &entry.stamp().remark;
    if reason.chars().count() > LONGEST_REASON
        || who.as_deref().unwrap_or_default().chars().count() > LONGEST_WHO
    {
        return Err(BAD_REMARK);
    }
    match entry {
        Override::Backend { name, .. } => is_name(name).then_some(()).ok_or(BAD_NAME),
        Override::Weight { member: PoolMember { frontend, pool, backend }, weight, .. } => {
            [frontend, pool, backend].into_iter().all(|name| is_name(name)).then_some(()).ok_or(BAD_NAME)?;
            (*weight <= 100).then_some(()).ok_or(BAD_WEIGHT)
        }
        Override::Lb { .. } => Ok(()),
    }
}

/// No other word at the end of a line has this form.
fn is_checksum(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn checksum(parts: &[&str]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    format!("{:08x}", hasher.finalize())
}

#[cfg(test)]
mod tests;
