//! A real browser: Debian's Chromium in headless mode, through its driver.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stack::free_port;
use crate::wait;

/// How often a page is checked.
const LOOK: Duration = Duration::from_millis(20);

/// A browser with one window. Dropping it ends all its processes.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    /// The window.
    pub client: Client,
    http: reqwest::Client,
    _profile: TempDir,
}

/// Chromium's driver, if this machine has it.
fn driver() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists());
    found("chromium").and(found("chromedriver"))
}

impl Browser {
    /// Starts a browser; `None` if this machine has none.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = driver() else { return Ok(None) };
        let (port, profile) = (free_port()?, tempfile::tempdir()?);
        let driver = Command::new(program)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start chromedriver")?;
        let options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--window-size=1280,900",
            format!("--user-data-dir={}", profile.path().display()),
        ] });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let url = format!("http://127.0.0.1:{port}");
        let connect = || async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            Ok(Some(builder.capabilities(capabilities.clone()).connect(&url).await?))
        };
        let mut guarded = Group(Some(driver));
        let client = wait::until("the browser", connect).await?;
        let driver = guarded.0.take().context("the driver is gone")?;
        Ok(Some(Self { driver, port, client, http: reqwest::Client::new(), _profile: profile }))
    }

    /// A command of Chromium's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> anyhow::Result<Value> {
        let session = self.client.session_id().await?.context("no session")?;
        let url = format!("http://127.0.0.1:{}/session/{session}/goog/cdp/execute", self.port);
        let request = self.http.post(url).json(&json!({ "cmd": name, "params": parameters }));
        let answer: Value = request.send().await?.json().await?;
        if let Some(error) = answer["value"].get("error") {
            bail!("{name}: {error}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }

    /// Shows pages in this size, light or dark.
    pub async fn show_in(&self, width: u32, height: u32, dark: bool) -> anyhow::Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// The value of an expression of JavaScript.
    pub async fn value(&self, expression: &str) -> anyhow::Result<Value> {
        Ok(self.client.execute(&format!("return ({expression})"), vec![]).await?)
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) -> anyhow::Result<()> {
        let look = || async {
            match self.value(expression).await? {
                Value::Null | Value::Bool(false) => bail!("it is not; the page says {}", self.text().await?),
                _ => Ok(Some(())),
            }
        };
        wait::until_every(LOOK, expression, look).await
    }

    /// All text on the page.
    pub async fn text(&self) -> anyhow::Result<String> {
        let text = self.value("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Errors on the pages: of scripts, and what the policy or the server refused.
    pub async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let session = self.client.session_id().await?.context("no session")?;
        let url = format!("http://127.0.0.1:{}/session/{session}/se/log", self.port);
        let answer: Value =
            self.http.post(url).json(&json!({ "type": "browser" })).send().await?.json().await?;
        let lines = answer["value"].as_array().context("no log")?.iter();
        Ok(lines.filter(|line| line["level"] == "SEVERE").map(|line| line["message"].to_string()).collect())
    }

    /// Presses keys, one after the other, wherever the page has the focus.
    pub async fn press(&self, keys: &[&str]) -> anyhow::Result<()> {
        for key in keys {
            let text = if key.chars().count() == 1 {
                *key
            } else if *key == "Enter" {
                "\r"
            } else {
                ""
            };
            let code = match *key {
                "Enter" => 13,
                "Tab" => 9,
                "Escape" => 27,
                "ArrowDown" => 40,
                "ArrowUp" => 38,
                _ => 0,
            };
            let mut event =
                json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.command("Input.dispatchKeyEvent", event.clone()).await?;
            event["type"] = "keyUp".into();
            self.command("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Writes what the window shows to a file.
    pub async fn shoot(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, self.client.screenshot().await?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&mut self.driver);
    }
}

/// Ends a driver whose browser never came.
struct Group(Option<Child>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(driver) = &mut self.0 {
            end(driver);
        }
    }
}

/// Ends the driver and its browser.
fn end(driver: &mut Child) {
    if let Ok(pid) = i32::try_from(driver.id()) {
        // An error means that it has ended already.
        killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
    driver.wait().ok();
}
