//! Random desired states against random actual ones, on a small model of VPP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::FutureExt;
use maglev_protocol::{Dialect, Encap, ServerSpec, VipKey, VipSpec};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::anything;
use super::model::{Fault, Model, Rules};
use crate::dialect::desired;
use crate::mirror::Mirror;
use crate::mirror::MirrorVip;
use crate::reconcile::check;
use crate::step::{Step, Write};

/// Few addresses, so that cases collide.
const PREFIXES: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
const GRE4: [&str; 4] = ["10.0.0.1", "10.0.0.2", "10.0.0.9", "10.0.0.10"];
const GRE6: [&str; 3] = ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::a"];

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn key() -> impl Strategy<Value = VipKey> {
    let kind = prop_oneof![Just(None), Just(Some((6, 80))), Just(Some((6, 443))), Just(Some((17, 53)))];
    (select(&PREFIXES[..]), kind).prop_map(|(prefix, kind)| match kind {
        None => VipKey::all_ports(address(prefix)),
        Some((protocol, port)) => VipKey::port(address(prefix), protocol, port),
    })
}

pub(super) fn weight() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(50), 2 => Just(100)]
}

pub(super) fn spec(key: VipKey, encap: Encap) -> impl Strategy<Value = VipSpec> {
    let servers: &[_] = if encap == Encap::Gre4 { &GRE4 } else { &GRE6 };
    let server = select(servers).prop_map(address);
    let servers = btree_map(
        server,
        (weight(), any::<bool>()).prop_map(|(weight, flush)| ServerSpec { weight, flush }),
        0..=servers.len(),
    );
    (servers, prop::bool::weighted(0.2), select(&[1024, 4096][..])).prop_map(
        move |(servers, src_ip_sticky, new_flows_table_length)| VipSpec {
            key,
            encap,
            src_ip_sticky,
            new_flows_table_length,
            servers,
        },
    )
}

/// A set that VPP can have: one encapsulation per prefix, and either all ports or single ones.
pub(super) fn wanted() -> impl Strategy<Value = Vec<VipSpec>> {
    let kinds = prop::sample::subsequence(vec![Some((6, 80)), Some((6, 443)), Some((17, 53)), None], 0..=3);
    let of_prefix = |prefix: &'static str| {
        (kinds.clone(), select(&[Encap::Gre4, Encap::Gre6][..])).prop_flat_map(move |(kinds, encap)| {
            let only_ports = kinds.iter().any(Option::is_some);
            let keys = kinds.into_iter().filter(move |kind| kind.is_some() || !only_ports);
            let specs = keys.map(move |kind| match kind {
                None => spec(VipKey::all_ports(address(prefix)), encap).boxed(),
                Some((protocol, port)) => spec(VipKey::port(address(prefix), protocol, port), encap).boxed(),
            });
            specs.collect::<Vec<_>>()
        })
    };
    PREFIXES.map(of_prefix).prop_map(|prefixes| prefixes.into_iter().flatten().collect())
}

/// Foreign writes, of which VPP accepts what it accepts. They leave removed entries behind.
pub(super) fn foreign() -> impl Strategy<Value = Write> {
    let encap = select(&[Encap::Gre4, Encap::Gre6][..]);
    let server = || prop_oneof![4 => select(&GRE4[..]), 3 => select(&GRE6[..])].prop_map(address);
    let step = prop_oneof![
        3 => (encap, prop::bool::weighted(0.2)).prop_map(|(encap, src_ip_sticky)| Step::AddVip {
            encap,
            src_ip_sticky,
            table_length: 1024,
        }),
        1 => Just(Step::RemoveVip { anew: None }),
        6 => (server(), weight())
            .prop_map(|(server, weight)| Step::AddServer { server, weight, flush: false }),
        3 => (server(), weight())
            .prop_map(|(server, to)| Step::Reweight { server, from: 0, to, flush: false }),
        2 => server().prop_map(|server| Step::RemoveServer { server, weight: 0 }),
    ];
    (key(), step).prop_map(|(vip, step)| Write { vip, step })
}

pub(super) fn actual() -> impl Strategy<Value = Vec<Write>> {
    vec(foreign(), 0..60)
}

pub(super) fn refusals() -> impl Strategy<Value = BTreeMap<usize, Fault>> {
    btree_map(0usize..30, select(&[-1, -6, -73, -81, -97][..]).prop_map(Fault::Refuse), 0..4)
}

fn interference() -> impl Strategy<Value = BTreeMap<usize, Fault>> {
    btree_map(0usize..20, foreign().prop_map(Fault::Foreign), 0..4)
}

pub(super) fn dialect() -> impl Strategy<Value = Dialect> {
    select(&[Dialect::Weighted, Dialect::InOut][..])
}

pub(super) fn vpp(dialect: Dialect, actual: Vec<Write>) -> Model {
    let model = Model::of(dialect);
    for write in actual {
        // A random write that VPP refuses changes nothing.
        model.foreign(write).ok();
    }
    model
}

/// The model never waits, so the future is ready at once.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Without servers that a VPP without weights does not have, or has as remains.
fn in_service(dialect: Dialect, servers: &BTreeMap<IpAddr, u8>) -> BTreeMap<IpAddr, u8> {
    let mut servers = servers.clone();
    servers.retain(|_, weight| dialect.has_weights() || *weight > 0);
    servers
}

pub(super) fn as_wanted(dialect: Dialect, wanted: &[VipSpec], actual: &Mirror) -> Result<(), TestCaseError> {
    for spec in wanted {
        let spec = &*desired(dialect, spec);
        let vip = actual.get(&spec.key);
        prop_assert!(vip.is_some(), "VIP {} is missing", spec.key);
        let vip = vip.unwrap();
        let weights: BTreeMap<_, _> =
            spec.servers.iter().map(|(server, spec)| (*server, spec.weight)).collect();
        prop_assert_eq!(in_service(dialect, &vip.servers), in_service(dialect, &weights));
        let must = spec.servers.iter().filter(|(_, server)| server.weight == 0 && server.flush);
        for (server, _) in must {
            let drained = vip.drained.contains(server) || !vip.servers.contains_key(server);
            prop_assert!(drained, "{} of {} still has flows", server, spec.key);
        }
        prop_assert_eq!((vip.encap, vip.src_ip_sticky), (spec.encap, Some(spec.src_ip_sticky)));
    }
    Ok(())
}

/// The mirror equals VPP's state, except for indexes of new VIPs, and for drained servers that it does not
/// know of.
pub(super) fn mirrored<P: Plugin>(syncer: &Syncer<P>, actual: &Mirror) -> Result<(), TestCaseError> {
    if syncer.plugin().dialect() == Dialect::InOut {
        let serving = |mirror: &Mirror| {
            let vip = |(key, vip): (&VipKey, &MirrorVip)| {
                (
                    *key,
                    vip.encap,
                    vip.src_ip_sticky,
                    vip.table_length,
                    in_service(Dialect::InOut, &vip.servers),
                )
            };
            mirror.vips().iter().map(vip).collect::<Vec<_>>()
        };
        prop_assert_eq!(serving(syncer.mirror()), serving(actual));
        return Ok(());
    }
    let known = syncer.mirror().vips().iter().map(|(key, vip)| {
        let index = vip.index.or_else(|| actual.get(key).and_then(|vip| vip.index));
        let drained = actual.get(key).map(|vip| vip.drained.clone()).unwrap_or_default();
        assert!(vip.drained.is_subset(&drained), "{key}: {vip:?}, but VPP has drained {drained:?}");
        (*key, MirrorVip { index, drained, ..vip.clone() })
    });
    prop_assert_eq!(&Mirror::new(known.collect()), actual);
    Ok(())
}

fn sync_all(syncer: &mut Syncer<Model>, wanted: &Wanted) -> Result<SyncReport, SyncError> {
    now(syncer.sync_all(wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_state_becomes_any_wanted_one(dialect in dialect(), actual in actual(), specs in wanted()) {
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        mirrored(&syncer, &syncer.plugin().actual())?;
        let before = syncer.plugin().actual();
        syncer.plugin().expect(Rules::new(&specs, &BTreeSet::new(), &before), BTreeMap::new());
        let wanted = check(specs.clone(), Vec::new()).unwrap();
        let report = sync_all(&mut syncer, &wanted).unwrap();
        prop_assert_eq!(report.errors().next(), None);
        prop_assert_eq!(report.changes(), syncer.plugin().writes().len());
        prop_assert!(report.drift.is_empty());
        let now = syncer.plugin().actual();
        as_wanted(dialect, &specs, &now)?;
        prop_assert_eq!(now.vips().len(), specs.len());
        mirrored(&syncer, &now)?;
        prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());
        prop_assert_eq!(syncer.plugin().pointless(), Vec::new());

        let second = sync_all(&mut syncer, &wanted).unwrap();
        prop_assert_eq!(second.changes(), 0);
        prop_assert!(second.drift.is_empty());
        prop_assert_eq!(syncer.plugin().writes().len(), report.changes());
    }

    #[test]
    fn kept_vips_are_not_touched(
        dialect in dialect(),
        actual in actual(),
        specs in wanted(),
        kept in vec(key(), 0..4),
    ) {
        let keep: BTreeSet<_> =
            kept.into_iter().filter(|key| specs.iter().all(|spec| spec.key != *key)).collect();
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        let before = syncer.plugin().actual();
        syncer.plugin().expect(Rules::default(), BTreeMap::new());
        let wanted = check(specs.clone(), keep.iter().copied().collect()).unwrap();
        let report = sync_all(&mut syncer, &wanted).unwrap();
        let after = syncer.plugin().actual();
        for key in &keep {
            prop_assert_eq!(before.get(key), after.get(key));
        }
        // What a kept VIP blocks is reported, and an existing VIP is not lost over it.
        let refused: BTreeSet<_> = report.errors().map(|(key, _)| *key).collect();
        for key in &refused {
            prop_assert!(before.neighbours(key).any(|(other, _)| keep.contains(other)));
            prop_assert_eq!(before.get(key), after.get(key));
        }
        let done: Vec<_> = specs.into_iter().filter(|spec| !refused.contains(&spec.key)).collect();
        as_wanted(dialect, &done, &after)?;
        mirrored(&syncer, &after)?;
    }

    #[test]
    fn refusals_leave_vips_in_service_and_the_next_sync_completes_them(
        dialect in dialect(),
        actual in actual(),
        specs in wanted(),
        faults in refusals(),
    ) {
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        let before = syncer.plugin().actual();
        syncer.plugin().expect(Rules::new(&specs, &BTreeSet::new(), &before), faults);
        let wanted = check(specs.clone(), Vec::new()).unwrap();
        sync_all(&mut syncer, &wanted).unwrap();
        let between = syncer.plugin().actual();
        prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());

        syncer.plugin().expect(Rules::new(&specs, &BTreeSet::new(), &between), BTreeMap::new());
        let second = sync_all(&mut syncer, &wanted).unwrap();
        prop_assert_eq!(second.errors().next(), None);
        as_wanted(dialect, &specs, &syncer.plugin().actual())?;
        prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());
    }

    #[test]
    fn other_writers_are_survived(
        dialect in dialect(),
        actual in actual(),
        specs in wanted(),
        faults in interference(),
    ) {
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        let before = syncer.plugin().actual();
        syncer.plugin().expect(Rules::new(&specs, &BTreeSet::new(), &before), faults);
        let wanted = check(specs.clone(), Vec::new()).unwrap();
        sync_all(&mut syncer, &wanted).unwrap();
        syncer.plugin().expect(Rules::default(), BTreeMap::new());
        let second = sync_all(&mut syncer, &wanted).unwrap();
        prop_assert_eq!(second.errors().next(), None);
        let now = syncer.plugin().actual();
        as_wanted(dialect, &specs, &now)?;
        prop_assert_eq!(now.vips().len(), specs.len());
        mirrored(&syncer, &now)?;
    }

    #[test]
    fn a_connection_that_breaks_anywhere_leaves_vips_in_service(
        dialect in dialect(),
        actual in actual(),
        specs in wanted(),
        at in 0usize..30,
    ) {
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        let before = syncer.plugin().actual();
        syncer
            .plugin()
            .expect(Rules::new(&specs, &BTreeSet::new(), &before), [(at, Fault::Break)].into());
        let wanted = check(specs.clone(), Vec::new()).unwrap();
        let result = sync_all(&mut syncer, &wanted);
        prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());
        prop_assert_eq!(result.is_err(), syncer.plugin().writes().len() == at + 1);

        let plugin = syncer.plugin;
        plugin.expect(Rules::new(&specs, &BTreeSet::new(), &plugin.actual()), BTreeMap::new());
        let mut syncer = now(Syncer::start(plugin, anything())).unwrap();
        let again = sync_all(&mut syncer, &wanted).unwrap();
        prop_assert_eq!(again.errors().next(), None);
        as_wanted(dialect, &specs, &syncer.plugin().actual())?;
        prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());
    }

    #[test]
    fn single_vips_are_synced_without_reading(
        dialect in dialect(),
        actual in actual(),
        sets in vec(wanted(), 1..4),
    ) {
        let mut syncer = now(Syncer::start(vpp(dialect, actual), anything())).unwrap();
        for spec in sets.into_iter().flatten() {
            let before = syncer.plugin().actual();
            syncer.plugin().expect(Rules::new(std::slice::from_ref(&spec), &BTreeSet::new(), &before), BTreeMap::new());
            let report = now(syncer.sync_vip(&spec, &Demands::default())).unwrap();
            prop_assert_eq!(syncer.plugin().reads(), (0, 0));
            prop_assert_eq!(&report.read, &None);
            let after = syncer.plugin().actual();
            let refused = report.errors().next().is_some();
            if refused {
                // Only a VIP of the same prefix can block it; then the VIP is unchanged.
                prop_assert!(before.neighbours(&spec.key).next().is_some());
                prop_assert_eq!(before.get(&spec.key), after.get(&spec.key));
            } else {
                as_wanted(dialect, std::slice::from_ref(&spec), &after)?;
            }
            mirrored(&syncer, &after)?;
            for (key, vip) in before.vips().iter().filter(|(key, _)| **key != spec.key) {
                prop_assert_eq!(after.get(key), Some(vip));
            }
            prop_assert_eq!(syncer.plugin().violations(), Vec::<String>::new());
            let writes = syncer.plugin().writes().len();
            let again = now(syncer.sync_vip(&spec, &Demands::default())).unwrap();
            prop_assert_eq!(again.changes(), 0);
            prop_assert!(refused || syncer.plugin().writes().len() == writes);
        }
    }
}
