//! One connection to VPP, API and stats segment together, from start to end.

use std::time::Duration;

use maglev_protocol::{AgentError, VERSION_LENGTH, VppState, printable};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vppapi::client::{Client, ClientError, ConnectOptions};
use vppapi::messages::ShowVersion;

use super::Options;
use super::calls::{Call, Reply};
use super::link::Link;
use super::reads::Reads;
use super::stats::Stats;
use crate::burst::MOST_UNDER_WAY;
use crate::counters::{CountersError, Counting};
use crate::dialect::{self, NEEDS};
use crate::execute::{Executed, Executor};
use crate::last_answer::LastAnswer;
use crate::lb::Lb;
use crate::liveness::{self, Silence};
use crate::sync::{SyncError, Syncer};

/// How often to check for a new stats segment.
const LOOK: Duration = Duration::from_secs(10);

/// Maximum length of the build directory that is reported, in characters. VPP's field has 256 bytes.
const MOST_DIRECTORY: usize = 256;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The task must stop.
    Stop,
    /// The connection is no longer usable, though VPP owed no answer.
    Closed(String),
    /// VPP did not answer, or the connection ended before it did.
    Lost(String),
}

/// Distinguishes one run of VPP from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pid: u32,
    boot_time: Option<u64>,
}

impl Identity {
    /// The start time comes from the stats segment, which may not be readable.
    fn is_same(self, before: Self) -> bool {
        let other_start = self.boot_time.zip(before.boot_time).is_some_and(|(now, before)| now != before);
        self.pid == before.pid && !other_start
    }
}

#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    last_answer: LastAnswer,
    stats: Stats,
    /// `None` if VPP lacks messages: calls are then refused until VPP is replaced.
    lb: Option<(Executor<Lb>, Counting)>,
    identity: Identity,
}

/// Effect of a call on the session.
type Verdict = Result<(), End>;

impl Session {
    /// Connects, and reads everything if VPP has the needed messages. Returns the state to publish.
    pub(super) async fn connect(
        options: &Options,
        before: Option<Identity>,
    ) -> Result<(Self, VppState), String> {
        let name = "maglev-dpagent".to_owned();
        let connect = ConnectOptions { name, max_in_flight: MOST_UNDER_WAY, ..ConnectOptions::default() };
        let client =
            Client::connect(&options.api_socket, connect).await.map_err(|error| error.to_string())?;
        let last_answer = LastAnswer::now();
        let stats = Stats::connect(&options.stats_socket).await;
        let boot_time = stats.boot_time().await;
        let identity = Identity { pid: client.pid(), boot_time };
        let chosen = dialect::choose(client.table());
        let version = match last_answer.note(client.call(ShowVersion {}).await) {
            Ok(version) => version,
            Err(ClientError::Unsupported { .. }) if chosen.is_err() => {
                let session = Self { client, last_answer, stats, lb: None, identity };
                let missing = chosen.err().unwrap_or_default();
                return Ok((session, incompatible("of an unknown version".to_owned(), missing)));
            }
            Err(error) => return Err(error.to_string()),
        };
        let dialect = match chosen {
            Ok(dialect) => dialect,
            Err(missing) => {
                let version = printable(&version.version.as_str(), VERSION_LENGTH);
                let session = Self { client, last_answer, stats, lb: None, identity };
                return Ok((session, incompatible(version, missing)));
            }
        };
        let plugin = Lb::new(client.clone(), dialect, last_answer.clone());
        let lb = Syncer::start(plugin, options.policy.current()).await.map_err(|error| error.to_string())?;
        let state = VppState::Connected {
            version: printable(&version.version.as_str(), VERSION_LENGTH),
            build_date: printable(&version.build_date.as_str(), VERSION_LENGTH),
            build_directory: printable(&version.build_directory.as_str(), MOST_DIRECTORY),
            pid: identity.pid,
            boot_time,
            connected_for: 0,
        };
        info!(
            version = %printable(&version.version.as_str(), VERSION_LENGTH), pid = identity.pid, boot_time,
            lb_api = dialect.lb_api(), vips = lb.mirror().vips().len(), servers = lb.mirror().server_count(),
            "{}", match before {
                None => "VPP connected",
                Some(before) if identity.is_same(before) => "VPP connected again: the same process",
                Some(_) => "VPP connected again: it was restarted",
            }
        );
        let counting = Counting::new(identity.pid, boot_time, options.servers_age);
        Ok((Self { client, last_answer, stats, lb: Some((Executor::new(lb), counting)), identity }, state))
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Executes calls one at a time until the connection ends, VPP has been silent for too long or the task
    /// must stop. A call in progress is dropped with the connection.
    pub(super) async fn serve(
        &mut self,
        options: &Options,
        queue: &mut mpsc::Receiver<Call>,
        link: &watch::Sender<Link>,
        silence: &watch::Sender<Silence>,
        reads: &Reads,
        stop: &CancellationToken,
    ) -> End {
        let publish = |since| {
            silence.send_if_modified(|silence| silence.change(since));
        };
        publish(None);
        let (client, last_answer) = (self.client.clone(), self.last_answer.clone());
        tokio::select! {
            end = self.take_calls(options, queue, link, reads, stop) => end,
            error = liveness::watch(&client, &last_answer, publish) => End::Lost(error.to_string()),
        }
    }

    async fn take_calls(
        &mut self,
        options: &Options,
        queue: &mut mpsc::Receiver<Call>,
        link: &watch::Sender<Link>,
        reads: &Reads,
        stop: &CancellationToken,
    ) -> End {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let client = self.client.clone();
        let closed = client.closed();
        tokio::pin!(closed);
        loop {
            let verdict = tokio::select! {
                biased;
                () = stop.cancelled() => Err(End::Stop),
                reason = &mut closed => Err(End::Closed(reason.to_string())),
                call = queue.recv() => match call {
                    Some(call) if call.is_abandoned() => Ok(()),
                    Some(call) => {
                        if let Some((lb, _)) = &mut self.lb {
                            lb.syncer_mut().adopt(options.policy.current());
                        }
                        self.answer(call, link, reads).await
                    }
                    None => Err(End::Stop),
                },
                _ = look.tick() => self.look().await,
            };
            if let Err(end) = verdict {
                return end;
            }
        }
    }

    /// Time since VPP's last answer.
    pub(super) fn silence(&self) -> Duration {
        self.last_answer.silence()
    }

    /// Checks that the stats segment is still the same.
    async fn look(&self) -> Verdict {
        match self.stats.news().await {
            None => Ok(()),
            Some(news) => Err(End::Closed(format!("{news}: reconnecting"))),
        }
    }

    /// Executes a call.
    async fn answer(&mut self, call: Call, link: &watch::Sender<Link>, reads: &Reads) -> Verdict {
        let Some((lb, counting)) = &mut self.lb else {
            let error = link.borrow().error();
            call.refuse(error);
            return Ok(());
        };
        // A mirror known to be wrong is read again for these two calls, which may come often, so the rate
        // limit applies.
        if matches!(call, Call::SyncVip(..) | Call::Programmed(_))
            && lb.syncer().must_read()
            && let Err(error) = reads.turn_now()
        {
            call.refuse(error);
            return Ok(());
        }
        match call {
            Call::SyncVip(wanted, reply) => {
                let (wanted, demands, _room) = *wanted;
                lb.syncer_mut().memory_mut().note(self.stats.heap().await);
                let done = lb.sync_vip(&wanted, &demands).await;
                reads.outdated();
                tell(done, reply)
            }
            Call::SyncAll(wanted, reply) => {
                lb.syncer_mut().memory_mut().note(self.stats.heap().await);
                let done = lb.sync_all(&wanted.0).await;
                reads.outdated();
                tell(done, reply)
            }
            Call::Conf(wanted, reply) => {
                lb.syncer_mut().memory_mut().note(self.stats.heap().await);
                let done = lb.lb_conf(&wanted).await;
                reads.outdated();
                tell(done, reply)
            }
            Call::State(reply) => tell(lb.lb_state().await, reply),
            Call::Counters(servers, reply) => {
                let no_stats = |reason| Executed { answer: Err(AgentError::NoStats { reason }), lost: None };
                let done = match self.stats.segment() {
                    Ok(segment) => {
                        let may_read = || reads.turn_now().is_ok();
                        match counting.counters(lb.syncer_mut(), segment, servers, may_read).await {
                            Ok(counters) => Ok::<_, SyncError>(counters).into(),
                            Err(CountersError::Vpp(error)) => Err(error).into(),
                            Err(CountersError::Stats(error)) => {
                                self.stats.give_up(&error);
                                no_stats(error.to_string())
                            }
                        }
                    }
                    Err(reason) => no_stats(reason.to_owned()),
                };
                tell(done, reply)
            }
            Call::Programmed(reply) => tell(lb.programmed().await, reply),
        }
    }
}

/// Sends the answer. The caller may have gone, which changes nothing.
fn tell<T>(done: Executed<T>, reply: Reply<T>) -> Verdict {
    drop(reply.send(done.answer));
    done.lost.map_or(Ok(()), |lost| Err(End::Lost(lost.reason)))
}

fn incompatible(version: String, missing: Vec<String>) -> VppState {
    let missing_words = missing.join(" ");
    warn!(%version, needs = NEEDS, missing = missing_words, "VPP connected, but too old; waiting for another");
    VppState::Incompatible { version, missing, needs: NEEDS.to_owned() }
}
