use proptest::prelude::*;

use super::*;
use crate::cli_text::{TextServer, TextVip};

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn key(port: u16) -> VipKey {
    VipKey::port([192, 0, 2, 1].into(), 6, port)
}

fn dumps(ports: &[u16]) -> Dumps {
    let vip = |port: &u16| VipRow { key: key(*port), encap: Encap::Gre4, table_length: 1024 };
    let server =
        |port: &u16| ServerRow { vip: key(*port), address: SERVER, used: true, weight: 3, buckets: 1024 };
    Dumps {
        vips: ports.iter().map(vip).collect(),
        servers: ports.iter().map(server).collect(),
        ..Dumps::default()
    }
}

fn text(ports: &[u16]) -> Text {
    let server =
        TextServer { address: SERVER, weight: 3, buckets: 1024, flows: 5, route: None, removed: false };
    let vip = |port: &u16| TextVip {
        key: key(*port),
        index: u32::from(*port) + 1000,
        encap: None,
        table_length: None,
        src_ip_sticky: *port == 80,
        removed: false,
        servers: vec![server],
    };
    Text { vips: ports.iter().map(vip).collect(), ..Text::default() }
}

/// A read that was understood completely.
fn whole(reading: Reading) -> Mirror {
    assert!(reading.torn.is_empty() && reading.mirror.set_aside().is_empty(), "{reading:?}");
    reading.mirror
}

#[test]
fn the_text_is_needed_only_when_a_vip_came_or_went() {
    let before = dumps(&[80, 81]);
    let mirror = whole(before.mirror(&text(&[80, 81])));
    assert!(!before.need_text(&mirror));
    assert_eq!(whole(before.mirror_like(&mirror)), mirror);

    let mut reweighted = before.clone();
    reweighted.servers[0].weight = 0;
    assert!(!reweighted.need_text(&mirror));
    assert_eq!(whole(reweighted.mirror_like(&mirror)).vips()[&key(80)].servers[&SERVER], 0);
    let mut others_ghost = before.clone();
    others_ghost.servers.push(ServerRow { used: false, vip: key(82), ..before.servers[0] });
    assert!(!others_ghost.need_text(&mirror));

    assert!(before.need_text(&Mirror::default()));
    assert!(dumps(&[80]).need_text(&mirror));
    assert!(dumps(&[80, 82]).need_text(&mirror));
    let mut longer = before.clone();
    longer.vips[0].table_length = 2048;
    assert!(longer.need_text(&mirror));
    let mut twin = before.clone();
    twin.servers.push(ServerRow { used: false, ..before.servers[0] });
    assert!(twin.need_text(&mirror));
    let mut new = mirror.vips().clone();
    new.get_mut(&key(80)).unwrap().index = None;
    assert!(before.need_text(&Mirror::new(new)));
    let bare = Dumps { servers: Vec::new(), ..before };
    assert!(bare.need_text(&whole(bare.mirror(&text(&[80, 81])))));
}

/// The ports of the VIPs that were understood, and of those set aside.
fn ports(reading: &Reading) -> (Vec<u16>, Vec<u16>) {
    let understood = reading.mirror.vips().keys().map(|key| key.port).collect();
    (understood, reading.mirror.set_aside().vips().map(|key| key.port).collect())
}

#[test]
fn what_is_missing_in_dump_or_text_is_set_aside_and_may_be_torn() {
    let fewer_told = dumps(&[80, 81]).mirror(&text(&[80]));
    assert_eq!(ports(&fewer_told), (vec![80], vec![81]));
    let reason = "VIP 192.0.2.1 tcp/81: VPP's dump has it, but its text does not";
    assert_eq!(fewer_told.torn, [reason.to_owned()].into());
    let fewer_dumped = dumps(&[80]).mirror(&text(&[80, 81]));
    assert_eq!(ports(&fewer_dumped), (vec![80], vec![81]));
    assert_eq!(fewer_dumped.torn.len(), 1);
    let mut removed = text(&[80, 81]);
    removed.vips[0].removed = true;
    assert_eq!(ports(&dumps(&[80, 81]).mirror(&removed)), (vec![81], vec![80]));
    let mut ownerless = dumps(&[80]);
    ownerless.servers.push(ServerRow { vip: key(82), ..ownerless.servers[0] });
    let reading = ownerless.mirror(&text(&[80]));
    assert_eq!((ports(&reading), reading.torn.len()), ((vec![80], vec![]), 1));
    assert!(!reading.mirror.set_aside().is_empty());
}

#[test]
fn what_a_dump_tells_twice_is_not_believed() {
    let (sound, mut vips, mut servers) = (dumps(&[80, 81]), dumps(&[80, 81]), dumps(&[80, 81]));
    let mirror = whole(sound.mirror(&text(&[80, 81])));
    vips.vips[1] = vips.vips[0];
    assert_eq!(ports(&vips.mirror(&text(&[80, 81]))), (vec![], vec![80, 81]));
    // As many VIPs as were known, but one of them is new.
    assert!(vips.need_text(&mirror));
    servers.servers.push(ServerRow { weight: 9, ..servers.servers[1] });
    let reading = servers.mirror(&text(&[80, 81]));
    assert_eq!((ports(&reading), reading.torn.len()), ((vec![80], vec![81]), 1));
    assert_eq!(ports(&servers.mirror_like(&mirror)), (vec![80], vec![81]));
}

#[test]
fn an_encapsulation_without_a_name_and_a_length_that_cannot_be_are_set_aside_for_good() {
    let mut strange = dumps(&[80, 81]);
    strange.strange.push((key(82), "it has encapsulation 9: expected 0 to 4".to_owned()));
    strange.servers.push(ServerRow { vip: key(82), ..strange.servers[0] });
    strange.vips[1].key.prefix.length = 33;
    strange.servers[1].vip = strange.vips[1].key;
    let mut told = text(&[80, 81, 82]);
    told.vips[1].key = strange.vips[1].key;
    let reading = strange.mirror(&told);
    assert_eq!((ports(&reading), reading.torn.len()), ((vec![80], vec![82, 81]), 0));
    assert_eq!(
        reading.mirror.set_aside().blocks(&key(82)).unwrap(),
        "VIP 192.0.2.1 tcp/82 of VPP was set aside: it has encapsulation 9: expected 0 to 4"
    );
    assert!(dumps(&[80]).need_text(&reading.mirror), "what was set aside may have changed");
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

/// VPP dumps `::/8` as 0.0.0.0/8, which it may have as well.
#[test]
fn a_vip_that_vpp_dumps_as_another_one_is_told_from_it_by_the_text() {
    let alone = VipKey { prefix: prefix("0.0.0.0/8"), ..key(80) };
    let disguised = VipKey { prefix: prefix("::/8"), ..key(80) };
    let row = VipRow { key: alone, encap: Encap::Gre4, table_length: 1024 };
    let told = |keys: &[VipKey]| {
        let mut told = text(&vec![80; keys.len()]);
        told.vips.iter_mut().zip(keys).for_each(|(vip, key)| vip.key = *key);
        told
    };
    let dumped = |count| Dumps { vips: vec![row; count], ..Dumps::default() };
    let only_ipv4 = dumped(1).mirror(&told(&[alone]));
    assert_eq!(whole(only_ipv4).vips().keys().collect::<Vec<_>>(), [&alone]);
    let only_ipv6 = dumped(1).mirror(&told(&[disguised]));
    assert_eq!((only_ipv6.mirror.vips().len(), only_ipv6.torn.len()), (0, 0));
    assert_eq!(only_ipv6.mirror.set_aside().vips().collect::<Vec<_>>(), [&disguised]);
    assert_eq!(
        only_ipv6.mirror.set_aside().blocks(&alone).unwrap(),
        "VIP ::/8 tcp/80 of VPP was set aside: VPP dumps it as 0.0.0.0/8 tcp/80"
    );
    let both = dumped(2).mirror(&told(&[alone, disguised]));
    assert_eq!((both.mirror.vips().len(), both.torn.len()), (0, 0));
    assert_eq!(both.mirror.set_aside().vips().collect::<Vec<_>>(), [&alone, &disguised]);
    let torn = dumped(1).mirror(&told(&[alone, disguised]));
    assert_eq!((torn.mirror.vips().len(), torn.torn.len()), (0, 1));
}

/// Possible defects of one VIP.
#[derive(Debug, Clone)]
enum Garbage {
    Row(VipRow),
    Rows(VipKey, usize),
    Strange(VipKey),
    Text(TextVip),
    Server(ServerRow),
    Line(String),
}

fn garbage() -> impl Strategy<Value = Garbage> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        Just(IpAddr::from([0, 0, 0, 0])),
        Just("::".parse().unwrap()),
    ];
    let key =
        (address, any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(address, length, protocol, port)| {
            VipKey { prefix: Prefix { address, length }, protocol, port }
        });
    let row = |key| VipRow { key, encap: Encap::Gre6, table_length: 1 };
    prop_oneof![
        key.clone().prop_map(move |key| Garbage::Row(row(key))),
        (key.clone(), 2usize..4).prop_map(|(key, count)| Garbage::Rows(key, count)),
        key.clone().prop_map(Garbage::Strange),
        key.clone().prop_map(|key| Garbage::Text(TextVip { key, ..text(&[80]).vips[0].clone() })),
        key.prop_map(|key| Garbage::Server(ServerRow { vip: key, ..dumps(&[80]).servers[0] })),
        "[ -~]{0,40}".prop_map(Garbage::Line),
    ]
}

proptest! {
    /// The valid VIPs are on 192.0.2.1, which random garbage does not hit.
    #[test]
    fn any_garbage_among_good_vips_leaves_the_good_ones_readable(
        garbage in proptest::collection::vec(garbage(), 0..6),
        count in 1u16..5,
    ) {
        let good: Vec<_> = (80..80 + count).collect();
        let (mut dumps, mut text) = (dumps(&good), text(&good));
        let whole = dumps.mirror(&text).mirror;
        for bad in garbage {
            match bad {
                Garbage::Row(row) => dumps.vips.insert(0, row),
                Garbage::Rows(key, count) => {
                    let row = VipRow { key, encap: Encap::Gre4, table_length: 1024 };
                    dumps.vips.extend(std::iter::repeat_n(row, count));
                }
                Garbage::Strange(key) => dumps.strange.push((key, "strange".to_owned())),
                Garbage::Text(vip) => text.vips.insert(0, vip),
                Garbage::Server(server) => dumps.servers.insert(0, server),
                Garbage::Line(line) => text.unread.extend(crate::cli_text::parse(&line).unread),
            }
        }
        let readings = [dumps.mirror(&text), dumps.mirror_like(&whole), dumps.mirror_without_text(Some(&whole))];
        for (which, reading) in readings.iter().enumerate() {
            for (key, vip) in whole.vips() {
                let mut expected = vip.clone();
                // Without the text, it is unknown whether it is still the same VIP.
                expected.index = expected.index.filter(|_| which < 2);
                prop_assert_eq!(reading.mirror.get(key), Some(&expected));
                prop_assert_eq!(reading.mirror.set_aside().blocks(key), None);
            }
            for key in reading.mirror.vips().keys() {
                prop_assert!(key.prefix.is_valid());
                prop_assert_eq!(reading.mirror.set_aside().blocks(key), None);
            }
        }
        let conf = LbConf {
            ip4_src_address: [192, 0, 2, 254].into(),
            ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
            sticky_buckets_per_core: 1024,
            flow_timeout: 40,
        };
        let (state, _) = dumps.state(conf, &text);
        for key in whole.vips().keys() {
            let shown = state.vips.iter().find(|vip| vip.key == *key);
            prop_assert_eq!(shown.map(|vip| vip.servers.len()), Some(1));
        }
    }
}

#[test]
fn servers_of_removed_vips_are_left_out() {
    let mut dumps = dumps(&[80]);
    dumps.servers.push(ServerRow { used: false, vip: key(81), ..dumps.servers[0] });
    dumps.servers.push(ServerRow { used: false, weight: 9, ..dumps.servers[0] });
    let mirror = whole(dumps.mirror(&text(&[80])));
    assert_eq!(mirror.server_count(), 1);
    assert_eq!(mirror.vips()[&key(80)].servers[&SERVER], 3);
}
