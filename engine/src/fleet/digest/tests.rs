use maglev_protocol::{Dialect, Encap, ProgrammedVip, ServerSpec};
use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;
use crate::fleet::records::{Problems, Record, Routes, Running, Sha256};
use crate::tests::moment;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn vip(last: u8) -> VipKey {
    VipKey::port([192, 0, 2, last].into(), 6, 80)
}

fn digest(last: u8) -> Digest {
    Digest { vip: vip(last), length: 1024, programmed: 1, servers: 2, decided: 1 }
}

fn state(revision: &str) -> MemberState {
    MemberState {
        running: Some(Running { revision: 7, sha256: Sha256::of(revision.as_bytes()) }),
        refused: None,
        intents: 5,
        local: 0,
        not_programmed: None,
        vpp: true,
        problems: Problems::default(),
        announces: true,
        routes: Routes::Normal,
        clock_ms: 0,
        instance: 0,
    }
}

fn reason(states: [&MemberState; 2], digests: [Option<Digest>; 2]) -> Option<Reason> {
    let tables = digests.map(|digest| Tables { vips: digest.into_iter().collect() });
    let [own, other] = [0, 1].map(|at| Side { state: states[at], tables: &tables[at] });
    let found = differences(&own, &[(name("lb2"), other)].into(), 5);
    assert!(found.len() <= 1);
    found.get(&(vip(1), name("lb2"))).copied()
}

/// Both ways round: a comparison does not depend on who makes it.
#[test]
fn each_difference_has_its_reason() {
    let same = state("a");
    let one = digest(1);
    let longer = Digest { length: 2048, ..one };
    let drifted = Digest { programmed: 2, ..one };
    let decided = Digest { programmed: 2, decided: 2, ..one };
    let absent = Digest { length: 0, programmed: 0, servers: 0, ..one };
    let away = MemberState { not_programmed: Some("VPP is away".to_owned()), ..same.clone() };
    let late = MemberState { intents: 4, ..same.clone() };
    let local = MemberState { local: 1, ..same.clone() };
    let other = state("b");
    for (state, digest, expected) in [
        (&same, Some(one), None),
        (&other, Some(one), None),
        (&same, Some(Digest { decided: 9, ..one }), None),
        (&same, Some(decided), Some(Reason::Vote)),
        (&late, Some(decided), Some(Reason::Intent)),
        (&local, Some(decided), Some(Reason::Intent)),
        (&local, Some(drifted), Some(Reason::Drift)),
        (&local, Some(longer), Some(Reason::TableLength)),
        (&other, Some(longer), Some(Reason::Config)),
        (&other, None, Some(Reason::Config)),
        (&same, None, Some(Reason::Config)),
        (&other, Some(absent), Some(Reason::NotProgrammed)),
        (&away, Some(longer), Some(Reason::NotProgrammed)),
    ] {
        assert_eq!(reason([&same, state], [Some(one), digest]), expected, "{state:?} {digest:?}");
        assert_eq!(reason([state, &same], [digest, Some(one)]), expected, "{state:?} {digest:?}");
    }
}

#[test]
fn a_difference_is_news_when_it_lasts() {
    let (begin, after) = (moment(), Duration::from_secs);
    let (patience, mut comparison) = (after(60), Comparison::default());
    let key = (vip(1), name("lb2"));
    let found = |reason| [(key.clone(), reason)].into();
    assert_eq!(comparison.see(&found(Reason::Vote), patience, begin), []);
    let due = comparison.next(patience).unwrap();
    assert_eq!(due, begin + patience + Duration::from_millis(1));
    // It ends in time, and begins again.
    assert_eq!(comparison.see(&BTreeMap::new(), patience, begin + after(50)), []);
    assert_eq!(comparison.next(patience), None);
    assert_eq!(comparison.see(&found(Reason::Vote), patience, begin + after(55)), []);
    assert_eq!(comparison.see(&found(Reason::Vote), patience, begin + after(115)), []);
    // Its reason changes meanwhile: it is the same difference.
    let told = comparison.see(&found(Reason::Intent), patience, comparison.next(patience).unwrap());
    let news = |reason| News { vip: key.0, member: key.1.clone(), reason };
    assert_eq!(told, [news(Some(Reason::Intent))]);
    assert_eq!(comparison.see(&found(Reason::Vote), patience, begin + after(200)), []);
    assert_eq!(comparison.next(patience), None);
    let standing: Vec<_> = comparison.standing().collect();
    assert_eq!(standing, [(&key.0, &key.1, begin + after(55), Reason::Vote)]);
    assert_eq!(comparison.see(&BTreeMap::new(), patience, begin + after(201)), [news(None)]);
    assert_eq!(comparison.standing().count(), 0);
}

#[test]
fn a_digest_says_what_vpp_has_of_what_was_decided() {
    let server = |last: u8| IpAddr::from([10, 0, 0, last]);
    let spec = |last: u8, weights: &[(u8, u8)]| VipSpec {
        key: vip(last),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: weights
            .iter()
            .map(|(last, weight)| (server(*last), ServerSpec { weight: *weight, flush: false }))
            .collect(),
    };
    let has = |last: u8, length: u32, weights: &[(u8, u8)]| ProgrammedVip {
        key: vip(last),
        new_flows_table_length: length,
        servers: weights.iter().map(|(last, weight)| (server(*last), *weight)).collect(),
    };
    let decided = [spec(2, &[(1, 5)]), spec(1, &[(1, 100), (2, 0)])];
    let vips = vec![has(1, 4096, &[(1, 100), (2, 0)]), has(9, 1024, &[])];
    let tables = tables(&decided, &Programmed { dialect: Dialect::Weighted, vips });
    assert_eq!(tables.check(), Ok(()));
    let [one, two] = tables.vips[..] else { panic!("{tables:?}") };
    assert_eq!((one.vip, one.length, one.servers, one.programmed), (vip(1), 4096, 2, one.decided));
    assert_eq!((two.vip, two.length, two.servers), (vip(2), 0, 0));
    assert_ne!(two.programmed, two.decided);
    // The hash must be the same in every version: `printf '10.0.0.1 5\n' | sha256sum`.
    assert_eq!(two.decided, hash([(server(1), 5)]));
    assert_eq!(format!("{:016x}", two.decided), "d32fd99aafb15380");
}

proptest! {
    #[test]
    fn a_hash_depends_on_the_servers_alone(
        servers in btree_map(any::<[u8; 4]>().prop_map(IpAddr::from), 0..=255_u8, 0..8),
        other in btree_map(any::<[u8; 4]>().prop_map(IpAddr::from), 0..=255_u8, 0..8),
    ) {
        let forwards = hash(servers.clone());
        prop_assert_eq!(forwards, hash(servers.clone().into_iter().rev()));
        prop_assert_eq!(forwards == hash(other.clone()), servers == other);
    }
}
