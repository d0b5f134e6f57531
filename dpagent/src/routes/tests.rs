use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::policy;

const TABLES: RouteTables = RouteTables { table: 10, gshut_table: Some(11), protocol: 200 };

/// Tables in memory, in which somebody else has routes, too.
#[derive(Debug, Clone, Default)]
struct Fake {
    /// With their protocol numbers.
    routes: BTreeMap<(u32, IpAddr), u8>,
    refuses: BTreeSet<IpAddr>,
    changes: Vec<String>,
}

impl Kernel for Fake {
    fn read(&mut self, table: u32, protocol: u8) -> io::Result<BTreeSet<IpAddr>> {
        let ours = self.routes.iter().filter(|((found, _), number)| *found == table && **number == protocol);
        Ok(ours.map(|((_, address), _)| *address).collect())
    }

    fn change(&mut self, change: Change, protocol: u8) -> io::Result<()> {
        self.changes.push(change.to_string());
        let Change { address, table, add } = change;
        if self.refuses.contains(&address) || add && self.routes.contains_key(&(table, address)) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        match add {
            true => drop(self.routes.insert((table, address), protocol)),
            false => assert_eq!(self.routes.remove(&(table, address)), Some(protocol)),
        }
        Ok(())
    }
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, last).into()
}

fn policy(routes: &str) -> Policy {
    let text = format!("vips: [198.51.100.0/28]\nservers: []\nlimits: {{ vips: 4 }}\n{routes}");
    policy::parse(&text, "policy.yaml").unwrap()
}

fn spec(routes: &[(u8, Option<HostRoute>)], remove_others: bool) -> RoutesSpec {
    RoutesSpec {
        routes: routes.iter().map(|(last, route)| (address(*last), *route)).collect(),
        remove_others,
    }
}

#[test]
fn tables_get_the_desired_routes_and_those_of_others_stay() {
    use HostRoute::{Absent, Gshut, Present};
    let policy = policy("routes: { table: 10, gshut-table: 11 }");
    let routes =
        [((10, address(2)), 200), ((10, address(4)), 200), ((10, address(5)), 4), ((12, address(6)), 200)];
    let mut kernel = Fake { routes: routes.into(), ..Fake::default() };
    let wanted = spec(&[(1, Some(Present)), (2, Some(Gshut)), (3, None)], true);
    let answer = sync(&mut kernel, wanted.clone(), &policy).unwrap();
    assert_eq!(
        kernel.changes,
        [
            "add 198.51.100.1/32 to table 10",
            "add 198.51.100.2/32 to table 11",
            "remove 198.51.100.2/32 from table 10",
            "remove 198.51.100.4/32 from table 10"
        ]
    );
    assert_eq!(answer.routes, [(address(1), Present), (address(2), Gshut)].into());
    assert_eq!((answer.table, answer.changed.len(), answer.refused), (10, 3, None));
    assert_eq!(kernel.routes[&(10, address(5))], 4, "a route of somebody else");
    assert!(sync(&mut kernel, wanted, &policy).unwrap().changed.is_empty());
    // An address that is in both is announced.
    kernel.routes.insert((10, address(2)), 200);
    let answer = sync(&mut kernel, RoutesSpec::default(), &policy).unwrap();
    assert_eq!(answer.routes[&address(2)], Present);
    let answer = sync(&mut kernel, spec(&[(1, Some(Absent))], false), &policy).unwrap();
    assert_eq!((answer.changed, answer.routes.len()), (vec![address(1)], 1));
}

#[test]
fn refusals_name_who_refused_and_hold_up_nothing_else() {
    use HostRoute::{Gshut, Present};
    let mut kernel = Fake::default();
    let wanted = spec(&[(1, Some(Present)), (100, Some(Present))], false);
    let error = sync(&mut kernel, wanted.clone(), &policy("")).unwrap_err().to_string();
    assert_eq!(error, "the agent refused routes in the kernel: policy.yaml has no `routes`");
    let only = policy("routes: { table: 10 }");
    let answer = sync(&mut kernel, wanted, &only).unwrap();
    assert_eq!(answer.routes, [(address(1), Present)].into());
    let refused = "the agent refused a route of 198.51.100.100: no prefix of `vips` in policy.yaml covers it";
    assert_eq!(answer.refused.as_deref(), Some(refused));
    let answer = sync(&mut kernel, spec(&[(1, Some(Gshut))], true), &only).unwrap();
    let refused = "the agent refused a route of 198.51.100.1: `routes` in policy.yaml has no `gshut-table`";
    assert_eq!((answer.refused.as_deref(), answer.routes.len()), (Some(refused), 1), "it stays as it is");
    kernel.refuses.insert(address(2));
    let answer = sync(&mut kernel, spec(&[(2, Some(Present)), (3, Some(Present))], false), &only).unwrap();
    let refused = "the kernel refused to add 198.51.100.2/32 to table 10: entity already exists";
    assert_eq!((answer.refused.as_deref(), answer.changed), (Some(refused), vec![address(3)]));
    let many = spec(&[1, 2, 3, 4, 5].map(|last| (last, None)), false);
    assert_eq!(
        sync(&mut kernel, many, &only).unwrap_err().to_string(),
        "too many routes in the kernel: at most 4"
    );
}

fn any_found() -> impl Strategy<Value = Found> {
    let addresses = proptest::collection::btree_set((0..6_u8).prop_map(address), 0..6);
    proptest::collection::btree_map(prop_oneof![Just(10), Just(11)], addresses, 0..=2)
}

fn any_spec() -> impl Strategy<Value = RoutesSpec> {
    let route = prop_oneof![Just(HostRoute::Absent), Just(HostRoute::Gshut), Just(HostRoute::Present)];
    let routes =
        proptest::collection::btree_map((0..6_u8).prop_map(address), proptest::option::of(route), 0..6);
    (routes, any::<bool>()).prop_map(|(routes, remove_others)| RoutesSpec { routes, remove_others })
}

proptest! {
    #[test]
    fn a_plan_reaches_its_goal_and_loses_no_route_on_the_way(wanted in any_spec(), before in any_found(), gshut: bool) {
        let tables = RouteTables { gshut_table: TABLES.gshut_table.filter(|_| gshut), ..TABLES };
        let means = |has: &Found, address: &IpAddr| {
            let in_table = |table| has.get(&table).is_some_and(|found| found.contains(address));
            [(10, HostRoute::Present), (11, HostRoute::Gshut)].into_iter().find(|(table, _)| in_table(*table)).map(|(_, means)| means)
        };
        let mut has = before.clone();
        has.retain(|table, _| tables.all().any(|(of, _)| of == *table));
        let before = has.clone();
        for change in plan(&wanted, &tables, &before) {
            let (found, reached) = (means(&has, &change.address), wanted.routes.get(&change.address).copied().flatten());
            let table = has.entry(change.table).or_default();
            let is_change = if change.add { table.insert(change.address) } else { table.remove(&change.address) };
            prop_assert!(is_change, "{change} changes nothing");
            if found.is_some() && reached.is_some_and(|reached| reached != HostRoute::Absent) {
                prop_assert!(means(&has, &change.address).is_some(), "{change} loses the route");
            }
        }
        prop_assert_eq!(plan(&wanted, &tables, &has), []);
        for last in 0..6 {
            let address = address(last);
            let (is, was) = (means(&has, &address), means(&before, &address));
            match wanted.routes.get(&address) {
                Some(Some(HostRoute::Gshut)) if !gshut => prop_assert_eq!(is, was),
                Some(Some(HostRoute::Absent)) => prop_assert_eq!(is, None),
                Some(Some(route)) => prop_assert_eq!(is, Some(*route)),
                None if wanted.remove_others => prop_assert_eq!(is, None),
                Some(None) | None => prop_assert_eq!(is, was),
            }
        }
    }
}
