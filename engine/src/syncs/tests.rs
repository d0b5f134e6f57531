use imbl::{OrdMap, OrdSet};
use maglev_protocol::{Demands, Encap, LbConf, ServerSpec, StepError, VipReport};

use super::*;

fn key(last: u8) -> VipKey {
    VipKey::port([203, 0, 113, last].into(), 6, 80)
}

fn spec(last: u8, weight: u8) -> Arc<VipSpec> {
    Arc::new(VipSpec {
        key: key(last),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: [([10, 0, 0, 1].into(), ServerSpec { weight, flush: false })].into(),
    })
}

fn connected(generation: u64) -> VppInfo {
    VppInfo { generation, state: VppState::sample(1, None) }
}

fn gone(generation: u64) -> VppInfo {
    VppInfo { generation, state: VppState::Disconnected { reason: "gone".into(), silent_ms: 0 } }
}

const SOURCE: LbConfSpec = LbConfSpec {
    ip4_src_address: None,
    ip6_src_address: None,
    sticky_buckets_per_core: 1024,
    flow_timeout: 40,
};

/// The state machine, its inputs and outputs.
struct Bench {
    syncs: Syncs,
    wanted: Wanted,
    now: Instant,
    events: Vec<AgentEvent>,
}

impl Bench {
    fn new(specs: &[Arc<VipSpec>]) -> Self {
        let mut wanted = Wanted {
            view: None,
            conf: SOURCE,
            vips: OrdMap::new(),
            decided: OrdMap::new(),
            decisions: 0,
            keep: OrdSet::new(),
            demands: OrdMap::new(),
            full: None,
            sync_interval: Duration::from_secs(30),
        };
        for spec in specs {
            wanted.put(Arc::clone(spec));
        }
        let now = crate::tests::moment();
        let syncs = Syncs::new(Arc::new(wanted.clone()), ViewId(7), now);
        Self { syncs, wanted, now, events: Vec::new() }
    }

    /// Connected to a VPP that is completely synced.
    fn synced(specs: &[Arc<VipSpec>]) -> Self {
        let mut bench = Self::new(specs);
        bench.look();
        assert_eq!(bench.answer_all().len(), 2);
        bench.events.clear();
        bench
    }

    /// VPP connects, and the controller decides on its state.
    fn look(&mut self) {
        assert_eq!(self.syncs.vpp_changed(connected(1), self.now), None);
        let asked = self.next().unwrap();
        assert_eq!(asked.call, Call::Programmed);
        assert_eq!(self.next(), None);
        self.answer(asked, Answer::Programmed(Ok(Programmed::default())));
        let Some(AgentEvent::Vpp { programmed: Some((view, _)), .. }) = self.events.last() else { panic!() };
        self.wanted.view = Some(*view);
        self.want();
    }

    fn want(&mut self) {
        self.syncs.want(Arc::new(self.wanted.clone()), self.now);
    }

    fn want_spec(&mut self, spec: &Arc<VipSpec>) {
        self.wanted.put(Arc::clone(spec));
        self.want();
    }

    fn next(&mut self) -> Option<Sent> {
        self.syncs.next(self.now)
    }

    fn answer(&mut self, sent: Sent, answer: Answer) {
        let event = self.syncs.answered(sent, answer, self.now, 0.5).unwrap();
        self.events.extend(event);
    }

    fn answer_well(&mut self, sent: Sent) {
        let conf = LbConf {
            ip4_src_address: [192, 0, 2, 1].into(),
            ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
            sticky_buckets_per_core: 1024,
            flow_timeout: 40,
        };
        let answer = match &sent.call {
            Call::Programmed => Answer::Programmed(Ok(Programmed::default())),
            Call::Conf(_) => Answer::Conf(Ok(ConfReport {
                changed: false,
                before: conf,
                now: conf,
                pinned_flows_lost: false,
                drifted: false,
            })),
            Call::All { .. } | Call::Vip { .. } => Answer::Sync(Ok(SyncReport::default())),
        };
        self.answer(sent, answer);
    }

    /// Answers all current calls, one after the other.
    fn answer_all(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(sent) = self.next() {
            calls.push(sent.call.clone());
            self.answer_well(sent);
        }
        calls
    }
}

fn vips(calls: &[Call]) -> Vec<VipKey> {
    let key = |call: &Call| match call {
        Call::Vip { spec, .. } => spec.key,
        other => panic!("{other:?}"),
    };
    calls.iter().map(key).collect()
}

#[test]
fn nothing_is_written_before_the_controller_has_decided_on_what_vpp_has() {
    let mut bench = Bench::new(&[spec(1, 1)]);
    assert_eq!(bench.next(), None, "there is no VPP");
    bench.syncs.vpp_changed(connected(1), bench.now);
    let asked = bench.next().unwrap();
    bench.answer_well(asked);
    assert_eq!((bench.next(), bench.syncs.due()), (None, None));
    bench.wanted.view = Some(ViewId(7));
    bench.want();
    assert_eq!(bench.next(), None, "that was another look");
    bench.wanted.view = Some(ViewId(8));
    bench.want();
    let calls = bench.answer_all();
    let all = Call::All { specs: vec![spec(1, 1)], keep: vec![], demanded: None };
    assert_eq!(calls, [Call::Conf(SOURCE), all]);
    assert_eq!(bench.syncs.due(), Some(bench.now + Duration::from_secs(30)), "the next drift sync");
}

#[test]
fn question_about_vpp_is_repeated_until_it_is_answered() {
    let mut bench = Bench::new(&[]);
    bench.syncs.vpp_changed(connected(1), bench.now);
    let asked = bench.next().unwrap();
    bench.answer(asked, Answer::Programmed(Err(CallError::Timeout)));
    assert!(bench.events.is_empty());
    let due = bench.syncs.due().unwrap();
    assert_eq!((bench.next(), due), (None, bench.now + Duration::from_millis(1500)));
    bench.now = due;
    assert_eq!(bench.next().unwrap().call, Call::Programmed);
}

#[test]
fn vip_that_changes_while_its_sync_is_under_way_is_synced_once_more() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    bench.want_spec(&spec(1, 2));
    let first = bench.next().unwrap();
    assert_eq!(first.call, Call::Vip { spec: spec(1, 2), demanded: None });
    for weight in 3..9 {
        bench.want_spec(&spec(1, weight));
    }
    assert_eq!(bench.next(), None, "one sync of a VIP at a time");
    bench.want_spec(&spec(2, 2));
    let other = bench.next().unwrap();
    assert_eq!(other.call, Call::Vip { spec: spec(2, 2), demanded: None }, "others do not wait for it");
    bench.answer_well(first);
    assert_eq!(bench.answer_all(), [Call::Vip { spec: spec(1, 8), demanded: None }]);
    bench.answer_well(other);
    assert_eq!(bench.answer_all(), []);
    assert_eq!(bench.events.len(), 3);
}

#[test]
fn many_changes_at_once_are_sent_a_few_at_a_time() {
    let specs: Vec<_> = (1..=40).map(|last| spec(last, 1)).collect();
    let mut bench = Bench::synced(&specs);
    for last in 1..=40 {
        bench.wanted.put(spec(last, 2));
    }
    bench.want();
    let mut sent: Vec<_> = std::iter::from_fn(|| bench.next()).collect();
    assert_eq!(sent.len(), SYNCS_IN_FLIGHT);
    bench.answer_well(sent.pop().unwrap());
    assert!(bench.next().is_some() && bench.next().is_none());
}

#[test]
fn only_a_full_sync_removes_a_vip() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    bench.want_spec(&spec(1, 2));
    let under_way = bench.next().unwrap();
    bench.wanted.forget(&key(2));
    bench.want();
    assert_eq!((bench.next(), bench.syncs.due()), (None, None), "not beside other syncs");
    bench.answer_well(under_way);
    let calls = bench.answer_all();
    assert_eq!(calls[1], Call::All { specs: vec![spec(1, 2)], keep: vec![], demanded: None });

    // A VIP that was held back is kept as well.
    bench.wanted.keep.insert(key(3));
    bench.want();
    assert_eq!(bench.answer_all(), []);
    bench.wanted.keep.remove(&key(3));
    bench.want();
    assert_eq!(bench.answer_all().len(), 2);
    // But not one that is released.
    bench.wanted.keep.insert(key(4));
    bench.want();
    bench.wanted.keep.remove(&key(4));
    bench.want_spec(&spec(4, 1));
    assert_eq!(vips(&bench.answer_all()), [key(4)]);
}

#[test]
fn what_goes_while_a_full_sync_is_under_way_goes_with_the_next() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    bench.now += Duration::from_secs(40);
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let all = bench.next().unwrap();
    bench.wanted.forget(&key(2));
    bench.want();
    assert_eq!(bench.next(), None);
    bench.answer_well(all);
    let calls = bench.answer_all();
    assert_eq!(calls[1], Call::All { specs: vec![spec(1, 1)], keep: vec![], demanded: None });
    assert_eq!(bench.answer_all(), []);
}

#[test]
fn other_settings_are_told_at_once() {
    let mut bench = Bench::synced(&[]);
    bench.wanted.conf.flow_timeout = 41;
    bench.want();
    let calls = bench.answer_all();
    assert_eq!(calls[0], Call::Conf(LbConfSpec { flow_timeout: 41, ..SOURCE }));
}

#[test]
fn refused_settings_do_not_keep_vips_from_being_synced() {
    let mut bench = Bench::new(&[spec(1, 1)]);
    bench.look();
    let conf = bench.next().unwrap();
    let refused = AgentError::Refused { step: "set".into(), code: -1, meaning: "test".into() };
    bench.answer(conf, Answer::Conf(Err(refused.into())));
    assert!(matches!(bench.next().unwrap().call, Call::All { .. }));
}

#[test]
fn settings_that_the_agent_does_not_allow_are_told_once_until_they_are_in_vpp() {
    let mut bench = Bench::new(&[spec(1, 1)]);
    bench.look();
    let refused = [
        AgentError::NotAllowed { what: "8388608 buckets".into(), rule: "4194304 would fit".into() },
        AgentError::NotAllowed { what: "8388608 buckets".into(), rule: "4194304 would fit".into() },
        AgentError::Contradiction("test".into()),
    ];
    for error in refused {
        let conf = bench.next().unwrap();
        bench.answer(conf, Answer::Conf(Err(error.into())));
        let all = bench.next().unwrap();
        assert!(matches!(all.call, Call::All { .. }), "VIPs are synced all the same");
        bench.answer_well(all);
        bench.now += Duration::from_secs(60);
    }
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let told = bench.events.iter().filter_map(|event| match event {
        AgentEvent::Settings { refused } => Some(refused.as_deref()),
        _ => None,
    });
    let expected = [Some("the agent refused 8388608 buckets: 4194304 would fit"), Some("test"), None];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn failed_sync_is_followed_by_a_full_one() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.want_spec(&spec(1, 2));
    let sent = bench.next().unwrap();
    bench.answer(sent, Answer::Sync(Err(CallError::Timeout)));
    let failed =
        AgentEvent::Synced { specs: vec![spec(1, 2)], demanded: None, result: Err(CallError::Timeout) };
    assert_eq!(bench.events, [failed]);
    let due = bench.syncs.due().unwrap();
    assert_eq!(due, bench.now + Duration::from_millis(1500));
    bench.now = due;
    assert_eq!(bench.answer_all()[1], Call::All { specs: vec![spec(1, 2)], keep: vec![], demanded: None });
    // A failed full sync is retried, too.
    bench.now = bench.syncs.due().unwrap();
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let all = bench.next().unwrap();
    bench.answer(all, Answer::Sync(Err(CallError::Busy)));
    assert_eq!(bench.syncs.due(), Some(bench.now + Duration::from_millis(1500)));
}

#[test]
fn vip_that_is_decided_to_be_as_before_is_synced_so_that_its_end_is_told() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    // Both within one burst: the first was never sent.
    bench.wanted.put(spec(1, 2));
    bench.want_spec(&spec(1, 1));
    assert_eq!(bench.answer_all(), [Call::Vip { spec: spec(1, 1), demanded: None }]);
    assert_eq!(bench.events.len(), 1);
}

#[test]
fn tunnels_change_in_a_full_sync() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    let other = Arc::new(VipSpec { encap: Encap::Gre6, ..VipSpec::clone(&spec(1, 1)) });
    bench.want_spec(&other);
    let calls = bench.answer_all();
    assert_eq!(calls[1], Call::All { specs: vec![other, spec(2, 1)], keep: vec![], demanded: None });
}

#[test]
fn what_vpp_refuses_of_one_vip_is_tried_with_all_of_them_once() {
    let refused = |last| {
        let error = StepError { step: "add".into(), code: Some(-73), meaning: "another encap".into() };
        let vip = VipReport { key: key(last), changes: vec![], table_length: None, errors: vec![error] };
        Answer::Sync(Ok(SyncReport { vips: vec![vip], ..SyncReport::default() }))
    };
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.want_spec(&spec(1, 2));
    let sent = bench.next().unwrap();
    bench.answer(sent, refused(1));
    bench.now = bench.syncs.due().unwrap();
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let all = bench.next().unwrap();
    bench.answer(all, refused(1));
    assert_eq!(bench.syncs.due(), Some(bench.now + Duration::from_secs(30)), "and then at the usual times");

    // Full syncs may be far apart, and what blocked the VIP may be gone sooner.
    bench.wanted.sync_interval = Duration::from_secs(3600);
    bench.syncs.want(Arc::new(bench.wanted.clone()), bench.now);
    bench.now = bench.syncs.due().unwrap();
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let all = bench.next().unwrap();
    bench.answer(all, refused(1));
    assert_eq!(bench.syncs.due(), Some(bench.now + Duration::from_secs(60)));
}

#[test]
fn answer_of_another_vpp_says_nothing() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.want_spec(&spec(1, 2));
    let old = bench.next().unwrap();
    bench.syncs.vpp_changed(gone(2), bench.now);
    assert_eq!((bench.next(), bench.syncs.due()), (None, None));
    bench.look();
    bench.events.clear();
    bench.answer_well(old);
    assert!(bench.events.is_empty());
    assert_eq!(bench.answer_all().len(), 2, "everything is synced anew");
}

#[test]
fn connection_that_broke_ends_the_session() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.want_spec(&spec(1, 2));
    let sent = bench.next().unwrap();
    let away = CallError::Away("gone".into());
    let end = bench.syncs.answered(sent, Answer::Sync(Err(away.clone())), bench.now, 0.0);
    assert_eq!(end, Err(away));
}

#[test]
fn demand_is_made_until_it_is_answered() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    let demand = |number| Demanded { number, demands: Demands { recreate: true, ..Demands::default() } };
    bench.wanted.demands.insert(key(2), demand(1));
    bench.wanted.demands.insert(key(1), demand(2));
    bench.want();
    let first = bench.next().unwrap();
    assert_eq!(first.call, Call::Vip { spec: spec(1, 1), demanded: Some(demand(2)) });
    let second = bench.next().unwrap();
    assert_eq!(second.call, Call::Vip { spec: spec(2, 1), demanded: Some(demand(1)) });
    bench.answer_well(first);
    let Some(AgentEvent::Synced { demanded, .. }) = bench.events.last() else { panic!() };
    assert_eq!(*demanded, Some(Demand::Vip(key(1), 2)));
    bench.wanted.demands.remove(&key(1));
    bench.want();
    bench.answer(second, Answer::Sync(Err(CallError::Timeout)));
    bench.now = bench.syncs.due().unwrap();
    let calls = bench.answer_all();
    assert_eq!(vips(&calls[2..]), [key(2)], "after the full sync, which knows no demands");
    bench.wanted.demands.clear();
    bench.want();
    assert_eq!(bench.answer_all(), []);

    // Over a connection to another agent as well.
    bench.wanted.demands.insert(key(1), demand(3));
    bench.syncs = Syncs::new(Arc::new(bench.wanted.clone()), bench.syncs.view(), bench.now);
    bench.look();
    assert_eq!(vips(&bench.answer_all()[2..]), [key(1)]);
}

fn full_demanded(calls: &[Call]) -> Vec<Option<u64>> {
    let full = calls.iter().filter_map(|call| match call {
        Call::All { demanded, .. } => Some(*demanded),
        _ => None,
    });
    full.collect()
}

#[test]
fn demanded_full_sync_is_sent_at_once() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.wanted.full = Some(4);
    bench.want();
    assert_eq!(full_demanded(&bench.answer_all()), [Some(4)]);
    let Some(AgentEvent::Synced { demanded, result, .. }) = bench.events.last() else { panic!() };
    assert_eq!((*demanded, result.is_ok()), (Some(Demand::Full(4)), true));
    // Until the controller has removed the request, and afterwards.
    bench.want();
    assert_eq!(bench.answer_all(), []);
    bench.wanted.full = None;
    bench.want();
    assert_eq!(bench.answer_all(), []);
    bench.wanted.full = Some(5);
    bench.want();
    assert_eq!(full_demanded(&bench.answer_all()), [Some(5)]);
}

#[test]
fn full_sync_that_was_under_way_before_the_demand_is_followed_by_another() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.now += Duration::from_secs(40);
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let periodic = bench.next().unwrap();
    bench.wanted.full = Some(1);
    bench.want();
    assert_eq!(bench.next(), None);
    bench.answer_well(periodic);
    let Some(AgentEvent::Synced { demanded: None, .. }) = bench.events.last() else { panic!() };
    assert_eq!(full_demanded(&bench.answer_all()), [Some(1)]);
    assert_eq!(bench.answer_all(), []);
}

#[test]
fn full_sync_whose_read_is_not_sent_yet_carries_the_demand() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.now += Duration::from_secs(40);
    let conf = bench.next().unwrap();
    bench.wanted.full = Some(1);
    bench.want();
    bench.answer_well(conf);
    assert_eq!(full_demanded(&bench.answer_all()), [Some(1)], "and no other one after it");
}

#[test]
fn demanded_full_sync_that_fails_says_so_and_is_tried_again() {
    let mut bench = Bench::synced(&[spec(1, 1)]);
    bench.wanted.full = Some(1);
    bench.want();
    let another =
        CallError::Agent(AgentError::AnotherWriter { version: "1.0".into(), pid: None, seconds: 1 });
    // At its very first call.
    let conf = bench.next().unwrap();
    bench.answer(conf, Answer::Conf(Err(another.clone())));
    let Some(AgentEvent::Synced { demanded, result, .. }) = bench.events.last() else { panic!() };
    assert_eq!((*demanded, result), (Some(Demand::Full(1)), &Err(another)));
    bench.now = bench.syncs.due().unwrap();
    let conf = bench.next().unwrap();
    bench.answer_well(conf);
    let all = bench.next().unwrap();
    bench.answer(all, Answer::Sync(Err(CallError::Timeout)));
    bench.now = bench.syncs.due().unwrap();
    assert_eq!(full_demanded(&bench.answer_all()), [Some(1)]);
    // Also over a connection to another agent, where everything is synced anyway.
    bench.wanted.full = Some(2);
    bench.syncs = Syncs::new(Arc::new(bench.wanted.clone()), bench.syncs.view(), bench.now);
    bench.look();
    assert_eq!(full_demanded(&bench.answer_all()), [Some(2)]);
    assert_eq!(bench.answer_all(), []);
}

#[test]
fn demanded_full_sync_waits_for_the_syncs_under_way() {
    let mut bench = Bench::synced(&[spec(1, 1), spec(2, 1)]);
    bench.want_spec(&spec(1, 2));
    let under_way = bench.next().unwrap();
    bench.wanted.full = Some(1);
    bench.want_spec(&spec(2, 2));
    assert_eq!(bench.next(), None, "it would be read beside a write");
    bench.answer_well(under_way);
    let calls = bench.answer_all();
    assert_eq!((calls.len(), full_demanded(&calls)), (2, vec![Some(1)]), "which brings the other as well");
}

#[test]
fn silence_between_two_answers_is_told_too() {
    let mut bench = Bench::new(&[]);
    let mut hears = |seconds: u64, generation, silent_for| {
        let now = bench.now + Duration::from_secs(seconds);
        bench.syncs.liveness(Liveness { generation, silent_for }, now)
    };
    let silence =
        |silent_for: Option<u64>| AgentEvent::Silence { silent_for: silent_for.map(Duration::from_secs) };
    assert_eq!(hears(0, 6, None), [], "what was before the connection is not its business");
    assert_eq!(hears(1, 6, None), [], "nothing new");
    assert_eq!(hears(4, 8, None), [silence(Some(3)), silence(None)], "it was silent meanwhile");
    assert_eq!(hears(5, 9, Some(Duration::from_secs(1))), [silence(Some(1))]);
    assert_eq!(hears(6, 9, Some(Duration::from_secs(2))), [], "still");
    assert_eq!(hears(7, 10, None), [silence(None)]);
}

#[test]
fn silence_at_the_connection_is_told() {
    let mut bench = Bench::new(&[spec(1, 1)]);
    let silent_for = Some(Duration::from_secs(1));
    let told = bench.syncs.liveness(Liveness { generation: 3, silent_for }, bench.now);
    assert_eq!(told, [AgentEvent::Silence { silent_for }]);
}
