//! The text of VPP's `show lb vips verbose`, which alone tells a VIP's index, its sticky flag, and live flows.
//!
//! Only lines that begin a VIP or a server, and the one with protocol and port, are read; whatever else stands
//! there is passed over, since VPP adds lines for other encapsulations and in other versions. Form as measured on
//! VPP 26.10.

use std::collections::HashSet;
use std::net::IpAddr;
use std::str::FromStr;

use maglev_protocol::{ALL_PORTS_PROTOCOL, Prefix, VipKey};

/// The command that prints it.
pub const COMMAND: &str = "show lb vips verbose";

/// One VIP of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextVip {
    /// Which VIP.
    pub key: VipKey,
    /// VPP's index of it.
    pub index: u32,
    /// Whether flows are told apart by their source address alone.
    pub src_ip_sticky: bool,
    /// Whether it was removed, and VPP has not yet forgotten it.
    pub removed: bool,
    /// Its servers, in VPP's order, removed ones among them.
    pub servers: Vec<TextServer>,
}

/// One application server of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextServer {
    /// Address.
    pub address: IpAddr,
    /// Weight.
    pub weight: u8,
    /// Buckets of the new-flow table.
    pub buckets: u32,
    /// Live flows pinned to it.
    pub flows: u64,
    /// Whether it was removed, and VPP has not yet forgotten it.
    pub removed: bool,
}

/// A line that is not as VPP 26.10 writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of `{COMMAND}`: expected {expected}, found {found:?}")]
pub struct TextError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What it begins with; the rest is cut off.
    pub found: String,
    /// What should stand there.
    pub expected: &'static str,
}

const MOST_QUOTED: usize = 120;

impl TextError {
    fn new(index: usize, line: &str, expected: &'static str) -> Self {
        Self { line: index + 1, found: line.chars().take(MOST_QUOTED).collect(), expected }
    }
}

/// Reads the whole text.
///
/// # Errors
/// When a line that begins a VIP or a server is not complete, a server stands outside of a VIP, or a VIP that is not
/// removed stands there twice.
pub fn parse(text: &str) -> Result<Vec<TextVip>, TextError> {
    let (mut vips, mut heads): (Vec<TextVip>, _) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let wrong = |expected| TextError::new(index, line, expected);
        let mut words = line.split_whitespace();
        let (Some(first), second) = (words.next(), words.next()) else { continue };
        if let Some(number) = second.and_then(|word| word.strip_prefix('[')) {
            vips.push(head(number, words).ok_or_else(|| wrong("` TYPE [INDEX] PREFIX/LENGTH FLAGS`"))?);
            heads.push((index, line));
        } else if second.is_some_and(|word| word.starts_with("weight:")) {
            let vip = vips.last_mut().ok_or_else(|| wrong("a VIP before its servers"))?;
            vip.servers.push(
                server(line).ok_or_else(|| {
                    wrong("`ADDRESS weight:W buckets:B flows:F ... used|removed`, W to 255")
                })?,
            );
        } else if let Some(protocol) = first.strip_prefix("protocol:") {
            let vip = vips.last_mut().ok_or_else(|| wrong("a VIP before its protocol"))?;
            let port = second.and_then(|word| word.strip_prefix("port:"));
            let (protocol, port) = (number(Some(protocol)), number(port));
            (vip.key.protocol, vip.key.port) =
                protocol.zip(port).ok_or_else(|| wrong("`protocol:0-255 port:0-65535`"))?;
        }
    }
    let mut live = HashSet::new();
    for (vip, (index, line)) in vips.iter().zip(heads) {
        if !vip.removed && !live.insert(vip.key) {
            return Err(TextError::new(index, line, "each VIP in use once"));
        }
    }
    Ok(vips)
}

/// The line that begins a VIP, from behind its `[`. Without a line of protocol and port behind it, the VIP is one
/// of all ports.
fn head<'a>(index: &str, mut words: impl Iterator<Item = &'a str>) -> Option<TextVip> {
    let (address, length) = words.next()?.split_once('/')?;
    let prefix = Prefix { address: address.parse().ok()?, length: length.parse().ok()? };
    let mut vip = TextVip {
        key: VipKey { prefix, protocol: ALL_PORTS_PROTOCOL, port: 0 },
        index: number(index.strip_suffix(']'))?,
        src_ip_sticky: false,
        removed: false,
        servers: Vec::new(),
    };
    for flag in words {
        match flag {
            "src_ip_sticky" => vip.src_ip_sticky = true,
            "removed" => vip.removed = true,
            _ => {}
        }
    }
    Some(vip)
}

fn server(line: &str) -> Option<TextServer> {
    let value = |name| line.split_whitespace().find_map(|word| word.strip_prefix(name));
    Some(TextServer {
        address: number(line.split_whitespace().next())?,
        weight: number(value("weight:"))?,
        buckets: number(value("buckets:"))?,
        flows: number(value("flows:"))?,
        removed: match line.split_whitespace().next_back()? {
            "used" => false,
            "removed" => true,
            _ => return None,
        },
    })
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

#[cfg(test)]
mod tests;
