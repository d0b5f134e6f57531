//! Faults on demand: which action hits which requests, and how often.
//!
//! A [`Fault`] is an [`Action`], the requests that it applies to ([`Filter`]), and which of these it hits
//! ([`Window`]). [`FaultSet`] contains the current faults and judges each request; [`grammar`] is their text
//! form for people and tests. No I/O, no clock.

pub mod grammar;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use crate::api::LbApi;
use crate::stats::Damage;

/// Maximum number of faults set at once. A further one is refused, unless it can replace a spent one.
pub const MOST_FAULTS: usize = 256;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Carried out at once, answered later by this time. The client's next requests wait meanwhile.
    Delay(Duration),
    /// Neither carried out nor answered.
    Lose,
    /// Carried out, not answered.
    Mute,
    /// Not carried out, answered with this return value.
    Fail(i32),
    /// Not carried out: the client's connection is closed instead.
    Close,
    /// Carried out, then the client's connection is closed without an answer.
    Cut,
    /// VPP hangs before it is carried out, until resumed.
    Hang,
    /// Not carried out: VPP dies and restarts.
    Restart(Restart),
}

/// Parameters of VPP's restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restart {
    /// How long it is gone.
    pub empty_for: Duration,
    /// The version of the lb plugin's API that it comes back with, if another.
    pub lb_api: Option<LbApi>,
    /// The size of its main heap in bytes, if another.
    pub heap_size: Option<u64>,
    /// Its number of worker threads, if another.
    pub workers: Option<u32>,
}

/// A fault of the stats segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsFault {
    /// A change of it seems to be in progress for ever, or no longer.
    Busy(bool),
    /// Its vectors move and grow with this period, or no longer.
    Churn(Option<Duration>),
    /// Its directory gets so many more entries.
    Grow(usize),
    /// It is damaged, or no longer.
    Break(Option<Damage>),
}

/// The requests that a fault applies to. Absent fields match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The message's name, without the CRC.
    pub message: Option<&'static str>,
    /// The name that the client gave itself.
    pub client: Option<String>,
    /// The address of the VIP in the request.
    pub vip: Option<IpAddr>,
    /// The port of the VIP in the request.
    pub port: Option<u16>,
    /// The application server in the request.
    pub server: Option<IpAddr>,
}

/// Which of the requests that the filter matches, counted from 1 since the fault was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first of them.
    pub first: u64,
    /// The last of them, if there is one.
    pub last: Option<u64>,
}

impl Window {
    /// All of them.
    pub const ALWAYS: Self = Self { first: 1, last: None };

    /// The one with this number.
    pub const fn nth(number: u64) -> Self {
        Self { first: number, last: Some(number) }
    }

    fn contains(self, number: u64) -> bool {
        self.first <= number && self.last.is_none_or(|last| number <= last)
    }
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// To which requests.
    pub filter: Filter,
    /// To which of those.
    pub window: Window,
}

/// What a filter looks at. A request that does not decode, or has no such field, has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The message's name, without the CRC; none for an id that is not in the table.
    pub message: Option<&'static str>,
    /// The name that the client gave itself.
    pub client: &'a str,
    /// The VIP's address.
    pub vip: Option<IpAddr>,
    /// The VIP's port.
    pub port: Option<u16>,
    /// The application server.
    pub server: Option<IpAddr>,
}

/// Whether a message has a return value that an answer could carry.
pub fn can_fail(message: &str) -> bool {
    let without_retval = ["sockclnt_create", "memclnt_keepalive"];
    !message.ends_with("_dump") && !without_retval.contains(&message)
}

impl Fault {
    /// A fault that befalls every request.
    pub fn new(action: Action) -> Self {
        Self { action, filter: Filter::default(), window: Window::ALWAYS }
    }

    fn is_meant_for(&self, subject: &Subject<'_>) -> bool {
        let Filter { message, client, vip, port, server } = &self.filter;
        let fails = matches!(self.action, Action::Fail(_));
        (!fails || subject.message.is_some_and(can_fail))
            && matches(message.as_ref(), subject.message.as_ref())
            && matches(client.as_deref(), Some(subject.client))
            && matches(vip.as_ref(), subject.vip.as_ref())
            && matches(port.as_ref(), subject.port.as_ref())
            && matches(server.as_ref(), subject.server.as_ref())
    }
}

fn matches<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
    wanted.is_none() || wanted == found
}

/// Names a fault that was set; never used again for another.
pub type FaultNumber = u64;

/// A fault as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetFault {
    /// Its number.
    pub number: FaultNumber,
    /// The fault.
    pub fault: Fault,
    /// Requests so far that it was meant for.
    pub seen: u64,
    /// Requests so far that it befell.
    pub hits: u64,
}

impl SetFault {
    /// Whether it will befall no further request.
    pub fn is_spent(&self) -> bool {
        self.fault.window.last.is_some_and(|last| self.seen >= last)
    }
}

/// How to treat a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The answer is delayed by this much: the sum of all delays.
    pub delay: Duration,
    /// What else befalls it. If several faults would, the one that was set first does.
    pub action: Option<Action>,
}

impl Verdict {
    /// Whether nothing befalls the request.
    pub fn is_harmless(&self) -> bool {
        *self == Self::default()
    }
}

/// A fault could not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_FAULTS} faults are set, which is the most; clear some first")]
pub struct TooMany;

/// The faults that are set.
#[derive(Debug, Default)]
pub struct FaultSet {
    faults: Vec<SetFault>,
    last_number: FaultNumber,
}

impl FaultSet {
    /// Sets one more fault. It counts requests from now on.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn add(&mut self, fault: Fault) -> Result<FaultNumber, TooMany> {
        if self.faults.len() >= MOST_FAULTS {
            let spent = self.faults.iter().position(SetFault::is_spent).ok_or(TooMany)?;
            self.faults.remove(spent);
        }
        self.last_number += 1;
        let number = self.last_number;
        self.faults.push(SetFault { number, fault, seen: 0, hits: 0 });
        Ok(number)
    }

    /// Ends one fault. Tells whether it was set.
    pub fn remove(&mut self, number: FaultNumber) -> bool {
        let before = self.faults.len();
        self.faults.retain(|fault| fault.number != number);
        self.faults.len() < before
    }

    /// Ends all of them.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// All of them, spent ones too, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = &SetFault> {
        self.faults.iter()
    }

    /// One of them.
    pub fn get(&self, number: FaultNumber) -> Option<&SetFault> {
        self.faults.iter().find(|fault| fault.number == number)
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Judges a request. Every matching fault counts it, even if another takes precedence.
    pub fn judge(&mut self, subject: &Subject<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for set in &mut self.faults {
            if !set.fault.is_meant_for(subject) {
                continue;
            }
            set.seen += 1;
            if !set.fault.window.contains(set.seen) {
                continue;
            }
            match &set.fault.action {
                Action::Delay(delay) => verdict.delay = verdict.delay.saturating_add(*delay),
                _ if verdict.action.is_some() => continue,
                other => verdict.action = Some(other.clone()),
            }
            set.hits += 1;
        }
        verdict
    }
}
