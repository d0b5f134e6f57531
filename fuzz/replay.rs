//! Gives a check what the fuzzer kept, as it is and damaged, and what chance makes. For the tests `fuzzed`.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// Cases for each target; a second's worth of them.
const CASES: u32 = 2000;

/// Longest damaged input, in bytes; as long as the fuzzer makes them.
const LONGEST: usize = 8192;

/// The files kept for a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs a target's check on its corpus, on damaged copies of it, and on bytes of no origin.
pub fn replay(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    corpus.iter().for_each(|input| check(input));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    runner
        .run(&prop_oneof![9 => damaged(corpus), 1 => any::<Vec<u8>>()], |input| {
            check(&input);
            Ok(())
        })
        .unwrap();
}

/// A kept input with bytes overwritten, its end from another one, and its length cut.
fn damaged(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let one = prop::sample::select(corpus.clone());
    let other = prop::option::of((prop::sample::select(corpus), any::<Index>(), any::<Index>()));
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..8);
    (one, other, bytes, prop::option::of(any::<Index>())).prop_map(|(mut input, other, bytes, cut)| {
        if let Some((other, from, to)) = other {
            input.truncate(to.index(input.len() + 1));
            input.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
        for (at, byte) in bytes {
            if !input.is_empty() {
                let at = at.index(input.len());
                input[at] = byte;
            }
        }
        let kept = cut.map_or(LONGEST, |cut| cut.index(input.len() + 1));
        input.truncate(kept.min(LONGEST));
        input
    })
}
