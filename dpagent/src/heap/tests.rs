use std::collections::VecDeque as Threads;

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn heap(total_mib: u64, free_mib: u64, threads: u64) -> Heap {
    Heap { total: total_mib * MIB, free: free_mib * MIB, threads, heartbeat: 7 }
}

fn memory(heap: Heap) -> Memory {
    let mut memory = Memory::new(0);
    memory.note(Ok(heap));
    memory
}

/// A heap of 512 MiB with one thread: 2^22 buckets work, 2^23 kill VPP (measured on VPP 26.10).
#[test]
fn what_killed_a_real_vpp_is_refused_with_the_numbers_and_what_would_fit() {
    let memory = memory(heap(512, 478, 1));
    assert_eq!(memory.check_sticky(1024, 1 << 22), Ok(()));
    assert_eq!(
        memory.check_sticky(1024, 1 << 23).unwrap_err(),
        format!(
            "1 thread x 8388608 buckets x {STICKY_BUCKET} bytes take 512 MiB of VPP's main heap, of which 478 MiB of \
             512 MiB are free and 64 MiB kept for the rest of VPP: 4194304 buckets would fit"
        )
    );
}

#[test]
fn threads_count_and_a_full_heap_takes_none() {
    let two = memory(heap(512, 478, 2));
    let said = two.check_sticky(1024, 1 << 22).unwrap_err();
    assert!(said.starts_with("2 threads x 4194304 buckets x "), "{said}");
    assert!(said.ends_with(": 2097152 buckets would fit"), "{said}");
    let full = memory(heap(512, 10, 1));
    let said = full.check_sticky(1024, 2048).unwrap_err();
    assert!(
        said.ends_with("10 MiB of 512 MiB are free and 64 MiB kept for the rest of VPP: none would fit"),
        "{said}"
    );
    assert_eq!(full.check_sticky(4096, 2048), Ok(()), "each thread frees the larger table first");
    assert!(full.check_sticky(0, 1).is_err(), "0 is no table of that size");
}

#[test]
fn without_figures_there_is_a_careful_bound() {
    let mut memory = Memory::new(0);
    memory.note(Err("no stats".to_owned()));
    assert_eq!(memory.check_sticky(1024, 65_536), Ok(()));
    assert_eq!(memory.check_sticky(1 << 20, 1 << 18), Ok(()));
    assert_eq!(
        memory.check_sticky(1024, 131_072).unwrap_err(),
        "the figures of VPP's main heap cannot be read (no stats), and without them at most 65536 buckets are set"
    );
    assert_eq!(memory.room(), 256 * MIB);
    memory.spend(255 * MIB);
    assert_eq!(memory.room(), MIB);
    assert_eq!(
        memory.words(),
        "the figures of VPP's main heap cannot be read (no stats), and without them VIPs get 256 MiB"
    );
}

#[test]
fn what_was_written_counts_until_the_figures_show_it() {
    let mut memory = memory(heap(1024, 900, 1));
    assert_eq!(memory.room(), (900 - 128) * MIB);
    memory.spend(100 * MIB);
    assert_eq!(memory.room(), (800 - 128) * MIB);
    // VPP may have refreshed its figures before the write.
    memory.note(Ok(Heap { heartbeat: 8, ..heap(1024, 900, 1) }));
    assert_eq!(memory.room(), (800 - 128) * MIB);
    memory.note(Ok(Heap { heartbeat: 9, ..heap(1024, 800, 1) }));
    assert_eq!(memory.room(), (800 - 128) * MIB);
}

#[test]
fn tables_that_no_packet_has_met_yet_count_too() {
    let mut memory = memory(heap(1024, 900, 2));
    memory.set_sticky(1 << 20);
    let tables = memory.heap.unwrap().sticky_bytes(1 << 20);
    assert_eq!(memory.room(), (900 - 128) * MIB - tables);
    // One thread has received a packet.
    memory.note(Ok(Heap { heartbeat: 20, free: 900 * MIB - tables / 2, ..heap(1024, 900, 2) }));
    assert_eq!(memory.room(), (900 - 128) * MIB - tables);
    memory.note(Ok(Heap { heartbeat: 30, free: 900 * MIB - tables, ..heap(1024, 900, 2) }));
    assert_eq!(memory.room(), (900 - 128) * MIB - tables);
}

/// A model of VPP's heap and its threads' tables, by its source: each thread frees its table and allocates
/// the next.
struct Vpp {
    free: u64,
    tables: Threads<Option<u32>>,
}

impl Vpp {
    /// Sends each thread a packet; false if VPP died.
    fn packets(&mut self, buckets: u32) -> bool {
        self.tables.iter_mut().all(|table| {
            let bytes = |buckets: u32| STICKY_BUCKET * (u64::from(buckets) + 2);
            self.free += table.take().map_or(0, bytes);
            let left = self.free.checked_sub(bytes(buckets));
            (self.free, *table) = (left.unwrap_or(0), Some(buckets));
            left.is_some()
        })
    }
}

proptest! {
    /// Any sequence of changes, with and without packets in between: no accepted change kills VPP, and the
    /// largest value named in a refusal is accepted.
    #[test]
    fn no_change_that_is_let_through_kills_vpp(
        total in 64u64..4096,
        base in 20u64..60,
        threads in 1usize..9,
        changes in proptest::collection::vec((0u32..=24, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let total = total * MIB;
        let mut vpp = Vpp { free: total - base * MIB, tables: vec![None; threads].into() };
        let (mut buckets, mut heartbeat) = (1024, 0);
        let mut memory = Memory::new(0);
        if !vpp.packets(buckets) {
            return Ok(());
        }
        for (bits, packets, vips) in changes {
            heartbeat += 2;
            let threads = threads as u64;
            memory.note(Ok(Heap { total, free: vpp.free, threads, heartbeat }));
            // If the tables that VPP still has to allocate exceed its heap, only a packet to every thread
            // settles it.
            let wanted = 1 << bits;
            match memory.check_sticky(buckets, wanted) {
                Ok(()) => {
                    buckets = wanted;
                    memory.set_sticky(buckets);
                }
                Err(said) => {
                    let fits = said.rsplit(": ").next().unwrap().split(' ').next().unwrap();
                    if let Ok(most) = fits.parse::<u32>() {
                        prop_assert!(most.is_power_of_two() && most < wanted, "{said}");
                        prop_assert!(memory.check_sticky(1, most).is_ok(), "{said}");
                        prop_assert!(memory.check_sticky(1, most * 2).is_err() || most == MOST_STICKY_BUCKETS);
                    }
                }
            }
            if vips {
                let bytes = memory.room() / 2;
                memory.spend(bytes);
                prop_assert!(vpp.free >= bytes);
                vpp.free -= bytes;
            }
            if packets {
                prop_assert!(vpp.packets(buckets), "dead of {buckets} buckets");
            }
        }
        prop_assert!(vpp.packets(buckets), "dead of {buckets} buckets");
    }
}

/// A VPP 26.10 with a heap of 512 MiB and no workers.
#[test]
fn the_figures_of_a_real_vpp_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/stats-26.10.bin.gz");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
    let found = vppapi::stats::Snapshot::from_bytes(&bytes).read(Heap::read).unwrap();
    assert_eq!(found, Heap { total: 512 * MIB, free: 503_765_248, threads: 1, heartbeat: 23 });
    let memory = memory(found);
    assert!(memory.check_sticky(1024, 1 << 22).is_ok() && memory.check_sticky(1024, 1 << 23).is_err());
}
