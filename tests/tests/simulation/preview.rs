//! Compares every preview with what happens then.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_engine::core::{Command, CommandError, Core, Now};
use maglev_engine::preview::{Preview, preview};
use maglev_protocol::VipKey;

/// Weights of all VIPs, by server.
type Weights = BTreeMap<VipKey, BTreeMap<IpAddr, u8>>;

/// The preview of a command.
pub(crate) struct Told {
    before: Weights,
    preview: Result<Preview, CommandError>,
}

fn weights(core: &Core) -> Weights {
    let servers = |servers: &BTreeMap<IpAddr, maglev_protocol::ServerSpec>| {
        servers.iter().map(|(server, spec)| (*server, spec.weight)).collect()
    };
    core.frontends().map(|(_, view)| (view.spec.key, servers(&view.spec.servers))).collect()
}

/// Requests the preview of a command.
pub(crate) fn ask(core: &Core, command: &Command, now: Now) -> Told {
    Told { before: weights(core), preview: preview(core, command.clone(), &|_, _| None, now) }
}

impl Told {
    /// Checks that it came true.
    pub(crate) fn check(self, after: &Core, refused: Option<&CommandError>) -> Result<(), String> {
        let told = match (self.preview, refused) {
            (Ok(told), None) => told,
            (Err(told), Some(refused)) if told == *refused => return Ok(()),
            (told, refused) => return Err(format!("the preview said {told:?}, the command {refused:?}")),
        };
        let is = weights(after);
        for key in self.before.keys().chain(is.keys()) {
            let listed = told.frontends.iter().find(|frontend| frontend.vip == *key);
            let Some(frontend) = listed else {
                if self.before.get(key) != is.get(key) {
                    return Err(format!(
                        "the preview said nothing of {key}: {:?}, then {:?}",
                        self.before, is
                    ));
                }
                continue;
            };
            let rows = frontend.backends.iter();
            let after = rows.filter_map(|row| Some((row.server, row.after?.programmed))).collect();
            if is.get(key).cloned().unwrap_or_default() != after {
                return Err(format!("the preview said {after:?} of {key}: {:?}", is.get(key)));
            }
        }
        Ok(())
    }
}
