use maglev_protocol::VipKey;
use proptest::prelude::*;

use super::*;
use crate::cli_text::TextServer;

fn text(servers: &[(u8, Option<u32>, bool)]) -> Vec<TextVip> {
    let servers = servers.iter().map(|(last, route, removed)| TextServer {
        address: [10, 0, 0, *last].into(),
        weight: 1,
        buckets: 1,
        flows: 0,
        route: *route,
        removed: *removed,
    });
    vec![TextVip {
        key: VipKey::port([192, 0, 2, 1].into(), 6, 80),
        index: 1,
        encap: None,
        table_length: None,
        src_ip_sticky: false,
        removed: false,
        servers: servers.collect(),
    }]
}

fn rows(sent: &Sent) -> Vec<(u64, u64)> {
    sent.traffic().iter().map(|server| (server.packets, server.idle.as_secs())).collect()
}

#[test]
fn a_server_is_idle_while_its_counter_stays() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut sent = Sent::default();
    sent.keep(&text(&[(2, Some(8), false), (1, Some(7), false), (3, None, false), (4, Some(9), true)]));
    assert_eq!((sent.routes(), sent.traffic()), (vec![7, 8], Vec::new()));
    sent.count(vec![Some((5, 500)), Some((0, 0))], start);
    sent.count(vec![Some((6, 600)), Some((0, 0))], start + 4 * second);
    sent.count(vec![Some((6, 600)), Some((0, 0))], start + 9 * second);
    assert_eq!(rows(&sent), [(6, 5), (0, 9)]);
    let is_idle = |last, seconds| sent.is_idle([10, 0, 0, last].into(), seconds * second);
    assert_eq!((is_idle(1, 5), is_idle(1, 6), is_idle(2, 9), is_idle(3, 0)), (true, false, true, false));

    // Another route's counter says nothing about the time before.
    sent.keep(&text(&[(1, Some(7), false), (2, Some(11), false)]));
    sent.count(vec![Some((6, 600)), Some((0, 0))], start + 10 * second);
    assert_eq!(rows(&sent), [(6, 6), (0, 0)]);
    // A counter that could not be read neither.
    sent.count(vec![None], start + 11 * second);
    assert_eq!(rows(&sent), []);
    sent.count(vec![Some((6, 600)), Some((0, 0))], start + 12 * second);
    assert_eq!(rows(&sent), [(6, 0), (0, 0)]);
}

proptest! {
    /// However the reads fall, a server is never called idle for longer than since its last packet.
    #[test]
    fn idle_times_hold(steps in proptest::collection::vec((0_u64..20, 0_u64..3, any::<bool>()), 1..60)) {
        let mut sent = Sent::default();
        sent.keep(&text(&[(1, Some(7), false)]));
        let (mut now, mut packets, mut last) = (Instant::now(), 0, None);
        for (seconds, more, read) in steps {
            now += Duration::from_secs(seconds);
            packets += more;
            if more > 0 {
                last = Some(now);
            }
            if read {
                sent.count(vec![Some((packets, packets))], now);
                for server in sent.traffic() {
                    prop_assert_eq!(server.packets, packets);
                    prop_assert!(last.is_none_or(|last| server.idle <= now - last));
                }
            }
        }
    }
}
