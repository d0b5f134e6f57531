//! VIPs: made, removed, configured.

use vppapi::types::Encap;

use super::{Conf, Counters, Effect, Lb, MAX_TABLE_LENGTH, Refusal, Uptime, VipKey, seconds};
use crate::pool::Pool;
use maglev_table::buckets::NO_SERVER;

/// The family of a VIP together with its encap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VipKind {
    /// IPv6 VIP, GRE to IPv6 servers.
    Ip6Gre6,
    /// IPv6 VIP, GRE to IPv4 servers.
    Ip6Gre4,
    /// IPv4 VIP, GRE to IPv6 servers.
    Ip4Gre6,
    /// IPv4 VIP, GRE to IPv4 servers.
    Ip4Gre4,
    /// IPv4 VIP, direct return.
    Ip4L3dsr,
    /// IPv4 VIP, NAT.
    Ip4Nat4,
    /// IPv6 VIP, NAT.
    Ip6Nat6,
}

impl VipKind {
    /// VPP's interpretation of a request. An encap that the family lacks becomes [`VipKind::Ip6Gre6`], which
    /// is then refused for an IPv4 VIP and accepted for an IPv6 one (read in VPP's source).
    pub fn of(vip_is_ipv4: bool, encap: Encap) -> Self {
        match (vip_is_ipv4, encap) {
            (true, Encap::Gre4) => Self::Ip4Gre4,
            (true, Encap::Gre6) => Self::Ip4Gre6,
            (true, Encap::L3dsr) => Self::Ip4L3dsr,
            (true, Encap::Nat4) => Self::Ip4Nat4,
            (false, Encap::Gre4) => Self::Ip6Gre4,
            (false, Encap::Nat6) => Self::Ip6Nat6,
            _ => Self::Ip6Gre6,
        }
    }

    /// Bytes that the tunnel adds to a packet: an IP header and one of GRE.
    pub fn header_length(self) -> u64 {
        match self {
            Self::Ip6Gre6 | Self::Ip4Gre6 => 44,
            Self::Ip6Gre4 | Self::Ip4Gre4 => 24,
            Self::Ip4L3dsr | Self::Ip4Nat4 | Self::Ip6Nat6 => 0,
        }
    }

    /// The name in the CLI text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip6Gre6 => "ip6-gre6",
            Self::Ip6Gre4 => "ip6-gre4",
            Self::Ip4Gre6 => "ip4-gre6",
            Self::Ip4Gre4 => "ip4-gre4",
            Self::Ip4L3dsr => "ip4-l3dsr",
            Self::Ip4Nat4 => "ip4-nat4",
            Self::Ip6Nat6 => "ip6-nat6",
        }
    }

    /// The encap as the API has it.
    pub fn encap(self) -> Encap {
        match self {
            Self::Ip4Gre4 | Self::Ip6Gre4 => Encap::Gre4,
            Self::Ip4Gre6 | Self::Ip6Gre6 => Encap::Gre6,
            Self::Ip4L3dsr => Encap::L3dsr,
            Self::Ip4Nat4 => Encap::Nat4,
            Self::Ip6Nat6 => Encap::Nat6,
        }
    }

    /// Whether the VIP itself is of IPv4.
    pub fn vip_is_ipv4(self) -> bool {
        matches!(self, Self::Ip4Gre4 | Self::Ip4Gre6 | Self::Ip4L3dsr | Self::Ip4Nat4)
    }

    /// Whether its servers are of IPv4.
    pub fn servers_are_ipv4(self) -> bool {
        matches!(self, Self::Ip4Gre4 | Self::Ip6Gre4 | Self::Ip4L3dsr | Self::Ip4Nat4)
    }
}

/// A VIP to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewVip {
    /// The VIP.
    pub key: VipKey,
    /// How packets go on.
    pub encap: Encap,
    /// For [`Encap::L3dsr`].
    pub dscp: u8,
    /// For NAT: 0 cluster IP, 1 node port.
    pub service_type: u8,
    /// For NAT.
    pub target_port: u16,
    /// Buckets, a power of two above 0.
    pub table_length: u32,
    /// Whether the client's address alone decides.
    pub src_ip_sticky: bool,
}

/// A VIP as the plugin has it.
#[derive(Debug)]
pub struct Vip {
    /// The VIP.
    pub key: VipKey,
    /// Family and encap.
    pub kind: VipKind,
    /// The DSCP, or the type of service for NAT: VPP keeps both in one place.
    pub encap_argument: u8,
    /// For NAT.
    pub target_port: u16,
    /// Whether the client's address alone decides.
    pub src_ip_sticky: bool,
    /// Not removed.
    pub used: bool,
    /// The server of each bucket, [`NO_SERVER`] for none.
    pub table: Vec<u32>,
    /// Number of times the table was built, including the first.
    pub rebuilds: u64,
    pub(super) servers: Pool<u32>,
    pub(super) last_collection: u32,
}

impl Vip {
    /// Number of buckets.
    pub fn table_length(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    /// VPP accepts such a VIP, but not its servers (measured on VPP 26.10).
    pub(super) fn is_nat_of_all_ports(&self) -> bool {
        self.key.port == 0 && matches!(self.kind, VipKind::Ip4Nat4 | VipKind::Ip6Nat6)
    }

    /// How many servers it has, removed ones too.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }
}

impl Lb {
    /// Sets the configuration. `u32::MAX` leaves a number as it is (read in VPP's source).
    ///
    /// With another number of sticky buckets, each thread forgets its pinned flows at its next packet.
    ///
    /// # Errors
    /// [`Refusal::BadLength`], but not for 0, which VPP takes.
    pub fn set_conf(&mut self, wanted: Conf) -> Result<(), Refusal> {
        let keep = |value: u32, current: u32| if value == u32::MAX { current } else { value };
        let conf = Conf {
            sticky_buckets: keep(wanted.sticky_buckets, self.conf.sticky_buckets),
            flow_timeout: keep(wanted.flow_timeout, self.conf.flow_timeout),
            ..wanted
        };
        if conf.sticky_buckets != 0 && !conf.sticky_buckets.is_power_of_two() {
            return Err(Refusal::BadLength(conf.sticky_buckets));
        }
        self.conf = conf;
        Ok(())
    }

    /// Makes a VIP and tells its index.
    ///
    /// # Errors
    /// Every [`Refusal`] but [`Refusal::NoSuchEntry`].
    pub fn add_vip(&mut self, new: &NewVip, now: Uptime) -> Result<u32, Refusal> {
        let kind = VipKind::of(new.key.prefix.is_ipv4(), new.encap);
        self.check_new(new, kind)?;
        let index = self.vips.insert(Vip {
            key: new.key,
            kind,
            encap_argument: match kind {
                VipKind::Ip4L3dsr => new.dscp & 0x3f,
                VipKind::Ip4Nat4 | VipKind::Ip6Nat6 => new.service_type,
                _ => 0,
            },
            target_port: if matches!(kind, VipKind::Ip4Nat4 | VipKind::Ip6Nat6) {
                new.target_port
            } else {
                0
            },
            src_ip_sticky: new.src_ip_sticky,
            used: true,
            table: vec![NO_SERVER; new.table_length as usize],
            rebuilds: 0,
            servers: Pool::starting_at(0),
            last_collection: seconds(now),
        });
        self.rebuild(index);
        let place = index as usize;
        if self.counters.len() <= place {
            self.counters.resize(place + 1, Counters::default());
        }
        if let Some(counters) = self.counters.get_mut(place) {
            *counters = Counters::default();
        }
        self.fib.add_vip(new.key.prefix);
        self.effects.push(Effect::VipAdded(index));
        Ok(index)
    }

    /// Removes a VIP with all its servers, without a flush and with one rebuild of its table if it has servers. Its flows end
    /// because its packets no longer reach the plugin.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`].
    pub fn remove_vip(&mut self, key: &VipKey, now: Uptime) -> Result<(), Refusal> {
        let index = self.find(key).ok_or(Refusal::NoSuchEntry)?;
        let vip = self.vips.get_mut(index).ok_or(Refusal::NoSuchEntry)?;
        vip.used = false;
        let servers: Vec<_> = vip.servers.iter().map(|(_, server)| *server).collect();
        if !servers.is_empty() {
            self.collect_servers(index, now);
            for server in servers {
                self.mark_removed(server, now);
            }
            self.rebuild(index);
        }
        let prefix = key.prefix;
        if !self.vips.iter().any(|(_, vip)| vip.used && vip.key.prefix == prefix) {
            self.fib.remove_vip(prefix);
        }
        self.effects.push(Effect::VipRemoved(index));
        self.end_flows(|_, flow| flow.vip == index);
        Ok(())
    }

    /// VPP's checks in VPP's order, which decides the code for a request with two mistakes.
    fn check_new(&self, new: &NewVip, kind: VipKind) -> Result<(), Refusal> {
        let same_prefix = || {
            self.vips.iter().map(|(_, vip)| vip).filter(|vip| vip.used && vip.key.prefix == new.key.prefix)
        };
        let per_port = new.key.port != 0;
        if same_prefix().any(|vip| vip.key == new.key || per_port != (vip.key.port != 0)) {
            return Err(Refusal::Exists);
        }
        if same_prefix().any(|vip| vip.kind != kind) {
            return Err(Refusal::OtherEncap);
        }
        let length = new.table_length;
        if length != 0 && !length.is_power_of_two() {
            return Err(Refusal::BadLength(length));
        }
        if kind.vip_is_ipv4() != new.key.prefix.is_ipv4() {
            return Err(Refusal::WrongFamily);
        }
        if length == 0 || length > MAX_TABLE_LENGTH {
            return Err(Refusal::Deadly(format!(
                "new_flows_table_length is {length}, for which it would allocate {} bytes",
                4 * (u64::from(length.wrapping_sub(1)) + 1)
            )));
        }
        Ok(())
    }
}
