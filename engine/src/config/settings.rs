//! `healthchecker:` and `vpp: lb:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use maglev_protocol::{Dialect, MOST_STICKY_BUCKETS};

use super::addresses::{ipv4, ipv6};
use super::complaint::Complaint;
use super::model::{HealthChecker, LbSettings};
use super::report::Report;
use super::section::Section;
use super::show;
use super::stability::{self, AGENT_INTERVAL};
use super::values::{DAY, duration, in_words, integer, netns, power_of_two, scalar};
use super::yaml::{Node, Place};

/// Keys of `healthchecker:`.
pub(super) const HEALTHCHECKER_KEYS: &[&str] =
    &["agent-interval", "damping", "guard", "netns", "transition-history"];
/// Keys of `vpp:`.
pub(super) const VPP_KEYS: &[&str] = &["lb"];
/// Keys of `vpp: lb:`.
pub(super) const LB_KEYS: &[&str] = &[
    "flow-timeout",
    "ipv4-src-address",
    "ipv6-src-address",
    "startup-max-delay",
    "startup-min-delay",
    "sticky-buckets-per-core",
    "sync-interval",
    "vpp-lb-api",
];

/// Values of `vpp-lb-api`.
pub(super) const LB_APIS: [(&str, Dialect); 2] = [("1.1", Dialect::InOut), ("1.2", Dialect::Weighted)];

/// Transitions to remember per backend: enough to explain a failure, few enough for 10,000 backends.
pub(super) const HISTORY: RangeInclusive<u32> = 1..=1000;

/// The range that VPP's lb plugin accepts.
pub(super) const FLOW_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(120);
pub(super) const SYNC_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
pub(super) const STARTUP_DELAY: RangeInclusive<Duration> = Duration::ZERO..=DAY;

/// Defaults of `healthchecker:`.
pub(super) const DEFAULT_HEALTHCHECKER: HealthChecker = HealthChecker {
    transition_history: 5,
    netns: None,
    agent_interval: Duration::from_secs(10),
    damping: None,
    guard: None,
};
/// Defaults of `lb:`.
pub(super) const DEFAULT_LB: LbSettings = LbSettings {
    ipv4_src_address: None,
    ipv6_src_address: None,
    sticky_buckets_per_core: 65536,
    flow_timeout: Duration::from_secs(40),
    sync_interval: Duration::from_secs(30),
    startup_min_delay: Duration::from_secs(5),
    startup_max_delay: Duration::from_secs(30),
    vpp_lb_api: Dialect::Weighted,
};

/// Reads `healthchecker:`.
pub(super) fn healthchecker(maglev: &Section<'_>, report: &mut Report<'_>) -> HealthChecker {
    let defaults = DEFAULT_HEALTHCHECKER;
    let Some(section) = maglev.section("healthchecker", "`healthchecker`", HEALTHCHECKER_KEYS, report) else {
        return defaults;
    };
    let history = section.read("transition-history", integer(HISTORY), report);
    HealthChecker {
        transition_history: history
            .and_then(|history| usize::try_from(history.value).ok())
            .unwrap_or(defaults.transition_history),
        netns: section.read_or("netns", None, netns, report),
        agent_interval: section.read_or(
            "agent-interval",
            defaults.agent_interval,
            duration(AGENT_INTERVAL),
            report,
        ),
        damping: stability::damping(&section, report),
        guard: stability::guard(&section, report),
    }
}

/// The settings of VPP's lb plugin, and the position for reporting a missing one.
pub(super) struct LbDraft {
    pub(super) settings: LbSettings,
    pub(super) place: Place,
    /// Whether a source is given, even an invalid one.
    pub(super) ipv4_given: bool,
    pub(super) ipv6_given: bool,
}

/// Reads `vpp:`.
pub(super) fn lb(maglev: &Section<'_>, report: &mut Report<'_>) -> LbDraft {
    let mut draft =
        LbDraft { settings: DEFAULT_LB, place: maglev.place, ipv4_given: false, ipv6_given: false };
    let Some(vpp) = maglev.section("vpp", "`vpp`", VPP_KEYS, report) else {
        return draft;
    };
    draft.place = vpp.place;
    let Some(lb) = vpp.section("lb", "`lb` of `vpp`", LB_KEYS, report) else {
        return draft;
    };
    draft.place = lb.place;
    draft.ipv4_given = lb.entry("ipv4-src-address").is_some();
    draft.ipv6_given = lb.entry("ipv6-src-address").is_some();

    let settings = &mut draft.settings;
    settings.ipv4_src_address = lb.read("ipv4-src-address", ipv4, report).map(|address| address.value);
    settings.ipv6_src_address = lb.read("ipv6-src-address", ipv6, report).map(|address| address.value);
    settings.sticky_buckets_per_core = lb.read_or(
        "sticky-buckets-per-core",
        settings.sticky_buckets_per_core,
        power_of_two(MOST_STICKY_BUCKETS),
        report,
    );
    let flow_timeout = lb.read("flow-timeout", duration(FLOW_TIMEOUT), report);
    if let Some(timeout) = flow_timeout {
        if timeout.value.subsec_nanos() == 0 {
            settings.flow_timeout = timeout.value;
        } else {
            report.invalid(
                timeout.place,
                format!("{} is {:?}, which is not whole seconds", lb.subject("flow-timeout"), timeout.value),
                "VPP counts it in seconds: write `1s` to `120s`",
            );
        }
    }
    settings.sync_interval = lb.read_or("sync-interval", settings.sync_interval, sync_interval, report);
    startup_delays(&lb, settings, report);
    settings.vpp_lb_api = lb.read_or("vpp-lb-api", settings.vpp_lb_api, lb_api, report);
    draft
}

fn lb_api(node: &Node) -> Result<Dialect, Complaint> {
    let help = "write `1.1` for VPP 23.06 to 26.06, or `1.2` for 26.10 and newer";
    let given = scalar(node, "a version of VPP's lb API", help)?;
    let known = LB_APIS.into_iter().find(|(name, _)| *name == given.text);
    let unknown =
        || Complaint::invalid(format!("is {}, which is not a known version", show(&given.text)), help);
    known.map(|(_, dialect)| dialect).ok_or_else(unknown)
}

/// 0 means the default, as in vpp-maglev's files.
fn sync_interval(node: &Node) -> Result<Duration, Complaint> {
    match duration(Duration::ZERO..=DAY)(node) {
        Ok(Duration::ZERO) => Ok(DEFAULT_LB.sync_interval),
        _ => duration(SYNC_INTERVAL)(node),
    }
}

fn startup_delays(lb: &Section<'_>, settings: &mut LbSettings, report: &mut Report<'_>) {
    let any = || duration(STARTUP_DELAY);
    let least = lb.read("startup-min-delay", any(), report);
    let most = lb.read("startup-max-delay", any(), report);
    // The mistake is in the delay that was given; a rejected one cannot be compared.
    let refused = (lb.entry("startup-min-delay").is_some() && least.is_none())
        || (lb.entry("startup-max-delay").is_some() && most.is_none());
    let place = most.as_ref().or(least.as_ref()).map(|located| located.place).filter(|_| !refused);
    let given = (least.map(|least| least.value), most.map(|most| most.value));
    // A missing delay follows the given one: `startup-max-delay: 0s` alone disables the warm-up.
    (settings.startup_min_delay, settings.startup_max_delay) = match given {
        (Some(least), Some(most)) => (least, most),
        (Some(least), None) => (least, settings.startup_max_delay.max(least)),
        (None, Some(most)) => (settings.startup_min_delay.min(most), most),
        (None, None) => (settings.startup_min_delay, settings.startup_max_delay),
    };
    if let Some(place) = place
        && settings.startup_min_delay > settings.startup_max_delay
    {
        report.invalid(
            place,
            format!(
                "{} is {}, and `startup-max-delay` is {}, which is less",
                lb.subject("startup-min-delay"),
                in_words(settings.startup_min_delay),
                in_words(settings.startup_max_delay)
            ),
            "set `startup-max-delay` to at least `startup-min-delay`; to `0s` for no warm-up",
        );
    }
}
