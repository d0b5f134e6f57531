//! Members of a fleet as whole processes, on a real etcd.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, bail};
use maglev_protocol::VipKey;
use serde_json::Value;

use crate::etcd::Etcd;
use crate::stack::{BACKENDS, Stack};
use crate::switch::Switch;
use crate::{guard, maglevc, wait};

/// Names of the members.
pub const NAMES: [&str; 3] = ["lb1", "lb2", "lb3"];

/// Members with one set of web servers, and etcd, whose processes are the first member's.
#[derive(Debug)]
pub struct Fleet {
    /// The members, in the order of [`NAMES`].
    pub members: Vec<Stack>,
    /// Their etcd.
    pub etcd: Etcd,
}

/// A VIP in VPP: the table length, and by server the weight and the buckets.
pub type Table = (u32, BTreeMap<IpAddr, (u8, u32)>);

impl Fleet {
    /// Everything but etcd and the brains. `None` without etcd.
    pub fn prepare(nodes: usize) -> anyhow::Result<Option<Self>> {
        let members: Vec<_> = NAMES.iter().map(|_| Stack::empty()).collect::<anyhow::Result<_>>()?;
        let first = members.first().context("no members")?;
        let Some(etcd) = Etcd::find(first)? else { return Ok(None) };
        let mut fleet = Self { members, etcd: etcd.with_nodes(nodes)? };
        for (name, ..) in BACKENDS {
            fleet.members[0].start_backend(name)?;
        }
        fleet.configure()?;
        Ok(Some(fleet))
    }

    /// The same on a switch: etcd's nodes on its first machines, then the members, each with web servers of its own.
    pub fn prepare_on(switch: &Switch, nodes: usize) -> anyhow::Result<Option<Self>> {
        let mut members: Vec<_> = NAMES.iter().map(|_| Stack::empty()).collect::<anyhow::Result<_>>()?;
        let Some(etcd) = Etcd::find(&members[0])? else { return Ok(None) };
        let (own, others) = switch.machines().split_at(nodes);
        for (member, (namespace, _)) in members.iter_mut().zip(others) {
            member.enter(namespace);
        }
        let mut fleet = Self { members, etcd: etcd.inside(own)? };
        for member in 0..NAMES.len() {
            for (name, ..) in BACKENDS {
                fleet.start_backend(member, name)?;
            }
        }
        fleet.configure()?;
        Ok(Some(fleet))
    }

    /// Starts a member's own web server.
    pub fn start_backend(&mut self, member: usize, name: &str) -> anyhow::Result<()> {
        let address = self.members[0].backend(name).with_context(|| format!("no backend {name}"))?;
        let member = &mut self.members[member];
        let mut command = member.command("demo-backend")?;
        command.arg("--listen").arg(address.to_string()).args(["--name", name]);
        member.spawn(name, command)
    }

    fn configure(&mut self) -> anyhow::Result<()> {
        let configuration = std::fs::read_to_string(self.members[0].config())?;
        // On a loaded machine, no backend is to fail by itself.
        let configuration = configuration.replace("timeout: 400ms", "timeout: 3s");
        for (number, member) in self.members.iter_mut().enumerate() {
            member.configure(&configuration)?;
            member.start_vppsim()?;
            member.start_agent()?;
            let mut endpoints = self.etcd.endpoints();
            let first = number % endpoints.len();
            endpoints.rotate_left(first);
            let name = NAMES.get(number).context("no name")?;
            member.join_fleet(&format!(
                "fleet:\n  name: edge\n  member: {name}\n  etcd: {{ endpoints: {endpoints:?}, timeout: 2s }}\n"
            ))?;
        }
        Ok(())
    }

    /// Starts etcd and the brains, and waits until the members know each other.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        self.etcd.start(&mut self.members[0]).await?;
        for member in &mut self.members {
            member.start_brain()?;
        }
        for member in &self.members {
            member.wait_synced().await?;
        }
        self.wait_until_well().await
    }

    /// Waits until all members see all of them connected, and programmed.
    pub async fn wait_until_well(&self) -> anyhow::Result<()> {
        self.wait_for("all members to see each other", |status| {
            status["connected"] == true
                && status["members"]
                    .as_array()
                    .is_some_and(|members| members.len() == NAMES.len() && members.iter().all(is_well))
        })
        .await
    }

    /// The JSON output of a command on a member.
    pub async fn json(&self, member: usize, words: &[&str]) -> anyhow::Result<Value> {
        maglevc::json(&self.members[member].brain_socket(), words).await
    }

    /// Output and exit code of a command on a member.
    pub async fn run(&self, member: usize, words: &[&str]) -> anyhow::Result<(String, Option<i32>)> {
        maglevc::outcome(&self.members[member].brain_socket(), words).await
    }

    /// Waits until every member sees the fleet like this.
    pub async fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        for member in 0..self.members.len() {
            self.wait_for_one(member, what, &is_so).await?;
        }
        Ok(())
    }

    /// Waits until a member sees the fleet like this.
    pub async fn wait_for_one(
        &self,
        member: usize,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let look = || async {
            let status = self.json(member, &["fleet", "status"]).await?;
            if is_so(&status) { Ok(Some(())) } else { bail!("{} sees {status:#}", NAMES[member]) }
        };
        wait::until(what, look).await.map_err(|error| self.members[member].explain(&error))
    }

    /// Waits until VPP of every member sends new flows to exactly these backends.
    pub async fn wait_serving(&self, backends: &[&str]) -> anyhow::Result<()> {
        for member in &self.members {
            member.wait_serving(backends).await?;
        }
        Ok(())
    }

    /// The tables of a member's VPP, whatever its brain says.
    pub async fn tables(&self, member: usize) -> anyhow::Result<BTreeMap<VipKey, Table>> {
        let agent = guard::connect(&self.members[member].agent_socket()).await?;
        let state = agent.lb_state(tarpc::context::current()).await??;
        let table = |vip: maglev_protocol::VipState| {
            let servers = vip.servers.iter().map(|server| (server.address, (server.weight, server.buckets)));
            (vip.key, (vip.new_flows_table_length, servers.collect()))
        };
        Ok(state.vips.into_iter().map(table).collect())
    }

    /// Waits until the members' VPPs have the same tables, and returns them.
    pub async fn wait_for_equal_tables(&self) -> anyhow::Result<BTreeMap<VipKey, Table>> {
        let look = || async {
            let first = self.tables(0).await?;
            for (member, name) in NAMES.iter().enumerate().skip(1) {
                let other = self.tables(member).await?;
                anyhow::ensure!(first == other, "lb1 has {first:?}, and {name} has {other:?}");
            }
            Ok(Some(first))
        };
        wait::until("equal tables", look).await
    }

    /// The overrides of a member: what each is about, and its value.
    pub async fn overrides(&self, member: usize) -> anyhow::Result<BTreeMap<String, String>> {
        let shown = self.members[member].show(&["overrides"]).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| match &row["operator_weight"] {
            Value::Null => (text(&row["backend"]), text(&row["operator_state"])),
            weight => (format!("weight of {}", text(&row["backend"])), weight.to_string()),
        };
        Ok(shown["overrides"].as_array().context("no overrides")?.iter().map(row).collect())
    }

    /// Number of times that a member has read everything from etcd.
    pub fn reads(&self, member: usize) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.members[member].log("brain"))?;
        Ok(log.lines().filter(|line| line.contains("the fleet is followed")).count())
    }
}

/// True if a member is connected, with everything programmed.
pub fn is_well(member: &Value) -> bool {
    member["connected"] == true && member["vpp_connected"] == true && member["not_programmed"].is_null()
}
