use super::*;

fn counters(servers: Vec<ServerFigure>) -> Counters {
    let servers = Some(ServerFigures { age: Duration::from_millis(700), servers });
    Counters { age: Duration::from_millis(200), vips: vec![], sent: vec![], servers }
}

#[tokio::test(start_paused = true)]
async fn ages_count_on_after_the_answer_came() {
    let timed = Timed { value: counters(vec![]), at: Instant::now() };
    let now = timed.at + Duration::from_millis(999);
    assert_eq!(timed.vips_age(now), Duration::from_millis(1199));
    assert_eq!(timed.servers_age(now), Some(Duration::from_millis(1699)));
}

#[test]
fn servers_are_found_by_vip_and_address() {
    let vip = |last| VipKey::port([203, 0, 113, last].into(), 6, 80);
    let server = |vip, last: u8| {
        let buckets = u32::from(last);
        ServerFigure { vip, address: [10, 0, 0, last].into(), weight: 1, buckets, flows: 0 }
    };
    let servers = vec![server(vip(1), 1), server(vip(1), 2), server(vip(2), 1)];
    let timed = Timed { value: counters(servers), at: Instant::now() };
    let buckets = |vip, last: u8| timed.server(&vip, [10, 0, 0, last].into()).map(|server| server.buckets);
    assert_eq!(buckets(vip(1), 2), Some(2));
    assert_eq!(buckets(vip(2), 1), Some(1));
    assert_eq!(buckets(vip(2), 2), None);
    let none = Timed { value: Counters { servers: None, ..timed.value.clone() }, at: timed.at };
    assert_eq!((none.server(&vip(1), [10, 0, 0, 1].into()), none.servers_age(none.at)), (None, None));
}
