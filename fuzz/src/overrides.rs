//! Target: the overrides file, which a disk may have damaged or a person edited.

use std::collections::BTreeSet;

use maglev_engine::overrides::{Override, Overrides, Parsed, parse, render};

/// Damaged lines that are listed, and bytes that are shown of each.
const MOST_LISTED: usize = 100;
const MOST_SHOWN: usize = 256;

/// The first three bytes select a further damage; the rest is the file. It is parsed as it is, and with the
/// checksums that version 1 requires, which a fuzzer cannot guess.
pub fn check(data: &[u8]) {
    let Some(([at, to, mask], file)) = data.split_first_chunk() else { return };
    judge(file);
    let Some(parsed) = judge(&mended(file)) else { return };

    let overrides = parsed.overrides;
    let text = render(&overrides).expect("what was read can be written");
    let whole = Ok(Parsed { overrides: overrides.clone(), ..Parsed::default() });
    assert_eq!(parse(text.as_bytes()), whole, "{text}");

    let at = usize::from(u16::from_be_bytes([*at, *to])) % text.len();
    // The line that begins here, and those behind it, may be torn off.
    let torn = judge(&text.as_bytes()[..at]).expect("torn, it is of no other version");
    let kept = text[..at].matches('\n').count().saturating_sub(2).min(overrides.len());
    lost(&overrides, &torn, overrides.len() - kept);

    let mut flipped = text.into_bytes();
    flipped[at] ^= mask;
    judge(&flipped).expect("with one byte changed, it is of no other version");
}

/// Reads any bytes; `None` if another version says that it wrote them.
fn judge(file: &[u8]) -> Option<Parsed> {
    let parsed = match parse(file) {
        Ok(parsed) => parsed,
        Err(other) => {
            let words = other.to_string();
            let own = (1..=3).map(|version| format!("has version {version} "));
            assert!(own.into_iter().all(|version| !words.contains(&version)), "{other}");
            return None;
        }
    };
    assert!(parsed.damaged.len() <= MOST_LISTED);
    assert!(parsed.unlisted == 0 || parsed.damaged.len() == MOST_LISTED);
    assert!(parsed.damaged.is_sorted_by(|one, next| one.line < next.line), "{:?}", parsed.damaged);
    let lines = file.split(|byte| *byte == b'\n').count();
    for damage in &parsed.damaged {
        assert!((1..=lines + 1).contains(&damage.line), "{damage}, of {lines}");
        assert!(damage.text.len() <= MOST_SHOWN, "{damage}");
        assert!(damage.text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{damage}");
    }
    let pieces = || file.split(|byte| b";\n".contains(byte)).map(<[u8]>::trim_ascii_end);
    let without_checksum = |piece: &[u8]| piece.get(..piece.len().checked_sub(9)?).map(<[u8]>::to_vec);
    let lines: BTreeSet<Vec<u8>> =
        pieces().map(<[u8]>::to_vec).chain(pieces().filter_map(without_checksum)).collect();
    let text = render(&parsed.overrides).expect("what was read can be written");
    for line in text.lines().skip(2).filter(|line| *line != "end") {
        // Versions 1 and 2 have no remarks.
        let bare = line.strip_suffix(" by=\"\" reason=\"\" until=cleared").unwrap_or(line);
        assert!([line, bare].iter().any(|line| lines.contains(line.as_bytes())), "invented: {line}");
    }
    Some(parsed)
}

/// Asserts that at most `most` entries are lost, that each loss is reported, and that none is altered.
fn lost(before: &Overrides, after: &Parsed, most: usize) {
    let entries: Vec<Override> = before.iter().collect();
    assert!(after.overrides.iter().all(|entry| entries.contains(&entry)), "{after:?} of {entries:?}");
    let lost = entries.len() - after.overrides.len();
    assert!(lost <= most, "{lost} lost: {after:?} of {entries:?}");
    assert!(lost == 0 || !after.damaged.is_empty(), "{lost} lost without a word");
}

/// The lines with the checksums that they need.
fn mended(file: &[u8]) -> Vec<u8> {
    let mut mended = Vec::new();
    for (number, line) in file.split(|byte| *byte == b'\n').enumerate() {
        // A line's checksum also covers the version, but the header's does not.
        let before: &[u8] = if number == 0 { b"" } else { b"1 " };
        let sum = crc32fast::hash(&[before, line].concat());
        mended.extend_from_slice(line);
        mended.extend_from_slice(format!(" {sum:08x};\n").as_bytes());
    }
    mended
}
