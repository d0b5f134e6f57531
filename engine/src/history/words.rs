//! Records of events, in words.

use std::net::IpAddr;
use std::time::SystemTime;

use super::{Kind, Record};
use crate::core::{Command, Done, Event, FrontendChange, FrontendNow, Notice, SyncNote};
use crate::health::{State, Transition};
use crate::overrides::{Override, Remark};
use crate::routes::Announcement;

/// Number of addresses in the record of restored routes.
const MOST_RESTORED: usize = 5;

fn restored(addresses: &[IpAddr]) -> String {
    let shown: Vec<_> = addresses.iter().take(MOST_RESTORED).map(ToString::to_string).collect();
    let more = match addresses.len().saturating_sub(MOST_RESTORED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("routes restored that somebody else had changed: {}{more}", shown.join(", "))
}

impl Record {
    /// The record of an event; `None` for one that changes nothing yet, or that a command's record has.
    pub fn of(at: SystemTime, event: &Event, who: Option<&str>) -> Option<Self> {
        let record = match event {
            Event::Backend { backend, transition } => Self::of_backend(backend, transition),
            Event::Damped { backend, .. }
            | Event::Asked { backend, .. }
            | Event::Overruled { backend, .. } => {
                Self { backend: backend.to_string(), ..Self::new(at, Kind::Backend, event.remark()) }
            }
            Event::Guard { .. } | Event::CutOff { .. } => Self::new(at, Kind::Brain, event.remark()),
            Event::BackendAdded { backend } => Self {
                backend: backend.to_string(),
                from: Some(State::Removed),
                to: Some(State::Unknown),
                ..Self::new(at, Kind::Backend, "added to the configuration")
            },
            Event::Frontend { frontend, change, now } => Self {
                frontend: frontend.to_string(),
                frontend_from: match change {
                    FrontendChange::Added => None,
                    FrontendChange::State(from) => Some(*from),
                    FrontendChange::HeldBack
                    | FrontendChange::ActivePool(_)
                    | FrontendChange::Panic(_)
                    | FrontendChange::MinUp { .. } => Some(now.state),
                },
                frontend_to: Some(now.state),
                ..Self::new(at, Kind::Frontend, frontend_words(change, now)?)
            },
            Event::FrontendRemoved { frontend } => Self {
                frontend: frontend.to_string(),
                ..Self::new(at, Kind::Frontend, "removed from the configuration")
            },
            Event::Agent { status } => match &status.connection {
                Ok(version) => Self::new(at, Kind::Agent, format!("connected, version {version}")),
                Err(reason) => Self::new(at, Kind::Agent, format!("not connected: {reason}")),
            },
            Event::Vpp { status } if status.can_program() => Self::new(at, Kind::Vpp, "connected"),
            Event::Vpp { status } => Self::new(at, Kind::Vpp, status.why_not_programmed()),
            Event::Route { address, from, view } => {
                let [from, to] = [*from, view.route.announcement]
                    .map(|route| route.map_or("left alone", Announcement::word));
                let frontend = match &*view.frontends {
                    [only] => only.to_string(),
                    _ => String::new(),
                };
                let what = format!("{address}: {from} -> {to}: {}", view.route.reason);
                Self { frontend, ..Self::new(at, Kind::Route, what) }
            }
            Event::Router { status } => match &status.connection {
                Err(reason) => {
                    let router = status.router.name();
                    Self::new(at, Kind::Route, format!("{router} cannot be controlled: {reason}"))
                }
                Ok(_) if status.refused.is_some() => {
                    let refused = status.refused.clone().unwrap_or_default();
                    Self { failed: true, ..Self::new(at, Kind::Route, refused) }
                }
                Ok(_) if !status.restored.is_empty() => {
                    let what = restored(&status.restored);
                    Self::new(at, Kind::Route, what)
                }
                Ok(version) if status.missing.is_empty() => {
                    Self::new(at, Kind::Route, format!("connected to {version}"))
                }
                Ok(version) => {
                    let lacks = status.missing.join(", ");
                    Self::new(at, Kind::Route, format!("connected to {version}, which lacks {lacks}"))
                }
            },
            Event::Announced(Notice { kind, what, is_problem }) => {
                Self { failed: *is_problem, ..Self::new(at, *kind, what.as_str()) }
            }
            // Those of commands are of the commands themselves, those of reloads of their results.
            Event::Operator { .. } | Event::Reloaded { .. } => return None,
            Event::Expires { entry, left } => {
                let left = humantime::format_duration(std::time::Duration::from_secs(left.as_secs()));
                Self::of_override(at, entry, format!("ends in {left}: {entry}"))
            }
            Event::Expired { entry } => {
                Self::of_override(at, entry, format!("cleared, its time is over: {entry}"))
            }
        };
        Some(Self { who: who.unwrap_or_default().to_owned(), ..record })
    }

    /// The record of a backend's change of state.
    pub fn of_backend(backend: &str, transition: &Transition) -> Self {
        Self {
            backend: backend.to_owned(),
            from: Some(transition.from),
            to: Some(transition.to),
            ..Self::new(transition.at, Kind::Backend, transition.cause.to_string())
        }
    }

    /// The records of a command that was carried out: one for each backend that it is about. None for a reload and what
    /// became of a configuration, of which the result and the event are recorded.
    pub fn of_command(at: SystemTime, command: &Command, remark: &Remark, done: &Done) -> Vec<Self> {
        let (backend, frontend) = match command {
            Command::Reload(_) | Command::Announce(_) => return Vec::new(),
            Command::Backends { .. } | Command::DrainLb(_) => (String::new(), String::new()),
            Command::Backend { backend, .. } => (backend.clone(), String::new()),
            Command::SetWeight { member, .. } | Command::ClearWeight { member } => {
                (member.backend.clone(), member.frontend.clone())
            }
            Command::Recreate { frontend } => (String::new(), frontend.clone()),
            Command::Sync { frontend } => (String::new(), frontend.clone().unwrap_or_default()),
        };
        let record =
            Self { backend, frontend, ..Self::new(at, Kind::Command, command.to_string()) }.by(remark);
        if done.backends.is_empty() {
            return vec![record];
        }
        let carried_out = done.backends.iter().filter(|(_, result)| result.is_ok());
        carried_out.map(|(name, _)| Self { backend: name.to_string(), ..record.clone() }).collect()
    }

    /// The record of a reload: its changes, or why it was refused.
    pub fn of_reload(at: SystemTime, result: &Result<String, String>, remark: &Remark) -> Self {
        let what = match result {
            Ok(changes) => format!("reloaded: {changes}"),
            Err(reason) => format!("refused: {reason}"),
        };
        Self { failed: result.is_err(), ..Self::new(at, Kind::Reload, what) }.by(remark)
    }

    fn by(self, remark: &Remark) -> Self {
        let who = remark.who.as_deref().unwrap_or_default().to_owned();
        Self { who, reason: remark.reason.clone(), ..self }
    }

    /// The record of a sync's new result.
    pub fn of_sync(at: SystemTime, SyncNote { frontend, error }: &SyncNote) -> Self {
        let what = error.clone().unwrap_or_else(|| "programmed after a failure".to_owned());
        Self { frontend: frontend.to_string(), failed: error.is_some(), ..Self::new(at, Kind::Sync, what) }
    }

    fn of_override(at: SystemTime, entry: &Override, what: String) -> Self {
        let (backend, frontend) = match entry {
            Override::Backend { name, .. } => (name.clone(), String::new()),
            Override::Weight { member, .. } => (member.backend.clone(), member.frontend.clone()),
            Override::Lb { .. } => (String::new(), String::new()),
        };
        Self { backend, frontend, ..Self::new(at, Kind::Override, what) }
    }
}

/// `None` while the warm-up holds it back: VPP serves by what was decided before.
fn frontend_words(change: &FrontendChange, now: &FrontendNow) -> Option<String> {
    let pool = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    Some(match change {
        FrontendChange::Added => "added to the configuration".to_owned(),
        _ if now.held_back => return None,
        FrontendChange::HeldBack => {
            format!("released by the warm-up: {}, active pool {}", now.state.word(), pool(&now.active_pool))
        }
        FrontendChange::ActivePool(from) => {
            format!("active pool {} -> {}", pool(from), pool(&now.active_pool))
        }
        FrontendChange::Panic(from) => format!("panic {} -> {}", pool(from), pool(&now.panic_pool)),
        FrontendChange::State(from) => format!("{} -> {}", from.word(), now.state.word()),
        FrontendChange::MinUp { pool, capacity } if now.below_min_up.contains(pool) => {
            format!("pool {pool} below its min-up: {capacity}")
        }
        FrontendChange::MinUp { pool, capacity } => {
            format!("pool {pool} no longer below its min-up: {capacity}")
        }
    })
}
