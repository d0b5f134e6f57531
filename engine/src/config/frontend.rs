//! `frontends:`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::addresses::address;
use super::announce::announce;
use super::complaint::Complaint;
use super::min_up::{MinUp, min_up};
use super::model::{Announce, Frontend, Pool, Service};
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{
    HOUR, boolean, check_name, description, duration, kind, name, percent, port, power_of_two, text, weight,
};
use super::yaml::{Entry, Located, Node, Place, ScalarKind, Value};

/// Keys of a frontend.
pub(super) const FRONTEND_KEYS: &[&str] = &[
    "address",
    "announce",
    "description",
    "flush-on-down",
    "new-flows-table-length",
    "panic-threshold",
    "pools",
    "port",
    "protocol",
    "slow-start",
    "src-ip-sticky",
];
/// Keys of a pool.
pub(super) const POOL_KEYS: &[&str] = &["backends", "min-up", "name"];
/// Keys of a backend in a pool.
pub(super) const MEMBER_KEYS: &[&str] = &["weight"];

/// A rise of less than a second would have no steps; one of more than an hour would surprise the operator.
pub(super) const SLOW_START: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;

/// VPP's maximum length of the table for new flows.
pub const MOST_BUCKETS: u32 = 1 << 16;

/// Weight of a backend without one.
pub(super) const DEFAULT_WEIGHT: u8 = 100;

/// A frontend as far as it could be read.
pub(super) struct FrontendDraft {
    pub(super) name: Located<String>,
    pub(super) address: Option<Located<IpAddr>>,
    /// With the position of the key that determines it.
    pub(super) service: Option<Located<Service>>,
    pub(super) pools: Vec<PoolDraft>,
    pub(super) announce: Option<Announce>,
    /// Position of its `announce`, if it has one.
    announce_key: Option<Place>,
    description: String,
    src_ip_sticky: bool,
    flush_on_down: bool,
    new_flows_table_length: Option<u32>,
    pub(super) slow_start: Option<Located<Duration>>,
    pub(super) panic_threshold: Option<Located<u8>>,
}

/// A pool as far as it could be read.
pub(super) struct PoolDraft {
    /// Position of the pool as a whole.
    pub(super) place: Place,
    pub(super) name: Option<Located<String>>,
    pub(super) members: Vec<(Located<String>, u8)>,
    min_up: Option<MinUp>,
}

impl PoolDraft {
    /// The pool's name in messages.
    pub(super) fn title(&self) -> String {
        self.name.as_ref().map_or_else(|| "a pool".to_owned(), |name| format!("pool {}", show(&name.value)))
    }
}

/// Protocols with ports.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) const NAMES: [(&'static str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
}

fn protocol(node: &Node) -> Result<Protocol, Complaint> {
    let given = text(node)?;
    let known = Protocol::NAMES.iter().find(|(name, _)| *name == given);
    known.map(|&(_, protocol)| protocol).ok_or_else(|| {
        Complaint::invalid(
            format!("is {}, which is not a protocol of frontends", show(&given)),
            "write `tcp` or `udp`; leave `protocol` and `port` out to balance everything",
        )
    })
}

/// Reads `frontends:`.
pub(super) fn frontends(maglev: &Section<'_>, report: &mut Report<'_>) -> Vec<FrontendDraft> {
    let defaults = announce(maglev, None, report);
    let entries = maglev.named("frontends", report).iter();
    entries.map(|entry| frontend(entry, defaults.as_ref(), report)).collect()
}

fn frontend(entry: &Entry, defaults: Option<&Announce>, report: &mut Report<'_>) -> FrontendDraft {
    let name = &entry.key;
    if let Err(complaint) = check_name(&name.value) {
        report.complaint(name.place, "the name of a frontend", complaint);
    }
    let title = format!("frontend {}", show(&name.value));
    let section = Section::open(title, name.place, &entry.node, FRONTEND_KEYS, report);
    FrontendDraft {
        name: name.clone(),
        announce: announce(&section, defaults, report),
        announce_key: section.key_place("announce"),
        description: section.read_or("description", String::new(), description, report),
        address: section.require("address", "every frontend needs one: it is the VIP", address, report),
        service: service(&section, report),
        src_ip_sticky: section.read_or("src-ip-sticky", false, boolean, report),
        flush_on_down: section.read_or("flush-on-down", true, boolean, report),
        new_flows_table_length: section
            .read("new-flows-table-length", power_of_two(MOST_BUCKETS), report)
            .map(|length| length.value),
        slow_start: section.read("slow-start", duration(SLOW_START), report),
        panic_threshold: section.read("panic-threshold", percent, report),
        pools: pools(&section, report),
    }
}

fn service(section: &Section<'_>, report: &mut Report<'_>) -> Option<Located<Service>> {
    let protocol = section.read("protocol", protocol, report);
    let port = section.read("port", port, report);
    let help = "set both to balance one port, or neither to balance all traffic to the address";
    match (section.key_place("protocol"), section.key_place("port")) {
        (None, None) => Some(Located { value: Service::AllPorts, place: section.place }),
        (Some(place), None) => {
            report.invalid(place, format!("{} has a `protocol`, but no `port`", section.title), help);
            None
        }
        (None, Some(place)) => {
            report.invalid(place, format!("{} has a `port`, but no `protocol`", section.title), help);
            None
        }
        (Some(_), Some(_)) => {
            let Located { value: port, place } = port?;
            let value = match protocol?.value {
                Protocol::Tcp => Service::Tcp(port),
                Protocol::Udp => Service::Udp(port),
            };
            Some(Located { value, place })
        }
    }
}

fn pools(section: &Section<'_>, report: &mut Report<'_>) -> Vec<PoolDraft> {
    let help = "a frontend needs at least one pool: write `- name: ...` below `pools:`";
    let Some(entry) = section.entry("pools") else {
        report.invalid(section.place, format!("{} has no `pools`", section.title), help);
        return Vec::new();
    };
    let items: &[Node] = match &entry.node.value {
        Value::List(items) => items,
        Value::Null => &[],
        Value::Scalar(_) | Value::Map(_) => {
            report.malformed(
                entry.key.place,
                format!("{} must be a list, not {}", section.subject("pools"), kind(&entry.node)),
                "their order is their preference: write each pool as `- name: ...`".to_owned(),
            );
            return Vec::new();
        }
    };
    if items.is_empty() {
        report.invalid(entry.key.place, format!("{} is empty", section.subject("pools")), help);
    }
    let mut pools: Vec<PoolDraft> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let pool = pool(section, index, item, report);
        let same = |before: &&PoolDraft| {
            before.name.as_ref().zip(pool.name.as_ref()).is_some_and(|(a, b)| a.value == b.value)
        };
        if let (Some(before), Some(name)) = (pools.iter().find(same), &pool.name) {
            let first = before.name.as_ref().map_or(0, |name| name.place.line);
            report.invalid(
                name.place,
                format!("{} has two pools named {}", section.title, show(&name.value)),
                format!("the first one is on line {first}: give one of them another name"),
            );
        }
        pools.push(pool);
    }
    pools
}

fn pool(frontend: &Section<'_>, index: usize, item: &Node, report: &mut Report<'_>) -> PoolDraft {
    let title = format!("pool {} of {}", index + 1, frontend.title);
    if !matches!(item.value, Value::Null | Value::Map(_)) {
        let message = format!("{title} must be a mapping, not {}", kind(item));
        report.malformed(item.place, message, "write each pool as `- name: ...`".to_owned());
        return PoolDraft { place: item.place, name: None, members: Vec::new(), min_up: None };
    }
    let section = Section::open(title, item.place, item, POOL_KEYS, report);
    let name = section.require("name", "name it, like `name: primary`", name, report);
    let entries = match section.entry("backends") {
        Some(Entry { key, node: Located { value: Value::List(_), place } }) => {
            report.malformed(
                if place.line == key.place.line { *place } else { key.place },
                format!("{} must be a mapping, not a list", section.subject("backends")),
                "write each backend as `web1: {}`, without `-`".to_owned(),
            );
            &[]
        }
        _ => section.named("backends", report),
    };
    if entries.is_empty() && well_formed(section.entry("backends")) {
        let place = section.key_place("backends").unwrap_or(section.place);
        report.invalid(
            place,
            format!("{} has no backends", section.title),
            "list at least one below `backends:`, like `web1: {}`, or leave the pool out",
        );
    }
    let mut members = Vec::new();
    for entry in entries {
        let title = format!("backend {} of {}", show(&entry.key.value), section.title);
        if let Value::Scalar(scalar) = &entry.node.value {
            report.malformed(
                entry.node.place,
                format!("{title} must be a mapping, not {}", kind(&entry.node)),
                match scalar.kind {
                    ScalarKind::Integer(weight) => format!("write a weight as `{{ weight: {weight} }}`"),
                    _ => "write `{}`, or `{ weight: 50 }`".to_owned(),
                },
            );
            members.push((entry.key.clone(), DEFAULT_WEIGHT));
            continue;
        }
        let member = Section::open(title, entry.key.place, &entry.node, MEMBER_KEYS, report);
        members.push((entry.key.clone(), member.read_or("weight", DEFAULT_WEIGHT, weight, report)));
    }
    let min_up = section.read("min-up", min_up, report);
    if let Some(found) = min_up.as_ref().filter(|_| !members.is_empty()) {
        let total = u32::try_from(members.len()).unwrap_or(u32::MAX);
        if let Err(complaint) = found.value.check("the pool", total) {
            report.complaint(found.place, &section.subject("min-up"), complaint);
        }
    }
    let place = name.as_ref().map_or(section.place, |name| name.place);
    PoolDraft { place, name, members, min_up: min_up.map(|min_up| min_up.value) }
}

/// Whether a mapping can be reported as empty, rather than as the wrong type.
fn well_formed(entry: Option<&Entry>) -> bool {
    entry.is_none_or(|entry| matches!(entry.node.value, Value::Null | Value::Map(_)))
}

impl FrontendDraft {
    /// Position of its VIP.
    pub(super) fn vip_place(&self) -> Place {
        self.address.as_ref().map_or(self.name.place, |address| address.place)
    }

    /// Position for a mistake in when it is announced.
    pub(super) fn announce_place(&self) -> Place {
        self.announce_key.unwrap_or(self.name.place)
    }

    /// The frontend and its name, if it was read completely.
    pub(super) fn complete(self) -> Option<(String, Arc<Frontend>)> {
        let pools = self.pools.into_iter().map(PoolDraft::complete).collect::<Option<Vec<Pool>>>()?;
        let frontend = Frontend {
            description: self.description,
            address: self.address?.value,
            service: self.service?.value,
            src_ip_sticky: self.src_ip_sticky,
            flush_on_down: self.flush_on_down,
            new_flows_table_length: self.new_flows_table_length,
            servers_ask: false,
            slow_start: self.slow_start.map(|time| time.value),
            panic_threshold: self.panic_threshold.map(|percent| percent.value),
            announce: self.announce,
            pools,
        };
        Some((self.name.value, Arc::new(frontend)))
    }
}

impl PoolDraft {
    fn complete(self) -> Option<Pool> {
        let backends = self.members.into_iter().map(|(name, weight)| (name.value, weight)).collect();
        Some(Pool { name: self.name?.value, backends, min_up: self.min_up })
    }
}
