use std::fs;

use maglev_engine::overrides::{BackendOverride, Override, Stamp};
use tempfile::TempDir;

use super::*;

struct Bench {
    directory: TempDir,
    keeper: Keeper,
    kept: watch::Receiver<Kept>,
    task: JoinHandle<()>,
    tally: Arc<BrainTally>,
}

impl Bench {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path()).unwrap();
        state.load().unwrap();
        let tally = Arc::<BrainTally>::default();
        let (keeper, kept, task) = Keeper::start(Some(state), Arc::clone(&tally));
        Self { directory, keeper, kept, task, tally }
    }

    /// Makes the directory unwritable until [`mend`](Self::mend).
    fn spoil(&self) {
        fs::create_dir(self.directory.path().join("overrides.new")).unwrap();
    }

    fn mend(&self) {
        fs::remove_dir(self.directory.path().join("overrides.new")).unwrap();
    }

    async fn keep(&mut self, backend: &str) -> Option<String> {
        let version = self.keeper.keep(&Arc::new(paused(backend)));
        self.kept.wait_for(|kept| kept.version >= version).await.unwrap().error.clone()
    }

    fn file(&self) -> String {
        fs::read_to_string(self.directory.path().join("overrides")).unwrap_or_default()
    }
}

fn paused(backend: &str) -> Overrides {
    let mut overrides = Overrides::default();
    let (name, since) = (backend.to_owned(), std::time::SystemTime::UNIX_EPOCH);
    overrides.insert(Override::Backend { name, state: BackendOverride::Paused, stamp: Stamp::at(since) });
    overrides
}

#[tokio::test]
async fn what_could_not_be_written_is_tried_again_until_it_is() {
    let mut bench = Bench::start();
    assert_eq!(bench.keep("web1").await, None);
    bench.spoil();
    assert!(bench.keep("web2").await.is_some());
    assert!(bench.keeper.owes() && !bench.tally.overrides_kept());
    bench.mend();
    bench.kept.wait_for(|kept| kept.error.is_none()).await.unwrap();
    assert!(!bench.keeper.owes() && bench.tally.overrides_kept());
    assert!(bench.file().contains("backend web2 paused"), "{}", bench.file());
}

#[tokio::test]
async fn end_of_the_process_is_the_last_attempt() {
    let mut bench = Bench::start();
    bench.spoil();
    assert!(bench.keep("web1").await.is_some());
    bench.mend();
    let file = bench.directory.path().join("overrides");
    drop(bench.keeper);
    bench.task.await.unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("backend web1 paused"));
}

#[tokio::test]
async fn last_change_before_the_end_is_written() {
    let bench = Bench::start();
    bench.keeper.keep(&Arc::new(paused("web1")));
    let file = bench.directory.path().join("overrides");
    drop(bench.keeper);
    bench.task.await.unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("backend web1 paused"));
}
