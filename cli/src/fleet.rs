//! Executes `fleet` commands.

use std::fs;
use std::path::Path;

use maglev_proto::preview_change_request::Change;
use maglev_proto::{GetFleetConfigRequest, PutFleetConfigRequest, RollbackFleetConfigRequest};

use crate::answer::Answer;
use crate::args::fleet::{Plan, Removal};
use crate::args::{Fleet, FleetConfig};
use crate::client::Client;
use crate::error::Error;

/// Executes one of the commands; `state` is that of its preview.
pub(crate) async fn run(fleet: &Fleet, client: &Client, state: Option<u64>) -> Result<Answer, Error> {
    Ok(match fleet {
        Fleet::Status => Answer::Fleet(client.fleet_status().await?),
        Fleet::Members(Removal { remove: Some(_), name: Some(name) }) => {
            Answer::FleetMembers(client.remove_fleet_member(name).await?)
        }
        Fleet::Members(Removal { remove: Some(_), name: None }) => {
            return Err(Error::Usage("`remove` takes the name of a member".to_owned()));
        }
        Fleet::Members(_) => {
            let status = client.fleet_status().await?;
            if status.fleet.is_empty() { Answer::Fleet(status) } else { Answer::FleetMembers(status) }
        }
        Fleet::Tables { frontend } => {
            Answer::FleetTables(client.fleet_tables(frontend.as_deref().unwrap_or_default()).await?)
        }
        Fleet::Config(FleetConfig::Put { file, plan }) => {
            let request = PutFleetConfigRequest { state, ..put(file, plan)? };
            Answer::Fleet(client.put_fleet_config(request, plan.reason.as_deref()).await?)
        }
        Fleet::Config(FleetConfig::List) => Answer::FleetConfigs(client.fleet_configs().await?),
        Fleet::Config(FleetConfig::Diff { old, new }) => {
            let request = GetFleetConfigRequest { number: *new, compare_with: *old };
            Answer::FleetCompared(client.fleet_config(request).await?)
        }
        Fleet::Config(FleetConfig::Rollback { number, plan }) => {
            let request = RollbackFleetConfigRequest { state, ..rollback(*number, plan) };
            Answer::Fleet(client.rollback_fleet_config(request, plan.reason.as_deref()).await?)
        }
        Fleet::Config(FleetConfig::Confirm) => Answer::Fleet(client.confirm_fleet_rollout().await?),
        Fleet::Config(FleetConfig::Abort { reason: Some(_), text: None }) => {
            return Err(Error::Usage("`reason` takes a text, in quotes: reason \"NOC-123\"".to_owned()));
        }
        Fleet::Config(FleetConfig::Abort { text, .. }) => {
            Answer::Fleet(client.abort_fleet_rollout(text.as_deref()).await?)
        }
    })
}

/// The change of which a command needs a preview, if it needs one.
pub(crate) fn previewed(config: &FleetConfig) -> Result<Option<Change>, Error> {
    Ok(match config {
        FleetConfig::Put { file, plan } => Some(Change::PutFleet(put(file, plan)?)),
        FleetConfig::Rollback { number, plan } => Some(Change::RollbackFleet(rollback(*number, plan))),
        FleetConfig::List | FleetConfig::Diff { .. } | FleetConfig::Confirm | FleetConfig::Abort { .. } => {
            None
        }
    })
}

fn put(file: &Path, plan: &Plan) -> Result<PutFleetConfigRequest, Error> {
    let unreadable = |error| Error::File { path: file.to_owned(), error };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(PutFleetConfigRequest { text, plan: Some(plan.message()), state: None })
}

fn rollback(number: Option<u64>, plan: &Plan) -> RollbackFleetConfigRequest {
    let number = number.unwrap_or_default();
    RollbackFleetConfigRequest { number, plan: Some(plan.message()), state: None }
}
