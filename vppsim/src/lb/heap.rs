//! VPP's threads with their sticky tables, and the main heap that holds them.
//!
//! A thread allocates its sticky table with its first packet, and again with the first packet after the configured number
//! of buckets has changed. VPP dies if the heap has no room for it.

use super::Lb;
use super::sticky::StickyTable;

/// Bytes in use without VIPs and packets, approximately as recorded on VPP 26.10. They depend on the plugins.
const BASE: u64 = 33_000_000;

/// Sizes of a sticky table's bucket and of its header, in bytes. VPP allocates one bucket more than configured.
const STICKY_BUCKET: u64 = 64;
const STICKY_HEADER: u64 = 64;

/// Size of a new-flow table's bucket, in bytes.
const NEW_FLOW_BUCKET: u64 = 4;

/// The part of VPP's startup configuration that matters here. It persists across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startup {
    /// Size of the main heap, in bytes.
    pub heap_size: u64,
    /// Number of worker threads, which forward packets; with none, the main thread does.
    pub workers: u32,
}

/// VPP's defaults.
impl Default for Startup {
    fn default() -> Self {
        Self { heap_size: 1 << 30, workers: 0 }
    }
}

/// Usage of the main heap, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heap {
    /// Size of the heap.
    pub total: u64,
    /// Bytes allocated.
    pub used: u64,
}

impl Heap {
    /// Bytes left.
    pub fn free(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }
}

impl Lb {
    /// Sets the startup configuration. To be called before the first packet: the threads lose their sticky tables.
    pub fn set_startup(&mut self, startup: Startup) {
        self.startup = startup;
        self.threads = threads(startup);
    }

    /// The startup configuration.
    pub fn startup(&self) -> Startup {
        self.startup
    }

    /// Usage of the main heap.
    pub fn heap(&self) -> Heap {
        let buckets = self.vips.iter().map(|(_, vip)| u64::from(vip.table_length()));
        let sticky = self.threads.iter().flatten().map(|table| sticky_bytes(table.buckets()));
        let used = BASE + NEW_FLOW_BUCKET * buckets.sum::<u64>() + sticky.sum::<u64>();
        Heap { total: self.startup.heap_size, used }
    }

    /// The sticky tables by thread, of those threads that have one.
    pub fn sticky_tables(&self) -> impl Iterator<Item = (usize, &StickyTable)> {
        self.threads.iter().enumerate().filter_map(|(thread, table)| Some((thread, table.as_ref()?)))
    }

    /// Number of slots that pin flows to a server, `flows` in the CLI text. Slots of flows that have ended count until they
    /// are reused or flushed.
    pub fn pinned_to(&self, server: u32) -> u64 {
        self.threads.iter().flatten().map(|table| table.references(server)).sum()
    }

    /// Why a packet would have killed a real VPP, if one has. All further packets are dropped.
    pub fn death(&self) -> Option<&str> {
        self.death.as_deref()
    }

    /// The thread that receives a flow.
    pub(super) fn thread_of(&self, hash: u32) -> usize {
        hash.checked_rem(self.startup.workers).map_or(0, |worker| worker as usize + 1)
    }

    /// A thread's sticky table with the configured timeout, allocated first if there is none of the configured size. Returns
    /// none if VPP dies of that.
    pub(super) fn sticky_table(&mut self, thread: usize) -> Option<&mut StickyTable> {
        if self.death.is_some() {
            return None;
        }
        let wanted = self.conf.sticky_buckets;
        let current = self.threads.get(thread)?.as_ref().map(StickyTable::buckets);
        if current != Some(wanted) {
            *self.threads.get_mut(thread)? = None;
            self.allocate(wanted)?;
            *self.threads.get_mut(thread)? = Some(StickyTable::new(wanted));
            self.end_moved(|flow| flow.place.thread == thread);
        }
        let table = self.threads.get_mut(thread)?.as_mut()?;
        table.set_timeout(self.conf.flow_timeout);
        Some(table)
    }

    /// Checks that a sticky table can be allocated; VPP dies if not.
    fn allocate(&mut self, buckets: u32) -> Option<()> {
        let (needed, free) = (sticky_bytes(buckets), self.heap().free());
        let trouble = if buckets == 0 {
            "packets are looked up far beyond its end".to_owned()
        } else if u32::try_from(needed).is_err() {
            format!("its size of {needed} bytes overflows 32 bits")
        } else if needed > free {
            format!("it needs {needed} bytes, but only {free} are free in the main heap")
        } else {
            return Some(());
        };
        self.death.get_or_insert_with(|| {
            format!("a real VPP dies of the first packet with a sticky table of {buckets} buckets: {trouble}")
        });
        None
    }
}

/// Size of a sticky table, in bytes.
fn sticky_bytes(buckets: u32) -> u64 {
    STICKY_HEADER + STICKY_BUCKET * (u64::from(buckets) + 1)
}

/// The threads without sticky tables.
pub(super) fn threads(startup: Startup) -> Vec<Option<StickyTable>> {
    (0..=startup.workers).map(|_| None).collect()
}
