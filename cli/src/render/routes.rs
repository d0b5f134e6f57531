//! `show routes`, `show drain`, and the configuration for BIRD.

use maglev_proto::words::Word;
use maglev_proto::{Announcement, DrainLbResponse, LbDrain, LbDrainKind, ListRoutesResponse, Route, Router};

use super::{Toned, counted};
use crate::drain_lb::{LbDrained, is_drained, progress};
use crate::moment::{Moment, span};
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Properties, Table};

/// The router, and a line for each address.
pub(super) fn list(list: &ListRoutesResponse, now: Moment, palette: Palette) -> String {
    if list.routes.is_empty() {
        return "No routes: no frontend has `announce` in the configuration.\n".to_owned();
    }
    let router = list.router.clone().unwrap_or_default();
    let mut text = router_words(&router, palette);
    if let Some(drain) = &list.drain {
        text += &format!("Drain   {}\n", drain_words(drain, now, palette));
    }
    text.push('\n');
    let columns = [
        Column::left("Address"),
        Column::left("Route"),
        Column::left("In router"),
        Column::left("Frontends").optional(1),
        Column::left("Since").optional(2),
        Column::left("Reason").prose(),
    ];
    let rows = list.routes.iter().map(|route| {
        [
            Cell::new(&route.address),
            Cell::toned(word(route.announcement()), route.announcement().tone()),
            in_router(route),
            Cell::new(route.frontends.join(" ")),
            Cell::new(Moment(route.since_unix_ms).age(now)),
            Cell::new(reason(route)),
        ]
    });
    text + &Table::new(columns).with_rows(rows).render(palette)
}

/// A route that is not decided on stays as it is.
pub(super) fn word(announcement: Announcement) -> &'static str {
    match announcement {
        Announcement::Unspecified => "left alone",
        decided => decided.word(),
    }
}

fn in_router(route: &Route) -> Cell {
    let (decided, has) = (route.announcement(), route.router());
    let as_decided = decided == has || decided == Announcement::Unspecified;
    match has {
        Announcement::Unspecified => Cell::toned("unknown", Tone::Warning),
        has => Cell::toned(has.word(), if as_decided { Tone::Plain } else { Tone::Bad }),
    }
}

fn reason(route: &Route) -> String {
    match route.hold_down_ms {
        0 => route.reason.clone(),
        left => format!("{}, {} left", route.reason, span(left)),
    }
}

fn router_words(router: &Router, palette: Palette) -> String {
    let (version, socket) = (printable(&router.version), printable(&router.socket));
    let state = match (router.connected, router.reason.as_str()) {
        (true, "") if socket.is_empty() => version,
        (true, "") => format!("{version} at {socket}"),
        (true, refused) => {
            palette.paint(Tone::Bad, &format!("{version}: {}", printable(refused))).into_owned()
        }
        (false, reason) => {
            palette.paint(Tone::Bad, &format!("not connected: {}", printable(reason))).into_owned()
        }
    };
    let lacks = match router.missing.as_slice() {
        [] => String::new(),
        missing => {
            let words = format!("lacks {} (`maglevc generate bird`)", printable(&missing.join(", ")));
            format!("        {}\n", palette.paint(Tone::Bad, &words))
        }
    };
    format!("Router  {state}\n{lacks}")
}

fn drain_words(drain: &LbDrain, now: Moment, palette: Palette) -> String {
    let by =
        if drain.set_by.is_empty() { String::new() } else { format!(" by {}", printable(&drain.set_by)) };
    let why = if drain.reason.is_empty() { String::new() } else { format!(": {}", printable(&drain.reason)) };
    let age = Moment(drain.since_unix_ms).age(now);
    palette.paint(Tone::Warning, &format!("{} for {age}{by}{why}", drain.kind().word())).into_owned()
}

/// The load balancer's drain, and the number of drained routes.
pub(super) fn drain(list: &ListRoutesResponse, now: Moment, palette: Palette) -> String {
    let Some(drain) = &list.drain else { return "Not drained.\n".to_owned() };
    let done = list.routes.iter().filter(|route| is_drained(route, drain.kind())).count();
    let all = list.routes.len();
    let tone = if done == all { Tone::Good } else { Tone::Bad };
    let ends = match drain.until_unix_ms {
        0 => String::new(),
        until => format!("in {}", now.age(Moment(until))),
    };
    let mut properties = Properties::default();
    properties
        .put("Drained", Cell::new(drain.kind().word()))
        .put("Since", Cell::new(Moment(drain.since_unix_ms).iso()))
        .put("Ends", Cell::or_dash(ends))
        .put("By", Cell::or_dash(&drain.set_by))
        .put("Reason", Cell::or_dash(&drain.reason))
        .put("Routes", Cell::toned(format!("{done} of {all} drained"), tone));
    properties.render(palette)
}

/// A drain that began or ended.
pub(super) fn changed(change: &DrainLbResponse, palette: Palette) -> String {
    let what = match change.drain.as_ref().map(LbDrain::kind) {
        Some(LbDrainKind::Gshut) => "its routes are being deprioritised",
        Some(_) => "its routes are being withdrawn",
        None => "not drained; its routes come back as soon as they can serve",
    };
    let kept = match (change.not_kept.as_str(), &change.drain) {
        ("", Some(_)) => "persists across restarts".to_owned(),
        ("", None) => "no override".to_owned(),
        (reason, _) => {
            let words = format!("a restart would undo it: {}", printable(reason));
            palette.paint(Tone::Bad, &words).into_owned()
        }
    };
    format!("load balancer: {what}; {kept}\n")
}

/// A drain that was waited for.
pub(super) fn drained(drained: &LbDrained, palette: Palette) -> String {
    let waited = span(drained.waited_ms);
    let (words, tone) = match (&drained.error, drained.routes) {
        (Some(error), _) => (format!("not drained after {waited}: {error}"), Tone::Bad),
        (None, routes) if drained.is_done() => (
            format!("drained after {waited}: {}", progress(routes.unwrap_or_default(), drained.packets)),
            Tone::Good,
        ),
        (None, routes) => (
            format!("not drained after {waited}: {}", progress(routes.unwrap_or_default(), drained.packets)),
            Tone::Bad,
        ),
    };
    format!("{}load balancer: {}\n", changed(&drained.change, palette), palette.paint(tone, &words))
}

/// Two protocols for each address, and what else BIRD's configuration needs.
pub(super) fn bird(list: &ListRoutesResponse) -> String {
    if list.routes.first().is_some_and(|route| route.bird_protocol.is_empty()) {
        return LEARNT.to_owned();
    }
    let is_v6 = |route: &&Route| route.address.contains(':');
    let mut text = format!(
        "# BIRD 2: {}, by `maglevc generate bird`. Repeat it when an address is added.\n",
        counted(list.routes.len() as u64, "address").replace("addresss", "addresses")
    );
    text += "# The protocols are enabled and disabled by maglev-brain.\n";
    for (family, any) in [
        ("4", list.routes.iter().any(|route| !is_v6(&route))),
        ("6", list.routes.iter().any(|route| is_v6(&route))),
    ] {
        if any {
            text += &format!("ipv{family} table maglev{family};\n");
        }
    }
    for route in &list.routes {
        let (family, length) = if is_v6(&route) { ("6", 128) } else { ("4", 32) };
        let (address, plain, gshut) = (&route.address, &route.bird_protocol, &route.bird_gshut_protocol);
        for (name, attributes) in [(plain, ""), (gshut, " { bgp_community.add((65535, 0)); }")] {
            text += &format!(
                "
protocol static {name} {{
    disabled;
    ipv{family} {{ table maglev{family}; }};
    route {address}/{length} blackhole{attributes};
}}
"
            );
        }
    }
    text + BGP
}

/// Nothing depends on the VIPs.
const LEARNT: &str = "\
# The configuration has `router: kernel`: BIRD learns the routes from the kernel's tables, and needs
# no protocol of its own for each VIP. docs/routes.md has what it needs.
";

/// The tables are apart, so that neither the kernel nor other sessions get these routes by mistake.
const BGP: &str = "
# In each BGP session that announces them, a channel of its own table:
#   ipv4 { table maglev4; import none; export all; next hop self; };
#   ipv6 { table maglev6; import none; export all; next hop self; };
# A session that also announces routes of master4 needs a pipe instead, and the
# protocol `kernel` must not export what comes through it:
#   protocol pipe { table master4; peer table maglev4; import all; export none; }
#   protocol kernel { ipv4 { export where proto !~ \"maglev_*\"; }; }
";

#[cfg(test)]
mod tests;
