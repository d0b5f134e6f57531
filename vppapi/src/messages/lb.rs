//! Messages of the lb plugin, API 1.2.0 (VPP 26.10) and 1.1.0 (VPP 23.06 to 26.06).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::{Encap, Prefix, VipId};

messages! {
    /// Sets the plugin's global configuration.
    ///
    /// Changing the number of sticky buckets makes VPP forget every pinned flow.
    #[derive(Copy)]
    request LbConf = "lb_conf" "56cd3261" => LbConfReply {
        /// Source of GRE over IPv4.
        pub ip4_src_address: Ipv4Addr,
        /// Source of GRE over IPv6.
        pub ip6_src_address: Ipv6Addr,
        /// Size of each thread's table of pinned flows, a power of two.
        pub sticky_buckets_per_core: u32,
        /// Seconds without a packet after which a flow is no longer pinned.
        pub flow_timeout: u32,
    }

    /// Answers [`LbConf`].
    #[derive(Copy)]
    reply LbConfReply = "lb_conf_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Requests the plugin's global configuration.
    #[derive(Copy)]
    request LbConfGet = "lb_conf_get" "51077d14" => LbConfGetReply {}

    /// Answers [`LbConfGet`].
    #[derive(Copy)]
    reply LbConfGetReply = "lb_conf_get_reply" "923427ac" {
        /// 0 for success.
        pub retval: i32,
        /// Source of GRE over IPv4, 255.255.255.255 while not set.
        pub ip4_src_address: Ipv4Addr,
        /// Source of GRE over IPv6, all ones while not set.
        pub ip6_src_address: Ipv6Addr,
        /// Size of each thread's table of pinned flows.
        pub sticky_buckets_per_core: u32,
        /// Seconds without a packet after which a flow is no longer pinned.
        pub flow_timeout: u32,
    }

    /// Adds or removes a VIP.
    #[derive(Copy)]
    request LbAddDelVipV2 = "lb_add_del_vip_v2" "7c520e0f" => LbAddDelVipV2Reply {
        /// The VIP.
        pub vip: VipId,
        /// Encapsulation; the same for all VIPs of one prefix.
        pub encap: Encap,
        /// DSCP value of this VIP, for [`Encap::L3dsr`] only.
        pub dscp: u8,
        /// Kind of service for NAT: 0 cluster IP, 1 node port. VPP calls it `type`.
        pub srv_type: u32,
        /// Port at the servers, for NAT only.
        pub target_port: u16,
        /// Node port, for NAT only.
        pub node_port: u16,
        /// Buckets of the table for new flows, a power of two. Never send 0: VPP does not check it.
        pub new_flows_table_length: u32,
        /// Whether flows are pinned by their source address alone.
        pub src_ip_sticky: bool,
        /// Remove instead of add.
        pub is_del: bool,
    }

    /// Answers [`LbAddDelVipV2`].
    #[derive(Copy)]
    reply LbAddDelVipV2Reply = "lb_add_del_vip_v2_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Adds an application server to a VIP, or removes it.
    #[derive(Copy)]
    request LbAddDelAsV2 = "lb_add_del_as_v2" "2f1d3b0e" => LbAddDelAsV2Reply {
        /// The VIP.
        pub vip: VipId,
        /// The application server.
        pub as_address: IpAddr,
        /// Share of new flows, 0 to 100. VPP does not check it.
        pub weight: u8,
        /// Remove instead of add.
        pub is_del: bool,
        /// When removing, whether to flush pinned flows instead of leaving them.
        pub is_flush: bool,
    }

    /// Answers [`LbAddDelAsV2`].
    #[derive(Copy)]
    reply LbAddDelAsV2Reply = "lb_add_del_as_v2_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Adds an application server to a VIP, or removes it, in API 1.1.0, which has no weights.
    ///
    /// There, the length of an IPv4 prefix counts all 128 bits: a /32 is sent as 128.
    #[derive(Copy)]
    request LbAddDelAs = "lb_add_del_as" "35d72500" => LbAddDelAsReply {
        /// The VIP.
        pub vip: VipId,
        /// The application server.
        pub as_address: IpAddr,
        /// Remove instead of add.
        pub is_del: bool,
        /// When removing, whether to flush pinned flows instead of leaving them.
        pub is_flush: bool,
    }

    /// Answers [`LbAddDelAs`].
    #[derive(Copy)]
    reply LbAddDelAsReply = "lb_add_del_as_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Changes the weight of an application server.
    #[derive(Copy)]
    request LbAsSetWeight = "lb_as_set_weight" "2d89bdbd" => LbAsSetWeightReply {
        /// The VIP.
        pub vip: VipId,
        /// The application server.
        pub as_address: IpAddr,
        /// Share of new flows, 0 to 100. VPP does not check it.
        pub weight: u8,
        /// Whether to flush pinned flows instead of leaving them.
        pub is_flush: bool,
    }

    /// Answers [`LbAsSetWeight`].
    #[derive(Copy)]
    reply LbAsSetWeightReply = "lb_as_set_weight_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Flushes a VIP's pinned flows.
    #[derive(Copy)]
    request LbFlushVip = "lb_flush_vip" "1063f819" => LbFlushVipReply {
        /// The VIP.
        pub vip: VipId,
    }

    /// Answers [`LbFlushVip`].
    #[derive(Copy)]
    reply LbFlushVipReply = "lb_flush_vip_reply" "e8d4e804" {
        /// 0 for success.
        pub retval: i32,
    }

    /// Requests all VIPs. VPP 26.10 ignores all fields.
    #[derive(Copy)]
    dump LbVipDump = "lb_vip_dump" "56110cb7" => LbVipDetails {
        /// Ignored.
        pub prefix: Prefix,
        /// Ignored.
        pub prefix_matcher: PrefixMatcher,
        /// Ignored.
        pub protocol: u8,
        /// Ignored.
        pub port: u16,
    }

    /// A VIP. Removed ones are not listed.
    #[derive(Copy)]
    details LbVipDetails = "lb_vip_details" "1329ec9b" {
        /// The VIP.
        pub vip: VipId,
        /// Encapsulation.
        pub encap: Encap,
        /// DSCP value of this VIP, for [`Encap::L3dsr`] only.
        pub dscp: u8,
        /// Kind of service for NAT.
        pub srv_type: u32,
        /// Port at the servers, for NAT only.
        pub target_port: u16,
        /// Buckets of the table for new flows. VPP truncates it to 16 bits, so 65536 is reported as 0.
        pub flow_table_length: u16,
    }

    /// Requests application servers.
    ///
    /// VPP 26.10 always returns nothing for an IPv4 prefix. The [`Default`] requests all servers of all VIPs,
    /// which works.
    #[derive(Copy)]
    dump LbAsV2Dump = "lb_as_v2_dump" "1063f819" => LbAsV2Details {
        /// The VIP, or all zeros for every one.
        pub vip: VipId,
    }

    /// An application server of a VIP, or the remains of a removed one.
    #[derive(Copy)]
    details LbAsV2Details = "lb_as_v2_details" "90064aae" {
        /// The VIP.
        pub vip: VipId,
        /// The application server.
        pub as_address: IpAddr,
        /// 1 for a server in use, 0 for a removed one that VPP has not reclaimed yet.
        pub flags: u8,
        /// Start of its use, in seconds of VPP's own clock.
        pub in_use_since: u32,
        /// Share of new flows.
        pub weight: u8,
        /// Its buckets in the table for new flows.
        pub num_buckets: u32,
    }

    /// Requests application servers, in API 1.1.0. All zeros for the servers of all VIPs.
    #[derive(Copy)]
    dump LbAsDump = "lb_as_dump" "1063f819" => LbAsDetails {
        /// The VIP, or all zeros for every one.
        pub vip: VipId,
    }

    /// An application server of a VIP, or the remains of a removed one, in API 1.1.0.
    #[derive(Copy)]
    details LbAsDetails = "lb_as_details" "8d24c29e" {
        /// The VIP. Its protocol is always 0.
        pub vip: VipId,
        /// The application server.
        pub as_address: IpAddr,
        /// 1 for a server in use, 0 for a removed one that VPP has not reclaimed yet.
        pub flags: u8,
        /// Start of its use, in seconds of VPP's own clock.
        pub in_use_since: u32,
    }
}

impl LbAsV2Details {
    /// Whether the server is in use rather than removed.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.flags & 1 != 0
    }
}

wire_struct! {
    /// Bounds on a prefix length.
    #[derive(Copy, Default)]
    pub struct PrefixMatcher {
        /// Maximum length.
        pub le: u8,
        /// Minimum length.
        pub ge: u8,
    }
}

const EVERY_VIP: VipId =
    VipId { prefix: Prefix { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 }, protocol: 0, port: 0 };

impl Default for LbVipDump {
    fn default() -> Self {
        let VipId { prefix, protocol, port } = EVERY_VIP;
        Self { prefix, prefix_matcher: PrefixMatcher::default(), protocol, port }
    }
}

impl Default for LbAsV2Dump {
    fn default() -> Self {
        Self { vip: EVERY_VIP }
    }
}

impl Default for LbAsDump {
    fn default() -> Self {
        Self { vip: EVERY_VIP }
    }
}

impl LbAddDelVipV2 {
    /// Adds a VIP with GRE encapsulation; the fields for NAT and direct return are 0.
    #[must_use]
    pub fn gre(vip: VipId, encap: Encap, new_flows_table_length: u32) -> Self {
        Self {
            vip,
            encap,
            dscp: 0,
            srv_type: 0,
            target_port: 0,
            node_port: 0,
            new_flows_table_length,
            src_ip_sticky: false,
            is_del: false,
        }
    }
}
