//! A member: the product's decisions, with a model of what brain and VPP do around them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::Config;
use maglev_engine::core::{Core, FleetNews, Input, Now};
use maglev_engine::desired::ViewId;
use maglev_engine::fleet::digest::{self, Comparison, Side};
use maglev_engine::fleet::intents::{self, Memory};
use maglev_engine::fleet::records::{
    MemberState, Name, Problems, Refused, Routes, Running, Tables, clean, unix_ms,
};
use maglev_engine::fleet::rollout::{Watch, target};
use maglev_engine::fleet::withdrawal::{Withdrawal, withdrawal};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::Overrides;
use maglev_engine::votes::{Vote, Votes};
use maglev_protocol::{Dialect, Programmed, ProgrammedVip, VipSpec, VppInfo, VppState};

use super::configs;
use super::view::View;

/// The state of a watch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Watching {
    /// Everything must be read.
    No,
    /// Changes come.
    Yes,
    /// It was lost, which nobody has said.
    Lost,
}

/// What survives a restart.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) view: View,
    pub(crate) memory: Memory,
    pub(crate) overrides: Overrides,
    pub(crate) running: Option<Running>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) core: Core,
    pub(crate) view: View,
    pub(crate) memory: Memory,
    pub(crate) watching: Watching,
    /// When the store was heard of last.
    pub(crate) heard: u64,
    pub(crate) lease: Option<u64>,
    pub(crate) watch: Watch,
    pub(crate) running: Option<Running>,
    refused: Option<Refused>,
    pub(crate) problems: Problems,
    withdrawal: Withdrawal,
    /// What it wrote last of itself, under its lease.
    pub(crate) written: Option<MemberState>,
    pub(crate) published: Option<(Tables, Option<Votes>)>,
    pub(crate) comparison: Comparison,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Name,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    pub(crate) is_linked: bool,
    pub(crate) has_vpp: bool,
    pub(crate) vpp: BTreeMap<IpAddr, u8>,
    /// What it really cannot reach.
    pub(crate) sees_down: BTreeSet<IpAddr>,
    /// Error of its clock, in milliseconds.
    pub(crate) clock: u64,
}

/// Two sync intervals.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Silence after which the store is read again.
const SILENCE: u64 = 30_000;

impl Member {
    pub(crate) fn new(number: usize) -> Self {
        let disk = Disk {
            view: View::default(),
            memory: Memory::default(),
            overrides: Overrides::default(),
            running: None,
        };
        Self {
            name: Name::new(&format!("lb{number}")).unwrap(),
            disk,
            process: None,
            is_linked: true,
            has_vpp: true,
            vpp: BTreeMap::new(),
            sees_down: BTreeSet::new(),
            clock: 0,
        }
    }

    pub(crate) fn wall(&self, now: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + now + self.clock)
    }

    pub(crate) fn start(&mut self, now: u64, mono: Instant) {
        let Disk { view, memory, overrides, running } = self.disk.clone();
        let config = configs::of(running.as_ref().map(|running| running.revision), &view);
        let core = self.core(config, overrides, now, mono);
        self.process = Some(Process {
            core,
            view: view.mirrored(),
            memory,
            watching: Watching::No,
            heard: now,
            lease: None,
            watch: Watch::default(),
            running,
            refused: None,
            problems: Problems::default(),
            withdrawal: Withdrawal::Stay,
            written: None,
            published: None,
            comparison: Comparison::default(),
        });
    }

    fn core(&self, config: Arc<Config>, overrides: Overrides, now: u64, mono: Instant) -> Core {
        let now = Now { wall: self.wall(now), mono };
        let mut core = Core::new(config, overrides, "/agent".into(), now);
        let info = VppInfo { generation: 1, state: VppState::sample(1, None) };
        let programmed = Programmed { dialect: Dialect::Weighted, vips: Vec::new() };
        let event = AgentEvent::Vpp { info, programmed: Some((ViewId(1), programmed)) };
        core.handle(Input::Agent(event), now);
        core
    }

    pub(crate) fn save(&mut self) {
        let Some(process) = &self.process else { return };
        self.disk = Disk {
            view: process.view.clone(),
            memory: process.memory.clone(),
            overrides: (**process.core.overrides()).clone(),
            running: process.running.clone(),
        };
    }

    /// Takes the revision that it is to run, if it is another one. Returns it with the begin of its rollout.
    pub(crate) fn follow_rollout(&mut self, now: u64, mono: Instant) -> Option<(Option<u64>, u64)> {
        let process = self.process.as_ref()?;
        let (_, rollout) = process.view.rollout.as_ref()?;
        let target = target(rollout, &self.name);
        if process.running.as_ref().map(|running| running.revision) == target {
            return None;
        }
        let begun_ms = rollout.begun_ms;
        let has_refused = process
            .refused
            .as_ref()
            .is_some_and(|refused| Some(refused.revision) == target && refused.begun_ms == begun_ms);
        if has_refused || target.is_some_and(|number| !process.view.configs.contains_key(&number)) {
            return None;
        }
        let running = match target.map(|number| configs::check(number, &process.view, &self.name)) {
            None => None,
            Some(Ok(sha256)) => target.map(|revision| Running { revision, sha256 }),
            Some(Err(reason)) => {
                let reason = clean(&reason, 100);
                let process = self.process.as_mut()?;
                process.refused = target.map(|revision| Refused { revision, reason, begun_ms });
                return None;
            }
        };
        let overrides = (**process.core.overrides()).clone();
        let core = self.core(configs::of(target, &process.view), overrides, now, mono);
        let process = self.process.as_mut()?;
        (process.core, process.running, process.refused) = (core, running, None);
        process.problems = Problems::default();
        Some((target, begun_ms))
    }

    /// Applies one intent, if any is due; it may die before it remembers that.
    pub(crate) fn follow_intents(&mut self, now: u64, mono: Instant, which: usize, dies: bool) -> bool {
        let wall = self.wall(now);
        let Some(process) = &mut self.process else { return false };
        let Process { core, view, memory, .. } = process;
        let due = intents::changes(&view.intents, memory, core.overrides(), core.config(), wall);
        let Some(change) = due.get(which % due.len().max(1)) else { return false };
        for (command, remark) in &change.commands {
            let done = core.command_on(None, command.clone(), remark.clone(), Now { wall, mono });
            done.unwrap_or_else(|error| panic!("{}: {command}: {error}", self.name));
        }
        self.disk.overrides = (**core.overrides()).clone();
        if !dies {
            memory.note(change);
            self.disk.memory = memory.clone();
        }
        true
    }

    /// Whether nothing of the fleet's intents is left to apply.
    pub(crate) fn has_all_intents(&self, now: u64) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let Process { core, view, memory, .. } = process;
            intents::changes(&view.intents, memory, core.overrides(), core.config(), self.wall(now))
                .is_empty()
        })
    }

    /// VPP's desired state.
    pub(crate) fn desired(&self) -> Option<VipSpec> {
        let (_, frontend) = self.process.as_ref()?.core.frontends().next()?;
        Some((*frontend.spec).clone())
    }

    /// The core gets what probes find, and the votes of the others.
    pub(crate) fn sense(&mut self, now: u64, mono: Instant) {
        let now = Now { wall: self.wall(now), mono };
        let Some(process) = &mut self.process else { return };
        for (name, backend) in &Arc::clone(process.core.config()).backends {
            let code = match self.sees_down.contains(&backend.address) {
                true => ProbeCode::L4Con,
                false => ProbeCode::L4Ok,
            };
            let outcome =
                ProbeOutcome { code, detail: "simulated".into(), duration: Duration::ZERO, asked: None };
            let (backend, late) = (name.as_str().into(), Duration::ZERO);
            let report = Report { backend, check: 0, outcome, late, ended: mono };
            process.core.handle(Input::Probe(report), now);
        }
        // The keys are gone with their leases; what this member has not heard of is as old as its connection.
        let age = Duration::from_millis(if process.watching == Watching::Yes { 0 } else { SILENCE });
        let others = process.view.votes.iter().filter(|(name, _)| **name != self.name);
        let votes = others.filter_map(|(name, votes)| {
            let vote = Vote { votes: Arc::new(votes.clone()), at: mono.checked_sub(age)? };
            Some((name.as_str().into(), vote))
        });
        let withdraw = process.withdrawal == Withdrawal::Withdraw;
        let news = FleetNews { votes: votes.collect(), withdraw, ..FleetNews::default() };
        process.core.handle(Input::Fleet(news), now);
        if process.core.next_tick().is_some_and(|tick| tick <= mono) {
            process.core.handle(Input::Tick, now);
        }
    }

    /// Programs VPP, if it is there.
    pub(crate) fn program(&mut self) {
        if let Some(spec) = self.desired().filter(|_| self.has_vpp) {
            self.vpp = spec.servers.iter().map(|(address, server)| (*address, server.weight)).collect();
        }
    }

    /// Decides on its routes. Returns whether it withdraws them now, and did not before.
    pub(crate) fn decide_routes(&mut self, now: u64, mono: Instant) -> bool {
        let Some(process) = &self.process else { return false };
        let is_cut_off = process.core.snapshot(mono).fleet.cut_off.is_some();
        let states = process.view.bare_states();
        let is_connected = process.watching == Watching::Yes;
        let name = self.name.clone();
        let Some(process) = &mut self.process else { return false };
        let before = process.withdrawal;
        if is_connected {
            let decision = withdrawal(is_cut_off, &name, process.written.as_ref(), &states);
            process.withdrawal = decision.unwrap_or(before);
        } else if now.saturating_sub(process.heard) >= SILENCE {
            // Nobody knows whether others announce: it is as if it were alone.
            process.withdrawal = Withdrawal::Stay;
        }
        let withdraws = process.withdrawal == Withdrawal::Withdraw && before != Withdrawal::Withdraw;
        process.problems.withdrawn += u64::from(withdraws);
        withdraws
    }

    pub(crate) fn announces(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.withdrawal != Withdrawal::Withdraw)
    }

    /// The connection is silent: what is shown may be old.
    pub(crate) fn listen(&mut self, now: u64, mono: Instant) {
        let Some(process) = &mut self.process else { return };
        if now.saturating_sub(process.heard) >= SILENCE && process.watching != Watching::No {
            process.watching = Watching::No;
            process.watch.lose(mono);
        }
    }

    pub(crate) fn state(&self, now: u64) -> Option<MemberState> {
        let process = self.process.as_ref()?;
        let wanted = self.desired()?;
        let wanted: BTreeMap<_, _> =
            wanted.servers.iter().map(|(address, server)| (*address, server.weight)).collect();
        let not_programmed = match (self.has_vpp, wanted == self.vpp) {
            (true, true) => None,
            (true, false) => Some("not acknowledged".to_owned()),
            (false, _) => Some("VPP is disconnected".to_owned()),
        };
        let applied = self.has_all_intents(now);
        let local = intents::local_only(&process.memory, process.core.overrides()).len();
        let newest = process.view.intents.values().map(|dated| dated.revision).max().unwrap_or(0);
        Some(MemberState {
            running: process.running.clone(),
            refused: process.refused.clone(),
            intents: if applied { newest } else { 0 },
            local: u64::try_from(local).unwrap_or(u64::MAX),
            not_programmed,
            vpp: self.has_vpp,
            problems: process.problems,
            announces: self.announces(),
            routes: match process.withdrawal {
                Withdrawal::Stay => Routes::Normal,
                Withdrawal::Ask | Withdrawal::Withdraw => Routes::Withdrawing,
            },
            clock_ms: unix_ms(self.wall(now)),
            instance: 0,
        })
    }

    pub(crate) fn tables(&self, mono: Instant) -> Option<(Tables, Option<Votes>)> {
        let spec = self.desired()?;
        let vip = ProgrammedVip { key: spec.key, new_flows_table_length: 1024, servers: self.vpp.clone() };
        let programmed = Programmed { dialect: Dialect::Weighted, vips: vec![vip] };
        let votes = self.process.as_ref()?.core.snapshot(mono).votes(mono).map(|(votes, _)| votes);
        Some((digest::tables([&spec], &programmed), votes))
    }

    /// Compares its tables with those of others.
    pub(crate) fn compare(&mut self, mono: Instant) {
        let Some(process) = &mut self.process else { return };
        let View { states, tables, intents, .. } = &process.view;
        let side = |name: &Name| Some(Side { state: &states.get(name)?.1, tables: tables.get(name)? });
        let Some(own) = side(&self.name) else { return };
        let others = states.keys().filter(|name| **name != self.name);
        let others = others.filter_map(|name| Some((name.clone(), side(name)?))).collect();
        let newest = intents.values().map(|dated| dated.revision).max().unwrap_or(0);
        let found = digest::differences(&own, &others, newest);
        process.comparison.see(&found, PATIENCE, mono);
    }
}
