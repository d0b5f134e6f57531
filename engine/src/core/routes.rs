//! Routes of the VIPs' addresses: what their decisions depend on, and their consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use imbl::OrdMap;
use maglev_protocol::{Programmed, VipKey, VipSpec, VppState};

use super::{Core, Done, Effects, Event, Now};
use crate::agent::AgentEvent;
use crate::config::{Config, Router};
use crate::core::CommandError;
use crate::health::State;
use crate::overrides::{Override, Remark, Stamp};
use crate::routes::{Announcement, Drain, Facts, InVpp, Route, Scene, Vpp, serving_capacity};
use crate::snapshot::{RouteView, RouterStatus};
use crate::warmup::Phase;

/// Desired state of the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRoutes {
    /// The router, and how it is reached.
    pub router: Router,
    /// All addresses that are announced at times; those with `None` stay as they are.
    pub routes: BTreeMap<IpAddr, Option<Announcement>>,
    /// Whether the routes of other addresses are withdrawn.
    pub others: bool,
}

/// Event of the router's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterEvent {
    /// The router was read, or has confirmed changes.
    Read {
        /// Its version.
        version: String,
        /// The routes that it has of the addresses it was asked about.
        routes: BTreeMap<IpAddr, Announcement>,
        /// Protocols that its configuration lacks.
        missing: Vec<String>,
        /// The first of the changes that it refused, and why.
        refused: Option<String>,
        /// Addresses whose routes somebody else had changed, and which have been restored.
        restored: Vec<IpAddr>,
    },
    /// It is not reachable, or refuses.
    Lost {
        /// Why.
        reason: String,
    },
}

/// All routes.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    views: OrdMap<IpAddr, Arc<RouteView>>,
    router: Arc<RouterStatus>,
    /// Whether the routes of other addresses are withdrawn.
    others: bool,
    vpp: Vpp,
    in_vpp: BTreeMap<VipKey, InVpp>,
    /// Whether a backend is down and no checked one is up.
    all_down: bool,
    /// Addresses to decide on again.
    touched: BTreeSet<IpAddr>,
    /// When a decision is due without any input.
    due: BTreeMap<IpAddr, Instant>,
}

impl Routes {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            views: OrdMap::new(),
            router: Arc::new(RouterStatus::new(Router::Kernel, now)),
            others: false,
            vpp: Vpp::Unwatched,
            in_vpp: BTreeMap::new(),
            all_down: false,
            touched: BTreeSet::new(),
            due: BTreeMap::new(),
        }
    }

    pub(super) fn views(&self) -> &OrdMap<IpAddr, Arc<RouteView>> {
        &self.views
    }

    pub(super) fn router(&self) -> &Arc<RouterStatus> {
        &self.router
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Has an address decided on again, if it is announced at times.
    pub(super) fn touch(&mut self, address: IpAddr) {
        if self.views.contains_key(&address) {
            self.touched.insert(address);
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.views.keys());
    }

    /// Takes the addresses of a new configuration over. Those that it had keep their routes.
    pub(super) fn configure(&mut self, config: &Config, now: Now) {
        let mut frontends: BTreeMap<IpAddr, Vec<Arc<str>>> = BTreeMap::new();
        for (name, frontend) in config.frontends.iter().filter(|(_, frontend)| frontend.announce.is_some()) {
            frontends.entry(frontend.address).or_default().push(name.as_str().into());
        }
        if self.router.router != config.router {
            self.router = Arc::new(RouterStatus::new(config.router.clone(), now.wall));
        }
        let before = std::mem::take(&mut self.views);
        let view = |(address, frontends): (IpAddr, Vec<Arc<str>>)| {
            let before = before.get(&address);
            let route = before.map_or_else(|| Route::new(now.wall), |view| view.route.clone());
            let view =
                RouteView { route, frontends: frontends.into(), router: before.and_then(|view| view.router) };
            (address, Arc::new(view))
        };
        self.views = frontends.into_iter().map(view).collect();
        self.due.retain(|address, _| self.views.contains_key(address));
        self.touched.clear();
        self.touch_all();
    }

    /// VPP has acknowledged a VIP.
    pub(super) fn acknowledged(&mut self, spec: &VipSpec) {
        let in_vpp = in_vpp(spec.servers.values().map(|server| server.weight));
        if self.in_vpp.insert(spec.key, in_vpp) != Some(in_vpp) {
            self.touch(spec.key.prefix.address);
        }
    }

    /// A VIP is no longer configured.
    pub(super) fn forget_vip(&mut self, vip: &VipKey) {
        self.in_vpp.remove(vip);
    }

    /// Follows the agent and VPP.
    pub(super) fn watch(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Disconnected { .. } => self.vpp = Vpp::Unwatched,
            AgentEvent::Vpp { info, programmed } => match (&info.state, programmed) {
                (VppState::Connected { .. }, Some((_, programmed))) => self.read(programmed),
                (VppState::Connected { .. }, None) if self.vpp == Vpp::Away => {}
                (VppState::Connected { .. }, None) => self.vpp = Vpp::Unwatched,
                (VppState::Disconnected { .. } | VppState::Incompatible { .. }, _) => {
                    self.vpp = Vpp::Away;
                    self.in_vpp.clear();
                }
            },
            AgentEvent::Connected { .. }
            | AgentEvent::Silence { .. }
            | AgentEvent::Settings { .. }
            | AgentEvent::Synced { .. } => return,
        }
        self.touch_all();
    }

    fn read(&mut self, programmed: &Programmed) {
        self.vpp = Vpp::Connected;
        let vips = programmed.vips.iter();
        self.in_vpp = vips.map(|vip| (vip.key, in_vpp(vip.servers.values().copied()))).collect();
    }
}

fn in_vpp(weights: impl Iterator<Item = u8>) -> InVpp {
    weights
        .map(|weight| if weight > 0 { InVpp::Serving } else { InVpp::Present })
        .max()
        .unwrap_or(InVpp::Absent)
}

impl Core {
    /// The desired state of the router.
    pub fn wanted_routes(&self) -> WantedRoutes {
        let routes = self.routes.views.iter().map(|(address, view)| (*address, view.route.announcement));
        WantedRoutes {
            router: self.config.router.clone(),
            routes: routes.collect(),
            others: self.routes.others,
        }
    }

    /// Processes what the router's client found out.
    pub(super) fn router_event(&mut self, event: RouterEvent, now: Now) -> Effects {
        let mut effects = Effects { state: true, ..Effects::default() };
        let router = &mut self.routes.router;
        let (connection, missing, refused, restored) = match &event {
            RouterEvent::Read { version, missing, refused, restored, .. } => {
                (Ok(version.clone()), missing.clone(), refused.clone(), restored.clone())
            }
            RouterEvent::Lost { reason } => (Err(reason.clone()), router.missing.clone(), None, Vec::new()),
        };
        let since = if router.connection.is_ok() == connection.is_ok() { router.since } else { now.wall };
        let name = router.router.clone();
        let status = RouterStatus { router: name, connection, missing, refused, restored: Vec::new(), since };
        if **router != status || !restored.is_empty() {
            *router = Arc::new(status.clone());
            effects.tell(Event::Router { status: Arc::new(RouterStatus { restored, ..status }) });
        }
        if let RouterEvent::Read { routes, .. } = event {
            for (address, has) in routes {
                let Some(view) = self.routes.views.get_mut(&address) else { continue };
                let undecided = view.route.announcement.is_none();
                if undecided || view.router != Some(has) {
                    let view = Arc::make_mut(view);
                    view.router = Some(has);
                    view.route.adopt(has, now.mono);
                }
                if undecided {
                    // Until it is passed on, the router's client leaves the route to whoever changes it.
                    effects.routes = true;
                    self.routes.touch(address);
                }
            }
        }
        effects
    }

    /// Decides on the routes that an input concerns.
    pub(super) fn decide_routes(&mut self, now: Now, effects: &mut Effects) {
        // Before, an address may be missing because this brain has not been told of it yet.
        let others = self.warmup.phase() != Phase::Waiting;
        effects.routes |= std::mem::replace(&mut self.routes.others, others) != others;
        if self.routes.views.is_empty() {
            return;
        }
        let counts = |event: &Event| matches!(event, Event::Backend { .. } | Event::Overruled { .. });
        if effects.events.iter().any(counts) {
            let all_down = self.all_down();
            if std::mem::replace(&mut self.routes.all_down, all_down) != all_down {
                self.routes.touch_all();
            }
        }
        let due = self.routes.due.iter().filter(|(_, at)| **at <= now.mono).map(|(address, _)| *address);
        let due: Vec<_> = due.collect();
        self.routes.touched.extend(due);
        let drain = self.overrides.lb.as_ref().map(|set| set.value);
        let cut_off = self.fleet.withdraws();
        let scene = Scene { vpp: self.routes.vpp, all_down: self.routes.all_down, drain, cut_off };
        for address in std::mem::take(&mut self.routes.touched) {
            let Some(view) = self.routes.views.get(&address) else { continue };
            let facts: Vec<_> = view.frontends.iter().filter_map(|name| self.facts(name)).collect();
            let mut route = view.route.clone();
            route.decide(&facts, &scene, now.wall, now.mono);
            match route.again {
                Some(again) => drop(self.routes.due.insert(address, again)),
                None => drop(self.routes.due.remove(&address)),
            }
            if route == view.route {
                continue;
            }
            effects.state = true;
            let before = view.route.announcement;
            if let Some(view) = self.routes.views.get_mut(&address) {
                let changed = before != route.announcement;
                Arc::make_mut(view).route = route;
                if changed {
                    effects.routes = true;
                    effects.tell(Event::Route { address, from: before, view: Arc::clone(view) });
                }
            }
        }
    }

    fn facts(&self, name: &Arc<str>) -> Option<Facts<'_>> {
        let view = self.frontends.get(name)?;
        // The configuration outlives this borrow, unlike the view.
        let (name, _) = self.frontends.views().get_key_value(name)?;
        Some(Facts {
            name,
            announce: view.frontend.announce.as_ref()?,
            capacity: serving_capacity(&view.weights)?,
            released: view.sync != crate::snapshot::SyncStatus::HeldBack,
            in_vpp: self.routes.in_vpp.get(&view.spec.key).copied().unwrap_or_default(),
        })
    }

    fn all_down(&self) -> bool {
        let mut down = false;
        for (name, view) in self.backends.views() {
            let checked =
                self.config.backends.get(&**name).is_some_and(|backend| !backend.healthchecks.is_empty());
            match view.state() {
                State::Up if checked => return false,
                State::Down => down = true,
                _ => {}
            }
        }
        down
    }

    /// Drains the load balancer, or ends that.
    pub(super) fn drain_lb(
        &mut self,
        drain: Option<Drain>,
        remark: Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        let set = self.overrides.lb.as_ref();
        if drain.is_some() && self.routes.views.is_empty() {
            return Err(CommandError::NoRoutes);
        }
        if drain.is_none() && set.is_none() {
            return Err(CommandError::NothingSet("the load balancer".to_owned()));
        }
        let is_news = !remark.reason.is_empty() || remark.until.is_some();
        if drain == set.map(|set| set.value) && !is_news {
            return Ok((Effects::default(), Done::default()));
        }
        let overrides = Arc::make_mut(&mut self.overrides);
        match drain {
            Some(drain) => {
                let stamp = Stamp::new(now.wall, remark);
                overrides.insert(Override::Lb { drain, stamp });
            }
            None => overrides.lb = None,
        }
        self.routes.touch_all();
        Ok((Effects { overrides: true, state: true, ..Effects::default() }, Done::default()))
    }
}
