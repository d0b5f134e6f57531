//! Metrics of routes, and of the router that has them.

use maglev_engine::routes::Announcement;
use maglev_engine::snapshot::Snapshot;

use super::catalogue as metrics;
use super::exposition::{Exposition, flag, number};

/// A route that is left as it is.
const UNDECIDED: &str = "undecided";

/// Without announced frontends, there are none but that of the drain.
pub(super) fn write(snapshot: &Snapshot, out: &mut Exposition) {
    out.single(metrics::DRAINED, flag(snapshot.overrides.lb.is_some()));
    if snapshot.routes.is_empty() {
        return;
    }
    let rows: Vec<_> = snapshot.routes.iter().map(|(address, view)| (address.to_string(), view)).collect();
    let [announced, deprioritised, withdrawn] = Announcement::ALL.map(Announcement::word);
    let states = [announced, deprioritised, withdrawn, UNDECIDED];
    out.family(metrics::ROUTE_STATE, |family| {
        for (address, view) in &rows {
            let is = view.route.announcement.map_or(UNDECIDED, Announcement::word);
            family.add_state(&[("address", address)], "state", &states, is);
        }
    });
    out.family(metrics::ROUTE_REASON, |family| {
        for (address, view) in &rows {
            family.add(&[("address", address), ("reason", view.route.reason.word())], 1.0);
        }
    });
    out.family(metrics::ROUTE_IN_ROUTER, |family| {
        for (address, view) in &rows {
            family.add(&[("address", address)], flag(view.is_done()));
        }
    });
    out.single(metrics::ROUTER_UP, flag(snapshot.router.connection.is_ok()));
    out.single(metrics::ROUTER_MISSING, number(snapshot.router.missing.len() as u64));
}
