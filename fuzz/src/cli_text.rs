//! Target: the text of `show lb vips verbose`.

use std::collections::BTreeSet;
use std::fmt::Write;

use maglev_dpagent::cli_text::{Text, TextVip, parse};
use maglev_protocol::Encap;

/// The whole is the text, in which what is not UTF-8 is replaced, as the agent does.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Text { vips, unread } = parse(&text);
    let lines = vips.iter().map(|vip| 1 + vip.servers.len()).sum::<usize>() + unread.len();
    assert!(lines <= 2 * text.lines().count(), "{lines} lines in {text:?}");
    let mut live = BTreeSet::new();
    for vip in vips.iter().filter(|vip| !vip.removed) {
        assert!(live.insert(vip.key), "{} is there twice", vip.key);
    }
    for line in &unread {
        let words = line.to_string();
        assert!(words.len() < 2000 && !words.contains(char::is_control), "{words}");
    }
    assert_eq!(parse(&print(&vips)), Text { vips, unread: Vec::new() });
}

/// VIPs in the form of VPP 26.10.
pub fn print(vips: &[TextVip]) -> String {
    let mut text = String::new();
    for vip in vips {
        let flag = |set, word| if set { word } else { "" };
        let (sticky, removed) = (flag(vip.src_ip_sticky, " src_ip_sticky"), flag(vip.removed, " removed"));
        let key = &vip.key;
        let encap = match vip.encap {
            Some(Encap::Gre4) => "gre4",
            Some(Encap::Gre6) => "gre6",
            Some(Encap::L3dsr) => "l3dsr",
            Some(Encap::Nat4) => "nat4",
            Some(Encap::Nat6) => "nat6",
            None => "another",
        };
        writeln!(text, " ip4-{encap} [{}] {}{sticky}{removed}", vip.index, key.prefix)
            .expect("a string takes all");
        if let Some(length) = vip.table_length {
            writeln!(text, "  new_size:{length}").expect("a string takes all");
        }
        writeln!(text, "  protocol:{} port:{}", key.protocol, key.port).expect("a string takes all");
        writeln!(text, "  #as:{}", vip.servers.len()).expect("a string takes all");
        for server in &vip.servers {
            let state = if server.removed { "removed" } else { "used" };
            let (address, weight) = (server.address, server.weight);
            let (buckets, flows) = (server.buckets, server.flows);
            let route = server.route.map_or_else(String::new, |route| format!(" dpo:{route}"));
            writeln!(text, "    {address} weight:{weight} buckets:{buckets} flows:{flows}{route} {state}")
                .expect("a string takes all");
        }
    }
    text
}
