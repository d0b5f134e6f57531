//! `maglev-dashboard`: web pages over one or more load balancers, as a client of their brains.
//!
//! It decides nothing: what a change would do, it asks. From a brain to a browser:
//!
//! - [`brain`]: one task for each brain follows its events and asks for what they mean.
//! - [`state`]: what is known of all of them, made into rows ([`rows`], [`fleet`]) and events; [`history`].
//! - [`documents`]: the rows, and what changed in them since browsers were last told.
//! - [`live`]: that, as one stream for all browsers; [`ring`] keeps its end for those who come back.
//! - [`web`]: the pages, and what they ask for. [`access`]: who may see and change what. [`plan`]: changes, in two steps.
//! - [`listen`]: sockets, TLS and connections.

mod access;
mod arguments;
mod brain;
mod documents;
mod fleet;
mod history;
mod listen;
mod live;
mod metrics;
mod plan;
mod ring;
mod rows;
mod state;
mod user;
mod web;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum_server::Control;
use maglev_daemon::notify::{Notifier, keep_alive};
use maglev_daemon::{hangup, log, print};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::access::{Access, Settings};
use crate::arguments::{Arguments, Command, Serve, User};
use crate::brain::Brain;
use crate::listen::{Listener, Tls, inherited, serve};
use crate::live::Live;
use crate::plan::Planner;
use crate::web::{Dashboard, routes};

const NAME: &str = "maglev-dashboard";
/// Time for requests under way to finish when the process shall end.
const LAST: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let Arguments { serve, command } = match print::arguments() {
        Ok(arguments) => arguments,
        Err(error) => return print::explain(NAME, &error),
    };
    // One that comes before anybody listens would end the process.
    if let Err(error) = hangup::hold() {
        print::complain(&format!("{NAME}: cannot hold SIGHUP back: {error}\n"));
    }
    let result = match command {
        Some(Command::User(User::List)) => match user::list(&serve.users) {
            Ok(list) => return print::answer(NAME, &list),
            Err(error) => Err(error),
        },
        Some(Command::User(change)) => user::change(&serve.users, &change),
        None => run(serve),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::complain(&format!("{NAME}: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> anyhow::Result<()> {
    let filter = log::filter(&serve.log_level).with_context(|| format!("--log-level {}", serve.log_level))?;
    tracing_subscriber::registry().with(log::output(NAME, serve.log_format).with_filter(filter)).init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(dashboard(serve))
}

async fn dashboard(serve_at: Serve) -> anyhow::Result<()> {
    let (mut reload, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    hangup::release()?;
    let notifier = Notifier::from_environment()?;
    let brains = serve_at.brains().map_err(anyhow::Error::msg)?;
    let brains: Vec<_> = brains
        .into_iter()
        .map(|(name, address)| Arc::new(Brain::new(&name, address, serve_at.tls.clone())))
        .collect();
    let tls = match (&serve_at.https_cert, &serve_at.https_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Tls::new(cert.clone(), key.clone())?)),
        (None, None) => None,
        _ => bail!("--https-cert and --https-key belong together: give both or none"),
    };
    let listeners = listeners(&serve_at, tls.as_ref()).await?;
    let Serve { users, proxy_header, hosts, .. } = serve_at;
    let access = Access::new(Settings { users, proxy_header, hosts })?;
    let (streams, control) = (CancellationToken::new(), Control::new());
    let epoch =
        getrandom::u64().map_err(|error| anyhow::anyhow!("the kernel gives no random numbers: {error}"))?;
    let live = Arc::new(Live::new(epoch, streams.clone()));
    let planner = Planner::new(brains.clone(), live.metrics.clone());
    let shared = Arc::new(Dashboard { live: Arc::clone(&live), access, planner });
    // None of these ends by itself: if one does, it has panicked, and so the process ends.
    let mut tasks = JoinSet::new();
    for brain in brains {
        let live = Arc::clone(&live);
        tasks.spawn(async move { brain.follow(&live).await });
    }
    tasks.spawn(async move { live.publish().await });
    let mut servers = JoinSet::new();
    for listener in listeners {
        servers.spawn(serve(listener, routes(Arc::clone(&shared)), control.clone()));
    }
    notifier.status(&format!("{} load balancers", shared.planner.brains.len()));
    let alive = keep_alive(&notifier);
    tokio::pin!(alive);
    let mut watched = true;
    loop {
        tokio::select! {
            () = &mut alive, if watched => watched = false,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => {
                notifier.reloading();
                read_again(&shared, tls.as_deref());
                notifier.ready();
            }
            Some(ended) = tasks.join_next() => return ended.context("a task failed"),
            Some(ended) = servers.join_next() => return ended?.context("a server failed"),
        }
    }
    info!("ending");
    notifier.stopping();
    // First, for they would not end by themselves.
    streams.cancel();
    control.graceful_shutdown(Some(LAST));
    while let Some(ended) = servers.join_next().await {
        ended?.context("a server failed")?;
    }
    Ok(())
}

/// Those of the service manager, or those that were named.
async fn listeners(serve: &Serve, tls: Option<&Arc<Tls>>) -> anyhow::Result<Vec<Listener>> {
    let given = inherited()?;
    let mut listeners = Vec::new();
    if given.is_empty() {
        for address in &serve.listen {
            listeners.push(Listener::bind(address, tls).await?);
        }
    }
    for (socket, address) in given {
        listeners.push(Listener::of(socket, address, tls)?);
    }
    Ok(listeners)
}

/// Users and certificates. What cannot be used is told, and what there was holds.
fn read_again(dashboard: &Dashboard, tls: Option<&Tls>) {
    match dashboard.access.reload() {
        Ok(()) => info!("users read again"),
        Err(error) => error!(%error, "the users file is not taken"),
    }
    match tls.map(Tls::reload) {
        Some(Ok(())) => info!("certificate read again"),
        Some(Err(error)) => error!(%error, "the certificate is not taken"),
        None => {}
    }
}
