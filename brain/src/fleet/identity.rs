//! Two machines with one member name: which one is the member, and which one yields. Pure.
//!
//! A brain that restarts takes its place at once, though the lease of the process before it is not over. A machine with the name of
//! another one does the same, but that one is alive: it sees its state replaced, and writes it again. The newcomer then
//! knows that there are two, and yields until the name is free. If both were first, as after a partition, the lower instance
//! yields, so that they do not replace each other's state forever.

use std::time::SystemTime;

use super::store::StoreRevision;

/// The state that the store has under this member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The process that wrote it.
    pub(super) instance: u64,
    /// The revision of the store that it is of.
    pub(super) changed: StoreRevision,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// This process publishes.
    Publish {
        /// The revision of the state that the store must still have; `None`: it must have none.
        over: Option<StoreRevision>,
        /// True to write a state that is no news for this process.
        is_due: bool,
    },
    /// The name is another machine's, which this process has found at this time.
    Yield(SystemTime),
}

/// The processes that have the name of this one, as far as it knows.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    instance: u64,
    /// Revision of the newest state that this process wrote; 0: none.
    wrote: StoreRevision,
    /// The process whose state the first one of this process replaced.
    replaced: Option<u64>,
    /// The process that has replaced a state of this one, which was then written again.
    answered: Option<u64>,
    /// Since when it is known that the name is another machine's.
    yields: Option<SystemTime>,
}

impl Identity {
    /// That of a process with a random number.
    pub(super) fn new(instance: u64) -> Self {
        Self { instance, wrote: 0, replaced: None, answered: None, yields: None }
    }

    /// Revision of the newest state that this process wrote; 0: none.
    pub(super) fn wrote(&self) -> StoreRevision {
        self.wrote
    }

    /// True if the name is another machine's.
    pub(super) fn yields(&self) -> bool {
        self.yields.is_some()
    }

    /// Whose turn it is, with this state in a copy of the store of this revision.
    pub(super) fn look(&mut self, found: Option<Found>, copy: StoreRevision, now: SystemTime) -> Turn {
        let publish = |over, is_due| Turn::Publish { over, is_due };
        // The copy does not have yet what this process wrote.
        if copy < self.wrote || found.is_some_and(|found| found.changed < self.wrote) {
            return publish(Some(self.wrote), false);
        }
        let Some(found) = found.filter(|found| found.instance != self.instance) else {
            self.yields = None;
            return publish(found.map(|found| found.changed), found.is_none());
        };
        let is_alive = self.wrote > 0 && self.replaced == Some(found.instance);
        let is_lower = self.answered == Some(found.instance) && self.instance < found.instance;
        if is_alive || is_lower {
            self.yields.get_or_insert(now);
        }
        match self.yields {
            Some(since) => Turn::Yield(since),
            None => publish(Some(found.changed), true),
        }
    }

    /// A state was written over what was found.
    pub(super) fn written(&mut self, found: Option<Found>, revision: StoreRevision) {
        if let Some(other) =
            found.filter(|found| found.instance != self.instance && found.changed > self.wrote)
        {
            match self.wrote {
                0 => self.replaced = Some(other.instance),
                _ => self.answered = Some(other.instance),
            }
        }
        self.wrote = revision;
    }

    /// The store has begun to count from a lower revision.
    pub(super) fn go_back(&mut self, copy: StoreRevision) {
        if copy < self.wrote {
            self.wrote = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    /// The key of a member in a store, and processes that want it.
    #[derive(Debug, Default)]
    struct Store {
        revision: StoreRevision,
        state: Option<Found>,
    }

    impl Store {
        /// A look of a process at the store, and its write. Whether it published.
        fn turn(&mut self, process: &mut Identity, has_news: bool) -> bool {
            let found = self.state;
            match process.look(found, self.revision, UNIX_EPOCH) {
                Turn::Yield(_) => false,
                Turn::Publish { over, is_due } => {
                    assert_eq!(over, found.map(|found| found.changed));
                    if has_news || is_due || process.wrote == 0 {
                        self.revision += 1;
                        self.state = Some(Found { instance: process.instance, changed: self.revision });
                        process.written(found, self.revision);
                    }
                    true
                }
            }
        }
    }

    #[test]
    fn restart_takes_its_place_at_once() {
        let (mut store, mut before, mut after) = (Store::default(), Identity::new(9), Identity::new(1));
        assert!(store.turn(&mut before, true));
        for _ in 0..3 {
            assert!(store.turn(&mut after, true), "the one before is gone");
        }
        assert_eq!(store.state.map(|state| state.instance), Some(1));
    }

    #[test]
    fn newcomer_yields_to_who_is_alive_and_returns_when_the_name_is_free() {
        for [first, second] in [[1, 9], [9, 1]] {
            let (mut store, mut old, mut new) =
                (Store::default(), Identity::new(first), Identity::new(second));
            assert!(store.turn(&mut old, true));
            assert!(store.turn(&mut new, true), "it might have been a restart");
            assert!(store.turn(&mut old, false), "it writes its state again");
            for _ in 0..3 {
                assert!(!store.turn(&mut new, true));
                assert!(store.turn(&mut old, true));
                assert_eq!(store.state.map(|state| state.instance), Some(first));
            }
            // The old one stops, and its lease ends.
            store.state = None;
            assert!(store.turn(&mut new, false));
            // After a partition, it is back: either may stay, but not both.
            store.turn(&mut old, true);
            store.turn(&mut new, true);
            let publishing = [store.turn(&mut old, true), store.turn(&mut new, true)];
            assert_eq!(publishing.iter().filter(|is| **is).count(), 1, "{publishing:?}");
        }
    }

    #[test]
    fn copy_without_the_own_write_is_no_sign_of_another_machine() {
        let mut process = Identity::new(5);
        let old = Some(Found { instance: 7, changed: 3 });
        process.look(old, 3, UNIX_EPOCH);
        process.written(old, 4);
        let own = Turn::Publish { over: Some(4), is_due: false };
        assert_eq!(process.look(old, 3, UNIX_EPOCH), own);
        assert_eq!(process.look(None, 3, UNIX_EPOCH), own);
        // etcd has returned empty.
        process.go_back(2);
        assert_eq!(process.look(None, 2, UNIX_EPOCH), Turn::Publish { over: None, is_due: true });
    }

    proptest! {
        /// Whatever happened before: of those that go on, one publishes and all others yield, within a few looks of each.
        #[test]
        fn one_of_all_that_are_alive_has_the_name(
            history in proptest::collection::vec((0..3_usize, any::<bool>(), 0..12_u8), 0..40),
            alive in 1..=3_usize,
        ) {
            let mut store = Store::default();
            let mut processes = [Identity::new(3), Identity::new(1), Identity::new(2)];
            for (index, has_news, chance) in history {
                match chance {
                    // Its lease ends.
                    0 => store.state = None,
                    // It restarts.
                    1 => processes[index] = Identity::new(u64::from(chance) + 10 * processes[index].instance),
                    _ => {
                        store.turn(&mut processes[index], has_news);
                    }
                }
            }
            let mut alive: Vec<_> = processes.into_iter().take(alive).collect();
            for round in 0..12 {
                if round == 1 && store.state.is_some_and(|state| alive.iter().all(|one| one.instance != state.instance)) {
                    // The lease of one that is not alive ends.
                    store.state = None;
                }
                for process in &mut alive {
                    store.turn(process, true);
                }
            }
            let (revision, publishing): (_, Vec<_>) =
                (store.revision, alive.iter_mut().map(|process| store.turn(process, false)).collect());
            prop_assert_eq!(publishing.iter().filter(|is| **is).count(), 1, "{:?} {:?}", alive, store);
            prop_assert_eq!(store.revision, revision, "nobody replaces anybody's state");
        }
    }
}
