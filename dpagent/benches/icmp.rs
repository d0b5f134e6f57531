//! Echo requests a second to this machine's own kernel, over loopback, and their CPU cost. Needs
//! `CAP_NET_RAW`.
//!
//! `cargo bench -p maglev-dpagent --bench icmp`
//!
//! The baseline is a bare loop of the same system calls with the same packets, without looking at the
//! replies. Everything runs on one thread, as in the agent; its CPU time includes the kernel's part, which on
//! loopback also generates the replies.

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::future::join_all;
use maglev_dpagent::icmp::packet::{EchoId, write_request};
use maglev_dpagent::icmp::{Pinger, open};
use maglev_protocol::{EchoOutcome, EchoRequest};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const TARGETS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const SIZE: u16 = 56;
const IN_FLIGHT: usize = 1000;
/// Number of echo requests per row.
const ECHOES: usize = 200_000;
/// Echo requests a second in the paced rows, and their duration.
const PACE: usize = 10_000;
const PACED: Duration = Duration::from_secs(5);
/// The number that the agent sends before it receives.
const BATCH: usize = 16;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = std::io::stdout();
    writeln!(out, "{:<36}{:>10}{:>12}{:>7}{:>11}{:>11}", "", "echoes/s", "CPU/echo", "CPU", "p50", "p99")?;
    runtime.block_on(async {
        // Measured first, before there is another raw socket that the kernel would copy each reply to.
        for target in TARGETS {
            writeln!(out, "{:<36}{}", format!("{target}, floor"), measure(floor(target)).await?)?;
        }
        let (pinger, _task) = Pinger::start(open()?)?;
        for target in TARGETS {
            let row = measure(full_speed(&pinger, target)).await?;
            writeln!(out, "{:<36}{row}", format!("{target}, {IN_FLIGHT} in flight"))?;
        }
        for target in TARGETS {
            let row = measure(paced(&pinger, target)).await?;
            writeln!(out, "{:<36}{row}", format!("{target}, {PACE}/s by {IN_FLIGHT} callers"))?;
        }
        Ok(())
    })
}

/// A row of the table.
struct Row {
    round_trips: Vec<Duration>,
    echoes: usize,
    wall: Duration,
    cpu: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let echoes = u32::try_from(self.echoes).unwrap_or(u32::MAX);
        let (wall, cpu) = (self.wall.as_secs_f64(), self.cpu.as_secs_f64());
        write!(
            out,
            "{:>10.0}{:>9.2} us{:>5.0} %",
            f64::from(echoes) / wall,
            cpu * 1e6 / f64::from(echoes),
            cpu / wall * 100.0
        )?;
        for per_mille in [500, 990] {
            match self.round_trips.get(self.round_trips.len() * per_mille / 1000) {
                Some(round_trip) => write!(out, "{:>8} us", round_trip.as_micros())?,
                None => write!(out, "{:>11}", "-")?,
            }
        }
        Ok(())
    }
}

/// CPU time of this thread, from Linux's `/proc/thread-self/schedstat`, in nanoseconds.
fn cpu_time() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Runs work that returns its number of echo requests and, if known, their round trips.
async fn measure(work: impl Future<Output = anyhow::Result<(usize, Vec<Duration>)>>) -> anyhow::Result<Row> {
    let (start, before) = (Instant::now(), cpu_time()?);
    let (echoes, mut round_trips) = work.await?;
    let (wall, cpu) = (start.elapsed(), cpu_time()?.saturating_sub(before));
    round_trips.sort_unstable();
    Ok(Row { round_trips, echoes, wall, cpu })
}

async fn echo(pinger: &Pinger, target: IpAddr) -> anyhow::Result<Duration> {
    let timeout = Duration::from_secs(5);
    match pinger.echo(EchoRequest { target, source: None, timeout, size: SIZE }).await? {
        EchoOutcome::Reply { round_trip } => Ok(round_trip),
        other => bail!("{target}: {other:?}"),
    }
}

async fn full_speed(pinger: &Pinger, target: IpAddr) -> anyhow::Result<(usize, Vec<Duration>)> {
    let left = Cell::new(ECHOES);
    let worker = || async {
        let mut round_trips = Vec::with_capacity(ECHOES / IN_FLIGHT);
        while left.get() > 0 {
            left.set(left.get() - 1);
            round_trips.push(echo(pinger, target).await?);
        }
        anyhow::Ok(round_trips)
    };
    collect(join_all((0..IN_FLIGHT).map(|_| worker())).await)
}

async fn paced(pinger: &Pinger, target: IpAddr) -> anyhow::Result<(usize, Vec<Duration>)> {
    let (start, period) =
        (Instant::now(), Duration::from_secs(1) * u32::try_from(IN_FLIGHT)? / u32::try_from(PACE)?);
    let worker = |number: u32| async move {
        let mut ticks = interval_at(start + period * number / u32::try_from(IN_FLIGHT)?, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round_trips = Vec::new();
        while start.elapsed() < PACED {
            ticks.tick().await;
            round_trips.push(echo(pinger, target).await?);
        }
        anyhow::Ok(round_trips)
    };
    collect(join_all((0..u32::try_from(IN_FLIGHT)?).map(worker)).await)
}

fn collect(results: Vec<anyhow::Result<Vec<Duration>>>) -> anyhow::Result<(usize, Vec<Duration>)> {
    let round_trips = results.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
    Ok((round_trips.len(), round_trips))
}

async fn floor(target: IpAddr) -> anyhow::Result<(usize, Vec<Duration>)> {
    let (domain, protocol) =
        if target.is_ipv4() { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let socket = UdpSocket::from(Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?);
    let mut packet = Vec::new();
    write_request(&target, EchoId { identifier: 1, sequence: 1 }, &[7; 16], SIZE, &mut packet);
    let mut buffer = [0; 2048];
    let mut received = 0;
    for _ in 0..ECHOES / BATCH {
        for _ in 0..BATCH {
            socket.send_to(&packet, SocketAddr::new(target, 0))?;
        }
        while socket.recv_from(&mut buffer).is_ok() {
            received += 1;
        }
    }
    // Without a filter, the socket receives the requests as well.
    ensure!(received == 2 * ECHOES, "{received} packets instead of {}", 2 * ECHOES);
    Ok((ECHOES, Vec::new()))
}
