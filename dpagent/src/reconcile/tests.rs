use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_protocol::{AgentError, Encap, ServerSpec};

use super::*;
use crate::policy::tests::anything;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn web(servers: &[(&str, u8, bool)]) -> VipSpec {
    let servers =
        servers.iter().map(|&(server, weight, flush)| (address(server), ServerSpec { weight, flush }));
    VipSpec {
        key: VipKey::port(address("192.0.2.1"), 6, 80),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: servers.collect(),
    }
}

fn standing(servers: &[(&str, u8)]) -> MirrorVip {
    MirrorVip {
        index: Some(1),
        encap: Encap::Gre4,
        src_ip_sticky: Some(false),
        table_length: 1024,
        servers: servers.iter().map(|(server, weight)| (address(server), *weight)).collect(),
        drained: servers.iter().filter(|server| server.1 == 0).map(|server| address(server.0)).collect(),
    }
}

fn words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::to_string).collect()
}

#[test]
fn a_new_vip_gets_its_servers_in_numeric_order() {
    let spec = web(&[("10.0.0.10", 0, true), ("10.0.0.9", 100, false), ("9.255.0.1", 50, false)]);
    let plan = diff(&spec, &Demands::default(), None);
    assert_eq!(
        words(&plan.raise),
        [
            "add the VIP with gre4, 1024 buckets",
            "add server 9.255.0.1 with weight 50",
            "add server 10.0.0.9 with weight 100",
            "add server 10.0.0.10 with weight 0",
        ]
    );
    assert!(plan.clear.is_empty() && plan.lower.is_empty());
}

#[test]
fn raises_come_before_lowers_and_those_before_removals() {
    let actual = standing(&[("10.0.0.1", 100), ("10.0.0.2", 0), ("10.0.0.3", 100), ("10.0.0.5", 7)]);
    let spec = web(&[
        ("10.0.0.1", 0, true),
        ("10.0.0.2", 100, false),
        ("10.0.0.3", 50, true),
        ("10.0.0.4", 0, false),
    ]);
    let plan = diff(&spec, &Demands::default(), Some(&actual));
    assert_eq!(
        words(&plan.raise),
        ["set server 10.0.0.2 from weight 0 to 100", "add server 10.0.0.4 with weight 0"]
    );
    assert_eq!(
        words(&plan.lower),
        [
            "set server 10.0.0.1 from weight 100 to 0 and move its flows",
            "set server 10.0.0.3 from weight 100 to 50",
            "remove server 10.0.0.5 of weight 7 and move its flows",
        ]
    );
}

#[test]
fn flows_that_a_server_of_weight_0_still_has_are_moved_once_its_state_says_so() {
    let paused = MirrorVip { drained: BTreeSet::new(), ..standing(&[("10.0.0.1", 0), ("10.0.0.2", 5)]) };
    let spec = |flush| web(&[("10.0.0.1", 0, flush), ("10.0.0.2", 5, false)]);
    assert!(diff(&spec(false), &Demands::default(), Some(&paused)).is_empty());
    let plan = diff(&spec(true), &Demands::default(), Some(&paused));
    assert!(plan.clear.is_empty() && plan.raise.is_empty());
    assert_eq!(words(&plan.lower), ["move the flows of server 10.0.0.1, of weight 0"]);
    assert_eq!(plan.safe_lowers(Some(&paused)).0, plan.lower);
    // Without a server to take them over, flows are dropped: one that is out of service keeps none.
    let alone = MirrorVip { drained: BTreeSet::new(), ..standing(&[("10.0.0.1", 0)]) };
    let plan = diff(&web(&[("10.0.0.1", 0, true)]), &Demands::default(), Some(&alone));
    assert_eq!(plan.safe_lowers(Some(&alone)).0, plan.lower);
    assert_eq!(plan.lower.len(), 1);
}

#[test]
fn a_large_vip_that_is_made_again_moves_its_flows_to_where_the_whole_table_has_them() {
    let servers = |count| -> BTreeMap<IpAddr, ServerSpec> {
        let spec = ServerSpec { weight: 100, flush: true };
        (1..=count).map(|last| ([10, 0, 0, last].into(), spec)).collect()
    };
    let spec = |count| VipSpec {
        src_ip_sticky: true,
        new_flows_table_length: 65_536,
        servers: servers(count),
        ..web(&[])
    };
    let before = standing(&[("10.0.0.1", 1)]);
    assert_eq!(diff(&spec(20), &Demands::default(), Some(&before)).lower, []);
    assert_eq!(diff(&spec(200), &Demands::default(), Some(&before)).lower, [Step::FlushVip]);
    assert_eq!(diff(&spec(200), &Demands::default(), None).lower, []);
}

#[test]
fn a_vip_that_serves_again_forgets_the_packets_that_found_no_server() {
    let spec = web(&[("10.0.0.1", 9, false), ("10.0.0.2", 0, true)]);
    let down = standing(&[("10.0.0.1", 0), ("10.0.0.2", 0)]);
    let plan = diff(&spec, &Demands::default(), Some(&down));
    assert_eq!(words(&plan.raise), ["set server 10.0.0.1 from weight 0 to 9"]);
    assert_eq!(words(&plan.lower), ["move all flows of the VIP"]);
    let raised = standing(&[("10.0.0.1", 9), ("10.0.0.2", 0)]);
    assert_eq!(plan.safe_lowers(Some(&raised)).0, [Step::FlushVip]);
    // The raise was refused, so flows have nowhere to move.
    assert_eq!(plan.safe_lowers(Some(&down)).0, []);
    // A paused server has flows that a flush would move.
    let paused = MirrorVip { drained: [address("10.0.0.1")].into(), ..down };
    let spec = web(&[("10.0.0.1", 9, false), ("10.0.0.2", 0, false)]);
    assert_eq!(diff(&spec, &Demands::default(), Some(&paused)).lower, []);
}

#[test]
fn flows_move_only_on_the_step_to_0_and_only_if_asked() {
    for (from, to, asked, moved) in [
        (100, 0, true, Some(true)),
        (100, 0, false, Some(false)),
        (100, 1, true, Some(false)),
        (0, 100, true, Some(false)),
        (0, 0, true, None),
        (100, 100, true, None),
    ] {
        let plan = diff(
            &web(&[("10.0.0.1", to, asked), ("10.0.0.2", 1, true)]),
            &Demands::default(),
            Some(&standing(&[("10.0.0.1", from), ("10.0.0.2", 1)])),
        );
        let steps: Vec<_> = plan.raise.iter().chain(&plan.lower).map(Step::flushes).collect();
        assert_eq!(steps, Vec::from_iter(moved), "{from} to {to}");
    }
}

#[test]
fn a_table_of_another_length_stays_and_is_told() {
    let spec = VipSpec { new_flows_table_length: 4096, ..web(&[("10.0.0.1", 1, false)]) };
    let plan = diff(&spec, &Demands::default(), Some(&standing(&[("10.0.0.1", 1)])));
    assert!(plan.is_empty());
    assert_eq!(plan.table_length, Some(TableLengthKept { has: 1024, wanted: 4096 }));
}

#[test]
fn what_cannot_be_changed_makes_the_vip_anew() {
    let actual = standing(&[("10.0.0.1", 5)]);
    let sticky = VipSpec { src_ip_sticky: true, ..web(&[("10.0.0.1", 5, false)]) };
    let plan = diff(&sticky, &Demands::default(), Some(&actual));
    let clear = [
        "set server 10.0.0.1 from weight 5 to 5",
        "move all flows of the VIP",
        "remove the VIP to re-create it",
    ];
    assert_eq!(words(&plan.clear), clear);
    assert_eq!(plan.proof_and_clear().0, &plan.clear[..1]);
    assert!(plan.lower.is_empty());
    assert_eq!(
        words(&plan.raise),
        ["add the VIP with gre4, src_ip_sticky, 1024 buckets", "add server 10.0.0.1 with weight 5"]
    );
    let Step::RemoveVip { anew: Some(anew) } = plan.clear[2] else { panic!("{:?}", plan.clear) };
    assert_eq!(anew.to_string(), "src_ip_sticky of a VIP cannot be changed: it is false, wanted is true");

    let other = VipSpec { encap: Encap::Gre6, ..web(&[]) };
    let plan = diff(&other, &Demands::default(), Some(&actual));
    let Step::RemoveVip { anew: Some(anew) } = plan.clear[2] else { panic!("{:?}", plan.clear) };
    assert_eq!(anew.to_string(), "the encapsulation of a VIP cannot be changed: it has gre4, wanted is gre6");
}

#[test]
fn a_vip_is_not_sacrificed_for_an_encapsulation_that_vpp_would_refuse() {
    let spec = VipSpec { encap: Encap::Gre6, ..web(&[]) };
    let other = VipKey { port: 443, ..spec.key };
    let actual = Mirror::new([(spec.key, standing(&[])), (other, standing(&[]))].into());
    let plan = plan_one(&spec, &Demands::default(), &actual, &anything());
    assert!(plan.is_empty());
    assert_eq!(
        plan.errors[0].meaning,
        "not tried: VIP 192.0.2.1 tcp/443 has gre4, and VPP requires one encapsulation for all VIPs of a prefix; \
         changed together, in a full sync, they can change"
    );
    let wanted = check(vec![spec.clone()], Vec::new()).unwrap();
    let plans = plan_all(&wanted, &actual, &anything()).plans;
    assert!(plans.iter().all(|plan| plan.errors.is_empty() && !plan.clear.is_empty()));
    let wanted = check(vec![spec], vec![other]).unwrap();
    let plans = plan_all(&wanted, &actual, &anything()).plans;
    assert_eq!(plans.len(), 1);
    assert!(plans[0].errors.len() == 1 && plans[0].is_empty());
}

#[test]
fn the_last_serving_server_stays_if_its_successor_was_refused() {
    let spec = web(&[("10.0.0.1", 0, true), ("10.0.0.2", 0, true), ("10.0.0.3", 100, false)]);
    let before = standing(&[("10.0.0.1", 100), ("10.0.0.2", 100), ("10.0.0.4", 0)]);
    let plan = diff(&spec, &Demands::default(), Some(&before));
    let (safe, held_back) = plan.safe_lowers(Some(&before));
    assert_eq!(
        words(&safe),
        [
            "set server 10.0.0.1 from weight 100 to 0 and move its flows",
            "remove server 10.0.0.4 of weight 0 and move its flows",
        ]
    );
    assert_eq!(held_back.len(), 1);
    assert_eq!(held_back[0].step, "set server 10.0.0.2 from weight 100 to 0 and move its flows");
    assert_eq!(held_back[0].code, None);

    let raised = standing(&[("10.0.0.1", 100), ("10.0.0.2", 100), ("10.0.0.3", 100), ("10.0.0.4", 0)]);
    assert_eq!(plan.safe_lowers(Some(&raised)), (plan.lower.clone(), Vec::new()));
    // If no server is meant to serve, nothing has to be held back.
    let none =
        diff(&web(&[("10.0.0.1", 0, false)]), &Demands::default(), Some(&standing(&[("10.0.0.1", 100)])));
    assert_eq!(none.safe_lowers(Some(&standing(&[("10.0.0.1", 100)]))).1, Vec::new());
}

#[test]
fn sets_that_vpp_cannot_have_are_refused_whole() {
    let http = web(&[]);
    let https = |encap| VipSpec { key: VipKey { port: 443, ..http.key }, encap, ..http.clone() };
    let all = VipSpec { key: VipKey::all_ports(address("192.0.2.1")), ..http.clone() };
    let elsewhere = VipSpec { key: VipKey::all_ports(address("192.0.2.2")), ..https(Encap::Gre6) };
    assert!(check(vec![http.clone(), https(Encap::Gre4), elsewhere.clone()], Vec::new()).is_ok());
    let said = |specs: Vec<VipSpec>, keep| match check(specs, keep) {
        Err(AgentError::Contradiction(said)) => said,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        said(vec![https(Encap::Gre6), http.clone()], Vec::new()),
        "VIPs 192.0.2.1 tcp/80 (gre4) and 192.0.2.1 tcp/443 (gre6) share a prefix: VPP requires one \
        encapsulation for all VIPs of a prefix"
    );
    assert_eq!(
        said(vec![all, http.clone()], Vec::new()),
        "VIPs 192.0.2.1 tcp/80 and 192.0.2.1 all ports share a prefix: VPP allows either one all-port VIP or \
        VIPs for single ports"
    );
    assert_eq!(
        said(vec![http.clone(), elsewhere, http.clone()], Vec::new()),
        "VIP 192.0.2.1 tcp/80 is desired twice"
    );
    assert_eq!(
        said(vec![http.clone()], vec![http.key]),
        "VIP 192.0.2.1 tcp/80 is both desired and to be left alone: it can only be one of them"
    );
    let broken = VipSpec { new_flows_table_length: 1000, ..http };
    assert!(matches!(check(vec![broken], Vec::new()), Err(AgentError::Invalid { .. })));
}

#[test]
fn unwanted_vips_go_with_their_servers_at_the_cost_of_one() {
    let key = web(&[]).key;
    let actual = Mirror::new(BTreeMap::from([(key, standing(&[("10.0.0.1", 3), ("10.0.0.2", 0)]))]));
    let plans = plan_all(&Wanted::default(), &actual, &anything()).plans;
    assert_eq!(plans.len(), 1);
    assert_eq!(
        words(&plans[0].clear),
        ["set server 10.0.0.1 from weight 3 to 3", "move all flows of the VIP", "remove the VIP"]
    );
    let bare = Mirror::new(BTreeMap::from([(key, standing(&[]))]));
    let plans = plan_all(&Wanted::default(), &bare, &anything()).plans;
    assert_eq!(plans[0].proof_and_clear(), (&[][..], &[Step::RemoveVip { anew: None }][..]));
    let kept = Wanted { keep: [key].into(), ..Wanted::default() };
    assert!(plan_all(&kept, &actual, &anything()).plans.is_empty());
}

#[test]
fn a_demand_flushes_whatever_the_weight_does_and_only_then() {
    let actual = standing(&[("10.0.0.1", 0), ("10.0.0.2", 50), ("10.0.0.3", 100), ("10.0.0.4", 1)]);
    let spec = web(&[
        ("10.0.0.1", 0, true),
        ("10.0.0.2", 100, false),
        ("10.0.0.3", 20, false),
        ("10.0.0.4", 1, false),
        ("10.0.0.5", 1, false),
    ]);
    let flush = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.9.9.9"].map(address).into();
    let plan = diff(&spec, &Demands { flush, recreate: false }, Some(&actual));
    assert_eq!(
        words(&plan.raise),
        ["set server 10.0.0.2 from weight 50 to 100", "add server 10.0.0.5 with weight 1"]
    );
    assert_eq!(
        words(&plan.lower),
        [
            "set server 10.0.0.3 from weight 100 to 20 and move its flows",
            "move the flows of server 10.0.0.1, of weight 0",
            "move the flows of server 10.0.0.2, of weight 100",
        ]
    );
    let [unknown] = &plan.errors[..] else { panic!("{:?}", plan.errors) };
    assert_eq!(unknown.step, "move the flows of server 10.9.9.9");
    assert_eq!(unknown.meaning, "not tried: it is not a desired server of the VIP");
}

#[test]
fn another_table_length_is_reached_only_on_demand() {
    let spec = VipSpec { new_flows_table_length: 4096, ..web(&[("10.0.0.1", 1, false)]) };
    let recreate = Demands { recreate: true, ..Demands::default() };
    let plan = diff(&spec, &recreate, Some(&standing(&[("10.0.0.1", 1)])));
    let Step::RemoveVip { anew: Some(anew) } = plan.clear[2] else { panic!("{:?}", plan.clear) };
    assert_eq!(
        anew.to_string(),
        "the table length of a VIP cannot be changed, and that was requested: it has 1024, wanted is 4096"
    );
    assert_eq!(plan.table_length, None);
    let reached = MirrorVip { table_length: 4096, ..standing(&[("10.0.0.1", 1)]) };
    assert!(diff(&spec, &recreate, Some(&reached)).is_empty());
}

fn narrow(limits: &str) -> Policy {
    let text = format!("vips: [192.0.2.0/28]\nservers: [10.0.0.0/30]\nlimits: {{{limits}}}");
    crate::policy::parse(&text, "p.yaml").unwrap()
}

#[test]
fn servers_outside_the_policy_are_never_added_or_raised() {
    let spec = web(&[("10.0.0.1", 0, true), ("10.0.0.9", 100, false), ("10.0.0.8", 0, true)]);
    let actual = Mirror::new([(spec.key, standing(&[("10.0.0.1", 100), ("10.0.0.8", 7)]))].into());
    let plan = plan_one(&spec, &Demands::default(), &actual, &narrow(""));
    assert!(plan.raise.is_empty());
    assert_eq!(
        words(&plan.lower),
        [
            "set server 10.0.0.1 from weight 100 to 0 and move its flows",
            "set server 10.0.0.8 from weight 7 to 0 and move its flows",
        ]
    );
    // Its successor was refused, so the last server in service is held back.
    let (safe, held_back) = plan.safe_lowers(actual.get(&spec.key));
    assert_eq!((safe.len(), held_back.len()), (1, 1));
    let told: Vec<_> = plan.errors.iter().map(|error| format!("{}: {}", error.step, error.meaning)).collect();
    assert_eq!(
        told,
        ["give server 10.0.0.9 weight 100: not allowed: no prefix of `servers` in p.yaml covers it"]
    );
    // Once re-created, the VIP has none of them.
    let anew = VipSpec { src_ip_sticky: true, ..spec };
    let plan = plan_one(&anew, &Demands::default(), &actual, &narrow(""));
    assert_eq!(plan.raise.len(), 2);
    assert_eq!(plan.errors.len(), 2);
}

#[test]
fn vips_outside_the_policy_are_left_alone_and_told() {
    let (own, strange) = (web(&[("10.0.0.1", 1, false)]), VipKey::port(address("192.0.2.99"), 6, 80));
    let vip = standing(&[("10.7.7.7", 1)]);
    let actual = Mirror::new([(strange, vip.clone()), (own.key, vip)].into());
    let planned = plan_all(&Wanted::default(), &actual, &narrow(""));
    assert_eq!(planned.foreign, [strange]);
    assert_eq!(planned.plans.iter().map(|plan| plan.vip).collect::<Vec<_>>(), [own.key]);
    let wanted = check(vec![VipSpec { key: strange, ..own.clone() }, own], Vec::new()).unwrap();
    let planned = plan_all(&wanted, &actual, &narrow(""));
    let refused: Vec<_> = planned.plans.iter().filter(|plan| !plan.errors.is_empty()).collect();
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((refused.vip, refused.is_empty()), (strange, true));
    assert_eq!(refused.errors[0].meaning, "not allowed: no prefix of `vips` in p.yaml covers it");
}

#[test]
fn the_policy_bounds_vips_and_servers_and_what_stands_is_still_kept_in_step() {
    let vip =
        |last, servers: &[_]| VipSpec { key: VipKey::port([192, 0, 2, last].into(), 6, 80), ..web(servers) };
    let policy = narrow("vips: 2, servers-per-vip: 1");
    let actual = Mirror::new([(vip(2, &[]).key, standing(&[("10.0.0.1", 1)]))].into());
    let specs = vec![vip(1, &[]), vip(2, &[("10.0.0.1", 5, false)]), vip(3, &[]), vip(4, &[])];
    let planned = plan_all(&check(specs, Vec::new()).unwrap(), &actual, &policy).plans;
    let told: Vec<_> = planned.iter().map(|plan| (plan.is_empty(), plan.errors.len())).collect();
    assert_eq!(told, [(false, 0), (false, 0), (true, 1), (true, 1)]);
    assert_eq!(planned[3].errors[0].meaning, "not allowed: `vips` in p.yaml is 2");

    let full = Mirror::new([1, 2].map(|last| (vip(last, &[]).key, standing(&[]))).into());
    let plan = plan_one(&vip(3, &[]), &Demands::default(), &full, &policy);
    assert_eq!((plan.is_empty(), plan.errors.len()), (true, 1));
    let crowded = vip(2, &[("10.0.0.1", 1, false), ("10.0.0.2", 1, false)]);
    let plan = plan_one(&crowded, &Demands::default(), &full, &policy);
    assert!(plan.is_empty());
    assert_eq!(plan.errors[0].step, "program the VIP with 2 servers");
    assert_eq!(plan.errors[0].meaning, "not allowed: `servers-per-vip` in p.yaml is 1");
}
