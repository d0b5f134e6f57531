//! `show vpp`.

use maglev_proto::{VppApplicationServer, VppInfo, VpplbState, Vppvip};

use super::{host, service};
use crate::moment::{Moment, exact};
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Properties, Table};

/// The connections, and VPP's details.
pub(super) fn info(info: &VppInfo, now: Moment, palette: Palette) -> String {
    let mut properties = Properties::default();
    let agent = info.agent.clone().unwrap_or_default();
    let agent_state = if agent.connected { "connected" } else { "not connected" };
    properties.put("Agent", state_with_reason(agent_state, &agent.reason));
    put_known(&mut properties, "Agent socket", &agent.socket);
    put_known(&mut properties, "Agent version", &agent.version);
    properties.put("VPP", state_with_reason(&info.state, &info.reason));
    put_known(&mut properties, "VPP version", &info.version);
    put_known(&mut properties, "LB API", &info.lb_api);
    put_known(&mut properties, "Build date", &info.build_date);
    put_known(&mut properties, "Build directory", &info.build_directory);
    if info.pid != 0 {
        properties.put("PID", Cell::number(info.pid));
    }
    for (label, at) in [("Started", info.boot_time_unix_ms), ("Connected", info.connected_unix_ms)] {
        if at != 0 {
            properties.put(label, Cell::new(Moment(at).iso_with_age(now)));
        }
    }
    put_refused(&mut properties, &agent.settings_refused);
    properties.render(palette)
}

/// Notes that VPP has other lb settings than configured.
pub(super) fn put_refused(properties: &mut Properties, reason: &str) {
    if !reason.is_empty() {
        properties.put("LB settings", Cell::toned(format!("refused: {}", printable(reason)), Tone::Bad));
    }
}

pub(super) fn put_known(properties: &mut Properties, label: &'static str, value: &str) {
    if !value.is_empty() {
        properties.put(label, Cell::new(value));
    }
}

pub(super) fn state_with_reason(state: &str, reason: &str) -> Cell {
    let tone = match state {
        "connected" => Tone::Good,
        "unknown" => Tone::Warning,
        _ => Tone::Bad,
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Cell::toned(format!("{state}{reason}"), tone)
}

/// The plugin's settings, then each VIP with its servers.
pub(super) fn lb_state(state: &VpplbState, palette: Palette) -> String {
    let mut parts = Vec::new();
    if let Some(conf) = &state.conf {
        let mut properties = Properties::default();
        properties
            .put("IPv4 source", source(&conf.ip4_src_address))
            .put("IPv6 source", source(&conf.ip6_src_address))
            .put("Sticky buckets", Cell::new(format!("{} per core", conf.sticky_buckets_per_core)))
            .put("Flow timeout", Cell::new(format!("{}s", conf.flow_timeout_seconds)));
        parts.push(properties.render(palette));
    }
    parts.extend(state.vips.iter().map(|vip| vip_lines(vip, palette)));
    if state.vips.is_empty() {
        parts.push("VPP has no VIPs.\n".to_owned());
    }
    parts.push(format!("{}\n", palette.paint(Tone::Faint, &format!("{} old", exact(state.age_ms)))));
    parts.join("\n")
}

fn source(address: &str) -> Cell {
    if address.is_empty() { Cell::toned("not set", Tone::Faint) } else { Cell::new(address) }
}

fn vip_lines(vip: &Vppvip, palette: Palette) -> String {
    let frontend = match vip.frontend.as_str() {
        "" => palette.paint(Tone::Warning, "(no frontend)").into_owned(),
        name => palette.paint(Tone::Heading, &printable(name)).into_owned(),
    };
    let sticky = if vip.src_ip_sticky { "yes" } else { "no" };
    let head = format!("{} {}", host(&vip.prefix), service(&vip.protocol, vip.port));
    let details = format!(
        "encap {}, table {}, src-ip-sticky {sticky}, index {}",
        vip.encap, vip.new_flows_table_length, vip.index,
    );
    let servers = servers(&vip.application_servers, palette);
    format!("{frontend}  {}\n  {}\n{servers}", printable(&head), printable(&details))
}

fn servers(servers: &[VppApplicationServer], palette: Palette) -> String {
    if servers.is_empty() {
        return "  No application servers: VPP drops what comes for this VIP.\n".to_owned();
    }
    let total = servers.iter().map(|server| u64::from(server.buckets)).sum();
    let columns = [
        Column::left("Address"),
        Column::left("Backend"),
        Column::right("Weight").optional(1),
        Column::right("Buckets"),
        Column::right("Share").optional(2),
        Column::right("Flows"),
    ];
    let rows = servers.iter().map(|server| {
        [
            Cell::new(&server.address),
            Cell::or_dash(&server.backend),
            Cell::number(server.weight),
            Cell::number(server.buckets),
            Cell::new(share(server.buckets, total)),
            Cell::number(server.flows),
        ]
    });
    Table::new(columns).indented(2).with_rows(rows).render(palette)
}

/// Percentage of new flows. One bucket of 65536 is 0.0015 %, which must not look like none, nor all but one
/// like all.
pub(super) fn share(buckets: u32, total: u64) -> String {
    let buckets = u64::from(buckets);
    if buckets == 0 || total == 0 {
        return "0.00%".to_owned();
    }
    // Hundredths of a percent, rounded half up; a u32 times 10,000 cannot overflow.
    match (buckets * 10_000 + total / 2) / total {
        0 => "<0.01%".to_owned(),
        10_000.. if buckets < total => ">99.99%".to_owned(),
        hundredths => format!("{}.{:02}%", hundredths / 100, hundredths % 100),
    }
}

#[cfg(test)]
mod tests;
