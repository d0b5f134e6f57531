//! A small model of VPP's lb plugin of either dialect: what it accepts, refuses and remembers, as measured on
//! VPP 26.10 and 26.06. Checks every message against the rules that must hold between any two messages.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maglev_protocol::{Dialect, Encap, Prefix, VipKey, VipSpec};
use vppapi::messages::LbAddDelAs;
use vppapi::retval::Retval;

use crate::apply::{Answer, Lost, Plugin};
use crate::cli_text::{Text, TextServer, TextVip};
use crate::dialect::{self, in_out};
use crate::mirror::{Mirror, MirrorVip};
use crate::policy::Policy;
use crate::read::{Dumps, ServerRow, VipRow};
use crate::step::{Step, Write};

#[derive(Debug, Clone)]
struct Vip {
    index: u32,
    key: VipKey,
    encap: Encap,
    src_ip_sticky: bool,
    table_length: u32,
    used: bool,
    servers: Vec<Server>,
}

#[derive(Debug, Clone)]
struct Server {
    address: IpAddr,
    weight: u8,
    used: bool,
    /// Whether flows are pinned to it. Traffic never stops: a server that takes new flows gets some at once.
    flows: bool,
}

/// A fault that hits the n-th write from now.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// VPP refuses it for no reason.
    Refuse(i32),
    /// VPP carries it out, but the connection breaks before the answer.
    Break,
    /// A foreign write comes first.
    Foreign(Write),
}

/// The rules that must hold during a sync.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// VIPs that must keep serving, and are not re-created.
    serving: BTreeSet<VipKey>,
    /// Servers that are wanted and already exist.
    staying: BTreeSet<(VipKey, IpAddr)>,
    /// VIPs that no write may touch.
    untouched: BTreeSet<VipKey>,
}

impl Rules {
    /// The rules for a sync from one state to another.
    pub(crate) fn new(wanted: &[VipSpec], keep: &BTreeSet<VipKey>, actual: &Mirror) -> Self {
        let mut rules = Self { untouched: keep.clone(), ..Self::default() };
        for spec in wanted {
            let Some(vip) = actual.get(&spec.key) else { continue };
            if (vip.encap, vip.src_ip_sticky) != (spec.encap, Some(spec.src_ip_sticky)) {
                continue;
            }
            if spec.servers.values().any(|server| server.weight > 0) {
                rules.serving.insert(spec.key);
            }
            let both = spec.servers.keys().filter(|server| vip.servers.contains_key(server));
            rules.staying.extend(both.map(|server| (spec.key, *server)));
        }
        rules
    }
}

impl Rules {
    /// Exempts a VIP that may be re-created on request.
    pub(crate) fn but_for(mut self, vip: &VipKey) -> Self {
        self.forget(vip);
        self
    }

    /// Exempts a VIP about which nothing is known any more.
    fn forget(&mut self, vip: &VipKey) {
        self.serving.remove(vip);
        self.staying.retain(|(key, _)| key != vip);
    }
}

#[derive(Debug, Default)]
struct State {
    dialect: Dialect,
    vips: Vec<Vip>,
    /// The policy that no write may violate, if there is one.
    policy: Option<Arc<Policy>>,
    /// VIPs with foreign writes since their last read. An agent that does not know of those cannot keep the
    /// rules for them.
    tainted: BTreeSet<VipKey>,
    rules: Rules,
    faults: BTreeMap<usize, Fault>,
    writes: Vec<Write>,
    reads: usize,
    texts: usize,
    /// Number of removed servers of removed VIPs.
    left_over: usize,
    /// Broken rules, as text.
    violations: Vec<String>,
    /// Writes that changed nothing.
    pointless: Vec<Write>,
    broken: bool,
    /// How long VPP takes to answer a ping.
    silent: Duration,
}

/// The plugin.
#[derive(Debug, Default)]
pub(crate) struct Model(Mutex<State>);

impl Model {
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self(Mutex::new(State { dialect, ..State::default() }))
    }

    /// What the plugin really has.
    pub(crate) fn actual(&self) -> Mirror {
        self.0.lock().unwrap().actual()
    }

    /// A foreign write, neither counted nor checked.
    pub(crate) fn foreign(&self, write: Write) -> Result<(), i32> {
        let mut state = self.0.lock().unwrap();
        state.tainted.insert(write.vip);
        state.carry_out(&write)
    }

    /// Makes VPP remember so many removed servers.
    pub(crate) fn leave_over(&self, servers: usize) {
        self.0.lock().unwrap().left_over = servers;
    }

    /// Checks every write against a policy as well.
    pub(crate) fn watch(&self, policy: Arc<Policy>) {
        self.0.lock().unwrap().policy = Some(policy);
    }

    /// Sets the rules and faults for the next writes, and forgets the previous ones.
    pub(crate) fn expect(&self, rules: Rules, faults: BTreeMap<usize, Fault>) {
        let mut state = self.0.lock().unwrap();
        (state.rules, state.faults) = (rules, faults);
        (state.reads, state.texts, state.broken) = (0, 0, false);
        state.writes.clear();
        state.pointless.clear();
    }

    /// Makes VPP take this long to answer a ping.
    pub(crate) fn fall_silent(&self, silent: Duration) {
        self.0.lock().unwrap().silent = silent;
    }

    pub(crate) fn writes(&self) -> Vec<Write> {
        self.0.lock().unwrap().writes.clone()
    }

    /// Number of reads of the dumps and of the text.
    pub(crate) fn reads(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.reads, state.texts)
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.0.lock().unwrap().violations.clone()
    }

    pub(crate) fn pointless(&self) -> Vec<Write> {
        self.0.lock().unwrap().pointless.clone()
    }
}

impl State {
    fn actual(&self) -> Mirror {
        let used = self.vips.iter().filter(|vip| vip.used);
        Mirror::new(
            used.map(|vip| {
                // A ghost with flows counts where removal is the way out.
                let counts = |server: &&Server| server.used || self.is_in_out() && server.flows;
                let servers = vip.servers.iter().filter(counts);
                let mirrored = MirrorVip {
                    index: Some(vip.index),
                    encap: vip.encap,
                    src_ip_sticky: Some(vip.src_ip_sticky),
                    table_length: vip.table_length,
                    servers: servers.clone().map(|server| (server.address, server.weight)).collect(),
                    drained: servers
                        .filter(|server| server.weight == 0 && !server.flows)
                        .map(|server| server.address)
                        .collect(),
                };
                (vip.key, mirrored)
            })
            .collect(),
        )
    }

    fn is_in_out(&self) -> bool {
        self.dialect == Dialect::InOut
    }

    fn carry_out(&mut self, write: &Write) -> Result<(), i32> {
        match in_out::request(write) {
            Some(in_out::Request::Server(request)) if self.is_in_out() => self.in_or_out(write, request)?,
            None if self.is_in_out() => {}
            _ => self.do_step(write)?,
        }
        for vip in self.vips.iter_mut().filter(|vip| vip.used && vip.key == write.vip) {
            for server in vip.servers.iter_mut().filter(|server| server.used && server.weight > 0) {
                server.flows = true;
            }
        }
        Ok(())
    }

    fn in_or_out(&mut self, write: &Write, request: LbAddDelAs) -> Result<(), i32> {
        let vip = self.vips.iter_mut().find(|vip| vip.used && vip.key == write.vip).ok_or(-6)?;
        let LbAddDelAs { as_address: address, is_del, is_flush, .. } = request;
        match (vip.servers.iter_mut().find(|known| known.address == address), is_del) {
            (Some(known), true) => {
                (known.used, known.weight) = (false, 0);
                known.flows &= !is_flush;
            }
            (None, true) => return Err(-6),
            (Some(known), false) if known.used => return Err(-81),
            (Some(ghost), false) => (ghost.used, ghost.weight) = (true, 1),
            (None, false) if Encap::gre_to(address) != vip.encap => return Err(-97),
            (None, false) => vip.servers.push(Server { address, weight: 1, used: true, flows: false }),
        }
        Ok(())
    }

    fn do_step(&mut self, write: &Write) -> Result<(), i32> {
        let used = |vip: &&mut Vip| vip.used && vip.key == write.vip;
        match write.step {
            Step::AddVip { encap, src_ip_sticky, table_length } => {
                let mut neighbours =
                    self.vips.iter().filter(|vip| vip.used && vip.key.prefix == write.vip.prefix);
                let all_ports = write.vip.is_all_ports();
                if neighbours.clone().any(|vip| vip.key == write.vip || vip.key.is_all_ports() != all_ports) {
                    return Err(-81);
                }
                if neighbours.any(|vip| vip.encap != encap) {
                    return Err(-73);
                }
                let index = u32::try_from(self.vips.len()).unwrap() + 1;
                let (key, used, servers) = (write.vip, true, Vec::new());
                self.vips.push(Vip { index, key, encap, src_ip_sticky, table_length, used, servers });
            }
            Step::RemoveVip { .. } => {
                let vip = self.vips.iter_mut().find(used).ok_or(-6)?;
                vip.used = false;
                vip.servers.iter_mut().for_each(|server| server.used = false);
            }
            Step::AddServer { server, weight, flush } => {
                let vip = self.vips.iter_mut().find(used).ok_or(-6)?;
                match vip.servers.iter_mut().find(|known| known.address == server) {
                    Some(known) if known.used => return Err(-81),
                    Some(ghost) => {
                        (ghost.used, ghost.weight) = (true, weight);
                        ghost.flows &= !flush;
                    }
                    None if Encap::gre_to(server) != vip.encap => return Err(-97),
                    None => vip.servers.push(Server { address: server, weight, used: true, flows: false }),
                }
            }
            Step::Reweight { server, to: weight, flush, .. } => {
                let vip = self.vips.iter_mut().find(used).ok_or(-6)?;
                let known = vip.servers.iter_mut().find(|known| known.address == server && known.used);
                let known = known.ok_or(-6)?;
                known.weight = weight;
                known.flows &= !flush;
            }
            Step::Flush { server, weight } => {
                let vip = self.vips.iter_mut().find(used).ok_or(-6)?;
                let known = vip.servers.iter_mut().find(|known| known.address == server && known.used);
                let known = known.ok_or(-6)?;
                (known.weight, known.flows) = (weight, false);
            }
            Step::FlushVip => match self.vips.iter_mut().find(used) {
                Some(vip) => vip.servers.iter_mut().for_each(|server| server.flows = false),
                // Between two messages, the agent cannot know what a foreign write has just removed.
                None if self.tainted.contains(&write.vip) => {}
                None => self.violations.push(format!("flushed VIP {}, which VPP does not have", write.vip)),
            },
            Step::RemoveServer { server, .. } => {
                let vip = self.vips.iter_mut().find(used).ok_or(-6)?;
                let known = vip.servers.iter_mut().find(|known| known.address == server).ok_or(-6)?;
                (known.used, known.flows) = (false, false);
            }
        }
        Ok(())
    }

    fn answer(&mut self, write: &Write) -> Answer {
        let lost = || Answer::Lost(Lost { reason: "the connection broke".to_owned() });
        if self.broken {
            return lost();
        }
        if self.is_in_out() && in_out::request(write).is_none() {
            return Answer::Unneeded;
        }
        let number = self.writes.len();
        self.writes.push(*write);
        let fault = self.faults.remove(&number);
        if let Some(Fault::Refuse(code)) = fault {
            return refused(code);
        }
        if let Some(Fault::Foreign(foreign)) = &fault {
            // It need not succeed, and what it breaks does not count.
            self.carry_out(foreign).ok();
            self.tainted.insert(foreign.vip);
            self.rules.forget(&foreign.vip);
        }
        let before = self.actual();
        let result = self.carry_out(write);
        self.judge(write, &before);
        if matches!(fault, Some(Fault::Break)) {
            self.broken = true;
            return lost();
        }
        dialect::answer(self.dialect, write, Retval(result.err().unwrap_or(0)))
    }

    fn judge(&mut self, write: &Write, before: &Mirror) {
        let after = self.actual();
        let known = !self.tainted.contains(&write.vip);
        let serves = |mirror: &Mirror| mirror.get(&write.vip).is_some_and(MirrorVip::serves);
        if known && self.rules.serving.contains(&write.vip) && serves(before) && !serves(&after) {
            self.violations.push(format!("{write:?} left the VIP without a serving server"));
        }
        let gone = matches!(write.step, Step::RemoveServer { server, .. }
            if self.rules.staying.contains(&(write.vip, server)));
        if known && gone {
            self.violations.push(format!("{write:?} removed a server that is wanted"));
        }
        if self.rules.untouched.contains(&write.vip) {
            self.violations.push(format!("{write:?} touched a VIP that is to be kept"));
        }
        if let Some(policy) = &self.policy {
            let (from, to) = write.step.weights();
            let strange = write.step.server().filter(|server| !policy.allows_server(*server));
            if !policy.allows_vip(&write.vip.prefix)
                || strange.is_some() && to.unwrap_or(0) > from.unwrap_or(0)
            {
                self.violations.push(format!("{write:?} is not allowed"));
            }
        }
        let proof = matches!(write.step, Step::Reweight { from, to, .. } if from == to);
        if before == &after && !proof && !matches!(write.step, Step::Flush { .. } | Step::FlushVip) {
            self.pointless.push(*write);
        }
    }
}

fn refused(code: i32) -> Answer {
    Answer::Refused { code, meaning: format!("error {code}"), about_state: matches!(code, -6 | -73 | -81) }
}

impl Plugin for Model {
    fn dialect(&self) -> Dialect {
        self.0.lock().unwrap().dialect
    }

    async fn size(&self) -> Result<(usize, usize), Lost> {
        let mut state = self.0.lock().unwrap();
        state.reads += 1;
        state.tainted.clear();
        let servers = state.vips.iter().map(|vip| vip.servers.len()).sum::<usize>();
        Ok((state.vips.len(), servers + state.left_over))
    }

    async fn write(&self, writes: &[Write]) -> Vec<Answer> {
        let mut state = self.0.lock().unwrap();
        writes.iter().map(|write| state.answer(write)).collect()
    }

    async fn prove_alive(&self) -> Result<Duration, Lost> {
        let state = self.0.lock().unwrap();
        match state.broken {
            true => Err(Lost { reason: "the connection broke".to_owned() }),
            false => Ok(state.silent),
        }
    }

    async fn dumps(&self) -> Result<Dumps, Lost> {
        let mut state = self.0.lock().unwrap();
        state.reads += 1;
        state.tainted.clear();
        let used = state.vips.iter().filter(|vip| vip.used);
        let vips = used.map(|vip| VipRow { key: vip.key, encap: vip.encap, table_length: vip.table_length });
        let servers = state.vips.iter().flat_map(|vip| {
            vip.servers.iter().map(|server| ServerRow {
                vip: vip.key,
                address: server.address,
                used: server.used,
                weight: server.weight,
                buckets: 0,
            })
        });
        let gone = VipKey::port([198, 51, 100, 1].into(), 6, 80);
        let left_over = (0..state.left_over).map(|_| ServerRow {
            vip: gone,
            address: [10, 9, 9, 9].into(),
            used: false,
            weight: 1,
            buckets: 0,
        });
        Ok(Dumps { vips: vips.collect(), servers: servers.chain(left_over).collect(), ..Dumps::default() })
    }

    async fn text(&self) -> Result<Text, Lost> {
        let mut state = self.0.lock().unwrap();
        state.texts += 1;
        let texts = state.vips.iter().map(|vip| TextVip {
            key: vip.key,
            index: vip.index,
            encap: Some(vip.encap),
            table_length: Some(vip.table_length),
            src_ip_sticky: vip.src_ip_sticky,
            removed: !vip.used,
            servers: vip
                .servers
                .iter()
                .map(|server| TextServer {
                    address: server.address,
                    weight: server.weight,
                    buckets: 0,
                    flows: u64::from(server.flows),
                    route: None,
                    removed: !server.used,
                })
                .collect(),
        });
        Ok(Text { vips: texts.collect(), unread: Vec::new() })
    }

    async fn routes(&self, prefixes: &[Prefix]) -> Result<Vec<Option<u32>>, Lost> {
        Ok(vec![None; prefixes.len()])
    }
}
