//! Prints how far backends' shares of VPP's table are off, and how many buckets move needlessly when one of them goes
//! to weight 0, for 2 to 200 backends: with the brain's scale and table length, beside unreduced weights in a table of
//! 1024 buckets. The tables are the simulator's, which lays them out as VPP does.
//!
//! `cargo run --release -p maglev-tests --example shares [-- --vpp RUN_DIR]`: with the folder of a running VPP's
//! `api.sock`, every table is made there as well, its servers' buckets are compared with the simulator's one by one,
//! and all is removed again.

mod table;
mod vpp;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use fastrand::Rng;
use maglev_engine::config::{Frontend, Pool, Service};
use maglev_engine::weights::Scale;

use table::{Figures, Table};
use vpp::Vpp;

const UNREDUCED_LENGTH: u32 = 1024;
const BACKENDS: [usize; 7] = [2, 5, 10, 20, 50, 100, 200];

#[derive(Parser)]
struct Arguments {
    /// Folder with the api.sock of a VPP, in which each of these VIPs is made and removed again.
    #[arg(long, value_name = "RUN_DIR")]
    vpp: Option<PathBuf>,
}

/// How weights are given to so many backends.
struct Pattern {
    name: &'static str,
    weight: fn(usize, &mut Rng) -> u8,
}

const PATTERNS: [Pattern; 5] = [
    Pattern { name: "all 100", weight: |_, _| 100 },
    Pattern { name: "100 and 50", weight: |index, _| if index % 2 == 0 { 100 } else { 50 } },
    Pattern { name: "one 99, else 100", weight: |index, _| if index == 0 { 99 } else { 100 } },
    Pattern { name: "one 1, else 100", weight: |index, _| if index == 0 { 1 } else { 100 } },
    Pattern { name: "random 1 to 100", weight: |_, random| random.u8(1..=100) },
];

const LEGEND: &str = "\
off      worst relative error of a backend's share, in a full pool and with any one backend out
bkt      most buckets by which a backend's share is off, there
rule     ok: all shares within 1 % or within one bucket; else how many of the shares are not
moved    buckets that move between backends which stay, when one goes to 0; mean over who goes

                             the brain's weights and table           unreduced weights, 1024 buckets
backends weights             table   sum    off  bkt rule   moved       sum    off   bkt rule   moved";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut vpp = match arguments.vpp {
        Some(folder) => Some(Vpp::connect(&folder).await?),
        None => None,
    };
    println!("{LEGEND}");
    for pattern in &PATTERNS {
        for backends in BACKENDS {
            let weights = weights(pattern, backends);
            let frontend = frontend(&weights);
            let scale = Scale::new(&frontend, None);
            let programmed: Vec<u8> = weights.iter().map(|&weight| scale.programmed(weight)).collect();
            let ours = Table::new(scale.table_length(), programmed);
            let plain = Table::new(UNREDUCED_LENGTH, weights.clone());
            println!(
                "{backends:>8} {:<17} {:>7} {}    {}",
                pattern.name,
                ours.length(),
                row(&ours, &weights),
                row(&plain, &weights)
            );
            if let Some(vpp) = &mut vpp {
                vpp.compare(&ours).await?;
                vpp.compare(&plain).await?;
            }
        }
        println!();
    }
    let Some(vpp) = vpp else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("{}", vpp.verdict());
    Ok(if vpp.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn weights(pattern: &Pattern, backends: usize) -> Vec<u8> {
    // The same weights on every run.
    let mut random = Rng::with_seed(9);
    (0..backends).map(|index| (pattern.weight)(index, &mut random)).collect()
}

fn frontend(weights: &[u8]) -> Frontend {
    let backends: BTreeMap<String, u8> =
        weights.iter().enumerate().map(|(index, &weight)| (format!("b{index:03}"), weight)).collect();
    Frontend {
        description: String::new(),
        address: table::vip(0),
        service: Service::Tcp(80),
        src_ip_sticky: false,
        flush_on_down: true,
        new_flows_table_length: None,
        servers_ask: false,
        slow_start: None,
        panic_threshold: None,
        announce: None,
        pools: vec![Pool { name: "only".to_owned(), backends, min_up: None }],
    }
}

fn row(table: &Table, configured: &[u8]) -> String {
    let Figures { off, buckets, outside, shares, moved } = table.figures(configured);
    let rule =
        if outside == 0 { "ok".to_owned() } else { format!("{:.0}%", percent(outside, shares).max(1.0)) };
    format!("{:>5} {:>5.1}% {buckets:>4.1} {rule:>4} {moved:>6.2}%", table.sum(), off * 100.0)
}

fn percent(part: u32, whole: u32) -> f64 {
    f64::from(part) * 100.0 / f64::from(whole.max(1))
}
