use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use proptest::prelude::*;
use vppapi::stats::Snapshot;

use super::{Damage, Figures, SEGMENT_SIZE, Segment, StatsError, Target};
use crate::fib::Traffic;
use crate::lb::{Counters, Heap};

/// Memory that checks each write like a reader: vectors move only while a change is in progress.
#[derive(Debug, Clone, Default)]
struct Shared(Rc<RefCell<Image>>);

#[derive(Debug)]
struct Image {
    bytes: Vec<u8>,
    writes: usize,
}

impl Default for Image {
    fn default() -> Self {
        Self { bytes: vec![0; SEGMENT_SIZE], writes: 0 }
    }
}

impl Target for Shared {
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut image = self.0.borrow_mut();
        let end = offset + bytes.len();
        image.bytes[offset..end].copy_from_slice(bytes);
        image.writes += 1;
        Ok(())
    }
}

impl Image {
    fn u32_at(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.bytes[offset..offset + 4].try_into().unwrap())
    }

    fn u64_at(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.bytes[offset..offset + 8].try_into().unwrap())
    }

    fn vector(&self, offset: usize) -> (usize, usize) {
        let start = usize::try_from(self.u64_at(offset) - self.u64_at(8)).unwrap();
        (start, self.u32_at(start - 8) as usize)
    }

    /// Epoch, and whether a change is in progress.
    fn state(&self) -> (u64, bool) {
        (self.u64_at(16), self.u64_at(24) != 0)
    }

    /// Every entry: scalars as one row of one, counters as they are.
    fn read(&self) -> BTreeMap<String, Vec<Vec<u64>>> {
        assert_eq!(self.u64_at(0), 2);
        let (directory, length) = self.vector(32);
        (0..length).map(|index| self.entry(directory + 144 * index)).collect()
    }

    fn entry(&self, at: usize) -> (String, Vec<Vec<u64>>) {
        let name = &self.bytes[at + 16..at + 144];
        let name = String::from_utf8(name.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
        let rows = match self.u32_at(at) {
            1 | 9 => vec![vec![self.u64_at(at + 8)]],
            6 => vec![vec![self.u32_at(at + 8).into(), self.u32_at(at + 12).into()]],
            kind @ (2 | 3) => {
                let (threads, length) = self.vector(at + 8);
                assert_eq!(length, 1);
                let (values, length) = self.vector(threads);
                let words = length * if kind == 2 { 1 } else { 2 };
                vec![(0..words).map(|index| self.u64_at(values + 8 * index)).collect()]
            }
            other => panic!("{name} is of type {other}"),
        };
        (name, rows)
    }
}

fn segment() -> (Segment<Shared>, Shared) {
    let memory = Shared::default();
    (Segment::new(memory.clone(), 1_795_228_654).unwrap(), memory)
}

fn figures<'a>(vips: &'a [Counters], routes: &'a [Traffic]) -> Figures<'a> {
    Figures { vips, routes, heartbeat: 0, last_update: 0, heap: Heap::default(), workers: 0 }
}

fn words(entries: &BTreeMap<String, Vec<Vec<u64>>>, name: &str) -> Vec<u64> {
    entries.get(name).unwrap_or_else(|| panic!("{name} is missing"))[0].clone()
}

#[test]
fn a_fresh_segment_has_what_every_vpp_has() {
    let (_, memory) = segment();
    let image = memory.0.borrow();
    assert_eq!(image.state(), (1, false));
    let entries = image.read();
    assert_eq!(words(&entries, "/sys/boottime"), [1_795_228_654]);
    assert_eq!(words(&entries, "/sys/heartbeat"), [0]);
    assert_eq!(words(&entries, "/sys/num_worker_threads"), [0]);
    assert_eq!(words(&entries, "/sys/vector_rate_per_worker"), [0]);
    assert_eq!(words(&entries, "/net/route/to"), [0_u64; 0]);
    assert!(!entries.contains_key("no server configured"), "VPP makes it with the first VIP");
}

#[test]
fn counters_appear_with_the_first_vip_and_change_in_place() {
    let (mut segment, memory) = segment();
    let routes = [Traffic::default(), Traffic { packets: 3, bytes: 120, via_packets: 2, via_bytes: 128 }];
    segment.publish(&figures(&[[0; 4]], &routes)).unwrap();
    assert_eq!(words(&memory.0.borrow().read(), "/net/route/to"), [0, 0, 3, 120]);
    assert_eq!(words(&memory.0.borrow().read(), "/net/route/via"), [0, 0, 2, 128]);
    assert!(!memory.0.borrow().read().contains_key("first session packet"));
    segment.publish(&figures(&[[0; 4], [11, 12, 13, 14]], &routes)).unwrap();
    let entries = memory.0.borrow().read();
    assert_eq!(words(&entries, "packet from existing sessions"), [0, 11]);
    assert_eq!(words(&entries, "first session packet"), [0, 12]);
    assert_eq!(words(&entries, "untracked packet"), [0, 13]);
    assert_eq!(words(&entries, "no server configured"), [0, 14]);
    let state = memory.0.borrow().state();
    segment.publish(&figures(&[[0; 4], [21, 12, 13, 0]], &routes)).unwrap();
    let entries = memory.0.borrow().read();
    assert_eq!(words(&entries, "packet from existing sessions"), [0, 21]);
    assert_eq!(words(&entries, "no server configured"), [0, 0]);
    assert_eq!(memory.0.borrow().state(), state, "values change without a new epoch");
}

#[test]
fn heap_and_workers_have_the_layout_of_the_recording() {
    let (mut segment, memory) = segment();
    let heap = Heap { total: 512 << 20, used: 33_105_664 };
    segment.publish(&Figures { heap, workers: 3, ..figures(&[], &[]) }).unwrap();
    let entries = memory.0.borrow().read();
    assert_eq!(
        words(&entries, "/mem/main heap")[..5],
        [536_870_912, 33_105_664, 503_765_248, 0, 536_870_912]
    );
    assert_eq!(words(&entries, "/mem/main heap").len(), 7);
    assert_eq!(words(&entries, "/sys/num_worker_threads"), [3]);
    let read = |segment: &mut Segment<Shared>, churns: usize| {
        (0..churns).for_each(|_| segment.churn().unwrap());
        let image = Snapshot::from_bytes(&memory.0.borrow().bytes);
        ["used", "total", "free"]
            .map(|name| image.read(|view| view.simple_counters(&format!("/mem/main heap/{name}"))).unwrap())
    };
    let expected = [33_105_664, 536_870_912, 503_765_248].map(|value| vec![vec![value]]);
    assert_eq!(read(&mut segment, 0), expected);
    assert_eq!(read(&mut segment, 3), expected);
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let (mut segment, memory) = segment();
    let routes = [Traffic { packets: 1, bytes: 2, ..Traffic::default() }];
    segment.publish(&figures(&[[0; 4], [1; 4]], &routes)).unwrap();
    let writes = memory.0.borrow().writes;
    segment.publish(&figures(&[[0; 4], [1; 4]], &routes)).unwrap();
    assert_eq!(memory.0.borrow().writes, writes);
    segment
        .publish(&Figures { heartbeat: 1, last_update: 10, ..figures(&[[0; 4], [1; 4]], &routes) })
        .unwrap();
    assert_eq!(memory.0.borrow().writes, writes + 2);
    let entries = memory.0.borrow().read();
    assert_eq!((words(&entries, "/sys/heartbeat"), words(&entries, "/sys/last_update")), (vec![1], vec![10]));
}

#[test]
fn a_full_segment_is_an_error() {
    let (mut segment, _) = segment();
    let routes = vec![Traffic::default(); SEGMENT_SIZE / 16];
    let error = segment.publish(&figures(&[], &routes)).unwrap_err();
    assert!(matches!(error, StatsError::Full { .. }), "{error}");
}

#[test]
fn thousands_of_vips_fit() {
    let (mut segment, memory) = segment();
    let mut vips = vec![[0; 4]];
    for index in 1..=2000 {
        vips.push([index; 4]);
        let routes = vec![Traffic { packets: 1, bytes: 40, ..Traffic::default() }; vips.len() * 5];
        segment.publish(&figures(&vips, &routes)).unwrap();
    }
    let entries = memory.0.borrow().read();
    assert_eq!(words(&entries, "first session packet")[2000], 2000);
    assert_eq!(words(&entries, "/net/route/to").len(), 2 * 2001 * 5);
}

/// The epoch, then length of the directory, place and length of every vector.
type Shape = (u64, Vec<usize>);

/// Lets every write through to a check of what a reader would see.
#[derive(Debug, Clone, Default)]
struct Watched {
    memory: Shared,
    last: Rc<RefCell<Option<Shape>>>,
}

impl Target for Watched {
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_at(offset, bytes)?;
        let image = self.memory.0.borrow();
        if image.u64_at(24) != 0 || image.u64_at(32) == 0 {
            return Ok(());
        }
        let (directory, length) = image.vector(32);
        let mut shape = vec![length];
        for at in (0..length).map(|index| directory + 144 * index) {
            if matches!(image.u32_at(at), 2 | 3) {
                let threads = image.vector(at + 8).0;
                let (start, length) = image.vector(threads);
                shape.extend([start, length]);
            }
        }
        let now = (image.u64_at(16), shape);
        if let Some(last) = self.last.borrow().as_ref() {
            assert!(last.0 != now.0 || last.1 == now.1, "vectors moved within an epoch");
        }
        *self.last.borrow_mut() = Some(now);
        Ok(())
    }
}

#[test]
fn churn_moves_everything_changes_nothing_and_needs_no_more_room() {
    let (mut segment, memory) = segment();
    let vips: Vec<_> = (0..100).map(|vip| [vip; 4]).collect();
    let routes = [Traffic { packets: 3, bytes: 120, via_packets: 2, via_bytes: 128 }; 9];
    segment.publish(&figures(&vips, &routes)).unwrap();
    let before = memory.0.borrow().read();
    for step in 1..=450_u64 {
        let places = memory.0.borrow().vector(32);
        let epoch = memory.0.borrow().state().0;
        segment.churn().unwrap();
        let image = memory.0.borrow();
        assert_ne!(image.vector(32).0, places.0, "the directory stayed");
        assert_eq!(image.state(), (epoch + 1, false));
        let mut after = image.read();
        let (rx, drops) = (after.remove("/if/rx").unwrap(), after.remove("/if/drops").unwrap());
        let interfaces = 1 + usize::try_from(step).unwrap() % 200;
        assert_eq!((rx, drops), (vec![vec![step; 2 * interfaces]], vec![vec![step; interfaces]]));
        assert_eq!(after, before);
    }
}

#[test]
fn a_busy_segment_stays_busy_over_changes() {
    let (mut segment, memory) = segment();
    segment.set_busy(true).unwrap();
    assert!(memory.0.borrow().state().1);
    segment.publish(&figures(&[[0; 4], [1; 4]], &[Traffic::default()])).unwrap();
    segment.churn().unwrap();
    assert!(memory.0.borrow().state().1 && segment.is_busy());
    segment.set_busy(false).unwrap();
    assert!(!memory.0.borrow().state().1);
}

#[test]
fn the_directory_grows_up_to_its_limit() {
    let (mut segment, memory) = segment();
    segment.add_fillers(10_000).unwrap();
    let entries = memory.0.borrow().read();
    assert_eq!(words(&entries, "/vppsim/filler/1"), [1]);
    assert_eq!(words(&entries, "/vppsim/filler/10000"), [10_000]);
    assert_eq!(words(&entries, "/sys/boottime"), [1_795_228_654]);
    let error = segment.add_fillers(10_000).unwrap_err();
    assert!(matches!(error, StatsError::DirectoryFull), "{error}");
    assert_eq!(memory.0.borrow().read().len(), 20_000);
    assert!(!memory.0.borrow().state().1);
}

#[test]
fn damage_shows_to_a_reader_and_is_repaired() {
    let (mut segment, memory) = segment();
    let routes = [Traffic { packets: 3, bytes: 120, via_packets: 2, via_bytes: 128 }];
    segment.publish(&figures(&[[0; 4], [7; 4]], &routes)).unwrap();
    let read = || {
        let image = Snapshot::from_bytes(&memory.0.borrow().bytes);
        image.read(|view| view.simple_sums("first session packet", &[1]))
    };
    for damage in [Damage::Version, Damage::Directory, Damage::Pointers, Damage::Lengths] {
        segment.set_damage(Some(damage)).unwrap();
        // A counter that grows is written again, and must not repair it.
        segment.churn().unwrap();
        assert!(read().is_err(), "{damage:?}");
        segment.set_damage(None).unwrap();
        assert_eq!(read().unwrap(), [Some(7)], "{damage:?}");
    }
}

proptest! {
    #[test]
    fn vectors_never_move_within_an_epoch(
        steps in prop::collection::vec((1_usize..300, 0_usize..300, 0_usize..3, 0_usize..12), 1..12),
    ) {
        let target = Watched::default();
        let mut segment = Segment::new(target.clone(), 0).unwrap();
        for (step, (vips, routes, churns, fillers)) in (1_u64..).zip(steps) {
            let vips = vec![[step; 4]; vips];
            let routes = vec![Traffic { packets: step, bytes: 2 * step, ..Traffic::default() }; routes];
            segment.publish(&figures(&vips, &routes)).unwrap();
            for _ in 0..churns {
                segment.churn().unwrap();
            }
            segment.add_fillers(fillers).unwrap();
            let entries = target.memory.0.borrow().read();
            prop_assert_eq!(words(&entries, "/net/route/to").len(), 2 * routes.len());
            if vips.len() > 1 {
                prop_assert_eq!(words(&entries, "first session packet"), vec![step; vips.len()]);
            }
        }
    }
}
