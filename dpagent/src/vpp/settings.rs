//! Sets the lb plugin's global settings.

use maglev_protocol::{AgentError, ConfReport, LbConf, LbConfSpec};
use tracing::{info, warn};
use vppapi::client::ClientError;

use crate::apply::{Lost, Plugin};
use crate::conf::merged;
use crate::lb::Lb;
use crate::sync::Syncer;

/// Why they were not set.
pub(super) enum ConfError {
    /// The agent does not allow it.
    NotAllowed(AgentError),
    /// VPP did not take them.
    Client(ClientError),
    /// VPP could not be asked what else it has.
    Lost(Lost),
}

impl From<ClientError> for ConfError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Sets what differs. `known` is what VPP was last seen to have, and becomes what it has now.
pub(super) async fn set_conf(
    syncer: &mut Syncer<Lb>,
    wanted: &LbConfSpec,
    known: &mut Option<LbConf>,
) -> Result<ConfReport, ConfError> {
    let before = syncer.plugin().conf().await?;
    let drifted = known.replace(before).is_some_and(|known| known != before);
    if drifted {
        warn!(now = %words(&before), "VPP is not as it was left: somebody else changed the lb settings");
    }
    let conf = merged(wanted, &before);
    if conf == before {
        let now = before;
        return Ok(ConfReport { changed: false, before, now, pinned_flows_lost: false, drifted });
    }
    check(syncer, &before, &conf).await?;
    let (from, to) = (before.sticky_buckets_per_core, conf.sticky_buckets_per_core);
    // Without VIPs there are no flows to forget.
    let pinned_flows_lost = from != to && !syncer.mirror().vips().is_empty();
    if pinned_flows_lost {
        warn!(from, to, "the number of sticky buckets changes: VPP forgets every pinned flow");
    }
    syncer.plugin().set_conf(conf).await.inspect_err(|error| {
        warn!(before = %words(&before), wanted = %words(&conf), %error, "lb settings not changed");
    })?;
    if from != to {
        syncer.memory_mut().set_sticky(to);
    }
    let now = syncer.plugin().conf().await?;
    *known = Some(now);
    info!(before = %words(&before), now = %words(&now), answer = "ok", "lb settings changed");
    Ok(ConfReport { changed: true, before, now, pinned_flows_lost, drifted })
}

/// Refuses a change that VPP would die of, or that concerns VIPs of others. Those are asked of VPP now: somebody may have
/// made one since the last full read, and settings change rarely.
async fn check(syncer: &Syncer<Lb>, before: &LbConf, conf: &LbConf) -> Result<(), ConfError> {
    let (from, to) = (before.sticky_buckets_per_core, conf.sticky_buckets_per_core);
    syncer.memory().check_sticky(from, to).map_err(|rule| {
        let what = format!("a change from {from} to {to} sticky buckets");
        ConfError::NotAllowed(AgentError::NotAllowed { what, rule })
    })?;
    let dumps = syncer.plugin().dumps().await.map_err(ConfError::Lost)?;
    let is_ours = |key| syncer.owns(key);
    let keys = dumps.vips.iter().map(|row| &row.key).chain(dumps.strange.iter().map(|(key, _)| key));
    let foreign = keys.clone().find(|key| !is_ours(key)).map(ToString::to_string);
    syncer.policy().check_change_beside(foreign).map_err(ConfError::NotAllowed)
}

fn words(conf: &LbConf) -> String {
    format!(
        "ip4-src-address {} ip6-src-address {} sticky-buckets-per-core {} flow-timeout {}s",
        conf.ip4_src_address, conf.ip6_src_address, conf.sticky_buckets_per_core, conf.flow_timeout
    )
}
