use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::overrides::Stamped;

/// 2026-11-21T13:05:05Z
const NOW: u64 = 1_795_266_305;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn backend(name: &str, state: BackendOverride) -> Override {
    Override::Backend { name: name.to_owned(), state, stamp: Stamp::at(at(NOW)) }
}

fn weight(weight: u8) -> Override {
    let [frontend, pool, backend] = ["www", "primary", "web1"].map(str::to_owned);
    Override::Weight {
        member: PoolMember { frontend, pool, backend },
        weight,
        stamp: Stamp::at(at(NOW + 156)),
    }
}

fn overrides(entries: impl IntoIterator<Item = Override>) -> Overrides {
    let mut overrides = Overrides::default();
    for entry in entries {
        overrides.insert(entry);
    }
    overrides
}

fn some() -> Overrides {
    use BackendOverride::{Disabled, Enabled, Paused};
    overrides([backend("web1", Paused), backend("web2", Disabled), backend("b.3:80", Enabled), weight(30)])
}

/// A file of version 1 with these lines, and the checksums that they need.
fn file(lines: &[&str]) -> String {
    let header = format!("maglev-overrides 1 lines={}", lines.len());
    let sum = |covered: &str| crc32fast::hash(covered.as_bytes());
    let lines = lines.iter().map(|line| format!("{line} {:08x};\n", sum(&format!("1 {line}"))));
    format!("{header} {:08x};\n{}", sum(&header), lines.collect::<String>())
}

/// The same overrides in a file of version 1.
fn old(overrides: &Overrides) -> String {
    let lines: Vec<_> = overrides.iter().map(|entry| words(&entry)).collect();
    file(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A file of version 2 with these lines.
fn plain(lines: &[&str]) -> String {
    let lines = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    format!("{HEADER_2};\n# A hint.\n{lines}end\n")
}

/// What an older version knew of them.
fn bare(overrides: &Overrides) -> Overrides {
    let stripped = overrides.iter().map(|mut entry| {
        entry.stamp_mut().remark = Remark::default();
        entry
    });
    self::overrides(stripped)
}

fn with_remark(mut entry: Override, remark: Remark) -> Override {
    entry.stamp_mut().remark = remark;
    entry
}

fn whole(overrides: Overrides) -> Result<Parsed, OtherVersion> {
    Ok(Parsed { overrides, damaged: Vec::new(), unlisted: 0 })
}

/// Number of entries lost. Asserts that none is altered, and none lost without being reported.
fn lost(bytes: &[u8], before: &Overrides) -> usize {
    let after = parse(bytes).unwrap();
    let shown = String::from_utf8_lossy(bytes);
    let entries: Vec<Override> = before.iter().collect();
    assert!(after.overrides.iter().all(|entry| entries.contains(&entry)), "{shown} gave {after:?}");
    let lost = entries.len() - after.overrides.len();
    assert!(lost == 0 || !after.damaged.is_empty(), "{shown} lost {lost} without a word");
    lost
}

/// The error for a file with this single line, which both versions refuse.
fn refusal(line: &str) -> &'static str {
    let [what, old] = [(plain(&[line]), 3), (file(&[line]), 2)].map(|(file, number)| {
        let parsed = parse(file.as_bytes()).unwrap();
        assert!(parsed.overrides.is_empty(), "{line}");
        let [damage] = &parsed.damaged[..] else { panic!("{line}: {:?}", parsed.damaged) };
        assert_eq!(damage.line, number);
        damage.what
    });
    assert_eq!(what, old, "{line}");
    what
}

#[test]
fn the_form_is_this() {
    // Checksums computed by zlib.
    let remark = Remark {
        who: Some("user anna (uid 1000)".into()),
        reason: "RAM \"swap\"; é".to_owned(),
        until: Some(at(NOW + 7200)),
    };
    let both = overrides([with_remark(backend("web1", BackendOverride::Paused), remark), weight(30)]);
    let text = render(&both).unwrap();
    assert_eq!(
        text,
        "maglev-overrides 3 58e54af3;\n\
         # Edit only while maglev-brain is stopped. Every line has the time since which it holds, who set it, why, and \
         when it is cleared; the last line is `end`.\n\
         backend web1 paused 2026-11-21T13:05:05Z by=\"user anna (uid 1000)\" \
         reason=\"RAM \\u0022swap\\u0022\\u003b \\u00e9\" until=2026-11-21T15:05:05Z\n\
         weight www primary web1 30 2026-11-21T13:07:41Z by=\"\" reason=\"\" until=cleared\n\
         end\n"
    );
    assert_eq!(parse(text.as_bytes()), whole(both));
    let none = render(&Overrides::default()).unwrap();
    assert_eq!(parse(none.as_bytes()), whole(Overrides::default()), "{none}");
    assert_eq!(HEADER, format!("{MAGIC} {VERSION} {}", checksum(&[&format!("{MAGIC} {VERSION}")])));
}

#[test]
fn file_of_version_1_is_read() {
    let text = "maglev-overrides 1 lines=2 d048db35;\n\
                backend web1 paused 2026-11-21T13:05:05Z 06285240;\n\
                weight www primary web1 30 2026-11-21T13:07:41Z 9479cf32;\n";
    let both = overrides([backend("web1", BackendOverride::Paused), weight(30)]);
    assert_eq!(old(&both), text);
    assert_eq!(parse(text.as_bytes()), whole(both));
    assert_eq!(parse(file(&[]).as_bytes()), whole(Overrides::default()));
}

#[test]
fn file_may_be_edited() {
    let text = render(&some()).unwrap();
    let edits: [fn(&str) -> String; 6] = [
        |text| text.replace('\n', "\r\n"),
        |text| text.replace('\n', "  \n\n"),
        |text| text.replace("# Edit", "# Not by me; never "),
        |text| text.replace("end\n", "# maintenance; ticket 4711\nend"),
        // Appended by a shell.
        |text| {
            let line = "backend web2 disabled 2026-11-21T13:05:05Z by=\"\" reason=\"\" until=cleared\n";
            text.replacen(line, "", 1) + line
        },
        // In an old file.
        |_| old(&some()) + "# a note\n",
    ];
    for edit in edits {
        let edited = edit(&text);
        assert_eq!(parse(edited.as_bytes()), whole(some()), "{edited}");
    }
    let line = "weight www primary web1 30 2026-11-21T13:07:41Z by=\"\" reason=\"\" until=cleared\n";
    let fewer = text.replace(line, "");
    let fewer = parse(fewer.as_bytes()).unwrap();
    assert_eq!((fewer.overrides.len(), fewer.damaged), (3, Vec::new()));
}

#[test]
fn a_cut_anywhere_loses_what_is_behind_it_and_tells() {
    for (text, lines_before) in [(render(&some()).unwrap(), 2), (old(&some()), 1)] {
        assert_eq!(lost(text.as_bytes(), &some()), 0);
        for end in 0..text.len() {
            let cut = &text[..end];
            let lost = lost(cut.as_bytes(), &some());
            let whole_lines = cut.matches('\n').count().saturating_sub(lines_before).min(some().len());
            let kept = some().len() - lost;
            // The last line may lack its line break.
            assert!(kept == whole_lines || kept == whole_lines + 1, "{cut}");
        }
    }
}

#[test]
fn a_change_of_any_byte_of_version_1_loses_one_line_at_most_and_tells() {
    let text = old(&some());
    let header = text.find(';').unwrap();
    for at in 0..text.len() {
        for mask in 1..=u8::MAX {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= mask;
            let most = usize::from(at > header);
            assert!(lost(&bytes, &some()) <= most, "byte {at} changed by {mask:#04x}");
            if (1..header).contains(&at) {
                let damaged = parse(&bytes).unwrap().damaged;
                assert_eq!(damaged[0].what, "is not the expected header", "{damaged:?}");
            }
        }
    }
}

#[test]
fn a_line_of_version_1_that_is_gone_is_missed() {
    let text = old(&some());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for gone in 0..lines.len() {
        let mut kept = lines.clone();
        kept.remove(gone);
        assert_eq!(lost(kept.concat().as_bytes(), &some()), usize::from(gone > 0));
        assert_eq!(parse(kept.concat().as_bytes()).unwrap().damaged_lines(), 1);
    }
    let [damage] = &parse(lines[..3].concat().as_bytes()).unwrap().damaged[..] else { panic!() };
    assert_eq!(damage.to_string(), "line 4 is missing, and perhaps more: the file ends too early");
}

#[test]
fn a_line_of_version_1_that_lost_its_checksum_does_not_count() {
    // One byte of a name has changed, and the file ends before the checksum that would reveal it.
    let text = old(&overrides([backend("web1", BackendOverride::Paused)])).replace("web1", "wob1");
    let (torn, _) = text.rsplit_once(' ').unwrap();
    for torn in [torn, torn.strip_prefix('m').unwrap()] {
        let parsed = parse(torn.as_bytes()).unwrap();
        assert!(parsed.overrides.is_empty(), "{parsed:?}");
        assert_eq!(parsed.damaged.last().unwrap().what, "has no checksum");
    }
}

#[test]
fn an_empty_file_is_damaged() {
    for empty in [&b""[..], b"\n", b"\n;;\n\n"] {
        let parsed = parse(empty).unwrap();
        assert!(parsed.overrides.is_empty());
        let [damage] = &parsed.damaged[..] else { panic!("{:?}", parsed.damaged) };
        assert_eq!(damage.to_string(), "line 1 is missing: the file is empty");
    }
}

#[test]
fn lines_without_a_header_still_count() {
    for (text, line) in [(render(&some()).unwrap(), 2), (old(&some()), 1)] {
        let (_, lines) = text.split_once('\n').unwrap();
        let parsed = parse(lines.as_bytes()).unwrap();
        assert_eq!(parsed.overrides, some());
        let [damage] = &parsed.damaged[..] else { panic!("{:?}", parsed.damaged) };
        let words = format!("line {line} is not the expected header: \"backend b.3:80");
        assert!(damage.to_string().starts_with(&words), "{damage}");
    }
}

#[test]
fn what_is_written_otherwise_is_refused_with_the_reason() {
    let time = "2026-11-21T13:05:05Z";
    let cases = [
        ("backend web1 paused yesterday", "has a malformed time"),
        ("backend web1 asleep 2026-11-21T13:05:05Z", "has a state that this program does not know"),
        ("frontend www paused 2026-11-21T13:05:05Z", "is of a kind that this program does not know"),
        ("backend web1 paused", "is of a kind that this program does not know"),
        ("backend web1 paused 2026-11-21T13:05:05.5Z", "is not in this program's format"),
        ("backend -web1 paused 2026-11-21T13:05:05Z", BAD_NAME),
        ("backend web\t1 paused 2026-11-21T13:05:05Z", BAD_NAME),
        ("backend  paused 2026-11-21T13:05:05Z", BAD_NAME),
        ("weight www primary web1 101 2026-11-21T13:05:05Z", BAD_WEIGHT),
        ("weight www primary web1 256 2026-11-21T13:05:05Z", BAD_WEIGHT),
        ("weight www primary web1 -1 2026-11-21T13:05:05Z", BAD_WEIGHT),
        ("weight www primary web1 030 2026-11-21T13:05:05Z", "is not in this program's format"),
        ("weight www primary web1 +30 2026-11-21T13:05:05Z", "is not in this program's format"),
    ];
    for (line, reason) in cases {
        assert_eq!(refusal(line), reason, "{line}");
    }
    assert_eq!(refusal(&format!("backend {} paused {time}", "a".repeat(65))), BAD_NAME);
    assert_eq!(refusal("backend é"), "has bytes that are not ASCII");
    let long = format!("backend {} paused {time}", "a".repeat(LONGEST_LINE));
    let damaged = parse(file(&[&long]).as_bytes()).unwrap().damaged;
    assert_eq!((damaged[0].what, damaged[0].text.len()), ("is too long", 256));
}

#[test]
fn what_is_set_twice_stays_as_it_was_set_first() {
    let lines = ["backend a paused 2026-11-21T13:05:05Z", "backend a disabled 2026-11-21T13:05:06Z"];
    let parsed = parse(file(&lines).as_bytes()).unwrap();
    assert_eq!(parsed.overrides, overrides([backend("a", BackendOverride::Paused)]));
    let [damage] = &parsed.damaged[..] else { panic!("{:?}", parsed.damaged) };
    assert!(damage.to_string().starts_with("line 3 sets what an earlier line has set: \"backend a disabled"));
}

#[test]
fn another_version_is_refused_as_a_whole() {
    for version in [0, 4, 4_000_000_000_u32] {
        let header = format!("maglev-overrides {version} in a form of its own");
        let sum = crc32fast::hash(header.as_bytes());
        let lines = file(&["backend a paused 2026-11-21T13:05:05Z"]).split_off(38);
        let refusal = parse(format!("{header} {sum:08x};\n{lines}").as_bytes()).unwrap_err();
        assert_eq!(refusal, OtherVersion { version });
        let expected = format!("it has version {version} of the format, and this program knows version 3");
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn a_line_of_another_version_does_not_count_when_its_header_is_lost() {
    let line = "backend a paused 2026-11-21T13:05:05Z";
    let sum = crc32fast::hash(format!("2 {line}").as_bytes());
    let parsed = parse(format!("maglev-over\n{line} {sum:08x};\n").as_bytes()).unwrap();
    assert!(parsed.overrides.is_empty());
    assert_eq!(parsed.damaged[1].what, "does not fit its checksum");
}

#[test]
fn of_many_damaged_lines_the_first_are_listed() {
    let text = render(&some()).unwrap() + &"?;?\n".repeat(5000);
    let parsed = parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.overrides, some());
    assert_eq!((parsed.damaged.len(), parsed.unlisted, parsed.damaged_lines()), (100, 4900, 5000));
    assert_eq!(parsed.damaged[99].line, 107);
}

#[test]
fn what_no_configuration_can_have_is_not_written() {
    let refusal = |entry| render(&overrides([entry])).unwrap_err().to_string();
    assert_eq!(
        refusal(backend("web 1", BackendOverride::Paused)),
        "\"backend web 1: paused\" cannot be written: it has an invalid name"
    );
    assert_eq!(
        refusal(weight(101)),
        "\"weight of web1 in pool primary of frontend www: 101\" cannot be written: it has a weight that is not a \
         number from 0 to 100"
    );
    render(&overrides([weight(100)])).unwrap();
}

#[test]
fn the_longest_line_fits_and_its_names_are_those_of_a_configuration() {
    let name = "a".repeat(64);
    let member = PoolMember { frontend: name.clone(), pool: name.clone(), backend: name };
    let longest = overrides([Override::Weight { member, weight: 100, stamp: Stamp::at(at(NOW)) }]);
    let text = render(&longest).unwrap();
    assert_eq!(text.lines().map(str::len).max(), Some(256));
    let old = old(&longest);
    assert_eq!(old.lines().map(str::len).max(), Some(235 + ";".len()));
    for text in [text, old] {
        assert_eq!(parse(text.as_bytes()), whole(longest.clone()));
    }
    let texts = [LONGEST_WHO, LONGEST_REASON].map(|length| "𝄞".repeat(length));
    let remark =
        Remark { who: Some(texts[0].as_str().into()), reason: texts[1].clone(), until: Some(at(NOW)) };
    let longest = overrides(longest.iter().map(|entry| with_remark(entry, remark.clone())));
    let text = render(&longest).unwrap();
    assert_eq!(text.lines().map(str::len).max(), Some(LONGEST_LINE - 1));
    assert_eq!(parse(text.as_bytes()), whole(longest.clone()));
    let long = Remark { reason: texts[1].clone() + "x", ..Remark::default() };
    let long = overrides(longest.iter().map(|entry| with_remark(entry, long.clone())));
    assert_eq!(render(&long).unwrap_err().what, BAD_REMARK);

    let configured = |name: &str| {
        let backends = serde_json::json!({name: {"address": "10.0.0.1"}});
        let text = serde_json::json!({"maglev": {"vpp": {"lb": {}}, "backends": backends}}).to_string();
        crate::config::parse("test.yaml", &text).is_ok()
    };
    let names = (0..=0x7f_u8).map(|byte| format!("a{}", char::from(byte)));
    let lengths = [0, 1, 63, 64, 65].map(|length| "x".repeat(length));
    for name in names.chain(lengths).chain(["-a", "-", "+a", "é", ".."].map(str::to_owned)) {
        assert_eq!(is_name(&name), configured(&name), "{name:?}");
    }
}

#[test]
fn times_that_do_not_fit_are_the_nearest_that_do() {
    let read_back = |since| {
        let entry = Override::Backend {
            name: "a".to_owned(),
            state: BackendOverride::Paused,
            stamp: Stamp::at(since),
        };
        let text = render(&overrides([entry])).unwrap();
        parse(text.as_bytes()).unwrap().overrides.iter().next().map(|entry| entry.since())
    };
    assert_eq!(read_back(at(NOW) + Duration::from_millis(999)), Some(at(NOW)));
    assert_eq!(read_back(UNIX_EPOCH - Duration::from_secs(5)), Some(UNIX_EPOCH));
    assert_eq!(read_back(at(253_402_300_799)), Some(at(253_402_300_799)));
    assert_eq!(read_back(at(253_402_300_800)), Some(at(253_402_300_799)));
}

fn any_overrides() -> impl Strategy<Value = Overrides> {
    use BackendOverride::{Disabled, Enabled, Paused};
    let name = || "[A-Za-z0-9._:/@+][A-Za-z0-9._:/@+-]{0,63}";
    let state = prop::sample::select(vec![Paused, Disabled, Enabled]);
    let since = || (0..=253_402_300_799_u64).prop_map(at);
    let member = (name(), name(), name());
    let member = member.prop_map(|(frontend, pool, backend)| PoolMember { frontend, pool, backend });
    let text = |longest| proptest::string::string_regex(&format!(".{{0,{longest}}}")).unwrap();
    let remark = move || {
        let (who, until) = (prop::option::of(text(LONGEST_WHO)), prop::option::of(since()));
        (who, text(LONGEST_REASON), until).prop_map(|(who, reason, until)| Remark {
            who: who.filter(|who| !who.is_empty()).map(Into::into),
            reason,
            until,
        })
    };
    let stamp = move || (since(), remark()).prop_map(|(since, remark)| Stamp { since, remark });
    let stamped = |(value, stamp)| Stamped { value, stamp };
    let backends = prop::collection::btree_map(name(), (state, stamp()).prop_map(stamped), 0..8);
    let weighed = (0..=100_u8, stamp()).prop_map(|(value, stamp)| Stamped { value, stamp });
    let weights = prop::collection::btree_map(member, weighed, 0..8);
    let drain = prop::sample::select(Drain::ALL.to_vec());
    let lb = prop::option::of((drain, stamp()).prop_map(|(value, stamp)| Stamped { value, stamp }));
    let all = (backends, weights, lb);
    all.prop_map(|(backends, weights, lb): (BTreeMap<_, _>, _, _)| Overrides { backends, weights, lb })
}

proptest! {
    #[test]
    fn what_is_written_is_read(overrides in any_overrides()) {
        for (text, overrides) in [(render(&overrides).unwrap(), &overrides), (old(&overrides), &bare(&overrides))] {
            prop_assert_eq!(parse(text.as_bytes()), whole(overrides.clone()));
        }
    }

    #[test]
    fn a_changed_and_torn_file_of_version_1_gives_no_other_overrides(
        overrides in any_overrides(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let overrides = bare(&overrides);
        let mut bytes = old(&overrides).into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        lost(&bytes, &overrides);
    }

    #[test]
    fn any_bytes_give_no_overrides_and_are_told(bytes: Vec<u8>) {
        let parsed = parse(&bytes).unwrap();
        prop_assert!(parsed.overrides.is_empty());
        prop_assert!(!parsed.damaged.is_empty());
    }
}
