//! The fleet and its store under a scheduler that one number decides.

use std::time::{Duration, Instant};

use fastrand::Rng;
use maglev_engine::fleet::records::{Key, MemberInfo, Name, encode, unix_ms};
use maglev_engine::fleet::rollout::Decision;

use super::judge::Judge;
use super::member::{Member, Process, Watching};
use super::store::{Entry, NotDone, Store, Transaction};

/// Why a history breaks a rule.
pub(crate) type Violation = String;

/// Last events that are shown.
const SHOWN: usize = 60;

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) fleet: Name,
    pub(crate) store: Store,
    pub(crate) has_store: bool,
    pub(crate) members: Vec<Member>,
    /// Simulated time, in milliseconds.
    pub(crate) now: u64,
    begin: Instant,
    pub(crate) judge: Judge,
    /// Whether things still go wrong.
    pub(crate) is_rough: bool,
    is_told: bool,
    events: Vec<String>,
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(3..=7);
        let members: Vec<_> = (1..=count).map(Member::new).collect();
        let begin = tokio::time::Instant::now().into_std();
        let mut world = Self {
            rng,
            fleet: Name::new("edge").unwrap(),
            store: Store::default(),
            has_store: true,
            members,
            now: 0,
            begin,
            judge: Judge::default(),
            is_rough: true,
            is_told,
            events: Vec::new(),
            steps: 0,
        };
        for at in 0..count {
            world.start(at);
        }
        world
    }

    pub(crate) fn mono(&self) -> Instant {
        self.begin + Duration::from_millis(self.now)
    }

    pub(crate) fn tell(&mut self, event: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>9} {}", self.now, event());
        } else {
            if self.events.len() >= 2 * SHOWN {
                self.events.drain(..SHOWN);
            }
            self.events.push(format!("{:>9} {}", self.now, event()));
        }
    }

    pub(crate) fn last_events(&self) -> String {
        self.events[self.events.len().saturating_sub(SHOWN)..].join("\n")
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.is_rough && self.rng.u32(..100) < percent
    }

    pub(crate) fn start(&mut self, at: usize) {
        let (now, mono) = (self.now, self.mono());
        let member = &mut self.members[at];
        member.start(now, mono);
        let name = member.name.clone();
        self.tell(|| format!("{name} starts"));
    }

    pub(crate) fn can_reach(&self, at: usize) -> bool {
        self.has_store && self.members[at].is_linked && self.members[at].process.is_some()
    }

    /// A member writes to the store. Its answer may be lost: then it does not know.
    pub(crate) fn transact(
        &mut self,
        at: usize,
        transaction: Transaction,
    ) -> Result<Option<NotDone>, Violation> {
        let name = self.members[at].name.clone();
        let keys = transaction.puts.iter().map(|(key, _)| key).chain(&transaction.deletes);
        for key in keys {
            let key = Key::parse(&self.fleet, key.as_bytes()).ok_or_else(|| format!("{key} is not a key"))?;
            if key.owner().is_some_and(|owner| *owner != name) {
                return Err(format!("{name} writes {key:?}, which is another member's"));
            }
        }
        let before = self.store.entries.get(&Key::Rollout.path(&self.fleet)).cloned();
        let done = self.store.transact(transaction);
        let after = self.store.entries.get(&Key::Rollout.path(&self.fleet)).cloned();
        if before != after {
            let words =
                self.judge.rollout(&self.fleet, &self.store, before.as_ref(), after.as_ref(), self.now)?;
            self.tell(|| format!("{name} writes the rollout: {words}"));
        }
        Ok(done.err())
    }

    /// One turn of a member.
    pub(crate) fn turn(&mut self, at: usize) -> Result<(), Violation> {
        let (now, mono) = (self.now, self.mono());
        self.steps += 1;
        self.follow(at);
        self.members[at].listen(now, mono);
        if let Some((revision, begun_ms)) = self.members[at].follow_rollout(now, mono) {
            let name = self.members[at].name.clone();
            self.tell(|| format!("{name} runs {revision:?}"));
            self.judge.runs(&name, revision, begun_ms)?;
        }
        let (which, dies) = (self.rng.usize(..8), self.chance(2));
        if self.members[at].follow_intents(now, mono, which, dies) && dies {
            let name = self.members[at].name.clone();
            self.tell(|| format!("{name} dies after a command"));
            self.members[at].process = None;
            return Ok(());
        }
        self.members[at].sense(now, mono);
        if !self.chance(30) {
            self.members[at].program();
        }
        if self.members[at].decide_routes(now, mono) {
            let name = self.members[at].name.clone();
            self.tell(|| format!("{name} withdraws its routes"));
            let others = self.members.iter().filter(|member| member.name != name);
            self.judge.withdraws(&self.fleet, &self.store, others)?;
        }
        self.members[at].compare(mono);
        if self.can_reach(at) && self.members[at].process.as_ref().unwrap().watching == Watching::Yes {
            self.publish(at)?;
            self.roll_out(at)?;
        }
        if !self.chance(20) {
            self.members[at].save();
        }
        Ok(())
    }

    /// Reads, or takes changes from the watch.
    fn follow(&mut self, at: usize) {
        if !self.can_reach(at) {
            return;
        }
        let lag = if self.chance(20) { self.rng.u64(..30) } else { 0 };
        let is_lost = self.chance(2);
        let most = if self.is_rough { self.rng.usize(1..12) } else { usize::MAX };
        let Self { store, members, fleet, now, .. } = self;
        let mono = self.begin + Duration::from_millis(*now);
        let process = members[at].process.as_mut().unwrap();
        match process.watching {
            Watching::No => {
                let (revision, entries) = store.read(store.revision.saturating_sub(lag));
                // A replica that is behind must not take this member back.
                if revision < process.view.revision {
                    return;
                }
                process.view.replace(fleet, revision, &entries);
                (process.watching, process.heard) = (Watching::Yes, *now);
            }
            Watching::Lost => return,
            Watching::Yes if is_lost => process.watching = Watching::Lost,
            Watching::Yes => match store.changes(process.view.revision) {
                Err(_) => process.watching = Watching::No,
                Ok(changes) => {
                    // A revision is never taken in part.
                    let end = changes.get(most).map_or(changes.len(), |next| {
                        changes.partition_point(|change| change.revision < next.revision)
                    });
                    for change in &changes[..end] {
                        process.view.take(fleet, &change.key, change.entry.as_ref());
                        process.view.revision = change.revision;
                    }
                    process.heard = *now;
                }
            },
        }
        Self::see(process, mono);
    }

    fn see(process: &mut Process, mono: Instant) {
        let states = process.view.bare_states();
        let rollout = process.view.rollout.as_ref().map(|(_, rollout)| rollout);
        process.watch.see(rollout, &process.view.infos, &states, mono);
    }

    /// Writes what it says of itself, under its lease.
    fn publish(&mut self, at: usize) -> Result<(), Violation> {
        let (now, mono, fleet) = (self.now, self.mono(), self.fleet.clone());
        let name = self.members[at].name.clone();
        let process = self.members[at].process.as_mut().unwrap();
        if !process.lease.is_some_and(|lease| self.store.keep(lease, now)) {
            process.lease = Some(self.store.grant(now));
            (process.written, process.published) = (None, None);
        }
        let lease = process.lease;
        let is_known = process.view.infos.contains(&name);
        let (written, published) = (process.written.clone(), process.published.clone());
        let member = &self.members[at];
        let (Some(state), Some(tables)) = (member.state(now), member.tables(mono)) else { return Ok(()) };
        let mut puts = Vec::new();
        // Its clock alone is no news.
        let is_news = written.as_ref().is_none_or(|written| {
            maglev_engine::fleet::records::MemberState { clock_ms: written.clock_ms, ..state.clone() }
                != *written
        });
        if is_news {
            puts.push((Key::State(name.clone()).path(&fleet), encode(&state).unwrap()));
        }
        if published.as_ref() != Some(&tables) {
            puts.push((Key::Tables(name.clone(), 0).path(&fleet), encode(&tables.0).unwrap()));
            if let Some(votes) = &tables.1 {
                puts.push((Key::Votes(name.clone()).path(&fleet), encode(votes).unwrap()));
            }
        }
        if !is_known {
            let info = MemberInfo { name: name.clone(), version: "1".to_owned(), first_seen_ms: now };
            let puts = vec![(Key::Info(name).path(&fleet), encode(&info).unwrap())];
            self.transact(at, Transaction { puts, ..Transaction::default() })?;
        }
        if puts.is_empty() {
            return Ok(());
        }
        let failed = self.transact(at, Transaction { puts, lease, ..Transaction::default() })?;
        // An answer that is lost leaves it to the next turn to write again.
        let is_lost = self.chance(5);
        let process = self.members[at].process.as_mut().unwrap();
        match failed {
            Some(_) => process.lease = None,
            None if is_lost => (process.written, process.published) = (None, None),
            None => {
                process.published = Some(tables);
                if is_news {
                    process.written = Some(state);
                }
            }
        }
        Ok(())
    }

    /// Takes the rollout's next step, if it is due.
    fn roll_out(&mut self, at: usize) -> Result<(), Violation> {
        let (mono, fleet) = (self.mono(), self.fleet.clone());
        let member = &self.members[at];
        let process = member.process.as_ref().unwrap();
        let Some((revision, rollout)) = &process.view.rollout else { return Ok(()) };
        let states = process.view.bare_states();
        let Some((Decision::Step(step), _)) = process.watch.decide(&states, mono) else { return Ok(()) };
        let mut conditions = vec![(Key::Rollout.path(&fleet), *revision)];
        for name in &step.unchanged {
            let seen = process.view.states.get(name).map_or(0, |(revision, _)| *revision);
            conditions.push((Key::State(name.clone()).path(&fleet), seen));
        }
        let age = process.watch.age(mono).unwrap_or_default();
        let next = step.apply(rollout, unix_ms(member.wall(self.now)));
        let puts = vec![(Key::Rollout.path(&fleet), encode(&next).unwrap())];
        self.judge.age = age;
        self.transact(at, Transaction { conditions, puts, ..Transaction::default() }).map(drop)
    }

    /// Damages a value in the store, as a hostile writer would.
    pub(crate) fn damage(&mut self, path: &str) {
        if let Some(Entry { value, lease, .. }) = self.store.entries.get(path).cloned() {
            let cut = self.rng.usize(..=value.len() / 2);
            let puts = vec![(path.to_owned(), value[..cut].to_vec())];
            self.store.transact(Transaction { puts, lease, ..Transaction::default() }).unwrap();
        }
    }
}
