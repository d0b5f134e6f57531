//! Machines on one switch: network namespaces on a bridge, which can be cut from each other.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::bird::{ip, ip_in};

/// The namespaces, which end with this.
#[derive(Debug)]
pub struct Switch {
    /// That of the bridge.
    bridge: String,
    machines: Vec<(String, Ipv4Addr)>,
}

impl Switch {
    /// Makes so many machines; fails without the right to.
    pub fn make(tag: &Path, count: u8) -> anyhow::Result<Self> {
        let tag = format!("faults-{}", tag.file_name().unwrap_or_default().to_string_lossy());
        let machine = |number| (format!("{tag}-{number}"), Ipv4Addr::new(192, 0, 2, number));
        let machines = (1..=count).map(machine).collect();
        let switch = Self { bridge: format!("{tag}-switch"), machines };
        ip(&["netns", "add", &switch.bridge])?;
        ip_in(&switch.bridge, "link add br0 type bridge")?;
        ip_in(&switch.bridge, "link set br0 up")?;
        for (number, (name, address)) in switch.machines.iter().enumerate() {
            ip(&["netns", "add", name])?;
            let port = format!("port{number}");
            let link = format!("link add {port} type veth peer name eth0 netns {name}");
            ip_in(&switch.bridge, &link)?;
            ip_in(&switch.bridge, &format!("link set {port} master br0 up"))?;
            ip_in(name, &format!("addr add {address}/24 dev eth0"))?;
            ip_in(name, "link set eth0 up")?;
            ip_in(name, "link set lo up")?;
        }
        Ok(switch)
    }

    /// Names and addresses of the machines' namespaces.
    pub fn machines(&self) -> &[(String, Ipv4Addr)] {
        &self.machines
    }

    /// Lets nothing through between two machines.
    pub fn cut(&self, one: usize, other: usize) -> anyhow::Result<()> {
        self.route("add", one, other)
    }

    /// Undoes that.
    pub fn join(&self, one: usize, other: usize) -> anyhow::Result<()> {
        self.route("del", one, other)
    }

    fn route(&self, change: &str, one: usize, other: usize) -> anyhow::Result<()> {
        for [here, there] in [[one, other], [other, one]] {
            let (name, address) = (&self.machines[here].0, self.machines[there].1);
            ip_in(name, &format!("route {change} blackhole {address}/32"))?;
        }
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for name in self.machines.iter().map(|(name, _)| name).chain([&self.bridge]) {
            // What is left ends with the machine.
            drop(ip(&["netns", "del", name]));
        }
    }
}
