//! The maglev-brain process: arguments, logs, signals, and the order of startup and shutdown.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use clap::builder::FalseyValueParser;
use maglev_brain::controller::{self, Controller, Remembered, Setup};
use maglev_brain::fleet::settings::{self, Settings};
use maglev_brain::fleet::{self, Fleet};
use maglev_brain::grpc::{self, Gate, Opened, Service, TlsSource, serve};
use maglev_brain::logs::{self, LogTap};
use maglev_brain::metrics::{self, Exporter, MetricsAddress};
use maglev_brain::reload::{self, Applied, Reloader, Started};
use maglev_brain::service::{self, InheritedSocket, Unserved};
use maglev_brain::state::mirrors::Mirrors;
use maglev_brain::state::{self, StateDirectory};
use maglev_brain::{agent, netns, open_files};
use maglev_daemon::address::socket_path;
use maglev_daemon::blocking::Blocking;
use maglev_daemon::notify::{Notifier, keep_alive};
use maglev_daemon::vital::{died, vital};
use maglev_daemon::{hangup, log, print};
use maglev_engine::config::{self, LoadError, Loaded};
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};

/// Checks backends, decides where new flows of each VIP may go, and has maglev-dpagent program VPP.
///
/// It needs no privileges, and may be stopped and started at any time: VPP keeps forwarding with what it has.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Configuration file, YAML
    #[arg(long, env = "MAGLEV_CONFIG", value_name = "FILE", default_value = "/etc/maglev/maglev.yaml")]
    config: PathBuf,

    /// Unix socket of maglev-dpagent [default: /run/maglev/dpagent.sock]. With --check, asks it what VPP can express
    #[arg(long, env = "MAGLEV_AGENT", value_parser = socket_path, value_name = "PATH")]
    agent: Option<PathBuf>,

    #[command(flatten)]
    operators: grpc::Arguments,

    /// Address of the Prometheus exporter: ADDRESS:PORT, or off
    #[arg(long, env = "MAGLEV_METRICS", value_name = "ADDR", default_value = "127.0.0.1:17091")]
    metrics: MetricsAddress,

    /// Directory for operators' overrides (paused and disabled backends, weights) and the history
    #[arg(long, env = "MAGLEV_STATE_DIR", value_name = "DIR", default_value = "/var/lib/maglev")]
    state_dir: PathBuf,

    /// Settings of this member of a fleet, YAML: several load balancers with one configuration, through etcd. With --check,
    /// they are checked, too [default: not in a fleet]
    #[arg(long, env = "MAGLEV_FLEET", value_name = "FILE")]
    fleet: Option<PathBuf>,

    /// Only check the configuration. Exit code 0: valid, 1: cannot be parsed, 2: not valid
    #[arg(long, env = "MAGLEV_CHECK", value_parser = FalseyValueParser::new())]
    check: bool,

    /// Print the JSON Schema of the configuration, for editors
    #[arg(long, conflicts_with = "check")]
    print_schema: bool,

    /// Log level: error, warn, info, debug, trace, or a filter such as info,maglev_brain::agent=debug
    #[arg(long, env = "MAGLEV_LOG", value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// Format of log lines, unless they go to the journal
    #[arg(long, env = "MAGLEV_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "logfmt")]
    log_format: log::Format,
}

/// The system's allocator keeps what a configuration took while it was read, between what lives on: with 10,000 backends,
/// a third more memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const NAME: &str = "maglev-brain";

/// Default path of the agent's socket.
const AGENT: &str = "/run/maglev/dpagent.sock";

/// How long a shutdown waits for gRPC calls in progress.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// Number of threads that serve operators and talk to the agent.
const SERVICE_THREADS: usize = 2;

const EXAMPLES: &str = "\
Examples:
  maglev-brain --config maglev.yaml --check
  maglev-brain --config maglev.yaml --agent /run/maglev/dpagent.sock --grpc 127.0.0.1:17090
  maglevc --server 127.0.0.1:17090 show frontends";

fn main() -> ExitCode {
    let arguments = match print::arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(error) => return print::explain(NAME, &error),
    };
    if arguments.print_schema {
        return print::answer(NAME, &config::schema_text());
    }
    // A SIGHUP that arrives before it is handled would end the process.
    if let Err(error) = hangup::hold() {
        print::complain(&format!("{NAME}: cannot block SIGHUP: {error}\n"));
    }
    let done = if arguments.check { check(&arguments) } else { start(arguments).map(|()| ExitCode::SUCCESS) };
    done.unwrap_or_else(|error| match error.downcast_ref::<LoadError>() {
        Some(refused) => {
            print::complain(&format!("{refused}\n"));
            ExitCode::from(refused.exit_code())
        }
        None => {
            print::complain(&format!("{NAME}: {error:#}\n"));
            ExitCode::FAILURE
        }
    })
}

fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut loaded = load(&arguments.config)?;
    if let Some(socket) = &arguments.agent {
        match controller::runtime()?.block_on(agent::dialect(socket, instance()?)) {
            Ok(dialect) => reload::check_against(&mut loaded, dialect),
            Err(reason) => {
                print::complain(&format!("not checked against the abilities of VPP: {reason}\n\n"));
            }
        }
    }
    for warning in &loaded.warnings {
        print::complain(&format!("{warning}\n\n"));
    }
    if let Some(file) = &arguments.fleet {
        let path = file.clone();
        in_time("reading the fleet's settings", move || settings::load(&path))??;
    }
    Ok(print::answer(NAME, &format!("{}: {}\n", arguments.config.display(), summary(&loaded))))
}

/// Loads the file, with a time limit.
fn load(file: &Path) -> anyhow::Result<Loaded> {
    let path = file.to_owned();
    let loaded = in_time("reading the configuration", move || reload::load(&path));
    Ok(loaded.with_context(|| file.display().to_string())??)
}

/// Runs a job that may hang on a disk, with a time limit.
fn in_time<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    Ok(controller::runtime()?.block_on(Blocking::new(what, 1, reload::READ_WITHIN).run(work))?)
}

fn summary(loaded: &Loaded) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let config = &loaded.config;
    format!(
        "OK ({}, {}, {}; {})\n{}{}",
        count(config.frontends.len(), "frontend"),
        count(config.backends.len(), "backend"),
        count(config.healthchecks.len(), "health check"),
        count(loaded.warnings.len(), "warning"),
        config.lb.sticky_memory(),
        config.tunnel_load().map_or(String::new(), |load| format!("\n{load}")),
    )
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let fleet = match arguments.fleet.clone() {
        Some(path) => Some(in_time("reading the fleet's settings", move || settings::load(&path))??),
        None => None,
    };
    let path = arguments.state_dir.clone();
    let opened = in_time("reading the state directory", move || open_state(&path)).and_then(|opened| opened);
    let opened = match opened {
        Ok(opened) => opened,
        // Mistakes in the file come first: without one, they may be the reason why there is no state directory either.
        Err(error) => return Err(load(&arguments.config).err().unwrap_or(error)),
    };
    let (path, copies, in_fleet) = (arguments.config.clone(), opened.directory.copies(), fleet.is_some());
    let chosen = in_time("reading the configuration", move || {
        reload::start(&path, copies, in_fleet, SystemTime::now())
    });
    let Started { loaded, applied } = chosen.with_context(|| arguments.config.display().to_string())??;
    let logs = logs::start(&arguments.log_level, arguments.log_format)?;
    opened.log();
    applied.log();
    for warning in &loaded.warnings {
        warn!("{}", warning.summary());
    }
    if let Some(name) = &loaded.config.healthchecker.netns {
        netns::check(name)?;
    }
    open_files::raise_limit(loaded.config.backends.len());
    reload::trust_system(loaded.system.clone());
    // Operators are served on other threads than probes run on, so neither waits for the other.
    let services = Builder::new_multi_thread()
        .worker_threads(SERVICE_THREADS)
        .thread_name("services")
        .enable_all()
        .build()?;
    let mirrors = opened.directory.mirrors();
    let fleet = fleet.map(|settings| (settings, mirrors));
    let setup = Setup {
        config: Arc::new(loaded.config),
        overrides: opened.loaded.overrides,
        history: Some(opened.history),
        state: Some(opened.directory),
        agent_socket: arguments.agent.unwrap_or_else(|| AGENT.into()),
        instance: instance()?,
    };
    let running = run(
        setup,
        (arguments.config, applied, fleet),
        arguments.operators,
        arguments.metrics,
        logs,
        services.handle(),
    );
    let result = controller::runtime()?.block_on(running);
    services.shutdown_background();
    result
}

/// A random number by which the agent recognizes this process's connections. Knowing it is enough to take
/// this brain's place as the writer.
fn instance() -> anyhow::Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("the kernel has no random numbers: {error}"))
}

/// The state directory, and the overrides and the history in it.
struct State {
    directory: StateDirectory,
    loaded: state::Loaded,
    history: Remembered,
}

/// Loads the overrides and the history. An unreadable directory aborts the start: a backend that was taken out of service
/// must not return because a disk is missing. An unwritable one does not.
fn open_state(path: &Path) -> anyhow::Result<State> {
    let hint =
        "choose another directory with --state-dir; without one, overrides would not survive a restart";
    let mut directory = StateDirectory::open(path).context(hint)?;
    let loaded = directory.load().context(hint)?;
    let history = Remembered::load(directory.history());
    Ok(State { directory, loaded, history })
}

impl State {
    fn log(&self) {
        let file = self.directory.file();
        if let Some(damaged) = &self.loaded.damaged {
            for line in &damaged.lines {
                error!(file = %file.display(), %line, "an override cannot be read");
            }
            match &damaged.kept {
                Ok(copy) => {
                    error!(more = damaged.unlisted, copy = %copy.display(), "the damaged file was copied")
                }
                Err(error) => error!(more = damaged.unlisted, %error, "the damaged file could not be copied"),
            }
        }
        for entry in self.loaded.overrides.iter() {
            info!(%entry, "override in effect");
        }
        if let Some(error) = self.directory.unwritable() {
            error!(%error, "overrides cannot be persisted; a restart would undo them");
        }
        if self.loaded.missing {
            info!(file = %file.display(), "no overrides yet");
        }
    }
}

/// Runs the controller, and starts and stops everything else. The process ends when the controller does,
/// which `operators` decides.
async fn run(
    setup: Setup,
    (file, applied, fleet): (PathBuf, Applied, Option<(Settings, Mirrors)>),
    operators: grpc::Arguments,
    metrics: MetricsAddress,
    logs: LogTap,
    services: &Handle,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let notifier = Arc::new(Notifier::from_environment()?);
    let inherited = service::inherited()?;
    let opened = services.spawn(open(operators, inherited.grpc)).await.context("a task panicked")?;
    let doors = opened?;
    hangup::release().context("cannot listen to SIGHUP")?;
    let (frontends, backends) = (setup.config.frontends.len(), setup.config.backends.len());
    info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), frontends, backends, "started");
    let (handle, controller) = controller::start(setup, services, until(stopped.clone()));
    let unserved = handle.unserved.clone();
    let reloader = Reloader::new(file, handle.operator.clone()).started(applied);
    let (reloader, fleet) = match fleet {
        Some((settings, mirrors)) => {
            let reloader = reloader.in_fleet(settings.name.as_str());
            let fleet = fleet::start(settings, mirrors, &handle, reloader.clone(), services, instance()?);
            (reloader, Some(fleet))
        }
        None => (reloader, None),
    };
    let exporter = Exporter::new(&handle).with_fleet(fleet.clone());
    let serving = serve_metrics(metrics, inherited.metrics, exporter, unserved.clone(), stopped.clone());
    services.spawn(vital("metrics server", serving));
    services.spawn(vital("watch over the configuration", reloader.clone().keep_watch()));
    let alive = Arc::clone(&notifier);
    tokio::spawn(vital("the watchdog's", async move { keep_alive(&alive).await }));
    let status = service::tell_status(Arc::clone(&notifier), handle.snapshots.clone(), unserved.watch());
    services.spawn(vital("systemd status", status));
    let operators =
        services.spawn(serve_operators(handle, (reloader, fleet), logs, doors, notifier, (stop, unserved)));
    controller.await;
    operators.await.context("a task panicked")?
}

async fn serve_metrics(
    address: MetricsAddress,
    inherited: Option<TcpListener>,
    exporter: Exporter,
    unserved: Unserved,
    stopped: watch::Receiver<bool>,
) {
    let (inherited, name) = (Mutex::new(inherited), format!("{address} (metrics)"));
    let take = || inherited.lock().unwrap_or_else(PoisonError::into_inner).take();
    let open = || std::future::ready(metrics::open(address, take()));
    tokio::select! {
        listener = unserved.until_open(&name, open) => if let Some(listener) = listener {
            metrics::serve(listener, exporter, until(stopped)).await;
        },
        () = until(stopped.clone()) => {}
    }
}

/// The listening sockets.
struct Doors {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
    gate: Arc<Gate>,
    opened: Opened,
}

/// Opens the sockets, after registering signal handlers, so that a signal during the start is handled, too.
async fn open(operators: grpc::Arguments, inherited: Vec<InheritedSocket>) -> anyhow::Result<Doors> {
    let (reload, terminate, interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let gate = operators.gate()?;
    let opened = operators.open(inherited).await?;
    Ok(Doors { reload, terminate, interrupt, gate, opened })
}

/// Serves until a signal or a failure, then stops everything.
async fn serve_operators(
    handle: Controller,
    (reloader, fleet): (Reloader, Option<Fleet>),
    logs: LogTap,
    doors: Doors,
    notifier: Arc<Notifier>,
    (stop, unserved): (watch::Sender<bool>, Unserved),
) -> anyhow::Result<()> {
    let Doors { reload, mut terminate, mut interrupt, gate, opened } = doors;
    let mut tasks = JoinSet::new();
    let service = Service::new(&handle, reloader.clone()).with_logs(logs).with_fleet(fleet);
    for listener in opened.listeners {
        info!(address = %listener.address(), "serving gRPC");
        tasks.spawn(serve(listener, service.clone(), Arc::clone(&gate), until(stop.subscribe())));
    }
    for missing in opened.missing {
        let (service, gate, unserved, stopped) =
            (service.clone(), Arc::clone(&gate), unserved.clone(), stop.subscribe());
        tasks.spawn(async move {
            let address = missing.address().to_string();
            let missing = &missing;
            tokio::select! {
                listener = unserved.until_open(&address, || missing.open()) => {
                    info!(address = %listener.address(), "serving gRPC");
                    serve(listener, service, gate, until(stopped)).await
                }
                () = until(stopped.clone()) => Ok(()),
            }
        });
    }
    let reloads = reload_on_signal(reload, reloader, opened.tls, Arc::clone(&notifier));
    let reloads = tokio::spawn(vital("configuration reloads", reloads));
    let mut result = Ok(());
    tokio::select! {
        _ = terminate.recv() => info!("terminated; VPP keeps what it has"),
        _ = interrupt.recv() => info!("interrupted; VPP keeps what it has"),
        Some(ended) = tasks.join_next() => {
            result = ended.context("a task panicked").and_then(|ended| Ok(ended?));
            result = result.and_then(|()| bail!("a gRPC server ended unexpectedly"));
        }
        name = died() => result = Err(anyhow!("a vital task panicked: {name}")),
    }
    notifier.stopping();
    reloads.abort();
    stop.send_replace(true);
    let end = async {
        while let Some(ended) = tasks.join_next().await {
            result = result.and(ended.context("a task panicked").and_then(|ended| Ok(ended?)));
        }
        result
    };
    timeout(LAST_CALLS, end).await.unwrap_or_else(|_| {
        warn!("some clients did not disconnect in time; closed their connections");
        Ok(())
    })
}

/// Reloads at each SIGHUP, forever. Signals during a reload cause one more.
async fn reload_on_signal(
    mut signal: Signal,
    reloader: Reloader,
    tls: Option<Arc<TlsSource>>,
    notifier: Arc<Notifier>,
) {
    while signal.recv().await.is_some() {
        notifier.reloading();
        if let Some(tls) = &tls {
            tls.reload().await;
        }
        // The result is in the log.
        drop(reloader.reload().await);
        notifier.ready();
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // Fails only if the sender is gone, which also means shutdown.
    drop(stopped.wait_for(|stopped| *stopped).await);
}
