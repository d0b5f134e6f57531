//! Builds small segments with VPP's layout.

use super::super::Snapshot;

/// VPP's own address of the segment.
pub(super) const BASE: u64 = 0x7f00_0000_0000;

/// Words reserved for the header; VPP reserves more than it uses, too.
const HEADER_WORDS: usize = 16;

pub(super) struct Builder {
    words: Vec<u64>,
    entries: Vec<(String, u32, u64)>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { words: vec![0; HEADER_WORDS], entries: Vec::new() }
    }

    pub(super) fn entry(&mut self, name: &str, kind: u32, value: u64) {
        self.entries.push((name.to_owned(), kind, value));
    }

    pub(super) fn link(&mut self, name: &str, entry: u32, within: u32) {
        let [a, b] = [entry, within].map(u32::to_ne_bytes);
        let value = u64::from_ne_bytes([a, b].concat().try_into().unwrap());
        self.entry(name, 6, value);
    }

    /// Appends a vector of `count` elements with VPP's header; returns its pointer.
    pub(super) fn vector(&mut self, count: usize, words: &[u64]) -> u64 {
        let count = u32::try_from(count).unwrap().to_ne_bytes();
        let rest = [2, 3, 6, 0];
        self.words.push(u64::from_ne_bytes([count, rest].concat().try_into().unwrap()));
        let pointer = BASE + 8 * u64::try_from(self.words.len()).unwrap();
        self.words.extend_from_slice(words);
        pointer
    }

    fn threads(&mut self, threads: Vec<(usize, Vec<u64>)>) -> u64 {
        let pointers: Vec<u64> =
            threads.into_iter().map(|(count, words)| self.vector(count, &words)).collect();
        self.vector(pointers.len(), &pointers)
    }

    pub(super) fn simple(&mut self, threads: &[&[u64]]) -> u64 {
        self.threads(threads.iter().map(|counters| (counters.len(), counters.to_vec())).collect())
    }

    pub(super) fn combined(&mut self, threads: &[&[(u64, u64)]]) -> u64 {
        let words = |counters: &[(u64, u64)]| {
            counters.iter().flat_map(|(packets, bytes)| [*packets, *bytes]).collect()
        };
        self.threads(threads.iter().map(|counters| (counters.len(), words(counters))).collect())
    }

    /// Appends strings as VPP stores them, zero-terminated; an empty one is a null pointer.
    pub(super) fn names(&mut self, names: &[&str]) -> u64 {
        let string = |name: &&str| {
            if name.is_empty() { 0 } else { self.vector(name.len() + 1, &padded(name, name.len() / 8 + 1)) }
        };
        let pointers: Vec<u64> = names.iter().map(string).collect();
        self.vector(pointers.len(), &pointers)
    }

    pub(super) fn words(mut self) -> Vec<u64> {
        let mut directory = Vec::new();
        for (name, kind, value) in &self.entries {
            directory.push(u64::from_ne_bytes([kind.to_ne_bytes(), [0; 4]].concat().try_into().unwrap()));
            directory.push(*value);
            directory.extend(padded(name, 16));
        }
        let pointer = self.vector(self.entries.len(), &directory);
        self.words[..5].copy_from_slice(&[2, BASE, 583, 0, pointer]);
        self.words
    }

    pub(super) fn snapshot(self) -> Snapshot {
        snapshot(&self.words())
    }
}

pub(super) fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub(super) fn snapshot(words: &[u64]) -> Snapshot {
    Snapshot::from_bytes(&bytes(words))
}

fn padded(text: &str, words: usize) -> Vec<u64> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(words * 8, 0);
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}
