//! Errors for operators: status code, reason and remedy.

use maglev_engine::agent::CallError;
use maglev_engine::config::{Errors, LONGEST_NAME, LoadError, Pool, Severity};
use maglev_engine::core::{CommandError, InVpp};
use maglev_engine::overrides::PoolMember;
use maglev_engine::revisions::NoRevision;
use maglev_engine::snapshot::Snapshot;
use tonic::Status;

use crate::fleet::FleetError;
use crate::reload::ReloadError;

/// Minimum similarity of a suggested name, from 0 to 1.
const NEAR: f64 = 0.7;
/// Maximum number of suggested names.
const OFFERS: usize = 3;
/// Maximum length of a status, in bytes. It is sent in a header, and stock clients accept 8 KiB of headers.
const LONGEST_HEADER: usize = 7 << 10;

/// An operator's change of the fleet that was not made.
pub(super) fn of_fleet(error: FleetError) -> Status {
    let words = error.to_string();
    match error {
        FleetError::NoRevision { .. } | FleetError::NoEarlier | FleetError::NoMember(_) => {
            Status::not_found(words)
        }
        FleetError::Conflict | FleetError::Proposed => Status::aborted(words),
        // Whether it was written may not be known.
        FleetError::Store(_) => Status::unknown(words),
        FleetError::Damaged(..) => Status::data_loss(words),
        FleetError::Unpackable(_) | FleetError::Unwritable(_) => Status::invalid_argument(words),
        FleetError::Away(_) | FleetError::NotNow(_) | FleetError::NoRollout | FleetError::Present(_) => {
            Status::failed_precondition(words)
        }
    }
}

/// A name from a request, if it is valid.
pub(super) fn name(kind: &str, given: String) -> Result<String, Status> {
    if given.is_empty() {
        return Err(Status::invalid_argument(format!("the name of the {kind} is missing")));
    }
    if given.len() > LONGEST_NAME {
        let length = given.len();
        let words = format!("the name of the {kind} has {length} bytes: names have {LONGEST_NAME} at most");
        return Err(Status::invalid_argument(words));
    }
    Ok(given)
}

/// The error for an unknown frontend or backend.
pub(super) fn unknown<N: AsRef<str>>(kind: &str, name: &str, known: impl Iterator<Item = N>) -> Status {
    no_such(&format!("there is no {kind} {name:?}"), name, known, &format!("`show {kind}s` lists them"))
}

/// Rejects an unknown name to watch, which would otherwise be waited for in vain.
pub(super) fn watchable<N: AsRef<str>>(
    kind: &str,
    name: &str,
    is_known: bool,
    known: impl Iterator<Item = N>,
) -> Result<(), Status> {
    if is_known {
        return Ok(());
    }
    Err(Status::invalid_argument(unknown(kind, name, known).message()))
}

/// Suggests similar names; if there are none, `otherwise` says where to look.
fn no_such<N: AsRef<str>>(what: &str, name: &str, known: impl Iterator<Item = N>, otherwise: &str) -> Status {
    let mut near: Vec<_> = known
        .map(|known| (strsim::jaro_winkler(known.as_ref(), name), known))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let offers: Vec<_> = near.iter().take(OFFERS).map(|(_, known)| format!("{:?}", known.as_ref())).collect();
    if offers.is_empty() {
        Status::not_found(format!("{what}; {otherwise}"))
    } else {
        Status::not_found(format!("{what}; did you mean {}?", offers.join(" or ")))
    }
}

/// The status for a command that was not executed.
pub(super) fn command(snapshot: &Snapshot, error: &CommandError) -> Status {
    let words = || error.to_string();
    match error {
        CommandError::NoSuchBackend(name) => unknown("backend", name, snapshot.backends.keys()),
        CommandError::NoSuchFrontend(name) => unknown("frontend", name, snapshot.frontends.keys()),
        CommandError::NoSuchPool { frontend, pool, .. } => {
            let names = pools(snapshot, frontend).iter().map(|pool| &pool.name);
            let what = format!("frontend {frontend:?} has no pool {pool:?}");
            no_such(&what, pool, names, &format!("`show frontends {frontend}` shows its pools"))
        }
        CommandError::NoSuchMember { member: PoolMember { frontend, pool, backend }, .. } => {
            let pools = pools(snapshot, frontend).iter();
            let names = pools.filter(|other| other.name == *pool).flat_map(|pool| pool.backends.keys());
            let what = format!("pool {pool:?} of frontend {frontend:?} has no backend {backend:?}");
            no_such(&what, backend, names, &format!("`show frontends {frontend}` shows its pools"))
        }
        CommandError::Weight(_)
        | CommandError::Over
        | CommandError::NothingEnds
        | CommandError::ReasonTooLong { .. } => Status::invalid_argument(words()),
        CommandError::NoneSelected(_) => Status::not_found(format!("{error}; `show backends` lists them")),
        CommandError::NothingSet(_) => {
            Status::not_found(format!("{error}; `show overrides` lists what they have set"))
        }
        CommandError::Refused { .. }
        | CommandError::NoRoutes
        | CommandError::NoWeights { .. }
        | CommandError::NoFlush
        | CommandError::HeldBack(_)
        | CommandError::WarmingUp(_) => Status::failed_precondition(words()),
        CommandError::Moved => Status::aborted(words()),
        CommandError::NoVpp(_) | CommandError::Ending => Status::unavailable(words()),
    }
}

/// The status for a full sync that did not complete in time.
pub(super) fn sync(in_vpp: &InVpp) -> Status {
    match in_vpp {
        InVpp::Away(reason) => {
            Status::unavailable(format!("{reason}; everything is compared once VPP can be programmed"))
        }
        InVpp::Refused(reason) => Status::unavailable(format!("refused: {reason}")),
        _ => Status::deadline_exceeded("VPP has not answered yet; retrying"),
    }
}

fn pools<'a>(snapshot: &'a Snapshot, frontend: &str) -> &'a [Pool] {
    snapshot.config.frontends.get(frontend).map_or(&[], |frontend| &frontend.pools)
}

/// The status for a refused configuration.
pub(super) fn reload(error: &ReloadError) -> Status {
    match error {
        ReloadError::Load(LoadError::Refused(errors)) => Status::failed_precondition(findings(errors)),
        ReloadError::Load(LoadError::Unreadable { .. })
        | ReloadError::Namespace(_)
        | ReloadError::Blocking(_) => Status::failed_precondition(error.to_string()),
        ReloadError::NoRevision(
            NoRevision::NothingPending | NoRevision::InUse(_) | NoRevision::Damaged(_),
        )
        | ReloadError::Lost(_)
        | ReloadError::Fleet(_)
        | ReloadError::NotPersisted(_) => Status::failed_precondition(error.to_string()),
        ReloadError::NoRevision(_) => Status::not_found(error.to_string()),
        ReloadError::Command(CommandError::Moved) => Status::aborted(error.to_string()),
        ReloadError::Command(_) => Status::unavailable(error.to_string()),
    }
}

/// All diagnostics, or as many of the errors as fit into a status.
fn findings(errors: &Errors) -> String {
    let whole = errors.to_string();
    if length_in_header(&whole) <= LONGEST_HEADER {
        return whole;
    }
    let (mut text, mut length, mut shown) = (String::new(), 0, 0);
    for diagnostic in errors.diagnostics.iter().filter(|found| found.severity == Severity::Error) {
        let next = format!("{diagnostic}\n\n");
        length += length_in_header(&next);
        if length > LONGEST_HEADER {
            break;
        }
        text.push_str(&next);
        shown += 1;
    }
    let all = errors.count(Severity::Error);
    format!("{text}these are {shown} of {all} errors; `config check` shows all of them")
}

/// All characters except letters and digits may be escaped as three characters.
fn length_in_header(text: &str) -> usize {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum()
}

/// The status for a failed read of VPP.
pub(super) fn call(error: &CallError) -> Status {
    match error {
        CallError::Busy => Status::resource_exhausted(error.to_string()),
        CallError::Timeout => Status::deadline_exceeded(error.to_string()),
        CallError::Away(_) | CallError::Agent(_) => Status::unavailable(error.to_string()),
    }
}
