use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::config::parse;
use crate::core::{Core, Now};
use crate::overrides::PoolMember;
use crate::tests::moment;
use BackendOverride::{Disabled, Enabled, Paused};

/// Two configurations: in the second one, what is enabled and configured differs, and `c` is missing.
fn config(second: bool) -> Arc<Config> {
    let text = if second {
        "a: {address: 10.0.0.1, enabled: false}, b: {address: 10.0.0.2}, d: {address: 10.0.0.4}}
  frontends: {www: {address: 192.0.2.1, pools: [{name: p, backends: {a: {weight: 50}, b: {weight: 30}, d: {}}}]}}"
    } else {
        "a: {address: 10.0.0.1}, b: {address: 10.0.0.2, enabled: false}, c: {address: 10.0.0.3}}
  frontends: {www: {address: 192.0.2.1, pools: [{name: p, backends: {a: {weight: 30}, b: {weight: 50}, c: {}}}]}}"
    };
    let text = format!("maglev:\n  vpp: {{lb: {{ipv4-src-address: 192.0.2.254}}}}\n  backends: {{{text}");
    Arc::new(parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config)
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn backend(name: &str) -> IntentKey {
    IntentKey::Backend(name.to_owned())
}

fn weight(backend: &str) -> IntentKey {
    let [frontend, pool, backend] = ["www", "p", backend].map(str::to_owned);
    IntentKey::Weight(PoolMember { frontend, pool, backend })
}

fn intent(aim: Aim) -> Intent {
    Intent { aim, who: Some("anna".to_owned()), why: String::new(), since_ms: 1000, until_ms: None }
}

/// A member: a core with what it remembers.
struct Member {
    core: Core,
    memory: Memory,
    now: SystemTime,
}

impl Member {
    fn new(config: Arc<Config>) -> Self {
        let now = Now { wall: at(100), mono: moment() };
        let core = Core::new(config, Overrides::default(), "/agent".into(), now);
        Self { core, memory: Memory::default(), now: at(100) }
    }

    fn now(&self) -> Now {
        Now { wall: self.now, mono: moment() }
    }

    fn due(&self, wanted: &BTreeMap<IntentKey, Dated>) -> Vec<Change> {
        changes(wanted, &self.memory, self.core.overrides(), self.core.config(), self.now)
    }

    fn carry_out(&mut self, change: &Change) {
        for (command, remark) in &change.commands {
            let now = self.now();
            let done = self.core.command_on(None, command.clone(), remark.clone(), now);
            done.unwrap_or_else(|error| panic!("{command}: {error}"));
        }
    }

    /// Applies what is due; `order` chooses what comes next.
    fn follow(&mut self, wanted: &BTreeMap<IntentKey, Dated>, order: Index) {
        let mut due = self.due(wanted);
        while !due.is_empty() {
            let change = due.swap_remove(order.index(due.len()));
            self.carry_out(&change);
            self.memory.note(&change);
        }
    }

    fn restart(&mut self, config: Arc<Config>) {
        let overrides = (**self.core.overrides()).clone();
        self.core = Core::new(config, overrides, "/agent".into(), self.now());
    }

    fn local(&mut self, key: &IntentKey, aim: Aim, base: u64) {
        let command = match (key, aim) {
            (IntentKey::Backend(name), Aim::Backend(state)) => {
                let wish = match state {
                    Paused => BackendWish::Pause,
                    Disabled => BackendWish::Disable,
                    Enabled => BackendWish::Enable,
                };
                Command::Backend { backend: name.clone(), wish }
            }
            (IntentKey::Weight(member), Aim::Weight { weight, flush }) => {
                Command::SetWeight { member: member.clone(), weight, flush }
            }
            _ => return,
        };
        if self.core.command(command, self.now()).is_ok() {
            self.memory.local.insert(key.clone(), base);
        }
    }

    fn value(&self, key: &IntentKey) -> Option<Value> {
        current(key, self.core.overrides())
    }
}

fn wanted(entries: &[(IntentKey, Aim, u64)]) -> BTreeMap<IntentKey, Dated> {
    let dated = |(key, aim, revision): &(IntentKey, Aim, u64)| {
        (key.clone(), Dated { intent: intent(*aim), revision: *revision })
    };
    entries.iter().map(dated).collect()
}

fn first() -> Index {
    // The index of the first one, whatever their number.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    any::<Index>().new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

/// Every override that there may be, every aim, enabled and disabled in the configuration.
#[test]
fn each_override_with_each_aim() {
    for name in ["a", "b"] {
        for before in [None, Some(Paused), Some(Disabled), Some(Enabled)] {
            for aim in [Paused, Disabled, Enabled] {
                let mut member = Member::new(config(false));
                if let Some(before) = before {
                    let set = wanted(&[(backend(name), Aim::Backend(before), 1)]);
                    member.follow(&set, first());
                    // Whatever it was, it is not the fleet's any more.
                    member.memory = Memory::default();
                }
                let set = wanted(&[(backend(name), Aim::Backend(aim), 2)]);
                member.follow(&set, first());
                let expected = expected(&backend(name), Aim::Backend(aim), member.core.config()).unwrap();
                assert_eq!(member.value(&backend(name)), expected, "{name}: {before:?}, then {aim:?}");
                assert!(member.due(&set).is_empty());
                member.follow(&BTreeMap::new(), first());
                assert_eq!(member.value(&backend(name)), None, "{name}: {before:?}, {aim:?}, then cleared");
                assert_eq!(member.memory, Memory::default());
            }
        }
    }
}

#[test]
fn an_override_says_who_and_why() {
    let mut member = Member::new(config(false));
    let mut set = wanted(&[(backend("a"), Aim::Backend(Paused), 1)]);
    set.get_mut(&backend("a")).unwrap().intent.until_ms = Some(200_000);
    member.follow(&set, first());
    let remark = |member: &Member| member.core.overrides().backends["a"].stamp.remark.clone();
    assert_eq!(remark(&member).until, Some(at(200)));
    assert_eq!((remark(&member).who.as_deref(), remark(&member).reason.as_str()), (Some("anna"), NO_REASON));
    // Only the time changes: it must not end at the old one.
    let set = wanted(&[(backend("a"), Aim::Backend(Paused), 2)]);
    member.follow(&set, first());
    assert_eq!(remark(&member).until, None);
    // One that is over is no longer in force.
    let mut set = wanted(&[(backend("a"), Aim::Backend(Paused), 3)]);
    set.get_mut(&backend("a")).unwrap().intent.until_ms = Some(100_000);
    member.follow(&set, first());
    assert_eq!(member.value(&backend("a")), None);
    assert!(member.due(&set).is_empty());
}

#[test]
fn flows_are_flushed_once() {
    let mut member = Member::new(config(false));
    let set = wanted(&[(weight("a"), Aim::Weight { weight: 0, flush: true }, 1)]);
    let flushes = |due: &[Change]| {
        let commands = due.iter().flat_map(|change| &change.commands);
        commands.filter(|(command, _)| command.to_string().ends_with(" flush")).count()
    };
    assert_eq!(flushes(&member.due(&set)), 1);
    member.follow(&set, first());
    // Somebody clears it here without saying that it is only here.
    member.core.command(clear(&weight("a")), member.now()).unwrap();
    let due = member.due(&set);
    assert_eq!((due.len(), flushes(&due)), (1, 0));
    member.follow(&set, first());
    // A store that lost everything counts from the beginning, and has it again from a member's copy.
    let mut set = set;
    set.get_mut(&weight("a")).unwrap().revision = 9;
    let due = member.due(&set);
    assert_eq!((due.len(), flushes(&due)), (1, 0));
    member.follow(&set, first());
    // An operator asks for the same once more.
    let again = set.get_mut(&weight("a")).unwrap();
    (again.revision, again.intent.since_ms) = (12, 5000);
    assert_eq!(flushes(&member.due(&set)), 1);
    // One that was away when it was written back has never flushed.
    assert_eq!(flushes(&Member::new(config(false)).due(&set)), 1);
}

#[test]
fn what_is_set_only_here_stays_until_there_is_something_newer() {
    let mut member = Member::new(config(false));
    let set = wanted(&[(backend("a"), Aim::Backend(Paused), 5)]);
    member.follow(&set, first());
    assert!(local_only(&member.memory, member.core.overrides()).is_empty());
    // In an emergency, with the store away: resumed here, though the fleet has it paused.
    member.core.command(clear(&backend("a")), member.now()).unwrap();
    member.memory.local.insert(backend("a"), 5);
    member.local(&backend("c"), Aim::Backend(Disabled), 5);
    assert!(member.due(&set).is_empty());
    assert_eq!(local_only(&member.memory, member.core.overrides()), [backend("a"), backend("c")].into());
    // A newer intent replaces it.
    let newer = wanted(&[(backend("a"), Aim::Backend(Disabled), 7), (backend("c"), Aim::Backend(Paused), 8)]);
    member.follow(&newer, first());
    assert_eq!(member.value(&backend("a")), Some(Value::Backend(Disabled)));
    assert_eq!(member.value(&backend("c")), Some(Value::Backend(Paused)));
    assert!(local_only(&member.memory, member.core.overrides()).is_empty());
    // Cleared, the fleet's holds again.
    member.local(&backend("c"), Aim::Backend(Disabled), 8);
    member.memory.local.clear();
    member.follow(&newer, first());
    assert_eq!(member.value(&backend("c")), Some(Value::Backend(Paused)));
    // What was there before the fleet is shown as local, and left alone.
    member
        .core
        .command(Command::SetWeight { member: pool_member("a"), weight: 9, flush: false }, member.now())
        .unwrap();
    assert!(member.due(&newer).is_empty());
    assert_eq!(local_only(&member.memory, member.core.overrides()), [weight("a")].into());
}

fn pool_member(backend: &str) -> PoolMember {
    match weight(backend) {
        IntentKey::Weight(member) => member,
        IntentKey::Backend(_) => unreachable!(),
    }
}

#[test]
fn an_intent_without_a_target_waits_for_it() {
    let mut member = Member::new(config(false));
    let set = wanted(&[
        (backend("d"), Aim::Backend(Paused), 1),
        (weight("d"), Aim::Weight { weight: 7, flush: false }, 2),
    ]);
    assert!(member.due(&set).is_empty());
    assert_eq!(unmatched(&set, member.core.config(), at(100)).count(), 2);
    member.restart(config(true));
    assert_eq!(unmatched(&set, member.core.config(), at(100)).count(), 0);
    member.follow(&set, first());
    assert_eq!(member.value(&backend("d")), Some(Value::Backend(Paused)));
    assert_eq!(member.value(&weight("d")), Some(Value::Weight(7)));
}

#[derive(Debug, Clone)]
enum Happening {
    Set(IntentKey, Aim),
    Clear(IntentKey),
    Follow(usize, Index),
    /// Commands were carried out, but the member died before it could remember that.
    Die(usize, Index),
    Restart(usize, bool),
    Local(usize, IntentKey, Aim),
    Cleared(usize, Index),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let state = select(vec![Paused, Disabled, Enabled]);
    let name = select(vec!["a", "b", "c", "d"]);
    let of_backend = (name.clone(), state).prop_map(|(name, state)| (backend(name), Aim::Backend(state)));
    let of_weight = (name, select(vec![0_u8, 30, 50, 100]), any::<bool>())
        .prop_map(|(name, value, flush)| (weight(name), Aim::Weight { weight: value, flush }));
    let pair = prop_oneof![of_backend, of_weight];
    let member = 0..2_usize;
    prop_oneof![
        4 => pair.clone().prop_map(|(key, aim)| Happening::Set(key, aim)),
        2 => pair.clone().prop_map(|(key, _)| Happening::Clear(key)),
        4 => (member.clone(), any::<Index>()).prop_map(|(at, order)| Happening::Follow(at, order)),
        1 => (member.clone(), any::<Index>()).prop_map(|(at, order)| Happening::Die(at, order)),
        2 => (member.clone(), any::<bool>()).prop_map(|(at, second)| Happening::Restart(at, second)),
        1 => (member.clone(), pair).prop_map(|(at, (key, aim))| Happening::Local(at, key, aim)),
        1 => (member, any::<Index>()).prop_map(|(at, which)| Happening::Cleared(at, which)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn members_with_the_same_intents_have_the_same_overrides(history in vec(happenings(), 0..60), order in any::<Index>()) {
        let mut members = [Member::new(config(false)), Member::new(config(false))];
        let (mut fleet, mut revision) = (BTreeMap::new(), 1);
        for happening in history {
            match happening {
                Happening::Set(key, aim) => {
                    revision += 1;
                    fleet.insert(key, Dated { intent: intent(aim), revision });
                }
                Happening::Clear(key) => drop(fleet.remove(&key)),
                Happening::Follow(at, order) => members[at].follow(&fleet, order),
                Happening::Die(at, order) => {
                    let due = members[at].due(&fleet);
                    if !due.is_empty() {
                        members[at].carry_out(&due[order.index(due.len())]);
                    }
                    members[at].restart(config(false));
                }
                Happening::Restart(at, second) => members[at].restart(config(second)),
                Happening::Local(at, key, aim) => members[at].local(&key, aim, revision),
                Happening::Cleared(at, which) => {
                    let local: Vec<_> = members[at].memory.local.keys().cloned().collect();
                    if !local.is_empty() {
                        let key = &local[which.index(local.len())];
                        members[at].memory.local.remove(key);
                        let now = members[at].now();
                        drop(members[at].core.command(clear(key), now));
                    }
                }
            }
        }
        for member in &mut members {
            member.restart(config(true));
            // Both follow, and once more: nothing is left to do.
            member.follow(&fleet, order);
            prop_assert!(member.due(&fleet).is_empty());
            for (key, dated) in &fleet {
                let local = member.memory.local.contains_key(key);
                if let Some(expected) = expected(key, dated.intent.aim, member.core.config())
                    && !local
                {
                    let found = member.value(key);
                    let same = found == expected || found == Some(Value::of(dated.intent.aim));
                    prop_assert!(same, "{} is lost: {:?}", key, found);
                }
            }
            let local = local_only(&member.memory, member.core.overrides());
            let of_fleet = |key: &IntentKey| fleet.contains_key(key) || local.contains(key);
            let backends = member.core.overrides().backends.keys().map(|name| backend(name));
            prop_assert!(backends.into_iter().all(|key| of_fleet(&key)), "an intent outlives its end");
        }
        let [one, other] = &members;
        let local: BTreeSet<_> = members.iter().flat_map(|member| local_only(&member.memory, member.core.overrides())).collect();
        let has_target = |key: &&IntentKey| expected(key, fleet[*key].intent.aim, one.core.config()).is_some();
        for key in fleet.keys().filter(|key| !local.contains(key)).filter(has_target) {
            let states = [one, other].map(|member| match key {
                IntentKey::Backend(name) => member.core.snapshot(moment()).backends.get(name.as_str()).map(|view| view.health.state().to_string()),
                IntentKey::Weight(member_key) => {
                    let configured = member_key.configured_weight(member.core.config());
                    Some(format!("{:?}", member.value(key).or(configured.map(Value::Weight))))
                }
            });
            prop_assert_eq!(&states[0], &states[1], "{}", key);
        }
    }
}
