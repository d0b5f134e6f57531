//! Random histories over both dialects: full and single syncs with and without explicit requests, restarts of the agent, foreign
//! writes, refusals and broken connections at any message, VIPs outside the policy and foreign VIPs. Every
//! message is checked against the rules, and at the end VPP has the desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maglev_protocol::Encap;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::model::{Fault, Model, Rules};
use super::properties::{actual, address, dialect, foreign, key, now, spec, vpp, wanted};
use crate::dialect::desired;
use crate::policy::{Policy, parse};
use crate::reconcile::check;
use crate::step::Write;

/// A prefix and a server outside the policy.
const STRANGE_VIP: &str = "203.0.113.1";
const STRANGE_SERVER: &str = "10.0.0.10";

fn policy() -> Arc<Policy> {
    let text = "vips: [192.0.2.0/24, '2001:db8::/64']\n\
                servers: [10.0.0.0/29, 10.0.0.9/32, '2001:db8:1::/64']";
    Arc::new(parse(text, "p.yaml").unwrap())
}

#[derive(Debug, Clone)]
enum Happening {
    All(Vec<VipSpec>, BTreeMap<usize, Fault>),
    One(Box<VipSpec>, Demands, BTreeMap<usize, Fault>),
    Restart,
    ByHand(Write),
}

fn strange_key() -> impl Strategy<Value = VipKey> {
    select(&[80, 443][..]).prop_map(|port| VipKey::port(address(STRANGE_VIP), 6, port))
}

/// A foreign write, to a foreign VIP or to one of ours.
fn by_hand() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => foreign(),
        1 => (foreign(), strange_key()).prop_map(|(write, vip)| Write { vip, ..write }),
    ]
}

fn faults() -> impl Strategy<Value = BTreeMap<usize, Fault>> {
    let fault = prop_oneof![
        3 => select(&[-1, -6, -73, -81, -97][..]).prop_map(Fault::Refuse),
        2 => by_hand().prop_map(Fault::Foreign),
        1 => Just(Fault::Break),
    ];
    prop_oneof![2 => Just(BTreeMap::new()), 3 => btree_map(0usize..25, fault, 1..4)]
}

/// Mostly within the policy.
fn set() -> impl Strategy<Value = Vec<VipSpec>> {
    let strange = strange_key().prop_flat_map(|key| spec(key, Encap::Gre4));
    (wanted(), prop::option::weighted(0.2, strange)).prop_map(|(mut specs, strange)| {
        specs.extend(strange);
        specs
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let demands = (btree_set(select(&["10.0.0.1", "10.0.0.9"][..]).prop_map(address), 0..3), any::<bool>());
    let demands = demands.prop_map(|(flush, recreate)| Demands { flush, recreate });
    let one = prop_oneof![9 => key().boxed(), 1 => strange_key().boxed()];
    let one = one.prop_flat_map(|key| spec(key, Encap::Gre4));
    prop_oneof![
        4 => (set(), faults()).prop_map(|(specs, faults)| Happening::All(specs, faults)),
        5 => (one, demands, faults())
            .prop_map(|(spec, demands, faults)| Happening::One(Box::new(spec), demands, faults)),
        1 => Just(Happening::Restart),
        3 => by_hand().prop_map(Happening::ByHand),
    ]
}

fn started(plugin: Model) -> Syncer<Model> {
    now(Syncer::start(plugin, policy())).unwrap()
}

fn restarted(syncer: Syncer<Model>) -> Syncer<Model> {
    syncer.plugin.expect(Rules::default(), BTreeMap::new());
    let syncer = started(syncer.plugin);
    assert!(syncer.plugin.writes().is_empty());
    syncer
}

fn after(syncer: Syncer<Model>, happening: Happening) -> Syncer<Model> {
    let keep = BTreeSet::new();
    let before = syncer.plugin.actual();
    let mut syncer = syncer;
    let result = match happening {
        Happening::All(specs, faults) => {
            syncer.plugin.expect(Rules::new(&specs, &keep, &before), faults);
            now(syncer.sync_all(&check(specs, Vec::new()).unwrap()))
        }
        Happening::One(spec, demands, faults) => {
            let rules = Rules::new(std::slice::from_ref(&*spec), &keep, &before);
            let rules = if demands.recreate { rules.but_for(&spec.key) } else { rules };
            syncer.plugin.expect(rules, faults);
            now(syncer.sync_vip(&spec, &demands))
        }
        Happening::Restart => return restarted(syncer),
        Happening::ByHand(write) => {
            syncer.plugin.foreign(write).ok();
            return syncer;
        }
    };
    // A broken connection is replaced by a new one with a fresh mirror.
    if result.is_ok() { syncer } else { restarted(syncer) }
}

/// VPP has everything desired and allowed, and of our VIPs nothing else.
fn at_rest(specs: &[VipSpec], report: &SyncReport, model: &Model) -> Result<(), TestCaseError> {
    let (policy, actual) = (policy(), model.actual());
    let own = actual.vips().keys().filter(|key| policy.allows_vip(&key.prefix));
    let allowed = specs.iter().filter(|spec| policy.allows_vip(&spec.key.prefix));
    let allowed: BTreeMap<_, _> = allowed.map(|spec| (spec.key, spec)).collect();
    prop_assert!(own.eq(allowed.keys()));
    let refused: BTreeSet<_> = report.errors().map(|(key, _)| *key).collect();
    for (key, spec) in allowed {
        let spec = &*desired(model.dialect(), spec);
        let has = &actual.vips()[&key];
        prop_assert_eq!((has.encap, has.src_ip_sticky), (spec.encap, Some(spec.src_ip_sticky)));
        let strange = spec.servers.contains_key(&address(STRANGE_SERVER));
        prop_assert!(strange || !refused.contains(&key), "{:?}", report.errors().next());
        for (server, spec) in &spec.servers {
            // Without weights, a server that is out is not in VPP.
            let has = has.servers.get(server).copied().or((!model.dialect().has_weights()).then_some(0));
            match *server == address(STRANGE_SERVER) {
                true => prop_assert!(has.is_none_or(|has| has <= spec.weight)),
                // A server to be replaced by one that is not allowed is held back.
                false if refused.contains(&key) => prop_assert!(has.is_some_and(|has| has >= spec.weight)),
                false => prop_assert_eq!(has, Some(spec.weight)),
            }
        }
        prop_assert!(
            refused.contains(&key) || has.servers.keys().all(|server| spec.servers.contains_key(server))
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_rules_hold_at_every_message_and_at_rest_vpp_has_what_is_wanted(
        dialect in dialect(),
        before in actual(),
        others in vec((strange_key(), foreign()), 0..4),
        happenings in vec(happening(), 0..5),
        specs in set(),
    ) {
        let model = vpp(dialect, before);
        for (vip, write) in others {
            model.foreign(Write { vip, ..write }).ok();
        }
        model.watch(policy());
        let mut syncer = started(model);
        for happening in happenings {
            syncer = after(syncer, happening);
            prop_assert_eq!(syncer.plugin.violations(), Vec::<String>::new());
        }

        let wanted = check(specs.clone(), Vec::new()).unwrap();
        let foreign = strangers(&syncer.plugin);
        syncer.plugin.expect(Rules::new(&specs, &BTreeSet::new(), &syncer.plugin.actual()), BTreeMap::new());
        let report = now(syncer.sync_all(&wanted)).unwrap();
        prop_assert_eq!(syncer.plugin.violations(), Vec::<String>::new());
        prop_assert_eq!(syncer.plugin.pointless(), Vec::<Write>::new());
        at_rest(&specs, &report, &syncer.plugin)?;
        prop_assert_eq!(strangers(&syncer.plugin), foreign);

        syncer.plugin.expect(Rules::default(), BTreeMap::new());
        let again = now(syncer.sync_all(&wanted)).unwrap();
        prop_assert_eq!(syncer.plugin.writes(), Vec::<Write>::new());
        prop_assert_eq!(again.errors().count(), report.errors().count());
        for spec in specs.iter().filter(|spec| policy().allows_vip(&spec.key.prefix)) {
            now(syncer.sync_vip(spec, &Demands::default())).unwrap();
        }
        prop_assert_eq!((syncer.plugin.writes(), syncer.plugin.reads().0), (Vec::<Write>::new(), 1));
    }
}

/// What VPP has outside the policy.
fn strangers(model: &Model) -> Vec<(VipKey, crate::mirror::MirrorVip)> {
    let actual = model.actual();
    let strange = actual.vips().iter().filter(|(key, _)| !policy().allows_vip(&key.prefix));
    strange.map(|(key, vip)| (*key, vip.clone())).collect()
}
