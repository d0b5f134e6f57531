mod build;
mod hostile;
mod live;

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::*;
use build::{BASE, Builder};

/// The recorded segment of VPP 26.10, as bytes.
fn recording() -> Vec<u8> {
    let file = std::fs::File::open(vectors().join("stats-26.10.bin.gz")).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 32 << 20);
    bytes
}

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

#[test]
fn the_recorded_segment_reads_as_an_independent_reader_found() {
    let expected = std::fs::read_to_string(vectors().join("stats-26.10.expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    let snapshot = Snapshot::from_bytes(&recording());
    let header = Header::read(&snapshot.words).unwrap();
    snapshot
        .read(|view| {
            for (name, value) in &expected {
                let found: Value = match name.as_str() {
                    scalar if scalar.starts_with("/sys/") => {
                        let scalar = view.scalar(scalar)?;
                        assert_eq!(scalar.as_f64().to_string(), scalar.as_u64().to_string());
                        scalar.as_u64().into()
                    }
                    "directory" => view.directory()?.len().into(),
                    "header" => serde_json::json!({
                        "version": snapshot.words[0],
                        "base": header.base,
                        "epoch": view.epoch(),
                        "in_progress": header.in_progress,
                        "directory_vector": header.directory_vector,
                    }),
                    "/net/route/to length" => {
                        view.combined_counters("/net/route/to")?.iter().map(Vec::len).collect()
                    }
                    "/net/route/to nonzero (thread, index, packets, bytes)" => {
                        let threads = view.combined_counters("/net/route/to")?;
                        let mut nonzero = Vec::new();
                        for (thread, counters) in threads.iter().enumerate() {
                            for (index, (packets, bytes)) in counters.iter().enumerate() {
                                if (*packets, *bytes) != (0, 0) {
                                    nonzero.push(serde_json::json!([thread, index, packets, bytes]));
                                }
                            }
                        }
                        nonzero.into()
                    }
                    counters => serde_json::json!(view.simple_counters(counters)?),
                };
                assert_eq!(&found, value, "{name}");
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(expected.len(), 11);
}

#[test]
fn the_recorded_segment_has_every_kind_of_entry_readable() {
    let snapshot = Snapshot::from_bytes(&recording());
    snapshot
        .read(|view| {
            assert_eq!(view.boot_time()?, 1_795_228_654);
            assert_eq!(view.names("/if/names")?, ["local0", "host-cli1", "host-srv1"]);
            let route_to = view.combined_sums("/net/route/to", &[30, 0, 41, u32::MAX])?;
            assert_eq!(route_to, [Some((39_527, 1_581_080)), Some((0, 0)), None, None]);
            let existing = view.simple_sums("packet from existing sessions", &[1, 2])?;
            assert_eq!(existing, [Some(38_480), None]);

            let entries = view.directory()?;
            let mut links = 0;
            for (index, entry) in (0..).zip(&entries) {
                if view.find(&entry.name) != Some(index) {
                    continue;
                }
                match entry.kind {
                    EntryKind::Scalar | EntryKind::Gauge => {
                        assert_eq!(view.scalar(&entry.name)?.bits(), entry.value)
                    }
                    EntryKind::SimpleCounters => assert_eq!(view.simple_counters(&entry.name)?.len(), 1),
                    EntryKind::CombinedCounters => assert_eq!(view.combined_counters(&entry.name)?.len(), 1),
                    EntryKind::Names => assert_eq!(view.names(&entry.name)?.len(), 3),
                    EntryKind::Symlink => {
                        let (target, within) = entry.link();
                        let target = &entries[usize::try_from(target).unwrap()];
                        let within = usize::try_from(within).unwrap();
                        if target.kind == EntryKind::SimpleCounters {
                            let all = view.simple_counters(&target.name)?;
                            assert_eq!(view.simple_counters(&entry.name)?, [[all[0][within]]]);
                        } else {
                            let all = view.combined_counters(&target.name)?;
                            assert_eq!(view.combined_counters(&entry.name)?, [[all[0][within]]]);
                        }
                        links += 1;
                    }
                    other => panic!("{} is {other:?}", entry.name),
                }
            }
            assert!(links > 3000, "{links} symlinks");
            Ok(())
        })
        .unwrap();
}

/// Two threads, three indexes; a scalar of each encoding; names; a symlink.
fn small_segment() -> Builder {
    let mut segment = Builder::new();
    segment.entry("/sys/boottime", 1, 1_795_228_654);
    segment.entry("/old/boottime", 1, 1_795_228_654.75_f64.to_bits());
    segment.entry("/gauge/zero", 9, 0);
    let simple = segment.simple(&[&[1, 2, 3], &[10, 20, 30]]);
    segment.entry("simple", 2, simple);
    let combined = segment.combined(&[&[(1, 100), (2, 200)], &[(3, 300), (4, 400), (5, 500)]]);
    segment.entry("combined", 3, combined);
    let names = segment.names(&["local0", "", "a name of more than eight bytes"]);
    segment.entry("names", 4, names);
    segment.entry("", 5, 0);
    segment.link("simple/1", 3, 1);
    segment.link("combined/2", 4, 2);
    segment.link("link to a link", 7, 0);
    segment.link("link to nowhere", 99, 0);
    segment.entry("nothing yet", 2, 0);
    segment.entry("new kind", 77, 5);
    segment
}

#[test]
fn counters_of_several_threads_stay_apart_or_are_summed() {
    let snapshot = small_segment().snapshot();
    snapshot
        .read(|view| {
            assert_eq!(view.simple_counters("simple")?, [[1, 2, 3], [10, 20, 30]]);
            assert_eq!(view.simple_sums("simple", &[2, 0, 3])?, [Some(33), Some(11), None]);
            let combined = view.combined_counters("combined")?;
            assert_eq!(combined, [vec![(1, 100), (2, 200)], vec![(3, 300), (4, 400), (5, 500)]]);
            assert_eq!(view.combined_sums("combined", &[0, 2])?, [Some((4, 400)), Some((5, 500))]);
            assert_eq!(view.simple_counters("simple/1")?, [[2], [20]]);
            assert_eq!(view.simple_sums("simple/1", &[0, 1])?, [Some(22), None]);
            assert_eq!(view.combined_counters("combined/2")?, [vec![], vec![(5, 500)]]);
            assert_eq!(view.names("names")?, ["local0", "", "a name of more than eight bytes"]);
            assert!(view.simple_counters("nothing yet")?.is_empty());
            assert_eq!(view.simple_sums("nothing yet", &[0])?, [None]);
            assert_eq!(view.directory()?[12].kind, EntryKind::Other(77));
            assert_eq!((view.find("names"), view.find("none"), view.find("")), (Some(5), None, None));
            Ok(())
        })
        .unwrap();
}

#[test]
fn scalars_of_both_encodings_are_sane() {
    let snapshot = small_segment().snapshot();
    let read = |name: &str| snapshot.read(|view| view.scalar(name)).unwrap();
    assert_eq!(
        (read("/sys/boottime").as_u64(), read("/sys/boottime").as_f64()),
        (1_795_228_654, 1_795_228_654.0)
    );
    assert_eq!(
        (read("/old/boottime").as_u64(), read("/old/boottime").as_f64()),
        (1_795_228_654, 1_795_228_654.75)
    );
    assert_eq!((read("/gauge/zero").as_u64(), read("/gauge/zero").as_f64()), (0, 0.0));
    assert_eq!(snapshot.read(|view| view.boot_time()).unwrap(), 1_795_228_654);
}

#[test]
fn what_is_not_there_or_of_another_kind_is_named() {
    let snapshot = small_segment().snapshot();
    let error = |name: &str| snapshot.read(|view| view.simple_counters(name)).unwrap_err().to_string();
    assert_eq!(error("none"), "the stats segment has no \"none\"");
    assert_eq!(error("names"), "\"names\" in the stats segment is Names, expected simple counters");
    assert_eq!(
        error("link to a link"),
        "\"link to a link\" in the stats segment is Symlink, expected simple counters"
    );
    assert_eq!(error("link to nowhere"), "stats segment is damaged at directory entry 99: there are only 13");
    assert!(matches!(snapshot.read(|view| view.scalar("simple")), Err(StatsError::WrongKind { .. })));
    assert!(matches!(snapshot.read(|view| view.names("simple")), Err(StatsError::WrongKind { .. })));
}

#[test]
fn a_copy_taken_during_a_change_is_not_trusted() {
    let mut words = small_segment().words();
    words[3] = 1;
    let snapshot = build::snapshot(&words);
    assert!(matches!(snapshot.read(|_| Ok(())), Err(StatsError::Busy { .. })));
    words[3] = 0;
    words[0] = 1;
    let error = build::snapshot(&words).read(|_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "stats segment of version 1 found, expected 2");
}
