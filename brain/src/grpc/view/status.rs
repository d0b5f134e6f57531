//! Status of the brain itself.

use std::path::Path;

use maglev_engine::core::Now;
use maglev_engine::health::State;
use maglev_engine::snapshot::{FrontendView, Snapshot, SyncStatus};
use maglev_engine::warmup::Phase;
use maglev_engine::weights::FrontendState;
use maglev_proto::{BrainStatus, Reload, WarmupPhase};

use super::problems::{self, Beside};
use super::{milliseconds, unix_ms, vpp};

/// Maximum number of problems listed.
const LISTED: usize = 100;

pub(in crate::grpc) fn status(
    snapshot: &Snapshot,
    config_file: &Path,
    beside: &Beside<'_>,
    now: Now,
) -> BrainStatus {
    let mut problems = problems::problems(snapshot, beside, now);
    let problems_left_out = count(problems.iter().skip(LISTED));
    problems.truncate(LISTED);
    let phase = snapshot.warmup_phase();
    let warmup = match phase {
        Phase::Waiting => WarmupPhase::Waiting,
        Phase::Releasing => WarmupPhase::Releasing,
        Phase::Over => WarmupPhase::Over,
    };
    let next_phase = snapshot.warmup.next_phase_at().filter(|_| phase != Phase::Over);
    let next_phase = next_phase.map(|at| at.saturating_duration_since(now.mono));
    let frontends =
        |is: fn(&FrontendView) -> bool| count(snapshot.frontends.values().filter(|view| is(view)));
    let backends_up = snapshot.backends.values().filter(|view| view.health.state() == State::Up);
    let info = vpp::info(snapshot);
    BrainStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_file: config_file.display().to_string(),
        uptime_ms: milliseconds(snapshot.warmup.elapsed(now.mono)),
        warmup: warmup.into(),
        next_phase_in_ms: next_phase.map_or(0, milliseconds),
        frontends: frontends(|_| true),
        frontends_up: frontends(|view| {
            view.weights.state == FrontendState::Up && view.sync == SyncStatus::Synced
        }),
        frontends_held_back: frontends(|view| view.sync == SyncStatus::HeldBack),
        frontends_failed: frontends(|view| matches!(view.sync, SyncStatus::Failed(_))),
        frontends_in_panic: frontends(|view| view.weights.panic.is_some()),
        backends: count(snapshot.backends.values()),
        backends_up: count(backends_up),
        overrides: count(snapshot.overrides.iter()),
        overrides_unmatched: count(snapshot.overrides.unmatched(&snapshot.config).iter()),
        agent: info.agent,
        vpp_state: info.state,
        config: beside.config.current.as_ref().map(|revision| super::revision(revision, true)),
        not_kept: beside.not_kept.clone().unwrap_or_default(),
        problems,
        problems_left_out,
        config_since_unix_ms: milliseconds(snapshot.tally.config().0),
        last_reload: beside.reload.map(|reload| Reload {
            at_unix_ms: unix_ms(reload.at),
            taken: reload.result.is_ok(),
            result: reload.result.clone().unwrap_or_else(|reason| reason),
        }),
    }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
