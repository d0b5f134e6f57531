//! The program `vppsim`.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use clap::builder::FalseyValueParser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use vppsim::api::{Identity, MessageIds, Simulator};
use vppsim::control;
use vppsim::datapath::{DEFAULT_MAX_CONNECTIONS, Datapath};
use vppsim::faults::grammar::Command;
use vppsim::host::Host;
use vppsim::run_dir::RunDir;
use vppsim::server::{Server, TraceFile};
use vppsim::stats::Segment;
use vppsim::stats::memory::Memory;
use vppsim::stats::socket::StatsListener;

/// Simulates VPP 26.10 with its lb plugin
///
/// Behaves as VPP does on two sockets in the run directory: api.sock (the binary API) and stats.sock (the stats
/// segment). Needs no privileges. Programs that control VPP's load balancer can be pointed at it unchanged.
///
/// A TCP VIP on a loopback address (127.0.0.0/8 or ::1) can be used: connections to it are relayed to the application
/// server that the table of the VIP gives, at the VIP's port. Other VIPs exist only in the table.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder for the sockets; made if it is not there
    #[arg(long, env = "MAGLEV_VPPSIM_RUN_DIR", value_name = "DIR")]
    run_dir: PathBuf,

    /// Relay no connections: VIPs exist only in the table
    #[arg(long, env = "MAGLEV_VPPSIM_NO_DATAPATH", value_parser = FalseyValueParser::new())]
    no_datapath: bool,

    /// Most connections that are relayed at once; further ones are reset
    #[arg(long, env = "MAGLEV_VPPSIM_MAX_CONNECTIONS", value_name = "N", default_value_t = DEFAULT_MAX_CONNECTIONS)]
    max_connections: usize,

    /// Append every API message to this file, a JSON object a line
    #[arg(long, env = "MAGLEV_VPPSIM_API_TRACE", value_name = "FILE")]
    api_trace: Option<PathBuf>,

    /// Ids of the messages: "recorded" (as in one real build), "shuffled" or "shuffled:SEED" (as in some other build)
    #[arg(long, env = "MAGLEV_VPPSIM_MESSAGE_IDS", value_name = "IDS", default_value = "recorded")]
    message_ids: MessageIds,

    /// A fault from the start, as "delay 200ms lb_as_set_weight" or "close nth 7"; may be given several times.
    ///
    /// Further ones can be set while it runs, by a line to control.sock in the run directory; the line "help" tells
    /// all of them.
    #[arg(long = "fault", env = "MAGLEV_VPPSIM_FAULTS", value_name = "FAULT", value_delimiter = ';',
          value_parser = starting_fault)]
    faults: Vec<Command>,

    /// What to log, to stderr: error, warn, info, debug or trace, also by module as in "info,vppsim::api=debug"
    #[arg(long, env = "MAGLEV_LOG", value_name = "FILTER", default_value = "info")]
    log_level: EnvFilter,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = arguments.log_level.clone();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    logs.with_ansi(stderr().is_terminal()).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    raise_file_limit(arguments);
    let run_dir = RunDir::claim(&arguments.run_dir)?;
    let trace = arguments
        .api_trace
        .as_ref()
        .map(|path| {
            TraceFile::open(path).with_context(|| format!("cannot open the API trace {}", path.display()))
        })
        .transpose()?;

    let mut simulator = Simulator::new(identity(), arguments.message_ids.clone());
    simulator.set_tracing(trace.is_some());
    let memory = Memory::new().context("cannot make the stats segment")?;
    let boot_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let segment = Segment::new(memory.clone(), boot_time)?;
    let datapath = match arguments.no_datapath {
        true => Datapath::disabled(),
        false => Datapath::new(arguments.max_connections),
    };
    let host = Host::new(simulator, segment, datapath);

    let listening = |path: &std::path::Path| format!("cannot listen at {}", path.display());
    let stats = StatsListener::bind(run_dir.stats()).with_context(|| listening(run_dir.stats()))?;
    let api = UnixListener::bind(run_dir.api()).with_context(|| listening(run_dir.api()))?;
    let control = control::bind(run_dir.control()).with_context(|| listening(run_dir.control()))?;
    for fault in &arguments.faults {
        let done = control::carry_out(&host, fault.clone()).await.context("a --fault cannot be set")?;
        info!("{done}");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Room for one: what follows the first is of no interest.
    let (deadly, mut died) = mpsc::channel(1);
    let server = Server { host: std::sync::Arc::clone(&host), trace, deadly };
    let handing_out = std::sync::Arc::clone(&host);
    tokio::spawn(async move { handing_out.while_not_hung(stats.serve(memory)).await });
    tokio::spawn(control::serve(std::sync::Arc::clone(&host), control));
    tokio::spawn(host.tend());
    tokio::spawn(server.serve(api));
    let ids = arguments.message_ids.name();
    info!(api = %run_dir.api().display(), stats = %run_dir.stats().display(), message_ids = ids, "ready");

    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM received, ending"),
        _ = interrupt.recv() => info!("SIGINT received, ending"),
        Some(reason) = died.recv() => anyhow::bail!("ending as a real VPP would: {reason}"),
    }
    Ok(())
}

/// A relayed connection takes two descriptors, of which many systems allow only 1024 unless asked for more.
fn raise_file_limit(arguments: &Arguments) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    let wanted = u64::try_from(arguments.max_connections).unwrap_or(u64::MAX).saturating_mul(2);
    match raised {
        Ok(most) if arguments.no_datapath || most > wanted => {}
        Ok(most) => warn!(open_files = most, "too few open files are allowed for --max-connections"),
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
}

fn identity() -> Identity {
    Identity {
        pid: std::process::id(),
        version: concat!("26.10-vppsim-", env!("CARGO_PKG_VERSION")).to_owned(),
        build_date: "not a build of VPP".to_owned(),
        build_directory: "vppsim".to_owned(),
    }
}

/// Of the commands those that set a fault.
fn starting_fault(text: &str) -> Result<Command, String> {
    let command = text.parse::<Command>().map_err(|error| error.to_string())?;
    if command.sets_fault() {
        return Ok(command);
    }
    Err(format!("{text:?} sets no fault; while vppsim runs, control.sock takes it"))
}
