use super::*;
use crate::overrides::{BackendOverride, Dated};

#[test]
fn what_is_saved_is_loaded_by_the_next_process() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let mut directory = StateDirectory::open(&path).unwrap();
    let loaded = directory.load().unwrap();
    assert!(loaded.missing && loaded.damaged.is_none() && loaded.overrides.is_empty());
    let mut overrides = Overrides::default();
    let since = std::time::UNIX_EPOCH;
    overrides.backends.insert("web1".to_owned(), Dated { value: BackendOverride::Paused, since });
    directory.save(&overrides).unwrap();
    drop(directory);

    let mut directory = StateDirectory::open(&path).unwrap();
    let loaded = directory.load().unwrap();
    assert!(!loaded.missing && loaded.damaged.is_none());
    assert_eq!(loaded.overrides, overrides);
}
