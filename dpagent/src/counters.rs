//! VPP's counters: of VIPs from the stats segment, which costs VPP nothing; of application servers from its
//! CLI text, which holds up forwarding and is therefore read no more often than configured. Traffic to servers comes from
//! the segment, too; the CLI text has the indexes of their routes.
//!
//! A VIP's counters are found by VPP's index of the VIP, its route's by the route's index. VPP is asked for
//! both indexes once, after the VIP was added.

mod epochs;
mod places;
mod sent;

use std::collections::BTreeMap;
use std::time::Duration;

use maglev_protocol::{Counters, RouteCounters, ServerFigure, ServerFigures, VipCounters, VipKey};
use tokio::time::Instant;
use vppapi::stats::{StatsError, StatsSegment, View};

use crate::cli_text::TextVip;
use crate::execute::{Failed, Settings};
use crate::mirror::Mirror;
use crate::sync::{SyncError, Syncer};
use epochs::{Epochs, Kind};
pub use places::Place;
use places::Places;
use sent::Sent;

/// Maximum age of a VIP's counters in an answer.
pub const FRESH: Duration = Duration::from_secs(1);
/// Default for the age at which servers' counters are read again. A change of VPP makes them outdated at
/// once.
pub const SERVERS_AGE: Duration = Duration::from_secs(15);

/// Names of a VIP's simple counters, in the order of [`VipCounters`].
const NAMES: [&str; 4] =
    ["packet from existing sessions", "first session packet", "untracked packet", "no server configured"];
/// Name of the counter of packets and bytes sent to a prefix.
const ROUTES: &str = "/net/route/to";
/// Name of the counter of packets and bytes that other forwarding objects, such as the lb plugin, hand to a
/// route. Packets that VPP looks up are not counted in it.
const VIA_ROUTES: &str = "/net/route/via";

/// Counters read over one connection to VPP.
#[derive(Debug)]
pub struct Counting {
    servers_age: Duration,
    places: Places,
    epochs: Epochs,
    vips: Option<(Instant, Vec<VipCounters>)>,
    servers: Option<(Instant, Vec<ServerFigure>)>,
    sent: Sent,
    /// After this time VPP forgets an idle flow, if VPP says so.
    flow_timeout: Option<Duration>,
    /// [`Syncer::changes`] when the servers' counters were read.
    changes: u64,
}

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// VPP could not be asked for the indexes.
    #[error(transparent)]
    Vpp(#[from] SyncError),
    /// The segment could not be read.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

impl Counting {
    /// Nothing counted yet, for the VPP with this process id and start time.
    pub fn new(pid: u32, boot_time: Option<u64>, servers_age: Duration) -> Self {
        Self {
            servers_age,
            places: Places::default(),
            epochs: Epochs::new(pid, boot_time),
            vips: None,
            servers: None,
            sent: Sent::default(),
            flow_timeout: None,
            changes: 0,
        }
    }

    /// Returns the counters of all VIPs and, if asked for, of their servers. Reads VPP's CLI text only if
    /// `may_read` allows it; otherwise the servers' counters are those of the last read, and VIPs with a
    /// still unknown index are left out.
    ///
    /// # Errors
    /// When VPP cannot be asked, or the segment cannot be read.
    pub async fn counters<P: Settings>(
        &mut self,
        syncer: &mut Syncer<P>,
        segment: &StatsSegment,
        with_servers: bool,
        may_read: impl Fn() -> bool,
    ) -> Result<Counters, CountersError> {
        // Counters from before a change are wrong, and whoever looks right after a change wants to see its
        // effect.
        let serves = |read: &Instant| syncer.changes() == self.changes && read.elapsed() < self.servers_age;
        let served = self.servers.as_ref().is_some_and(|(read, _)| serves(read));
        if with_servers && !served && may_read() {
            self.changes = syncer.changes();
            let text = syncer.learn().await?.vips;
            self.servers = Some((Instant::now(), figures(&text)));
            self.sent.keep(&text);
            self.flow_timeout = match syncer.plugin().conf().await {
                Ok(conf) => Some(conf.flow_timeout).filter(|timeout| *timeout > 0),
                Err(Failed::Refused(_)) => None,
                Err(Failed::Lost(lost)) => return Err(SyncError::from(lost).into()),
            }
            .map(|timeout| Duration::from_secs(timeout.into()));
            // A drained server is empty only if this was read after the change that drained it.
            self.vips = None;
        }
        if self.vips.as_ref().is_none_or(|(read, _)| read.elapsed() >= FRESH) {
            if syncer.must_learn() && may_read() {
                syncer.learn().await?;
            }
            let missing = self.places.missing(syncer.mirror());
            if !missing.is_empty() {
                let found = syncer.plugin().routes(&missing).await.map_err(SyncError::from)?;
                self.places.learn(syncer.mirror(), missing.into_iter().zip(found));
            }
            let places = self.places.of(syncer.mirror());
            let routes = self.sent.routes();
            let (read, sent) =
                segment.read(|view| Ok((read(view, &places)?, sums_of(view, VIA_ROUTES, &routes)?))).await?;
            self.sent.count(sent, Instant::now());
            let vips = places.iter().zip(read).map(|(place, sums)| self.counted(place, sums)).collect();
            self.epochs.keep(places.iter().flat_map(|place| {
                [Some((Kind::Vip, place.index)), place.route.map(|route| (Kind::Route, route))]
            }));
            self.vips = Some((Instant::now(), vips));
        }
        let (age, vips) = aged(self.vips.as_ref()).unwrap_or_default();
        let servers =
            with_servers.then(|| aged(self.servers.as_ref())).flatten().map(|(age, mut servers)| {
                let timeout = self.flow_timeout;
                for server in &mut servers {
                    if timeout.is_some_and(|timeout| self.sent.is_idle(server.address, timeout)) {
                        server.flows = 0;
                    }
                }
                ServerFigures { age, servers }
            });
        let sent = self.sent.traffic();
        Ok(Counters { age, vips, sent, servers })
    }

    fn counted(&mut self, place: &Place, sums: Sums) -> VipCounters {
        let [existing_sessions, first_session, untracked, no_server] = sums.vip;
        let route = place.route.zip(sums.route).map(|(index, (packets, bytes))| RouteCounters {
            epoch: self.epochs.of(Kind::Route, index, &[packets, bytes]),
            packets,
            bytes,
        });
        VipCounters {
            key: place.vip,
            epoch: self.epochs.of(Kind::Vip, place.index, &sums.vip),
            existing_sessions,
            first_session,
            untracked,
            no_server,
            route,
        }
    }
}

fn aged<T: Clone>(read: Option<&(Instant, T)>) -> Option<(Duration, T)> {
    read.map(|(when, what)| (when.elapsed(), what.clone()))
}

/// One VIP's counters in the segment, summed over VPP's threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    vip: [u64; 4],
    route: Option<(u64, u64)>,
}

/// All VIPs, from one consistent state of the segment.
fn read(view: &View<'_>, places: &[Place]) -> Result<Vec<Sums>, StatsError> {
    let mut sums = vec![Sums::default(); places.len()];
    let indexes: Vec<_> = places.iter().map(|place| place.index).collect();
    for (counter, name) in NAMES.into_iter().enumerate() {
        // VPP creates these counters with its first VIP.
        if view.find(name).is_none() {
            continue;
        }
        for (sums, count) in sums.iter_mut().zip(view.simple_sums(name, &indexes)?) {
            if let Some(sum) = sums.vip.get_mut(counter) {
                *sum = count.unwrap_or(0);
            }
        }
    }
    let routes: Vec<_> = places.iter().filter_map(|place| place.route).collect();
    let mut counts = sums_of(view, ROUTES, &routes)?.into_iter();
    for (sums, _) in sums.iter_mut().zip(places).filter(|(_, place)| place.route.is_some()) {
        sums.route = counts.next().flatten();
    }
    Ok(sums)
}

/// Packets and bytes of these routes; empty if VPP does not have the counter.
fn sums_of(view: &View<'_>, name: &str, routes: &[u32]) -> Result<Vec<Option<(u64, u64)>>, StatsError> {
    view.find(name).map_or_else(|| Ok(Vec::new()), |_| view.combined_sums(name, routes))
}

/// The servers of the VIPs in use, in order.
fn figures(text: &[TextVip]) -> Vec<ServerFigure> {
    let mut figures = BTreeMap::<VipKey, _>::new();
    for vip in text.iter().filter(|vip| !vip.removed) {
        let used = vip.servers.iter().filter(|server| !server.removed);
        let mut servers: Vec<_> = used
            .map(|server| ServerFigure {
                vip: vip.key,
                address: server.address,
                weight: server.weight,
                buckets: server.buckets,
                flows: server.flows,
            })
            .collect();
        servers.sort_unstable_by_key(|server| server.address);
        figures.insert(vip.key, servers);
    }
    figures.into_values().flatten().collect()
}

/// The positions of the counters of all VIPs whose index is known.
pub fn places(mirror: &Mirror) -> impl Iterator<Item = (VipKey, u32)> {
    mirror.vips().iter().filter_map(|(key, vip)| Some((*key, vip.index?)))
}

#[cfg(test)]
mod tests;
