//! Overrides that end by themselves: a warning before, and at their time the same change as by a command.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{BackendWish, Command, Core, Effects, Event, Now};
use crate::overrides::{Override, Remark};

/// How long before its end an override is announced to end.
const ANNOUNCED: Duration = Duration::from_secs(5 * 60);

/// Longest time until the clock is looked at again. Ends are times of day, and somebody may set the clock.
const LOOK: Duration = Duration::from_secs(60);

/// When the next override ends, or is announced to.
#[derive(Debug, Clone, Default)]
pub(super) struct Expiry {
    next: Option<Instant>,
    announced: Vec<Override>,
}

impl Expiry {
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }
}

impl Core {
    /// Plans the next look, after overrides have changed or time has passed.
    pub(super) fn plan_expiry(&mut self, now: Now) {
        let Self { overrides, expiry, .. } = self;
        let timed = |entry: &Override| Some((entry.stamp().remark.until?, entry.clone()));
        let timed: Vec<_> = overrides.iter().filter_map(|entry| timed(&entry)).collect();
        expiry.announced.retain(|known| timed.iter().any(|(_, entry)| entry == known));
        let due = timed.iter().map(|(until, entry)| match expiry.announced.contains(entry) {
            true => *until,
            false => until.checked_sub(ANNOUNCED).unwrap_or(SystemTime::UNIX_EPOCH),
        });
        let wait = due.min().map(|at| at.duration_since(now.wall).unwrap_or_default().min(LOOK));
        expiry.next = wait.map(|wait| now.mono + wait);
    }

    /// Announces and clears what is due.
    pub(super) fn expire(&mut self, now: Now, effects: &mut Effects) {
        if self.expiry.next.is_none_or(|next| next > now.mono) {
            return;
        }
        for entry in Arc::clone(&self.overrides).iter() {
            let Some(until) = entry.stamp().remark.until else { continue };
            let left = until.duration_since(now.wall).unwrap_or_default();
            if left.is_zero() {
                let command = match &entry {
                    Override::Backend { name, .. } => {
                        Command::Backend { backend: name.clone(), wish: BackendWish::Clear }
                    }
                    Override::Weight { member, .. } => Command::ClearWeight { member: member.clone() },
                    Override::Lb { .. } => Command::DrainLb(None),
                };
                // Clears what is there: none of the errors of a command applies.
                if let Ok((more, _)) = self.carry_out(command, Remark::default(), now) {
                    effects.tell(Event::Expired { entry });
                    effects.merge(more);
                }
            } else if left <= ANNOUNCED && !self.expiry.announced.contains(&entry) {
                effects.tell(Event::Expires { entry: entry.clone(), left });
                self.expiry.announced.push(entry);
            }
        }
        self.plan_expiry(now);
    }
}
