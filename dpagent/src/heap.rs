//! Free space in VPP's main heap. VPP aborts when the heap is full: it allocates on each write to the lb
//! plugin, and on the first packet after the number of sticky buckets changed. Pure, except for reading the
//! stats segment.

use std::collections::VecDeque;

use maglev_protocol::{MOST_STICKY_BUCKETS, STICKY_BUCKET, size};
use vppapi::stats::{StatsError, View};

use crate::mirror::Mirror;
use crate::step::Step;

/// Buckets that VPP allocates beyond those configured: the table's header, one for prefetching, and one for
/// alignment.
const MORE_BUCKETS: u64 = 3;

/// Size of a new-flow table's bucket and of an application server, in bytes. A server is its entry plus its
/// route with all that VPP attaches to it, estimated generously.
const NEW_FLOW_BUCKET: u64 = 4;
const SERVER: u64 = 2048;

/// Fraction of the heap reserved for the rest of VPP, and its minimum: routes, packet traces, CLI text, and
/// the second copy of a table that the lb plugin makes while rebuilding it. Free memory is fragmented, too.
const RESERVED_PART: u64 = 8;
const LEAST_RESERVE: u64 = 32 << 20;

/// Sticky buckets allowed while the heap's size is unknown: the brain's default, 4 MiB a thread.
pub const STICKY_BUCKETS_UNSEEN: u32 = 65_536;
/// Bytes that VIPs and servers may take while the heap's size is unknown: a quarter of VPP's default heap.
const VIPS_UNSEEN: u64 = 256 << 20;

/// Upper limit on the number of threads read from the segment. VPP has at most 256 (by its source).
const MOST_THREADS: u64 = 1024;

/// State of the main heap, from the stats segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// Size, in bytes.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Number of VPP's threads, including the main one.
    pub threads: u64,
    /// Number of times VPP has refreshed these figures: every 10 s by default.
    pub heartbeat: u64,
}

impl Heap {
    /// Reads the heap's figures.
    ///
    /// # Errors
    /// When one of them is missing or unreadable.
    pub fn read(view: &View<'_>) -> Result<Self, StatsError> {
        let one = |name: &str| -> Result<u64, StatsError> {
            let counters = view.simple_counters(name)?;
            counters.into_iter().flatten().next().ok_or_else(|| damaged(name, "it is empty".to_owned()))
        };
        let total = one("/mem/main heap/total")?;
        let free = one("/mem/main heap/free")?;
        let threads = view.scalar("/sys/num_worker_threads")?.as_u64().saturating_add(1);
        let heartbeat = view.scalar("/sys/heartbeat")?.as_u64();
        if total == 0 || free > total {
            let why = format!("{free} of {total} bytes free");
            return Err(damaged("/mem/main heap", why));
        }
        if threads > MOST_THREADS {
            return Err(damaged("/sys/num_worker_threads", format!("{threads} threads")));
        }
        Ok(Self { total, free, threads, heartbeat })
    }

    /// Bytes reserved for the rest of VPP.
    pub fn reserve(&self) -> u64 {
        (self.total / RESERVED_PART).max(LEAST_RESERVE)
    }

    /// Bytes of all threads' sticky tables together, with so many buckets each.
    pub fn sticky_bytes(&self, buckets: u32) -> u64 {
        self.threads.saturating_mul((u64::from(buckets) + MORE_BUCKETS).saturating_mul(STICKY_BUCKET))
    }

    /// Largest number of buckets, a power of two, whose tables fit into so many bytes.
    fn most_sticky_buckets(&self, bytes: u64) -> Option<u32> {
        let sizes = (0..=MOST_STICKY_BUCKETS.ilog2()).rev().map(|bits| 1 << bits);
        sizes.into_iter().find(|buckets| self.sticky_bytes(*buckets) <= bytes)
    }
}

fn damaged(what: &str, why: String) -> StatsError {
    StatsError::Damaged { what: what.to_owned(), why }
}

/// Upper bound on the heap that a step takes, in bytes.
pub fn bytes_of(step: &Step) -> u64 {
    match step {
        Step::AddVip { table_length, .. } => NEW_FLOW_BUCKET * u64::from(*table_length),
        Step::AddServer { .. } => SERVER,
        _ => 0,
    }
}

/// Upper bound on the heap that all VIPs take, in bytes.
pub fn bytes_of_all(mirror: &Mirror) -> u64 {
    let tables = mirror.vips().values().map(|vip| NEW_FLOW_BUCKET * u64::from(vip.table_length));
    let servers = SERVER.saturating_mul(mirror.server_count() as u64);
    tables.fold(servers, u64::saturating_add)
}

/// The heap as last read, and what was written since and may not be in its figures yet.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    heap: Option<Heap>,
    /// Why the heap's size is unknown.
    unread: String,
    /// Bytes written, with the heartbeat of the figures read before. VPP refreshes its figures between two
    /// heartbeats that the agent sees, so only the second later heartbeat is certain to include a write.
    pending: VecDeque<(u64, u64)>,
    sticky: Option<Sticky>,
    /// Bytes of all VIPs and servers written over this connection.
    spent: u64,
}

/// Sticky tables that VPP will allocate, each thread at its next packet.
#[derive(Debug, Clone, Copy)]
struct Sticky {
    bytes: u64,
    /// Free bytes before the change, minus what was written since.
    free_before: u64,
}

impl Memory {
    /// `spent` is what VPP already has when the connection is made, in bytes.
    pub fn new(spent: u64) -> Self {
        Self { spent, unread: "they have not been read".to_owned(), ..Self::default() }
    }

    /// Records the heap's figures, or why there are none.
    pub fn note(&mut self, heap: Result<Heap, String>) {
        match heap {
            Ok(heap) => {
                // A heartbeat that went back belongs to another VPP.
                self.pending.retain(|(seen, _)| (*seen..seen.saturating_add(2)).contains(&heap.heartbeat));
                self.heap = Some(heap);
            }
            Err(reason) => (self.heap, self.unread) = (None, reason),
        }
    }

    /// Bytes available to further VIPs and servers.
    pub fn room(&self) -> u64 {
        let Some(heap) = &self.heap else { return VIPS_UNSEEN.saturating_sub(self.spent) };
        let due = self
            .sticky
            .map_or(0, |sticky| sticky.bytes.saturating_sub(sticky.free_before.saturating_sub(heap.free)));
        self.unreserved(heap).saturating_sub(due)
    }

    /// Why there is no more room, for an error message.
    pub fn words(&self) -> String {
        match &self.heap {
            Some(heap) => format!(
                "{} of the {} of VPP's main heap are free, and {} are kept for the rest of VPP and its tables of \
                 pinned flows",
                size(heap.free),
                size(heap.total),
                size(heap.free.saturating_sub(self.room()))
            ),
            None => format!(
                "the figures of VPP's main heap cannot be read ({}), and without them VIPs get {}",
                self.unread,
                size(VIPS_UNSEEN)
            ),
        }
    }

    /// Records a write that is being sent.
    pub fn spend(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
        if let Some(sticky) = &mut self.sticky {
            sticky.free_before = sticky.free_before.saturating_sub(bytes);
        }
        let Some(heap) = self.heap.filter(|_| bytes > 0) else { return };
        match self.pending.back_mut() {
            Some((seen, pending)) if *seen == heap.heartbeat => *pending = pending.saturating_add(bytes),
            _ => self.pending.push_back((heap.heartbeat, bytes)),
        }
    }

    /// Records that all threads will allocate sticky tables of so many buckets.
    pub fn set_sticky(&mut self, buckets: u32) {
        self.sticky = self.heap.map(|heap| {
            let pending = self.pending_bytes();
            Sticky { bytes: heap.sticky_bytes(buckets), free_before: heap.free.saturating_sub(pending) }
        });
    }

    /// Refuses more sticky buckets than there is room for, with an explanation.
    ///
    /// A thread frees its table before it allocates the next one, so a smaller table always fits in place of
    /// a larger one; and a thread that has no table yet would have needed more with the larger setting. When
    /// the number grows, nothing is counted as freed: which threads have a table is unknown, and the space
    /// one leaves may not be adjacent to other free memory.
    pub fn check_sticky(&self, from: u32, to: u32) -> Result<(), String> {
        if from != 0 && to <= from {
            return Ok(());
        }
        let Some(heap) = &self.heap else {
            return match to <= STICKY_BUCKETS_UNSEEN {
                true => Ok(()),
                false => Err(format!(
                    "the figures of VPP's main heap cannot be read ({}), and without them at most \
                     {STICKY_BUCKETS_UNSEEN} buckets are set",
                    self.unread
                )),
            };
        };
        let (needed, room) = (heap.sticky_bytes(to), self.unreserved(heap));
        if needed <= room {
            return Ok(());
        }
        let fits = match heap.most_sticky_buckets(room) {
            Some(most) => format!("{most} buckets would fit"),
            None => "none would fit".to_owned(),
        };
        Err(format!(
            "{} thread{} x {to} buckets x {STICKY_BUCKET} bytes take {} of VPP's main heap, of which {} of {} are free and \
             {} kept for the rest of VPP: {fits}",
            heap.threads,
            if heap.threads == 1 { "" } else { "s" },
            size(needed),
            size(heap.free.saturating_sub(self.pending_bytes())),
            size(heap.total),
            size(heap.reserve()),
        ))
    }

    fn unreserved(&self, heap: &Heap) -> u64 {
        heap.free.saturating_sub(heap.reserve()).saturating_sub(self.pending_bytes())
    }

    fn pending_bytes(&self) -> u64 {
        self.pending.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

#[cfg(test)]
mod tests;
