//! The health checks of one backend, and what they mean for it beside its state.

use std::time::{Duration, Instant, SystemTime};

use maglev_engine::health::{Counter, Health, State};
use maglev_engine::outcome::{LastProbe, ProbeOutcome, Share};
use maglev_engine::snapshot::BackendView;
use maglev_engine::votes::Overruled;
use maglev_proto::{BackendCheck, HealthCounter, ProbeResult};

use super::{proto_state, unix_ms};

/// The counter of the check that is worst off.
pub(super) fn worst_counter(health: &Health) -> HealthCounter {
    health.counter().map_or(HealthCounter { value: health.level(), rise: 1, fall: 1 }, counter)
}

fn counter(counter: &Counter) -> HealthCounter {
    HealthCounter { value: counter.value(), rise: counter.rise(), fall: counter.fall() }
}

pub(super) fn probe_result(last: LastProbe) -> ProbeResult {
    of_outcome(last.outcome, last.at)
}

/// A probe that ended at this time.
pub(in crate::grpc) fn of_outcome(outcome: ProbeOutcome, at: SystemTime) -> ProbeResult {
    ProbeResult {
        passed: outcome.passed(),
        code: outcome.code.to_string(),
        detail: outcome.detail.into(),
        at_unix_ms: unix_ms(at),
        duration_ms: outcome.duration.as_secs_f64() * 1e3,
    }
}

/// Each check, in the order of the configuration.
pub(super) fn checks(view: &BackendView) -> Vec<BackendCheck> {
    let checks = view.checks.iter().zip(view.health.checks().counters());
    let checks = checks.map(|(check, found)| BackendCheck {
        healthcheck: check.name.as_deref().unwrap_or_default().to_owned(),
        state: proto_state(found.state()).into(),
        counter: Some(counter(found)),
        last_probe: check.tally.last_probe().map(probe_result),
    });
    checks.collect()
}

/// For how long flap damping holds it down.
pub(super) fn damped(view: &BackendView, now: Instant) -> Option<Duration> {
    let until = view.damper.held_until(now).filter(|_| view.health.state() == State::Down)?;
    Some(until.saturating_duration_since(now))
}

/// The share in force of a backend that is up, unless it is the whole.
pub(super) fn share(view: &BackendView) -> Option<Share> {
    Some(view.asked.share()).filter(|share| *share != Share::WHOLE && view.health.state() == State::Up)
}

/// The fleet's verdict, if its weights follow another state than its own.
pub(super) fn overruled(view: &BackendView) -> Option<&Overruled> {
    view.overruled.as_ref().filter(|_| view.state() != view.health.state())
}

/// What the state does not say.
pub(super) fn state_detail(view: &BackendView, now: Instant) -> String {
    if let Some(overruled) = overruled(view) {
        return overruled.to_string();
    }
    if let Some(left) = damped(view, now) {
        let left = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
        return format!("damped, {} left", humantime::format_duration(left));
    }
    if view.health.held_back() == Some(State::Down) {
        return "failed, and waits for its turn to go down (guard)".to_owned();
    }
    let asked = view.asked.asked();
    let word = match share(view) {
        Some(Share::DRAIN) => "drained by its server".to_owned(),
        Some(share) => format!("{share} of its weight, by its server's own word"),
        None => String::new(),
    };
    match (view.health.state() == State::Up && asked != view.asked.share(), word.is_empty()) {
        (false, _) => word,
        (true, true) => format!("its server asks for {asked}, which takes effect soon"),
        (true, false) => format!("{word}; it asks for {asked} now, which takes effect soon"),
    }
}
