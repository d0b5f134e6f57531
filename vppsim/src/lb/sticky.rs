//! The sticky table of a thread, which pins flows to servers, slot for slot as in VPP.
//!
//! A bucket has four slots. A packet follows the first unexpired slot with its hash and VIP, and refreshes it even if the
//! slot names no server; in that case the packet goes by the VIP's new-flow table and takes a second slot, the first one
//! that has expired. A slot without a server therefore hides those behind it for as long as the flow keeps sending.
//! A flushed slot matches no packet but stays taken until it expires. A slot counts as a reference to its server until it
//! is reused or flushed, expired or not.
//!
//! These rules were read in VPP's source, in the variant compiled for x86-64. Times are those of [`clock`].

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{Counter, Uptime, seconds};
use maglev_table::buckets::NO_SERVER;

/// Slots of a bucket.
pub const SLOTS: u32 = 4;

/// VIP index of a flushed slot; no VIP has it.
const NO_VIP: u32 = u32::MAX;

/// Offset of VPP's clock from its uptime, in seconds: slots never taken have expired from the start.
const CLOCK_START: u32 = 10_000;

/// Half the range of the clock. Times further apart than this compare the wrong way round.
const HALF: u32 = 0x7fff_ffff;

/// The time that slots expire by, in seconds.
pub fn clock(now: Uptime) -> u32 {
    seconds(now).wrapping_add(CLOCK_START)
}

/// A slot; all zeros if never taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    hash: u32,
    expires: u32,
    vip: u32,
    server: u32,
}

impl Slot {
    /// Compares signed numbers, as VPP does: a timeout of half the clock's range pins nothing.
    fn is_live(self, now: u32) -> bool {
        self.expires.cast_signed() > now.cast_signed()
    }

    fn holds(self, hash: u32, vip: u32) -> bool {
        (self.hash, self.vip) == (hash, vip)
    }
}

/// The sticky table of one thread.
#[derive(Debug)]
pub struct StickyTable {
    buckets: u32,
    /// In seconds.
    timeout: u32,
    /// Buckets with a slot that was ever taken, by number.
    used: BTreeMap<u32, [Slot; SLOTS as usize]>,
    /// Number of slots that hold each server.
    references: BTreeMap<u32, u64>,
}

impl StickyTable {
    /// Creates an empty table. The number of buckets must be a power of two.
    pub fn new(buckets: u32) -> Self {
        Self { buckets, timeout: 0, used: BTreeMap::new(), references: BTreeMap::new() }
    }

    /// Number of buckets.
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// Seconds without a packet after which a slot expires.
    pub fn timeout(&self) -> u32 {
        self.timeout
    }

    /// Sets the timeout in seconds. It applies to a taken slot from its next packet on.
    pub fn set_timeout(&mut self, seconds: u32) {
        self.timeout = seconds;
    }

    /// Routes a packet with this flow hash to a VIP whose new-flow table has `by_table` for it. Returns the server and the
    /// counter that counts the packet.
    pub fn route(&mut self, hash: u32, vip: u32, by_table: u32, now: u32) -> (u32, Counter) {
        let bucket = self.used.entry(hash & self.buckets.wrapping_sub(1)).or_default();
        let free = bucket.iter().position(|slot| !slot.is_live(now));
        let expires = now.wrapping_add(self.timeout);
        if let Some(slot) = bucket.iter_mut().find(|slot| slot.is_live(now) && slot.holds(hash, vip)) {
            slot.expires = expires;
            if slot.server != NO_SERVER {
                return (slot.server, Counter::ExistingSession);
            }
        }
        let Some(slot) = free.and_then(|free| bucket.get_mut(free)) else {
            return (by_table, Counter::Untracked);
        };
        let former = std::mem::replace(slot, Slot { hash, expires, vip, server: by_table });
        self.dereference(former.server);
        if by_table == NO_SERVER {
            return (by_table, Counter::NoServer);
        }
        *self.references.entry(by_table).or_default() += 1;
        (by_table, Counter::FirstSession)
    }

    /// Flushes the slots of a VIP, or those of one of its servers. They stay taken until they expire.
    pub fn flush(&mut self, vip: u32, server: Option<u32>) {
        let mut flushed = Vec::new();
        for slot in self.used.values_mut().flatten() {
            if slot.vip == vip && server.is_none_or(|server| slot.server == server) {
                flushed.push(slot.server);
                (slot.vip, slot.server) = (NO_VIP, NO_SERVER);
            }
        }
        for server in flushed {
            self.dereference(server);
        }
    }

    /// Number of slots that hold a server, expired ones included.
    pub fn references(&self, server: u32) -> u64 {
        self.references.get(&server).copied().unwrap_or(0)
    }

    /// Number of unexpired slots, including flushed ones and those without a server.
    pub fn live_slots(&self, now: u32) -> usize {
        self.used.values().flatten().filter(|slot| now.wrapping_sub(slot.expires) >= HALF).count()
    }

    fn dereference(&mut self, server: u32) {
        if let Some(count) = self.references.get_mut(&server) {
            *count -= 1;
            if *count == 0 {
                self.references.remove(&server);
            }
        }
    }
}
