use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglev_protocol::{Prefix, VipKey};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::overrides::{BackendOverride, LONGEST_WHO, PoolMember};
use crate::votes::{Backends, MOST_LISTED, Votes};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn names() -> impl Strategy<Value = Name> {
    "[a-z0-9][a-z0-9-]{0,62}".prop_map(|text| name(&text))
}

fn configured() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:/@+][A-Za-z0-9._:/@+-]{0,63}"
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
    ]
}

fn vips() -> impl Strategy<Value = VipKey> {
    prop_oneof![
        addresses().prop_map(VipKey::all_ports),
        (addresses(), any::<u8>(), any::<u16>())
            .prop_map(|(address, protocol, port)| VipKey::port(address, protocol, port)),
        any::<[u8; 3]>().prop_map(|[a, b, c]| VipKey {
            prefix: Prefix { address: [a, b, c, 0].into(), length: 24 },
            protocol: 6,
            port: 80
        }),
    ]
}

fn intent_keys() -> impl Strategy<Value = IntentKey> {
    prop_oneof![
        configured().prop_map(IntentKey::Backend),
        (configured(), configured(), configured())
            .prop_map(|(frontend, pool, backend)| IntentKey::Weight(PoolMember { frontend, pool, backend })),
    ]
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<u64>().prop_map(Key::Config),
        Just(Key::Rollout),
        Just(Key::Proposal),
        intent_keys().prop_map(Key::Intent),
        vips().prop_map(Key::Length),
        names().prop_map(Key::Info),
        names().prop_map(Key::State),
        (names(), 0..TABLE_PARTS).prop_map(|(member, part)| Key::Tables(member, part)),
        names().prop_map(Key::Votes),
        names().prop_map(Key::Preview),
        names().prop_map(Key::Rival),
    ]
}

/// Printable text; 600 ideographs would be more than fits.
fn texts() -> impl Strategy<Value = String> {
    "[ -~äß漢…]{0,100}"
}

fn intents() -> impl Strategy<Value = Intent> {
    use BackendOverride::{Disabled, Enabled, Paused};
    let state = prop::sample::select(vec![Paused, Disabled, Enabled]).prop_map(Aim::Backend);
    let weight = (0..=100_u8, any::<bool>()).prop_map(|(weight, flush)| Aim::Weight { weight, flush });
    let aim = prop_oneof![state, weight];
    (aim, option::of(texts()), texts(), any::<u64>(), option::of(any::<u64>()))
        .prop_map(|(aim, who, why, since_ms, until_ms)| Intent { aim, who, why, since_ms, until_ms })
}

fn revisions() -> impl Strategy<Value = Revision> {
    (1_u64.., any::<String>(), option::of(texts()), any::<u64>(), texts()).prop_map(
        |(number, text, author, at_ms, comment)| {
            Revision::new(number, &text, author, at_ms, comment).unwrap()
        },
    )
}

fn rollouts() -> impl Strategy<Value = Rollout> {
    let stage = (0..5_u8, texts()).prop_map(|(stage, reason)| match stage {
        0 => Stage::Rest,
        1 => Stage::Done,
        2 => Stage::Failed { reason },
        3 => Stage::Aborted { reason },
        _ => Stage::RolledBack { reason },
    });
    let order = prop::sample::select(Order::ALL.to_vec());
    let numbers = (1_u64.., option::of(1_u64..), 0..604_800_000_u64, any::<u64>());
    (btree_set(names(), 0..9), stage, order, numbers, any::<[bool; 9]>(), texts()).prop_map(
        |(members, stage, order, (revision, back_to, soak_ms, at), chosen, comment)| {
            let some = members.iter().zip(chosen).filter(|(_, chosen)| *chosen);
            let may: BTreeSet<_> = some.map(|(name, _)| name.clone()).collect();
            let plan = Plan { canary: may.iter().take(2).cloned().collect(), soak_ms, order };
            let (since_ms, begun_ms, who) = (at, at, None);
            Rollout { revision, back_to, plan, members, stage, may, since_ms, begun_ms, who, comment }
        },
    )
}

fn states() -> impl Strategy<Value = MemberState> {
    let running = option::of(
        (any::<u64>(), any::<String>())
            .prop_map(|(revision, text)| Running { revision, sha256: Sha256::of(text.as_bytes()) }),
    );
    let refused =
        option::of((any::<[u64; 2]>(), texts()).prop_map(|([revision, begun_ms], reason)| Refused {
            revision,
            reason,
            begun_ms,
        }));
    let problems = any::<[u64; 4]>().prop_map(|[downs, sync_errors, drift, withdrawn]| Problems {
        downs,
        sync_errors,
        drift,
        withdrawn,
    });
    let routes = prop::sample::select(vec![Routes::Normal, Routes::Withdrawing]);
    (running, refused, problems, routes, option::of(texts()), any::<[u64; 4]>(), any::<[bool; 2]>()).prop_map(
        |(
            running,
            refused,
            problems,
            routes,
            not_programmed,
            [intents, local, clock_ms, instance],
            [vpp, announces],
        )| {
            MemberState {
                running,
                refused,
                intents,
                local,
                not_programmed,
                vpp,
                problems,
                announces,
                routes,
                clock_ms,
                instance,
            }
        },
    )
}

fn tables() -> impl Strategy<Value = Tables> {
    let digest = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u64>());
    vec((vips(), digest), 0..20).prop_map(|mut vips| {
        vips.sort_by_key(|(vip, _)| *vip);
        vips.dedup_by_key(|(vip, _)| *vip);
        let vips = vips.into_iter().map(|(vip, (length, programmed, servers, decided))| Digest {
            vip,
            length,
            programmed,
            servers,
            decided,
        });
        Tables { vips: vips.collect() }
    })
}

fn backends() -> impl Strategy<Value = Backends> {
    prop_oneof![
        Just(Backends::Everything),
        btree_set("[a-z0-9][a-z0-9./@+_:-]{0,63}", 0..20).prop_map(Backends::These)
    ]
}

fn votes() -> impl Strategy<Value = Votes> {
    ("[0-9a-f]{16}", backends(), backends()).prop_map(|(subject, down, unknown)| Votes {
        subject,
        down,
        unknown,
    })
}

/// Written, read again, and read with a field that a later version may have.
fn comes_back<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
    let bytes = encode(record).unwrap();
    assert_eq!(decode::<R>(&bytes).as_ref(), Ok(record), "{}", String::from_utf8_lossy(&bytes));
    let later = [b"{\"of a later version\":[{\"a\":1}],", &bytes[1..]].concat();
    assert_eq!(decode::<R>(&later).as_ref(), Ok(record));
    let other = String::from_utf8(bytes).unwrap().replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(decode::<R>(other.as_bytes()), Err(Refusal::OtherFormat(2)));
}

fn all_refuse_or_read(bytes: &[u8]) {
    drop(decode::<Revision>(bytes));
    drop(decode::<Rollout>(bytes));
    drop(decode::<Intent>(bytes));
    drop(decode::<TableLength>(bytes));
    drop(decode::<MemberInfo>(bytes));
    drop(decode::<MemberState>(bytes));
    drop(decode::<Tables>(bytes));
    drop(decode::<Votes>(bytes));
    drop(decode::<Rival>(bytes));
    drop(Key::parse(&name("edge"), bytes));
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        intent in intents(), revision in revisions(), rollout in rollouts(), state in states(), tables in tables(),
        votes in votes(), length in 0..=16_u32, member in names(),
    ) {
        comes_back(&intent);
        comes_back(&revision);
        comes_back(&rollout);
        comes_back(&state);
        comes_back(&tables);
        comes_back(&votes);
        comes_back(&TableLength { length: 1 << length });
        comes_back(&Rival { instance: state.instance, since_ms: state.clock_ms });
        comes_back(&MemberInfo { name: member, version: "0.2.0".to_owned(), first_seen_ms: 1 });
    }

    #[test]
    fn a_key_has_one_spelling(key in keys(), fleet in names(), other in names()) {
        let path = key.path(&fleet);
        prop_assert!(path.starts_with(&prefix(&fleet)));
        prop_assert_eq!(Key::parse(&fleet, path.as_bytes()), Some(key));
        if other != fleet {
            prop_assert_eq!(Key::parse(&other, path.as_bytes()), None);
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,80}", path in "/maglev/edge/[a-z]{0,9}/.{0,20}") {
        all_refuse_or_read(&bytes);
        all_refuse_or_read(format!("{{\"format\":1,{text}}}").as_bytes());
        if let Some(key) = Key::parse(&name("edge"), path.as_bytes()) {
            prop_assert_eq!(key.path(&name("edge")), path);
        }
    }

    #[test]
    fn a_damaged_value_is_refused_or_valid(
        state in states(), rollout in rollouts(), revision in revisions(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for mut bytes in [encode(&state).unwrap(), encode(&rollout).unwrap(), encode(&revision).unwrap()] {
            let at = at.index(bytes.len());
            all_refuse_or_read(&bytes[..at]);
            bytes[at] = byte;
            all_refuse_or_read(&bytes);
            if let Ok(read) = decode::<Revision>(&bytes) {
                prop_assert_eq!(Sha256::of(read.text().unwrap().as_bytes()), read.sha256);
            }
            if let Ok(read) = decode::<Rollout>(&bytes) {
                prop_assert!(encode(&read).is_ok());
            }
        }
    }

    #[test]
    fn a_cleaned_text_can_be_written(text in any::<String>()) {
        let why = clean(&text, LONGEST_REASON);
        prop_assert_eq!(check_text("it", &why, LONGEST_REASON), Ok(()));
        prop_assert!(text.len() < 40 || !why.is_empty());
    }
}

#[test]
fn a_refusal_says_why() {
    let refusal = |text: &str| decode::<Intent>(text.as_bytes()).unwrap_err().to_string();
    let too_large = decode::<Votes>(&vec![b' '; LARGEST_VALUE + 1]).unwrap_err().to_string();
    assert_eq!(too_large, "it has 1048577 bytes, more than the 1048576 that are accepted");
    for (text, words) in [
        ("", "it is damaged: it is not a JSON object"),
        ("[1]", "it is damaged: it is not a JSON object"),
        ("{\"format\":1", "it is damaged: EOF while parsing"),
        ("{}", "it has no `format`"),
        ("{\"format\":7}", "it has format 7, and this version of maglev knows only format 1: upgrade"),
        ("{\"format\":\"1\"}", "it is damaged: invalid type: string"),
        ("{\"format\":1}", "it is damaged: missing field `aim`"),
        (
            r#"{"format":1,"aim":{"backend":"asleep"},"since_ms":1}"#,
            "it is damaged: unknown variant `asleep`",
        ),
        (
            r#"{"format":1,"aim":{"weight":{"weight":101}},"since_ms":1}"#,
            "it is invalid: weight 101 is not from 0 to 100",
        ),
        (
            r#"{"format":1,"aim":{"backend":"paused"},"since_ms":1,"why":"a\u001b[2J"}"#,
            "it is invalid: `why` contains U+001B, which is not printable",
        ),
    ] {
        assert!(refusal(text).starts_with(words), "{text}: {}", refusal(text));
    }
}

#[test]
fn names_are_those_that_everything_accepts() {
    let longest = "a".repeat(LONGEST_NAME);
    for good in ["lb1", "0", "a-b-", &longest] {
        assert_eq!(name(good).as_str(), good);
    }
    let longer = "a".repeat(LONGEST_NAME + 1);
    for bad in ["", "-a", "LB1", "a_b", "a/b", "a.b", "ä", "a b", &longer] {
        assert!(Name::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn keys_are_as_documented() {
    let path = |key: Key| key.path(&name("edge"));
    let member = |backend: &str| PoolMember {
        frontend: "www/ü".replace('ü', "u"),
        pool: "p".to_owned(),
        backend: backend.to_owned(),
    };
    let vip = VipKey::port([192, 0, 2, 1].into(), 6, 80);
    assert_eq!(path(Key::Config(7)), "/maglev/edge/config/0000000007");
    assert_eq!(path(Key::Rollout), "/maglev/edge/rollout");
    assert_eq!(
        path(Key::Intent(IntentKey::Backend("web1:80".to_owned()))),
        "/maglev/edge/intents/backend/web1:80"
    );
    let weight = Key::Intent(IntentKey::Weight(member("a@b")));
    assert_eq!(path(weight), "/maglev/edge/intents/weight/www%2Fu/p/a%40b");
    assert_eq!(path(Key::Length(vip)), "/maglev/edge/lengths/192.0.2.1-tcp-80");
    let vip = VipKey::all_ports(Ipv6Addr::LOCALHOST.into());
    assert_eq!(path(Key::Length(vip)), "/maglev/edge/lengths/::1-all");
    assert_eq!(path(Key::State(name("lb1"))), "/maglev/edge/members/lb1/state");
    for stranger in [
        "config/7",
        "config/00000000007",
        "config/x",
        "intents/backend/web1%3a80",
        "intents/backend/web1%3A80",
        "intents/backend/a b",
        "intents/backend/",
        "lengths/192.0.2.01-tcp-80",
        "lengths/192.0.2.1-6-80",
        "lengths/192.0.2.1%2F33-tcp-80",
        "members/LB/state",
        "members/lb1/other",
        "members/lb1/state/",
        "",
    ] {
        let path = format!("/maglev/edge/{stranger}");
        assert_eq!(Key::parse(&name("edge"), path.as_bytes()), None, "{path}");
    }
}

#[test]
fn a_value_is_plain_json() {
    let intent = Intent {
        aim: Aim::Weight { weight: 30, flush: true },
        who: Some("anna".to_owned()),
        why: String::new(),
        since_ms: 1,
        until_ms: None,
    };
    assert_eq!(
        String::from_utf8(encode(&intent).unwrap()).unwrap(),
        r#"{"format":1,"aim":{"weight":{"weight":30,"flush":true}},"who":"anna","why":"","since_ms":1,"until_ms":null}"#
    );
    let digest = Digest {
        vip: VipKey::port([192, 0, 2, 1].into(), 17, 53),
        length: 1024,
        programmed: 1,
        servers: 2,
        decided: u64::MAX,
    };
    assert_eq!(
        String::from_utf8(encode(&Tables { vips: vec![digest] }).unwrap()).unwrap(),
        r#"{"format":1,"vips":[{"vip":"192.0.2.1-udp-53","length":1024,"programmed":"0000000000000001","servers":2,"decided":"ffffffffffffffff"}]}"#
    );
}

#[test]
fn texts_have_limits() {
    let text = |length: usize| "a".repeat(length);
    assert_eq!(
        Revision::new(1, &text(LARGEST_TEXT + 1), None, 1, String::new()),
        Err(Unpackable::TooLarge(LARGEST_TEXT + 1))
    );
    let largest = Revision::new(1, &text(LARGEST_TEXT), None, 1, String::new()).unwrap();
    comes_back(&largest);
    // As a hostile member would write it: valid, but unpacked too large.
    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut bomb, &vec![b'a'; LARGEST_TEXT + 1]).unwrap();
    let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bomb.finish().unwrap());
    let sum = Sha256::of(text(LARGEST_TEXT + 1).as_bytes());
    let value = format!(r#"{{"format":1,"number":1,"sha256":"{sum}","at_ms":1,"text":"{packed}"}}"#);
    let refusal = decode::<Revision>(value.as_bytes()).unwrap_err().to_string();
    assert_eq!(refusal, "it is invalid: its text has more than 16777216 bytes");
    let who = Some(text(LONGEST_WHO + 1));
    let intent =
        Intent { aim: Aim::Backend(BackendOverride::Paused), who, why: text(1), since_ms: 1, until_ms: None };
    assert_eq!(
        encode(&intent).unwrap_err().to_string(),
        "it is invalid: `who` has 129 characters, more than 128"
    );
}

#[test]
fn the_largest_lists_fit_a_value() {
    let address = |number: u128| IpAddr::from(Ipv6Addr::from(u128::MAX - number));
    let listed = |from: usize, count: usize| {
        Backends::of((from..from + count).map(|number| format!("{number:0>64}")).collect())
    };
    let (down, unknown) = (listed(0, MOST_LISTED), listed(MOST_LISTED, MOST_LISTED));
    assert!(matches!(&down, Backends::These(names) if names.len() == MOST_LISTED));
    let subject = "f".repeat(16);
    assert!(encode(&Votes { subject: subject.clone(), down, unknown: unknown.clone() }).is_ok());
    assert_eq!(listed(0, MOST_LISTED + 1), Backends::Everything);
    let nameless = Backends::of(["a b".to_owned()].into());
    assert!(encode(&Votes { subject, down: nameless, unknown }).is_err());
    let digest = |number: u128| Digest {
        vip: VipKey::port(address(number), 200, u16::MAX),
        length: u32::MAX,
        programmed: 0,
        servers: u32::MAX,
        decided: 0,
    };
    let mut vips: Vec<_> = (0..MOST_VIPS as u128).map(digest).collect();
    vips.reverse();
    assert!(encode(&Tables { vips }).is_ok());
}

proptest! {
    #[test]
    fn parts_of_tables_are_the_tables_and_a_change_is_in_one_of_them(
        keys in proptest::collection::btree_set(vips(), 1..80),
        changed in any::<proptest::sample::Index>(),
    ) {
        let digest = |vip| Digest { vip, length: 1024, programmed: 1, servers: 1, decided: 1 };
        let tables = Tables { vips: keys.into_iter().map(digest).collect() };
        let parts = tables.parts();
        prop_assert_eq!(&Tables::of_parts(parts.values()), &tables);
        prop_assert!(parts.contains_key(&0) && parts.keys().all(|part| *part < TABLE_PARTS));
        prop_assert!(parts.values().all(|part| part.check().is_ok()));
        let mut other = tables.clone();
        other.vips[changed.index(tables.vips.len())].programmed = 2;
        let differ = other.parts().iter().filter(|(part, tables)| parts.get(part) != Some(tables)).count();
        prop_assert_eq!(differ, 1);
    }
}

#[test]
fn table_length_that_vpp_cannot_have_is_refused() {
    for length in [0, 1000, 1 << 17, 1_u32 << 31] {
        let value = format!(r#"{{"format":1,"length":{length}}}"#);
        let refused = decode::<TableLength>(value.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(&format!("{length} buckets")), "{refused}");
    }
}

#[test]
fn tables_without_vips_have_a_part_and_vips_that_are_in_two_parts_are_taken_once() {
    assert_eq!(Tables::default().parts(), [(0, Tables::default())].into());
    let vip = VipKey::port([192, 0, 2, 1].into(), 6, 80);
    let part = Tables { vips: vec![Digest { vip, length: 1024, programmed: 1, servers: 1, decided: 1 }] };
    assert_eq!(Tables::of_parts([&part, &part]), part);
}
