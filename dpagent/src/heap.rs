//! The room in VPP's main heap. VPP dies when it has none left: it allocates on each write to the lb plugin, and on the
//! first packet after another number of sticky buckets was set. Pure, but for reading the figures of a stats segment.

use std::collections::VecDeque;

use maglev_protocol::{MOST_STICKY_BUCKETS, STICKY_BUCKET, size};
use vppapi::stats::{StatsError, View};

use crate::mirror::Mirror;
use crate::step::Step;

/// Buckets that VPP allocates beyond those configured: the header of the table, one to prefetch, and one for alignment.
const MORE_BUCKETS: u64 = 3;

/// Sizes of a new-flow table's bucket and of an application server, in bytes. A server is its entry and the route to it
/// with what belongs to it, estimated on the safe side.
const NEW_FLOW_BUCKET: u64 = 4;
const SERVER: u64 = 2048;

/// The share of the heap that is left to the rest of VPP, and the least of it: routes, packet traces, CLI text, and the lb
/// plugin's own second copy of a table that it rebuilds. Free memory is not in one piece, either.
const RESERVED_PART: u64 = 8;
const LEAST_RESERVE: u64 = 32 << 20;

/// Sticky buckets that are set without knowing the heap: the brain's default, 4 MiB a thread.
pub const STICKY_BUCKETS_UNSEEN: u32 = 65_536;
/// Bytes that VIPs and servers may take without knowing the heap: a quarter of VPP's default one.
const VIPS_UNSEEN: u64 = 256 << 20;

/// Most threads that are believed. VPP has at most 256 (by its source).
const MOST_THREADS: u64 = 1024;

/// What the stats segment says of the main heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// Its size, in bytes.
    pub total: u64,
    /// Bytes that are not allocated.
    pub free: u64,
    /// VPP's threads, the main one included.
    pub threads: u64,
    /// How often VPP has renewed these figures: every 10 s, unless configured otherwise.
    pub heartbeat: u64,
}

impl Heap {
    /// Reads the figures.
    ///
    /// # Errors
    /// When one of them is missing, or cannot be.
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

    /// Bytes that are kept for the rest of VPP.
    pub fn reserve(&self) -> u64 {
        (self.total / RESERVED_PART).max(LEAST_RESERVE)
    }

    /// Bytes of all threads' sticky tables with so many buckets each.
    pub fn sticky_bytes(&self, buckets: u32) -> u64 {
        self.threads.saturating_mul((u64::from(buckets) + MORE_BUCKETS).saturating_mul(STICKY_BUCKET))
    }

    /// Most buckets, a power of two, whose tables take no more than so many bytes.
    fn most_sticky_buckets(&self, bytes: u64) -> Option<u32> {
        let sizes = (0..=MOST_STICKY_BUCKETS.ilog2()).rev().map(|bits| 1 << bits);
        sizes.into_iter().find(|buckets| self.sticky_bytes(*buckets) <= bytes)
    }
}

fn damaged(what: &str, why: String) -> StatsError {
    StatsError::Damaged { what: what.to_owned(), why }
}

/// What a step takes of the heap, at most.
pub fn bytes_of(step: &Step) -> u64 {
    match step {
        Step::AddVip { table_length, .. } => NEW_FLOW_BUCKET * u64::from(*table_length),
        Step::AddServer { .. } => SERVER,
        _ => 0,
    }
}

/// What all VIPs take of the heap, at most.
pub fn bytes_of_all(mirror: &Mirror) -> u64 {
    let tables = mirror.vips().values().map(|vip| NEW_FLOW_BUCKET * u64::from(vip.table_length));
    let servers = SERVER.saturating_mul(mirror.server_count() as u64);
    tables.fold(servers, u64::saturating_add)
}

/// The heap as last read, and what was asked of it since that its figures may not show yet.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    heap: Option<Heap>,
    /// Why the heap is not known.
    unread: String,
    /// Bytes of writes, by the heartbeat of the figures that were read before. VPP renews its figures between two heartbeats
    /// that the agent sees, so only the second later one includes a write for certain.
    pending: VecDeque<(u64, u64)>,
    sticky: Option<Sticky>,
    /// Bytes of all VIPs and servers since the connection was made.
    spent: u64,
}

/// Sticky tables that VPP will allocate, each thread with its next packet.
#[derive(Debug, Clone, Copy)]
struct Sticky {
    bytes: u64,
    /// Free bytes before, less what was written since.
    free_before: u64,
}

impl Memory {
    /// What VPP has already when the connection is made.
    pub fn new(spent: u64) -> Self {
        Self { spent, unread: "they have not been read".to_owned(), ..Self::default() }
    }

    /// Takes over figures, or why there are none.
    pub fn note(&mut self, heap: Result<Heap, String>) {
        match heap {
            Ok(heap) => {
                // A heartbeat that went back is another VPP's.
                self.pending.retain(|(seen, _)| (*seen..seen.saturating_add(2)).contains(&heap.heartbeat));
                self.heap = Some(heap);
            }
            Err(reason) => (self.heap, self.unread) = (None, reason),
        }
    }

    /// Bytes that further VIPs and servers may take.
    pub fn room(&self) -> u64 {
        let Some(heap) = &self.heap else { return VIPS_UNSEEN.saturating_sub(self.spent) };
        let due = self
            .sticky
            .map_or(0, |sticky| sticky.bytes.saturating_sub(sticky.free_before.saturating_sub(heap.free)));
        self.unreserved(heap).saturating_sub(due)
    }

    /// Why there is no more room, for somebody who was refused it.
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

    /// Notes a write that is sent now.
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

    /// Notes that all threads will allocate sticky tables of so many buckets.
    pub fn set_sticky(&mut self, buckets: u32) {
        self.sticky = self.heap.map(|heap| {
            let pending = self.pending_bytes();
            Sticky { bytes: heap.sticky_bytes(buckets), free_before: heap.free.saturating_sub(pending) }
        });
    }

    /// Refuses more sticky buckets than there is room for, in words.
    ///
    /// A thread frees its table before it allocates the next, so fewer buckets always fit where a table is; and where none
    /// is yet, the larger one would have been worse. Of more, nothing is counted as freed: nobody can tell which threads
    /// have a table, and what one leaves need not lie beside other free memory.
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
