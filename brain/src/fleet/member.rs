//! This member's part in rollouts: takes the revision that it may run, and takes the rollout to its next stage.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::Blocking;
use maglev_engine::fleet::records::{
    self, Key, LONGEST_REASON, MemberState, Name, Refused, Revision, Rollout, Routes, Running, Sha256, clean,
    unix_ms,
};
use maglev_engine::fleet::rollout::{self, Decision, Step, Watch};
use maglev_engine::fleet::withdrawal::Withdrawal;
use maglev_engine::overrides::Remark;
use maglev_engine::routes::Announcement;
use maglev_engine::snapshot::Snapshot;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::counts::Counts;
use super::intents::Progress;
use super::members;
use super::news::{self, Seen};
use super::publish::Own;
use super::store::{Condition, StoreRevision, Write};
use super::view::View;
use crate::controller::{Controller, Operator};
use crate::reload::{Reloaded, Reloader, first_mistake};

/// How often the state is looked at without a change: for the soak, and problems that no snapshot tells.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(100);
/// Time limit for unpacking a configuration.
const UNPACKED_WITHIN: Duration = Duration::from_secs(10);

/// The state before anything is known.
pub(super) fn nothing() -> MemberState {
    MemberState {
        running: None,
        refused: None,
        intents: 0,
        local: 0,
        not_programmed: Some("just started".to_owned()),
        vpp: false,
        problems: records::Problems::default(),
        announces: false,
        routes: Routes::Normal,
        clock_ms: 0,
        instance: 0,
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Member {
    own: Own,
    view: watch::Receiver<Arc<View>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    progress: watch::Receiver<Progress>,
    reloader: Reloader,
    counts: Counts,
    operator: Operator,
    /// News that watchers have.
    told: Seen,
    running: Option<Running>,
    refused: Option<Refused>,
    unpacking: Blocking,
    /// Begin of the rollout in which the file was refused.
    file_refused: Option<u64>,
    /// Ages of the rollout's stage and of absences.
    watch: Watch,
    /// The revision of the store with which this member has tried to take the rollout further.
    tried: StoreRevision,
    /// The decision about the routes because this member is cut off.
    withdrawal: watch::Receiver<Withdrawal>,
}

impl Member {
    pub(super) fn new(
        own: Own,
        (view, progress, withdrawal): (
            watch::Receiver<Arc<View>>,
            watch::Receiver<Progress>,
            watch::Receiver<Withdrawal>,
        ),
        reloader: Reloader,
        controller: &Controller,
        counts: Counts,
    ) -> Self {
        let snapshots = controller.snapshots.clone();
        let told = Seen::of(&view.borrow());
        let unpacking = Blocking::new("unpacking the fleet's configuration", 1, UNPACKED_WITHIN);
        Self {
            own,
            view,
            snapshots,
            progress,
            reloader,
            counts,
            operator: controller.operator.clone(),
            told,
            running: None,
            refused: None,
            unpacking,
            file_refused: None,
            watch: Watch::default(),
            tried: 0,
            withdrawal,
        }
    }

    /// Runs forever. May be aborted at any point: what is taken is on record.
    pub(super) async fn run(mut self, state: watch::Sender<MemberState>) {
        self.running = self.running_from_before().await;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (view, snapshot) =
                (Arc::clone(&self.view.borrow_and_update()), Arc::clone(&self.snapshots.borrow_and_update()));
            news::tell(&self.operator, self.told.see(&view)).await;
            let now = self.state(&snapshot);
            state.send_if_modified(|before| {
                let is_news = *before != now;
                before.clone_from(&now);
                is_news
            });
            self.follow_rollout(&view, &snapshot).await;
            sleep(PACE).await;
            tokio::select! {
                changed = self.view.changed() => if changed.is_err() { return },
                changed = self.snapshots.changed() => if changed.is_err() { return },
                changed = self.progress.changed() => if changed.is_err() { return },
                changed = self.withdrawal.changed() => if changed.is_err() { return },
                _ = ticks.tick() => {}
            }
        }
    }

    /// What the process started with, if it is of the fleet.
    async fn running_from_before(&self) -> Option<Running> {
        let revision = self.reloader.fleet_revision()?;
        let text = self.reloader.text().await;
        Some(Running { revision, sha256: Sha256::of(&text) })
    }

    fn state(&mut self, snapshot: &Snapshot) -> MemberState {
        let Progress { applied, local, stuck } = self.progress.borrow_and_update().clone();
        let why = stuck.or_else(|| snapshot.not_ready(Instant::now().into_std()));
        let announced = |route: &maglev_engine::snapshot::RouteView| {
            route.route.announcement.is_some_and(|route| route != Announcement::Withdrawn)
        };
        MemberState {
            running: self.running.clone(),
            refused: self.refused.clone(),
            intents: applied,
            local,
            not_programmed: why.map(|why| clean(&why, LONGEST_REASON)),
            vpp: snapshot.agent.can_program(),
            problems: self.counts.read(snapshot),
            announces: snapshot.routes.values().any(|route| announced(route)),
            routes: match *self.withdrawal.borrow_and_update() {
                Withdrawal::Stay => Routes::Normal,
                Withdrawal::Ask | Withdrawal::Withdraw => Routes::Withdrawing,
            },
            clock_ms: 0,
            instance: 0,
        }
    }

    async fn follow_rollout(&mut self, view: &View, snapshot: &Snapshot) {
        let now = Instant::now().into_std();
        if !view.is_connected() {
            self.watch.lose(now);
        }
        let Some((rollout, changed)) = members::rollout(view) else { return };
        match rollout::target(&rollout, &self.own.member) {
            Some(number) => self.take(number, &rollout, view, snapshot).await,
            None if self.running.is_some() => self.take_file(&rollout, snapshot).await,
            None => {}
        }
        if !view.is_connected() {
            return;
        }
        let states = members::states(view);
        self.watch.see(Some(&rollout), &members::known(view), &states, now);
        if let Some((Decision::Step(step), _)) = self.watch.decide(&states, now)
            && self.tried != view.revision
        {
            self.write(&rollout, changed, step, view).await;
        }
    }

    async fn take(&mut self, number: u64, rollout: &Rollout, view: &View, snapshot: &Snapshot) {
        let is_running = self.running.as_ref().is_some_and(|running| running.revision == number);
        let has_refused =
            |refused: &Refused| refused.revision == number && refused.begun_ms == rollout.begun_ms;
        let is_refused = self.refused.as_ref().is_some_and(has_refused);
        if is_running || is_refused {
            return;
        }
        let key = members::relative(&Key::Config(number), &self.own.fleet);
        // Without its text, this is tried again when it comes.
        let Some(entry) = view.get(&key).cloned() else { return };
        let unpack = move || {
            let revision: Revision = records::decode(&entry.value).map_err(|error| error.to_string())?;
            Ok::<_, String>((revision.text()?, revision.sha256))
        };
        let unpacked = self.unpacking.run(unpack).await.map_err(|error| error.to_string());
        let taken = match unpacked.and_then(|unpacked| unpacked) {
            Ok((text, sha256)) => {
                let remark = Remark { who: rollout.who.as_deref().map(Into::into), ..Remark::default() };
                let taken = self.reloader.take(number, text.into_bytes().into(), remark).await;
                taken.map(|done| (done, sha256)).map_err(|error| first_mistake(&error.to_string()).to_owned())
            }
            Err(reason) => Err(reason),
        };
        match taken {
            Ok((Reloaded { done, .. }, sha256)) => {
                let changes = done.changes.unwrap_or_default();
                info!(revision = number, %changes, "took a revision of the fleet's configuration");
                self.running = Some(Running { revision: number, sha256 });
                self.refused = None;
                self.counts.reset(snapshot);
            }
            Err(reason) => {
                warn!(revision = number, %reason, "refused a revision of the fleet's configuration");
                let (reason, begun_ms) = (clean(&reason, LONGEST_REASON), rollout.begun_ms);
                self.refused = Some(Refused { revision: number, reason, begun_ms });
            }
        }
    }

    async fn take_file(&mut self, rollout: &Rollout, snapshot: &Snapshot) {
        let revision = rollout.revision;
        if self.file_refused == Some(rollout.begun_ms) {
            return;
        }
        match self.reloader.take_file(Remark::default()).await {
            Ok(_) => {
                info!(revision, "went back to the file, since the fleet has no revision to go back to");
                self.running = None;
                self.counts.reset(snapshot);
            }
            Err(error) => {
                warn!(revision, %error, "cannot go back to the file");
                self.file_refused = Some(rollout.begun_ms);
            }
        }
    }

    /// Takes the rollout further, unless another member has, or a state that this depends on has changed.
    async fn write(&mut self, before: &Rollout, changed: StoreRevision, step: Step, view: &View) {
        let state = |name: &Name| {
            let changed = view.get(&format!("members/{name}/state"))?.changed;
            Some(Condition::ChangedBy(Key::State(name.clone()).path(&self.own.fleet), changed))
        };
        let mut conditions: Vec<_> = step.unchanged.iter().filter_map(state).collect();
        let key = Key::Rollout.path(&self.own.fleet);
        conditions.push(Condition::ChangedBy(key.clone(), changed));
        let next = step.apply(before, unix_ms(SystemTime::now()));
        let value = match records::encode(&next) {
            Ok(value) => value,
            Err(error) => return warn!(%error, "the rollout cannot be written"),
        };
        match self.own.store.transact(conditions, vec![Write::Put(key, value, None)]).await {
            Ok(done) => {
                self.tried = view.revision;
                if done.is_some() {
                    info!(revision = next.revision, from = %before.stage, to = %next.stage, "the rollout goes on");
                }
            }
            // The next look tries again.
            Err(error) => warn!(%error, "the rollout cannot be written"),
        }
    }
}
