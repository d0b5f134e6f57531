//! Route lookup, which returns the index of a route's counters.

use crate::types::Prefix;
use crate::wire::{DecodeError, Reader, Wire, Writer};

messages! {
    /// Looks a route up in a routing table.
    #[derive(Copy)]
    request IpRouteLookupV2 = "ip_route_lookup_v2" "710d6471" => IpRouteLookupV2Reply {
        /// The routing table, 0 for the default one.
        pub table_id: u32,
        /// 1 for exactly this prefix, 0 for the best match.
        pub exact: u8,
        /// The prefix to look up.
        pub prefix: Prefix,
    }

    /// Answers [`IpRouteLookupV2`].
    reply IpRouteLookupV2Reply = "ip_route_lookup_v2_reply" "84cc9e03" {
        /// 0 for success.
        pub retval: i32,
        /// The route found.
        pub route: IpRoute,
    }
}

/// A route of VPP's forwarding table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRoute {
    /// The routing table.
    pub table_id: u32,
    /// The route's index in the stats segment's `/net/route/to` and `/net/route/via`.
    pub stats_index: u32,
    /// The route's prefix.
    pub prefix: Prefix,
    /// Origin of the route, as VPP's number.
    pub source: u8,
    /// Next hops; at most 255.
    pub paths: Vec<FibPath>,
}

/// The number of paths is one byte, before the source. Paths beyond 255 are dropped when encoding.
impl Wire for IpRoute {
    fn encode(&self, writer: &mut Writer) {
        let path_count = u8::try_from(self.paths.len()).unwrap_or(u8::MAX);
        self.table_id.encode(writer);
        self.stats_index.encode(writer);
        self.prefix.encode(writer);
        path_count.encode(writer);
        self.source.encode(writer);
        for path in self.paths.iter().take(path_count.into()) {
            path.encode(writer);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table_id = reader.field("table_id")?;
        let stats_index = reader.field("stats_index")?;
        let prefix = reader.field("prefix")?;
        let path_count = reader.field::<u8>("n_paths")?;
        let source = reader.field("src")?;
        let paths = (0..path_count).map(|_| reader.field("paths")).collect::<Result<_, _>>()?;
        Ok(Self { table_id, stats_index, prefix, source, paths })
    }
}

wire_struct! {
    /// One path of a route. Its enumerations are kept as VPP's numbers.
    #[derive(Copy)]
    pub struct FibPath {
        /// The interface, `u32::MAX` for none.
        pub sw_if_index: u32,
        /// The table in which the next hop is looked up.
        pub table_id: u32,
        /// The id for reverse-path checks.
        pub rpf_id: u32,
        /// Weight relative to other paths.
        pub weight: u8,
        /// Preference; the lowest wins.
        pub preference: u8,
        /// Kind of path.
        pub path_type: u32,
        /// Flags of the path.
        pub flags: u32,
        /// Protocol of the next hop.
        pub proto: u32,
        /// The next hop.
        pub next_hop: FibPathNextHop,
        /// Number of labels in use.
        pub label_count: u8,
        /// MPLS labels to push.
        pub label_stack: [MplsLabel; 16],
    }
}

wire_struct! {
    /// The next hop of a path.
    #[derive(Copy)]
    pub struct FibPathNextHop {
        /// The address, whose family is the path's `proto`; IPv4 uses the first four bytes.
        pub address: [u8; 16],
        /// MPLS label to resolve the path by.
        pub via_label: u32,
        /// Object to resolve the path by.
        pub obj_id: u32,
        /// The classifier table.
        pub classify_table_index: u32,
    }
}

wire_struct! {
    /// An MPLS label.
    #[derive(Copy, Default)]
    pub struct MplsLabel {
        /// Whether TTL and class are copied (uniform mode) or set (pipe mode).
        pub is_uniform: u8,
        /// The label.
        pub label: u32,
        /// Time to live.
        pub ttl: u8,
        /// Traffic class.
        pub exp: u8,
    }
}
