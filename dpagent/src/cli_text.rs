//! The text of VPP's `show lb vips verbose`, which alone tells a VIP's index, its sticky flag, and live flows.
//!
//! Only lines that begin a VIP or a server, and the one with protocol and port, are read; whatever else stands
//! there is passed over, since VPP adds lines for other encapsulations and in other versions. Form as measured on
//! VPP 26.10.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use maglev_protocol::{ALL_PORTS_PROTOCOL, Prefix, VipKey, printable};

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

/// The whole text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The VIPs that could be read, each one in use once.
    pub vips: Vec<TextVip>,
    /// The lines that could not.
    pub unread: Vec<Unread>,
}

/// A line that is not as VPP 26.10 writes it. It is not quoted, since the flows in it change all the time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{COMMAND}`, at `{of}`: expected {expected}")]
pub struct Unread {
    /// The VIP that it belongs to, or the line that begins one.
    pub of: String,
    /// What should stand there.
    pub expected: &'static str,
}

/// Most characters of a line that are shown.
const MOST_QUOTED: usize = 120;

/// Reads the whole text. A VIP is left out if the lines that name it are not complete, with its servers; so are both of
/// two in use with one key, and a server whose line is not complete.
pub fn parse(text: &str) -> Text {
    let mut blocks: Vec<Block> = Vec::new();
    let mut unread = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(first), second) = (words.next(), words.next()) else { continue };
        if let Some(number) = second.and_then(|word| word.strip_prefix('[')) {
            let vip = head(number, words);
            if vip.is_none() {
                unread.push(lost(line, "` TYPE [INDEX] PREFIX/LENGTH FLAGS`"));
            }
            blocks.push(Block { head: line, vip });
            continue;
        }
        let is_server = second.is_some_and(|word| word.starts_with("weight:"));
        let Some(protocol) = first.strip_prefix("protocol:").or(is_server.then_some("")) else { continue };
        let Some(Block { head, vip }) = blocks.last_mut() else {
            unread.push(lost(line, "a VIP before its lines"));
            continue;
        };
        // What belongs to a VIP that could not be read says nothing.
        let Some(known) = vip else { continue };
        if is_server {
            match server(line) {
                Some(server) => known.servers.push(server),
                None => {
                    unread.push(lost(head, "`ADDRESS weight:W buckets:B flows:F ... used|removed`, W to 255"))
                }
            }
        } else {
            let port = second.and_then(|word| word.strip_prefix("port:"));
            match number(Some(protocol)).zip(number(port)) {
                Some(read) => (known.key.protocol, known.key.port) = read,
                None => {
                    unread.push(lost(head, "`protocol:0-255 port:0-65535`"));
                    *vip = None;
                }
            }
        }
    }
    let mut live = BTreeMap::<VipKey, usize>::new();
    for vip in blocks.iter().filter_map(|block| block.vip.as_ref()).filter(|vip| !vip.removed) {
        *live.entry(vip.key).or_default() += 1;
    }
    let mut vips = Vec::with_capacity(blocks.len());
    for Block { head, vip } in blocks {
        let Some(vip) = vip else { continue };
        if !vip.removed && live.get(&vip.key).is_some_and(|times| *times > 1) {
            unread.push(lost(head, "each VIP in use once"));
        } else {
            vips.push(vip);
        }
    }
    Text { vips, unread }
}

/// A VIP with the line that begins it; none once a line of it could not be read.
struct Block<'a> {
    head: &'a str,
    vip: Option<TextVip>,
}

fn lost(head: &str, expected: &'static str) -> Unread {
    Unread { of: printable(head.trim(), MOST_QUOTED), expected }
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
