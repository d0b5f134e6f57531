//! Routes in a table of the kernel, which the agent adds and removes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_engine::core::WantedRoutes;
use maglev_engine::routes::Announcement;
use maglev_protocol::{HostRoute, HostRoutes, RoutesSpec};

use super::{Router, RouterError, Synced};
use crate::agent::LinkedAgent;

/// The kernel's routes, through one connection to the agent.
#[derive(Debug)]
pub(crate) struct KernelTables(pub(super) LinkedAgent);

impl Router for KernelTables {
    async fn sync(&mut self, wanted: &WantedRoutes) -> Result<Synced, RouterError> {
        let routes =
            wanted.routes.iter().map(|(address, wanted)| (*address, wanted.map(host_route))).collect();
        let answer = self.0.host_routes(RoutesSpec { routes, remove_others: wanted.others }).await?;
        let HostRoutes { table, routes, changed, refused } = answer;
        let has: BTreeMap<IpAddr, _> =
            wanted.routes.keys().map(|address| (*address, announcement(routes.get(address)))).collect();
        let version = format!("kernel table {table}, through the agent");
        Ok(Synced { version, routes: has, missing: Vec::new(), refused, changed })
    }

    async fn closed(&mut self) -> RouterError {
        self.0.gone().await.into()
    }
}

fn host_route(announcement: Announcement) -> HostRoute {
    match announcement {
        Announcement::Withdrawn => HostRoute::Absent,
        Announcement::Deprioritised => HostRoute::Gshut,
        Announcement::Announced => HostRoute::Present,
    }
}

fn announcement(route: Option<&HostRoute>) -> Announcement {
    match route {
        None | Some(HostRoute::Absent) => Announcement::Withdrawn,
        Some(HostRoute::Gshut) => Announcement::Deprioritised,
        Some(HostRoute::Present) => Announcement::Announced,
    }
}
