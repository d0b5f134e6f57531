//! `show vpp lb counters`.

use maglev_proto::{VipCounters, VpplbCounters};

use super::{dash_or, host, service};
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
        Column::left("Frontend"),
        Column::left("VIP").optional(3),
        Column::left("Service").optional(1),
        Column::right("Known packets").short("Known"),
        Column::right("First packets").short("First"),
        Column::right("Untracked"),
        Column::right("Dropped"),
        Column::right("Route packets").optional(2),
        Column::right("Route bytes").short("Bytes"),
    ];
    let rows = vips.into_iter().map(|vip| {
        let frontend = match vip.frontend.as_str() {
            "" => Cell::toned("(no frontend)", Tone::Warning),
            name => Cell::new(name),
        };
        [
            frontend,
            Cell::new(host(&vip.prefix)),
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

/// Packets that should not exist.
fn lost(packets: u64, tone: Tone) -> Cell {
    Cell::toned(packets.to_string(), if packets == 0 { Tone::Plain } else { tone })
}

#[cfg(test)]
mod tests;
