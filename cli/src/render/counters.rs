//! `show vpp lb counters`.

use maglev_proto::{VipCounters, VpplbCounters};

use super::{dash_or, service};
use crate::moment::exact;
use crate::style::{Palette, Tone};
use crate::table::{Cell, Column, Table};

/// A line for each VIP.
pub(super) fn counters(counters: &VpplbCounters, palette: Palette) -> String {
    if counters.vips.is_empty() {
        return "VPP has no VIPs.\n".to_owned();
    }
    let age = palette.paint(Tone::Faint, &format!("{} old", exact(counters.age_ms))).into_owned();
    format!("{}{age}\n", table(&counters.vips).render(palette))
}

pub(super) fn table<'a>(vips: impl IntoIterator<Item = &'a VipCounters>) -> Table<9> {
    let columns = [
        Column::Left("Frontend"),
        Column::Left("Prefix"),
        Column::Left("Service"),
        Column::Right("Known flows"),
        Column::Right("New flows"),
        Column::Right("Untracked"),
        Column::Right("No server"),
        Column::Right("Route packets"),
        Column::Right("Route bytes"),
    ];
    let rows = vips.into_iter().map(|vip| {
        let frontend = match vip.frontend.as_str() {
            "" => Cell::toned("(no frontend)", Tone::Warning),
            name => Cell::new(name),
        };
        [
            frontend,
            Cell::new(&vip.prefix),
            Cell::new(service(&vip.protocol, vip.port)),
            Cell::number(vip.existing_sessions),
            Cell::number(vip.first_session),
            lost(vip.untracked, Tone::Warning),
            lost(vip.no_server, Tone::Bad),
            dash_or(vip.route_packets),
            dash_or(vip.route_bytes),
        ]
    });
    Table::new(columns).with_rows(rows)
}

/// Packets that should not have been.
fn lost(packets: u64, tone: Tone) -> Cell {
    Cell::toned(packets.to_string(), if packets == 0 { Tone::Plain } else { tone })
}

#[cfg(test)]
mod tests;
