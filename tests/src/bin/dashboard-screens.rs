//! Screenshots of the dashboard, for people to look at and for the README.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use maglev_tests::browser::Browser;
use maglev_tests::dashboard::{Dashboard, world};
use maglev_tests::traffic::Traffic;
use tokio::time::sleep;

/// Starts everything, and takes screenshots of the dashboard in three sizes, light and dark.
#[derive(Debug, Parser)]
struct Arguments {
    /// Directory for the pictures
    directory: PathBuf,
    /// Frontends besides the demo's; half of a percent of them are down
    #[arg(long, default_value_t = 2)]
    frontends: usize,
}

fn main() -> ExitCode {
    let run = || -> anyhow::Result<()> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(shoot(&Arguments::parse()))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dashboard-screens: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn shoot(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { directory, frontends } = arguments;
    std::fs::create_dir_all(directory)?;
    let mut stack = world(*frontends, 10).await?;
    let dashboard = Dashboard::start(&mut stack, &[]).await?;
    let browser = Browser::start().await?.context("chromium and chromedriver are missing")?;
    let _traffic = Traffic::start(stack.asker()?, Duration::from_millis(3));
    dashboard.log_in(&browser).await?;
    stack.operate(&["set", "backend", "web3", "pause"]).await?;
    stack.kill("web1")?;
    stack.operate(&["set", "frontend", "www", "pool", "primary", "backend", "web2", "weight", "40"]).await?;
    for (size, width, height) in [("wide", 1680, 1000), ("usual", 1280, 800), ("narrow", 400, 800)] {
        for dark in [false, true] {
            browser.show_in(width, height, dark).await?;
            for (name, hash) in
                [("fleet", "#/"), ("frontend", "#/f/www"), ("balancers", "#/lb"), ("events", "#/events")]
            {
                browser.value(&format!("location.hash = '{hash}'")).await?;
                browser.until("document.querySelector('.fleet .rows .row, .balancer, .events')").await?;
                sleep(Duration::from_secs(if name == "frontend" { 12 } else { 2 })).await;
                let scheme = if dark { "dark" } else { "light" };
                browser.shoot(&directory.join(format!("{name}-{size}-{scheme}-{frontends}.png"))).await?;
            }
            browser.value("location.hash = '#/f/www'").await?;
            browser.until("document.querySelector('.members .do button')").await?;
            browser.value("document.querySelectorAll('.members .do button')[1].click()").await?;
            browser.until("document.querySelector('dialog .plan table')").await?;
            let scheme = if dark { "dark" } else { "light" };
            browser.shoot(&directory.join(format!("change-{size}-{scheme}-{frontends}.png"))).await?;
            browser.value("document.querySelector('dialog').close()").await?;
        }
    }
    for complaint in browser.complaints().await? {
        eprintln!("the browser says: {complaint}");
    }
    Ok(())
}
