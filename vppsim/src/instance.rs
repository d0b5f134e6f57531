//! A whole VPP in this process: the host with its sockets, which are removed and created again at a restart.
//!
//! One task tends the host, one serves the control socket, one creates and serves the other two sockets for
//! one run of VPP after the other. All end when the instance is dropped, which also removes the sockets.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info};

use crate::api::{Identity, MessageIds, Simulator};
use crate::control;
use crate::datapath::Datapath;
use crate::host::{Host, Life, Sockets};
use crate::lb::Startup;
use crate::run_dir::{RunDir, RunDirError, SocketPaths};
use crate::server::{Server, TraceFile};
use crate::stats::memory::Memory;
use crate::stats::socket::StatsListener;
use crate::stats::{Segment, StatsError};

/// What an instance is made of.
#[derive(Debug)]
pub struct Settings {
    /// Folder for the sockets; made if it is not there.
    pub run_dir: PathBuf,
    /// What it says that it is. The pid grows by one with each restart.
    pub identity: Identity,
    /// Its messages.
    pub message_ids: MessageIds,
    /// Its startup configuration.
    pub startup: Startup,
    /// Where connections are relayed, or not.
    pub datapath: Datapath,
    /// File that every message is appended to.
    pub api_trace: Option<PathBuf>,
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The trace cannot be written.
    #[error("cannot open the API trace {}: {error}", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No memory for the stats segment.
    #[error("cannot make the stats segment: {0}")]
    Memory(#[from] io::Error),
    /// The stats segment cannot be written.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A socket cannot be made.
    #[error("cannot listen at {}: {error}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A running VPP.
#[derive(Debug)]
pub struct Instance {
    // First of all its tasks end, which make sockets.
    _tasks: JoinSet<()>,
    run_dir: RunDir,
    host: Arc<Host>,
    deaths: mpsc::Receiver<String>,
}

/// The sockets of one life, and what they need.
struct Serving {
    host: Arc<Host>,
    paths: SocketPaths,
    memory: Memory,
    trace: Option<TraceFile>,
    deadly: mpsc::Sender<String>,
}

impl Instance {
    /// Starts one. Its sockets are there when this returns. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the folder, the trace or the memory cannot be used.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let run_dir = RunDir::claim(&settings.run_dir)?;
        let open = |path: &PathBuf| {
            TraceFile::open(path).map_err(|error| StartError::Trace { path: path.clone(), error })
        };
        let trace = settings.api_trace.as_ref().map(open).transpose()?;
        let mut simulator = Simulator::new(settings.identity, settings.message_ids);
        simulator.set_tracing(trace.is_some());
        simulator.lb_mut().set_startup(settings.startup);
        let memory = Memory::new()?;
        let boot_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let host = Host::new(simulator, Segment::new(memory.clone(), boot_time)?, settings.datapath);

        let control =
            control::bind(run_dir.control()).map_err(|error| not_listening(run_dir.control(), error))?;
        let sockets = bind(run_dir.paths())?;
        host.note_sockets(Sockets::There(host.life().number));
        // Room for one: only the first reason matters.
        let (deadly, deaths) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&host).tend());
        tasks.spawn(control::serve(Arc::clone(&host), control));
        let life = host.life();
        let serving =
            Serving { host: Arc::clone(&host), paths: run_dir.paths().clone(), memory, trace, deadly };
        tasks.spawn(serving.live(life, sockets));
        Ok(Self { _tasks: tasks, run_dir, host, deaths })
    }

    /// The simulator.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Its sockets.
    pub fn run_dir(&self) -> &RunDir {
        &self.run_dir
    }

    /// Waits until a real VPP would have died, and tells of what. Restarts are not meant.
    pub async fn died(&mut self) -> String {
        tokio::select! {
            of_request = self.deaths.recv() => {
                of_request.unwrap_or_else(|| "its sockets could not be made again".to_owned())
            }
            of_packet = self.host.died() => of_packet,
        }
    }
}

impl Serving {
    /// Serves one life after the other. Ends only if the sockets cannot be made again.
    async fn live(self, mut life: Life, mut sockets: (StatsListener, UnixListener)) {
        loop {
            let (stats, api) = sockets;
            let server = Server {
                host: Arc::clone(&self.host),
                trace: self.trace.clone(),
                deadly: self.deadly.clone(),
            };
            life = tokio::select! {
                biased;
                next = self.host.life_after(life) => next,
                () = server.serve(api) => return,
                () = self.host.while_not_hung(stats.serve(self.memory.clone())) => return,
            };
            self.paths.remove_vpp_sockets();
            self.host.note_sockets(Sockets::Gone(life.number));
            sleep(life.empty_for).await;
            sockets = match bind(&self.paths) {
                Ok(sockets) => sockets,
                Err(error) => return error!(%error, "the sockets cannot be made again"),
            };
            self.host.note_sockets(Sockets::There(life.number));
            info!(pid = life.pid, "sockets made again");
        }
    }
}

fn bind(paths: &SocketPaths) -> Result<(StatsListener, UnixListener), StartError> {
    let stats = StatsListener::bind(&paths.stats).map_err(|error| not_listening(&paths.stats, error))?;
    let api = UnixListener::bind(&paths.api).map_err(|error| not_listening(&paths.api, error))?;
    Ok((stats, api))
}

fn not_listening(path: &Path, error: io::Error) -> StartError {
    StartError::Listen { path: path.to_owned(), error }
}
