//! VPP's death and restart without configuration.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::info;

use super::{Host, State};
use crate::faults::Restart;
use crate::lb::Startup;
use crate::stats::memory::Memory;
use crate::stats::{Segment, StatsError};

/// Time limit for the sockets to return.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(5);

/// One run of VPP, from start to death.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life {
    /// How many there were before.
    pub number: u64,
    /// Its process id, as it tells its clients.
    pub pid: u32,
    /// How long VPP was gone before it.
    pub empty_for: Duration,
}

/// What is known of the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Nothing: whoever made them left them in place.
    Unknown,
    /// The sockets of the lives before this number have been removed.
    Gone(u64),
    /// Those of the life with this number are there.
    There(u64),
}

/// VPP could not be restarted, and goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// No memory.
    #[error("cannot make another stats segment: {0}")]
    Memory(#[from] io::Error),
    /// Memory that cannot be used.
    #[error("cannot lay out another stats segment: {0}")]
    Segment(#[from] StatsError),
    /// The sockets were not created again.
    #[error("VPP was restarted, but its sockets are not there after {} seconds", SOCKETS_TIMEOUT.as_secs())]
    NoSockets,
}

impl Host {
    /// Kills VPP and restarts it: without configuration, clients and flows, with another pid, boot time and
    /// stats segment. A hang ends; the faults that are set remain. No client is served during the pause.
    ///
    /// # Errors
    /// When there is no memory for another stats segment.
    pub fn restart(&self, restart: Restart) -> Result<Life, RestartError> {
        self.lock().restart(self, restart)
    }

    /// Restarts, and waits until the old sockets are gone and, unless there is a pause, the new ones exist.
    /// Does not wait for sockets that stay in place.
    ///
    /// # Errors
    /// Like [`Host::restart`], and when the sockets do not return.
    pub async fn restart_fully(&self, restart: Restart) -> Result<Life, RestartError> {
        let life = self.restart(restart)?;
        let settled = |sockets: &Sockets| match sockets {
            Sockets::Unknown => true,
            Sockets::Gone(number) => !restart.empty_for.is_zero() && *number >= life.number,
            Sockets::There(number) => *number >= life.number,
        };
        let mut sockets = self.sockets.subscribe();
        match tokio::time::timeout(SOCKETS_TIMEOUT, sockets.wait_for(settled)).await {
            Ok(_) => Ok(life),
            Err(_) => Err(RestartError::NoSockets),
        }
    }

    /// The life that is lived now.
    pub fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// Waits until a life is over, and tells the next one.
    pub async fn life_after(&self, life: Life) -> Life {
        let mut lives = self.life.subscribe();
        // This host holds the sender, so it cannot be gone.
        lives.wait_for(|next| next.number > life.number).await.ok();
        self.life()
    }

    /// Reports what happened to the sockets; called by whoever creates and removes them.
    pub fn note_sockets(&self, sockets: Sockets) {
        self.sockets.send_replace(sockets);
    }

    /// Whether VPP is gone, in the pause of a restart.
    pub fn is_gone(&self) -> bool {
        let state = self.lock();
        state.started > Instant::now()
    }
}

impl State {
    pub(super) fn restart(&mut self, host: &Host, restart: Restart) -> Result<Life, RestartError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Whole seconds may not distinguish two runs.
        let boot_time = (now + restart.empty_for).as_secs().max(self.boot_time + 1);
        let memory = Memory::new()?;
        let segment = Segment::new(memory.clone(), boot_time)?;
        let ids = restart.lb_api.map(|lb_api| self.simulator.ids().of_lb_api(lb_api));
        self.simulator.restart(ids);
        let lb = self.simulator.lb_mut();
        let Startup { heap_size, workers } = lb.startup();
        lb.set_startup(Startup {
            heap_size: restart.heap_size.unwrap_or(heap_size),
            workers: restart.workers.unwrap_or(workers),
        });
        self.heap = lb.heap();
        host.death.send_replace(None);
        self.datapath.restart();
        self.boot_time = boot_time;
        self.segment = Some(segment);
        (self.heartbeat, self.last_update) = (0, Duration::ZERO);
        self.started = Instant::now() + restart.empty_for;
        self.publish();
        self.memory.replace_by(&memory);
        let pid = self.simulator.identity().pid;
        let life = Life { number: host.life().number + 1, pid, empty_for: restart.empty_for };
        info!(pid, boot_time, pause = ?restart.empty_for, "VPP restarts");
        host.life.send_replace(life);
        host.resume();
        Ok(life)
    }
}
