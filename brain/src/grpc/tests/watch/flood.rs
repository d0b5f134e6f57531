//! Watchers end up with the correct state, however fast it changes and however slow they are.

use tokio::sync::watch as newest;
use tokio::task::JoinSet;

use super::*;
use crate::controller::Terms;

/// Number of commands in the flood. Each causes about three events, more than are buffered for a watcher.
const COMMANDS: usize = 6000;
/// Commands repeated after the flood, so that a watcher that has fallen behind notices its end.
const OVER: [&str; 2] = [
    "set frontend shop pool primary backend web2 weight 98",
    "set frontend shop pool primary backend web2 weight 99",
];

/// A watcher's knowledge of the state, by kind and name.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    facts: BTreeMap<(&'static str, String), String>,
    missed: u64,
    changes: usize,
    /// The initial state while it is being received.
    telling: Option<BTreeMap<(&'static str, String), String>>,
    over: bool,
}

impl Known {
    fn take(&mut self, event: Event) {
        let what = event.what.unwrap();
        if let What::Missed(missed) = &what {
            assert!(missed.events > 0);
            self.missed += missed.events;
            self.facts.clear();
        }
        let facts = if event.initial { self.telling.get_or_insert_default() } else { &mut self.facts };
        self.changes += usize::from(!event.initial);
        match what {
            What::Backend(event) => {
                let name = ("backend", event.backend.clone());
                let before = facts.get(&name).cloned();
                if self.telling.is_none() {
                    let from =
                        (event.from() != BackendState::Removed).then(|| event.from().word().to_owned());
                    assert_eq!(before, from, "none is lost and none comes twice: {event:?}");
                }
                let facts = self.telling.as_mut().unwrap_or(&mut self.facts);
                match event.to() {
                    BackendState::Removed => drop(facts.remove(&name)),
                    to => drop(facts.insert(name, to.word().to_owned())),
                }
            }
            What::Frontend(event) => {
                let name = ("frontend", event.frontend.clone());
                match event.changed {
                    Some(Changed::Removed(_)) => assert!(facts.remove(&name).is_some()),
                    _ => {
                        let FrontendEvent { active_pool, panic_pool, held_back, .. } = &event;
                        let fact = format!("{} {active_pool} {panic_pool} {held_back}", event.state().word());
                        facts.insert(name, fact);
                    }
                }
            }
            What::Configuration(event) => self.over |= OVER.contains(&event.changes.as_str()),
            What::InitialStateEnd(_) => self.facts = self.telling.take().unwrap_or_default(),
            What::Missed(_)
            | What::Agent(_)
            | What::Vpp(_)
            | What::Router(_)
            | What::Route(_)
            | What::Note(_)
            | What::Fleet(_)
            | What::Log(_) => {}
            What::Probe(_) | What::Weights(_) | What::VppWrite(_) => panic!("not asked for: {what:?}"),
        }
    }

    /// Reads until the flood is over, or at most this many changes.
    async fn read(mut self, mut events: super::super::super::watch::Events, most: usize) -> Self {
        while !self.over && self.changes < most {
            self.take(events.next().await.unwrap().unwrap());
        }
        self
    }
}

fn commands() -> impl Iterator<Item = Command> {
    let fewer = CONFIG.replace("    any: {", "    other: {").replace("spare", "spare2");
    let configs = [CONFIG, &fewer].map(|text| Arc::new(parse("maglev.yaml", text).unwrap().config));
    let wish = |backend: &str, wish| Command::Backend { backend: backend.into(), wish };
    (0..COMMANDS).map(move |number| match number % 12 {
        0 => wish("web1", BackendWish::Pause),
        1 => wish("web2", BackendWish::Disable),
        2 => Command::Reload(Arc::clone(&configs[1]).into()),
        3 => wish("web1", BackendWish::Resume),
        4 => wish("web2", BackendWish::Enable),
        5 => wish("spare2", BackendWish::Enable),
        6 => weight(10),
        7 => wish("spare2", BackendWish::Disable),
        8 => Command::Reload(Arc::clone(&configs[0]).into()),
        9 => wish("web2", BackendWish::Pause),
        10 => weight(0),
        _ => wish("web2", BackendWish::Resume),
    })
}

fn weight(weight: u8) -> Command {
    let member = PoolMember { frontend: "shop".into(), pool: "primary".into(), backend: "web2".into() };
    Command::SetWeight { member, weight, flush: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_told_is_what_is() {
    let brain = Brain::start_in(tempfile::tempdir().unwrap(), CONFIG, false);
    let service = &brain.service;
    let (flooded, is_over) = newest::channel(false);
    let mut watchers = JoinSet::new();
    for number in 0..12 {
        let events = watch(service, everything());
        watchers.spawn(async move { (number, Known::default().read(events, usize::MAX).await) });
    }
    // Watchers that read nothing until the flood is over.
    for number in 100..104 {
        let (events, mut is_over) = (watch(service, everything()), is_over.clone());
        watchers.spawn(async move {
            is_over.wait_for(|over| *over).await.unwrap();
            (number, Known::default().read(events, usize::MAX).await)
        });
    }
    // Watchers that reconnect several times; the last connection stays.
    for number in 200..208 {
        let service = service.clone();
        watchers.spawn(async move {
            loop {
                let events = watch(&service, everything());
                let known = Known::default().read(events, 20 * number).await;
                if known.over {
                    return (number, known);
                }
            }
        });
    }
    for command in commands() {
        service.operator.command(Terms::default(), command).await.unwrap();
    }
    flooded.send_replace(true);
    let mut done = Vec::new();
    for said in [99, 98].into_iter().cycle() {
        service.operator.command(Terms::default(), weight(said)).await.unwrap();
        while let Some(watcher) = watchers.try_join_next() {
            done.push(watcher.unwrap());
        }
        if watchers.is_empty() {
            break;
        }
    }
    let mut now = Known::default();
    for what in state(&mut watch(service, everything())).await {
        now.take(Event { initial: true, what: Some(what), ..Event::default() });
    }
    now.facts = now.telling.take().unwrap();
    assert_eq!(now.facts.len(), 5);
    for (number, known) in done {
        assert_eq!(known.facts, now.facts, "watcher {number}");
        assert!(known.missed > 0 || !(100..104).contains(&number), "watcher {number} missed nothing");
    }
}
