//! Target: keys and values of a fleet in its store, to which others write as well.

use std::fmt::Debug;

use maglev_engine::fleet::records::{
    Intent, Key, LARGEST_TEXT, LARGEST_VALUE, MemberInfo, MemberState, Name, Record, Refusal, Revision,
    Rollout, Sha256, TableLength, Tables, decode, encode, prefix,
};
use maglev_engine::votes::Votes;

/// Maximum length of the words of a refusal, in characters.
const LONGEST_REFUSAL: usize = 700;

/// The first byte selects what the rest is.
pub fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 9 {
        0 => {
            if let Some(revision) = judge::<Revision>(bytes) {
                let text = revision.text().expect("what was accepted can be unpacked");
                assert!(text.len() <= LARGEST_TEXT);
                assert_eq!(Sha256::of(text.as_bytes()), revision.sha256);
            }
        }
        1 => {
            if let Some(rollout) = judge::<Rollout>(bytes) {
                assert!(rollout.may.is_subset(&rollout.members), "{rollout:?}");
            }
        }
        2 => drop(judge::<Intent>(bytes)),
        3 => drop(judge::<TableLength>(bytes)),
        4 => drop(judge::<MemberInfo>(bytes)),
        5 => drop(judge::<MemberState>(bytes)),
        6 => drop(judge::<Tables>(bytes)),
        7 => drop(judge::<Votes>(bytes)),
        _ => key(bytes),
    }
}

/// Reads any bytes. What is accepted can be written, within the limit, and read again.
fn judge<R: Record + PartialEq + Debug>(bytes: &[u8]) -> Option<R> {
    let record = match decode::<R>(bytes) {
        Ok(record) => record,
        Err(refusal) => {
            let words = refusal.to_string();
            assert!(words.chars().count() <= LONGEST_REFUSAL, "{words}");
            assert!(!words.contains(char::is_control), "{words:?}");
            assert_ne!(refusal, Refusal::OtherFormat(1));
            return None;
        }
    };
    assert!(bytes.len() <= LARGEST_VALUE);
    let written = encode(&record).expect("what was accepted can be written");
    assert_eq!(decode::<R>(&written).as_ref(), Ok(&record));
    Some(record)
}

/// A key has one spelling, below its fleet's prefix.
fn key(bytes: &[u8]) {
    let fleet = Name::new("edge").expect("a name");
    let prefix = prefix(&fleet);
    let path = [prefix.as_bytes(), bytes].concat();
    if let Some(key) = Key::parse(&fleet, &path) {
        assert_eq!(key.path(&fleet).as_bytes(), path);
    }
    assert!(bytes.starts_with(prefix.as_bytes()) || Key::parse(&fleet, bytes).is_none());
}
