//! A VPP that hangs for a while, and the agent's reports about it.

use std::time::Duration;

use crate::vpp::Life;
use crate::world::{Event, World};

/// Silence after which the agent reports it.
const TOLD: Duration = Duration::from_millis(200);

impl World {
    /// VPP stops answering.
    pub(crate) fn vpp_hangs(&mut self) {
        self.vpp.life = Life::Hung;
        self.vpp.hung_at = self.now;
        let Some(session) = &mut self.agent.session else { return };
        // It is pinged ten times a second, whatever else is under way.
        let asked = self.now.saturating_sub(Duration::from_millis(self.rng.u64(..100)));
        session.heard = session.heard.max(asked);
        self.silence_begins();
    }

    /// Nothing more will come of a VPP that hangs, which the agent notices in time.
    pub(crate) fn silence_begins(&mut self) {
        let Some(session) = &self.agent.session else { return };
        let (link, heard) = (session.link, session.heard);
        let silent = TOLD + Duration::from_millis(self.rng.u64(..100));
        self.at(self.now.max(heard + silent), Event::SilenceShows { link, heard });
        let patience = Duration::from_millis(self.rng.u64(2000..2500));
        self.at(self.now.max(heard + patience), Event::LinkGivenUp { link, heard });
    }

    /// The agent has pinged a VPP that hangs.
    pub(crate) fn silence_shows(&mut self, link: u64, heard: Duration) {
        let stale =
            self.agent.session.as_ref().is_some_and(|session| session.link == link && session.heard == heard);
        if stale && self.vpp.life == Life::Hung {
            self.silence_changes(Some(heard));
        }
    }

    pub(crate) fn silence_changes(&mut self, since: Option<Duration>) {
        if self.agent.silent_since.is_some() == since.is_some() {
            return;
        }
        self.agent.silent_since = since;
        self.agent.silences += 1;
        self.note(|_| format!("VPP is silent since {since:?}"));
        for conn in self.open_conns.clone() {
            let at = self.now + self.latency();
            self.at(at, Event::LivenessTold { conn });
        }
    }

    /// The agent has waited long enough for a VPP that hangs.
    pub(crate) fn link_given_up(&mut self, link: u64, heard: Duration) {
        let stale =
            self.agent.session.as_ref().is_some_and(|session| session.link == link && session.heard == heard);
        if stale && self.vpp.life == Life::Hung {
            self.link_breaks(link, "VPP did not answer");
        }
    }

    pub(crate) fn vpp_resumes(&mut self) {
        if self.vpp.life != Life::Hung {
            return;
        }
        self.vpp.life = Life::Running;
        // What comes in a shorter one waits in the rings of its interfaces.
        if self.now >= self.vpp.hung_at + TOLD {
            self.vpp.running_since = self.now;
        }
        self.vpp.work_off(self.now);
        self.agent_progress();
        if self.agent.session.is_some() {
            self.silence_changes(None);
        }
    }
}
