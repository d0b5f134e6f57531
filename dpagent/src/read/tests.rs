use super::*;
use crate::cli_text::TextServer;

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn key(port: u16) -> VipKey {
    VipKey::port([192, 0, 2, 1].into(), 6, port)
}

fn dumps(ports: &[u16]) -> Dumps {
    let vip = |port: &u16| VipRow { key: key(*port), encap: Encap::Gre4, table_length: 1024 };
    let server =
        |port: &u16| ServerRow { vip: key(*port), address: SERVER, used: true, weight: 3, buckets: 1024 };
    Dumps { vips: ports.iter().map(vip).collect(), servers: ports.iter().map(server).collect() }
}

fn text(ports: &[u16]) -> Vec<TextVip> {
    let server = TextServer { address: SERVER, weight: 3, buckets: 1024, flows: 5, removed: false };
    let vip = |port: &u16| TextVip {
        key: key(*port),
        index: u32::from(*port) + 1000,
        src_ip_sticky: *port == 80,
        removed: false,
        servers: vec![server],
    };
    ports.iter().map(vip).collect()
}

#[test]
fn the_text_is_needed_only_when_a_vip_came_or_went() {
    let before = dumps(&[80, 81]);
    let mirror = before.mirror(&text(&[80, 81])).unwrap();
    assert!(!before.need_text(&mirror));
    assert_eq!(before.mirror_like(&mirror).unwrap(), mirror);

    let mut reweighted = before.clone();
    reweighted.servers[0].weight = 0;
    assert!(!reweighted.need_text(&mirror));
    assert_eq!(reweighted.mirror_like(&mirror).unwrap().vips()[&key(80)].servers[&SERVER], 0);
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
    assert!(bare.need_text(&bare.mirror(&text(&[80, 81])).unwrap()));
}

#[test]
fn a_read_that_was_torn_is_noticed() {
    assert_eq!(dumps(&[80, 81]).mirror(&text(&[80])), Err(Torn(key(81))));
    assert_eq!(
        Torn(key(81)).to_string(),
        "VPP's dumps and its text do not agree about VIP 192.0.2.1/32 tcp/81"
    );
    let mut removed = text(&[80]);
    removed[0].removed = true;
    assert_eq!(dumps(&[80]).mirror(&removed), Err(Torn(key(80))));
}

#[test]
fn what_a_dump_tells_twice_is_not_believed() {
    let (sound, mut vips, mut servers) = (dumps(&[80, 81]), dumps(&[80, 81]), dumps(&[80, 81]));
    let mirror = sound.mirror(&text(&[80, 81])).unwrap();
    vips.vips[1] = vips.vips[0];
    assert_eq!(vips.mirror(&text(&[80, 81])), Err(Torn(key(80))));
    // As many VIPs as were known, and all of them known.
    assert_eq!(vips.mirror_like(&mirror), Err(Torn(key(80))));
    servers.servers.push(ServerRow { weight: 9, ..servers.servers[1] });
    assert_eq!(servers.mirror(&text(&[80, 81])), Err(Torn(key(81))));
}

#[test]
fn servers_of_removed_vips_are_left_out() {
    let mut dumps = dumps(&[80]);
    dumps.servers.push(ServerRow { vip: key(81), ..dumps.servers[0] });
    dumps.servers.push(ServerRow { used: false, weight: 9, ..dumps.servers[0] });
    let mirror = dumps.mirror(&text(&[80])).unwrap();
    assert_eq!(mirror.server_count(), 1);
    assert_eq!(mirror.vips()[&key(80)].servers[&SERVER], 3);
}
