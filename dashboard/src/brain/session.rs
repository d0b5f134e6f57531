//! One connection to a brain, from the first question to its end.

use std::future::{Future, pending};
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, try_join_all};
use maglev_proto::client::innermost;
use maglev_proto::event::What;
use maglev_proto::words::Word;
use maglev_proto::{
    AgentInfo, Backend, BrainStatus, CallerInfo, Event, Frontend, GetBackendRequest, GetCallerRequest,
    GetFrontendRequest, GetStatusRequest, GetVppInfoRequest, GetVpplbCountersRequest, ListBackendsRequest,
    ListFrontendsRequest, ListOverridesRequest, LogLevel, Override, VppInfo, VpplbCounters,
    WatchEventsRequest,
};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tonic::{Code, Response, Status};

use super::{Brain, Client, PATIENCE};
use crate::history::PERIOD;
use crate::live::{Live, unix_ms};
use crate::rows::{number, text};
use crate::state::Need;

/// Everything is asked for again, in case that a change was missed.
const REFRESH: Duration = Duration::from_secs(30);
/// What changes together is asked for together.
const GATHER: Duration = Duration::from_millis(20);

/// What a brain answered.
#[derive(Debug, Default)]
struct Answers {
    info: Option<(BrainStatus, VppInfo)>,
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
        Err(status) => match std::error::Error::source(&status) {
            Some(cause) => innermost(cause),
            None if status.message().is_empty() => status.code().description().to_owned(),
            None => status.message().to_owned(),
        },
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
    let mut stub = client.clone();
    let mut events = answer(async move { stub.watch_events(wanted).await }).await?;
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

async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// A brain that does not say who may change what is one that only reads.
async fn caller(client: &Client) -> Result<CallerInfo, Status> {
    let mut stub = client.clone();
    match answer(async move { stub.get_caller(GetCallerRequest {}).await }).await {
        Err(status) if status.code() == Code::Unimplemented => Ok(CallerInfo {
            why_not: "this brain is too old to say whether the dashboard may change anything".to_owned(),
            ..CallerInfo::default()
        }),
        answered => answered,
    }
}

/// Nothing while VPP or the agent is away.
async fn counters(client: &Client) -> Result<Option<VpplbCounters>, Status> {
    let mut stub = client.clone();
    match answer(async move { stub.get_vpplb_counters(GetVpplbCountersRequest::default()).await }).await {
        Ok(counters) => Ok(Some(counters)),
        Err(status) if std::error::Error::source(&status).is_none() => Ok(None),
        Err(status) => Err(status),
    }
}

async fn ask(client: Client, need: Need) -> Result<Answers, Status> {
    let mut answers = Answers::default();
    if need.all {
        let (mut one, mut other) = (client.clone(), client.clone());
        let (frontends, backends) = tokio::try_join!(
            answer(async move { one.list_frontends(ListFrontendsRequest {}).await }),
            answer(async move { other.list_backends(ListBackendsRequest {}).await }),
        )?;
        answers.all = Some((frontends.frontends, backends.backends));
    } else {
        let frontends = need.frontends.into_iter().map(|name| {
            let mut stub = client.clone();
            found(async move { answer(stub.get_frontend(GetFrontendRequest { name })).await })
        });
        let backends = need.backends.into_iter().map(|name| {
            let mut stub = client.clone();
            found(async move { answer(stub.get_backend(GetBackendRequest { name })).await })
        });
        let (frontends, backends) = tokio::try_join!(try_join_all(frontends), try_join_all(backends))?;
        answers.frontends = frontends.into_iter().flatten().collect();
        answers.backends = backends.into_iter().flatten().collect();
    }
    if need.info {
        let (mut one, mut other) = (client.clone(), client.clone());
        let info = tokio::try_join!(
            answer(async move { one.get_status(GetStatusRequest {}).await }),
            answer(async move { other.get_vpp_info(GetVppInfoRequest {}).await }),
        )?;
        answers.info = Some(info);
    }
    if need.overrides {
        let mut stub = client.clone();
        let listed = answer(async move { stub.list_overrides(ListOverridesRequest {}).await }).await?;
        answers.overrides = Some(listed.overrides);
    }
    if need.counters {
        answers.counters = counters(&client).await?;
    }
    Ok(answers)
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
    let Answers { info, overrides, counters, all, frontends, backends } = answers;
    if let Some((status, vpp)) = info {
        brain.show(live, about(&status, &vpp, caller, unix_ms(SystemTime::now())));
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

/// The load balancer's own row, as far as the brain says it.
fn about(status: &BrainStatus, vpp: &VppInfo, caller: &CallerInfo, now: u64) -> [(&'static str, Value); 13] {
    let agent = vpp.agent.clone().unwrap_or_default();
    // To the second: it is computed anew each time, and is the same all the time.
    let started = now.saturating_sub(status.uptime_ms) / 1000 * 1000;
    [
        ("version", text(&status.version)),
        ("started", (started - started % 10_000).into()),
        ("config_file", text(&status.config_file)),
        ("warmup", status.warmup().word().into()),
        ("held_back", number(status.frontends_held_back.into())),
        ("unmatched", number(status.overrides_unmatched.into())),
        ("who", text(&caller.who)),
        ("may_change", caller.may_change.into()),
        ("why_not", text(&caller.why_not)),
        ("agent", about_agent(&agent)),
        (
            "vpp",
            json!({
                "state": vpp.state,
                "reason": text(&vpp.reason),
                "version": text(&vpp.version),
                "build_date": text(&vpp.build_date),
                "pid": number(vpp.pid.into()),
                "booted": number(vpp.boot_time_unix_ms),
                "connected": number(vpp.connected_unix_ms),
            }),
        ),
        ("frontends", status.frontends.into()),
        ("backends", status.backends.into()),
    ]
}

fn about_agent(agent: &AgentInfo) -> Value {
    json!({
        "connected": agent.connected,
        "reason": text(&agent.reason),
        "version": text(&agent.version),
        "protocol": agent.protocol,
        "pid": number(agent.pid.into()),
        "started": number(agent.started_unix_ms),
        "since": number(agent.connected_unix_ms),
        "connections": agent.connections,
        "socket": text(&agent.socket),
        "foreign": agent.foreign,
        "drift": agent.drift,
        "drift_total": agent.drift_total,
        "drift_at": number(agent.drift_at_unix_ms),
        "no_echo": text(&agent.no_echo),
        "settings_refused": text(&agent.settings_refused),
    })
}
