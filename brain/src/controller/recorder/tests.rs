use std::fs;
use std::time::SystemTime;

use maglev_engine::health::State;
use tempfile::TempDir;

use super::*;
use crate::state::StateDirectory;

struct Bench {
    directory: TempDir,
    history: History,
    stop: CancellationToken,
    task: JoinHandle<()>,
    tally: Arc<BrainTally>,
}

impl Bench {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: TempDir) -> Self {
        let (stop, tally) = (CancellationToken::new(), Arc::<BrainTally>::default());
        let remembered = Remembered::load(StateDirectory::open(directory.path()).unwrap().history());
        let (history, task) = History::start(Some(remembered), Arc::clone(&tally), stop.clone());
        Self { directory, history, stop, task, tally }
    }

    fn record(&self, what: &str) {
        self.history.record(Record::new(SystemTime::now(), Kind::Reload, what));
    }

    async fn read(&self) -> Vec<(u64, String)> {
        let contents = parse(&self.history.read().await.unwrap());
        contents.records.into_iter().map(|record| (record.number, record.what)).collect()
    }
}

#[tokio::test]
async fn what_was_recorded_is_read_also_after_a_restart() {
    let bench = Bench::start();
    bench.record("one");
    bench.record("two");
    let both = vec![(0, "one".to_owned()), (1, "two".to_owned())];
    assert_eq!(bench.read().await, both);
    bench.record("three");
    bench.stop.cancel();
    bench.task.await.unwrap();
    let again = Bench::start_in(bench.directory);
    again.record("four");
    let last: Vec<_> = again.read().await.into_iter().skip(2).collect();
    assert_eq!(last, [(2, "three".to_owned()), (3, "four".to_owned())]);
}

#[tokio::test]
async fn backend_that_a_restart_finds_in_its_state_of_before_is_no_news() {
    let came_up = || {
        let record = Record::new(SystemTime::now(), Kind::Backend, "as a test");
        Record { backend: "web1".to_owned(), from: Some(State::Unknown), to: Some(State::Up), ..record }
    };
    let bench = Bench::start();
    bench.history.record(came_up());
    bench.stop.cancel();
    bench.task.await.unwrap();
    let again = Bench::start_in(bench.directory);
    again.history.record(came_up());
    again.record("one");
    let read = again.read().await.into_iter().filter(|(_, what)| !what.is_empty());
    assert_eq!(read.collect::<Vec<_>>(), [(0, "as a test".to_owned()), (1, "one".to_owned())]);
}

#[tokio::test]
async fn what_could_not_be_written_is_tried_again_and_what_is_too_much_is_counted() {
    let mut bench = Bench::start();
    let path = bench.directory.path().join("history");
    fs::create_dir(&path).unwrap();
    bench.record("one");
    bench.history.unwritten.wait_for(Option::is_some).await.unwrap();
    assert!(!bench.tally.history_written());
    for _ in 0..=QUEUE {
        bench.record("more");
    }
    assert_eq!(bench.tally.history_lost.get(), 1);
    fs::remove_dir(&path).unwrap();
    bench.history.unwritten.wait_for(Option::is_none).await.unwrap();
    assert!(bench.tally.history_written());
    let read = bench.read().await;
    assert_eq!(read.first(), Some(&(0, "one".to_owned())));
    assert!(
        read.iter().any(|(_, what)| what == "records lost, since the disk was too slow: 1"),
        "{}",
        read.len()
    );
}

#[tokio::test]
async fn without_a_directory_nothing_waits() {
    let (history, task) = History::start(None, Arc::default(), CancellationToken::new());
    task.await.unwrap();
    history.record(Record::new(SystemTime::now(), Kind::Brain, "started"));
    assert_eq!(history.read().await, Err("there is no state directory".to_owned()));
    assert_eq!(history.tally.history_lost.get(), 0);
}
