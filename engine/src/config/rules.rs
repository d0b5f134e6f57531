//! Rules between the parts of a configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use super::backend::BackendDraft;
use super::frontend::FrontendDraft;
use super::healthcheck::CheckDraft;
use super::model::{Announce, Service};
use super::report::Report;
use super::settings::LbDraft;
use super::show;
use super::yaml::{Located, Place};

/// An address family, which is also the family of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Checks that every health check that a backend names exists.
pub(super) fn check_references(
    backends: &BTreeMap<String, BackendDraft>,
    checks: &BTreeMap<String, CheckDraft>,
    report: &mut Report<'_>,
) {
    for (name, backend) in backends {
        for wanted in backend.healthchecks.iter().filter(|wanted| !checks.contains_key(&wanted.value)) {
            let help = missing(&wanted.value, checks.keys(), "healthchecks", report);
            report.invalid(
                wanted.place,
                format!(
                    "backend {} uses health check {}, which does not exist",
                    show(name),
                    show(&wanted.value)
                ),
                help,
            );
        }
    }
}

/// Checks that every backend that a pool names exists; warns about a backend that no pool names.
pub(super) fn member_references(
    frontends: &[FrontendDraft],
    backends: &BTreeMap<String, BackendDraft>,
    report: &mut Report<'_>,
) {
    let mut unused: BTreeSet<&str> = backends.keys().map(String::as_str).collect();
    for frontend in frontends {
        for pool in &frontend.pools {
            for (member, _) in &pool.members {
                unused.remove(member.value.as_str());
                if !backends.contains_key(&member.value) {
                    let help = missing(&member.value, backends.keys(), "backends", report);
                    let message = format!(
                        "{} of frontend {} uses backend {}, which does not exist",
                        pool.title(),
                        show(&frontend.name.value),
                        show(&member.value)
                    );
                    report.invalid(member.place, message, help);
                }
            }
        }
    }
    for name in unused {
        let Some(backend) = backends.get(name) else {
            continue;
        };
        report.warning(
            backend.place,
            format!("no frontend uses backend {}", show(name)),
            "add it to a pool, or remove it; it is probed, and gets no traffic",
        );
    }
}

fn missing<'n>(
    wrong: &str,
    names: impl Iterator<Item = &'n String>,
    section: &str,
    report: &mut Report<'_>,
) -> String {
    match report.nearest(wrong, names.map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("define it under `{section}`"),
    }
}

/// Checks that the backends of a frontend have one address family (a VIP has one kind of tunnel) and distinct
/// addresses (VPP identifies a VIP's servers by address). Returns the families in use, with an example of
/// each.
pub(super) fn members(
    frontends: &[FrontendDraft],
    backends: &BTreeMap<String, BackendDraft>,
    report: &mut Report<'_>,
) -> Families {
    let mut families = Families::default();
    for frontend in frontends {
        let mut first: Option<(Family, &Located<String>)> = None;
        let mut holders: HashMap<IpAddr, &Located<String>> = HashMap::new();
        for (member, _) in frontend.pools.iter().flat_map(|pool| &pool.members) {
            let address = backends.get(&member.value).and_then(|backend| backend.address.as_ref());
            let Some(address) = address.map(|address| address.value) else {
                continue;
            };
            let family = Family::of(address);
            families.examples.entry(family).or_insert_with(|| member.value.clone());
            match first {
                None => first = Some((family, member)),
                Some((expected, of)) if expected != family => report.invalid(
                    member.place,
                    format!(
                        "backend {} of frontend {} has an {family} address, and {} has an {expected} one",
                        show(&member.value),
                        show(&frontend.name.value),
                        show(&of.value)
                    ),
                    "a frontend's backends share one family, whatever the VIP's: make two frontends",
                ),
                Some(_) => {}
            }
            let holder = holders.entry(address).or_insert(member);
            if holder.value != member.value {
                report.invalid(
                    member.place,
                    format!(
                        "backends {} and {} of frontend {} have the same address, {address}",
                        show(&holder.value),
                        show(&member.value),
                        show(&frontend.name.value)
                    ),
                    "VPP tells a VIP's servers apart by their addresses: keep one of the two",
                );
            }
        }
        families.of_frontend.push(first.map(|(family, _)| family));
    }
    families
}

/// Families of backends.
#[derive(Default)]
pub(super) struct Families {
    /// One for each frontend, in order; `None` if none of its backends is known.
    of_frontend: Vec<Option<Family>>,
    /// A backend of each family in use.
    examples: BTreeMap<Family, String>,
}

/// Checks that frontends on one address neither collide nor use tunnels of different families.
pub(super) fn vips(frontends: &[FrontendDraft], families: &Families, report: &mut Report<'_>) {
    let mut by_address: BTreeMap<IpAddr, Vec<(&FrontendDraft, Option<Family>)>> = BTreeMap::new();
    for (frontend, family) in frontends.iter().zip(&families.of_frontend) {
        if let Some(address) = &frontend.address {
            by_address.entry(address.value).or_default().push((frontend, *family));
        }
    }
    for (address, sharers) in by_address {
        let mut services: HashMap<Service, &FrontendDraft> = HashMap::new();
        let mut first_with_family: Option<(Family, &FrontendDraft)> = None;
        for (frontend, family) in sharers {
            collision(address, frontend, &services, report);
            if let Some(service) = &frontend.service {
                services.entry(service.value).or_insert(frontend);
            }
            match (first_with_family, family) {
                (None, Some(family)) => first_with_family = Some((family, frontend)),
                (Some((expected, first)), Some(family)) if expected != family => report.invalid(
                    frontend.vip_place(),
                    format!(
                        "frontends {} and {} share the address {address}, but have {expected} and {family} backends",
                        show(&first.name.value),
                        show(&frontend.name.value)
                    ),
                    "all VIPs of one address have one kind of tunnel: use backends of one family, or another address",
                ),
                _ => {}
            }
        }
    }
}

/// Compares a frontend with the earlier ones on its address.
fn collision(
    address: IpAddr,
    frontend: &FrontendDraft,
    services: &HashMap<Service, &FrontendDraft>,
    report: &mut Report<'_>,
) {
    let Some(service) = &frontend.service else { return };
    let place: Place = if service.value == Service::AllPorts { frontend.vip_place() } else { service.place };
    let name = show(&frontend.name.value);
    if let Some(other) = services.get(&service.value) {
        report.invalid(
            place,
            format!(
                "frontends {} and {name} are the same VIP: {}",
                show(&other.name.value),
                vip_in_words(address, service.value)
            ),
            format!(
                "the first one is on line {}: give them different ports, or remove one",
                other.name.place.line
            ),
        );
        return;
    }
    let neighbour = if service.value == Service::AllPorts {
        // The first one in the file, so that the message does not depend on the map's order.
        services.values().min_by_key(|other| other.name.place)
    } else {
        services.get(&Service::AllPorts)
    };
    if let Some(other) = neighbour {
        report.invalid(
            place,
            format!(
                "frontend {name} is {}, beside frontend {} on line {}",
                vip_in_words(address, service.value),
                show(&other.name.value),
                other.name.place.line
            ),
            "an address has either one VIP for everything, or VIPs for single ports",
        );
    }
}

fn vip_in_words(address: IpAddr, service: Service) -> String {
    match service {
        Service::AllPorts => format!("everything to {address}"),
        Service::Tcp(port) => format!("TCP port {port} of {address}"),
        Service::Udp(port) => format!("UDP port {port} of {address}"),
    }
}

/// Checks that tunnels have a source address of their family.
pub(super) fn sources(lb: &LbDraft, families: &Families, report: &mut Report<'_>) {
    for (family, example) in &families.examples {
        let (given, key) = match family {
            Family::V4 => (lb.ipv4_given, "ipv4-src-address"),
            Family::V6 => (lb.ipv6_given, "ipv6-src-address"),
        };
        if !given {
            report.invalid(
                lb.place,
                format!("no source address for the tunnels to {family} backends, like {}", show(example)),
                format!("set `{key}` under `maglev: vpp: lb:`"),
            );
        }
    }
}

/// Checks that a configuration for a VPP without weights has no slow start.
pub(super) fn without_weights(lb: &LbDraft, frontends: &[FrontendDraft], report: &mut Report<'_>) {
    if lb.settings.vpp_lb_api.has_weights() {
        return;
    }
    for frontend in frontends {
        let Some(slow_start) = &frontend.slow_start else { continue };
        report.invalid(
            slow_start.place,
            format!(
                "`slow-start` of frontend {} needs weights, and `vpp-lb-api: {}` has none",
                show(&frontend.name.value),
                lb.settings.vpp_lb_api.lb_api().trim_end_matches(".0")
            ),
            "leave it out, or use VPP 26.10 or newer and `vpp-lb-api: 1.2`",
        );
    }
}

/// Checks that no frontend needs more backends than it has, and that frontends of one address agree on what is about the
/// address.
pub(super) fn announcements(frontends: &[FrontendDraft], report: &mut Report<'_>) {
    let mut first: BTreeMap<IpAddr, (&Located<String>, &Announce)> = BTreeMap::new();
    for frontend in frontends {
        let (Some(announce), Some(address)) = (&frontend.announce, &frontend.address) else { continue };
        let place = frontend.announce_place();
        let name = &frontend.name;
        let most = frontend.pools.iter().map(|pool| pool.members.len()).max().unwrap_or(0);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        if most > 0 && announce.min_up.needed(most) > most {
            report.invalid(
                place,
                format!(
                    "frontend {} would never be announced: `min-up` is {}, and its largest pool has {most} backends",
                    show(&name.value),
                    announce.min_up
                ),
                format!("set `min-up` to at most {most}, or to a percentage"),
            );
        }
        let (other, before) = *first.entry(address.value).or_insert((name, announce));
        let of_address =
            |announce: &Announce| (announce.hold_down, announce.ports, announce.last, announce.when_vpp_away);
        if of_address(before) != of_address(announce) {
            report.invalid(
                place,
                format!(
                    "frontends {} and {} have one address, but differ in `hold-down`, `ports`, `last` or `when-vpp-away` of `announce`",
                    show(&other.value),
                    show(&name.value)
                ),
                "an address has one route: set these keys to the same values",
            );
        }
    }
}
