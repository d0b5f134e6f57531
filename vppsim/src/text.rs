//! Output of VPP's CLI about the lb plugin, byte for byte.
//!
//! The verbose list of VIPs and the answer to an unknown command are as recorded from VPP 26.10, the others
//! as read in its source. The lines of servers without weights are as recorded from VPP 26.06.

mod command;

#[cfg(test)]
mod tests;

use std::fmt::Write;

use vppapi::types::Encap;

use crate::lb::sticky;
use crate::lb::{Counter, Lb, Server, Uptime, Vip};

pub use command::{Output, run};

/// `show lb`.
pub fn lb(lb: &Lb, now: Uptime) -> String {
    let conf = lb.conf();
    let mut text = format!(
        "lb_main ip4-src-address: {} \n ip6-src-address: {} \n #vips: {}\n #ass: {}\n",
        conf.ip4_source,
        crate::address::ipv6_text(conf.ip6_source),
        // VPP counts the default VIP of its own, but not the default server.
        lb.vips().count() + 1,
        lb.server_count(),
    );
    for (thread, table) in lb.sticky_tables() {
        let used = table.live_slots(sticky::clock(now));
        // VPP means the room, but prints this.
        let room = u64::from(table.buckets() - 1) + u64::from(sticky::SLOTS);
        line(
            &mut text,
            format_args!("core {thread}\n  timeout: {}s\n  usage: {used} / {room}\n", table.timeout()),
        );
    }
    text
}

/// `show lb vips`.
pub fn vips(lb: &Lb) -> String {
    lb.vips().map(|(_, vip)| brief(vip) + "\n").collect()
}

/// `show lb vips verbose`.
pub fn vips_verbose(lb: &Lb) -> String {
    lb.vips().map(|(index, vip)| detailed(lb, index, vip) + "\n").collect()
}

fn brief(vip: &Vip) -> String {
    let mut text = format!(
        "{} {} new_size:{} #as:{}{}",
        vip.kind.name(),
        vip.key.prefix,
        vip.table_length(),
        vip.server_count(),
        removed(vip),
    );
    if vip.key.port != 0 {
        line(&mut text, format_args!("  protocol:{} port:{} ", vip.key.protocol, vip.key.port));
    }
    match vip.kind.encap() {
        Encap::L3dsr => line(&mut text, format_args!("  dscp:{}", vip.encap_argument)),
        Encap::Nat4 | Encap::Nat6 => text.push_str(&service(vip)),
        _ => {}
    }
    text
}

fn detailed(lb: &Lb, index: u32, vip: &Vip) -> String {
    let sticky = if vip.src_ip_sticky { " src_ip_sticky" } else { "" };
    let mut text = format!(
        " {} [{index}] {}{sticky}{}\n  new_size:{}\n",
        vip.kind.name(),
        vip.key.prefix,
        removed(vip),
        vip.table_length(),
    );
    if vip.key.port != 0 {
        line(&mut text, format_args!("  protocol:{} port:{}\n", vip.key.protocol, vip.key.port));
    }
    match vip.kind.encap() {
        Encap::L3dsr => line(&mut text, format_args!("  dscp:{}\n", vip.encap_argument)),
        Encap::Nat4 | Encap::Nat6 => line(&mut text, format_args!(" {}", service(vip))),
        _ => {}
    }
    text.push_str("  counters:\n");
    let counters = lb.counters().get(index as usize).copied().unwrap_or_default();
    for (counter, value) in Counter::ALL.iter().zip(counters) {
        line(&mut text, format_args!("    {}: {value}\n", counter.name()));
    }
    line(&mut text, format_args!("  #as:{}\n", vip.server_count()));
    let buckets = Lb::bucket_counts(vip);
    for (server_index, server) in lb.servers_of(vip) {
        let buckets = buckets.get(&server_index).copied().unwrap_or(0);
        line(
            &mut text,
            format_args!("    {}\n", server_line(lb, server, buckets, lb.pinned_to(server_index))),
        );
    }
    text
}

fn server_line(lb: &Lb, server: &Server, buckets: u32, flows: u64) -> String {
    // The second blank before "removed" is VPP's.
    let state = if server.used { "used" } else { " removed" };
    let Server { address, weight, route, .. } = server;
    if lb.has_weights() {
        format!("{address} weight:{weight} buckets:{buckets} flows:{flows} dpo:{route} {state}")
    } else {
        format!("{address} {buckets} buckets   {flows} flows  dpo:{route} {state}")
    }
}

/// VPP swaps the bytes of the VIP's port here.
fn service(vip: &Vip) -> String {
    let kind = if vip.encap_argument == 0 { "clusterip" } else { "nodeport" };
    format!(" type:{kind} port:{} target_port:{}", vip.key.port.swap_bytes(), vip.target_port)
}

fn removed(vip: &Vip) -> &'static str {
    if vip.used { "" } else { " removed" }
}

/// Appends to a string, which cannot fail.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}
