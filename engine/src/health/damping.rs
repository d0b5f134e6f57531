//! Flap damping of one backend, as BGP damps routes (RFC 2439). Pure.
//!
//! Each fall adds to a penalty, which decays exponentially. From `suppress` on the backend is held down, whatever its
//! checks find, until the penalty has decayed to `reuse`.

use std::time::{Duration, Instant};

use crate::config::Damping;

/// The penalty of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Damper {
    /// As of the last fall.
    penalty: f64,
    fell: Option<Instant>,
    /// End of being held down.
    until: Option<Instant>,
}

impl Damper {
    /// Until when the backend is held down, if it is.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// The penalty, decayed until now.
    pub fn penalty(&self, rules: &Damping, now: Instant) -> f64 {
        let since = self.fell.map_or(Duration::ZERO, |fell| now.saturating_duration_since(fell));
        self.penalty * (-since.as_secs_f64() / rules.half_life.as_secs_f64()).exp2()
    }

    /// Adds a fall, which may begin or prolong the time of being held down.
    pub fn fall(&mut self, rules: &Damping, now: Instant) {
        let penalty = (self.penalty(rules, now) + f64::from(Damping::FALL)).min(rules.ceiling());
        (self.penalty, self.fell) = (penalty, Some(now));
        if penalty >= f64::from(rules.suppress) || self.held_until(now).is_some() {
            let half_lives = (penalty / f64::from(rules.reuse)).log2().max(0.0);
            let left = rules.half_life.as_secs_f64() * half_lives;
            let left = Duration::try_from_secs_f64(left).unwrap_or(rules.max_suppress);
            self.until = Some(now + left.min(rules.max_suppress));
        }
    }

    /// Takes the latest fall back, which was not the backend's fault.
    pub fn forgive(&mut self, rules: &Damping, now: Instant) {
        self.penalty = (self.penalty(rules, now) - f64::from(Damping::FALL)).max(0.0);
        self.fell = Some(now);
        self.until = None;
    }
}

#[cfg(test)]
mod tests;
