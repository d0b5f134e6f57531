//! Random configurations as texts, and random changes of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

/// Backends that there can be, of either family.
const BACKENDS: u8 = 7;
/// The VIPs that frontends can be: two share an address, so that they must share a tunnel.
const VIPS: [(&str, &str, usize); 4] = [
    ("198.51.100.1", "protocol: tcp, port: 80, ", 0),
    ("198.51.100.1", "protocol: tcp, port: 443, ", 0),
    ("198.51.100.2", "", 1),
    ("\"2001:db8:1::1\"", "protocol: udp, port: 53, ", 2),
];

/// A configuration that can be changed in any part.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    sync_ms: u64,
    /// Whether full syncs are so rare that nothing can count on one.
    rare_syncs: bool,
    min_ms: u64,
    max_ms: u64,
    flow_timeout: u8,
    sticky_buckets: u32,
    /// When the router announces all VIPs: the percentage of backends that must be up, and the hold-down.
    announce: Option<(u8, u16)>,
    checks: [Check; 2],
    backends: BTreeMap<u8, Backend>,
    /// Whether the backends behind each address of [`VIPS`] are of IPv6.
    ipv6: [bool; 3],
    /// By their VIP.
    frontends: BTreeMap<usize, Frontend>,
    /// Something that no configuration may have.
    fault: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Check {
    interval_ms: u64,
    rise: u8,
    fall: u8,
}

#[derive(Debug, Clone)]
struct Backend {
    moved: bool,
    check: Option<Checked>,
    enabled: bool,
}

/// The checks of a backend. They all find the same, but one after the other.
#[derive(Debug, Clone)]
enum Checked {
    One(usize),
    /// And how many must be up.
    Both(&'static str),
}

#[derive(Debug, Clone)]
struct Frontend {
    renamed: bool,
    sticky: bool,
    flush_on_down: bool,
    table_length: Option<u32>,
    slow_start_s: Option<u8>,
    panic_threshold: Option<u8>,
    pools: Vec<BTreeMap<u8, u8>>,
}

impl Draft {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let warm = rng.u8(..4) > 0;
        let min_ms = if warm { rng.u64(..3000) } else { 0 };
        let mut draft = Self {
            sync_ms: rng.u64(1000..5000),
            rare_syncs: false,
            min_ms,
            max_ms: if warm { min_ms + rng.u64(..5000) } else { 0 },
            flow_timeout: 40,
            sticky_buckets: 1024,
            announce: announce(rng),
            checks: [check(rng), check(rng)],
            backends: (0..BACKENDS).map(|id| (id, backend(rng))).collect(),
            ipv6: [rng.u8(..8) == 0, rng.u8(..8) == 0, rng.u8(..8) == 0],
            frontends: BTreeMap::new(),
            fault: None,
        };
        for vip in 0..VIPS.len() {
            if rng.bool() {
                draft.frontends.insert(vip, frontend(rng));
            }
        }
        if draft.frontends.is_empty() {
            draft.frontends.insert(rng.usize(..VIPS.len()), frontend(rng));
        }
        draft
    }

    /// Changes one part, or now and then everything.
    pub(crate) fn change(&mut self, rng: &mut Rng) {
        self.fault = None;
        match rng.u8(..16) {
            0 => {
                let Self { min_ms, max_ms, rare_syncs, .. } = *self;
                *self = Self { min_ms, max_ms, rare_syncs, ..Self::new(rng) };
            }
            1 => {
                self.sync_ms = rng.u64(1000..5000);
                self.flow_timeout = rng.u8(30..50);
                self.sticky_buckets = 1 << rng.u32(9..12);
                self.announce = announce(rng);
            }
            2 => self.checks[rng.usize(..2)] = check(rng),
            3 => drop(self.frontends.remove(&rng.usize(..VIPS.len()))),
            4 | 5 => drop(self.frontends.insert(rng.usize(..VIPS.len()), frontend(rng))),
            6 => self.ipv6[rng.usize(..3)] ^= true,
            7 | 8 => drop(self.backends.insert(rng.u8(..BACKENDS), backend(rng))),
            9 => {
                self.fault = rng.choice([
                    "  surplus: 1\n",
                    "  backends: {}\n",
                    "  healthchecker: { transition-history: 0 }\n",
                ])
            }
            _ => {
                let names: Vec<_> = self.frontends.keys().copied().collect();
                let Some(name) = rng.choice(names) else { return };
                let Some(found) = self.frontends.get_mut(&name) else { return };
                match rng.u8(..8) {
                    0 => found.sticky ^= true,
                    1 => found.flush_on_down ^= true,
                    2 => found.renamed ^= true,
                    3 => found.slow_start_s = rng.bool().then(|| rng.u8(1..4)),
                    4 => found.panic_threshold = rng.bool().then(|| rng.u8(1..=100)),
                    5 => found.table_length = Some(1 << rng.u32(5..10)),
                    _ => found.pools = pools(rng),
                }
            }
        }
    }

    /// Has full syncs made once an hour.
    pub(crate) fn sync_rarely(&mut self) {
        self.rare_syncs = true;
    }

    /// Gives the warm-up the time to get to know every backend, also beside a VPP that has just started: failures in its
    /// first 2 s say nothing of them, and the slowest checks take another 2 s.
    pub(crate) fn warm_up_patiently(&mut self) {
        self.max_ms = 8_000;
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = "maglev:\n".to_owned();
        text.push_str(self.fault.unwrap_or_default());
        let sync_ms = if self.rare_syncs { 3_600_000 } else { self.sync_ms };
        let lb = format!(
            "ipv4-src-address: 192.0.2.1, ipv6-src-address: \"2001:db8::1\", sync-interval: {}ms, \
             startup-min-delay: {}ms, startup-max-delay: {}ms, flow-timeout: {}s, sticky-buckets-per-core: {}",
            sync_ms, self.min_ms, self.max_ms, self.flow_timeout, self.sticky_buckets
        );
        line(&mut text, format_args!("  vpp: {{ lb: {{ {lb} }} }}\n  healthchecks:\n"));
        if let Some((percent, hold_down)) = self.announce {
            let announce = format!("  announce: {{ min-up: {percent}%, hold-down: {hold_down}ms }}\n");
            text.insert_str("maglev:\n".len(), &announce);
        }
        for (index, check) in self.checks.iter().enumerate() {
            let Check { interval_ms, rise, fall } = check;
            let (fast, down) = (interval_ms / 3, interval_ms / 2);
            line(
                &mut text,
                format_args!(
                    "    c{index}: {{ type: tcp, port: 80, interval: {interval_ms}ms, fast-interval: {fast}ms, \
                 down-interval: {down}ms, timeout: {fast}ms, rise: {rise}, fall: {fall} }}\n"
                ),
            );
        }
        text.push_str("  backends:\n");
        let mut used = Vec::new();
        for (vip, frontend) in &self.frontends {
            let ipv6 = self.ipv6[VIPS[*vip].2];
            used.extend(frontend.pools.iter().flat_map(|pool| pool.keys()).map(|id| (*id, ipv6)));
        }
        used.sort_unstable();
        used.dedup();
        for (id, ipv6) in used {
            let Backend { moved, check, enabled } = &self.backends[&id];
            let check = match check {
                Some(Checked::One(check)) => format!(", healthcheck: c{check}"),
                Some(Checked::Both(require)) => format!(", healthcheck: [c0, c1], require: {require}"),
                None => String::new(),
            };
            let address = address(id, ipv6, *moved);
            let name = name(id, ipv6);
            line(
                &mut text,
                format_args!("    {name}: {{ address: \"{address}\", enabled: {enabled}{check} }}\n"),
            );
        }
        text.push_str("  frontends:\n");
        for (vip, frontend) in &self.frontends {
            let (address, service, family) = VIPS[*vip];
            let renamed = if frontend.renamed { "r" } else { "" };
            let Frontend { sticky, flush_on_down, .. } = frontend;
            line(
                &mut text,
                format_args!(
                    "    f{vip}{renamed}: {{ address: {address}, {service}src-ip-sticky: {sticky}, \
                 flush-on-down: {flush_on_down}"
                ),
            );
            if let Some(length) = frontend.table_length {
                line(&mut text, format_args!(", new-flows-table-length: {length}"));
            }
            if let Some(seconds) = frontend.slow_start_s {
                line(&mut text, format_args!(", slow-start: {seconds}s"));
            }
            if let Some(percent) = frontend.panic_threshold {
                line(&mut text, format_args!(", panic-threshold: {percent}"));
            }
            text.push_str(", pools: [");
            for (index, pool) in frontend.pools.iter().enumerate() {
                line(&mut text, format_args!("{{ name: p{index}, backends: {{ "));
                for (id, weight) in pool {
                    let name = name(*id, self.ipv6[family]);
                    line(&mut text, format_args!("{name}: {{ weight: {weight} }}, "));
                }
                text.push_str("} }, ");
            }
            text.push_str("] }\n");
        }
        if self.frontends.is_empty() {
            text.truncate(text.len() - "  frontends:\n".len());
            text = text.replace("  backends:\n", "");
        }
        text
    }
}

/// Every address that a backend can have.
pub(crate) fn addresses() -> impl Iterator<Item = IpAddr> {
    let kinds = [(false, false), (false, true), (true, false), (true, true)];
    (0..BACKENDS).flat_map(move |id| kinds.into_iter().map(move |(ipv6, moved)| address(id, ipv6, moved)))
}

fn name(id: u8, ipv6: bool) -> String {
    let family = if ipv6 { "x" } else { "b" };
    format!("{family}{id}")
}

fn address(id: u8, ipv6: bool, moved: bool) -> IpAddr {
    let last = 1 + id + if moved { 100 } else { 0 };
    match ipv6 {
        true => Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, last.into()).into(),
        false => Ipv4Addr::new(10, 0, 0, last).into(),
    }
}

fn announce(rng: &mut Rng) -> Option<(u8, u16)> {
    (rng.u8(..3) > 0).then(|| (rng.u8(1..=100), rng.u16(..2000)))
}

fn check(rng: &mut Rng) -> Check {
    Check { interval_ms: rng.u64(600..2000), rise: rng.u8(1..4), fall: rng.u8(1..4) }
}

fn backend(rng: &mut Rng) -> Backend {
    let check = match rng.u8(..6) {
        0 => None,
        1 => Some(Checked::Both(["all", "any"][rng.usize(..2)])),
        _ => Some(Checked::One(rng.usize(..2))),
    };
    Backend { moved: rng.u8(..5) == 0, check, enabled: rng.u8(..8) > 0 }
}

fn frontend(rng: &mut Rng) -> Frontend {
    Frontend {
        renamed: false,
        sticky: rng.u8(..4) == 0,
        flush_on_down: rng.bool(),
        table_length: (rng.u8(..10) > 0).then(|| 1 << rng.u32(5..10)),
        slow_start_s: (rng.u8(..4) == 0).then(|| rng.u8(1..4)),
        panic_threshold: (rng.u8(..4) == 0).then(|| rng.u8(1..=100)),
        pools: pools(rng),
    }
}

fn pools(rng: &mut Rng) -> Vec<BTreeMap<u8, u8>> {
    let pool = |rng: &mut Rng| (0..rng.u8(1..5)).map(|_| (rng.u8(..BACKENDS), weight(rng))).collect();
    (0..rng.usize(1..4)).map(|_| pool(rng)).collect()
}

/// Mostly such weights as people write.
pub(crate) fn weight(rng: &mut Rng) -> u8 {
    match rng.u8(..40) {
        0..4 => 0,
        4 => rng.u8(..=100),
        5..13 => 50,
        13..17 => 10,
        _ => 100,
    }
}

/// Appends to a string, which cannot fail.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}
