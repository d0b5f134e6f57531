//! Which counters the segment has, and their values.

use super::stress::Stress;
use super::writer::{EntryIndex, Kind, Values, Writer};
use super::{Figures, StatsError, Target};
use crate::lb::{Counter, Heap};

/// A segment in its target.
#[derive(Debug)]
pub struct Segment<T> {
    pub(super) writer: Writer<T>,
    boot_time: u64,
    heartbeat: Scalar,
    last_update: Scalar,
    workers: Scalar,
    pub(super) heap: Values,
    pub(super) routes_to: Values,
    pub(super) routes_via: Values,
    /// In the order of [`Counter::ALL`]. Empty until there is a VIP, as in VPP.
    pub(super) vips: Vec<Values>,
    pub(super) stress: Stress,
}

#[derive(Debug)]
struct Scalar {
    entry: EntryIndex,
    value: u64,
}

impl<T: Target> Segment<T> {
    /// Lays the segment out in a target that holds only zeros. `boot_time` is in seconds since 1970.
    ///
    /// # Errors
    /// When the target cannot be written.
    pub fn new(target: T, boot_time: u64) -> Result<Self, StatsError> {
        let mut writer = Writer::new(target)?;
        let heartbeat = writer.add_entry(Kind::Scalar, "/sys/heartbeat", 0)?;
        writer.add_entry(Kind::Scalar, "/sys/last_stats_clear", 0)?;
        writer.add_entry(Kind::Scalar, "/sys/boottime", boot_time)?;
        writer.add_entry(Kind::Gauge, "/sys/vector_rate", 0)?;
        for name in ["/sys/vector_rate_per_worker", "/sys/loops_per_worker"] {
            let mut values = writer.add_values(Kind::Simple, name, 1)?;
            writer.resize(&mut values, 1)?;
        }
        let workers = writer.add_entry(Kind::Gauge, "/sys/num_worker_threads", 0)?;
        let last_update = writer.add_entry(Kind::Scalar, "/sys/last_update", 0)?;
        writer.add_entry(Kind::Gauge, "/sys/input_rate", 0)?;
        let heap = add_heap(&mut writer)?;
        let routes_to = writer.add_values(Kind::Combined, "/net/route/to", 2)?;
        let routes_via = writer.add_values(Kind::Combined, "/net/route/via", 2)?;
        writer.end()?;
        Ok(Self {
            writer,
            boot_time,
            heartbeat: Scalar { entry: heartbeat, value: 0 },
            last_update: Scalar { entry: last_update, value: 0 },
            workers: Scalar { entry: workers, value: 0 },
            heap,
            routes_to,
            routes_via,
            vips: Vec::new(),
            stress: Stress::default(),
        })
    }

    /// Where it is written to.
    pub fn target(&self) -> &T {
        self.writer.target()
    }

    /// The `/sys/boottime` that it shows.
    pub fn boot_time(&self) -> u64 {
        self.boot_time
    }

    /// Brings the segment up to date. Only what changed is written.
    ///
    /// # Errors
    /// When the segment is full, or the target cannot be written.
    pub fn publish(&mut self, figures: &Figures<'_>) -> Result<(), StatsError> {
        let has_vips = figures.vips.len() > 1;
        let vip_length = self.vips.first().map_or(0, Values::length);
        if figures.routes.len() != self.routes_to.length() || (has_vips && figures.vips.len() != vip_length) {
            self.writer.begin()?;
            self.grow(figures.routes.len(), if has_vips { figures.vips.len() } else { 0 })?;
            self.end_change()?;
        }
        self.writer.update(&mut self.heap, heap_words(figures.heap).into_iter())?;
        let routes = figures.routes.iter().flat_map(|traffic| [traffic.packets, traffic.bytes]);
        self.writer.update(&mut self.routes_to, routes)?;
        let via = figures.routes.iter().flat_map(|traffic| [traffic.via_packets, traffic.via_bytes]);
        self.writer.update(&mut self.routes_via, via)?;
        for (counter, values) in self.vips.iter_mut().enumerate() {
            let words = figures.vips.iter().map(|counters| counters.get(counter).copied().unwrap_or(0));
            self.writer.update(values, words)?;
        }
        for (scalar, value) in [
            (&mut self.heartbeat, figures.heartbeat),
            (&mut self.last_update, figures.last_update),
            (&mut self.workers, figures.workers),
        ] {
            if scalar.value != value {
                scalar.value = value;
                self.writer.write_value(scalar.entry, value)?;
            }
        }
        Ok(())
    }

    fn grow(&mut self, routes: usize, vips: usize) -> Result<(), StatsError> {
        self.writer.resize(&mut self.routes_to, routes)?;
        self.writer.resize(&mut self.routes_via, routes)?;
        if vips > 0 && self.vips.is_empty() {
            for counter in Counter::ALL {
                let values = self.writer.add_values(Kind::Simple, counter.name(), 1)?;
                self.vips.push(values);
            }
        }
        for values in &mut self.vips {
            self.writer.resize(values, vips)?;
        }
        Ok(())
    }
}

/// Adds the main heap's usage, and the names of those values that have one.
fn add_heap<T: Target>(writer: &mut Writer<T>) -> Result<Values, StatsError> {
    let mut heap = writer.add_values(Kind::Simple, "/mem/main heap", 1)?;
    writer.resize(&mut heap, heap_words(Heap::default()).len())?;
    for (name, index) in [("used", 1), ("total", 0), ("free", 2)] {
        writer.add_link(&format!("/mem/main heap/{name}"), &heap, index)?;
    }
    Ok(heap)
}

/// Usage of the main heap in VPP's order: total, used, free, mapped, allocated from the system, free chunks, releasable.
fn heap_words(heap: Heap) -> [u64; 7] {
    [heap.total, heap.used, heap.free(), 0, heap.total, 1, heap.free()]
}
