//! From a parsed command to the server's answer.

use maglev_proto::{Backend, Frontend, ListBackendsResponse, ListFrontendsResponse, VppInfo, VpplbState};
use serde::Serialize;

use crate::args::{Command, Show, ShowVpp, ShowVppLb};
use crate::client::Client;
use crate::error::Error;

/// What the server said. As JSON, the message itself with the interface's own field names.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Frontends(ListFrontendsResponse),
    Frontend(Frontend),
    Backends(ListBackendsResponse),
    Backend(Backend),
    VppInfo(VppInfo),
    VppLbState(VpplbState),
}

impl Answer {
    /// One document, with a line break at its end.
    pub(crate) fn json(&self) -> Result<String, Error> {
        let mut text = serde_json::to_string_pretty(self).map_err(Error::Json)?;
        text.push('\n');
        Ok(text)
    }
}

pub(crate) async fn run(command: &Command, client: &Client) -> Result<Answer, Error> {
    match command {
        Command::Show(show) => run_show(show, client).await,
    }
}

async fn run_show(show: &Show, client: &Client) -> Result<Answer, Error> {
    Ok(match show {
        Show::Frontends { name: None } => Answer::Frontends(client.frontends().await?),
        Show::Frontends { name: Some(name) } => Answer::Frontend(client.frontend(name).await?),
        Show::Backends { name: None } => Answer::Backends(client.backends().await?),
        Show::Backends { name: Some(name) } => Answer::Backend(client.backend(name).await?),
        Show::Vpp(ShowVpp::Info) => Answer::VppInfo(client.vpp_info().await?),
        Show::Vpp(ShowVpp::Lb(ShowVppLb::State)) => Answer::VppLbState(client.vpp_lb_state().await?),
    })
}

#[cfg(test)]
mod tests;
