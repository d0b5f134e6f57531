//! What VPP counts: of VIPs from the stats segment, which costs VPP nothing, and of application servers from its text,
//! which does, and is therefore read no more often than was set.
//!
//! The counters of a VIP lie at VPP's index of it, those of its route at the route's. Both are asked of VPP once, when
//! a VIP has come; from then on VPP is not disturbed.

mod epochs;
mod places;

use std::collections::BTreeMap;
use std::time::Duration;

use maglev_protocol::{Counters, RouteCounters, ServerFigure, ServerFigures, VipCounters, VipKey};
use tokio::time::Instant;
use vppapi::stats::{StatsError, StatsSegment, View};

use crate::apply::Plugin;
use crate::cli_text::TextVip;
use crate::mirror::Mirror;
use crate::sync::{SyncError, Syncer};
use epochs::{Epochs, Kind};
pub use places::Place;
use places::Places;

/// How old the counters of VIPs in an answer may be.
pub const FRESH: Duration = Duration::from_secs(1);
/// Least age at which servers' figures are read again, unless set otherwise, or VPP was changed since.
pub const SERVERS_AGE: Duration = Duration::from_secs(15);

/// The simple counters of a VIP, in the order of [`VipCounters`].
const NAMES: [&str; 4] =
    ["packet from existing sessions", "first session packet", "untracked packet", "no server configured"];
/// Packets and bytes that were sent to a prefix.
const ROUTES: &str = "/net/route/to";

/// Counters of one connection to VPP.
#[derive(Debug)]
pub struct Counting {
    servers_age: Duration,
    places: Places,
    epochs: Epochs,
    vips: Option<(Instant, Vec<VipCounters>)>,
    servers: Option<(Instant, Vec<ServerFigure>)>,
    /// [`Syncer::changes`] as of these.
    changes: u64,
}

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// VPP could not be asked where they are.
    #[error(transparent)]
    Vpp(#[from] SyncError),
    /// The segment could not be read.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

impl Counting {
    /// Nothing counted yet, of the VPP with this process id and start.
    pub fn new(pid: u32, boot_time: Option<u64>, servers_age: Duration) -> Self {
        Self {
            servers_age,
            places: Places::default(),
            epochs: Epochs::new(pid, boot_time),
            vips: None,
            servers: None,
            changes: 0,
        }
    }

    /// The counters of all VIPs, and if asked for of their servers. VPP's text is read only if `may_read` allows it; else
    /// the servers' figures are those read before, and VIPs whose index is not known yet are left out.
    ///
    /// # Errors
    /// When VPP cannot be asked, or the segment not be read.
    pub async fn counters<P: Plugin>(
        &mut self,
        syncer: &mut Syncer<P>,
        segment: &StatsSegment,
        with_servers: bool,
        may_read: impl Fn() -> bool,
    ) -> Result<Counters, CountersError> {
        // Those from before a change are wrong, and who looks after one looks for its effect.
        let serves = |read: &Instant| syncer.changes() == self.changes && read.elapsed() < self.servers_age;
        let served = self.servers.as_ref().is_some_and(|(read, _)| serves(read));
        if with_servers && !served && may_read() {
            self.changes = syncer.changes();
            let figures = figures(&syncer.learn().await?.vips);
            self.servers = Some((Instant::now(), figures));
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
            let read = segment.read(|view| read(view, &places)).await?;
            let vips = places.iter().zip(read).map(|(place, sums)| self.counted(place, sums)).collect();
            self.epochs.keep(places.iter().flat_map(|place| {
                [Some((Kind::Vip, place.index)), place.route.map(|route| (Kind::Route, route))]
            }));
            self.vips = Some((Instant::now(), vips));
        }
        let (age, vips) = aged(self.vips.as_ref()).unwrap_or_default();
        let servers = with_servers.then(|| aged(self.servers.as_ref())).flatten();
        Ok(Counters { age, vips, servers: servers.map(|(age, servers)| ServerFigures { age, servers }) })
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

/// What the segment has of one VIP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    vip: [u64; 4],
    route: Option<(u64, u64)>,
}

/// All VIPs at one state of the segment.
fn read(view: &View<'_>, places: &[Place]) -> Result<Vec<Sums>, StatsError> {
    let mut sums = vec![Sums::default(); places.len()];
    let indexes: Vec<_> = places.iter().map(|place| place.index).collect();
    for (counter, name) in NAMES.into_iter().enumerate() {
        // VPP makes them with its first VIP.
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
    let mut counts = match view.find(ROUTES) {
        Some(_) => view.combined_sums(ROUTES, &routes)?.into_iter(),
        None => Vec::new().into_iter(),
    };
    for (sums, _) in sums.iter_mut().zip(places).filter(|(_, place)| place.route.is_some()) {
        sums.route = counts.next().flatten();
    }
    Ok(sums)
}

/// The servers of the VIPs that are in use, in order.
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

/// Where the counters of all VIPs are, for those whose index is known.
pub fn places(mirror: &Mirror) -> impl Iterator<Item = (VipKey, u32)> {
    mirror.vips().iter().filter_map(|(key, vip)| Some((*key, vip.index?)))
}

#[cfg(test)]
mod tests;
