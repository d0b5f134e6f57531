//! One connection to a brain, from the first question to its end.

use std::future::{Future, pending};
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, try_join_all};
use maglev_proto::event::What;
use maglev_proto::{
    Backend, BrainStatus, CallerInfo, Event, FleetStatus, FleetTables, Frontend, GetBackendRequest,
    GetCallerRequest, GetFleetStatusRequest, GetFleetTablesRequest, GetFrontendRequest, GetStatusRequest,
    GetVppInfoRequest, GetVpplbCountersRequest, ListBackendsRequest, ListFrontendsRequest,
    ListOverridesRequest, LogLevel, Override, VppInfo, VpplbCounters, WatchEventsRequest,
};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tonic::{Code, Status};

use super::{Brain, Client, PATIENCE, answer, in_words};
use crate::history::PERIOD;
use crate::live::{Live, unix_ms};
use crate::rows::object;
use crate::state::Need;

/// Everything is asked for again, in case that a change was missed.
const REFRESH: Duration = Duration::from_secs(30);
/// Maximum number of tables that differ between members of a fleet, of those that browsers get.
const TABLES: usize = 100;
/// What changes together is asked for together.
const GATHER: Duration = Duration::from_millis(20);

/// A call over a connection that other calls share.
macro_rules! ask {
    ($client:expr, $call:ident($request:expr)) => {{
        let (mut client, request) = ($client.clone(), $request);
        async move { answer(PATIENCE, client.$call(request)).await }
    }};
}

/// What a brain answered.
#[derive(Debug, Default)]
struct Answers {
    info: Option<(BrainStatus, VppInfo)>,
    fleet: Option<FleetStatus>,
    tables: Option<FleetTables>,
    overrides: Option<Vec<Override>>,
    counters: Option<VpplbCounters>,
    all: Option<(Vec<Frontend>, Vec<Backend>)>,
    frontends: Vec<Frontend>,
    backends: Vec<Backend>,
}

/// Follows a brain until the connection ends, and tells why it did. `told` becomes true once all of its state is known.
pub(super) async fn run(brain: &Brain, client: Client, live: &Live, told: &mut bool) -> String {
    match follow(brain, client, live, told).await {
        Ok(()) => "the event stream ended".to_owned(),
        Err(status) => in_words(&status),
    }
}

async fn follow(brain: &Brain, client: Client, live: &Live, told: &mut bool) -> Result<(), Status> {
    let caller = caller(&client).await?;
    let wanted = WatchEventsRequest {
        backends: true,
        frontends: true,
        connections: true,
        configuration: true,
        log_level: LogLevel::Warn.into(),
        probes: true,
        weights: true,
        vpp_writes: true,
        ..WatchEventsRequest::default()
    };
    let mut events = ask!(client, watch_events(wanted)).await?;
    let (mut need, mut due) = (Need::all(), Instant::now());
    let mut asking: Option<BoxFuture<'_, Result<Answers, Status>>> = None;
    let mut refresh = interval(REFRESH);
    let mut counting = interval(Duration::from_secs(PERIOD));
    for ticks in [&mut refresh, &mut counting] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            event = events.message() => match event? {
                Some(event) => {
                    let more = heard(brain, live, event);
                    if need.is_empty() && !more.is_empty() {
                        due = Instant::now() + GATHER;
                    }
                    need.add(more);
                }
                None => return Ok(()),
            },
            answers = async { match &mut asking { Some(asking) => asking.await, None => pending().await } } => {
                asking = None;
                let answers = answers?;
                if answers.all.is_some() && !*told {
                    *told = true;
                    brain.came(live);
                    brain.set_client(Some((client.clone(), caller.may_change)));
                }
                show(brain, live, &caller, answers, &need);
            }
            () = sleep_until(due), if asking.is_none() && !need.is_empty() => {
                asking = Some(Box::pin(ask(client.clone(), std::mem::take(&mut need).bounded())));
            }
            _ = refresh.tick() => need.add(Need::all()),
            _ = counting.tick() => {
                let frontends = live.looked_at();
                need.add(Need { info: true, counters: true, frontends, ..Need::default() });
            }
        }
    }
}

fn heard(brain: &Brain, live: &Live, event: Event) -> Need {
    match event.what {
        Some(What::Probe(probe)) => {
            if let Some(beat) = live.detail(|state| state.probe(&brain.name, probe)) {
                live.beat(beat);
            }
            Need::default()
        }
        _ => live.change(|state| state.apply(&brain.name, event)),
    }
}

/// A brain that does not say who may change what is one that only reads.
async fn caller(client: &Client) -> Result<CallerInfo, Status> {
    match ask!(client, get_caller(GetCallerRequest {})).await {
        Err(status) if status.code() == Code::Unimplemented => Ok(CallerInfo {
            why_not: "this brain is too old to say whether the dashboard may change anything".to_owned(),
            ..CallerInfo::default()
        }),
        answered => answered,
    }
}

/// Nothing while VPP or the agent is away.
async fn counters(client: &Client) -> Result<Option<VpplbCounters>, Status> {
    match ask!(client, get_vpplb_counters(GetVpplbCountersRequest::default())).await {
        Ok(counters) => Ok(Some(counters)),
        Err(status) if std::error::Error::source(&status).is_none() => Ok(None),
        Err(status) => Err(status),
    }
}

async fn ask(client: Client, need: Need) -> Result<Answers, Status> {
    let mut answers = Answers::default();
    if need.all {
        let (frontends, backends) = tokio::try_join!(
            ask!(client, list_frontends(ListFrontendsRequest {})),
            ask!(client, list_backends(ListBackendsRequest {})),
        )?;
        answers.all = Some((frontends.frontends, backends.backends));
    } else {
        let frontend = |name| found(ask!(client, get_frontend(GetFrontendRequest { name })));
        let backend = |name| found(ask!(client, get_backend(GetBackendRequest { name })));
        let (frontends, backends) = (need.frontends.into_iter(), need.backends.into_iter());
        let (frontends, backends) = (frontends.map(frontend), backends.map(backend));
        let (frontends, backends) = tokio::try_join!(try_join_all(frontends), try_join_all(backends))?;
        answers.frontends = frontends.into_iter().flatten().collect();
        answers.backends = backends.into_iter().flatten().collect();
    }
    if need.info {
        let (status, vpp) =
            (ask!(client, get_status(GetStatusRequest {})), ask!(client, get_vpp_info(GetVppInfoRequest {})));
        answers.info = Some(tokio::try_join!(status, vpp)?);
    }
    if need.info {
        answers.fleet = fleet(ask!(client, get_fleet_status(GetFleetStatusRequest {}))).await?;
    }
    if need.tables && answers.fleet.as_ref().is_some_and(|fleet| !fleet.fleet.is_empty()) {
        answers.tables = fleet(ask!(client, get_fleet_tables(GetFleetTablesRequest::default()))).await?;
    }
    if need.overrides {
        answers.overrides = Some(ask!(client, list_overrides(ListOverridesRequest {})).await?.overrides);
    }
    if need.counters {
        answers.counters = counters(&client).await?;
    }
    Ok(answers)
}

/// Nothing from a brain that is too old to know of fleets.
async fn fleet<T>(call: impl Future<Output = Result<T, Status>>) -> Result<Option<T>, Status> {
    match call.await {
        Ok(found) => Ok(Some(found)),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(status),
    }
}

/// What is gone by now is told by another event.
async fn found<T>(call: impl Future<Output = Result<T, Status>>) -> Result<Option<T>, Status> {
    match call.await {
        Ok(found) => Ok(Some(found)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

fn show(brain: &Brain, live: &Live, caller: &CallerInfo, answers: Answers, newer: &Need) {
    let Answers { info, fleet, tables, overrides, counters, all, frontends, backends } = answers;
    if let Some((status, vpp)) = info {
        brain.show(live, about(&status, &vpp, caller, unix_ms(SystemTime::now())));
    }
    if let Some(fleet) = fleet {
        brain.show(live, json!({ "fleet": membership(fleet) }));
    }
    if let Some(tables) = tables {
        brain.show(live, json!({ "fleet_tables": differing(tables) }));
    }
    if let Some(overrides) = overrides {
        live.change(|state| state.set_overrides(&brain.name, &overrides));
    }
    live.change(|state| {
        let (server, was_all) = (&brain.name, all.is_some());
        let (all_frontends, all_backends) = all.unwrap_or_default();
        if was_all {
            state.set_backends(server, all_backends, newer);
            state.set_frontends(server, all_frontends, newer);
        }
        for backend in backends {
            state.set_backend(server, backend, newer);
        }
        for frontend in frontends {
            state.set_frontend(server, frontend, newer);
        }
        if let Some(counters) = counters {
            state.count(server, unix_ms(SystemTime::now()), &counters);
        }
    });
}

/// The fleet as the brain sees it, without what is another value each time; `null` if it is in none.
fn membership(mut fleet: FleetStatus) -> Value {
    if fleet.fleet.is_empty() {
        return Value::Null;
    }
    for member in &mut fleet.members {
        member.clock_unix_ms = 0;
    }
    json!(fleet)
}

/// The tables that are not the same on all members, and how many there are.
fn differing(FleetTables { unknown, mut tables, .. }: FleetTables) -> Value {
    let all = tables.len();
    tables.retain(|table| !table.differences.is_empty());
    let differ = tables.len();
    tables.truncate(TABLES);
    json!({ "unknown": unknown, "all": all, "differ": differ, "tables": tables })
}

/// The load balancer's own row, as far as the brain says it, without what is another value each time.
fn about(status: &BrainStatus, vpp: &VppInfo, caller: &CallerInfo, now: u64) -> Value {
    let started = now.saturating_sub(status.uptime_ms) / 10_000 * 10_000;
    let status = BrainStatus { uptime_ms: 0, next_phase_in_ms: 0, agent: None, ..status.clone() };
    let mut row = json!({ "started": started, "vpp": vpp });
    if let Value::Object(row) = &mut row {
        row.extend(object(json!(status)));
        row.extend(object(json!(caller)));
    }
    row
}
