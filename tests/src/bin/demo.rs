//! The demo: everything as real processes, and the story of a backend that dies.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use clap::builder::FalseyValueParser;
use maglev_tests::dashboard::{Dashboard, USER};
use maglev_tests::stack::{Stack, VPP_RUN_DIR};
use maglev_tests::traffic::{Tally, Traffic};
use maglev_tests::{guard, maglevc, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

// Where nobody reads any more, the story goes on: the standard library's macros would panic.
macro_rules! print { ($($text:tt)*) => { drop(write!(std::io::stdout(), $($text)*)) } }
macro_rules! println { ($($text:tt)*) => { drop(writeln!(std::io::stdout(), $($text)*)) } }
macro_rules! eprintln { ($($text:tt)*) => { drop(writeln!(std::io::stderr(), $($text)*)) } }

/// Starts a simulated VPP, maglev-dpagent, maglev-brain, maglev-dashboard and some web servers as real processes, sends real
/// requests to a VIP, and shows who answers while web servers die and come back.
///
/// Everything lies in one temporary directory, and is gone at the end, whichever way the demo ends.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run the story once and end, with an exit code that says whether it held
    #[arg(long, env = "MAGLEV_DEMO_ONCE", value_parser = FalseyValueParser::new())]
    once: bool,

    /// Directory with api.sock and stats.sock of a VPP that runs already, to be programmed instead of the
    /// simulator. Its VIPs are removed at the end. A VPP that has VIPs already is left alone
    #[arg(long, env = VPP_RUN_DIR, value_name = "DIR")]
    vpp_run_dir: Option<OsString>,

    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Debug, clap::Subcommand)]
enum Hidden {
    /// Ends what its parent started, once the parent is gone.
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
    println!("Building what is not built yet, and starting everything ...");
    // An empty variable means no such VPP.
    let vpp_run_dir =
        arguments.vpp_run_dir.clone().filter(|directory| !directory.is_empty()).map(PathBuf::from);
    let mut stack = Stack::start_with(vpp_run_dir).await?;
    let dashboard = Dashboard::start(&mut stack, &[]).await?;
    println!("Watch it in a browser: {}", dashboard.url("/view/"));
    let mut story = Story::new(stack).await?;
    story.tell().await?;
    story.summary()?;
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
        // A VPP that is not ours may be a simulator as well: whether it forwards is seen by asking.
        let traffic = if stack.simulated() || asker.ask().await.is_ok() {
            Some(Traffic::start(asker, Duration::from_millis(4)))
        } else {
            None
        };
        Ok(Self { stack, traffic, total: Tally::default() })
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        heading("Everything runs. This is what an operator sees:");
        self.command(&["show", "frontends"]).await?;
        self.command(&["show", "frontends", "www"]).await?;
        self.command(&["show", "vpp", "lb", "state"]).await?;
        if self.traffic.is_none() {
            println!(
                "\nThis VPP does not serve loopback addresses: no requests are sent; its table is shown instead."
            );
        }
        self.phase("The primary pool serves, by its weights of 100, 100 and 50", &["web1", "web2", "web3"])
            .await?;

        heading("web1 is killed.");
        self.stack.kill("web1")?;
        self.change(&["web2", "web3"]).await?;
        self.phase("web2 and web3 share its flows", &["web2", "web3"]).await?;

        heading("web2 and web3 are killed: the whole primary pool is gone.");
        self.stack.kill("web2")?;
        self.stack.kill("web3")?;
        self.change(&["spare1", "spare2"]).await?;
        self.phase("The fallback pool has taken over", &["spare1", "spare2"]).await?;

        heading("The primary pool is started again.");
        for name in ["web1", "web2", "web3"] {
            self.stack.start_backend(name)?;
        }
        self.return_of(&["web1", "web2", "web3"]).await?;
        self.phase("It serves again", &["web1", "web2", "web3"]).await?;

        heading("The brain is killed with SIGKILL. VPP keeps forwarding:");
        let writes = self.stack.writes()?;
        self.stack.kill("brain")?;
        self.requests("Nobody decides, everybody is served", &["web1", "web2", "web3"]).await?;
        self.stack.start_brain()?;
        self.stack.wait_synced().await?;
        let more = self.stack.writes()? - writes;
        ensure!(more == 0, "the brain wrote {more} changes to VPP although nothing had changed");
        self.phase("The brain is back, and wrote nothing to VPP", &["web1", "web2", "web3"]).await
    }

    /// Waits until VPP follows a failure. Until then requests may fail; afterwards they may not.
    async fn change(&mut self, backends: &[&str]) -> anyhow::Result<()> {
        let started = Instant::now();
        self.stack.wait_serving(backends).await?;
        println!("  VPP followed after {:.0} ms.", started.elapsed().as_secs_f64() * 1e3);
        if let Some(traffic) = &self.traffic {
            let meanwhile = traffic.take();
            println!(
                "  Until then: {} requests answered, {} failed.",
                meanwhile.answered(),
                meanwhile.failed()
            );
            self.total.add(&meanwhile);
            // A request that was sent to a server of before may still be under way.
            let last = settled(traffic).await?;
            self.total.add(&last);
        }
        Ok(())
    }

    /// Waits until VPP follows a return, during which nothing may fail.
    async fn return_of(&mut self, backends: &[&str]) -> anyhow::Result<()> {
        let started = Instant::now();
        self.stack.wait_serving(backends).await?;
        println!("  VPP followed after {:.0} ms.", started.elapsed().as_secs_f64() * 1e3);
        if let Some(traffic) = &self.traffic {
            let meanwhile = traffic.take();
            self.total.add(&meanwhile);
            ensure!(
                meanwhile.failed() == 0,
                "requests failed while servers came back: {:?}",
                meanwhile.failures
            );
            let last = settled(traffic).await?;
            ensure!(last.failed() == 0, "requests failed while servers came back: {:?}", last.failures);
            self.total.add(&last);
        }
        Ok(())
    }

    /// Requests while nothing changes: none may fail, and just these backends answer.
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

    fn summary(&mut self) -> anyhow::Result<()> {
        heading("Summary");
        let Some(traffic) = self.traffic.take() else {
            println!("The table of VPP followed every step. The story held.");
            return Ok(());
        };
        self.total.add(&traffic.take());
        print_tally(&self.total, Some(self.total.sent()));
        println!("Requests failed only between a server's death and VPP's following it. The story held.");
        Ok(())
    }

    fn how_to_go_on(&self, dashboard: &Dashboard) {
        let stack = &self.stack;
        let (directory, brain) = (stack.directory().display(), stack.brain_socket());
        let own = std::env::current_exe().ok();
        let programs = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        heading("Everything stays up until Ctrl-C. In another terminal:");
        println!("  export MAGLEV_SERVER=unix:{}", brain.display());
        println!("  export PATH={}:$PATH", programs.display());
        println!("  maglevc show frontends www");
        println!("  maglevc show backends");
        println!("  maglevc show vpp lb state");
        println!("  maglevc watch events");
        println!("  maglevc set backend web1 pause");
        println!("  maglevc       # a shell: ? tells what can follow, Tab completes");
        println!("  curl http://{}/metrics", stack.metrics());
        if stack.simulated() {
            println!("  curl http://{}/", stack.vip());
            println!("  for i in $(seq 100); do curl -s http://{}/; done | sort | uniq -c", stack.vip());
        }
        if let Some(pid) = stack.pid("web1") {
            println!("  kill {pid}     # web1; watch it leave the table");
        }
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

/// Waits until the request that was under way has ended, and one after it.
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

fn print_tally(tally: &Tally, sent: Option<u32>) {
    if let Some(sent) = sent {
        println!("  {sent} requests sent, {} answered, {} failed.", tally.answered(), tally.failed());
    }
    for (name, count) in &tally.answers {
        let share = f64::from(*count) * 100.0 / f64::from(tally.sent().max(1));
        println!("  {name:<8} {count:>6}  {share:>5.1} %");
    }
    for (kind, count) in &tally.failures {
        println!("  {kind:<8} {count:>6}  failed");
    }
}
