//! All current problems, most severe first: for `show status`, its `--check`, and dashboards.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use maglev_engine::config;
use maglev_engine::core::Now;
use maglev_engine::fleet::digest::Difference;
use maglev_engine::health::State;
use maglev_engine::overrides::Stamped;
use maglev_engine::routes::{Announcement, Drain, Reason};
use maglev_engine::snapshot::{
    BackendView, FrontendView, GuardTrip, GuardView, RouteView, RouterStatus, Snapshot, SyncStatus,
};
use maglev_engine::vpp_faults;
use maglev_engine::weights::{FrontendState, WITHOUT_WEIGHTS};
use maglev_proto::{Problem, Severity};
use maglev_protocol::VppState;

use super::checks::overruled;
use super::unix_ms;
use crate::fleet;
use crate::fleet::view::Link;
use crate::reload::{LastReload, Standing};
use crate::service::Reasons;
use crate::webhooks::{Failing, Reading};

/// Time after which an unacknowledged decision is a problem.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// Maximum number of backends named per frontend.
const NAMED: usize = 5;

/// What can go wrong beside the controller's state.
#[derive(Debug, Default)]
pub(in crate::grpc) struct Beside<'a> {
    /// The newest reload.
    pub reload: Option<&'a LastReload>,
    /// The configuration in use.
    pub config: Standing,
    /// Why overrides are not persisted.
    pub not_kept: Option<String>,
    /// Reason for the newest records of the history not being on the disk.
    pub unwritten: Option<String>,
    /// Addresses that should be listened on, and are not.
    pub unserved: Reasons,
    /// State of the webhooks.
    pub webhooks: Vec<Reading>,
    /// The fleet, if this brain is a member of one.
    pub fleet: Option<fleet::Status>,
}

pub(super) fn problems(snapshot: &Snapshot, beside: &Beside<'_>, now: Now) -> Vec<Problem> {
    let frontends = snapshot.frontends.iter();
    let frontends = frontends.filter_map(|(name, view)| of_frontend(snapshot, name, view, now));
    let backends = snapshot.backends.iter().filter_map(|(name, view)| of_backend(snapshot, name, view));
    let mut problems: Vec<_> = of_agent(snapshot).into_iter().collect();
    problems.extend(frontends);
    problems.extend(snapshot.frontends.iter().flat_map(|(name, view)| of_pools(snapshot, name, view)));
    problems.extend(of_guard(&snapshot.guard, now));
    problems.extend(snapshot.frontends.iter().filter_map(|(name, view)| of_weights(name, view)));
    problems.extend(of_version(snapshot));
    problems.extend(of_router(snapshot));
    problems.extend(snapshot.routes.iter().filter_map(|(address, view)| of_route(*address, view)));
    problems.extend(snapshot.overrides.lb.as_ref().map(of_drain));
    problems.extend(beside.not_kept.as_deref().map(of_overrides));
    problems.extend(beside.unwritten.as_deref().map(of_history));
    problems.extend(beside.reload.and_then(of_reload));
    problems.extend(of_config(&beside.config, now));
    problems.extend(beside.unserved.iter().map(|(address, reason)| of_listener(address, reason)));
    problems.extend(beside.webhooks.iter().filter_map(of_webhook));
    problems.extend(beside.fleet.iter().flat_map(|status| of_fleet(status, now)));
    problems.extend(of_single(snapshot).filter(|_| beside.fleet.is_none()));
    problems.extend(backends);
    // Stable: keeps the order within a severity.
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    problems
}

fn problem(severity: Severity, kind: &str, what: impl Into<String>) -> Problem {
    Problem { severity: severity.into(), kind: kind.to_owned(), what: what.into(), ..Problem::default() }
}

/// Known faults of the connected VPP.
fn of_version(snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    let connected = snapshot.agent.vpp.as_ref().map(|(vpp, since)| (&vpp.state, *since));
    let connected = connected.into_iter().filter_map(|(state, since)| match state {
        VppState::Connected { version, .. } => Some((version, since)),
        _ => None,
    });
    connected.flat_map(|(version, since)| {
        vpp_faults::of(version, &snapshot.config).map(move |fault| Problem {
            since_unix_ms: unix_ms(since),
            remedy: fault.remedy.to_owned(),
            ..problem(Severity::Notice, "vpp", format!("known fault of {version}: {}", fault.what))
        })
    })
}

/// What VPP cannot express of a frontend.
fn of_weights(name: &str, view: &FrontendView) -> Option<Problem> {
    let what = view.table.inexpressible.as_deref()?;
    let remedy = WITHOUT_WEIGHTS.to_owned();
    Some(Problem { name: name.to_owned(), remedy, ..problem(Severity::Notice, "frontend", what) })
}

/// The first missing party on the path to VPP.
fn of_agent(snapshot: &Snapshot) -> Option<Problem> {
    let agent = &snapshot.agent;
    let (kind, what, remedy, since) = match (&agent.connection, &agent.vpp) {
        (Err(reason), _) => (
            "agent",
            format!("not connected: {reason}; VPP keeps what it has, and no failover reaches it"),
            "see `systemctl status maglev-dpagent` and its log",
            agent.lost,
        ),
        (Ok(_), Some((vpp, since))) => match &vpp.state {
            VppState::Connected { .. } => {
                let reason = agent.settings_refused.as_ref()?;
                let what = format!("keeps lb settings other than the configured ones: {reason}");
                let remedy = "change them in the configuration, or in the agent's policy";
                return Some(Problem { remedy: remedy.to_owned(), ..problem(Severity::Notice, "vpp", what) });
            }
            VppState::Disconnected { reason, .. } => (
                "vpp",
                format!("not connected: {reason}{}", withdrawn_routes(snapshot)),
                "see `systemctl status vpp` and its log",
                Some(*since),
            ),
            VppState::Incompatible { version, missing, needs } => (
                "vpp",
                format!("version {version} cannot be programmed: it lacks {}", missing.join(", ")),
                needs.as_str(),
                Some(*since),
            ),
        },
        (Ok(_), None) => return None,
    };
    let since_unix_ms = since.map_or(0, unix_ms);
    Some(Problem { since_unix_ms, remedy: remedy.to_owned(), ..problem(Severity::Danger, kind, what) })
}

fn of_reload(reload: &LastReload) -> Option<Problem> {
    let reason = reload.result.as_ref().err()?;
    let what = format!("reload refused, the previous configuration stays in use: {reason}");
    let remedy = "correct the file (`config check` shows every mistake), then `config reload`".to_owned();
    let since_unix_ms = unix_ms(reload.at);
    Some(Problem { since_unix_ms, remedy, ..problem(Severity::Notice, "configuration", what) })
}

/// Problems of persistence, and a configuration other than the file's.
fn of_config(standing: &Standing, now: Now) -> impl Iterator<Item = Problem> {
    let current = standing.current.as_ref();
    let missing = current.and_then(|current| Some((current, current.pending?)));
    let missing = missing.map(|(current, pending)| {
        let (number, back_to) = (current.number, pending.back_to);
        let (severity, what) = match &standing.stuck {
            Some(reason) => {
                let what =
                    format!("nobody has confirmed configuration {number}, and it cannot go back: {reason}");
                (Severity::Danger, what)
            }
            None => {
                let left = humantime::format_duration(Duration::from_secs(pending.left(now.wall).as_secs()));
                let what =
                    format!("configuration {number} goes back to {back_to} in {left} unless it is confirmed");
                (Severity::Notice, what)
            }
        };
        let remedy = "`config confirm` keeps it, `config rollback` goes back at once".to_owned();
        Problem { since_unix_ms: current.at_ms, remedy, ..problem(severity, "configuration", what) }
    });
    let other = current.filter(|current| current.is_other_than_file()).map(|current| {
        let what = format!(
            "configuration {} is in use ({}), not the file, which has what was given up",
            current.number, current.origin
        );
        let remedy =
            "correct the file (`config diff` shows the differences), then `config reload`".to_owned();
        Problem { since_unix_ms: current.at_ms, remedy, ..problem(Severity::Notice, "configuration", what) }
    });
    let unsaved = standing.unsaved.as_ref().map(|reason| {
        let what = format!("not persisted, a restart may start with another configuration: {reason}");
        let remedy = "fix the state directory; persisting is retried until it succeeds".to_owned();
        Problem { remedy, ..problem(Severity::Notice, "configuration", what) }
    });
    missing.into_iter().chain(other).chain(unsaved)
}

/// What the fleet lacks, as this member sees it.
fn of_fleet(status: &fleet::Status, now: Now) -> Vec<Problem> {
    let notice = |what: String, remedy: &str| Problem {
        name: status.fleet.to_string(),
        remedy: remedy.to_owned(),
        ..problem(Severity::Notice, "fleet", what)
    };
    let mut problems = Vec::new();
    if let Some(since) = status.cut_off {
        let routes = match status.withdraws {
            true => "its routes are withdrawn, and return by themselves",
            false => "no other member is known to announce routes, so it withdraws none",
        };
        let what = format!("most backends are unreachable only from this load balancer: {routes}");
        let remedy = "repair this machine's way to the backends; `show backends` has what fails".to_owned();
        let (name, since_unix_ms) = (status.fleet.to_string(), unix_ms(since));
        problems.push(Problem { name, since_unix_ms, remedy, ..problem(Severity::Danger, "fleet", what) });
    }
    if let Link::Away { since, reason } = &status.link {
        let what = format!("etcd is not followed, the last copy stays in use: {reason}");
        let found = notice(what, "repair etcd or the way to it; this load balancer goes on meanwhile");
        problems.push(Problem { since_unix_ms: since.map_or(0, unix_ms), ..found });
    } else {
        let away = status.members.iter().filter(|member| member.state.is_none());
        let away: Vec<_> = away.map(|member| member.info.name.as_str()).collect();
        if !away.is_empty() {
            let remedy = "repair it, or `fleet members remove` one that is gone for good";
            problems.push(notice(format!("members are away: {}", away.join(", ")), remedy));
        }
    }
    for member in &status.members {
        let Some(rival) = &member.rival else { continue };
        let name = &member.info.name;
        let (severity, what) = match rival.instance == status.instance {
            true => {
                let what = format!(
                    "another machine is {name}: this one is in the fleet under no name, and publishes nothing"
                );
                (Severity::Danger, what)
            }
            false => (Severity::Notice, format!("another machine calls itself {name}, too")),
        };
        let remedy =
            "give each its own `member` name in the file of --fleet, then restart the one that changed";
        problems.push(Problem {
            severity: severity.into(),
            since_unix_ms: rival.since_ms,
            ..notice(what, remedy)
        });
    }
    if let Some(rollout) = &status.rollout
        && let Some(reason) = rollout.stage.reason()
    {
        let what =
            format!("revision {} was not rolled out ({}): {reason}", rollout.revision, rollout.stage.word());
        problems.push(notice(what, "correct it, then `fleet config put`"));
    }
    if let Some((key, reason)) = status.refused.first() {
        let more = match status.refused.len() {
            1 => String::new(),
            all => format!(", and {} more", all - 1),
        };
        let what = format!("{key} in etcd is refused: {reason}{more}");
        problems
            .push(notice(what, "an earlier value stays in use; write it again, or delete it with etcdctl"));
    }
    if let Some(difference) = status.differences.first() {
        let Difference { vip, member, reason, lasts } = difference;
        let more = match status.differences.len() {
            1 => String::new(),
            all => format!(", and {} more", all - 1),
        };
        let what = format!("the table of {vip} differs from that of {member}: {reason}{more}");
        let found =
            notice(what, "`fleet tables` shows which members differ, and `fleet members` what each lacks");
        let since = now.wall.checked_sub(*lasts);
        problems.push(Problem { since_unix_ms: since.map_or(0, unix_ms), ..found });
    }
    if let Some(reason) = &status.unsaved {
        let what = format!("not persisted, a restart without etcd would use an older copy: {reason}");
        problems.push(notice(what, "fix the state directory; persisting is retried until it succeeds"));
    }
    problems
}

/// Votes that nobody casts.
fn of_single(snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    let what = "`health: fleet` has no effect: this load balancer is not a member of a fleet";
    let remedy = "start maglev-brain with --fleet FILE, or remove it from the configuration".to_owned();
    let is_fleet = snapshot.config.fleet.is_fleet;
    is_fleet.then(|| Problem { remedy, ..problem(Severity::Notice, "fleet", what) }).into_iter()
}

/// Failures of many backends at once, which are told for a minute.
fn of_guard(guard: &GuardView, now: Now) -> Option<Problem> {
    let waiting = match guard.waiting {
        0 => String::new(),
        waiting => format!("; {waiting} wait for their turn to go down"),
    };
    let trip = guard.trip.filter(|trip| now.mono < trip.until);
    let (what, since_unix_ms) = match trip {
        Some(GuardTrip { at, down, backends, .. }) => {
            let what = format!(
                "{down} of {backends} backends went down within one second: the cause is probably here{waiting}"
            );
            (what, unix_ms(at))
        }
        None if guard.waiting > 0 => (format!("many backends fail at once{waiting}"), 0),
        None => return None,
    };
    let remedy =
        "look at this machine's links, VPP and the way to the backends; `show history` has who went down";
    Some(Problem { since_unix_ms, remedy: remedy.to_owned(), ..problem(Severity::Danger, "guard", what) })
}

/// A router that does not do what was decided.
fn of_router(snapshot: &Snapshot) -> Option<Problem> {
    let RouterStatus { router, connection, missing, refused, restored: _, since } = &*snapshot.router;
    if snapshot.routes.is_empty() {
        return None;
    }
    let (severity, what, remedy) = match (connection, refused) {
        (Err(reason), _) => (
            Severity::Danger,
            format!("{} cannot be controlled, and what is announced stays: {reason}", router.name()),
            match router {
                config::Router::Bird(_) => {
                    "see `systemctl status bird`; is the brain's user in the group `bird`?"
                }
                config::Router::Kernel => "see `show vpp` and the agent's log",
            },
        ),
        (Ok(_), Some(refused)) => {
            let remedy = match router {
                config::Router::Bird(_) => "see BIRD's log; retrying",
                config::Router::Kernel => "correct the agent's policy, or remove the other route; retrying",
            };
            (Severity::Danger, refused.clone(), remedy)
        }
        (Ok(_), None) if !missing.is_empty() => {
            let what = format!("BIRD's configuration lacks protocols: {}", listed(missing));
            (Severity::Danger, what, "add what `maglevc generate bird` prints, then `birdc configure`")
        }
        _ => return None,
    };
    Some(Problem {
        since_unix_ms: unix_ms(*since),
        remedy: remedy.to_owned(),
        ..problem(severity, "router", what)
    })
}

/// The routes that are withdrawn because VPP is disconnected, as the end of a sentence.
fn withdrawn_routes(snapshot: &Snapshot) -> String {
    match snapshot.routes.values().filter(|view| view.route.reason == Reason::VppAway).count() {
        0 => String::new(),
        1 => "; 1 route is withdrawn".to_owned(),
        count => format!("; {count} routes are withdrawn"),
    }
}

/// A withdrawn route loses no traffic, as long as another load balancer announces it. Those that VPP's problem
/// counts are left out.
fn of_route(address: IpAddr, view: &RouteView) -> Option<Problem> {
    let route = &view.route;
    match route.announcement {
        Some(Announcement::Withdrawn) if !matches!(route.reason, Reason::Drained(_) | Reason::VppAway) => {}
        _ => return None,
    }
    let (since_unix_ms, name) = (unix_ms(route.since), address.to_string());
    let what = format!("withdrawn: {}", route.reason);
    Some(Problem { name, since_unix_ms, ..problem(Severity::Notice, "route", what) })
}

fn of_drain(set: &Stamped<Drain>) -> Problem {
    let what = format!("this load balancer is drained ({})", set.value.word());
    let since_unix_ms = unix_ms(set.stamp.since);
    let remedy = "`undrain lb` takes it back".to_owned();
    Problem { since_unix_ms, remedy, ..problem(Severity::Notice, "overrides", what) }
}

fn of_listener(address: &str, reason: &str) -> Problem {
    let what = format!("not listening on {address}, retrying: {reason}");
    problem(Severity::Notice, "listener", what)
}

fn of_webhook(webhook: &Reading) -> Option<Problem> {
    let Failing { since, reason } = webhook.failing.as_ref()?;
    let what = format!("not delivering, {} waiting: {reason}", webhook.waiting);
    let remedy = "fix the receiver, or the webhook's settings; `show history` has all events".to_owned();
    let (name, since_unix_ms) = (webhook.name.clone(), unix_ms(*since));
    Some(Problem { name, since_unix_ms, remedy, ..problem(Severity::Notice, "webhook", what) })
}

fn of_overrides(reason: &str) -> Problem {
    let what = format!("not persisted, a restart would forget the newest change: {reason}");
    let remedy = "fix the state directory; persisting is retried until it succeeds".to_owned();
    Problem { remedy, ..problem(Severity::Notice, "overrides", what) }
}

fn of_history(reason: &str) -> Problem {
    let what = format!("not written, its newest records would not survive a restart: {reason}");
    let remedy = "fix the state directory; writing is retried until it succeeds".to_owned();
    Problem { remedy, ..problem(Severity::Notice, "history", what) }
}

fn of_frontend(snapshot: &Snapshot, name: &str, view: &FrontendView, now: Now) -> Option<Problem> {
    let names: Vec<_> = members(view);
    let (severity, what, remedy) = match (view.weights.state, &view.sync) {
        (FrontendState::Down, _) if view.weights.panic.is_none() => {
            let states = names.iter().map(|backend| (*backend, state_of(snapshot, backend)));
            let operated = states.clone().any(|(_, state)| matches!(state, "paused" | "disabled"));
            let remedy = if operated {
                "`set backend NAME resume`, or `enable`, brings a backend back".to_owned()
            } else {
                format!("fix a backend, see `show frontends {name}`")
            };
            let words: Vec<_> = states.map(|(backend, state)| format!("{backend} {state}")).collect();
            (Severity::Danger, format!("down: no backend takes new flows ({})", listed(&words)), remedy)
        }
        (_, SyncStatus::Failed(reason)) => {
            (Severity::Danger, format!("not programmed as desired: {reason}"), String::new())
        }
        _ if view.weights.panic.is_some() => {
            let what = "in panic: too few backends are up, so all backends of the pool take new flows, healthy or not";
            (Severity::Danger, what.to_owned(), format!("fix its backends, see `show frontends {name}`"))
        }
        (_, SyncStatus::HeldBack) => {
            let unknown = names.iter().filter(|backend| state_of(snapshot, backend) == State::Unknown.word());
            let words: Vec<_> = unknown.map(|backend| (*backend).to_owned()).collect();
            let what = match words.is_empty() {
                true => "held back by the warm-up, whose minimum time is not over yet".to_owned(),
                false => {
                    format!("held back by the warm-up until these backends are known: {}", listed(&words))
                }
            };
            (Severity::Notice, what, String::new())
        }
        (_, SyncStatus::Pending) if snapshot.agent.can_program() && is_overdue(view, now) => {
            (Severity::Danger, "VPP has not acknowledged the newest decision".to_owned(), String::new())
        }
        _ => return None,
    };
    let since_unix_ms = match view.weights.state {
        FrontendState::Down => {
            names.iter().filter_map(|name| left_up(snapshot, name)).max().map_or(0, unix_ms)
        }
        _ => view.since.and_then(|since| wall(since, now)).map_or(0, unix_ms),
    };
    Some(Problem { name: name.to_owned(), since_unix_ms, remedy, ..problem(severity, "frontend", what) })
}

/// Pools below their `min-up`, except those of frontends that are down, which is a problem of its own.
fn of_pools<'s>(
    snapshot: &'s Snapshot,
    name: &'s str,
    view: &'s FrontendView,
) -> impl Iterator<Item = Problem> + 's {
    let pools = view.frontend.pools.iter().zip(&view.weights.capacity);
    let below = pools.filter(|(pool, _)| {
        view.weights.state != FrontendState::Down && view.below_min_up.contains(&pool.name)
    });
    below.map(move |(pool, capacity)| {
        let left = pool.backends.keys().filter(|backend| state_of(snapshot, backend) != State::Up.word());
        let since_unix_ms = left.filter_map(|backend| left_up(snapshot, backend)).max().map_or(0, unix_ms);
        let what = format!("pool {} is below its min-up: {capacity}", pool.name);
        let remedy = format!("bring a backend back, see `show frontends {name}`");
        let name = name.to_owned();
        Problem { name, since_unix_ms, remedy, ..problem(Severity::Notice, "frontend", what) }
    })
}

fn is_overdue(view: &FrontendView, now: Now) -> bool {
    view.since.is_some_and(|since| now.mono.saturating_duration_since(since) > ACKNOWLEDGED_WITHIN)
}

/// Converts an instant to the time of day.
fn wall(at: Instant, now: Now) -> Option<SystemTime> {
    now.wall.checked_sub(now.mono.saturating_duration_since(at))
}

/// Distinct backends of all pools.
fn members(view: &FrontendView) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in view.frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn listed(words: &[String]) -> String {
    let more = words.len().saturating_sub(NAMED);
    let named = words.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn state_of(snapshot: &Snapshot, backend: &str) -> &'static str {
    snapshot.backends.get(backend).map_or(State::Removed, |view| view.state()).word()
}

/// When a backend was last up, as far as its history goes back.
fn left_up(snapshot: &Snapshot, backend: &str) -> Option<SystemTime> {
    let history = snapshot.backends.get(backend)?.health.history();
    history.filter(|transition| transition.from == State::Up).map(|transition| transition.at).max()
}

fn of_backend(snapshot: &Snapshot, name: &str, view: &BackendView) -> Option<Problem> {
    let overruled = overruled(view);
    if view.health.state() != State::Down && overruled.is_none() {
        return None;
    }
    let newest = view.health.history().next().filter(|transition| transition.to == State::Down);
    let cause = newest.map(|transition| format!(": {}", transition.cause)).unwrap_or_default();
    let what = overruled.map_or_else(|| "down".to_owned(), ToString::to_string);
    let is_down = |name: &&str| {
        let frontend = snapshot.frontends.get(*name);
        frontend.is_some_and(|view| view.weights.state == FrontendState::Down)
    };
    let frontends: Vec<_> = view.frontends.iter().map(|name| &**name).collect();
    let remedy = match (frontends.len(), frontends.iter().filter(|name| is_down(name)).count()) {
        (0, _) => "no frontend uses it: remove it from the configuration, or fix it".to_owned(),
        (_, 0) => "fix it; its frontends are served by their other backends".to_owned(),
        _ => format!("see `show backends {name}`"),
    };
    let since_unix_ms = view.health.since().map_or(0, unix_ms);
    let name = name.to_owned();
    Some(Problem {
        name,
        since_unix_ms,
        remedy,
        ..problem(Severity::Notice, "backend", format!("{what}{cause}"))
    })
}
