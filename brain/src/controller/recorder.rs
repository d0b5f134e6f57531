//! Writes the history to the state directory, so that the controller never waits for a disk.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maglev_daemon::blocking::Blocking;
use maglev_daemon::retry::backoff;
use maglev_daemon::vital::vital;
use maglev_engine::history::{Contents, Kind, Ledger, Record, parse};
use maglev_engine::tally::BrainTally;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::state::HistoryFiles;
use crate::webhooks::Webhooks;

/// Maximum number of records that wait for the disk: once every backend of the largest configuration. Beyond it they
/// are lost and counted, since the controller does not wait.
const QUEUE: usize = 65_536;
/// Maximum number of reads that wait.
const READS: usize = 16;
/// Maximum number of records written at once.
const BATCH: usize = 4096;
/// Timeout of a write, and of a read. A write that is late goes on, and is repeated nevertheless.
const WITHIN: Duration = Duration::from_secs(5);

/// The bytes of the files, the older one first.
type Files = [Vec<u8>; 2];

/// Reason for a failed read or write of the history, in words.
type Failure = String;

/// Records what happens, and reads what has happened. Clones share everything.
#[derive(Debug, Clone)]
pub struct History {
    ledger: SharedLedger,
    records: mpsc::Sender<Arc<Record>>,
    reads: mpsc::Sender<oneshot::Sender<Result<Files, Failure>>>,
    unwritten: watch::Receiver<Option<Failure>>,
    tally: Arc<BrainTally>,
    webhooks: Webhooks,
}

/// Tells news from what was known, also if it cannot be written. There are as many entries as backends, so there is one for all.
#[derive(Debug, Clone)]
struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    /// Numbers a record, unless nothing happened.
    fn number(&self, record: Record) -> Option<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).number(record)
    }

    /// A copy, which shares its memory.
    fn now(&self) -> Ledger {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The history when the process started.
#[derive(Debug)]
pub struct Remembered {
    files: HistoryFiles,
    ledger: Ledger,
}

impl Remembered {
    /// Reads it. Without it, the process starts as if nothing was recorded: records are less important than checks.
    pub fn load(files: HistoryFiles) -> Self {
        let contents = files.read().map(|files| parse(&files)).unwrap_or_else(|error| {
            error!(%error, "the history cannot be read; backends are in their states since now");
            Contents::default()
        });
        if contents.damaged > 0 {
            warn!(lines = contents.damaged, "damaged lines in the history; the others are used");
        }
        Self { files, ledger: Ledger::of(&contents) }
    }

    /// The backends' last known states.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl History {
    /// Starts the task on the current runtime. It ends after `stop` and one last write. It may be aborted at any
    /// point: a line is whole or damaged.
    pub(super) fn start(
        remembered: Option<Remembered>,
        tally: Arc<BrainTally>,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (records, queue) = mpsc::channel(QUEUE);
        let (reads, asked) = mpsc::channel(READS);
        let (unwritten, told) = watch::channel(None);
        let (files, ledger) = remembered.map(|Remembered { files, ledger }| (files, ledger)).unzip();
        let ledger = SharedLedger(Arc::new(Mutex::new(ledger.unwrap_or_default())));
        let webhooks = Webhooks::new(Handle::current());
        let shared = ledger.clone();
        let history =
            Self { ledger: shared, records, reads, unwritten: told, tally: Arc::clone(&tally), webhooks };
        let Some(files) = files else { return (history, tokio::spawn(async {})) };
        let recorder = Recorder { files, ledger, queue, asked, unwritten, tally, stop };
        (history, tokio::spawn(vital("recording the history", recorder.run())))
    }

    /// Records something and queues it for webhooks, if it is news, without waiting.
    pub fn record(&self, record: Record) {
        let Some(record) = self.ledger.number(record).map(Arc::new) else { return };
        self.webhooks.record(&record);
        if let Err(mpsc::error::TrySendError::Full(_)) = self.records.try_send(record) {
            self.tally.history_lost.add(1);
        }
    }

    /// Reads the files, with all that was recorded before as far as it could be written.
    ///
    /// # Errors
    /// If they cannot be read in time.
    pub async fn read(&self) -> Result<Files, Failure> {
        let (answer, answered) = oneshot::channel();
        let files = async {
            self.reads.send(answer).await.ok()?;
            answered.await.ok()
        };
        // The disk may be writing and then reading.
        match tokio::time::timeout(3 * WITHIN, files).await {
            Ok(files) => files.unwrap_or_else(|| Err("there is no state directory".to_owned())),
            Err(_) => Err("the state directory does not respond".to_owned()),
        }
    }

    /// The receivers of records.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Reason for the newest records not being on the disk, if they are not.
    pub fn unwritten(&self) -> Option<Failure> {
        self.unwritten.borrow().clone()
    }
}

struct Recorder {
    files: HistoryFiles,
    ledger: SharedLedger,
    queue: mpsc::Receiver<Arc<Record>>,
    asked: mpsc::Receiver<oneshot::Sender<Result<Files, Failure>>>,
    unwritten: watch::Sender<Option<Failure>>,
    tally: Arc<BrainTally>,
    stop: CancellationToken,
}

impl Recorder {
    async fn run(mut self) {
        let disk = Blocking::new("the history", 1, WITHIN);
        // Lines that are not on the disk yet, at most those of one batch.
        let mut lines = String::new();
        let (mut failures, mut lost, mut batch) = (0, 0, Vec::new());
        loop {
            let retry = async {
                match failures {
                    0 => pending().await,
                    _ => sleep(backoff(failures)).await,
                }
            };
            let ended = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    while let Ok(record) = self.queue.try_recv() {
                        lines += &record.line();
                    }
                    true
                }
                taken = self.queue.recv_many(&mut batch, BATCH), if failures == 0 => {
                    lines.extend(batch.drain(..).map(|record| record.line()));
                    taken == 0
                }
                Some(answer) = self.asked.recv() => {
                    let files = self.files.clone();
                    let read = disk.run(move || files.read()).await;
                    let read = read.map_err(|error| error.to_string());
                    // Fails only if the caller has gone.
                    drop(answer.send(read.and_then(|read| read.map_err(|error| error.to_string()))));
                    continue;
                }
                () = retry => false,
            };
            let lost_now = self.tally.history_lost.get();
            if lost_now != lost {
                let what = format!("records lost, since the disk was too slow: {}", lost_now - lost);
                let record = Record::new(std::time::SystemTime::now(), Kind::Brain, what);
                let record = self.ledger.number(Record { failed: true, ..record });
                lines.extend(record.map(|record| record.line()));
                lost = lost_now;
            }
            if !lines.is_empty() {
                let error = self.write(&disk, &lines).await;
                failures = if error.is_some() { failures + 1 } else { 0 };
                self.tell(error);
                if failures == 0 {
                    lines.clear();
                }
            }
            if ended {
                return;
            }
        }
    }

    async fn write(&self, disk: &Blocking, lines: &str) -> Option<Failure> {
        let (files, lines, ledger) = (self.files.clone(), lines.to_owned(), self.ledger.now());
        let write = move || files.append(&lines, || ledger.head());
        match disk.run(write).await {
            Ok(written) => written.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Logs each reason once, however often the write is retried.
    fn tell(&self, error: Option<Failure>) {
        match (&error, &*self.unwritten.borrow()) {
            (Some(error), before) if before.as_ref() != Some(error) => {
                error!(%error, "the history cannot be written; records wait, and are lost when they are too many");
            }
            (None, Some(_)) => info!("the history is written again"),
            _ => {}
        }
        self.tally.set_history_written(error.is_none());
        self.unwritten.send_if_modified(|told| {
            let changed = *told != error;
            *told = error;
            changed
        });
    }
}

#[cfg(test)]
mod tests;
