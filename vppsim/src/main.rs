//! The program `vppsim`.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::builder::FalseyValueParser;
use maglev_daemon::print;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use vppsim::api::{Identity, LbApi, MessageIds};
use vppsim::control;
use vppsim::datapath::{DEFAULT_MAX_CONNECTIONS, Datapath};
use vppsim::faults::grammar::{Command, MOST_WORKERS, size};
use vppsim::instance::{Instance, Settings};
use vppsim::lb::Startup;

/// Simulates VPP with its lb plugin
///
/// Behaves as VPP does on two sockets in the run directory: api.sock (the binary API) and stats.sock (the stats
/// segment). Needs no privileges. Programs that control VPP's load balancer can be pointed at it unchanged. A third
/// socket, control.sock, makes it misbehave on demand.
///
/// A VIP of TCP or UDP on a loopback address (127.0.0.0/8 or ::1) can be used: what is sent to it is relayed to the
/// application server that the table of the VIP gives, at the VIP's port. Other VIPs exist only in the table.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Directory for the sockets; created if missing
    #[arg(long, env = "MAGLEV_VPPSIM_RUN_DIR", value_name = "DIR")]
    run_dir: PathBuf,

    /// Relay no connections: VIPs exist only in the table
    #[arg(long, env = "MAGLEV_VPPSIM_NO_DATAPATH", value_parser = FalseyValueParser::new())]
    no_datapath: bool,

    /// Maximum number of connections and UDP flows relayed at once; further connections are reset, further flows dropped
    #[arg(long, env = "MAGLEV_VPPSIM_MAX_CONNECTIONS", value_name = "N", default_value_t = DEFAULT_MAX_CONNECTIONS)]
    max_connections: usize,

    /// Append every API message to this file, a JSON object a line
    #[arg(long, env = "MAGLEV_VPPSIM_API_TRACE", value_name = "FILE")]
    api_trace: Option<PathBuf>,

    /// Ids of the messages: "recorded" (as in one real build), "shuffled" or "shuffled:SEED" (as in some other build)
    #[arg(long, env = "MAGLEV_VPPSIM_MESSAGE_IDS", value_name = "IDS", default_value = "recorded")]
    message_ids: MessageIds,

    /// Version of the lb plugin's API: 1.2.0 (VPP 26.10), 1.1.0 (VPP 26.06, without weights), or 1.0.0 (too old for
    /// maglev-dpagent)
    #[arg(long, env = "MAGLEV_VPPSIM_LB_API", value_name = "VERSION", default_value = "1.2.0")]
    lb_api: LbApi,

    /// Size of VPP's main heap, such as 512M; VPP dies if its sticky tables do not fit into it
    #[arg(long, env = "MAGLEV_VPPSIM_HEAP_SIZE", value_name = "SIZE", default_value = "1G", value_parser = size)]
    heap_size: u64,

    /// Number of VPP's worker threads, each with its own sticky table; with 0, the main thread forwards packets
    #[arg(long, env = "MAGLEV_VPPSIM_WORKERS", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_WORKERS)))]
    workers: u32,

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
    let arguments = match print::arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(error) => return print::explain("vppsim", &error),
    };
    let filter = arguments.log_level.clone();
    // A line that cannot be written is lost. The library would say so on stderr, by a macro that panics.
    let logs =
        tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter).with_writer(stderr);
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
    let datapath = match arguments.no_datapath {
        true => Datapath::disabled(),
        false => Datapath::new(arguments.max_connections),
    };
    let mut instance = Instance::start(Settings {
        run_dir: arguments.run_dir.clone(),
        identity: identity(arguments.lb_api),
        message_ids: arguments.message_ids.of_lb_api(arguments.lb_api),
        startup: Startup { heap_size: arguments.heap_size, workers: arguments.workers },
        datapath,
        api_trace: arguments.api_trace.clone(),
    })?;
    for fault in &arguments.faults {
        let done =
            control::carry_out(instance.host(), fault.clone()).await.context("a --fault cannot be set")?;
        info!("{done}");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (api, stats) = (instance.run_dir().api().display(), instance.run_dir().stats().display());
    info!(%api, %stats, message_ids = arguments.message_ids.name(), "ready");

    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM received, ending"),
        _ = interrupt.recv() => info!("SIGINT received, ending"),
        reason = instance.died() => anyhow::bail!("ending as a real VPP would: {reason}"),
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

fn identity(lb_api: LbApi) -> Identity {
    Identity {
        pid: std::process::id(),
        version: format!("{}-vppsim-{}", lb_api.release(), env!("CARGO_PKG_VERSION")),
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
