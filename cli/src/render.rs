//! Answers as text. Pure: message, time and colours in, text out.

mod backends;
mod changes;
mod configuration;
mod frontends;
mod overrides;
mod status;
mod vpp;

use maglev_proto::words::{self, Word};
use maglev_proto::{BackendState, FrontendState, SyncState};

use crate::commands::Answer;
use crate::moment::Moment;
use crate::style::{Palette, Tone};
use crate::table::Cell;

/// Lines, the last one ended.
pub(crate) fn text(answer: &Answer, now: Moment, palette: Palette) -> String {
    match answer {
        Answer::Frontends(list) => frontends::list(&list.frontends, palette),
        Answer::Frontend(frontend) => frontends::one(frontend, palette),
        Answer::Backends(list) => backends::list(&list.backends, now, palette),
        Answer::Backend(backend) => backends::one(backend, now, palette),
        Answer::VppInfo(info) => vpp::info(info, now, palette),
        Answer::VppLbState(state) => vpp::lb_state(state, palette),
        Answer::Status(status) => status::status(status, palette),
        Answer::Overrides(list) => overrides::list(&list.overrides, now, palette),
        Answer::BackendChanged(change) => changes::backend(change, palette),
        Answer::WeightSet(change) => changes::weight(change, palette),
        Answer::Cleared(change) => changes::cleared(change, palette),
        Answer::Recreated(change) => changes::recreated(change, palette),
        Answer::Checked(check) => configuration::check(check, palette),
        Answer::Reloaded(reload) => configuration::reload(reload, now, palette),
    }
}

/// A state's word in its tone.
fn state<E: Word + Toned>(value: i32) -> Cell {
    let tone = E::try_from(value).map_or(Tone::Warning, |known| known.tone());
    Cell::toned(words::of::<E>(value), tone)
}

trait Toned {
    fn tone(&self) -> Tone;
}

impl Toned for BackendState {
    fn tone(&self) -> Tone {
        match self {
            Self::Up => Tone::Good,
            Self::Down => Tone::Bad,
            Self::Unspecified | Self::Unknown | Self::Paused => Tone::Warning,
            Self::Disabled | Self::Removed => Tone::Faint,
        }
    }
}

impl Toned for FrontendState {
    fn tone(&self) -> Tone {
        match self {
            Self::Up => Tone::Good,
            Self::Down => Tone::Bad,
            Self::Unspecified | Self::Unknown => Tone::Warning,
        }
    }
}

impl Toned for SyncState {
    fn tone(&self) -> Tone {
        match self {
            Self::Synced => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Unspecified | Self::HeldBack | Self::Pending => Tone::Warning,
        }
    }
}

/// `tcp/443`, or `any` for an all-port VIP.
fn service(protocol: &str, port: u32) -> String {
    if protocol == "any" { protocol.to_owned() } else { format!("{protocol}/{port}") }
}

fn yes_or_no(yes: bool) -> Cell {
    Cell::new(if yes { "yes" } else { "no" })
}

#[cfg(test)]
mod tests;
