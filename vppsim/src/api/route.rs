//! The lookup of routes, by which a VIP's counters are found.

use std::net::{IpAddr, Ipv4Addr};

use vppapi::messages::{FibPath, FibPathNextHop, IpRoute, IpRouteLookupV2, IpRouteLookupV2Reply, MplsLabel};
use vppapi::retval::Retval;
use vppapi::types::Prefix;

use super::{Call, Outcome, Simulator};
use crate::address::Ip46Prefix;
use crate::fib::Found;

/// VPP's code for a routing table that is not there (measured on VPP 26.10).
const NO_SUCH_FIB: Retval = Retval(-3);

/// VPP's numbers of the kinds of path that occur here.
const PATH_NORMAL: u32 = 0;
const PATH_DROP: u32 = 2;

impl Simulator {
    pub(super) fn ip_route_lookup(
        &mut self,
        _: &Call<'_>,
        message: &IpRouteLookupV2,
        _: &mut Outcome,
    ) -> Option<IpRouteLookupV2Reply> {
        let (retval, route) = match self.look_up(message) {
            Ok(found) => (Retval::OK, describe(found)),
            Err(retval) => (retval, nothing()),
        };
        Some(IpRouteLookupV2Reply { retval: retval.0, route })
    }

    fn look_up(&self, message: &IpRouteLookupV2) -> Result<Found, Retval> {
        if message.table_id != 0 {
            return Err(NO_SUCH_FIB);
        }
        let prefix = Ip46Prefix::new(message.prefix.address, message.prefix.length)
            .map_err(|_| Retval::NO_SUCH_ENTRY)?;
        let fib = self.lb.fib();
        let found = if message.exact == 0 { fib.longest(prefix) } else { fib.exact(prefix) };
        found.ok_or(Retval::NO_SUCH_ENTRY)
    }
}

fn describe(found: Found) -> IpRoute {
    let path = FibPath {
        sw_if_index: u32::MAX,
        table_id: 0,
        rpf_id: 0,
        weight: 1,
        preference: 0,
        path_type: if found.drops { PATH_DROP } else { PATH_NORMAL },
        flags: 0,
        proto: (!found.prefix.is_ipv4()).into(),
        next_hop: FibPathNextHop { address: [0; 16], via_label: 0, obj_id: 0, classify_table_index: 0 },
        label_count: 0,
        label_stack: [MplsLabel::default(); 16],
    };
    IpRoute {
        table_id: 0,
        stats_index: found.index,
        prefix: Prefix { address: found.prefix.network(), length: found.prefix.api_length() },
        source: found.source.number(),
        paths: vec![path],
    }
}

fn nothing() -> IpRoute {
    let prefix = Prefix { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };
    IpRoute { table_id: 0, stats_index: 0, prefix, source: 0, paths: Vec::new() }
}
