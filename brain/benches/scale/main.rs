//! The brain's work at two sizes, next to a bare loop over the same data: `cargo bench -p maglev-brain --bench scale`.
//!
//! All of it is what the brain itself does with a state that its core built from a configuration, results and what VPP
//! has. *linear* is the factor between both sizes' times, over the factor between the sizes: 1 means that the time grows
//! with the number of backends, 0 that it does not depend on it. *floor* is, at the larger size,
//!
//! - for the configuration: reading the same text into untyped values with the same library
//! - for the start, a reload and a full sync: one walk over all backends of all frontends, comparing each with a copy
//! - for a scrape: prometheus-client, encoding as many series with as many labels

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod floor;
mod world;

use std::hint::black_box;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use maglev_brain::metrics::{Process, Scene, render};
use maglev_engine::core::{Command, Core, Input, Reload};
use maglev_engine::desired::{ViewId, Wanted};
use maglev_engine::outcome::ProbeCode;
use maglev_engine::syncs::Syncs;
use maglev_protocol::VipSpec;
use maglev_protocol::codec::ClientCodec;
use tarpc::tokio_serde::Serializer;
use tarpc::{ClientMessage, Request, context};
use tokio::time::Instant;
use world::{BACKENDS, core, fill, now, parse, report, text};

/// As the brain's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Arguments {
    /// Frontends of 10 backends each
    #[arg(long, default_value_t = 1_000)]
    small: u32,

    /// The same, of the larger size
    #[arg(long, default_value_t = 5_000)]
    large: u32,

    /// Rounds; their medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Longest time that anything may hold up the controller, and the probes with it.
const MOST: Duration = Duration::from_millis(2);

/// A figure: its name, whether it holds up the controller, its time, and its floor's if it has one.
type Figure = (&'static str, bool, Duration, Option<Duration>);

fn main() {
    let arguments = Arguments::parse();
    let medians = |frontends| {
        let rounds: Vec<_> = (0..arguments.rounds).map(|_| figures(frontends)).collect();
        (0..rounds[0].len())
            .map(move |place| median(rounds.iter().map(|round| round[place]).collect()))
            .collect()
    };
    let (small, large): (Vec<Figure>, Vec<Figure>) = (medians(arguments.small), medians(arguments.large));
    println!(
        "{:<44} {:>11} {:>11} {:>7} {:>11} {:>7}",
        "medians of backends:",
        arguments.small * BACKENDS,
        arguments.large * BACKENDS,
        "linear",
        "floor",
        "ratio"
    );
    let sizes = f64::from(arguments.large) / f64::from(arguments.small);
    for ((what, holds_up, small, _), (.., large, floor)) in small.into_iter().zip(large) {
        let linear = large.as_secs_f64() / small.as_secs_f64() / sizes;
        let ratio = floor.map(|floor| format!("{:.2}", large.as_secs_f64() / floor.as_secs_f64()));
        println!(
            "{what:<44} {:>11} {:>11} {linear:>7.2} {:>11} {:>7}{}",
            words(small),
            words(large),
            floor.map(words).unwrap_or_default(),
            ratio.unwrap_or_default(),
            if holds_up && large > MOST { "  holds up probes" } else { "" }
        );
    }
    sizes_of_a_scrape(arguments.small);
}

/// Measures everything once.
fn figures(frontends: u32) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    let texts = [100, 50].map(|weight| text(frontends, weight));
    let (config, parsed) = timed(|| Arc::new(parse(&texts[0])));
    figures.push((
        "reading the configuration (--check)",
        false,
        parsed,
        Some(timed(|| floor::values(&texts[0])).1),
    ));
    let changed = parse(&texts[1]);
    let walk = timed(|| floor::walk(&config, &changed)).1;
    let (mut core, start) = timed(|| core(&config));
    figures.push(("start", false, start, Some(walk)));
    fill(&mut core);
    let (_, took) = timed(|| decide(&mut core, ProbeCode::L4Con));
    figures.push(("a backend fails: decision", true, took, None));
    let (snapshot, took) = timed(|| core.snapshot(now().mono));
    figures.push(("... snapshot for readers", true, took, None));
    let mut syncs = Syncs::new(Arc::new(core.wanted()), ViewId::default(), now().mono);
    decide(&mut core, ProbeCode::L7Ok);
    let (_, took) = timed(|| syncs.want(Arc::new(core.wanted()), now().mono));
    figures.push(("... what the sync has to do", true, took, None));
    // The brain compares and drops on a thread of its own.
    let current = Arc::clone(core.config());
    let (prepared, took) = timed(|| Reload::prepared(changed, &current));
    figures.push(("reload that changes one weight: comparison", false, took, Some(walk)));
    let (wanted, took) = timed(|| reload(&mut core, prepared));
    figures.push(("... decision", true, took, None));
    figures.push(("full sync: the request", true, timed(|| full_sync(&wanted)).1, Some(walk)));
    let counters = world::counters(&snapshot);
    let scene = Scene {
        snapshot: &snapshot,
        counters: Some(&counters),
        process: Process::read(),
        started: SystemTime::now(),
        unserved: 0,
        webhooks: &[],
        fleet: None,
    };
    let (scrape, took) = timed(|| render(&scene));
    let registry = floor::registry(scrape.series);
    figures.push(("scrape", false, took, Some(timed(|| floor::encode(&registry)).1)));
    figures
}

/// One result that changes a backend's state.
fn decide(core: &mut Core, code: ProbeCode) -> Wanted {
    let effects = core.handle(Input::Probe(report("backend-00003", code)), now());
    assert!(effects.wanted, "{effects:?}");
    core.wanted()
}

fn reload(core: &mut Core, reload: Reload) -> Wanted {
    core.command(Command::Reload(reload), now()).unwrap();
    core.wanted()
}

/// The request that the client sends, as it goes to the socket.
fn full_sync(wanted: &Wanted) -> usize {
    let specs: Vec<_> = wanted.vips.values().map(|spec| VipSpec::clone(spec)).collect();
    let keep: Vec<_> = wanted.keep.iter().copied().collect();
    let request = Request { context: context::current(), id: 1, message: (specs, keep) };
    let mut codec = ClientCodec::<_, ()>::default();
    Pin::new(&mut codec).serialize(&ClientMessage::Request(request)).unwrap().len()
}

/// Prints what a scrape weighs.
fn sizes_of_a_scrape(frontends: u32) {
    let mut core = core(&Arc::new(parse(&text(frontends, 100))));
    fill(&mut core);
    let snapshot = core.snapshot(now().mono);
    let counters = world::counters(&snapshot);
    let scene = Scene {
        snapshot: &snapshot,
        counters: Some(&counters),
        process: Process::read(),
        started: SystemTime::now(),
        unserved: 0,
        webhooks: &[],
        fleet: None,
    };
    let scrape = render(&scene);
    let (packed, took) = timed(|| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(scrape.text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    });
    println!(
        "a scrape of {} backends: {} series, {:.2} MB, with gzip {:.2} MB in {}",
        frontends * BACKENDS,
        scrape.series,
        scrape.text.len() as f64 / 1e6,
        packed.len() as f64 / 1e6,
        words(took)
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = black_box(work());
    (done, start.elapsed())
}

fn median(mut figures: Vec<Figure>) -> Figure {
    let middle = figures.len() / 2;
    figures.sort_unstable_by_key(|figure| figure.3);
    let floor = figures[middle].3;
    figures.sort_unstable_by_key(|figure| figure.2);
    let (what, holds_up, time, _) = figures[middle];
    (what, holds_up, time, floor)
}

fn words(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1_000.0 { format!("{micros:.1} us") } else { format!("{:.2} ms", micros / 1e3) }
}
