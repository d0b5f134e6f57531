//! Target: a stats segment, read in every way.

use std::fmt::Debug;

use vppapi::stats::{Snapshot, StatsError, View};

/// The whole is the segment; its last 8 bytes are also two of the indexes that are asked for.
pub fn check(data: &[u8]) {
    let snapshot = Snapshot::from_bytes(data);
    let [i0, i1, i2, i3, j0, j1, j2, j3] = data.last_chunk().copied().unwrap_or_default();
    let indexes =
        [0, 1, 7, u32::MAX, u32::from_ne_bytes([i0, i1, i2, i3]) % 64, u32::from_ne_bytes([j0, j1, j2, j3])];
    match snapshot.read(|view| read_all(view, &indexes, data.len())) {
        Ok(()) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read_all(view: &View<'_>, indexes: &[u32], bytes: usize) -> Result<(), StatsError> {
    let directory = view.directory()?;
    assert!(directory.len() * 144 <= bytes, "{} entries in {bytes} bytes", directory.len());
    assert_eq!(view.boot_time().ok(), view.scalar("/sys/boottime").ok().map(|scalar| scalar.as_u64()));
    for entry in &directory {
        let name = entry.name.as_str();
        let first = directory.iter().position(|other| other.name == name);
        let found = view.find(name).and_then(|index| usize::try_from(index).ok());
        assert_eq!(found, first.filter(|_| !name.is_empty()), "{name:?}");

        let simple = view.simple_counters(name);
        let sums = view.simple_sums(name, indexes);
        compare(simple, sums, indexes, bytes / 8, |one, other| one.wrapping_add(other));
        let combined = view.combined_counters(name);
        let sums = view.combined_sums(name, indexes);
        compare(combined, sums, indexes, bytes / 16, |(packets, bytes), (more_packets, more_bytes)| {
            (packets.wrapping_add(more_packets), bytes.wrapping_add(more_bytes))
        });
        if let Ok(scalar) = view.scalar(name) {
            assert!(scalar.as_u64() == scalar.bits() || scalar.as_f64().to_bits() == scalar.bits());
        }
        if let Ok(names) = view.names(name) {
            // A byte that is no text becomes a character of three.
            let length: usize = names.iter().map(String::len).sum();
            assert!(names.len() * 8 + length / 3 <= bytes, "{} names in {bytes} bytes", names.len());
        }
    }
    Ok(())
}

/// All counters of an entry against the sums of some of them; `room` is how many the segment has room for.
fn compare<T: Copy + Debug + PartialEq>(
    counters: Result<Vec<Vec<T>>, StatsError>,
    sums: Result<Vec<Option<T>>, StatsError>,
    indexes: &[u32],
    room: usize,
    add: impl Fn(T, T) -> T,
) {
    let Ok(threads) = counters else { return };
    assert!(threads.iter().map(Vec::len).sum::<usize>() <= room, "more counters than the segment holds");
    let sums = match sums {
        Ok(sums) => sums,
        // Sums are bounded by what is asked for, which may be more than there is.
        Err(error) => {
            assert!(threads.len() * (indexes.len() + 1) > room, "{error}");
            return;
        }
    };
    assert_eq!(sums.len(), indexes.len());
    for (index, sum) in indexes.iter().zip(sums) {
        let index = usize::try_from(*index).expect("usize has 64 bits");
        let counts = threads.iter().filter_map(|thread| thread.get(index).copied());
        assert_eq!(sum, counts.reduce(&add), "index {index}");
    }
}
