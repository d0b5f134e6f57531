//! Parser for `show lb vips verbose`, the only source of a VIP's index, its sticky flag, pinned flows, and the
//! routes of its servers.
//!
//! Only lines that begin a VIP or a server, and the line with protocol and port, are parsed. All others are
//! skipped, since VPP adds lines for other encapsulations and in other versions. Formats as measured on VPP
//! 26.10 and 26.06, whose servers have no weight: 1 is read for those in use.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use maglev_protocol::{ALL_PORTS_PROTOCOL, Encap, Prefix, VipKey, printable};

/// The command that prints it.
pub const COMMAND: &str = "show lb vips verbose";

/// A VIP in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextVip {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// VPP's index of the VIP.
    pub index: u32,
    /// Encapsulation to the servers, if it is a known one.
    pub encap: Option<Encap>,
    /// Buckets of the table for new flows, if the text has them.
    pub table_length: Option<u32>,
    /// Whether VPP hashes flows by their source address alone.
    pub src_ip_sticky: bool,
    /// Whether the VIP was removed and VPP has not reclaimed it yet.
    pub removed: bool,
    /// Its servers in VPP's order, including removed ones.
    pub servers: Vec<TextServer>,
}

/// An application server in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextServer {
    /// The server's address.
    pub address: IpAddr,
    /// Weight in VPP's table.
    pub weight: u8,
    /// Number of buckets in the new-flow table.
    pub buckets: u32,
    /// Flows pinned to it, with those that have ended and whose entry VPP has not reused.
    pub flows: u64,
    /// Index of the route to its address in the stats segment, if the line has one.
    pub route: Option<u32>,
    /// Whether the server was removed and VPP has not reclaimed it yet.
    pub removed: bool,
}

/// The whole parsed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The VIPs that could be parsed; at most one in use for each key.
    pub vips: Vec<TextVip>,
    /// The lines that could not be parsed.
    pub unread: Vec<Unread>,
}

/// A line in an unexpected format. The line itself is not kept: its flow counters change all the time, and
/// each change would be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{COMMAND}`, at `{of}`: expected {expected}")]
pub struct Unread {
    /// The VIP that the line belongs to, or the line that begins a VIP.
    pub of: String,
    /// The expected format.
    pub expected: &'static str,
    /// That VIP's key, if it could be parsed.
    pub vip: Option<VipKey>,
}

/// Maximum number of characters of a line that are shown.
const MOST_QUOTED: usize = 120;

/// Parses the whole text. A VIP whose own lines are incomplete is left out with its servers; so are two VIPs
/// in use with the same key, and a server whose line is incomplete.
pub fn parse(text: &str) -> Text {
    let mut blocks: Vec<Block> = Vec::new();
    let mut unread = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(first), second) = (words.next(), words.next()) else { continue };
        if let Some(number) = second.and_then(|word| word.strip_prefix('[')) {
            let vip = head(first, number, words);
            if vip.is_none() {
                unread.push(lost(line, None, "` TYPE [INDEX] PREFIX/LENGTH FLAGS`"));
            }
            blocks.push(Block { head: line, vip });
            continue;
        }
        if let (Some(length), Some(Block { vip: Some(vip), .. })) =
            (first.strip_prefix("new_size:"), blocks.last_mut())
        {
            vip.table_length = number(Some(length));
            continue;
        }
        let is_server = second.is_some_and(|word| word.starts_with("weight:"))
            || words.next().is_some_and(|third| third == "buckets");
        let Some(protocol) = first.strip_prefix("protocol:").or(is_server.then_some("")) else { continue };
        let Some(Block { head, vip }) = blocks.last_mut() else {
            unread.push(lost(line, None, "a VIP before its lines"));
            continue;
        };
        // Lines of a VIP that could not be parsed are useless.
        let Some(known) = vip else { continue };
        if is_server {
            match server(line) {
                Some(server) => known.servers.push(server),
                None => unread.push(lost(
                    head,
                    Some(known.key),
                    "`ADDRESS weight:W buckets:B flows:F ... used|removed`, W to 255, or `ADDRESS B buckets F flows ... \
                     used|removed`",
                )),
            }
        } else {
            let port = second.and_then(|word| word.strip_prefix("port:"));
            match number(Some(protocol)).zip(number(port)) {
                Some(read) => (known.key.protocol, known.key.port) = read,
                None => {
                    unread.push(lost(head, None, "`protocol:0-255 port:0-65535`"));
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
            unread.push(lost(head, Some(vip.key), "each VIP in use once"));
        } else {
            vips.push(vip);
        }
    }
    Text { vips, unread }
}

/// A VIP with the line that begins it; no VIP once one of its lines could not be parsed.
struct Block<'a> {
    head: &'a str,
    vip: Option<TextVip>,
}

fn lost(head: &str, vip: Option<VipKey>, expected: &'static str) -> Unread {
    Unread { of: printable(head.trim(), MOST_QUOTED), expected, vip }
}

/// Parses the line that begins a VIP: its type, and from after its `[`. If no line with protocol and port follows, the VIP
/// covers all ports.
fn head<'a>(kind: &str, index: &str, mut words: impl Iterator<Item = &'a str>) -> Option<TextVip> {
    let (address, length) = words.next()?.split_once('/')?;
    let prefix = Prefix { address: address.parse().ok()?, length: length.parse().ok()? };
    let mut vip = TextVip {
        key: VipKey { prefix, protocol: ALL_PORTS_PROTOCOL, port: 0 },
        index: number(index.strip_suffix(']'))?,
        encap: kind.split_once('-').and_then(|(_, encap)| match encap {
            "gre4" => Some(Encap::Gre4),
            "gre6" => Some(Encap::Gre6),
            "l3dsr" => Some(Encap::L3dsr),
            "nat4" => Some(Encap::Nat4),
            "nat6" => Some(Encap::Nat6),
            _ => None,
        }),
        table_length: None,
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
    let words = || line.split_whitespace();
    let value = |name| words().find_map(|word| word.strip_prefix(name));
    let removed = match words().next_back()? {
        "used" => false,
        "removed" => true,
        _ => return None,
    };
    let (weight, buckets, flows) = if words().nth(2) == Some("buckets") {
        (u8::from(!removed), number(words().nth(1))?, number(words().nth(3))?)
    } else {
        (number(value("weight:"))?, number(value("buckets:"))?, number(value("flows:"))?)
    };
    let (address, route) = (number(words().next())?, number(value("dpo:")));
    Some(TextServer { address, weight, buckets, flows, route, removed })
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

#[cfg(test)]
mod tests;
