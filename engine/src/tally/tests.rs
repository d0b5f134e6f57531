use maglev_protocol::{FullRead, StepError, VipKey, VipReport};

use super::*;
use crate::outcome::ProbeOutcome;

fn vip(number: u8) -> VipKey {
    VipKey::all_ports([203, 0, 113, number].into())
}

fn report(changes: Vec<Change>, errors: usize) -> SyncReport {
    let error = StepError { step: "add server".into(), code: Some(-6), meaning: "no such entry".into() };
    let vip = VipReport { key: vip(1), changes, table_length: None, errors: vec![error; errors] };
    SyncReport { vips: vec![vip], ..SyncReport::default() }
}

#[test]
fn each_kind_of_write_has_its_own_counter() {
    let tally = BrainTally::default();
    let server = [10, 0, 0, 1].into();
    tally.count_sync(&report(
        vec![
            Change::VipAdded,
            Change::VipRemoved,
            Change::VipRecreated { reason: "table length".into() },
            Change::ServerAdded { server, weight: 1 },
            Change::ServerRemoved { server, flushed: true },
            Change::Reweighted { server, from: 1, to: 0, flushed: true },
            Change::Reweighted { server, from: 0, to: 1, flushed: false },
            Change::Flushed { server, weight: 1 },
            Change::VipFlushed,
        ],
        0,
    ));
    let steps: Vec<_> = StepKind::ALL.into_iter().map(|(kind, word)| (word, tally.steps(kind))).collect();
    let expected = [
        ("added", 1),
        ("removed", 1),
        ("reweighted", 2),
        ("flushed", 1),
        ("vip_added", 1),
        ("vip_removed", 1),
        ("vip_recreated", 1),
        ("vip_flushed", 1),
    ];
    assert_eq!(steps, expected);
    assert_eq!(tally.flushes.get(), 3);
}

#[test]
fn syncs_are_told_apart_by_what_they_read_and_what_came_of_them() {
    let tally = BrainTally::default();
    assert_eq!(tally.foreign(), None);
    tally.count_sync(&report(Vec::new(), 0));
    tally.count_sync(&report(Vec::new(), 2));
    let foreign = vec![vip(7), vip(8)];
    let read = Some(FullRead { vips: 3, servers: 9 });
    let drift = vec!["a server is gone".to_owned()];
    tally.count_sync(&SyncReport { read, foreign, drift, ..report(Vec::new(), 0) });
    let counts = |syncs: &SyncCounts| (syncs.ok.get(), syncs.refused.get());
    assert_eq!((counts(&tally.vip_syncs), counts(&tally.full_syncs)), ((1, 1), (1, 0)));
    assert_eq!((tally.step_errors.get(), tally.drift.get()), (2, 1));
    assert_eq!(tally.foreign(), Some(2), "a sync of one VIP after that says nothing of them");
    tally.count_sync(&report(Vec::new(), 0));
    assert_eq!(tally.foreign(), Some(2));
    tally.forget_foreign();
    assert_eq!(tally.foreign(), None);
}

#[test]
fn histogram_counts_a_duration_below_the_bound_that_it_equals() {
    let histogram = Histogram::new(&[1_000, 10_000]);
    for microseconds in [1, 1_000, 1_001, 10_000, 10_001] {
        histogram.observe(Duration::from_micros(microseconds));
    }
    let read = histogram.read();
    assert_eq!(read.buckets, [(0.001, 2), (0.01, 4)]);
    assert_eq!((read.count, read.sum), (5, 0.022_003));
}

fn probe(code: ProbeCode) -> LastProbe {
    let outcome = ProbeOutcome { code, detail: "test".into(), duration: Duration::ZERO, asked: None };
    LastProbe { outcome, at: UNIX_EPOCH, ended: crate::tests::moment(), late: Duration::ZERO }
}

#[test]
fn every_code_and_state_has_a_place_of_its_own() {
    let (tally, mut transitions) = (ProbeTally::default(), Transitions::default());
    for (times, code) in ProbeCode::ALL.into_iter().enumerate() {
        for _ in 0..=times {
            tally.take(probe(code), None);
        }
    }
    let states = [State::Unknown, State::Up, State::Down, State::Paused, State::Disabled, State::Removed];
    for (times, state) in states.into_iter().enumerate() {
        (0..=times).for_each(|_| transitions.count(state));
    }
    let probes: Vec<_> = ProbeCode::ALL.into_iter().map(|code| tally.probes(code)).collect();
    assert_eq!(probes, (1..=13).collect::<Vec<_>>());
    let counted: Vec<_> = states.into_iter().map(|state| transitions.to(state)).collect();
    assert_eq!(counted, (1..=6).collect::<Vec<_>>());
}

#[test]
fn commands_are_counted_by_their_end() {
    let tally = BrainTally::default();
    tally.count_command("pause", true);
    tally.count_command("pause", true);
    tally.count_command("recreate", false);
    let counted: Vec<_> = tally.commands().filter(|(_, done, refused)| done + refused > 0).collect();
    assert_eq!(counted, [("pause", 2, 0), ("recreate", 0, 1)]);
}

#[test]
fn a_vpp_that_is_met_again_has_not_restarted() {
    let mut lives = VppLives::default();
    assert!(!lives.is_another(7, None), "the first one");
    assert!(!lives.is_another(7, Some(1000)), "its start was not known before");
    assert!(!lives.is_another(7, Some(1000)));
    assert!(lives.is_another(8, Some(1000)));
    assert!(lives.is_another(8, Some(2000)), "process ids come again in containers");
}

#[test]
fn a_backend_s_tally_stays_within_its_budget() {
    // With the counts of its Arc, the pointer to it, and the latest probe.
    assert!(size_of::<ProbeTally>() + 3 * size_of::<usize>() <= 200, "{}", size_of::<ProbeTally>());
    assert_eq!(size_of::<Option<Arc<CheckTally>>>(), 8);
}

#[test]
fn a_refused_configuration_leaves_the_date_of_the_one_in_force() {
    let tally = BrainTally::default();
    tally.take_config(UNIX_EPOCH + Duration::from_secs(1000));
    tally.refuse_config();
    assert_eq!(tally.config(), (Duration::from_secs(1000), false));
    tally.take_config(UNIX_EPOCH + Duration::from_secs(2000));
    assert_eq!((tally.config(), tally.refused_reloads.get()), ((Duration::from_secs(2000), true), 1));
}
