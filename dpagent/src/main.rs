//! `maglev-dpagent`: see the library's front page.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};
use caps::CapsHashSet;
use clap::Parser;
use clap::builder::FalseyValueParser;
use maglev_daemon::address::socket_path;
use maglev_daemon::notify::Notifier;
use maglev_daemon::vital::died;
use maglev_daemon::{hangup, log, print};
use maglev_dpagent::counters::SERVERS_AGE;
use maglev_dpagent::icmp::{self, Pinger};
use maglev_dpagent::policy::reader::{self, Reader};
use maglev_dpagent::policy::{self, Policy, PolicyError, SharedPolicy};
use maglev_dpagent::privileges::capabilities;
use maglev_dpagent::privileges::identity::Account;
use maglev_dpagent::privileges::seccomp::{Filter, Mode};
use maglev_dpagent::routes::KernelRoutes;
use maglev_dpagent::tunnel::{self, Tunnel};
use maglev_dpagent::{privileges, server, service, vpp};
use nix::unistd::{User, geteuid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const NAME: &str = "maglev-dpagent";

/// Maximum wait for the current call when the agent is stopped. The first sync of 20,000 servers takes VPP
/// 1.5 s (measured on VPP 26.10).
const LAST_CALL: Duration = Duration::from_secs(5);

/// Programs the Maglev load balancer (lb plugin) of the VPP on this machine, as directed by maglev-brain.
///
/// It reads VPP when it starts, and changes nothing on its own: starting, stopping, or losing the brain leaves VPP
/// as it is. It waits for VPP and for the brain, and reconnects by itself. It needs
/// access to VPP's two sockets, which VPP's group has, and CAP_NET_RAW to send echo requests, which it drops as soon as its raw sockets are open. Only if the policy has `routes`, it needs and keeps CAP_NET_ADMIN. The policy file limits what the brain may request.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// VPP's API socket
    #[arg(long, value_name = "PATH", env = "MAGLEV_VPP_API_SOCKET", value_parser = socket_path, default_value = "/run/vpp/api.sock")]
    api_socket: PathBuf,

    /// VPP's stats socket, for counters and VPP's start time
    #[arg(long, value_name = "PATH", env = "MAGLEV_VPP_STATS_SOCKET", value_parser = socket_path, default_value = "/run/vpp/stats.sock")]
    stats_socket: PathBuf,

    /// Socket for maglev-brain; open to the agent's user and group
    #[arg(
        long,
        value_name = "PATH",
        env = "MAGLEV_AGENT_LISTEN", value_parser = socket_path,
        default_value = "/run/maglev/dpagent.sock"
    )]
    listen: PathBuf,

    /// Policy file: limits which prefixes may be VIPs, be application servers and be pinged, and how many. Without
    /// it, nothing is allowed
    #[arg(long, value_name = "PATH", env = "MAGLEV_AGENT_POLICY", default_value = "/etc/maglev/policy.yaml")]
    policy: PathBuf,

    /// TUN device that probes through the tunnel are read from. It must belong to the agent's user; see
    /// healthchecks.md
    #[arg(long, value_name = "NAME", env = "MAGLEV_TUNNEL_DEVICE")]
    tunnel_device: Option<String>,

    /// User that maglev-brain runs as, by name or number; others are refused. Default: this process's own
    #[arg(long, value_name = "USER", env = "MAGLEV_BRAIN_USER")]
    brain_user: Option<String>,

    /// Maximum age of the servers' weights, buckets and flows, in seconds. Reading them holds up VPP's
    /// forwarding for about 1 us a server
    #[arg(long, value_name = "SECONDS", env = "MAGLEV_SERVERS_AGE", default_value_t = SERVERS_AGE.as_secs())]
    servers_age: u64,

    /// User to run as if started by root, in its own group or the one named. It must be able to connect to VPP's
    /// sockets
    #[arg(long, value_name = "NAME[:GROUP]", env = "MAGLEV_AGENT_USER")]
    user: Option<String>,

    /// What happens to a system call that the agent does not need
    #[arg(long, value_name = "MODE", env = "MAGLEV_AGENT_SECCOMP", value_enum, default_value = "enforce")]
    seccomp: Mode,

    /// Only check the policy file. Exit code 0: valid, 1: cannot be read or parsed, 2: not valid
    #[arg(long, env = "MAGLEV_AGENT_CHECK", value_parser = FalseyValueParser::new())]
    check: bool,

    /// Only read the policy file, for the agent that started this process
    #[arg(long, hide = true)]
    read_policy: bool,

    /// Print the version of the protocol between maglev-brain and this program, for the package's scripts
    #[arg(long, hide = true)]
    print_protocol: bool,

    /// Log level: error, warn, info, debug, trace, or a filter such as `info,vppapi=trace`
    #[arg(long, value_name = "FILTER", env = "MAGLEV_LOG", default_value = "info", value_parser = log::filter)]
    log_level: Targets,

    /// Format of log lines, unless they go to the journal
    #[arg(long, env = "MAGLEV_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "logfmt")]
    log_format: log::Format,
}

fn main() -> ExitCode {
    start(Filter::of)
}

/// Runs the program; `filter` returns the system call filter of a mode.
pub(crate) fn start(filter: impl FnOnce(Mode) -> Option<Filter>) -> ExitCode {
    let arguments = match print::arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(error) => return print::explain(NAME, &error),
    };
    if arguments.print_protocol {
        return print::answer(NAME, &format!("{}\n", maglev_protocol::PROTOCOL_VERSION));
    }
    if arguments.check {
        return check(&arguments.policy);
    }
    let failed = |error: anyhow::Error| {
        print::complain(&format!("{NAME}: {error:#}\n"));
        ExitCode::FAILURE
    };
    if let Err(error) = hangup::hold().context("cannot block SIGHUP during the start") {
        return failed(error);
    }
    if arguments.read_policy {
        return read_policy(&arguments).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    let output = log::output(NAME, arguments.log_format);
    tracing_subscriber::registry().with(output).with(arguments.log_level.clone()).init();
    match confine(&arguments, filter).and_then(|opened| serve(arguments, opened)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs as the process that reads the policy for the agent.
fn read_policy(arguments: &Arguments) -> anyhow::Result<()> {
    let account = arguments.user.as_deref().map(Account::find).transpose()?;
    let own = geteuid().as_raw();
    privileges::confine(account.as_ref(), &CapsHashSet::new(), None)?;
    reader::serve(&arguments.policy, own).context("cannot read requests")
}

/// Starts that process, before confinement forbids it.
fn start_reader(arguments: &Arguments) -> anyhow::Result<UnixStream> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's file")?);
    command.arg("--read-policy").arg("--policy").arg(&arguments.policy);
    if let Some(user) = &arguments.user {
        command.arg("--user").arg(user);
    }
    reader::spawn(command).context("cannot start the process that reads the policy again")
}

fn check(path: &Path) -> ExitCode {
    match policy::load(path, geteuid().as_raw()) {
        Ok(policy) => {
            let (vips, servers, ping) = (policy.vips.len(), policy.servers.len(), policy.ping.len());
            let count = format!("prefixes: {vips} for VIPs, {servers} for servers, {ping} to ping");
            print::answer(NAME, &format!("{}: OK ({count}; {})\n", path.display(), policy.limits))
        }
        Err(PolicyError::Wrong { mistakes, .. }) => {
            print::complain(&format!("{}\n", mistakes.join("\n")));
            ExitCode::from(2)
        }
        Err(error) => {
            print::complain(&format!("{NAME}: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// What was opened and read before confinement.
struct Opened {
    process: server::Process,
    policy: Policy,
    /// Connection to the process that reads the policy again.
    reader: UnixStream,
    brain_user: u32,
    /// Sockets for echo requests, or why there are none.
    echo: Result<icmp::Sockets, String>,
    /// Access to the kernel's routes, or why there is none.
    routes: Result<KernelRoutes, String>,
    /// Device and sockets for probes through the tunnel, or why there are none.
    tunnel: Result<tunnel::Opened, String>,
    notifier: Notifier,
}

/// Does everything that needs a privilege or opens a file, then drops those abilities. Runs before tokio
/// starts its threads, since privileges belong to each thread.
fn confine(arguments: &Arguments, filter: impl FnOnce(Mode) -> Option<Filter>) -> anyhow::Result<Opened> {
    let process = server::Process::starts();
    let account = arguments.user.as_deref().map(Account::find).transpose()?;
    let policy = policy(&arguments.policy)?;
    let reader = start_reader(arguments)?;
    let brain_user = arguments.brain_user.as_deref().map(user_id).transpose()?;
    let echo = icmp::open().map_err(|error| {
        warn!("{error}: no echo requests are sent");
        error.to_string()
    });
    let routes = KernelRoutes::open(&policy);
    if let (Some(_), Err(reason)) = (&policy.routes, &routes) {
        warn!(%reason, "routes in the kernel cannot be changed");
    }
    let kept: CapsHashSet = routes.iter().map(|_| capabilities::ROUTES).collect();
    let no_device = || Err("the agent was started without --tunnel-device".to_owned());
    let tunnel = arguments.tunnel_device.as_deref().map_or_else(no_device, |device| {
        tunnel::open(device).map_err(|error| {
            warn!("{error}: no probes are sent through the tunnel");
            error.to_string()
        })
    });
    let notifier = Notifier::from_environment()?;
    let confined = privileges::confine(account.as_ref(), &kept, filter(arguments.seccomp).as_ref())?;
    info!(
        uid = %confined.uid, gid = %confined.gid, seccomp = %arguments.seccomp,
        bounding_set = if confined.bounding.is_empty() { "empty" } else { "without effect" },
        kept = if kept.is_empty() { "none" } else { "CAP_NET_ADMIN" },
        "privileges dropped"
    );
    if confined.uid.is_root() {
        warn!(
            "running as root: even without capabilities it owns root's files; use --user to run as another user"
        );
    }
    if arguments.seccomp != Mode::Enforce {
        warn!("system calls are not restricted; use --seccomp enforce");
    }
    Ok(Opened {
        process,
        policy,
        reader,
        brain_user: brain_user.unwrap_or(confined.uid.as_raw()),
        echo,
        routes,
        tunnel,
        notifier,
    })
}

// A single thread: a call then takes half as long as with many (29-40 us against 65-76 us, measured).
fn serve(arguments: Arguments, opened: Opened) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(run(arguments, opened))
}

async fn run(arguments: Arguments, opened: Opened) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangups = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    hangup::release().context("cannot unblock SIGHUP")?;
    let Opened { process, policy, reader, brain_user, echo, routes, tunnel, notifier } = opened;
    let policy = SharedPolicy::new(policy);
    let mut reader = Reader::new(reader).context("cannot watch the process that reads the policy")?;
    let tunnel = match tunnel {
        Ok(opened) => Ok(Tunnel::start(opened, policy.clone()).context("cannot wait for the TUN device")?.0),
        Err(reason) => Err(reason),
    };
    let pinger = match echo {
        Ok(sockets) => {
            let sockets = match &tunnel {
                Ok(tunnel) => sockets.with_tunnel(tunnel.clone()),
                Err(_) => sockets,
            };
            Ok(Pinger::start(sockets).context("cannot wait for ICMP")?.0)
        }
        Err(reason) => Err(reason),
    };
    let gate = server::Gate { brain_user, policy: policy.clone(), pinger, routes, tunnel, process };
    let listener = server::Listener::bind(&arguments.listen).await?;
    info!(version = env!("CARGO_PKG_VERSION"), listen = %arguments.listen.display(), brain_user, "started");
    let stop = CancellationToken::new();
    let options = vpp::Options {
        api_socket: arguments.api_socket,
        stats_socket: arguments.stats_socket,
        policy: policy.clone(),
        servers_age: Duration::from_secs(arguments.servers_age),
    };
    let (vpp, mut writer) = vpp::start(options, stop.clone());
    let hung_up = async {
        while hangups.recv().await.is_some() {
            reload(&arguments.policy, &mut reader, &policy).await;
        }
    };
    tokio::select! {
        () = hung_up => bail!("SIGHUP cannot be waited for any more"),
        () = server::serve(listener, gate, vpp.clone()) => {}
        () = service::attend(&notifier, &vpp) => {}
        ended = &mut writer => {
            ended.context("the task that writes to VPP failed")?;
            bail!("the task that writes to VPP ended by itself");
        }
        name = died() => bail!("a vital task panicked: {name}"),
        _ = terminated.recv() => info!("ending: SIGTERM"),
        _ = interrupted.recv() => info!("ending: SIGINT"),
    }
    notifier.stopping();
    stop.cancel();
    match timeout(LAST_CALL, &mut writer).await {
        Ok(ended) => ended.context("the task that writes to VPP failed")?,
        Err(_) => warn!("the call in progress was aborted; the next full sync completes it"),
    }
    info!("ended; VPP keeps what it has");
    Ok(())
}

/// Loads the policy file again; an invalid file leaves the policy unchanged.
async fn reload(path: &Path, reader: &mut Reader, policy: &SharedPolicy) {
    let read = match reader.read().await {
        Ok(text) => policy::parse(&text, &path.display().to_string()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(new) if new == *policy.current() => {
            info!(policy = %path.display(), "policy reloaded: nothing changed")
        }
        Ok(new) => {
            let (vips, servers, ping) = (new.vips.len(), new.servers.len(), new.ping.len());
            info!(policy = %path.display(), vips, servers, ping, limits = %new.limits, "policy reloaded");
            policy.replace(new);
        }
        Err(reason) => error!(%reason, "policy not reloaded: the current one stays in use"),
    }
}

/// Loads a policy file; without a file, returns a policy that allows nothing.
fn policy(path: &Path) -> anyhow::Result<Policy> {
    match policy::load(path, geteuid().as_raw()) {
        Ok(policy) => {
            let (vips, servers, ping) = (policy.vips.len(), policy.servers.len(), policy.ping.len());
            info!(policy = %path.display(), vips, servers, ping, limits = %policy.limits, "prefixes allowed");
            Ok(policy)
        }
        Err(error @ PolicyError::Missing { .. }) => {
            let example = policy::EXAMPLE;
            warn!(
                "{error}: nothing is allowed. Write one as root, for example:\n{example}and reload the agent (SIGHUP)"
            );
            Ok(Policy { source: format!("{} (missing)", path.display()), ..Policy::default() })
        }
        Err(error) => Err(error.into()),
    }
}

fn user_id(user: &str) -> anyhow::Result<u32> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let found = User::from_name(user).with_context(|| format!("cannot look up the user {user}"))?;
    let found = found.with_context(|| format!("--brain-user: there is no user {user}"))?;
    Ok(found.uid.as_raw())
}
