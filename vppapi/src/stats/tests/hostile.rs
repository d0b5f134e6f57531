//! Malicious segments.

use proptest::prelude::*;

use super::*;

/// Reads everything in every way; returns the number of successful reads.
fn read_all(snapshot: &Snapshot) -> usize {
    let read = snapshot.read(|view| {
        let mut sound = 0;
        for entry in view.directory()? {
            let name = &entry.name;
            sound += usize::from(view.scalar(name).is_ok());
            sound += usize::from(view.simple_counters(name).is_ok());
            sound += usize::from(view.combined_counters(name).is_ok());
            sound += usize::from(view.simple_sums(name, &[0, 7, u32::MAX]).is_ok());
            sound += usize::from(view.combined_sums(name, &[0, 7, u32::MAX]).is_ok());
            sound += usize::from(view.names(name).is_ok());
        }
        Ok(sound)
    });
    read.unwrap_or(0)
}

/// The start of the recorded segment, with everything that its directory refers to.
fn start_of_recording() -> Vec<u64> {
    build_words(&recording()[..1 << 20])
}

fn build_words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

fn damaged(change: impl FnOnce(&mut Vec<u64>), read: impl Fn(&View<'_>) -> Result<(), StatsError>) -> String {
    let mut words = small_segment().words();
    change(&mut words);
    let error = build::snapshot(&words).read(|view| read(view)).unwrap_err();
    assert!(matches!(error, StatsError::Damaged { .. }), "{error}");
    error.to_string()
}

/// The word before a vector's first element, which contains its length.
fn length_before(pointer: u64) -> usize {
    usize::try_from((pointer - BASE) / 8).unwrap() - 1
}

#[test]
fn pointers_that_lead_nowhere_are_errors() {
    let open = |_: &View<'_>| Ok(());
    let error = damaged(|words| words[4] = BASE - 8, open);
    assert_eq!(
        error,
        "stats segment is damaged at the directory: pointer 0x7efffffffff8 lies before the segment (base 0x7f0000000000)"
    );
    assert!(damaged(|words| words[4] = BASE + 41, open).contains("is not aligned to 8 bytes"));
    assert!(damaged(|words| words[4] = u64::MAX - 7, open).contains("lies behind the segment"));
    assert!(damaged(|words| words[4] = BASE, open).contains("no length before pointer"));
    assert!(
        damaged(|words| words.truncate(words.len() - 1), open)
            .contains("13 elements of 144 bytes do not fit")
    );
    assert!(damaged(|words| words.truncate(4), open).contains("the segment is shorter"));
    let empty = Snapshot::from_bytes(&[]);
    assert!(matches!(empty.read(|_| Ok(())), Err(StatsError::Damaged { .. })));
}

#[test]
fn a_length_beyond_the_segment_is_an_error_before_anything_is_allocated() {
    let simple = |view: &View<'_>| view.simple_counters("simple").map(drop);
    let enlarge = |words: &mut Vec<u64>| {
        let threads = small_segment_pointer("simple");
        words[length_before(threads)] = u64::MAX;
    };
    assert!(damaged(enlarge, simple).contains("4294967295 elements of 8 bytes do not fit"));
}

#[test]
fn many_pointers_to_one_vector_cannot_multiply_it() {
    let mut segment = Builder::new();
    let long = segment.vector(10_000, &[1; 10_000]);
    let threads = segment.vector(10_000, &[long; 10_000]);
    for (name, kind) in [("simple", 2), ("names", 4)] {
        segment.entry(name, kind, threads);
    }
    let snapshot = segment.snapshot();
    let error = snapshot.read(|view| view.simple_counters("simple")).unwrap_err();
    assert!(error.to_string().contains("its vectors overlap"), "{error}");
    let error = snapshot.read(|view| view.names("names")).unwrap_err();
    assert!(error.to_string().contains("its vectors overlap"), "{error}");
}

#[test]
fn many_pointers_to_one_vector_cannot_multiply_what_is_asked_for() {
    let mut segment = Builder::new();
    segment.vector(20_000, &[0; 20_000]);
    let short = segment.vector(2, &[1; 2]);
    let threads = segment.vector(10_000, &[short; 10_000]);
    segment.entry("simple", 2, threads);
    segment.entry("combined", 3, threads);
    let snapshot = segment.snapshot();
    let indexes: Vec<u32> = (0..1000).collect();
    assert_eq!(snapshot.read(|view| view.simple_sums("simple", &[0])).unwrap(), [Some(10_000)]);
    let error = snapshot.read(|view| view.simple_sums("simple", &indexes)).unwrap_err();
    assert!(error.to_string().contains("its vectors overlap"), "{error}");
    let error = snapshot.read(|view| view.combined_sums("combined", &indexes)).unwrap_err();
    assert!(error.to_string().contains("its vectors overlap"), "{error}");
}

#[test]
fn a_name_without_an_end_stays_within_its_field() {
    let mut segment = Builder::new();
    segment.entry(&"x".repeat(128), 1, 7);
    segment.entry("next", 1, 8);
    let snapshot = segment.snapshot();
    assert_eq!(snapshot.read(|view| view.scalar(&"x".repeat(128))).unwrap().as_u64(), 7);
    assert_eq!(snapshot.read(|view| view.scalar("next")).unwrap().as_u64(), 8);
}

fn small_segment_pointer(name: &str) -> u64 {
    let snapshot = small_segment().snapshot();
    let directory = snapshot.read(|view| view.directory()).unwrap();
    directory.into_iter().find(|entry| entry.name == name).unwrap().value
}

#[test]
fn the_start_of_the_recording_holds_all_of_it() {
    let (whole, start) = (Snapshot::from_bytes(&recording()), build::snapshot(&start_of_recording()));
    assert_eq!(read_all(&start), read_all(&whole));
    assert!(read_all(&start) > 6000);
}

/// Values that an attacker would choose.
fn hostile_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..200,
        (0_u64..2048).prop_map(|word| BASE + 8 * word),
        (0_u64..20_000).prop_map(|offset| BASE + offset),
        Just(u64::MAX),
        (0_u32..8, any::<u32>()).prop_map(|(low, high)| u64::from(low) | u64::from(high) << 32),
    ]
}

proptest! {
    #[test]
    fn random_bytes_give_values_or_errors(mut bytes in prop::collection::vec(any::<u8>(), 0..4000), version: bool) {
        if version && bytes.len() >= 32 {
            bytes[..8].copy_from_slice(&2_u64.to_ne_bytes());
            bytes[24..32].fill(0);
        }
        read_all(&Snapshot::from_bytes(&bytes));
    }

    #[test]
    fn a_mutated_segment_gives_values_or_errors(
        changes in prop::collection::vec((any::<prop::sample::Index>(), hostile_word()), 1..12),
        keep: prop::sample::Index,
        cut: bool,
    ) {
        let mut words = small_segment().words();
        for (at, value) in changes {
            let at = at.index(words.len());
            words[at] = value;
        }
        if cut {
            words.truncate(keep.index(words.len()));
        }
        read_all(&build::snapshot(&words));
    }
}

#[test]
fn a_mutated_recording_gives_values_or_errors() {
    let sound = start_of_recording();
    let base = sound[1];
    let mut random = fastrand::Rng::with_seed(26_10);
    for _ in 0..40 {
        let mut words = sound.clone();
        for _ in 0..random.usize(1..2000) {
            let at = random.usize(4..words.len());
            words[at] = match random.u8(0..4) {
                0 => random.u64(..),
                1 => base + random.u64(0..1 << 20),
                2 => random.u64(0..1 << 20),
                _ => base + 8 * random.u64(0..1 << 17),
            };
        }
        read_all(&build::snapshot(&words));
    }
}
