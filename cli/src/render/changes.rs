//! Result of a change, on one line.

use maglev_proto::words::{self, Word};
use maglev_proto::{
    Backend, BackendOverride, BackendState, ChangeBackendResponse, ClearOverrideResponse, FleetMemberResult,
    InVpp, Outcome, Override, PreviewChangeResponse, RecreateVipResponse, SelectedBackend,
    SetFrontendPoolBackendWeightResponse,
};

use super::{Toned, counted};
use crate::drain::Drained;
use crate::flow::FlowChoice;
use crate::moment::span;
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Properties};

/// Maximum number of frontends named where VPP lags behind.
const MOST_NAMED: usize = 3;

/// A backend that was paused, resumed, enabled or disabled.
pub(super) fn backend(change: &ChangeBackendResponse, palette: Palette) -> String {
    if !change.backends.is_empty() {
        return several(change, palette);
    }
    let Some(backend) = &change.backend else {
        return "done; meanwhile the backend was removed from the configuration\n".to_owned();
    };
    let outcome = change.outcome.clone().unwrap_or_default();
    let kept = kept(&outcome, backend.operator_state() != BackendOverride::None, palette);
    let vpp = in_vpp(&outcome, palette);
    format!("backend {}: {}; {vpp}; {kept}\n", printable(&backend.name), state(backend, palette))
}

/// Several of them: a line each, and one about VPP and the disk.
fn several(change: &ChangeBackendResponse, palette: Palette) -> String {
    let outcome = change.outcome.clone().unwrap_or_default();
    let mut is_set = false;
    let mut text = String::new();
    for SelectedBackend { backend, refused } in &change.backends {
        let backend = backend.clone().unwrap_or_default();
        let words = if refused.is_empty() {
            is_set |= backend.operator_state() != BackendOverride::None;
            state(&backend, palette)
        } else {
            palette.paint(Tone::Bad, &format!("unchanged: {}", printable(refused))).into_owned()
        };
        text += &format!("backend {}: {words}\n", printable(&backend.name));
    }
    format!("{text}{}; {}\n", in_vpp(&outcome, palette), kept(&outcome, is_set, palette))
}

/// What a change would do.
pub(super) fn previewed(preview: &PreviewChangeResponse) -> String {
    match crate::preview::text(preview) {
        text if text.is_empty() => "no effect on traffic\n".to_owned(),
        text => text,
    }
}

/// Where a new flow goes.
pub(super) fn flow(choice: &FlowChoice, palette: Palette) -> String {
    let FlowChoice { client, vip, protocol, frontend, bucket, table_length, address, backend } = choice;
    let server = match address {
        None => Cell::toned("none: no server takes new flows", Tone::Bad),
        Some(address) if backend.is_empty() => Cell::new(address),
        Some(address) => Cell::new(format!("{backend} ({address})")),
    };
    let mut properties = Properties::default();
    properties
        .put("Flow", Cell::new(format!("{client} to {vip} ({protocol})")))
        .put("Frontend", Cell::or_dash(frontend))
        .put("Bucket", Cell::new(format!("{bucket} of {table_length}")))
        .put("Server", server);
    properties.render(palette)
}

/// A backend that was paused, and waited for.
pub(super) fn drained(drained: &Drained, palette: Palette) -> String {
    format!("{}{}", backend(&drained.change, palette), waited_for(drained, palette))
}

/// Several of them, which have the same change.
pub(super) fn all_drained(all: &[Drained], palette: Palette) -> String {
    let change = all.first().map(|one| backend(&one.change, palette)).unwrap_or_default();
    change + &all.iter().map(|one| waited_for(one, palette)).collect::<String>()
}

fn waited_for(drained: &Drained, palette: Palette) -> String {
    let Drained { backend: name, flows, waited_ms, error, .. } = drained;
    let (waited, left) = (span(*waited_ms), flows.map(|flows| counted(flows, "flow")));
    let (words, tone) = match (error, left) {
        (Some(error), None) => (format!("flows unknown after {waited}: {error}"), Tone::Bad),
        (Some(error), Some(left)) => (format!("{left} left when last known: {error}"), Tone::Bad),
        (None, left) => {
            let (is_done, left) = (drained.is_done(), left.unwrap_or_default());
            match is_done {
                true => (format!("drained after {waited}: {left} left"), Tone::Good),
                false => (format!("not drained: {left} left after {waited}"), Tone::Bad),
            }
        }
    };
    format!("backend {}: {}\n", printable(name), palette.paint(tone, &words))
}

fn state(backend: &Backend, palette: Palette) -> String {
    let word = words::of::<BackendState>(backend.state);
    let word = palette.paint(backend.state().tone(), word);
    match backend.state() {
        BackendState::Unknown => format!("{word} until it is probed"),
        _ => word.into_owned(),
    }
}

/// Whether the override is persisted. `set`: there is one, rather than the configured value.
fn kept(outcome: &Outcome, set: bool, palette: Palette) -> String {
    match (outcome.not_kept.as_str(), set) {
        ("", true) => "persists across restarts".to_owned(),
        ("", false) => "no override".to_owned(),
        (reason, _) => {
            let words = format!("a restart would undo it: {}", printable(reason));
            palette.paint(Tone::Bad, &words).into_owned()
        }
    }
}

/// A weight was overridden.
pub(super) fn weight(change: &SetFrontendPoolBackendWeightResponse, palette: Palette) -> String {
    let Some(row) = &change.backend else {
        return "done; meanwhile the backend was removed from the configuration\n".to_owned();
    };
    let outcome = change.outcome.clone().unwrap_or_default();
    let member = member(&row.backend, &change.pool, &change.frontend);
    let weight = match row.operator_weight {
        Some(weight) => format!("{weight} (configured {})", row.configured_weight),
        None => row.configured_weight.to_string(),
    };
    let (vpp, kept) = (in_vpp(&outcome, palette), kept(&outcome, row.operator_weight.is_some(), palette));
    format!("{member}: {weight}; {vpp}; {kept}\n")
}

fn member(backend: &str, pool: &str, frontend: &str) -> String {
    let [backend, pool, frontend] = [backend, pool, frontend].map(printable);
    format!("weight of {backend} in pool {pool} of {frontend}")
}

/// Progress of a change in VPP; of several frontends, which ones lag behind.
pub(super) fn in_vpp(outcome: &Outcome, palette: Palette) -> String {
    if !outcome.members.is_empty() {
        return on_members(&outcome.members, palette);
    }
    let all = outcome.frontends.len();
    let behind: Vec<_> =
        outcome.frontends.iter().filter(|frontend| frontend.in_vpp() != InVpp::Acknowledged).collect();
    let (words, tone) = match outcome.in_vpp() {
        InVpp::Acknowledged if all > 1 => {
            (format!("programmed in VPP in {all} of {all} frontends"), Tone::Good)
        }
        InVpp::Acknowledged => ("programmed in VPP".to_owned(), Tone::Good),
        InVpp::NotAsked if all == 0 => ("no frontend uses it".to_owned(), Tone::Plain),
        InVpp::NotAsked => ("queued for VPP".to_owned(), Tone::Plain),
        other => {
            let (words, tone) = lag(other);
            let reason = match outcome.vpp_error.as_str() {
                "" => String::new(),
                reason => format!(": {}", printable(reason)),
            };
            let names: Vec<_> =
                behind.iter().take(MOST_NAMED).map(|frontend| printable(&frontend.frontend)).collect();
            let more = match behind.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let of = match all {
                0 | 1 => String::new(),
                _ => {
                    let done = all - behind.len();
                    format!(
                        "programmed in VPP in {done} of {all} frontends, not in {}{more}: ",
                        names.join(", ")
                    )
                }
            };
            (format!("{of}{words}{reason}"), tone)
        }
    };
    palette.paint(tone, &words).into_owned()
}

/// Progress of a change on all members of a fleet.
fn on_members(members: &[FleetMemberResult], palette: Palette) -> String {
    let missing: Vec<_> = members.iter().filter(|member| !member.programmed).collect();
    let (all, done) = (members.len(), members.len() - missing.len());
    let names = missing.iter().take(MOST_NAMED);
    let names: Vec<_> =
        names.map(|member| format!("{} ({})", printable(&member.name), printable(&member.reason))).collect();
    let more = match missing.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (words, tone) = match missing.is_empty() {
        true => (format!("programmed on {done} of {all} members"), Tone::Good),
        false => {
            let not = names.join(", ");
            (format!("programmed on {done} of {all} members, not on {not}{more}"), Tone::Bad)
        }
    };
    palette.paint(tone, &words).into_owned()
}

fn lag(in_vpp: InVpp) -> (&'static str, Tone) {
    match in_vpp {
        InVpp::HeldBack => ("will be programmed when the warm-up releases the frontend", Tone::Warning),
        InVpp::Away => ("VPP cannot be programmed now, will be when it can", Tone::Warning),
        InVpp::Late => ("no answer from VPP yet, retrying", Tone::Warning),
        InVpp::Refused => ("not programmed", Tone::Bad),
        InVpp::Unspecified | InVpp::Acknowledged | InVpp::NotAsked => {
            ("not known whether VPP has it", Tone::Warning)
        }
    }
}

/// An override was removed.
pub(super) fn cleared(change: &ClearOverrideResponse, palette: Palette) -> String {
    let outcome = change.outcome.clone().unwrap_or_default();
    let Some(cleared) = &change.cleared else {
        return format!("cleared; {}\n", kept(&outcome, false, palette));
    };
    if !cleared.configured {
        let kept = match outcome.not_kept.as_str() {
            "" => "the configuration does not have it".to_owned(),
            _ => kept(&outcome, false, palette),
        };
        return format!("{}: override removed; {kept}\n", what(cleared));
    }
    let kept = kept(&outcome, false, palette);
    match (cleared.configured_weight, &change.backend) {
        (Some(weight), _) => {
            let member = member(&cleared.backend, &cleared.pool, &cleared.frontend);
            let was = cleared.operator_weight.unwrap_or_default();
            format!("{member}: {weight} (was {was}); {}; {kept}\n", in_vpp(&outcome, palette))
        }
        (None, Some(backend)) => {
            let was = cleared.operator_state().word();
            let (name, vpp) = (printable(&backend.name), in_vpp(&outcome, palette));
            format!("backend {name}: {} (was {was}); {vpp}; {kept}\n", state(backend, palette))
        }
        (None, None) => format!("{}: override removed; {kept}\n", what(cleared)),
    }
}

/// Describes an override.
pub(super) fn what(set: &Override) -> String {
    match set.operator_weight {
        Some(weight) => format!("{} ({weight})", member(&set.backend, &set.pool, &set.frontend)),
        None => format!("backend {} ({})", printable(&set.backend), set.operator_state().word()),
    }
}

/// A VIP was re-created.
pub(super) fn recreated(change: &RecreateVipResponse, palette: Palette) -> String {
    let outcome = change.outcome.clone().unwrap_or_default();
    let frontend = change.frontend.clone().unwrap_or_default();
    let name = printable(&frontend.name);
    if outcome.in_vpp() == InVpp::Acknowledged {
        let length = frontend.new_flows_table_length;
        if !change.recreated {
            return format!("VIP of {name}: not re-created; it already has {length} buckets\n");
        }
        let done = palette.paint(Tone::Good, "re-created");
        return format!("VIP of {name}: {done} with {length} buckets; VPP has forgotten its pinned flows\n");
    }
    format!("VIP of {name}: {}\n", in_vpp(&outcome, palette))
}

#[cfg(test)]
mod tests;
