//! Lints: settings that are legal but probably not intended. Only for otherwise valid configurations, where
//! they are not lost among errors.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::backend::BackendDraft;
use super::frontend::{FrontendDraft, PoolDraft};
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::in_words;
use super::yaml::Located;

/// A backend whose failure is noticed later than this is practically unchecked.
const LATE: Duration = Duration::from_secs(600);

/// Timings of one check.
pub(super) struct Times {
    pub(super) interval: Duration,
    pub(super) fast_interval: Duration,
    pub(super) down_interval: Duration,
    pub(super) timeout: Option<Located<Duration>>,
    pub(super) rise: u32,
    pub(super) fall: u32,
}

/// Lints on the timings of one check.
pub(super) fn times(check: &Section<'_>, times: &Times, report: &mut Report<'_>) {
    overtaken(check, times, report);
    late(check, times, report);
}

/// Probes that may take longer than an interval.
fn overtaken(check: &Section<'_>, times: &Times, report: &mut Report<'_>) {
    let Times { interval, fast_interval, down_interval, .. } = *times;
    let timeout = times.timeout.as_ref().map_or(interval, |timeout| timeout.value);
    let intervals =
        [("interval", interval), ("fast-interval", fast_interval), ("down-interval", down_interval)];
    // The other two intervals default to `interval`.
    let own = |key: &str| key == "interval" || check.entry(key).is_some();
    let shorter: Vec<(&str, Duration)> =
        intervals.into_iter().filter(|&(key, length)| own(key) && length < timeout).collect();
    let Some(&(first, shortest)) = shorter.iter().min_by_key(|(_, length)| *length) else {
        return;
    };
    let words: Vec<String> =
        shorter.iter().map(|(key, length)| format!("the `{key}` of {}", in_words(*length))).collect();
    let (place, message) = match &times.timeout {
        Some(given) => (
            given.place,
            format!(
                "{} is {}, longer than {}",
                check.subject("timeout"),
                in_words(timeout),
                words.join(" and ")
            ),
        ),
        None => (
            check.key_place(first).unwrap_or(check.place),
            format!(
                "{} is {}, shorter than the timeout: without `timeout` that is `interval`, {}",
                check.subject(first),
                in_words(shortest),
                in_words(interval)
            ),
        ),
    };
    report.warning(
        place,
        message,
        format!(
            "a probe that takes longer than the interval delays the next one: make `timeout` at most {}",
            in_words(shortest)
        ),
    );
}

/// A backend that changes its state only after minutes.
fn late(check: &Section<'_>, times: &Times, report: &mut Report<'_>) {
    let until_down =
        times.interval.saturating_add(times.fast_interval.saturating_mul(times.fall.saturating_sub(1)));
    let until_up =
        times.down_interval.saturating_add(times.fast_interval.saturating_mul(times.rise.saturating_sub(1)));
    for (key, needed, of) in [
        ("fall", until_down, "a backend that fails stays up"),
        ("rise", until_up, "a backend that recovers stays down"),
    ] {
        if needed > LATE {
            report.warning(
                check.key_place(key).unwrap_or(check.place),
                format!("with the `{key}` and the intervals of {}, {of} for {needed:?}", check.title),
                "shorten the intervals, or ask for fewer answers in a row",
            );
        }
    }
}

/// Lints on the frontends of a valid configuration.
pub(super) fn frontends(
    frontends: &[FrontendDraft],
    backends: &BTreeMap<String, BackendDraft>,
    report: &mut Report<'_>,
) {
    let mut vips: HashMap<IpAddr, &str> = HashMap::new();
    for frontend in frontends {
        if let Some(address) = &frontend.address {
            vips.entry(address.value).or_insert(&frontend.name.value);
        }
    }
    for (name, backend) in backends {
        idle_require(name, backend, report);
        if let Some(address) = &backend.address
            && let Some(vip) = vips.get(&address.value)
        {
            report.warning(
                address.place,
                format!("backend {} has the address of frontend {}", show(name), show(vip)),
                "tunnels to a VIP end in VPP itself: write the address of the server behind it",
            );
        }
    }
    for frontend in frontends {
        weightless_pools(frontend, report);
        needless_pools(frontend, backends, report);
        idle_slow_start(frontend, backends, report);
        eager_panic(frontend, backends, report);
    }
}

/// A number of checks to pass where there is no choice.
fn idle_require(name: &str, backend: &BackendDraft, report: &mut Report<'_>) {
    if let Some(place) = backend.require_place.filter(|_| backend.healthchecks.len() < 2) {
        report.warning(
            place,
            format!("`require` of backend {} has no effect: it has fewer than two health checks", show(name)),
            "leave it out, or list several checks: `healthcheck: [a, b]`",
        );
    }
}

/// Pools that can never serve.
fn weightless_pools(frontend: &FrontendDraft, report: &mut Report<'_>) {
    let weightless = |pool: &&PoolDraft| serving(pool).next().is_none();
    for pool in frontend.pools.iter().filter(weightless) {
        report.warning(
            pool.place,
            format!("{} of frontend {} has only weights of 0", pool.title(), show(&frontend.name.value)),
            "it gets no new flows until an operator sets a weight: give one of its backends a weight above 0",
        );
    }
}

/// Pools after one that is always up.
fn needless_pools(
    frontend: &FrontendDraft,
    backends: &BTreeMap<String, BackendDraft>,
    report: &mut Report<'_>,
) {
    let found =
        frontend.pools.iter().enumerate().find_map(|(at, pool)| Some((at, always_up(pool, backends)?)));
    if let Some((at, static_one)) = found
        && let Some((pool, later)) = frontend.pools.get(at).zip(frontend.pools.get(at + 1))
    {
        report.warning(
            later.place,
            format!(
                "{} of frontend {} waits for {} to fail, where backend {} has no health check",
                later.title(),
                show(&frontend.name.value),
                pool.title(),
                show(static_one)
            ),
            "such a backend is up until an operator takes it out of service: give it a `healthcheck`",
        );
    }
}

fn always_up<'d>(pool: &'d PoolDraft, backends: &BTreeMap<String, BackendDraft>) -> Option<&'d str> {
    let is_static =
        |name: &str| backends.get(name).is_some_and(|of| of.enabled && of.healthchecks.is_empty());
    serving(pool).find(|name| is_static(name))
}

/// Slow start for backends that are never waited for.
fn idle_slow_start(
    frontend: &FrontendDraft,
    backends: &BTreeMap<String, BackendDraft>,
    report: &mut Report<'_>,
) {
    let Some(slow_start) = &frontend.slow_start else {
        return;
    };
    let subject = format!("`slow-start` of frontend {}", show(&frontend.name.value));
    if frontend.pools.iter().all(|pool| serving(pool).nth(1).is_none()) {
        report.warning(
            slow_start.place,
            format!("{subject} has no effect: none of its pools has two backends with a weight above 0"),
            "a backend that is alone takes all new flows, whatever its weight: leave it out",
        );
    } else if frontend.pools.iter().all(|pool| checked(pool, backends) == 0) {
        report.warning(
            slow_start.place,
            format!("{subject} has no effect: none of its backends has a health check"),
            "without one a backend is up from the start: leave it out",
        );
    }
}

/// A panic threshold that a single failed backend reaches.
fn eager_panic(frontend: &FrontendDraft, backends: &BTreeMap<String, BackendDraft>, report: &mut Report<'_>) {
    let Some(threshold) = &frontend.panic_threshold else {
        return;
    };
    let subject = format!("`panic-threshold` of frontend {}", show(&frontend.name.value));
    if frontend.pools.iter().all(|pool| checked(pool, backends) == 0) {
        report.warning(
            threshold.place,
            format!("{subject} has no effect: none of its backends has a health check"),
            "without one no backend is ever down: leave it out",
        );
        return;
    }
    let largest = frontend.pools.iter().map(|pool| serving(pool).count()).max().unwrap_or(0);
    let others_up = largest.saturating_sub(1).saturating_mul(100).checked_div(largest).unwrap_or(0);
    if others_up < usize::from(threshold.value) {
        let pools = match largest {
            1 => "pools of one backend".to_owned(),
            _ => format!("pools of {largest} backends at most"),
        };
        report.warning(
            threshold.place,
            format!("{subject} is {}, and it has {pools}: one that is down is enough", threshold.value),
            if others_up == 0 {
                "no backend is ever taken out of service then: leave it out".to_owned()
            } else {
                format!("no backend is ever taken out of service then: set it to at most {others_up}")
            },
        );
    }
}

/// Backends that get new flows when their pool serves.
fn serving(pool: &PoolDraft) -> impl Iterator<Item = &str> {
    pool.members.iter().filter(|(_, weight)| *weight > 0).map(|(name, _)| name.value.as_str())
}

/// The number of backends that can go down.
fn checked(pool: &PoolDraft, backends: &BTreeMap<String, BackendDraft>) -> usize {
    serving(pool).filter(|name| backends.get(*name).is_some_and(|of| !of.healthchecks.is_empty())).count()
}
