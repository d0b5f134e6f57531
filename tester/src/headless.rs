//! Tests without a screen: a report, lines of JSON, a standing canary, a sweep.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use maglev_daemon::print;
use maglev_daemon::until;
use maglev_proto::client::ServerAddress;
use maglev_tester::brain::{Brain, Link};
use maglev_tester::client::source_of;
use maglev_tester::limits::Verdict;
use maglev_tester::pace::Rate;
use maglev_tester::report;
use maglev_tester::run::Tester;
use maglev_tester::snapshot::Snapshot;
use maglev_tester::sweep::{self, Swept};
use maglev_tester::target::{Request, Target};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::args::Arguments;

/// Failures, outages and events of each VIP in the final summary.
const DETAIL: usize = 100;
/// Time between two lines of JSON.
const LINE: Duration = Duration::from_secs(1);

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// A limit was exceeded.
    pub(crate) exceeded: bool,
    /// Something reached the network.
    pub(crate) has_tested: bool,
}

impl From<&Verdict> for Ended {
    fn from(verdict: &Verdict) -> Self {
        Self { exceeded: !verdict.exceeded.is_empty(), has_tested: verdict.has_tested }
    }
}

/// The state now.
pub(crate) fn take(tester: &Tester, link: &watch::Sender<Link>, detail: usize) -> Snapshot {
    Snapshot::take(tester, &link.borrow(), Instant::now().into_std(), SystemTime::now(), detail)
}

/// Judges the end of a test.
pub(crate) fn judge(arguments: &Arguments, tester: &Tester, link: &watch::Sender<Link>) -> Ended {
    Ended::from(&arguments.limits().judge(&take(tester, link, 0), &[]))
}

/// Tests until the time of the report is over, or a signal comes.
pub(crate) async fn run(
    arguments: &Arguments,
    tester: &Tester,
    link: &watch::Sender<Link>,
) -> anyhow::Result<Ended> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let end = arguments.report.map(|time| Instant::now() + time);
    let mut lines = interval_at(Instant::now() + LINE, LINE);
    lines.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = until(end) => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = lines.tick(), if arguments.json => {
                if !line("second", serde_json::to_value(take(tester, link, 0))?)? {
                    return Ok(judge(arguments, tester, link));
                }
            }
        }
    }
    finish(arguments, &take(tester, link, DETAIL), &[])
}

fn finish(arguments: &Arguments, snapshot: &Snapshot, sweeps: &[(String, Swept)]) -> anyhow::Result<Ended> {
    let verdict = arguments.limits().judge(snapshot, sweeps);
    if arguments.json {
        let mut summary = serde_json::to_value(snapshot)?;
        if let Value::Object(fields) = &mut summary {
            fields.insert("exceeded".to_owned(), json!(verdict.exceeded));
            let sweeps = sweeps.iter().map(|(vip, swept)| json!({ "vip": vip, "sweep": swept }));
            fields.insert("sweeps".to_owned(), sweeps.collect());
        }
        line("summary", summary)?;
    } else {
        print::print(&report::text(snapshot, sweeps, &verdict))?;
    }
    Ok(Ended::from(&verdict))
}

/// Writes a line; whether anybody reads it.
fn line(kind: &str, mut value: Value) -> anyhow::Result<bool> {
    value["type"] = kind.into();
    let line = format!("{}\n", maglev_proto::client::printable_json(&value.to_string()));
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Makes a request through each bucket of each VIP.
pub(crate) async fn sweep(
    arguments: &Arguments,
    brain: Option<ServerAddress>,
    targets: Vec<Target>,
) -> anyhow::Result<Ended> {
    let Some(address) = brain else { bail!("a sweep needs the table of a brain: name it with --server") };
    let tables = Brain::connect(&address, &arguments.tls).await?.tables().await?;
    let options = arguments.options();
    let tester = Tester::start(Vec::new(), &options);
    let rate = Arc::new(Mutex::new(Rate::new(arguments.rate, Instant::now().into_std())));
    let mut sweeps = Vec::new();
    for target in &targets {
        let is_udp = matches!(target.request, Request::Udp);
        let table = tables.iter().find(|table| table.vip() == target.vip && table.is_udp() == is_udp);
        let Some(table) = table else {
            print::complain(&format!("maglevt: not swept: {}: VPP has no such VIP\n", target.name));
            continue;
        };
        if table.src_ip_sticky() {
            let reason = "it is src-ip-sticky, so one address reaches a single bucket";
            print::complain(&format!("maglevt: not swept: {}: {reason}\n", target.name));
            continue;
        }
        let source = match options.shape.source_for(target.vip.ip()) {
            Some(source) => source,
            None => source_of(target.vip)
                .await
                .with_context(|| format!("no source address for {}: name one with --source", target.vip))?,
        };
        let swept =
            sweep::sweep(target, table, source, &options.shape, &options.naming, Arc::clone(&rate)).await?;
        sweeps.push((target.name.clone(), swept));
    }
    let (link, _) = watch::channel(Link::Connected);
    finish(arguments, &take(&tester, &link, 0), &sweeps)
}
