use std::net::{IpAddr, Ipv6Addr};

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::super::packet::decode_v6;
use super::*;

/// A network controlled by the test.
#[derive(Debug, Default)]
struct Network {
    state: Mutex<State>,
    /// A packet can be received.
    came: Notify,
    /// The buffer has room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    incoming: VecDeque<Vec<u8>>,
    sent: Vec<(IpAddr, Vec<u8>)>,
    /// Each packet can be received again as soon as it was.
    endless: bool,
    full: bool,
    /// Target for which the kernel never has room.
    no_room: Option<IpAddr>,
    tries: usize,
}

impl Network {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes the target reply to a packet.
    fn answer(&self, packet: &[u8]) {
        let mut reply = packet.to_vec();
        reply[0] = 129;
        self.state().incoming.push_back(reply);
        self.came.notify_one();
    }
}

impl Wire for Arc<Network> {
    async fn readable(&self) -> io::Result<()> {
        while self.state().incoming.is_empty() {
            self.came.notified().await;
        }
        Ok(())
    }

    async fn writable(&self) -> io::Result<()> {
        while self.state().full {
            self.room.notified().await;
        }
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let mut state = self.state();
        let packet = state.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..packet.len()].copy_from_slice(&packet);
        if state.endless {
            state.incoming.push_back(packet.clone());
        }
        Ok((packet.len(), target(1)))
    }

    fn send(&self, packet: &[u8], target: IpAddr, _: Option<IpAddr>) -> Sending {
        let mut state = self.state();
        state.tries += 1;
        if state.full {
            return Sending::BufferFull;
        }
        if state.no_room == Some(target) {
            return Sending::NoRoom;
        }
        if target == self::target(13) {
            return Sending::Refused(EchoOutcome::NotSent { reason: "unlucky".to_owned() });
        }
        state.sent.push((target, packet.to_vec()));
        Sending::Sent
    }
}

fn target(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

const SECOND: Duration = Duration::from_secs(1);

fn request(last: u16) -> EchoRequest {
    EchoRequest { target: target(last), source: None, timeout: SECOND, size: 16 }
}

fn start() -> (Arc<Network>, Lane, JoinHandle<()>) {
    let network = Arc::new(Network::default());
    let (lane, lane_loop) = lane(Arc::clone(&network), decode_v6);
    (network, lane, tokio::spawn(lane_loop.run()))
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

fn not_sent(outcome: &Result<EchoOutcome, EchoError>) -> bool {
    matches!(outcome, Ok(EchoOutcome::NotSent { reason }) if reason.starts_with("the kernel took no more"))
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_is_from_sending_to_receiving() {
    let (network, lane, _task) = start();
    network.state().full = true;
    let (outcome, ()) = tokio::join!(lane.echo(request(1)), async {
        until(|| network.state().tries == 1).await;
        advance(Duration::from_millis(300)).await;
        network.state().full = false;
        network.room.notify_one();
        until(|| !network.state().sent.is_empty()).await;
        advance(Duration::from_millis(40)).await;
        let packet = network.state().sent[0].1.clone();
        network.answer(&packet);
    });
    assert_eq!(outcome, Ok(EchoOutcome::Reply { round_trip: Duration::from_millis(40) }));
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_requests_up_until_their_deadlines() {
    let (network, lane, _task) = start();
    network.state().full = true;
    let start = Instant::now();
    let outcomes = join_all((1..40).map(|last| lane.echo(request(last)))).await;
    assert!(outcomes.iter().all(not_sent), "{outcomes:?}");
    assert_eq!((start.elapsed(), lane.in_flight()), (SECOND, 0));
    // A cancelled request is not sent once there is room.
    network.state().full = false;
    network.room.notify_one();
    assert_eq!(lane.echo(request(50)).await, Ok(EchoOutcome::TimedOut));
    let targets: Vec<_> = network.state().sent.iter().map(|(target, _)| *target).collect();
    assert_eq!(targets, [target(50)]);
}

#[tokio::test(start_paused = true)]
async fn a_target_without_room_does_not_hold_others_up() {
    let (network, lane, _task) = start();
    network.state().no_room = Some(target(1));
    let echoes = [1, 1, 2, 13, 1, 3].map(|last| lane.echo(request(last)));
    let outcomes = join_all(echoes).await;
    for (at, last) in [(0, 1), (1, 1), (4, 1)] {
        assert!(not_sent(&outcomes[at]), "{last}: {:?}", outcomes[at]);
    }
    assert_eq!(outcomes[2], Ok(EchoOutcome::TimedOut));
    assert_eq!(outcomes[3], Ok(EchoOutcome::NotSent { reason: "unlucky".to_owned() }));
    assert_eq!(outcomes[5], Ok(EchoOutcome::TimedOut));
    // One attempt for all three together every 1 to 2 ms (plus the timer's granularity), not a busy loop.
    let tries = network.state().tries;
    assert!((300..1100).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_room_is_sent_as_soon_as_there_is() {
    let (network, lane, _task) = start();
    network.state().no_room = Some(target(1));
    let (outcome, ()) = tokio::join!(lane.echo(request(1)), async {
        sleep(SECOND / 2).await;
        network.state().no_room = None;
        sleep(Duration::from_millis(5)).await;
        let packet = network.state().sent[0].1.clone();
        network.answer(&packet);
    });
    assert!(matches!(outcome, Ok(EchoOutcome::Reply { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_delays_neither_deadlines_nor_other_tasks() {
    let (network, lane, _task) = start();
    network.state().endless = true;
    network.answer(&[0; 64]);
    let echo = tokio::spawn({
        let lane = lane.clone();
        async move { lane.echo(request(1)).await }
    });
    until(|| !network.state().sent.is_empty()).await;
    advance(SECOND + GRACE).await;
    assert_eq!(echo.await.unwrap(), Ok(EchoOutcome::TimedOut));
    assert!(lane.ignored().unknown >= u64::try_from(RECEIVES).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_to_be_read_counts_although_the_time_is_up() {
    let (network, lane, _task) = start();
    let (outcome, ()) = tokio::join!(lane.echo(request(1)), async {
        until(|| !network.state().sent.is_empty()).await;
        let packet = network.state().sent[0].1.clone();
        // More packets than one turn reads arrive before it.
        for _ in 0..3 * RECEIVES {
            network.answer(&[0; 64]);
        }
        network.answer(&packet);
        // As if the process had been stalled.
        advance(SECOND + GRACE / 2).await;
    });
    assert!(matches!(outcome, Ok(EchoOutcome::Reply { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_given_up_before_they_are_sent_are_not_sent() {
    let (network, lane, _task) = start();
    let mut echo = Box::pin(lane.echo(request(1)));
    assert!(futures::poll!(&mut echo).is_pending());
    assert_eq!(lane.in_flight(), 1);
    drop(echo);
    assert_eq!(lane.in_flight(), 0);
    assert_eq!(lane.echo(request(2)).await, Ok(EchoOutcome::TimedOut));
    let targets: Vec<_> = network.state().sent.iter().map(|(target, _)| *target).collect();
    assert_eq!(targets, [target(2)]);
}
