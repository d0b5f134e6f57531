use std::time::Duration;

use super::*;

struct Bench {
    seats: Seats,
    now: Instant,
    last: u64,
}

impl Bench {
    fn new() -> Self {
        Self { seats: Seats::default(), now: Instant::now(), last: 0 }
    }

    /// A connection of a process, one second after the one before.
    fn session(&mut self, pid: i32) -> Arc<Session> {
        self.last += 1;
        self.now += Duration::from_secs(1);
        Arc::new(Session::new(self.last, Peer { pid: Some(pid) }, self.now))
    }

    /// The number of the connection that gives way to one of this process, if any.
    fn take(&mut self, pid: i32, writer: i32) -> Result<Option<u64>, &'static str> {
        let session = self.session(pid);
        let gone = self.seats.take(&session, |other| other.peer.pid == Some(writer))?;
        Ok(gone.inspect(|gone| assert!(gone.gives_way.is_cancelled())).map(|gone| gone.number))
    }
}

fn greeted(session: &Session) {
    assert!(session.greet(BrainHello { protocol: 1, version: String::new(), instance: 1 }));
}

const WRITER: i32 = 100;
const NOBODY: i32 = 0;

#[tokio::test(start_paused = true)]
async fn the_writer_always_has_a_place() {
    let mut bench = Bench::new();
    assert_eq!(bench.take(WRITER, WRITER), Ok(None));
    for stranger in 2..=16 {
        assert_eq!(bench.take(stranger, WRITER), Ok(None));
    }
    for gone in 2..=8 {
        assert_eq!(bench.take(WRITER, WRITER), Ok(Some(gone)));
    }
    assert_eq!(bench.take(WRITER, WRITER), Err("a process may have 8 connections"));
    // Connections without hello give way to each other, and no others do.
    for gone in 9..=16 {
        assert_eq!(bench.take(200, WRITER), Ok(Some(gone)));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_said_hello_gives_way_first_and_then_who_is_idle() {
    let mut bench = Bench::new();
    let sessions: Vec<_> = (1..=16).map(|pid| bench.session(pid)).collect();
    for session in &sessions {
        assert!(bench.seats.take(session, |_| false).is_ok());
    }
    sessions[..14].iter().for_each(|session| greeted(session));
    tokio::time::advance(Duration::from_secs(100)).await;
    sessions[0].use_now();
    let given: Vec<_> = (21..=24).map(|pid| bench.take(pid, NOBODY)).collect();
    // The later ones have not said hello either.
    assert_eq!(given, [Ok(Some(15)), Ok(Some(16)), Ok(Some(17)), Ok(Some(18))]);
    let latest = bench.session(25);
    greeted(&latest);
    assert_eq!(bench.seats.take(&latest, |_| false).map(|gone| gone.map(|gone| gone.number)), Ok(Some(19)));
    let another = bench.session(26);
    greeted(&another);
    assert_eq!(bench.seats.take(&another, |_| false).map(|gone| gone.map(|gone| gone.number)), Ok(Some(20)));
    assert_eq!(bench.take(27, NOBODY), Ok(Some(2)));
}

#[tokio::test(start_paused = true)]
async fn an_ended_connection_makes_room_and_no_process_has_it_all() {
    let mut bench = Bench::new();
    for _ in 0..8 {
        assert_eq!(bench.take(1, 1), Ok(None));
    }
    assert!(bench.take(1, 1).is_err());
    bench.seats.leave(3);
    assert_eq!(bench.take(1, 1), Ok(None));
    for _ in 0..8 {
        assert_eq!(bench.take(2, 1), Ok(None));
    }
    let both = |other: &Session| [Some(1), Some(2)].contains(&other.peer.pid);
    let session = bench.session(3);
    assert!(bench.seats.take(&session, both).is_err());
}
