//! The tables of all members, as an answer.

use std::collections::{BTreeMap, BTreeSet};

use maglev_engine::fleet::records::Digest;
use maglev_proto::{FleetTable, FleetTableDifference, FleetTables};
use maglev_protocol::VipKey;
use tonic::Status;

use crate::fleet::{TableDifference, TableStatus};
use crate::grpc::Service;

impl Service {
    /// The tables of all VIPs, or of those of a frontend or an address.
    pub(in crate::grpc) fn fleet_tables(&self, only: &str) -> Result<FleetTables, Status> {
        let status = self.fleet()?.tables();
        let snapshot = self.snapshot();
        let frontends: BTreeMap<VipKey, &str> =
            snapshot.frontends.iter().map(|(name, view)| (view.spec.key, &**name)).collect();
        let frontend = |vip: &VipKey| frontends.get(vip).copied().unwrap_or_default();
        let is_wanted = |vip: &VipKey| {
            only.is_empty()
                || frontend(vip) == only
                || vip.to_string() == only
                || vip.prefix.address.to_string() == only
        };
        let rows = status.vips.iter().filter(|(vip, _)| is_wanted(vip));
        let tables: Vec<_> = rows.map(|(vip, row)| table(vip, frontend(vip), row)).collect();
        if tables.is_empty() && !only.is_empty() {
            return Err(Status::not_found(format!("no frontend and no VIP `{only}`")));
        }
        let names = |names: BTreeSet<_>| names.iter().map(ToString::to_string).collect();
        Ok(FleetTables { members: names(status.members), unknown: names(status.unknown), tables })
    }
}

fn table(vip: &VipKey, frontend: &str, row: &TableStatus) -> FleetTable {
    let (length, servers, digest) = figures(row.own.as_ref());
    FleetTable {
        vip: vip.to_string(),
        frontend: frontend.to_owned(),
        length,
        servers,
        digest,
        equal: u32::try_from(row.equal).unwrap_or(u32::MAX),
        differences: row.differences.iter().map(difference).collect(),
    }
}

fn difference(difference: &TableDifference) -> FleetTableDifference {
    let (length, servers, digest) = figures(difference.digest.as_ref());
    FleetTableDifference {
        member: difference.member.to_string(),
        reason: difference.reason.to_string(),
        lasting: difference.is_lasting,
        length,
        servers,
        digest,
    }
}

/// Length, servers and hash of what VPP has.
fn figures(digest: Option<&Digest>) -> (u32, u32, String) {
    let hash = |digest: &Digest| format!("{:016x}", digest.programmed);
    digest.map_or((0, 0, String::new()), |digest| (digest.length, digest.servers, hash(digest)))
}
