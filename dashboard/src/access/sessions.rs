//! Sessions, in memory: a restart of the dashboard ends them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Longest time without a request.
const IDLE: Duration = Duration::from_secs(3600);
/// Longest time at all, a shift.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one person. One more ends the one that was idle longest.
const EACH: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Session>);

#[derive(Debug)]
struct Session {
    name: String,
    given_to: String,
    begun: Instant,
    used: Instant,
}

/// 256 random bits, or nothing if the system has none.
pub(crate) fn token() -> Option<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Sessions {
    /// Whose session this is. One that comes from elsewhere than it was given to was stolen, and ends.
    pub(super) fn find(&mut self, token: &str, from: &str, now: Instant) -> Option<String> {
        let session = self.0.get_mut(token)?;
        let is_over = now.saturating_duration_since(session.used) > IDLE
            || now.saturating_duration_since(session.begun) > LONGEST;
        if is_over || session.given_to != from {
            self.0.remove(token);
            return None;
        }
        session.used = now;
        Some(session.name.clone())
    }

    pub(super) fn begin(&mut self, name: &str, given_to: String, now: Instant) -> Option<String> {
        let mut own: Vec<_> = self
            .0
            .iter()
            .filter(|(_, session)| session.name == name)
            .map(|(token, session)| (session.used, token.clone()))
            .collect();
        own.sort_unstable();
        for (_, oldest) in own.iter().take((own.len() + 1).saturating_sub(EACH)) {
            self.0.remove(oldest);
        }
        let token = token()?;
        self.0.insert(token.clone(), Session { name: name.to_owned(), given_to, begun: now, used: now });
        Some(token)
    }

    pub(super) fn end(&mut self, token: &str) {
        self.0.remove(token);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|_, session| keep(&session.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_when_old_and_when_it_is_used_elsewhere() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let token = sessions.begin("alice", "here".into(), start).unwrap();
        assert_eq!(token.len(), 64);
        let mut now = start;
        while now + IDLE <= start + LONGEST {
            now += IDLE;
            assert_eq!(sessions.find(&token, "here", now).as_deref(), Some("alice"));
        }
        assert_eq!(sessions.find(&token, "here", start + LONGEST + Duration::from_secs(1)), None, "too old");
        let token = sessions.begin("alice", "here".into(), start).unwrap();
        assert_eq!(
            sessions.find(&token, "here", start + IDLE + Duration::from_secs(1)),
            None,
            "too long idle"
        );
        let token = sessions.begin("alice", "here".into(), start).unwrap();
        assert_eq!(sessions.find(&token, "elsewhere", start), None);
        assert_eq!(sessions.find(&token, "here", start), None, "a stolen session ends for everybody");
    }

    #[test]
    fn a_persons_sessions_are_bounded_and_the_oldest_goes() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let tokens: Vec<_> = (0..=EACH as u64)
            .map(|second| {
                sessions.begin("alice", String::new(), start + Duration::from_secs(second)).unwrap()
            })
            .collect();
        assert_eq!(sessions.0.len(), EACH);
        assert_eq!(sessions.find(&tokens[0], "", start), None);
        assert!(sessions.find(&tokens[1], "", start + Duration::from_secs(20)).is_some());
        sessions.retain(|name| name != "alice");
        assert!(sessions.0.is_empty());
    }
}
