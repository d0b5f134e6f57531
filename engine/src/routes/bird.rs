//! BIRD 2's control protocol: names of the VIPs' protocols, commands, replies, and the steps to the desired state. Pure.
//!
//! Each VIP address has two protocols of type `static`, which `maglevc generate bird` prints: one announces its route, the
//! other (`..._gshut`) announces it with the community for a graceful shutdown. A reply is lines that begin with a code
//! and `-`, or with a space instead of the same code, and one line with a code and a space.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Announcement;

/// Maximum length of a line, in bytes; BIRD's own limit is lower.
const LONGEST_LINE: usize = 4096;
/// Maximum size of a reply, in bytes: enough for 20,000 protocols.
const LARGEST_REPLY: usize = 4 << 20;
/// What is shown of a line in errors, in characters.
const LONGEST_SHOWN: usize = 120;

/// End of the name of a protocol that announces with the community for a graceful shutdown.
const GSHUT: &str = "_gshut";

const TABLE_OF_PROTOCOLS: u16 = 1002;
const NO_PROTOCOLS: u16 = 8003;
/// First code of errors; lower ones are of tables and successes.
const FIRST_ERROR: u16 = 8000;

/// Name of the protocol that announces an address. Both families' texts stay distinct: hexadecimal digits have no `_`.
pub fn protocol(prefix: &str, address: IpAddr) -> String {
    format!("{prefix}{}", address.to_string().replace(['.', ':'], "_"))
}

/// Name of the protocol that deprioritises it.
pub fn gshut_protocol(prefix: &str, address: IpAddr) -> String {
    protocol(prefix, address) + GSHUT
}

/// The address that a protocol with this prefix announces, if it is one of a VIP.
pub fn address(prefix: &str, protocol: &str) -> Option<IpAddr> {
    let text = protocol.strip_prefix(prefix)?;
    let text = text.strip_suffix(GSHUT).unwrap_or(text);
    let v4 = text.replace('_', ".").parse().ok().map(IpAddr::V4);
    v4.or_else(|| text.replace('_', ":").parse().ok().map(IpAddr::V6))
}

/// Why a reply cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It is not BIRD's.
    #[error("the answer is not BIRD's: {0:?}")]
    Malformed(String),
    /// It is longer than any that is expected.
    #[error("the answer has more than {LARGEST_REPLY} bytes, or a line of more than {LONGEST_LINE}")]
    TooLong,
    /// BIRD refused the command.
    #[error("BIRD refused: {text} (code {code:04})")]
    Refused {
        /// BIRD's code.
        code: u16,
        /// BIRD's words.
        text: String,
    },
    /// It is an answer to something else.
    #[error("BIRD has not confirmed {0:?}")]
    NotConfirmed(String),
}

/// A whole reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// All lines with their codes, the last one included.
    pub lines: Vec<(u16, String)>,
}

/// Splits what BIRD sends into replies.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    reply: Reply,
    size: usize,
}

impl Reader {
    /// Takes bytes in, up to the end of a reply; returns it, and how many bytes it took.
    ///
    /// # Errors
    /// If the bytes are not BIRD's, or too many. The connection is of no use any more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Option<Reply>, usize), ReplyError> {
        for (taken, byte) in bytes.iter().enumerate() {
            self.size += 1;
            if self.size > LARGEST_REPLY || self.line.len() > LONGEST_LINE {
                return Err(ReplyError::TooLong);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if self.end_line(&line)? {
                self.size = 0;
                return Ok((Some(std::mem::take(&mut self.reply)), taken + 1));
            }
        }
        Ok((None, bytes.len()))
    }

    /// Whether it is the last line of its reply.
    fn end_line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let malformed = || ReplyError::Malformed(shown(&String::from_utf8_lossy(line)));
        let text = str::from_utf8(line).map_err(|_| malformed())?;
        if text.starts_with('+') {
            // A message of the log, which belongs to no reply.
            return Ok(false);
        }
        if let Some(text) = text.strip_prefix(' ') {
            let code = self.reply.lines.last().ok_or_else(malformed)?.0;
            self.reply.lines.push((code, text.to_owned()));
            return Ok(false);
        }
        let (code, rest) = text.split_at_checked(4).ok_or_else(malformed)?;
        let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
        let code: u16 = code.parse().ok().filter(|_| is_code).ok_or_else(malformed)?;
        let (mark, text) = rest.split_at_checked(1).ok_or_else(malformed)?;
        if mark != "-" && mark != " " {
            return Err(malformed());
        }
        self.reply.lines.push((code, text.to_owned()));
        Ok(mark == " ")
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).collect()
}

impl Reply {
    /// BIRD's version, if the reply is its greeting.
    ///
    /// # Errors
    /// If it is not.
    pub fn greeting(&self) -> Result<String, ReplyError> {
        match self.lines.as_slice() {
            [(1, text)] => Ok(shown(text.trim_end_matches(" ready."))),
            _ => Err(self.error().unwrap_or_else(|| self.malformed())),
        }
    }

    /// The protocols of a table, each with whether it is enabled.
    ///
    /// # Errors
    /// If it is no such table.
    pub fn protocols(&self) -> Result<Protocols, ReplyError> {
        if let [(NO_PROTOCOLS, _)] = self.lines.as_slice() {
            return Ok(Protocols::new());
        }
        if let Some(error) = self.error() {
            return Err(error);
        }
        let rows = self.lines.iter().filter(|(code, _)| *code == TABLE_OF_PROTOCOLS);
        let row = |(_, text): &(u16, String)| {
            let mut words = text.split_whitespace();
            let (name, state) = (words.next()?, words.nth(2)?);
            Some((name.to_owned(), matches!(state, "up" | "start")))
        };
        rows.map(row).collect::<Option<_>>().ok_or_else(|| self.malformed())
    }

    /// Checks that a step was carried out.
    ///
    /// # Errors
    /// If it was not.
    pub fn confirms(&self, step: &Step) -> Result<(), ReplyError> {
        let codes: [u16; 2] = if step.enable { [10, 11] } else { [8, 9] };
        let is_done = |(code, text): &(u16, String)| {
            codes.contains(code) && text.split_once(':').is_some_and(|(name, _)| name == step.protocol)
        };
        match self.error() {
            Some(error) => Err(error),
            None if self.lines.iter().any(is_done) => Ok(()),
            None => Err(ReplyError::NotConfirmed(step.command())),
        }
    }

    fn error(&self) -> Option<ReplyError> {
        let (code, text) = self.lines.iter().find(|(code, _)| *code >= FIRST_ERROR)?;
        Some(ReplyError::Refused { code: *code, text: shown(text) })
    }

    fn malformed(&self) -> ReplyError {
        let first = self.lines.first().map(|(_, text)| shown(text));
        ReplyError::Malformed(first.unwrap_or_default())
    }
}

/// Protocols by name, each with whether it is enabled.
pub type Protocols = BTreeMap<String, bool>;

/// The command that lists all protocols with this prefix.
pub fn list_command(prefix: &str) -> String {
    format!("show protocols \"{prefix}*\"")
}

/// Enabling or disabling a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub protocol: String,
    /// Whether to enable it.
    pub enable: bool,
}

impl Step {
    /// As sent to BIRD.
    pub fn command(&self) -> String {
        format!("{} \"{}\"", if self.enable { "enable" } else { "disable" }, self.protocol)
    }
}

/// What BIRD does with an address.
pub fn announcement(prefix: &str, address: IpAddr, has: &Protocols) -> Announcement {
    let is_on = |name: String| has.get(&name).copied().unwrap_or(false);
    if is_on(protocol(prefix, address)) {
        Announcement::Announced
    } else if is_on(gshut_protocol(prefix, address)) {
        Announcement::Deprioritised
    } else {
        Announcement::Withdrawn
    }
}

/// The way from what BIRD has to what it should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order. An address that stays reachable is never without a route in between.
    pub steps: Vec<Step>,
    /// Protocols that BIRD's configuration lacks.
    pub missing: Vec<String>,
}

/// Plans the steps for these addresses; those with `None` are left alone. `others`: whether to disable the protocols of
/// other addresses.
pub fn plan(
    wanted: &BTreeMap<IpAddr, Option<Announcement>>,
    prefix: &str,
    has: &Protocols,
    others: bool,
) -> Plan {
    let mut plan = Plan::default();
    let mut known = std::collections::BTreeSet::new();
    for (address, wanted) in wanted {
        let [plain, gshut] = [protocol(prefix, *address), gshut_protocol(prefix, *address)];
        if !has.contains_key(&plain) {
            plan.missing.push(plain.clone());
        }
        let lacks_gshut = *wanted == Some(Announcement::Deprioritised) && !has.contains_key(&gshut);
        if lacks_gshut {
            plan.missing.push(gshut.clone());
        }
        let rows = [(plain.clone(), Announcement::Announced), (gshut.clone(), Announcement::Deprioritised)];
        if let Some(wanted) = wanted.filter(|_| !lacks_gshut) {
            let differing = rows.into_iter().filter_map(|(protocol, means)| {
                let (is, enable) = (*has.get(&protocol)?, means == wanted);
                (is != enable).then_some(Step { protocol, enable })
            });
            let mut steps: Vec<_> = differing.collect();
            // A route is replaced by the other before it goes.
            steps.sort_by_key(|step| !step.enable);
            plan.steps.extend(steps);
        }
        known.extend([plain, gshut]);
    }
    let is_left =
        |(name, on): &(&String, &bool)| **on && address(prefix, name).is_some() && !known.contains(*name);
    let left = has.iter().filter(is_left).filter(|_| others);
    plan.steps.extend(left.map(|(name, _)| Step { protocol: name.clone(), enable: false }));
    plan
}

#[cfg(test)]
mod tests;
