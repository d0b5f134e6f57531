//! VPP's stats segment: memory with all counters, which clients map and read without asking VPP.
//!
//! [`Segment`] lays it out as VPP 26.10 does and updates it through a [`Target`]; [`memory`] is the memory
//! itself, and [`socket`] hands it out.

pub mod memory;
mod segment;
pub mod socket;
mod stress;
mod writer;

#[cfg(test)]
mod tests;

use std::io;

use crate::fib::Traffic;
use crate::lb::{Counters, Heap};

pub use segment::Segment;

/// Size of the segment (measured on VPP 26.10).
pub const SEGMENT_SIZE: usize = 32 << 20;

/// Where the segment is written to.
pub trait Target {
    /// Writes at an offset below [`SEGMENT_SIZE`].
    ///
    /// # Errors
    /// Those of the memory.
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()>;
}

/// Why the segment could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// VPP dies when that happens.
    #[error("{wanted} more bytes wanted in the stats segment, {left} of {SEGMENT_SIZE} are left")]
    Full {
        /// Bytes that a vector needed.
        wanted: usize,
        /// Bytes that were free.
        left: usize,
    },
    /// No further entry is accepted.
    #[error("the stats directory has {} entries, which is the most", writer::MOST_ENTRIES)]
    DirectoryFull,
    /// It was abandoned after an earlier error.
    #[error("the stats segment could not be written before, and stays as it is; restart makes a new one")]
    GivenUp,
    /// The memory failed.
    #[error("the stats segment's memory cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// What is wrong in a damaged segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The version of the layout.
    Version,
    /// The directory's address.
    Directory,
    /// The addresses of counters.
    Pointers,
    /// The lengths of counters.
    Lengths,
}

/// Current values for the segment.
#[derive(Debug, Clone, Copy)]
pub struct Figures<'a> {
    /// The lb plugin's counters by VIP index, the first of which is VPP's own default VIP.
    pub vips: &'a [Counters],
    /// What each route carried, by its index.
    pub routes: &'a [Traffic],
    /// Runs of VPP's collector so far.
    pub heartbeat: u64,
    /// Seconds of uptime at its last run.
    pub last_update: u64,
    /// Usage of the main heap at its last run.
    pub heap: Heap,
    /// Number of worker threads.
    pub workers: u64,
}
