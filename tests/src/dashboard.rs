//! The dashboard of a [`Stack`].

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use fantoccini::Locator;
use serde_json::Value;

use crate::browser::Browser;
use crate::stack::{BACKENDS, Stack, free_port};
use crate::wait;

/// Its name among the processes of a [`Stack`].
pub const NAME: &str = "dashboard";
/// Who may make changes there, and the password.
pub const USER: (&str, &str) = ("operator", "correct horse");

/// The demo with so many more frontends of `backends` servers each. Most servers are static; in one frontend of a hundred
/// one server is down, in one of two hundred all of them are.
pub async fn world(frontends: usize, backends: usize) -> anyhow::Result<Stack> {
    let mut stack = Stack::empty()?;
    let text = std::fs::read_to_string(stack.config())?;
    let (head, tail) = text.split_once("\n  frontends:\n").context("no frontends")?;
    let (mut servers, mut services) = (String::new(), String::new());
    for number in 0..frontends {
        let (high, low) = (2 + number / 250, 1 + number % 250);
        let mut members = String::new();
        for member in 0..backends {
            let is_down = number % 200 == 7 || (number % 100 == 50 && member == 0);
            let (name, check) =
                (format!("s{number}-{member}"), if is_down { ", healthcheck: closed" } else { "" });
            let address = format!("127.{}.{}.{}", 100 + member, high, low);
            servers += &format!("    {name}: {{ address: {address}{check} }}\n");
            members +=
                &format!("            {name}: {{ weight: {} }}\n", if member % 3 == 0 { 50 } else { 100 });
        }
        services += &format!(
            "    service-{number}:\n      description: {} of customer {}\n      address: 127.90.{high}.{low}\n      \
             protocol: tcp\n      port: 443\n      pools:\n        - name: primary\n          backends:\n{members}",
            ["shop", "mail", "api", "static files", "login"][number % 5],
            number / 5,
        );
    }
    let checks = "  healthchecks:\n    closed:\n      type: tcp\n      port: 1\n      interval: 2s\n      timeout: 1s\n";
    let head = head.replacen("  healthchecks:\n", checks, 1);
    stack.configure(&format!("{head}\n{servers}\n  frontends:\n{tail}{services}"))?;
    for (name, ..) in BACKENDS {
        stack.start_backend(name)?;
    }
    stack.start_vppsim()?;
    stack.start_agent()?;
    stack.start_brain()?;
    stack.wait_synced().await?;
    Ok(stack)
}

/// A dashboard that runs.
#[derive(Debug, Clone, Copy)]
pub struct Dashboard {
    /// Where it is served.
    pub address: SocketAddr,
}

impl Dashboard {
    /// Starts the dashboard of a stack, over brains as `--server` names them; those of the stack are called `demo`.
    pub async fn start(stack: &mut Stack, more: &[&str]) -> anyhow::Result<Self> {
        let dashboard = Self { address: SocketAddr::from(([127, 0, 0, 1], free_port()?)) };
        let users = stack.directory().join("dashboard-users");
        let mut adding = stack.command("maglev-dashboard")?;
        adding.args(["user", "add", USER.0, "--users"]).arg(&users).stdin(Stdio::piped());
        let mut adding = adding.spawn().context("cannot add a user")?;
        writeln!(adding.stdin.take().context("no standard input")?, "{}", USER.1)?;
        ensure!(adding.wait()?.success(), "no user could be added");
        dashboard.run(stack, more)?;
        wait::until("the dashboard to know its brain", || async {
            let health = dashboard.get("/healthz").await?;
            if health["brains_connected"].as_u64() >= Some(1) {
                Ok(Some(()))
            } else {
                bail!("it is {health}")
            }
        })
        .await
        .map_err(|error| stack.explain(&error))?;
        Ok(dashboard)
    }

    /// Starts it again, where it was.
    pub fn run(&self, stack: &mut Stack, more: &[&str]) -> anyhow::Result<()> {
        let mut command = stack.command("maglev-dashboard")?;
        let servers = [
            &[format!("demo=unix:{}", stack.brain_socket().display())][..],
            &more.iter().map(|server| (*server).to_owned()).collect::<Vec<_>>(),
        ]
        .concat();
        command.arg("--server").arg(servers.join(",")).arg("--listen").arg(self.address.to_string());
        command.arg("--users").arg(stack.directory().join("dashboard-users"));
        stack.spawn(NAME, command)
    }

    /// Opens the pages for changes, and logs in.
    pub async fn log_in(&self, browser: &Browser) -> anyhow::Result<()> {
        browser.client.goto(&self.url("/admin/")).await?;
        browser.until("document.querySelector('#password')").await?;
        for (field, text) in [("#name", USER.0), ("#password", USER.1)] {
            browser.client.find(Locator::Css(field)).await?.send_keys(text).await?;
        }
        browser.client.find(Locator::Css(".login .primary")).await?.click().await?;
        browser.until("document.querySelector('.fleet .rows .row')").await
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it answers, as JSON.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(reqwest::get(self.url(path)).await?.error_for_status()?.json().await?)
    }
}
