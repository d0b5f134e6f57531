//! The demo: every process for real, and a story of drains, failures and recoveries.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use clap::builder::FalseyValueParser;
use maglev_tests::dashboard::{Dashboard, USER};
use maglev_tests::stack::{Stack, VPP_RUN_DIR};
use maglev_tests::traffic::{Connection, Tally, Traffic};
use maglev_tests::{guard, maglevc, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

// Where nobody reads any more, the story goes on: the standard library's macros would panic.
macro_rules! print { ($($text:tt)*) => { drop(write!(std::io::stdout(), $($text)*)) } }
macro_rules! println { ($($text:tt)*) => { drop(writeln!(std::io::stdout(), $($text)*)) } }
macro_rules! eprintln { ($($text:tt)*) => { drop(writeln!(std::io::stderr(), $($text)*)) } }

/// Starts a simulated VPP, maglev-dpagent, maglev-brain, maglev-dashboard and five web servers as real processes, sends
/// real requests to a VIP, and shows which server answers while servers are drained, killed and restarted.
///
/// All files are in one temporary directory, which is removed however the demo ends.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run the story once and exit: 0 if every step went as it should
    #[arg(long, env = "MAGLEV_DEMO_ONCE", value_parser = FalseyValueParser::new())]
    once: bool,

    /// Program a running VPP instead of the simulator: the directory of its api.sock and stats.sock. It must
    /// have no VIPs yet; the demo's are removed at the end
    #[arg(long, env = VPP_RUN_DIR, value_name = "DIR")]
    vpp_run_dir: Option<OsString>,

    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Debug, clap::Subcommand)]
enum Hidden {
    /// Ends the parent's child processes once the parent is gone.
    #[command(name = guard::SUBCOMMAND, hide = true)]
    Guard,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.hidden {
        Some(Hidden::Guard) => guard::run(),
        None => demo(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            result = play(arguments) => result,
            _ = interrupt.recv() => { println!("\nInterrupted: cleaning up."); Ok(()) }
            _ = terminate.recv() => { println!("\nTerminated: cleaning up."); Ok(()) }
        }
    })
}

async fn play(arguments: &Arguments) -> anyhow::Result<()> {
    // Only under cargo are programs built first.
    let building = if std::env::var_os("CARGO").is_some() { "Building and starting" } else { "Starting" };
    println!("{building} VPP's simulator, agent, brain and web servers ...");
    // An empty variable means no such VPP.
    let vpp_run_dir =
        arguments.vpp_run_dir.clone().filter(|directory| !directory.is_empty()).map(PathBuf::from);
    let mut stack = Stack::start_with(vpp_run_dir).await?;
    let dashboard = Dashboard::start(&mut stack, &[]).await?;
    println!("Watch it in a browser: {}", dashboard.url("/view/"));
    let mut story = Story::new(stack).await?;
    story.tell().await?;
    story.summary();
    if arguments.once {
        return Ok(());
    }
    story.how_to_go_on(&dashboard);
    std::future::pending().await
}

struct Story {
    stack: Stack,
    /// Absent where VPP does not forward what loopback addresses send each other.
    traffic: Option<Traffic>,
    total: Tally,
}

impl Story {
    async fn new(stack: Stack) -> anyhow::Result<Self> {
        let asker = stack.asker()?;
        // The given VPP may be a simulator too; only a request shows whether it forwards.
        let traffic = if stack.simulated() || asker.ask().await.is_ok() {
            Some(Traffic::start(asker, Duration::from_millis(4)))
        } else {
            None
        };
        Ok(Self { stack, traffic, total: Tally::default() })
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        heading("A VIP with two pools: web1, web2 and web3 serve; spare1 and spare2 stand by");
        if self.traffic.is_none() {
            println!(
                "\nThis VPP does not forward between loopback addresses: its table is shown, without requests."
            );
        }
        self.phase("Requests are spread by weight: 100, 100 and 50", &["web1", "web2", "web3"]).await?;
        self.wait_for_flows().await?;
        self.command(&["show", "frontends"]).await?;
        self.command(&["show", "frontends", "www"]).await?;
        self.command(&["show", "vpp", "lb", "state"]).await?;

        heading("web2 is drained for maintenance: no new flows, existing ones finish");
        let open = self.connection_to("web2").await?;
        self.command(&["set", "backend", "web2", "pause"]).await?;
        self.switch(&["web1", "web3"]).await?;
        if let Some(mut open) = open {
            ensure!(
                open.ask().await.as_deref() == Ok("web2"),
                "an open connection left web2 while it drained"
            );
            println!("  A connection opened before the drain is still served by web2.");
        }
        self.phase("New requests go to the others", &["web1", "web3"]).await?;
        self.command(&["set", "backend", "web2", "resume"]).await?;
        self.switch(&["web1", "web2", "web3"]).await?;

        heading("web3 runs a new release: it gets a small share first, as a canary");
        let canary = ["set", "frontend", "www", "pool", "primary", "backend", "web3", "weight", "5"];
        self.command(&canary).await?;
        self.switch(&["web1", "web2", "web3"]).await?;
        self.phase("One request in 40 goes to web3", &["web1", "web2", "web3"]).await?;
        self.command(&["clear", "override", "frontend", "www", "pool", "primary", "backend", "web3"]).await?;
        self.switch(&["web1", "web2", "web3"]).await?;
        self.phase("It works: web3 is back at its configured weight", &["web1", "web2", "web3"]).await?;

        heading("web1 is killed");
        self.stack.kill("web1")?;
        self.failure(&["web2", "web3"]).await?;
        self.phase("web2 and web3 share its flows", &["web2", "web3"]).await?;

        heading("web2 and web3 are killed too: the whole primary pool is down");
        self.stack.kill("web2")?;
        self.stack.kill("web3")?;
        self.failure(&["spare1", "spare2"]).await?;
        self.phase("The fallback pool has taken over", &["spare1", "spare2"]).await?;

        heading("The primary pool is started again");
        for name in ["web1", "web2", "web3"] {
            self.stack.start_backend(name)?;
        }
        self.switch(&["web1", "web2", "web3"]).await?;
        self.phase("It serves again", &["web1", "web2", "web3"]).await?;

        heading("The brain is killed with SIGKILL: VPP keeps forwarding");
        let writes = self.stack.writes()?;
        self.stack.kill("brain")?;
        self.requests("No brain, no failed request", &["web1", "web2", "web3"]).await?;
        self.stack.start_brain()?;
        self.stack.wait_synced().await?;
        let more = self.stack.writes()? - writes;
        ensure!(more == 0, "the brain wrote {more} changes to VPP although nothing had changed");
        self.phase("The brain is back and wrote nothing to VPP", &["web1", "web2", "web3"]).await
    }

    /// Waits until the agent's reading of VPP has pinned flows, so that the first table shows them.
    async fn wait_for_flows(&self) -> anyhow::Result<()> {
        if self.traffic.is_none() {
            return Ok(());
        }
        let look = || async { Ok((self.stack.flows().await? > 0).then_some(())) };
        wait::until("pinned flows", look).await.map_err(|error| self.stack.explain(&error))
    }

    /// A client whose one connection is served by this backend.
    async fn connection_to(&self, backend: &str) -> anyhow::Result<Option<Connection>> {
        if self.traffic.is_none() {
            return Ok(None);
        }
        for _ in 0..200 {
            let mut client = self.stack.asker()?.keeping_its_connection();
            if client.ask().await.as_deref() == Ok(backend) {
                return Ok(Some(client));
            }
        }
        bail!("none of 200 connections went to {backend}")
    }

    /// Waits until VPP has followed a failure. Requests may fail until then, and not afterwards.
    async fn failure(&mut self, backends: &[&str]) -> anyhow::Result<()> {
        let started = Instant::now();
        self.stack.wait_serving(backends).await?;
        println!("  Detected, and programmed in VPP, after {:.0} ms.", started.elapsed().as_secs_f64() * 1e3);
        if let Some(traffic) = &self.traffic {
            let meanwhile = traffic.take();
            println!(
                "  Until then: {} requests answered, {} failed.",
                meanwhile.answered(),
                meanwhile.failed()
            );
            self.total.add(&meanwhile);
            // A request to the dead server may still be in flight.
            let last = settled(traffic).await?;
            self.total.add(&last);
        }
        Ok(())
    }

    /// Waits until VPP has followed a change by which no request may fail.
    async fn switch(&mut self, backends: &[&str]) -> anyhow::Result<()> {
        self.stack.wait_serving(backends).await?;
        let Some(traffic) = &self.traffic else {
            return Ok(());
        };
        // A request may still be in flight.
        let mut meanwhile = traffic.take();
        meanwhile.add(&settled(traffic).await?);
        self.total.add(&meanwhile);
        ensure!(meanwhile.failed() == 0, "requests failed during a planned change: {:?}", meanwhile.failures);
        Ok(())
    }

    /// Sends requests while nothing changes: none may fail, and exactly these backends answer.
    async fn requests(&mut self, what: &str, backends: &[&str]) -> anyhow::Result<()> {
        let Some(traffic) = &self.traffic else {
            return Ok(());
        };
        println!("\n{what}:");
        wait::until("400 requests", || async { Ok((traffic.look().sent() >= 400).then_some(())) }).await?;
        let tally = traffic.take();
        print_tally(&tally, None);
        self.total.add(&tally);
        ensure!(tally.failed() == 0, "requests failed although nothing changed: {:?}", tally.failures);
        let mut expected = backends.to_vec();
        expected.sort_unstable();
        ensure!(tally.who() == expected, "{:?} answered instead of {expected:?}", tally.who());
        Ok(())
    }

    async fn phase(&mut self, what: &str, backends: &[&str]) -> anyhow::Result<()> {
        let buckets = self.stack.wait_serving(backends).await?;
        if self.traffic.is_none() {
            println!("\n{what}:");
        }
        self.requests(what, backends).await?;
        let shares: Vec<_> = buckets.iter().map(|(name, buckets)| format!("{name} {buckets}")).collect();
        println!("  Buckets in VPP: {}", shares.join(", "));
        Ok(())
    }

    async fn command(&self, words: &[&str]) -> anyhow::Result<()> {
        println!("\n$ maglevc {}", words.join(" "));
        print!("{}", maglevc::run(&self.stack.brain_socket(), words).await?);
        Ok(())
    }

    fn summary(&mut self) {
        heading("Summary");
        let Some(traffic) = &self.traffic else {
            println!("VPP's table followed every step. The story held.");
            return;
        };
        self.total.add(&traffic.take());
        print_tally(&self.total, Some(self.total.sent()));
        println!("Requests failed only while a killed server was not yet detected. The story held.");
    }

    fn how_to_go_on(&self, dashboard: &Dashboard) {
        let stack = &self.stack;
        let (directory, brain) = (stack.directory().display(), stack.brain_socket());
        let own = std::env::current_exe().ok();
        let programs = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        heading("Everything stays up, with traffic, until Ctrl-C. In another terminal:");
        println!("  export MAGLEV_SERVER=unix:{}", brain.display());
        println!("  export PATH={}:$PATH", programs.display());
        println!();
        println!("  maglevc show frontends www");
        println!("  maglevc show backends");
        println!("  maglevc watch events                  # leave it running in a third terminal");
        println!("  maglevc set backend web1 pause        # drain: its flows finish");
        println!("  maglevc set backend web1 resume");
        if let (Some(pid), Some(address)) = (stack.pid("web1"), stack.backend("web1")) {
            println!("  kill {pid:<33}# web1; watch it leave the table");
            println!("  demo-backend --name web1 --listen {address}   # web1 again, until Ctrl-C");
        }
        println!("  maglevc                               # a shell: ? lists what can follow, Tab completes");
        if stack.simulated() {
            println!("  for i in $(seq 100); do curl -s http://{}/; done | sort | uniq -c", stack.vip());
        }
        println!("  curl http://{}/metrics", stack.metrics());
        println!();
        println!("  In a browser: {} to look,", dashboard.url("/view/"));
        println!(
            "  {} to make changes, as {} with the password: {}",
            dashboard.url("/admin/"),
            USER.0,
            USER.1
        );
        println!();
        println!("  configuration     {}", stack.config().display());
        println!("  logs              {directory}/*.log");
        println!("  brain's gRPC      {}", brain.display());
        println!("  agent             {}", stack.agent_socket().display());
        println!("  VPP               {}/api.sock, stats.sock", stack.vpp_run_dir().display());
        if stack.simulated() {
            println!("  VPP's messages    {}", stack.api_trace().display());
        }
    }
}

/// Waits until the request in flight has ended, and one after it.
async fn settled(traffic: &Traffic) -> anyhow::Result<Tally> {
    wait::until("two requests", || async { Ok((traffic.look().sent() >= 2).then_some(())) })
        .await
        .context("no requests any more")?;
    Ok(traffic.take())
}

fn heading(text: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m== {text}\x1b[0m");
    } else {
        println!("\n== {text}");
    }
}

fn print_tally(tally: &Tally, sent: Option<u64>) {
    if let Some(sent) = sent {
        println!("  {sent} requests sent, {} answered, {} failed.", tally.answered(), tally.failed());
    }
    for (name, count) in &tally.answers {
        let share = *count as f64 * 100.0 / tally.sent().max(1) as f64;
        println!("  {name:<8} {count:>6}  {share:>5.1} %");
    }
    for (kind, count) in &tally.failures {
        println!("  {kind:<8} {count:>6}  failed");
    }
}
