use proptest::prelude::*;

use super::*;
use crate::overrides::{BackendOverride, Remark, Stamp, Stamped};

const MINUTE: Duration = Duration::from_secs(60);

fn pause(backend: &str) -> Command {
    Command::Backend { backend: backend.into(), wish: BackendWish::Pause }
}

fn weight(weight: u8) -> Command {
    let [frontend, pool, backend] = ["one", "primary", "b"].map(str::to_owned);
    Command::SetWeight { member: PoolMember { frontend, pool, backend }, weight, flush: false }
}

impl Bench {
    fn timed(&mut self, command: Command, last: Duration) -> Result<(Effects, Done), CommandError> {
        let until = Some(self.now.wall + last);
        let remark = Remark { who: Some("anna".into()), reason: "RAM swap".to_owned(), until };
        self.core.command_on(None, command, remark, self.now)
    }
}

fn told(effects: &Effects) -> Vec<String> {
    let told = effects.events.iter().filter_map(|event| match event {
        Event::Expires { entry, left } => Some(format!("{entry} ends in {} s", left.as_secs())),
        Event::Expired { entry } => Some(format!("{entry} has ended")),
        _ => None,
    });
    told.collect()
}

#[test]
fn override_is_announced_to_end_and_ends_as_by_a_command() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.timed(pause("a"), 60 * MINUTE).unwrap();
    bench.timed(weight(50), 30 * MINUTE).unwrap();
    let stamp = bench.core.overrides().backends["a"].stamp.clone();
    assert_eq!((stamp.remark.who.as_deref(), stamp.remark.reason.as_str()), (Some("anna"), "RAM swap"));
    assert_eq!(told(&bench.sleep(25 * MINUTE - Duration::from_secs(1))), [""; 0]);
    let soon = bench.sleep(MINUTE);
    assert_eq!(told(&soon), ["weight of b in pool primary of frontend one: 50 ends in 300 s"]);
    let ended = bench.sleep(5 * MINUTE);
    assert_eq!(told(&ended), ["weight of b in pool primary of frontend one: 50 has ended"]);
    assert!(ended.overrides && ended.wanted);
    let ended = bench.sleep(30 * MINUTE);
    assert_eq!(told(&ended), ["backend a: paused ends in 300 s", "backend a: paused has ended"]);
    assert!(bench.core.overrides().is_empty());
    assert_eq!(bench.state("a"), State::Unknown, "it is probed again");
    assert_eq!(bench.core.next_tick(), None, "nothing is left to wait for");
}

#[test]
fn set_again_with_another_end_it_ends_then() {
    let mut bench = Bench::connected();
    bench.timed(pause("a"), 10 * MINUTE).unwrap();
    bench.sleep(6 * MINUTE);
    bench.timed(pause("a"), 60 * MINUTE).unwrap();
    assert_eq!(told(&bench.sleep(54 * MINUTE)), [""; 0]);
    // Without a word of its own, the same command leaves it as it is.
    bench.command(pause("a")).unwrap();
    assert!(bench.core.overrides().backends["a"].stamp.remark.until.is_some());
    assert_eq!(told(&bench.sleep(6 * MINUTE)).len(), 2);
    assert!(bench.core.overrides().is_empty());
}

#[test]
fn what_cannot_end_or_is_too_long_is_refused_and_changes_nothing() {
    let mut bench = Bench::connected();
    let resume = Command::Backend { backend: "a".into(), wish: BackendWish::Resume };
    assert_eq!(bench.timed(resume, MINUTE).unwrap_err(), CommandError::NothingEnds);
    assert_eq!(bench.timed(weight(100), MINUTE).unwrap_err(), CommandError::NothingEnds);
    assert_eq!(bench.timed(pause("a"), Duration::ZERO).unwrap_err(), CommandError::Over);
    let remark = Remark { reason: "x".repeat(201), ..Remark::default() };
    let long = bench.core.command_on(None, pause("a"), remark, bench.now).unwrap_err();
    assert_eq!(long.to_string(), "the reason has 201 characters, at most 200 are possible");
    assert!(bench.core.overrides().is_empty());
    assert_eq!(bench.state("a"), State::Unknown);
}

#[test]
fn long_name_of_an_operator_is_cut_and_keeps_nobody_from_a_change() {
    let mut bench = Bench::connected();
    let who = format!("anna@example.net, by cert {}", "é".repeat(300));
    let remark = Remark { who: Some(who.as_str().into()), ..Remark::default() };
    bench.core.command_on(None, pause("a"), remark, bench.now).unwrap();
    let kept = bench.core.overrides().backends["a"].stamp.remark.who.clone().unwrap();
    assert!(who.starts_with(&*kept) && kept.chars().count() == 128, "{kept}");
    crate::overrides::render(bench.core.overrides()).unwrap();
}

#[test]
fn override_that_ended_while_the_brain_was_away_ends_at_the_start() {
    let end = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    let stamp = |until| Stamp { since: UNIX_EPOCH, remark: Remark { until, ..Remark::default() } };
    let set = |until| Stamped { value: BackendOverride::Paused, stamp: stamp(until) };
    let kept = Overrides {
        backends: [("a".into(), set(end(0))), ("b".into(), set(None)), ("gone".into(), set(end(0)))].into(),
        ..Overrides::default()
    };
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, FRONTENDS), kept);
    assert_eq!(told(&bench.seconds(0)), ["backend a: paused has ended", "backend gone: paused has ended"]);
    assert_eq!(bench.core.overrides().backends.keys().collect::<Vec<_>>(), ["b"]);
}

proptest! {
    /// However somebody sets the clock, an override is over no later than a minute after its time of day has come, and not
    /// before.
    #[test]
    fn clock_that_is_set_neither_keeps_nor_ends_it(
        last in 1..7200_u64,
        steps in prop::collection::vec((-7200..7200_i64, 1..600_u64), 0..30),
    ) {
        let mut bench = Bench::connected();
        bench.now.wall += Duration::from_secs(1_000_000);
        bench.timed(pause("a"), Duration::from_secs(last)).unwrap();
        let until = bench.now.wall + Duration::from_secs(last);
        // How long the clock has shown a later time without a break.
        let mut over = Duration::ZERO;
        for (set, wait) in steps {
            bench.now.wall = match u64::try_from(set) {
                Ok(later) => bench.now.wall + Duration::from_secs(later),
                Err(_) => bench.now.wall - Duration::from_secs(set.unsigned_abs()),
            };
            if bench.now.wall < until {
                over = Duration::ZERO;
            }
            let was_set = !bench.core.overrides().is_empty();
            bench.sleep(Duration::from_secs(wait));
            over += bench.now.wall.duration_since(until).unwrap_or_default().min(Duration::from_secs(wait));
            let is_set = !bench.core.overrides().is_empty();
            prop_assert!(is_set || !was_set || bench.now.wall >= until, "ended too early");
            prop_assert!(!is_set || over <= MINUTE, "still set {over:?} after its time");
        }
    }
}
