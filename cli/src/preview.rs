//! Previews of changes: their effect on traffic, computed by maglev-brain and shown before the change is
//! made.

use maglev_proto::preview_change_request::Change;
use maglev_proto::{
    BackendAction, FleetMemberPreview, FrontendPreview, PreviewBackend, PreviewChangeResponse,
    ReloadConfigRequest, RollbackConfigRequest, Severity,
};

use crate::args::{Action, Clear, Command, Config, DrainWhat, Fleet, Set, Undrain, Whatif, WhatifConfig};
use crate::client::Client;
use crate::commands::{Target, clear_request, weight_request};
use crate::error::Error;
use crate::fleet;
use crate::style::printable;

/// Maximum number of frontends shown, most severe first.
const MOST_TOLD: usize = 20;

/// Requests the preview of a command; `None` for one that changes no traffic, and for a `recreate`, whose
/// word `force` is the consent. A command that would be refused reports that itself.
pub(crate) async fn preview(
    command: &Command,
    client: &Client,
) -> Result<Option<PreviewChangeResponse>, Error> {
    let change = match command {
        Command::Set(set) => of_set(set),
        Command::Clear(Clear::Override(what)) => Change::Clear(clear_request(what)),
        Command::Config(Config::Reload { .. }) => Change::Reload(ReloadConfigRequest::default()),
        Command::Config(Config::Rollback { number }) => Change::Rollback(RollbackConfigRequest {
            number: number.unwrap_or_default(),
            ..RollbackConfigRequest::default()
        }),
        Command::Fleet(Fleet::Config(config)) => match fleet::previewed(config)? {
            Some(change) => change,
            None => return Ok(None),
        },
        Command::Drain(DrainWhat::Lb { .. }) | Command::Undrain(Undrain::Lb) => return Ok(None),
        Command::Drain(what) => of_backends(Target::drained(what), Action::Pause),
        Command::Undrain(what) => of_backends(Target::undrained(what), Action::Resume),
        Command::Show(_)
        | Command::Check(_)
        | Command::Config(Config::Check | Config::Diff | Config::Confirm | Config::History)
        | Command::Recreate(_)
        | Command::Fleet(Fleet::Status | Fleet::Members(_) | Fleet::Tables { .. })
        | Command::Generate(_)
        | Command::Sync(_)
        | Command::Whatif(_)
        | Command::Top(_)
        | Command::Watch(_) => return Ok(None),
    };
    match client.preview(change).await {
        Err(Error::Refused { .. }) => Ok(None),
        previewed => previewed.map(Some),
    }
}

/// The change of which a `whatif` asks for the effect.
pub(crate) fn of_whatif(whatif: &Whatif) -> Change {
    match whatif {
        Whatif::Set(set) => of_set(set),
        Whatif::Clear(Clear::Override(what)) => Change::Clear(clear_request(what)),
        Whatif::Config(WhatifConfig::Reload) => Change::Reload(ReloadConfigRequest::default()),
    }
}

fn of_set(set: &Set) -> Change {
    match set {
        Set::Backend { name, action, .. } => of_backends(Target::named(name), *action),
        Set::Backends { which, action, .. } => of_backends(Target::of(which), *action),
        Set::Frontend { member, weight, remark, .. } => {
            Change::Weight(weight_request(member, *weight, remark.flush))
        }
    }
}

fn of_backends(Target { name, label, host }: Target, action: Action) -> Change {
    let action = match action {
        Action::Pause => BackendAction::Pause,
        Action::Resume => BackendAction::Resume,
        Action::Enable => BackendAction::Enable,
        Action::Disable => BackendAction::Disable,
    };
    Change::Backend(PreviewBackend { name, action: action.into(), label, host })
}

/// Whether the change needs consent, by a question or `--yes`.
pub(crate) fn needs_consent(preview: &PreviewChangeResponse) -> bool {
    preview.severity() == Severity::Danger
}

/// One line for VPP as a whole, and one for each frontend.
pub(crate) fn text(preview: &PreviewChangeResponse) -> String {
    let mut text: String =
        preview.sentences.iter().map(|sentence| format!("{}\n", printable(sentence))).collect();
    let mut frontends: Vec<_> =
        preview.frontends.iter().filter(|frontend| !frontend.sentences.is_empty()).collect();
    frontends.sort_by_key(|frontend| std::cmp::Reverse(frontend.severity));
    text.extend(frontends.iter().take(MOST_TOLD).map(|frontend| line(frontend)));
    if let Some(more) = frontends.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        text += &format!("and {more} more frontends\n");
    }
    text + &members(&preview.members)
}

/// On how many members of a fleet the effect is the same, and what it is on the others.
fn members(members: &[FleetMemberPreview]) -> String {
    if members.len() < 2 {
        return String::new();
    }
    let (same, mut others): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.same);
    let mut text = format!("the same on {} of {} members\n", same.len(), members.len());
    others.sort_by_key(|member| std::cmp::Reverse(member.severity));
    text.extend(others.iter().take(MOST_TOLD).map(|member| other(member)));
    if let Some(more) = others.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        text += &format!("and {more} more members\n");
    }
    text
}

/// A member's answer, if it is not that of the one that was asked.
fn other(member: &FleetMemberPreview) -> String {
    let name = printable(&member.name);
    if !member.missing.is_empty() {
        return format!("{name} {}\n", printable(&member.missing));
    }
    if !member.refused.is_empty() {
        return format!("{name} refuses it: {}\n", printable(&member.refused));
    }
    let mut frontends: Vec<_> = member.frontends.iter().collect();
    frontends.sort_by_key(|frontend| std::cmp::Reverse(frontend.severity));
    let sentences = member.sentences.iter().map(|sentence| format!("{name}: {}\n", printable(sentence)));
    let lines = frontends.iter().take(MOST_TOLD).map(|frontend| {
        let sentences: Vec<_> = frontend.sentences.iter().map(|sentence| printable(sentence)).collect();
        format!("{name}: frontend {}: {}\n", printable(&frontend.frontend), sentences.join("; "))
    });
    let mut text: String = sentences.chain(lines).collect();
    let more = frontends.len().saturating_sub(MOST_TOLD) as u64 + member.left_out;
    if more > 0 {
        text += &format!("{name}: and {more} more frontends\n");
    }
    if text.is_empty() { format!("{name}: nothing changes\n") } else { text }
}

fn line(frontend: &FrontendPreview) -> String {
    let sentences: Vec<_> = frontend.sentences.iter().map(|sentence| printable(sentence)).collect();
    format!("frontend {}: {}\n", printable(&frontend.frontend), sentences.join("; "))
}

#[cfg(test)]
mod tests;
