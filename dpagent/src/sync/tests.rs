//! Syncs against a small model of VPP.

mod model;
mod properties;
mod storms;

use std::collections::BTreeMap;

use futures::FutureExt;
use maglev_protocol::{Change, Encap, ServerSpec};

use super::*;
use crate::burst::LARGEST as BURST;
use crate::reconcile::check;
use crate::step::{Step, Write};
use model::{Fault, Model, Rules};

fn anything() -> Arc<Policy> {
    Arc::new(crate::policy::tests::anything())
}

fn web(weights: [u8; 2]) -> VipSpec {
    let server = |last| [10, 0, 0, last].into();
    let [one, two] = weights.map(|weight| ServerSpec { weight, flush: true });
    VipSpec {
        key: VipKey::port([192, 0, 2, 1].into(), 6, 80),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: [(server(1), one), (server(2), two)].into(),
    }
}

/// A VPP with the VIP, which the agent knows.
fn with_web() -> Syncer<Model> {
    let mut syncer = Syncer::start(Model::default(), anything()).now_or_never().unwrap().unwrap();
    let wanted = check(vec![web([100, 0])], Vec::new()).unwrap();
    syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    syncer.plugin().expect(Rules::default(), BTreeMap::new());
    syncer
}

fn sync_vip(syncer: &mut Syncer<Model>, spec: &VipSpec) -> SyncReport {
    syncer.sync_vip(spec, &Demands::default()).now_or_never().unwrap().unwrap()
}

fn foreign(syncer: &Syncer<Model>, step: Step) {
    syncer.plugin().foreign(Write { vip: web([0, 0]).key, step }).unwrap();
}

#[test]
fn an_answer_that_contradicts_the_mirror_brings_a_fresh_read_and_a_second_attempt() {
    let mut syncer = with_web();
    let server = [10, 0, 0, 2].into();
    foreign(&syncer, Step::RemoveServer { server, weight: 0 });
    let report = sync_vip(&mut syncer, &web([0, 100]));
    assert_eq!(report.errors().next(), None);
    assert_eq!(report.drift, ["VIP 192.0.2.1 tcp/80: server 10.0.0.2 of weight 0 is gone"]);
    assert_eq!(report.read, Some(FullRead { vips: 1, servers: 1 }));
    assert_eq!(
        report.vips[0].changes,
        [
            Change::ServerAdded { server, weight: 100 },
            Change::Reweighted { server: [10, 0, 0, 1].into(), from: 100, to: 0, flushed: true },
        ]
    );
    assert_eq!(syncer.plugin().reads().0, 1);
}

#[test]
fn a_refusal_that_contradicts_again_and_again_is_tried_twice_and_read_before_the_next_sync() {
    let mut syncer = with_web();
    syncer.plugin().expect(Rules::default(), [(0, Fault::Refuse(-6)), (1, Fault::Refuse(-6))].into());
    let report = sync_vip(&mut syncer, &web([0, 100]));
    let errors: Vec<_> = report.errors().map(|(_, error)| (error.step.as_str(), error.code)).collect();
    assert_eq!(
        errors,
        [
            ("set server 10.0.0.2 from weight 0 to 100", Some(-6)),
            ("set server 10.0.0.1 from weight 100 to 0 and move its flows", None),
        ]
    );
    assert_eq!((syncer.plugin().writes().len(), syncer.plugin().reads().0), (2, 1));
    let report = sync_vip(&mut syncer, &web([0, 100]));
    assert_eq!((report.errors().next(), report.changes()), (None, 2));
    assert_eq!(syncer.plugin().reads().0, 2);
}

#[test]
fn what_is_known_to_be_wrong_is_read_anew_before_it_is_told() {
    let mut syncer = with_web();
    let weights = |mirror: &Mirror| mirror.get(&web([0, 0]).key).unwrap().servers.values().copied().collect();
    let told: Vec<u8> = weights(syncer.sure_mirror().now_or_never().unwrap().unwrap());
    assert_eq!((told, syncer.plugin().reads()), (vec![100, 0], (0, 0)));

    let refusals = [(0, Fault::Refuse(-6)), (1, Fault::Refuse(-6))];
    syncer.plugin().expect(Rules::default(), refusals.into());
    sync_vip(&mut syncer, &web([0, 100]));
    let server = [10, 0, 0, 2].into();
    foreign(&syncer, Step::Reweight { server, from: 0, to: 7, flush: false });
    let told: Vec<u8> = weights(syncer.sure_mirror().now_or_never().unwrap().unwrap());
    assert_eq!((told, syncer.plugin().reads().0), (vec![100, 7], 2));
    // One read is enough.
    assert!(syncer.sure_mirror().now_or_never().unwrap().is_ok());
    assert_eq!(syncer.plugin().reads().0, 2);
}

#[test]
fn a_refusal_that_says_nothing_of_what_vpp_has_is_not_tried_again() {
    let mut syncer = with_web();
    syncer.plugin().expect(Rules::default(), [(0, Fault::Refuse(-1))].into());
    let report = sync_vip(&mut syncer, &web([100, 50]));
    assert_eq!(report.errors().map(|(_, error)| error.code).collect::<Vec<_>>(), [Some(-1)]);
    assert_eq!((syncer.plugin().writes().len(), syncer.plugin().reads()), (1, (0, 0)));
}

#[test]
fn a_vip_that_somebody_made_anew_is_noticed_by_its_ghosts() {
    let mut syncer = with_web();
    let wanted = check(vec![web([100, 0])], Vec::new()).unwrap();
    // The first read after a VIP was added gets its index from the text. From then on dumps are enough.
    for texts in [1, 1] {
        syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
        assert_eq!(syncer.plugin().reads().1, texts);
    }
    foreign(&syncer, Step::RemoveVip { anew: None });
    foreign(&syncer, Step::AddVip { encap: Encap::Gre4, src_ip_sticky: true, table_length: 1024 });
    for (last, weight) in [(1, 100), (2, 0)] {
        foreign(&syncer, Step::AddServer { server: [10, 0, 0, last].into(), weight, flush: false });
    }
    let report = syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    assert_eq!(
        report.drift,
        [
            "VIP 192.0.2.1 tcp/80: was re-created by somebody else",
            "VIP 192.0.2.1 tcp/80: src_ip_sticky is true instead of false",
        ]
    );
    let reason = "src_ip_sticky of a VIP cannot be changed: it is true, wanted is false".to_owned();
    assert!(report.vips[0].changes.contains(&Change::VipRecreated { reason }));
    assert_eq!(syncer.plugin().actual().get(&web([0, 0]).key).unwrap().src_ip_sticky, Some(false));
}

#[test]
fn a_refused_vip_does_not_hold_up_the_others() {
    let mut syncer = Syncer::start(Model::default(), anything()).now_or_never().unwrap().unwrap();
    syncer.plugin().expect(Rules::default(), [(0, Fault::Refuse(-1))].into());
    let other = VipSpec { key: VipKey { port: 443, ..web([0, 0]).key }, ..web([1, 1]) };
    let wanted = check(vec![web([1, 1]), other.clone()], Vec::new()).unwrap();
    let report = syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    let errors: Vec<_> = report.errors().map(|(key, error)| (key.port, error.code)).collect();
    assert_eq!(errors, [(80, Some(-1))]);
    assert_eq!(syncer.plugin().writes().len(), 6);
    assert!(syncer.plugin().actual().get(&other.key).unwrap().serves());
}

#[test]
fn more_writes_than_one_burst_holds_are_all_sent() {
    let mut syncer = Syncer::start(Model::default(), anything()).now_or_never().unwrap().unwrap();
    let vips = (1..=1000).map(|port| VipSpec { key: VipKey { port, ..web([0, 0]).key }, ..web([1, 0]) });
    let wanted = check(vips.collect(), Vec::new()).unwrap();
    let report = syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    assert!(report.changes() > 2 * BURST);
    assert_eq!((report.changes(), report.errors().next()), (3000, None));
    let report = syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    assert_eq!((report.changes(), report.vips.len()), (0, 0));
    assert_eq!(report.read, Some(FullRead { vips: 1000, servers: 2000 }));
}

/// VPP aborts if its text does not fit into the memory for its answers.
#[test]
fn a_text_that_vpp_would_die_of_is_not_asked_for() {
    let mut syncer = with_web();
    let wanted = check(vec![web([100, 0]), VipSpec { src_ip_sticky: true, ..other() }], Vec::new()).unwrap();
    syncer.plugin().leave_over(90_000);
    foreign(&syncer, Step::AddServer { server: [10, 0, 0, 3].into(), weight: 5, flush: false });
    let report = syncer.sync_all(&wanted).now_or_never().unwrap().unwrap();
    assert_eq!((report.errors().next(), report.changes()), (None, 4));
    assert_eq!(syncer.plugin().reads(), (1, 0));
    let refused = syncer.learn().now_or_never().unwrap().unwrap_err();
    assert!(matches!(refused, SyncError::TextTooLong { servers } if servers > 90_000));
    assert!(!syncer.must_learn());

    // An agent that starts now does not know the sticky flags, and leaves them alone.
    let mut syncer = Syncer::start(syncer.plugin, anything()).now_or_never().unwrap().unwrap();
    assert_eq!(syncer.mirror().get(&other().key).unwrap().src_ip_sticky, None);
    let sticky = check(vec![web([100, 0]), other()], Vec::new()).unwrap();
    // Nor does it know whether the server that is down has flows, so it flushes it once.
    let changes =
        |report: SyncReport| -> Vec<_> { report.vips.into_iter().flat_map(|vip| vip.changes).collect() };
    let first = changes(syncer.sync_all(&sticky).now_or_never().unwrap().unwrap());
    assert_eq!(first, [maglev_protocol::Change::Flushed { server: [10, 0, 0, 2].into(), weight: 0 }]);
    assert_eq!(syncer.sync_all(&sticky).now_or_never().unwrap().unwrap().changes(), 0);
    syncer.plugin().leave_over(0);
    let report = syncer.sync_all(&sticky).now_or_never().unwrap().unwrap();
    assert_eq!(report.vips[0].changes.len(), 3 + 3);
    assert!(!syncer.must_learn() || syncer.learn().now_or_never().unwrap().is_ok());
}

fn other() -> VipSpec {
    VipSpec { key: VipKey { port: 443, ..web([0, 0]).key }, ..web([1, 1]) }
}

#[test]
fn nothing_is_lowered_while_vpp_is_silent_and_what_only_raises_is_not_held_up() {
    let mut syncer = with_web();
    syncer.plugin().fall_silent(Duration::from_millis(200));
    assert_eq!(sync_vip(&mut syncer, &web([100, 50])).changes(), 1);
    let lowered = syncer.sync_vip(&web([0, 50]), &Demands::default()).now_or_never().unwrap();
    assert_eq!(lowered, Err(SyncError::Silent { after: Duration::from_millis(200) }));
    let removed = syncer.sync_all(&Wanted::default()).now_or_never().unwrap();
    assert!(matches!(removed, Err(SyncError::Silent { .. })));
    assert_eq!(syncer.plugin().writes().len(), 1);
    syncer.plugin().fall_silent(Duration::from_millis(199));
    assert_eq!(sync_vip(&mut syncer, &web([0, 50])).changes(), 1);
}
