use std::sync::Mutex;

use maglev_engine::outcome::ProbeCode;
use tokio::time::{sleep, timeout};

use super::*;

/// A probe of a given duration, which records when it was started and whether it was cancelled.
#[derive(Clone, Default)]
struct Fake {
    took: Arc<Mutex<Duration>>,
    starts: Arc<Mutex<Vec<Instant>>>,
    under_way: Arc<()>,
    rests: Arc<Mutex<u32>>,
}

impl Fake {
    fn takes(&self, time: Duration) {
        *self.took.lock().unwrap() = time;
    }

    fn gaps(&self) -> Vec<Duration> {
        self.starts.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn count(&self) -> usize {
        self.starts.lock().unwrap().len()
    }
}

impl Probe for Fake {
    fn probe(&self) -> impl Future<Output = ProbeOutcome> + Send + 'static {
        let (fake, guard) = (self.clone(), Arc::clone(&self.under_way));
        async move {
            fake.starts.lock().unwrap().push(Instant::now());
            let took = *fake.took.lock().unwrap();
            sleep(took).await;
            drop(guard);
            ProbeOutcome { code: ProbeCode::L4Ok, detail: "connected".into(), duration: took, asked: None }
        }
    }

    fn rest(&self) {
        *self.rests.lock().unwrap() += 1;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const INTERVALS: Intervals =
    Intervals { normal: Duration::from_secs(10), fast: SECOND, down: Duration::from_secs(60) };

/// A prober with its scheduler.
struct Started {
    prober: Prober<Fake>,
    _scheduler: Scheduler<Fake>,
}

impl Started {
    fn set_pace(&self, pace: Pace) {
        self.prober.set_pace(pace);
    }
}

fn subject(fake: &Fake) -> Subject<Fake> {
    Subject { backend: "b".into(), check: 0, probe: fake.clone(), tally: Arc::default() }
}

fn start(pace: Pace, first_delay: Duration) -> (Fake, Started, mpsc::Receiver<Report>) {
    let (reports, inbox) = mpsc::channel(10);
    let fake = Fake::default();
    let scheduler = Scheduler::start(reports, Activity::default());
    let prober = scheduler.add(subject(&fake), INTERVALS, pace, first_delay);
    (fake, Started { prober, _scheduler: scheduler }, inbox)
}

#[tokio::test(start_paused = true)]
async fn prober_keeps_its_pace() {
    let (_fake, prober, mut inbox) = start(Pace::Fast, SECOND / 2);
    let first = Instant::now();
    let report = inbox.recv().await.unwrap();
    assert_eq!((&*report.backend, report.outcome.passed()), ("b", true));
    assert_eq!(first.elapsed().as_millis(), 500);
    for (pace, seconds) in [(Pace::Normal, 10.0), (Pace::Down, 60.0), (Pace::Fast, 1.0)] {
        prober.set_pace(pace);
        let before = Instant::now();
        inbox.recv().await.unwrap();
        let waited = before.elapsed().as_secs_f64();
        assert!((waited / seconds - 1.0).abs() < 0.11, "{pace:?}: {waited} s");
    }
}

#[tokio::test(start_paused = true)]
async fn pace_set_while_waiting_counts_from_the_last_start() {
    let (fake, prober, mut inbox) = start(Pace::Down, Duration::ZERO);
    inbox.recv().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    prober.set_pace(Pace::Fast);
    let before = Instant::now();
    inbox.recv().await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(5), "due long ago at the faster pace");
    assert_eq!(fake.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn slow_probe_does_not_lengthen_the_period() {
    let (fake, _prober, mut inbox) = start(Pace::Fast, Duration::ZERO);
    fake.takes(Duration::from_millis(800));
    for _ in 0..20 {
        inbox.recv().await.unwrap();
    }
    for gap in fake.gaps() {
        assert!((0.89..=1.11).contains(&gap.as_secs_f64()), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overrun_starts_the_next_at_once_and_catches_up_with_nothing() {
    let (fake, _prober, mut inbox) = start(Pace::Fast, Duration::ZERO);
    fake.takes(Duration::from_secs(5));
    for _ in 0..3 {
        inbox.recv().await.unwrap();
    }
    fake.takes(Duration::ZERO);
    for _ in 0..5 {
        inbox.recv().await.unwrap();
    }
    let gaps = fake.gaps();
    // The timer's resolution is a millisecond.
    assert!(gaps[..4].iter().all(|gap| (5.0..5.01).contains(&gap.as_secs_f64())), "{gaps:?}");
    assert!(gaps[4..].iter().all(|gap| (0.89..=1.11).contains(&gap.as_secs_f64())), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_the_probe_under_way() {
    let (fake, prober, mut inbox) = start(Pace::Fast, Duration::ZERO);
    fake.takes(Duration::from_secs(30));
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&fake.under_way), 4, "the test's, the prober's, the worker's, the probe's");
    prober.set_pace(Pace::Stopped);
    assert!(timeout(SECOND * 3600, inbox.recv()).await.is_err(), "a stopped prober sends nothing");
    assert_eq!((Arc::strong_count(&fake.under_way), fake.count()), (2, 1));
    fake.takes(Duration::ZERO);
    prober.set_pace(Pace::Fast);
    assert!(timeout(SECOND / 10, inbox.recv()).await.is_ok(), "due at once");
}

#[tokio::test(start_paused = true)]
async fn prober_of_a_disabled_backend_waits_for_its_first_probe() {
    let (fake, prober, mut inbox) = start(Pace::Stopped, SECOND);
    assert!(timeout(SECOND * 3600, inbox.recv()).await.is_err());
    assert_eq!(fake.count(), 0);
    prober.set_pace(Pace::Fast);
    assert!(inbox.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_the_task() {
    let (_fake, prober, mut inbox) = start(Pace::Fast, Duration::ZERO);
    assert!(inbox.recv().await.is_some());
    drop(prober);
    assert!(inbox.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_scheduler_takes_probes_under_way_along() {
    let (fake, Started { prober, _scheduler: scheduler }, mut inbox) = start(Pace::Fast, Duration::ZERO);
    fake.takes(Duration::from_secs(30));
    sleep(SECOND).await;
    drop(scheduler);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&fake.under_way), 2, "the test's, the prober's");
    prober.set_pace(Pace::Stopped);
    drop(prober);
    assert!(inbox.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn more_probes_at_once_than_workers_are_kept_are_all_made() {
    let (reports, mut inbox) = mpsc::channel(10);
    let (fake, scheduler) = (Fake::default(), Scheduler::start(reports, Activity::default()));
    fake.takes(SECOND / 2);
    let count = 3 * MOST_IDLE;
    let add = |_| scheduler.add(subject(&fake), INTERVALS, Pace::Fast, Duration::ZERO);
    let _probers: Vec<_> = (0..count).map(add).collect();
    for _ in 0..2 * count {
        inbox.recv().await.unwrap();
    }
    sleep(SECOND / 100).await;
    let timetable = scheduler.shared.timetable();
    assert_eq!((timetable.workers.len(), timetable.idle, timetable.ready.len()), (MOST_IDLE, MOST_IDLE, 0));
}

#[tokio::test(start_paused = true)]
async fn probers_wait_for_a_controller_that_falls_behind() {
    let (reports, mut inbox) = mpsc::channel(1);
    let fake = Fake::default();
    let scheduler = Scheduler::start(reports, Activity::default());
    let _prober = scheduler.add(subject(&fake), INTERVALS, Pace::Fast, Duration::ZERO);
    sleep(SECOND * 20).await;
    assert_eq!(fake.count(), 2, "one report in the queue, one in hand");
    for _ in 0..5 {
        inbox.recv().await.unwrap();
    }
    let gaps = fake.gaps();
    assert!(gaps[2..].iter().all(|gap| gap.as_secs_f64() > 0.89), "nothing is made up for: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn lateness_is_told() {
    let (_fake, _prober, mut inbox) = start(Pace::Fast, Duration::from_millis(1500));
    let report = inbox.recv().await.unwrap();
    assert!(report.late < Duration::from_millis(2), "{:?}", report.late);
    assert_eq!(report.ended, Instant::now().into_std());
}

/// Both are ready when the task next runs, and it must not matter which of them it sees first.
#[tokio::test(start_paused = true)]
async fn stopping_when_a_probe_is_due_starts_none() {
    for _ in 0..50 {
        let (fake, prober, _inbox) = start(Pace::Fast, SECOND);
        // The prober's timer is set after this one, for the same millisecond.
        let due = sleep(SECOND);
        tokio::pin!(due);
        tokio::select! {
            biased;
            () = &mut due => unreachable!("not yet"),
            () = tokio::task::yield_now() => {}
        }
        due.await;
        prober.set_pace(Pace::Stopped);
        sleep(SECOND).await;
        assert_eq!(fake.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_probes_give_up_what_they_hold() {
    let (fake, prober, mut inbox) = start(Pace::Normal, Duration::ZERO);
    inbox.recv().await.unwrap();
    for (pace, rests) in [(Pace::Fast, 0), (Pace::Stopped, 1), (Pace::Stopped, 1), (Pace::Normal, 1)] {
        prober.set_pace(pace);
        assert_eq!(*fake.rests.lock().unwrap(), rests, "{pace:?}");
    }
}
