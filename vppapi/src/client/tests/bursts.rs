use super::*;
use crate::messages::{LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight, LbFlushVipReply};

/// A thousand requests of four kinds, in an order that reveals any reordering.
fn mixed_burst() -> Vec<PreparedRequest> {
    let request = |number: u16| {
        let [_, low] = number.to_be_bytes();
        let as_address = [10, 0, 0, low].into();
        match number % 4 {
            0 => PreparedRequest::new(&LbAddDelVipV2 {
                vip: vip(low),
                encap: Encap::Gre4,
                dscp: 0,
                srv_type: 0,
                target_port: number,
                node_port: 0,
                new_flows_table_length: 1024,
                src_ip_sticky: false,
                is_del: false,
            }),
            1 => PreparedRequest::new(&LbAddDelAsV2 {
                vip: vip(low),
                as_address,
                weight: 1,
                is_del: false,
                is_flush: false,
            }),
            2 => {
                PreparedRequest::new(&LbAsSetWeight { vip: vip(low), as_address, weight: 2, is_flush: true })
            }
            _ => PreparedRequest::new(&flush(low)),
        }
    };
    (0..1000).map(request).collect()
}

/// Answers the n-th request of [`mixed_burst`] with 0, or -n where n is a multiple of 10.
async fn answer_mixed<S: AsyncRead + AsyncWrite + Unpin>(vpp: &mut FakeVpp<S>, number: u16) {
    let [_, low] = number.to_be_bytes();
    let retval = if number.is_multiple_of(10) { -i32::from(number) } else { 0 };
    match number % 4 {
        0 => {
            let (context, asked) = vpp.request::<LbAddDelVipV2>().await;
            assert_eq!((asked.vip, asked.target_port), (vip(low), number));
            vpp.answer(context, &LbAddDelVipV2Reply { retval }).await;
        }
        1 => {
            let (context, asked) = vpp.request::<LbAddDelAsV2>().await;
            assert_eq!(asked.vip, vip(low));
            vpp.answer(context, &LbAddDelAsV2Reply { retval }).await;
        }
        2 => {
            let (context, asked) = vpp.request::<LbAsSetWeight>().await;
            assert_eq!(asked.vip, vip(low));
            vpp.answer(context, &LbAsSetWeightReply { retval }).await;
        }
        _ => {
            let (context, asked) = vpp.request::<LbFlushVip>().await;
            assert_eq!(asked, flush(low));
            vpp.answer(context, &LbFlushVipReply { retval }).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mixed_burst_is_carried_out_in_order_with_each_return_value() {
    // The stream holds only a few frames: a client that did not read while writing would stall.
    let (client, mut vpp) = connected_with(ConnectOptions::default(), whole_table(), 200).await;
    let server = async {
        for number in 0..1000 {
            answer_mixed(&mut vpp, number).await;
        }
    };
    let (_, results) = tokio::join!(server, client.pipeline(mixed_burst()));
    assert_eq!(results.len(), 1000);
    for (number, result) in (0_i32..).zip(results) {
        let retval = result.err().map(|error| error.retval().unwrap().0);
        assert_eq!(retval, (number > 0 && number % 10 == 0).then_some(-number), "request {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_table_lacks_fails_alone_in_a_burst() {
    let mut table = whole_table();
    table.retain(|name| name != LbAsSetWeight::NAME_CRC);
    let (client, mut vpp) = connected_with(ConnectOptions::default(), table, 4096).await;
    let weight = LbAsSetWeight { vip: vip(1), as_address: [10, 0, 0, 1].into(), weight: 1, is_flush: false };
    let burst =
        vec![PreparedRequest::new(&flush(1)), PreparedRequest::new(&weight), PreparedRequest::new(&flush(2))];
    assert_eq!(burst[1].name(), "lb_as_set_weight");
    let server = async {
        for number in 1..3 {
            let (context, asked) = vpp.request::<LbFlushVip>().await;
            assert_eq!(asked, flush(number));
            vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
        }
    };
    let (_, results) = tokio::join!(server, client.pipeline(burst));
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(results[1], Err(ClientError::Unsupported { .. })));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_is_in_flight() {
    let (client, mut vpp) = connected(ConnectOptions { max_in_flight: 7, ..ConnectOptions::default() }).await;
    let server = async {
        for round in 0..3 {
            let mut contexts = Vec::new();
            for _ in 0..7 {
                contexts.push(vpp.request::<LbFlushVip>().await.0);
            }
            let more = tokio::time::timeout(Duration::from_secs(1), vpp.any()).await;
            assert!(more.is_err(), "an eighth request in round {round}");
            for context in contexts {
                vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
            }
        }
    };
    let burst = [flush(1); 21];
    let (_, replies) = tokio::join!(server, client.call_all(&burst));
    assert!(replies.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_slow_burst_may_take_longer_than_one_timeout() {
    let (client, mut vpp) = connected(ConnectOptions { max_in_flight: 4, ..ConnectOptions::default() }).await;
    let start = Instant::now();
    let server = async {
        for _ in 0..10 {
            let (context, _) = vpp.request::<LbFlushVip>().await;
            sleep(Duration::from_secs(4)).await;
            vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
        }
    };
    let burst = [flush(1); 10];
    let (_, replies) = tokio::join!(server, client.call_all(&burst));
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_vpp_drops_times_out_alone() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let start = Instant::now();
    let server = async {
        for number in 0..20 {
            let (context, _) = vpp.request::<LbFlushVip>().await;
            if number != 1 {
                sleep(Duration::from_secs(1)).await;
                vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
            }
        }
    };
    let caller = async {
        let (first, second) = ([flush(1); 2], [flush(2); 18]);
        let (lost, rest) = (client.call_all(&first), client.call_all(&second));
        let (lost, rest) = tokio::join!(async { (lost.await, start.elapsed().as_secs()) }, rest);
        assert!(rest.iter().all(Result::is_ok));
        lost
    };
    let (_, (lost, took)) = tokio::join!(server, caller);
    assert!(lost[0].is_ok());
    assert!(matches!(lost[1], Err(ClientError::Timeout { sent: true, .. })));
    assert_eq!(took, 6, "the limit counts from the answer before it, not from those that overtook it");
}

#[tokio::test(start_paused = true)]
async fn a_long_burst_to_a_silent_vpp_fails_at_once_when_the_time_is_over() {
    let options = ConnectOptions { max_in_flight: 100, ..ConnectOptions::default() };
    let (client, _vpp) = connected(options).await;
    let start = Instant::now();
    let burst = [flush(1); 3000];
    let (results, others) = tokio::join!(client.call_all(&burst), client.call_all(&burst));
    assert_eq!(start.elapsed().as_secs(), 5);
    let sent = |results: &[Result<_, ClientError>]| {
        let sent =
            results.iter().filter(|result| matches!(result, Err(ClientError::Timeout { sent: true, .. })));
        let unsent =
            results.iter().filter(|result| matches!(result, Err(ClientError::Timeout { sent: false, .. })));
        (sent.count(), unsent.count())
    };
    assert_eq!((sent(&results), sent(&others)), ((100, 2900), (0, 3000)));
    let error = results[2999].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "lb_flush_vip was not sent, because VPP answered nothing for 5s");
}

#[tokio::test(start_paused = true)]
async fn bursts_of_two_handles_do_not_mix() {
    let (client, mut vpp) = connected(ConnectOptions { max_in_flight: 3, ..ConnectOptions::default() }).await;
    let other = client.clone();
    let server = async {
        let mut order = Vec::new();
        for _ in 0..40 {
            let (context, asked) = vpp.request::<LbFlushVip>().await;
            order.push(asked.vip);
            vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
        }
        order
    };
    let (first, second) = ([flush(1); 20], [flush(2); 20]);
    let (order, first, second) = tokio::join!(server, client.call_all(&first), other.call_all(&second));
    assert!(first.iter().chain(&second).all(Result::is_ok));
    let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 1);
}

#[tokio::test(start_paused = true)]
async fn dumps_and_calls_of_several_handles_get_their_own_answers() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        for _ in 0..3 {
            let (head, _) = vpp.any().await;
            if head.id == id(LbVipDump::NAME_CRC) {
                let (ping, _) = vpp.request::<ControlPing>().await;
                vpp.answer(head.context, &details(1)).await;
                vpp.answer(head.context, &details(2)).await;
                vpp.answer_ping(ping).await;
            } else {
                vpp.answer(head.context, &LbFlushVipReply { retval: 0 }).await;
            }
        }
    };
    let (first, call) = (client.dump(LbVipDump::default()), client.call(flush(1)));
    let second = client.dump(LbVipDump::default());
    let (_, first, call, second) = tokio::join!(server, first, call, second);
    call.unwrap();
    for vips in [first.unwrap(), second.unwrap()] {
        assert_eq!(vips, [details(1), details(2)]);
    }
}
