//! The router: keeps its routes whatever becomes of the brain, whose client brings them to the newest decisions. The
//! simulation follows by itself what VPP has acknowledged, and judges every announcement by it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use maglev_engine::agent::AgentEvent;
use maglev_engine::core::{Input, RouterEvent, WantedRoutes};
use maglev_engine::desired::vip_key;
use maglev_engine::routes::{Announcement, serving_capacity};
use maglev_protocol::{VipKey, VppState};

use crate::world::{Event, World};

/// What the router announces, in whatever way.
#[derive(Debug, Default)]
pub(crate) struct Router {
    pub(crate) routes: BTreeMap<IpAddr, Announcement>,
    pub(crate) writes: u64,
}

/// The brain's client, and what the brain was told of VPP.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) wanted: Arc<WantedRoutes>,
    /// VIPs that VPP has acknowledged, each with whether a server in it takes new flows.
    acknowledged: BTreeMap<VipKey, bool>,
}

impl Client {
    pub(crate) fn new(wanted: WantedRoutes) -> Self {
        Self { wanted: Arc::new(wanted), acknowledged: BTreeMap::new() }
    }

    /// Follows what the brain is told.
    pub(crate) fn told(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Vpp { info, programmed } => match (&info.state, programmed) {
                (VppState::Connected { .. }, Some((_, programmed))) => {
                    let vips = programmed.vips.iter();
                    let serves = vips.map(|vip| (vip.key, vip.servers.values().any(|weight| *weight > 0)));
                    self.acknowledged = serves.collect();
                }
                (VppState::Connected { .. }, None) => {}
                _ => self.acknowledged.clear(),
            },
            AgentEvent::Synced { specs, result: Ok(report), .. } => {
                let failed = |key: &VipKey| report.errors().any(|(vip, _)| vip == key);
                for spec in specs.iter().filter(|spec| !failed(&spec.key)) {
                    let serves = spec.servers.values().any(|server| server.weight > 0);
                    self.acknowledged.insert(spec.key, serves);
                }
            }
            _ => {}
        }
    }
}

impl World {
    /// Judges the brain's new decisions, and passes them on to its client.
    pub(crate) fn follow_routes(&mut self, told: bool) {
        let latency = self.latency();
        let Some(brain) = &mut self.brain else { return };
        let wanted = brain.core.wanted_routes();
        let is_news = wanted != *brain.routes.wanted;
        let announces =
            |route: Option<Announcement>| route.is_some_and(|route| route != Announcement::Withdrawn);
        let mut broken = None;
        for (address, route) in &wanted.routes {
            // One that the router had when the brain started stays without a word from VPP.
            let before = brain.routes.wanted.routes.get(address).copied().flatten();
            if !announces(*route) || before != Some(Announcement::Withdrawn) {
                continue;
            }
            let config = brain.core.config();
            let mut vips = config
                .frontends
                .values()
                .filter(|frontend| frontend.address == *address)
                .map(|found| vip_key(found));
            let missing = vips.find(|vip| brain.routes.acknowledged.get(vip) != Some(&true));
            broken = broken.or(missing
                .map(|vip| format!("{address} is announced, and VPP has acknowledged no server of {vip}")));
        }
        if let Some(broken) = broken {
            return self.fail(broken);
        }
        if is_news && !told {
            return self.fail("the desired routes changed, and nobody was told".to_owned());
        }
        if is_news {
            brain.routes.wanted = Arc::new(wanted);
            let id = brain.id;
            self.at(self.now + latency, Event::RouterSynced { brain: id });
        }
    }

    /// The brain's client brings the router to the newest decisions, and reads it.
    pub(crate) fn router_synced(&mut self, id: u64) {
        let now = self.instant(self.now);
        let Some(brain) = self.brain.as_mut().filter(|brain| brain.id == id) else { return };
        let wanted = Arc::clone(&brain.routes.wanted);
        let router = &mut self.router;
        let before = router.routes.clone();
        for (address, route) in &wanted.routes {
            match route {
                Some(Announcement::Withdrawn) => drop(router.routes.remove(address)),
                Some(route) => drop(router.routes.insert(*address, *route)),
                None => {}
            }
        }
        router.routes.retain(|address, _| !wanted.others || wanted.routes.contains_key(address));
        if router.routes != before {
            router.writes += 1;
            *self.counts.entry("routes changed").or_default() += 1;
        }
        let has = |address: &IpAddr| router.routes.get(address).copied().unwrap_or(Announcement::Withdrawn);
        let routes = wanted.routes.keys().map(|address| (*address, has(address))).collect();
        let (version, missing, restored) = ("simulated".to_owned(), Vec::new(), Vec::new());
        let event = RouterEvent::Read { version, routes, missing, refused: None, restored };
        let effects = brain.core.handle(Input::Router(event), now);
        self.follow(effects);
    }

    /// Checks that the router has what was decided, and that whatever can serve is announced.
    pub(crate) fn check_routes_at_rest(&self) -> Result<(), String> {
        let Some(brain) = self.brain.as_ref() else { return Err("there is no brain".to_owned()) };
        let snapshot = brain.core.snapshot(self.base.mono);
        for (address, view) in &snapshot.routes {
            let has = self.router.routes.get(address).copied().unwrap_or(Announcement::Withdrawn);
            if view.route.announcement != Some(has) {
                return Err(format!("the route of {address} is {has:?}, and shall be {:?}", view.route));
            }
            let can_serve = |name: &Arc<str>| {
                let view = &snapshot.frontends[name];
                let capacity = serving_capacity(&view.weights);
                let announce = view.frontend.announce.as_ref();
                let (Some(capacity), Some(announce)) = (capacity, announce) else { return false };
                let serves = view.spec.servers.values().any(|server| server.weight > 0);
                serves && capacity.up >= announce.min_up.needed(capacity.total).max(1)
            };
            if view.frontends.iter().all(can_serve) && has != Announcement::Announced {
                return Err(format!("{address} can serve, and is {:?}", view.route));
            }
        }
        let others = self.router.routes.keys().find(|address| !snapshot.routes.contains_key(*address));
        others.map_or(Ok(()), |address| Err(format!("{address} is announced, and not configured")))
    }
}
