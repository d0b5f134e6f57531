//! Faults and operators' actions: chosen at random, at random times.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use maglev_dpagent::step::{Step, Write};
use maglev_engine::core::{BackendWish, Command, InVpp, Selector};
use maglev_engine::overrides::PoolMember;
use maglev_protocol::{Dialect, Encap, VipKey};

use crate::generate::{addresses, weight};
use crate::preview;
use crate::vpp::Life;
use crate::world::{Event, World, parsed};

/// How bad the conditions are, chosen once for each history.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Parts of all answers to the brain that are lost.
    pub(crate) lost_answers: f64,
    /// Parts of all messages that take up to two seconds.
    pub(crate) slow: f64,
    /// Parts of all probes that cannot be made.
    pub(crate) failing_probers: f64,
    /// Parts of all writes that VPP refuses for no reason.
    pub(crate) refusals: f64,
    /// Longest time between two incidents.
    pause_ms: u64,
    /// Relative frequencies.
    flaps: u32,
    commands: u32,
    reloads: u32,
    brain: u32,
    agent: u32,
    vpp: u32,
    links: u32,
    strangers: u32,
}

impl Weather {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut often = |most: u32| if rng.u8(..4) == 0 { 0 } else { rng.u32(1..=most) };
        let (flaps, commands, reloads) = (often(20) + 1, often(8), often(4));
        let (brain, agent, vpp, links, strangers) = (often(3), often(3), often(3), often(3), often(3));
        let some = |rng: &mut Rng, most: f64| if rng.bool() { 0.0 } else { rng.f64() * most };
        Self {
            lost_answers: some(rng, 0.05),
            slow: some(rng, 0.05),
            failing_probers: some(rng, 0.1),
            refusals: some(rng, 0.05),
            pause_ms: rng.u64(50..1500),
            flaps,
            commands,
            reloads,
            brain,
            agent,
            vpp,
            links,
            strangers,
        }
    }

    /// Avoids everything that only a full sync can repair.
    pub(crate) fn leave_no_drift(&mut self) {
        (self.strangers, self.refusals) = (0, 0.0);
    }

    /// No more faults, except lost answers while there still are changes.
    pub(crate) fn calm(&mut self) {
        (self.slow, self.failing_probers, self.refusals) = (0.0, 0.0, 0.0);
    }
}

impl World {
    /// Begins to disturb.
    pub(crate) fn let_chaos_reign(&mut self) {
        self.at(self.now, Event::Chaos);
    }

    pub(crate) fn chaos(&mut self) {
        if !self.stormy {
            return;
        }
        let Weather { flaps, commands, reloads, brain, agent, vpp, links, strangers, pause_ms, .. } =
            self.weather;
        let pause = Duration::from_micros(self.rng.u64(..pause_ms * 1000));
        self.at(self.now + pause, Event::Chaos);
        let weights = [flaps, commands, reloads, brain, agent, vpp, links, strangers];
        let sum: u32 = weights.iter().sum();
        let mut drawn = self.rng.u32(..sum);
        for (index, weight) in weights.into_iter().enumerate() {
            if drawn < weight {
                return self.incident(index);
            }
            drawn -= weight;
        }
    }

    fn incident(&mut self, index: usize) {
        match index {
            0 => self.flap(),
            1 => {
                // People often do several things at once.
                for _ in 0..self.rng.u8(1..4) {
                    self.operate();
                }
            }
            2 => self.reload(),
            3 => {
                if self.brain.is_some() {
                    self.count("brain killed");
                    self.note(|_| "the brain is killed".to_owned());
                    self.brain_dies();
                    let pause = self.pause();
                    self.at(self.now + pause, Event::BrainStarts);
                }
            }
            4 => {
                if self.agent.alive {
                    self.count("agent killed");
                    self.note(|_| "the agent is killed".to_owned());
                    self.agent_dies();
                    let pause = self.pause();
                    self.at(self.now + pause, Event::AgentStarts);
                }
            }
            5 => self.disturb_vpp(),
            6 => self.break_a_connection(),
            _ => self.intrude(),
        }
    }

    fn pause(&mut self) -> Duration {
        let most = if self.rng.bool() { 50 } else { 8000 };
        Duration::from_millis(self.rng.u64(..most))
    }

    /// Backends become sick or well: mostly one, sometimes many.
    pub(crate) fn flap(&mut self) {
        self.count("flaps");
        let many = self.rng.u8(..8) == 0;
        for address in addresses() {
            if self.rng.u8(..if many { 2 } else { 10 }) > 0 {
                continue;
            }
            if self.sick.remove(&address) {
                self.recovered.insert(address, self.now);
            } else {
                self.sick.insert(address);
            }
        }
    }

    fn operate(&mut self) {
        let Some(command) = self.some_command() else { return };
        let now = self.instant(self.now);
        let Some(brain) = &mut self.brain else { return };
        let before = brain.core.wanted();
        let overrides = Arc::clone(brain.core.overrides());
        let told = preview::ask(&brain.core, &command, now);
        let result = brain.core.command(command.clone(), now);
        if let Err(violation) = told.check(&brain.core, result.as_ref().err()) {
            return self.fail(format!("{command:?}: {violation}"));
        }
        match result {
            Ok((effects, done)) => {
                if done.asked.iter().any(|asked| (asked.in_vpp == InVpp::Late) != asked.demand.is_some()) {
                    return self.fail(format!("{command:?} waits for VPP and for nothing of it"));
                }
                let last_call = self.last_call;
                brain.waiting.extend(done.asked.iter().filter_map(|asked| Some((asked.demand?, last_call))));
                let config = Arc::clone(brain.core.config());
                self.note(|_| format!("{command:?}: {done:?}"));
                self.operators.commanded(&command, &done, &config);
                self.count("commands");
                self.follow(effects);
                self.check_brain();
            }
            Err(error) => {
                let changed = brain.core.wanted() != before || *brain.core.overrides() != overrides;
                self.count("refused commands");
                if changed {
                    self.fail(format!("{command:?} was refused ({error}), and changed something"));
                }
            }
        }
    }

    fn some_command(&mut self) -> Option<Command> {
        let brain = self.brain.as_ref()?;
        let config = Arc::clone(brain.core.config());
        if self.rng.bool() {
            let backend = match self.rng.u8(..8) {
                // One that is gone, or never was.
                0 => self.operators.backends.keys().next().cloned().unwrap_or_else(|| "nobody".to_owned()),
                _ => self.rng.choice(config.backends.keys().cloned().collect::<Vec<_>>())?,
            };
            let wish = self.rng.choice([
                BackendWish::Pause,
                BackendWish::Resume,
                BackendWish::Disable,
                BackendWish::Enable,
                BackendWish::Clear,
            ])?;
            // Mostly one backend; addresses are seldom shared.
            return Some(match config.backends.get(&backend) {
                Some(configured) if self.rng.u8(..8) == 0 => {
                    Command::Backends { selector: Selector::Host(configured.address), wish }
                }
                _ => Command::Backend { backend, wish },
            });
        }
        let (name, frontend) = self.rng.choice(config.frontends.iter().collect::<Vec<_>>())?;
        // A full sync heals what was forgotten, which is to show where there are few.
        if self.rng.u8(..if self.rare_syncs { 30 } else { 6 }) == 0 {
            self.count("demanded syncs");
            return Some(Command::Sync { frontend: self.rng.bool().then(|| name.clone()) });
        }
        if self.rng.u8(..5) == 0 {
            return Some(Command::Recreate { frontend: name.clone() });
        }
        let pool = self.rng.choice(frontend.pools.iter().collect::<Vec<_>>())?;
        let backend = self.rng.choice(pool.backends.keys().collect::<Vec<_>>())?;
        let member = PoolMember { frontend: name.clone(), pool: pool.name.clone(), backend: backend.clone() };
        if self.rng.u8(..4) == 0 {
            let member =
                self.rng.choice(self.operators.weights.keys().cloned().collect::<Vec<_>>()).unwrap_or(member);
            return Some(Command::ClearWeight { member });
        }
        let weight = if self.rng.u8(..20) == 0 { 101 } else { weight(&mut self.rng) };
        Some(Command::SetWeight { member, weight, flush: self.rng.bool() })
    }

    /// The file is changed, and mostly the brain is told to read it.
    fn reload(&mut self) {
        let mut draft = self.draft.clone();
        draft.change(&mut self.rng);
        let Ok(config) = parsed(&draft) else {
            // Refused whole: the controller never hears of it, and the file is soon put right.
            self.count("invalid configurations");
            return;
        };
        (self.draft, self.file) = (draft, config);
        if self.rng.u8(..10) > 0 {
            self.reload_file();
        }
    }

    pub(crate) fn reload_file(&mut self) {
        let now = self.instant(self.now);
        let Some(brain) = &mut self.brain else { return };
        self.counts.entry("reloads").and_modify(|count| *count += 1).or_insert(1);
        let before = Arc::clone(brain.core.config());
        let command = Command::Reload(Arc::clone(&self.file).into());
        let told = preview::ask(&brain.core, &command, now);
        let result = brain.core.command(command.clone(), now);
        if let Err(violation) = told.check(&brain.core, result.as_ref().err()) {
            return self.fail(format!("a reload: {violation}"));
        }
        match result {
            Ok((effects, done)) => {
                brain.reconfigured(&before);
                let config = Arc::clone(&self.file);
                self.operators.commanded(&command, &done, &config);
                if self.trace {
                    let text = self.draft.text();
                    self.note(|_| format!("reloaded:\n{text}"));
                }
                self.follow(effects);
            }
            Err(error) => self.fail(format!("a valid configuration was refused: {error}")),
        }
    }

    fn disturb_vpp(&mut self) {
        if self.vpp.life != Life::Running {
            return;
        }
        let pause = self.pause();
        if self.rng.bool() {
            self.count("VPP killed");
            self.note(|_| "VPP is killed".to_owned());
            self.vpp_dies();
            self.at(self.now + pause, Event::VppStarts);
        } else {
            self.count("VPP hung");
            self.note(|_| "VPP hangs".to_owned());
            self.vpp_hangs();
            self.at(self.now + pause, Event::VppResumes);
        }
    }

    fn vpp_dies(&mut self) {
        self.vpp.life = Life::Dead;
        if let Some(link) = self.agent.link() {
            let at = self.now + self.latency();
            self.at(at, Event::LinkClosed { link });
        }
    }

    pub(crate) fn vpp_starts(&mut self) {
        if self.vpp.life != Life::Dead {
            return;
        }
        // Nothing of the old connection reaches the new VPP.
        if let Some(link) = self.agent.link() {
            self.link_breaks(link, "the connection was closed");
        }
        let interfaces_after = Duration::from_millis(self.rng.u64(..1500));
        let dialect = match (self.vpp.dialect, self.stormy && self.rng.u8(..3) == 0) {
            (Dialect::Weighted, true) => Dialect::InOut,
            (Dialect::InOut, true) => Dialect::Weighted,
            (same, false) => same,
        };
        self.vpp.start(dialect, self.now, interfaces_after);
    }

    fn break_a_connection(&mut self) {
        self.count("connections broken");
        match (self.rng.bool(), self.agent.link(), self.open_conns.last().copied()) {
            (true, Some(link), _) => self.link_breaks(link, "the connection broke"),
            (_, _, Some(conn)) => {
                self.open_conns.remove(&conn);
                let (one, other) = (self.latency(), self.latency());
                self.at(self.now + one, Event::ConnBroken { conn });
                self.at(self.now + other, Event::ConnNoticed { conn });
            }
            _ => {}
        }
    }

    /// Somebody else writes to VPP.
    fn intrude(&mut self) {
        if self.vpp.life != Life::Running {
            return;
        }
        self.count("strangers");
        let mut vips: Vec<VipKey> = self.vpp.all().into_keys().collect();
        vips.push(VipKey::port([203, 0, 113, 1].into(), 6, 80));
        vips.push(VipKey::port([198, 51, 100, 9].into(), 6, 80));
        let Some(vip) = self.rng.choice(vips) else { return };
        let known = self.vpp.actual(&vip).map(|vip| vip.weights).unwrap_or_default();
        let server = match self.rng.choice(known.into_keys().collect::<Vec<_>>()) {
            Some(server) if self.rng.u8(..4) > 0 => server,
            _ => [10, 0, 0, self.rng.u8(1..20)].into(),
        };
        let weight = self.rng.u8(..=100);
        let table_length = 1 << self.rng.u32(5..9);
        let step = match self.rng.u8(..8) {
            0 => Step::RemoveVip { anew: None },
            1 | 2 => Step::AddVip { encap: Encap::Gre4, src_ip_sticky: self.rng.bool(), table_length },
            3 => Step::AddServer { server, weight, flush: false },
            4 => Step::RemoveServer { server, weight },
            _ => Step::Reweight { server, from: 0, to: weight, flush: self.rng.bool() },
        };
        self.note(|_| format!("a stranger: {step} of {vip}"));
        self.vpp.foreign(&Write { vip, step }, self.now);
    }

    /// Everything works again, and nobody changes anything.
    pub(crate) fn calm_down(&mut self) {
        self.stormy = false;
        self.weather.calm();
        self.note(|_| "all is calm".to_owned());
        self.at(self.now, Event::VppStarts);
        self.at(self.now, Event::VppResumes);
        self.at(self.now, Event::AgentStarts);
        self.at(self.now, Event::BrainStarts);
    }
}
