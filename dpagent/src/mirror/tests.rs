use super::*;

fn vip(port: u16) -> VipKey {
    VipKey::port([192, 0, 2, 1].into(), 6, port)
}

fn add_vip(encap: Encap) -> Step {
    Step::AddVip { encap, src_ip_sticky: false, table_length: 1024 }
}

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn standing(weights: &[([u8; 4], u8)]) -> MirrorVip {
    MirrorVip {
        index: Some(3),
        encap: Encap::Gre4,
        src_ip_sticky: Some(false),
        table_length: 1024,
        servers: weights.iter().map(|(server, weight)| ((*server).into(), *weight)).collect(),
        drained: BTreeSet::new(),
    }
}

#[test]
fn acknowledged_writes_are_remembered() {
    let mut mirror = Mirror::default();
    let mut done = |step| mirror.acknowledge(&Write { vip: vip(80), step });
    done(add_vip(Encap::Gre4));
    done(Step::AddServer { server: SERVER, weight: 0, flush: false });
    done(Step::Reweight { server: SERVER, from: 0, to: 9, flush: false });
    let made = MirrorVip { index: None, ..standing(&[([10, 0, 0, 1], 9)]) };
    assert_eq!(mirror.get(&vip(80)), Some(&made));
    assert!(made.serves());
    mirror.acknowledge(&Write { vip: vip(80), step: Step::RemoveServer { server: SERVER, weight: 9 } });
    assert!(!mirror.get(&vip(80)).unwrap().serves());
    mirror.acknowledge(&Write { vip: vip(80), step: Step::RemoveVip { anew: None } });
    assert_eq!(mirror, Mirror::default());
}

#[test]
fn a_server_is_drained_from_its_flush_at_weight_0_until_it_is_raised() {
    let mut mirror = Mirror::new([(vip(80), standing(&[([10, 0, 0, 1], 9), ([10, 0, 0, 2], 5)]))].into());
    let reweight = |from, to, flush| Step::Reweight { server: SERVER, from, to, flush };
    for (step, drained) in [
        (reweight(9, 0, false), false),
        (Step::Flush { server: SERVER, weight: 0 }, true),
        (reweight(0, 0, false), true),
        (reweight(0, 3, false), false),
        (Step::Flush { server: SERVER, weight: 3 }, false),
        (Step::FlushVip, false),
        (reweight(3, 0, true), true),
        (Step::RemoveServer { server: SERVER, weight: 0 }, false),
        (Step::AddServer { server: SERVER, weight: 0, flush: false }, false),
        (Step::FlushVip, true),
        (Step::RemoveServer { server: SERVER, weight: 0 }, false),
        (Step::AddServer { server: SERVER, weight: 0, flush: true }, true),
    ] {
        mirror.acknowledge(&Write { vip: vip(80), step });
        assert_eq!(mirror.is_drained(&vip(80), &SERVER), drained, "{step}");
        assert!(!mirror.get(&vip(80)).unwrap().is_drained(), "the other one serves");
    }
}

#[test]
fn it_knows_what_vpp_would_take() {
    let mirror = Mirror::new([(vip(80), standing(&[([10, 0, 0, 1], 9)]))].into());
    let other = IpAddr::from([10, 0, 0, 2]);
    let elsewhere = VipKey::all_ports([192, 0, 2, 2].into());
    for (vip, step, taken) in [
        (vip(80), add_vip(Encap::Gre4), false),
        (vip(81), add_vip(Encap::Gre4), true),
        (vip(81), add_vip(Encap::Gre6), false),
        (VipKey::all_ports([192, 0, 2, 1].into()), add_vip(Encap::Gre4), false),
        (elsewhere, add_vip(Encap::Gre6), true),
        (vip(80), Step::RemoveVip { anew: None }, true),
        (vip(81), Step::RemoveVip { anew: None }, false),
        (vip(80), Step::AddServer { server: SERVER, weight: 1, flush: false }, false),
        (vip(80), Step::AddServer { server: other, weight: 1, flush: false }, true),
        (vip(81), Step::AddServer { server: other, weight: 1, flush: false }, false),
        (vip(80), Step::Reweight { server: SERVER, from: 9, to: 1, flush: false }, true),
        (vip(80), Step::Reweight { server: other, from: 9, to: 1, flush: false }, false),
        (vip(80), Step::RemoveServer { server: SERVER, weight: 9 }, true),
        (vip(81), Step::RemoveServer { server: SERVER, weight: 9 }, false),
    ] {
        assert_eq!(mirror.would_take(&Write { vip, step }), taken, "{vip}: {step}");
    }
}

#[test]
fn neighbours_are_the_other_vips_of_the_prefix() {
    let all = [vip(1), vip(80), vip(65535), VipKey::all_ports([192, 0, 2, 2].into())];
    let mirror = Mirror::new(all.into_iter().map(|key| (key, standing(&[]))).collect());
    let found: Vec<_> = mirror.neighbours(&vip(80)).map(|(key, _)| *key).collect();
    assert_eq!(found, [vip(1), vip(65535)]);
}

#[test]
fn differences_are_told_in_words() {
    let before = Mirror::new(
        [
            (vip(80), standing(&[([10, 0, 0, 1], 9), ([10, 0, 0, 2], 1), ([10, 0, 0, 3], 1)])),
            (vip(81), standing(&[])),
            (vip(83), MirrorVip { index: None, ..standing(&[]) }),
        ]
        .into(),
    );
    let changed =
        MirrorVip { index: Some(7), src_ip_sticky: Some(true), table_length: 65_536, ..standing(&[]) };
    let servers = standing(&[([10, 0, 0, 2], 1), ([10, 0, 0, 3], 0), ([10, 0, 0, 4], 5)]).servers;
    let after = Mirror::new(
        [
            (vip(80), MirrorVip { servers, encap: Encap::Gre6, ..changed }),
            (vip(82), standing(&[([10, 0, 0, 1], 9)])),
            (vip(83), standing(&[])),
        ]
        .into(),
    );
    assert_eq!(
        before.drift(&after, |_| true),
        [
            "VIP 192.0.2.1 tcp/80: was re-created by somebody else",
            "VIP 192.0.2.1 tcp/80: has gre6 instead of gre4",
            "VIP 192.0.2.1 tcp/80: src_ip_sticky is true instead of false",
            "VIP 192.0.2.1 tcp/80: has 65536 buckets instead of 1024",
            "VIP 192.0.2.1 tcp/80: server 10.0.0.1 of weight 9 is gone",
            "VIP 192.0.2.1 tcp/80: server 10.0.0.3 has weight 0 instead of 1",
            "VIP 192.0.2.1 tcp/80: server 10.0.0.4 of weight 5 has appeared",
            "VIP 192.0.2.1 tcp/81 is gone",
            "VIP 192.0.2.1 tcp/82 has appeared, with gre4 and 1 servers",
        ]
    );
    assert_eq!(before.drift(&after, |key| *key == vip(81)), ["VIP 192.0.2.1 tcp/81 is gone"]);
    assert_eq!(after.drift(&after, |_| true), Vec::<String>::new());
    let many = Mirror::new((1..=1000).map(|port| (vip(port), standing(&[]))).collect());
    let lines = many.drift(&Mirror::default(), |_| true);
    assert_eq!((lines.len(), lines.last().unwrap().as_str()), (201, "and 800 more differences"));
}

#[test]
fn what_is_programmed_has_all_vips_in_order() {
    let mut mirror = Mirror::default();
    assert!(mirror.programmed().vips.is_empty());
    for port in [443, 80] {
        let step = Step::AddVip { encap: Encap::Gre4, src_ip_sticky: false, table_length: u32::from(port) };
        mirror.acknowledge(&Write { vip: vip(port), step });
    }
    mirror.acknowledge(&Write {
        vip: vip(443),
        step: Step::AddServer { server: SERVER, weight: 255, flush: false },
    });
    let programmed =
        |port, servers| ProgrammedVip { key: vip(port), new_flows_table_length: u32::from(port), servers };
    assert_eq!(
        mirror.programmed().vips,
        [programmed(80, BTreeMap::new()), programmed(443, [(SERVER, 255)].into())]
    );
}
