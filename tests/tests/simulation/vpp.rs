//! The VPP of a simulation: vppsim's model of the lb plugin, alive, hung or dead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use maglev_dpagent::apply::Answer;
use maglev_dpagent::cli_text;
use maglev_dpagent::dialect::{self, in_out};
use maglev_dpagent::read::{Dumps, ServerRow, VipRow};
use maglev_dpagent::step::{Step, Write};
use maglev_protocol::{Dialect, Encap, LbConf, Prefix, VipKey};
use vppapi::retval::Retval;
use vppapi::types;
use vppsim::address::Ip46Prefix;
use vppsim::lb::{self, Conf, Lb, NewVip, Refusal, Vip};

use crate::judge::{self, Judged, Scope};

/// State of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// It accepts requests but does nothing.
    Hung,
    Dead,
}

#[derive(Debug)]
pub(crate) struct Vpp {
    pub(crate) lb: Lb,
    pub(crate) dialect: Dialect,
    pub(crate) life: Life,
    pub(crate) pid: u32,
    pub(crate) started: Duration,
    /// Start of its current uninterrupted run.
    pub(crate) running_since: Duration,
    /// When it last hung.
    pub(crate) hung_at: Duration,
    /// When it starts forwarding: a restarted VPP opens its API before its interfaces are up.
    pub(crate) forwards_from: Duration,
    clients: u16,
    /// Servers of weight 0 that were flushed since they had another one, by VIP.
    flushed: BTreeMap<VipKey, BTreeSet<IpAddr>>,
    /// Requests of connections that were closed before it read them.
    pub(crate) backlog: VecDeque<(Option<Rc<Scope>>, Write)>,
    /// VIPs with foreign writes since the agent's last read.
    pub(crate) tainted: BTreeSet<VipKey>,
    /// VIPs with foreign writes at any time in this run.
    pub(crate) handmade: BTreeSet<VipKey>,
    /// VIPs with a refusal for no reason since the agent's last read.
    pub(crate) balked: BTreeSet<VipKey>,
    /// Number of writes.
    pub(crate) writes: u64,
    pub(crate) settings: u64,
    pub(crate) violation: Option<String>,
}

/// A VIP as the plugin has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actual {
    pub(crate) encap: Encap,
    pub(crate) src_ip_sticky: bool,
    pub(crate) table_length: u32,
    pub(crate) weights: BTreeMap<IpAddr, u8>,
}

impl Actual {
    /// As a VPP without weights has it, if this is one.
    pub(crate) fn in_service(mut self, dialect: Dialect) -> Self {
        self.weights.retain(|_, weight| dialect.has_weights() || *weight > 0);
        self
    }
}

impl Vpp {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let mut lb = Lb::default();
        lb.set_weights(dialect.has_weights());
        Self {
            lb,
            dialect,
            life: Life::Running,
            pid: 1,
            started: Duration::ZERO,
            running_since: Duration::ZERO,
            hung_at: Duration::ZERO,
            forwards_from: Duration::ZERO,
            clients: 0,
            flushed: BTreeMap::new(),
            backlog: VecDeque::new(),
            tainted: BTreeSet::new(),
            handmade: BTreeSet::new(),
            balked: BTreeSet::new(),
            writes: 0,
            settings: 0,
            violation: None,
        }
    }

    /// Starts again, as the same release or another.
    pub(crate) fn start(&mut self, dialect: Dialect, now: Duration, interfaces_after: Duration) {
        self.lb.restart();
        self.lb.set_weights(dialect.has_weights());
        self.dialect = dialect;
        self.pid += 1;
        self.life = Life::Running;
        (self.started, self.running_since) = (now, now);
        self.forwards_from = now + interfaces_after;
        self.backlog.clear();
        self.flushed.clear();
        self.tainted.clear();
        self.handmade.clear();
        self.balked.clear();
    }

    /// Processes requests left over from closed connections.
    pub(crate) fn work_off(&mut self, now: Duration) {
        while let Some((scope, write)) = self.backlog.pop_front() {
            self.write(scope.as_deref(), &write, now);
        }
    }

    /// Carries out a request of the agent, and checks it.
    pub(crate) fn write(&mut self, scope: Option<&Scope>, write: &Write, now: Duration) -> Answer {
        if dialect::request(self.dialect, write).is_none() {
            return Answer::Unneeded;
        }
        self.writes += 1;
        let before = self.actual(&write.vip);
        let pinned = self.pinned(&write.vip);
        let flushed = self.flushed.get(&write.vip).cloned().unwrap_or_default();
        let result = self.carry_out(write, now);
        let after = self.actual(&write.vip);
        let retval = |refusal: &Refusal| refusal.retval().unwrap_or(Retval::UNSPECIFIED);
        let retval = result.as_ref().err().map_or(Retval::OK, retval);
        let answer = dialect::answer(self.dialect, write, retval);
        let judged = Judged {
            dialect: self.dialect,
            write,
            before: before.as_ref(),
            pinned: &pinned,
            flushed: &flushed,
            after: after.as_ref(),
            tainted: self.tainted.contains(&write.vip),
            handmade: self.handmade.contains(&write.vip),
            accepted: answer == Answer::Accepted,
            balks: self.balked.contains(&write.vip),
            hindered: result.is_err() && self.is_hindered(write),
        };
        if let Err(violation) = judge::judge(scope, &judged) {
            self.violation.get_or_insert(violation);
        }
        if result.is_ok() {
            self.note_flush(write);
        }
        self.traffic(&write.vip, now);
        answer
    }

    fn is_hindered(&self, write: &Write) -> bool {
        let Step::AddVip { encap: wanted, .. } = write.step else { return false };
        let others = self
            .lb
            .vips()
            .map(|(_, vip)| (key(vip), vip))
            .filter(|(key, vip)| vip.used && key.prefix == write.vip.prefix && *key != write.vip);
        others
            .into_iter()
            .any(|(key, vip)| encap(vip) != wanted || key.is_all_ports() != write.vip.is_all_ports())
    }

    /// Refuses a request of the agent for no reason.
    pub(crate) fn balk(&mut self, write: &Write, about_state: bool) -> Answer {
        if dialect::request(self.dialect, write).is_none() {
            return Answer::Unneeded;
        }
        self.balked.insert(write.vip);
        Answer::Refused { code: -1, meaning: "no reason".to_owned(), about_state }
    }

    /// A foreign write.
    pub(crate) fn foreign(&mut self, write: &Write, now: Duration) {
        self.tainted.insert(write.vip);
        self.handmade.insert(write.vip);
        // It need not succeed.
        self.carry_out(write, now).ok();
        self.flushed.remove(&write.vip);
        self.traffic(&write.vip, now);
    }

    fn note_flush(&mut self, write: &Write) {
        let weights = self.actual(&write.vip).map(|vip| vip.weights).unwrap_or_default();
        let flushed = self.flushed.entry(write.vip).or_default();
        match write.step {
            Step::FlushVip => flushed.extend(weights.keys().copied()),
            step => flushed.extend(step.server().filter(|_| step.flushes())),
        }
        flushed.retain(|server| weights.get(server) == Some(&0));
    }

    /// New clients open flows and keep them.
    fn traffic(&mut self, vip: &VipKey, now: Duration) {
        let uptime = now - self.started;
        for _ in 0..4 {
            let Some(index) = self.lb.find(&vpp_key(vip)) else { return };
            self.clients = self.clients.wrapping_add(1).max(1);
            let (client, service) = if vip.prefix.address.is_ipv4() {
                ([192, 0, 2, 7].into(), vip.prefix.address)
            } else {
                (std::net::Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7).into(), vip.prefix.address)
            };
            let client = SocketAddr::new(client, self.clients);
            // Without a server there is no flow.
            self.lb.open_flow(index, client, SocketAddr::new(service, vip.port), 100, uptime).ok();
        }
    }

    /// Servers of a VIP that flows are pinned to.
    pub(crate) fn pinned(&self, vip: &VipKey) -> BTreeSet<IpAddr> {
        let Some(vip) = self.lb.find(&vpp_key(vip)).and_then(|index| self.lb.vip(index)) else {
            return BTreeSet::new();
        };
        let servers = self.lb.servers_of(vip);
        let counts = |server: &lb::Server| server.used || !self.dialect.has_weights();
        let servers = servers.filter(|(index, server)| counts(server) && self.lb.pinned_to(*index) > 0);
        servers.map(|(_, server)| server.address.into()).collect()
    }

    fn carry_out(&mut self, write: &Write, now: Duration) -> Result<(), Refusal> {
        let uptime = now - self.started;
        let key = vpp_key(&write.vip);
        if self.dialect == Dialect::InOut {
            match in_out::request(write) {
                None => return Ok(()),
                Some(in_out::Request::Server(request)) => {
                    let address = request.as_address.into();
                    return match request.is_del {
                        true => self.lb.remove_server(&key, address, request.is_flush, uptime),
                        false => self.lb.add_server(&key, address, 1, false, uptime),
                    };
                }
                Some(in_out::Request::Vip(_) | in_out::Request::FlushVip(_)) => {}
            }
        }
        match write.step {
            Step::AddVip { encap, src_ip_sticky, table_length } => {
                let encap = vpp_encap(encap);
                let new = NewVip {
                    key,
                    encap,
                    dscp: 0,
                    service_type: 0,
                    target_port: 0,
                    table_length,
                    src_ip_sticky,
                };
                self.lb.add_vip(&new, uptime).map(drop)
            }
            Step::RemoveVip { .. } => self.lb.remove_vip(&key, uptime),
            Step::AddServer { server, weight, flush } => {
                self.lb.add_server(&key, server.into(), weight, flush, uptime)
            }
            Step::FlushVip => {
                if self.lb.find(&key).is_none() && !self.tainted.contains(&write.vip) {
                    self.violation.get_or_insert(format!("VIP {} is flushed, and is not there", write.vip));
                }
                self.lb.flush_vip(&key);
                Ok(())
            }
            Step::RemoveServer { server, .. } => self.lb.remove_server(&key, server.into(), true, uptime),
            Step::Reweight { server, to, flush, .. } => self.lb.set_weight(&key, server.into(), to, flush),
            Step::Flush { server, weight } => self.lb.set_weight(&key, server.into(), weight, true),
        }
    }

    pub(crate) fn set_conf(&mut self, conf: &LbConf) {
        self.settings += 1;
        let wanted = Conf {
            ip4_source: conf.ip4_src_address,
            ip6_source: conf.ip6_src_address,
            sticky_buckets: conf.sticky_buckets_per_core,
            flow_timeout: conf.flow_timeout,
        };
        if *self.lb.conf() == wanted {
            self.violation.get_or_insert(format!("lb_conf was set to what it is: {wanted:?}"));
        }
        if let Err(refusal) = self.lb.set_conf(wanted) {
            self.violation.get_or_insert(format!("VPP refused {wanted:?}: {refusal}"));
        }
    }

    pub(crate) fn conf(&self) -> LbConf {
        let conf = self.lb.conf();
        LbConf {
            ip4_src_address: conf.ip4_source,
            ip6_src_address: conf.ip6_source,
            sticky_buckets_per_core: conf.sticky_buckets,
            flow_timeout: conf.flow_timeout,
        }
    }

    /// The first of the two dumps. From here on the agent knows the foreign writes.
    pub(crate) fn dump_vips(&mut self) -> Vec<VipRow> {
        self.tainted.clear();
        self.balked.clear();
        let used = self.lb.vips().map(|(_, vip)| vip).filter(|vip| vip.used);
        let row = |vip: &Vip| VipRow { key: key(vip), encap: encap(vip), table_length: vip.table_length() };
        used.map(row).collect()
    }

    /// The second dump.
    pub(crate) fn dump_servers(&self) -> Vec<ServerRow> {
        let mut rows = Vec::new();
        for (_, vip) in self.lb.vips() {
            let vip_key = key(vip);
            rows.extend(self.lb.servers_of(vip).map(|(_, server)| ServerRow {
                vip: vip_key,
                address: server.address.into(),
                used: server.used,
                weight: server.weight,
                // Not used by the simulation.
                buckets: 0,
            }));
        }
        rows
    }

    pub(crate) fn dumps(&self, vips: Vec<VipRow>) -> Dumps {
        Dumps { vips, servers: self.dump_servers(), ..Dumps::default() }
    }

    /// Number of VIPs and servers. From here on the agent knows the foreign writes, if it reads the text only.
    pub(crate) fn size(&mut self) -> (usize, usize) {
        self.tainted.clear();
        self.balked.clear();
        (self.lb.vips().count(), self.lb.server_count())
    }

    pub(crate) fn text(&self) -> cli_text::Text {
        cli_text::parse(&vppsim::text::vips_verbose(&self.lb))
    }

    /// One VIP in use.
    pub(crate) fn actual(&self, vip: &VipKey) -> Option<Actual> {
        let index = self.lb.find(&vpp_key(vip))?;
        self.lb.vip(index).map(|vip| self.actual_of(vip))
    }

    /// All VIPs in use. Without weights, only with the servers that are in.
    pub(crate) fn all(&self) -> BTreeMap<VipKey, Actual> {
        let used = self.lb.vips().map(|(_, vip)| vip).filter(|vip| vip.used);
        used.map(|vip| (key(vip), self.actual_of(vip).in_service(self.dialect))).collect()
    }

    /// The owner of each bucket.
    pub(crate) fn buckets(&self, vip: &VipKey) -> Vec<Option<IpAddr>> {
        let Some(vip) = self.lb.find(&vpp_key(vip)).and_then(|index| self.lb.vip(index)) else {
            return Vec::new();
        };
        let servers: BTreeMap<u32, IpAddr> =
            self.lb.servers_of(vip).map(|(index, server)| (index, server.address.into())).collect();
        vip.table.iter().map(|index| servers.get(index).copied()).collect()
    }

    fn actual_of(&self, vip: &Vip) -> Actual {
        // Without weights, a ghost counts while flows are pinned to it.
        let ghost = |index| !self.dialect.has_weights() && self.lb.pinned_to(index) > 0;
        let counted = self.lb.servers_of(vip).filter(|(index, server)| server.used || ghost(*index));
        let weight = |server: &lb::Server| if server.used { server.weight } else { 0 };
        Actual {
            encap: encap(vip),
            src_ip_sticky: vip.src_ip_sticky,
            table_length: vip.table_length(),
            weights: counted.map(|(_, server)| (server.address.into(), weight(server))).collect(),
        }
    }
}

fn vpp_key(key: &VipKey) -> lb::VipKey {
    let Prefix { address, length } = key.prefix;
    let prefix = Ip46Prefix::new(address, length).expect("VIPs have valid prefixes");
    lb::VipKey::new(prefix, key.protocol, key.port)
}

fn key(vip: &Vip) -> VipKey {
    let prefix = Prefix { address: vip.key.prefix.network(), length: vip.key.prefix.api_length() };
    VipKey { prefix, protocol: vip.key.protocol, port: vip.key.port }
}

fn vpp_encap(encap: Encap) -> types::Encap {
    match encap {
        Encap::Gre4 => types::Encap::Gre4,
        Encap::Gre6 => types::Encap::Gre6,
        Encap::L3dsr => types::Encap::L3dsr,
        Encap::Nat4 => types::Encap::Nat4,
        Encap::Nat6 => types::Encap::Nat6,
    }
}

fn encap(vip: &Vip) -> Encap {
    if vip.kind.servers_are_ipv4() { Encap::Gre4 } else { Encap::Gre6 }
}
