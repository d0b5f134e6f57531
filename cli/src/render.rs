//! Formats answers as text. Pure: message, time and colours in, text out.

mod agent;
mod backends;
mod changes;
mod checked;
mod configuration;
mod counters;
pub(crate) mod events;
mod fleet;
mod frontends;
mod healthchecks;
mod history;
mod overrides;
mod problems;
mod routes;
pub(crate) mod servers;
mod status;
mod sync;
pub(crate) mod top;
mod version;
mod vpp;

use maglev_proto::words::{self, Word};
use maglev_proto::{Announcement, BackendState, FrontendState, HopState, LogLevel, SyncState};

use crate::answer::Answer;
use crate::moment::Moment;
use crate::style::{Palette, Tone};
use crate::table::Cell;

/// Lines, each ended.
pub(crate) fn text(answer: &Answer, now: Moment, palette: Palette) -> String {
    match answer {
        Answer::Versions(versions) => version::versions(versions, palette),
        Answer::Frontends(list) => frontends::list(list, now, palette),
        Answer::Frontend(frontend) => frontends::one(frontend, palette),
        Answer::Backends(list) => backends::list(&list.backends, now, palette),
        Answer::Backend(backend) => backends::one(backend, now, palette),
        Answer::HealthChecks(list) => healthchecks::list(&list.healthchecks, palette),
        Answer::HealthCheck(check) => healthchecks::one(check, palette),
        Answer::Agent(agent) => agent::info(agent, now, palette),
        Answer::VppInfo(info) => vpp::info(info, now, palette),
        Answer::VppLbState(state) => vpp::lb_state(state, palette),
        Answer::VppLbCounters(counters) => counters::counters(counters, palette),
        Answer::Status(status) => status::status(status, now, palette),
        Answer::Overrides(list) => overrides::list(&list.overrides, now, palette),
        Answer::History(history) => history::list(history, palette),
        Answer::BackendProbed(probed) => checked::backend(probed, palette),
        Answer::BackendChanged(change) => changes::backend(change, palette),
        Answer::WeightSet(change) => changes::weight(change, palette),
        Answer::Cleared(change) => changes::cleared(change, palette),
        Answer::Recreated(change) => changes::recreated(change, palette),
        Answer::Synced(sync) => sync::synced(sync, palette),
        Answer::Checked(check) => configuration::check(check, palette),
        Answer::Compared(check) => configuration::compared(check, palette),
        Answer::Confirmed(confirmed) => configuration::confirmed(confirmed, palette),
        Answer::Configs(list) => configuration::history(&list.configs, now, palette),
        Answer::Reloaded(reload) => configuration::reload(reload, now, palette),
        Answer::Fleet(status) => fleet::status(status, now, palette),
        Answer::FleetMembers(status) => fleet::members(status, now, palette),
        Answer::FleetTables(tables) => fleet::tables(tables, palette),
        Answer::FleetConfigs(list) => fleet::configs(list, now, palette),
        Answer::FleetCompared(config) => fleet::compared(config, palette),
        Answer::Previewed(preview) => changes::previewed(preview),
        Answer::Flow(choice) => changes::flow(choice, palette),
        Answer::Drained(drained) => changes::drained(drained, palette),
        Answer::AllDrained(all) => changes::all_drained(all, palette),
        Answer::Routes(list) => routes::list(list, now, palette),
        Answer::LbDrain(list) => routes::drain(list, now, palette),
        Answer::Bird(list) => routes::bird(list),
        Answer::LbDrainChanged(change) => routes::changed(change, palette),
        Answer::LbDrained(drained) => routes::drained(drained, palette),
    }
}

/// A state's word in its colour.
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
            Self::Failed | Self::Disconnected => Tone::Bad,
            Self::Unspecified | Self::HeldBack | Self::Pending => Tone::Warning,
        }
    }
}

impl Toned for HopState {
    fn tone(&self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Unspecified | Self::Unknown => Tone::Warning,
        }
    }
}

impl Toned for Announcement {
    fn tone(&self) -> Tone {
        match self {
            Self::Announced => Tone::Good,
            Self::Withdrawn => Tone::Bad,
            Self::Deprioritised | Self::Unspecified => Tone::Warning,
        }
    }
}

impl Toned for LogLevel {
    fn tone(&self) -> Tone {
        match self {
            Self::Error => Tone::Bad,
            Self::Warn => Tone::Warning,
            Self::Unspecified | Self::Info => Tone::Plain,
            Self::Debug | Self::Trace => Tone::Faint,
        }
    }
}

/// `tcp/443`, or `any` for an all-port VIP.
fn service(protocol: &str, port: u32) -> String {
    if protocol == "any" { protocol.to_owned() } else { format!("{protocol}/{port}") }
}

/// A number, or a dash if unknown.
fn dash_or(number: Option<impl Into<u64>>) -> Cell {
    number.map_or_else(|| Cell::or_dash(""), Cell::number)
}

/// A prefix; a single address is shown without its length.
pub(crate) fn host(prefix: &str) -> &str {
    let length = if prefix.contains(':') { "/128" } else { "/32" };
    prefix.strip_suffix(length).unwrap_or(prefix)
}

pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn yes_or_no(yes: bool) -> Cell {
    Cell::new(if yes { "yes" } else { "no" })
}

#[cfg(test)]
mod tests;
