use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::tests::moment;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

const MINUTE: Duration = Duration::from_secs(60);

/// Files of a state directory, the configuration's file, and a brain that uses them.
#[derive(Debug, Clone)]
struct Site {
    files: BTreeMap<u64, Vec<u8>>,
    file: Vec<u8>,
    wall: SystemTime,
    mono: Instant,
    revisions: Revisions,
    running: Vec<u8>,
    clock: Option<Clock>,
}

impl Site {
    fn new(file: &[u8]) -> Self {
        let (wall, mono) = (at(1_000_000), moment());
        let (files, revisions) = (BTreeMap::new(), Revisions::default());
        let mut site =
            Self { files, file: file.to_vec(), wall, mono, revisions, running: Vec::new(), clock: None };
        site.start();
        site
    }

    fn start(&mut self) {
        let parsed = |bytes: &Vec<u8>| parse(bytes).map(|parsed| parsed.kept);
        self.revisions =
            Revisions::of_files(self.files.iter().map(|(number, bytes)| (*number, parsed(bytes))));
        let sum = Some(Sum::of(&self.file));
        self.clock = None;
        let Start::Kept { texts, goes_back } = self.revisions.start(sum, self.wall) else {
            return self.start_with_file();
        };
        let Some(number) = texts.first() else { return self.start_with_file() };
        self.running = parse(&self.files[number]).unwrap().text.to_vec();
        let current = self.revisions.current().unwrap().clone();
        if goes_back || Sum::of(&self.running) != current.text {
            let origin = Origin::NotConfirmed(*number);
            let sums = (Sum::of(&self.running), current.file);
            self.write(self.revisions.next(origin, sums, None, None, self.wall));
        } else {
            if let Some(anchored) = self.revisions.anchored(self.wall) {
                return self.write(anchored);
            }
            self.clock = current.pending.map(|pending| pending.clock(self.wall, self.mono));
        }
    }

    fn start_with_file(&mut self) {
        self.running = self.file.clone();
        let sum = Sum::of(&self.file);
        if !self.revisions.is_recorded(sum) {
            self.write(self.revisions.next(Origin::Start, (sum, Some(sum)), None, None, self.wall));
        }
    }

    fn write(&mut self, revision: Revision) {
        self.files.insert(revision.number, render(&revision, &self.running).unwrap());
        self.clock = revision.pending.map(|pending| pending.clock(self.wall, self.mono));
        self.revisions.put(revision);
        for number in self.revisions.trim() {
            self.files.remove(&number);
        }
    }

    fn reload(&mut self, text: &[u8], confirm: Option<Duration>) {
        self.file = text.to_vec();
        let sum = Sum::of(text);
        self.running = self.file.clone();
        if confirm.is_some() || !self.revisions.is_recorded(sum) {
            self.write(self.revisions.next(Origin::Reload, (sum, Some(sum)), None, confirm, self.wall));
        }
    }

    fn confirm(&mut self) -> Result<(), NoRevision> {
        self.write(self.revisions.confirmed()?);
        Ok(())
    }

    fn rollback(&mut self, number: Option<u64>) -> Result<(), NoRevision> {
        let number = self.revisions.earlier(number)?.number;
        self.back(Origin::Rollback(number), number);
        Ok(())
    }

    fn back(&mut self, origin: Origin, number: u64) {
        self.running = parse(&self.files[&number]).unwrap().text.to_vec();
        let sums = (Sum::of(&self.running), Some(Sum::of(&self.file)));
        self.write(self.revisions.next(origin, sums, None, None, self.wall));
    }

    /// Lets time pass while the brain runs; returns the number of warnings.
    fn pass(&mut self, time: Duration) -> usize {
        let (end, mut warnings) = (self.mono + time, 0);
        loop {
            let tick = self.clock.as_mut().map(|clock| clock.tick(self.mono));
            match tick {
                Some(Tick::Wait(until)) if until <= end => {
                    self.wall += until - self.mono;
                    self.mono = until;
                }
                Some(Tick::Warn(_)) => warnings += 1,
                Some(Tick::GoBack) => {
                    let back_to = self.revisions.back()[0];
                    assert_eq!(
                        Some(back_to),
                        self.revisions.current().unwrap().pending.map(|pending| pending.back_to)
                    );
                    self.back(Origin::NotConfirmed(back_to), back_to);
                }
                Some(Tick::Wait(_)) | None => break,
            }
        }
        self.wall += end - self.mono;
        self.mono = end;
        warnings
    }

    fn is_pending(&self) -> bool {
        self.revisions.current().unwrap().pending.is_some()
    }
}

#[test]
fn reload_that_nobody_confirms_goes_back_after_one_warning() {
    let mut site = Site::new(b"good");
    site.reload(b"mistake", Some(5 * MINUTE));
    assert_eq!(site.pass(4 * MINUTE - Duration::from_secs(1)), 0);
    assert_eq!(site.running, b"mistake");
    assert_eq!(site.pass(Duration::from_secs(2)), 1);
    assert_eq!(site.pass(MINUTE), 0);
    assert_eq!(site.running, b"good");
    let current = site.revisions.current().unwrap().clone();
    assert_eq!((current.number, current.origin), (3, Origin::NotConfirmed(1)));
    assert!(current.is_other_than_file());
    // The rejected file stays out, however often the brain restarts, until it changes.
    for _ in 0..3 {
        site.start();
        assert_eq!(
            (site.running.as_slice(), site.revisions.current().unwrap().number),
            (b"good".as_slice(), 3)
        );
    }
    site.file = b"corrected".to_vec();
    site.start();
    assert_eq!(site.running, b"corrected");
    assert!(!site.revisions.current().unwrap().is_other_than_file());
}

#[test]
fn confirmed_reload_stays() {
    let mut site = Site::new(b"one");
    assert_eq!(site.confirm(), Err(NoRevision::NothingPending));
    site.reload(b"two", Some(MINUTE));
    site.start();
    assert!(site.is_pending());
    site.confirm().unwrap();
    site.pass(10 * MINUTE);
    site.start();
    assert_eq!(site.running, b"two");
    assert_eq!(site.revisions.current().unwrap().number, 2);
}

#[test]
fn time_that_ends_while_no_brain_runs_ends() {
    for (step, back) in [(3599, false), (3600, true), (1_000_000, true)] {
        let mut site = Site::new(b"good");
        site.reload(b"mistake", Some(60 * MINUTE));
        site.wall += Duration::from_secs(step);
        site.start();
        assert_eq!(site.running == b"good", back, "{step}");
    }
    // A clock set back to 1970 gives the whole time once more, and no more.
    let mut site = Site::new(b"good");
    site.reload(b"mistake", Some(60 * MINUTE));
    site.wall = at(0);
    site.start();
    assert_eq!(site.running, b"mistake");
    site.pass(60 * MINUTE);
    assert_eq!(site.running, b"good");
}

#[test]
fn corrected_reload_must_be_confirmed_too_and_goes_back_to_what_was_confirmed() {
    let mut site = Site::new(b"good");
    site.reload(b"mistake", Some(5 * MINUTE));
    site.reload(b"another", None);
    site.reload(b"third", Some(7 * MINUTE));
    site.pass(6 * MINUTE);
    assert_eq!(site.running, b"third");
    site.pass(2 * MINUTE);
    assert_eq!(site.running, b"good");
}

#[test]
fn rollback_goes_back_step_by_step_or_to_a_number() {
    let mut site = Site::new(b"one");
    site.reload(b"two", None);
    site.reload(b"three", None);
    site.rollback(None).unwrap();
    assert_eq!(site.running, b"two");
    site.rollback(None).unwrap();
    assert_eq!(site.running, b"one");
    assert_eq!(site.rollback(None), Err(NoRevision::NoEarlier));
    site.rollback(Some(3)).unwrap();
    assert_eq!(site.running, b"three");
    // The file has the same text, so a restart may read it.
    assert!(!site.revisions.current().unwrap().is_other_than_file());
    assert_eq!(site.rollback(Some(3)), Err(NoRevision::InUse(3)));
    let unknown = site.rollback(Some(9)).unwrap_err();
    assert_eq!(unknown.to_string(), "configuration 9 is not kept; kept are: 1, 2, 3, 4, 5, 6");
}

#[test]
fn only_the_last_ones_are_kept_and_always_the_one_to_go_back_to() {
    let mut site = Site::new(b"good");
    site.reload(b"0", Some(60 * MINUTE));
    for number in 1..30 {
        site.reload(format!("{number}").as_bytes(), None);
    }
    assert_eq!(site.files.len(), MOST_KEPT + 1);
    site.pass(61 * MINUTE);
    assert_eq!((site.running.as_slice(), site.files.len()), (b"good".as_slice(), MOST_KEPT));
    let sum = |length| Sum { length, crc: 0 };
    let mut revisions = Revisions::default();
    for number in 1..=4 {
        let text = sum(LARGEST_KEPT / 2);
        revisions.put(Revision { number, ..revisions.next(Origin::Reload, (text, None), None, None, at(0)) });
    }
    assert_eq!(revisions.trim(), [2, 1]);
}

#[test]
fn line_that_is_written_is_read_and_no_other() {
    let mut site = Site::new(b"maglev:\n");
    site.reload(b"maglev: {}\n", Some(MINUTE));
    let bytes = &site.files[&2];
    let parsed = parse(bytes).unwrap();
    assert_eq!(parsed.kept.revision, *site.revisions.current().unwrap());
    assert!(parsed.kept.intact && parsed.text == b"maglev: {}\n");
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for place in 0..bytes.len() {
        let mut torn = bytes.clone();
        torn[place] ^= 1;
        assert_eq!(
            parse(&torn).map(|parsed| parsed.kept.intact),
            (place > header).then_some(false),
            "{place}"
        );
        let cut = parse(&bytes[..place]).map(|parsed| parsed.kept.intact);
        assert_eq!(cut, (place > header).then_some(false), "{place}");
    }
    assert!(bytes.len() < LONGEST_HEADER);
}

#[derive(Debug, Clone)]
enum Step {
    Reload(u8, Option<u16>),
    Edit(u8),
    Confirm,
    Rollback,
    RollbackTo(u8),
    Pass(u16),
    Down(u16),
    ClockBack(u32),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, proptest::option::of(10..1000_u16)).prop_map(|(text, within)| Step::Reload(text, within)),
        (0..4_u8).prop_map(Step::Edit),
        Just(Step::Confirm),
        Just(Step::Rollback),
        (0..8_u8).prop_map(Step::RollbackTo),
        (0..1000_u16).prop_map(Step::Pass),
        (0..1000_u16).prop_map(Step::Down),
        (0..2_000_000_u32).prop_map(Step::ClockBack),
        Just(Step::Restart),
    ]
}

fn text(number: u8) -> Vec<u8> {
    format!("configuration {number}").into_bytes()
}

proptest! {
    /// Whatever happens: what was given up stays out until the file changes, nothing unconfirmed lasts longer than its time
    /// in a running brain, and a restart alone changes nothing that was decided.
    #[test]
    fn nothing_unconfirmed_lasts(steps in proptest::collection::vec(step(), 1..40)) {
        let mut site = Site::new(&text(0));
        // The text confirmed last, and the time for which it may be replaced without a confirmation.
        let (mut confirmed, mut left) = (text(0), None::<Duration>);
        for step in steps {
            match step {
                Step::Reload(number, within) => {
                    let was_pending = site.is_pending();
                    site.reload(&text(number), within.map(|within| Duration::from_secs(within.into())));
                    match within {
                        Some(within) => left = Some(Duration::from_secs(within.into())),
                        None if !was_pending => confirmed = text(number),
                        None => {}
                    }
                    prop_assert_eq!(&site.running, &text(number));
                }
                Step::Edit(number) => site.file = text(number),
                Step::Confirm => if site.confirm().is_ok() {
                    (confirmed, left) = (site.running.clone(), None);
                },
                Step::Rollback | Step::RollbackTo(_) => {
                    let number = if let Step::RollbackTo(number) = step { Some(number.into()) } else { None };
                    if site.rollback(number).is_ok() {
                        (confirmed, left) = (site.running.clone(), None);
                    }
                }
                Step::Pass(seconds) => {
                    let time = Duration::from_secs(seconds.into());
                    site.pass(time);
                    left = left.map(|left| left.saturating_sub(time));
                }
                Step::Down(seconds) => {
                    let pending = site.is_pending();
                    let time = Duration::from_secs(seconds.into());
                    site.wall += time;
                    let before = site.revisions.current().unwrap().clone();
                    site.start();
                    left = left.map(|left| left.saturating_sub(time));
                    if !pending && (!before.is_other_than_file() || before.file != Some(Sum::of(&site.file))) {
                        confirmed = site.file.clone();
                        prop_assert_eq!(&site.running, &site.file);
                    }
                }
                Step::ClockBack(seconds) => {
                    site.wall -= Duration::from_secs(u64::from(seconds).min(unix_ms(site.wall) / 1000));
                    // The running brain does not notice. A restart gives the whole time again at most.
                    if site.is_pending() {
                        site.start();
                        let pending = site.revisions.current().unwrap().pending.unwrap();
                        left = Some(pending.left(site.wall));
                        prop_assert!(left <= Some(Duration::from_millis(pending.within_ms)));
                    }
                }
                Step::Restart => {
                    let before = (site.running.clone(), site.revisions.current().unwrap().clone());
                    site.start();
                    let is_file = before.1.pending.is_none()
                        && (!before.1.is_other_than_file() || before.1.file != Some(Sum::of(&site.file)));
                    if is_file {
                        confirmed = site.file.clone();
                    } else {
                        prop_assert_eq!((site.running.clone(), site.revisions.current().unwrap().clone()), before);
                    }
                }
            }
            if left.is_some_and(|left| left.is_zero()) || left.is_none() {
                left = None;
                prop_assert!(!site.is_pending());
                prop_assert_eq!(&site.running, &confirmed);
            }
            prop_assert!(site.files.len() <= MOST_KEPT + 1);
            prop_assert_eq!(Some(Sum::of(&site.running)), site.revisions.current().map(|current| current.text));
        }
    }

    /// A torn file costs its own text, and no other.
    #[test]
    fn torn_files_cost_themselves(
        steps in proptest::collection::vec(step(), 1..20), torn in 0..10_usize, cut in 0..300_usize, zero: bool,
    ) {
        let mut site = Site::new(&text(0));
        for step in steps {
            match step {
                Step::Reload(number, within) => {
                    site.reload(&text(number), within.map(|within| Duration::from_secs(within.into())));
                }
                Step::Confirm => drop(site.confirm()),
                Step::Rollback => drop(site.rollback(None)),
                Step::Pass(seconds) => drop(site.pass(Duration::from_secs(seconds.into()))),
                _ => {}
            }
        }
        let before = site.clone();
        let numbers: Vec<u64> = site.files.keys().copied().collect();
        let number = numbers[torn % numbers.len()];
        let bytes = site.files.get_mut(&number).unwrap();
        let kept = cut.min(bytes.len());
        bytes.truncate(kept);
        if zero {
            bytes.fill(0);
        }
        site.start();
        let (current, _) = before.files.last_key_value().unwrap();
        let texts: Vec<Vec<u8>> =
            before.files.values().map(|bytes| parse(bytes).unwrap().text.to_vec()).collect();
        prop_assert!(texts.contains(&site.running) || site.running == site.file);
        if number != *current {
            prop_assert_eq!(&site.running, &before.running);
        }
        // What was written before is read, and numbers are never used again.
        let next = site.revisions.next(Origin::Start, (Sum::of(b""), None), None, None, site.wall);
        prop_assert!(next.number > *current);
    }
}

#[test]
fn member_of_a_fleet_starts_with_what_it_took_last_and_others_with_the_file() {
    let mut site = Site::new(b"file");
    assert_eq!(site.revisions.start_in_fleet(), None, "its own file, until it has taken something");
    let sums = (Sum::of(b"fleet"), None);
    let taken = site.revisions.next(Origin::Fleet(7), sums, None, Some(MINUTE), site.wall);
    assert_eq!((taken.of_fleet(), taken.pending, taken.is_other_than_file()), (Some(7), None, false));
    let number = taken.number;
    site.running = b"fleet".to_vec();
    site.write(taken);
    let start = Start::Kept { texts: vec![number, number - 1], goes_back: false };
    assert_eq!(site.revisions.start_in_fleet(), Some(start));
    assert_eq!(site.revisions.start(Some(Sum::of(b"file")), site.wall), Start::File);
}
