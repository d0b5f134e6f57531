//! Checks the brain's calls, carries them out on VPP one after the other, and tells whether the connection is still of use.
//!
//! It makes no connection and keeps no queue: the agent's task drives it, and so does the simulation of the tests.

use std::future::Future;

use maglev_protocol::{
    AgentError, ConfReport, Demands, LbConf, LbConfSpec, LbState, Programmed, SyncReport, VipSpec,
};
use tracing::{info, warn};

use crate::apply::{Lost, Plugin};
use crate::conf;
use crate::mirror::Mirror;
use crate::policy::Policy;
use crate::reconcile::Wanted;
use crate::sync::{SyncError, Syncer};

/// Checks the VIP of a `sync_vip`, before it waits for its turn.
///
/// # Errors
/// If it is not valid, or outside the policy.
pub fn check_vip(wanted: &VipSpec, policy: &Policy) -> Result<(), AgentError> {
    let key = wanted.key;
    wanted.validate().map_err(|error| AgentError::Invalid { key, error })?;
    policy.check_vip(&key)
}

/// Checks the settings of an `lb_conf`, before it waits for its turn.
///
/// # Errors
/// If they are not valid, or outside the policy.
pub fn check_conf(wanted: &LbConfSpec, policy: &Policy) -> Result<(), AgentError> {
    conf::check(wanted)?;
    policy.check_settings(wanted)
}

/// Why VPP has not done, or told, what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Failed {
    /// It was refused, by VPP or before it was asked.
    Refused(AgentError),
    /// The connection is of no use any more.
    Lost(#[from] Lost),
}

/// The lb plugin's global settings.
pub trait Settings: Plugin {
    /// Reads them.
    fn conf(&self) -> impl Future<Output = Result<LbConf, Failed>> + Send;
    /// Sets all of them.
    fn set_conf(&self, conf: LbConf) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// What became of a call.
#[derive(Debug)]
pub struct Executed<T> {
    /// For whoever asked.
    pub answer: Result<T, AgentError>,
    /// Why the connection to VPP is of no use any more, if so.
    pub lost: Option<Lost>,
}

impl<T> From<Result<T, SyncError>> for Executed<T> {
    fn from(result: Result<T, SyncError>) -> Self {
        match result {
            Ok(value) => Self { answer: Ok(value), lost: None },
            Err(SyncError::Lost(lost)) => Err(Failed::Lost(lost)).into(),
            Err(error @ (SyncError::TextTooLong { .. } | SyncError::Silent { .. })) => {
                Err(Failed::Refused(AgentError::VppLost { reason: error.to_string() })).into()
            }
        }
    }
}

impl<T> From<Result<T, Failed>> for Executed<T> {
    fn from(result: Result<T, Failed>) -> Self {
        match result {
            Ok(value) => Self { answer: Ok(value), lost: None },
            Err(Failed::Refused(error)) => Self { answer: Err(error), lost: None },
            Err(Failed::Lost(lost)) => {
                Self { answer: Err(AgentError::VppLost { reason: lost.reason.clone() }), lost: Some(lost) }
            }
        }
    }
}

/// Carries calls out on one connection to VPP.
#[derive(Debug)]
pub struct Executor<P> {
    syncer: Syncer<P>,
    /// The lb settings as they were last seen.
    conf: Option<LbConf>,
}

impl<P: Settings> Executor<P> {
    /// Carries out what this syncer's VPP is to have.
    pub fn new(syncer: Syncer<P>) -> Self {
        Self { syncer, conf: None }
    }

    /// What VPP is known to have, and the way to it.
    pub fn syncer(&self) -> &Syncer<P> {
        &self.syncer
    }

    /// The same, to read more of VPP, and to be told of its heap.
    pub fn syncer_mut(&mut self) -> &mut Syncer<P> {
        &mut self.syncer
    }

    /// Brings one VIP, which must be checked, to the state wanted.
    pub async fn sync_vip(&mut self, wanted: &VipSpec, demands: &Demands) -> Executed<SyncReport> {
        self.syncer.sync_vip(wanted, demands).await.into()
    }

    /// Reads VPP and brings it to the wanted set.
    pub async fn sync_all(&mut self, wanted: &Wanted) -> Executed<SyncReport> {
        self.syncer.sync_all(wanted).await.into()
    }

    /// Tells what VPP has, as it has it now.
    pub async fn lb_state(&self) -> Executed<LbState> {
        match self.syncer.plugin().conf().await {
            Ok(conf) => self.syncer.state(conf).await.into(),
            Err(failed) => Err(failed).into(),
        }
    }

    /// Tells what VPP is known to have.
    pub async fn programmed(&mut self) -> Executed<Programmed> {
        self.syncer.sure_mirror().await.map(Mirror::programmed).into()
    }

    /// Sets the lb settings, which must be checked, where they differ.
    pub async fn lb_conf(&mut self, wanted: &LbConfSpec) -> Executed<ConfReport> {
        self.set_conf(wanted).await.into()
    }

    async fn set_conf(&mut self, wanted: &LbConfSpec) -> Result<ConfReport, Failed> {
        let before = self.syncer.plugin().conf().await?;
        let drifted = self.conf.replace(before).is_some_and(|known| known != before);
        if drifted {
            warn!(now = %words(&before), "VPP is not as it was left: somebody else changed the lb settings");
        }
        let conf = conf::merged(wanted, &before);
        if conf == before {
            let now = before;
            return Ok(ConfReport { changed: false, before, now, pinned_flows_lost: false, drifted });
        }
        let unchanged = |error: &Failed| {
            warn!(before = %words(&before), wanted = %words(&conf), %error, "lb settings not changed");
        };
        self.check_change(&before, &conf).await.inspect_err(unchanged)?;
        let (from, to) = (before.sticky_buckets_per_core, conf.sticky_buckets_per_core);
        // Without VIPs there are no flows to forget.
        let pinned_flows_lost = from != to && !self.syncer.mirror().vips().is_empty();
        if pinned_flows_lost {
            warn!(from, to, "the number of sticky buckets changes: VPP forgets every pinned flow");
        }
        self.syncer.plugin().set_conf(conf).await.inspect_err(unchanged)?;
        if from != to {
            self.syncer.memory_mut().set_sticky(to);
        }
        let now = self.syncer.plugin().conf().await?;
        self.conf = Some(now);
        info!(before = %words(&before), now = %words(&now), answer = "ok", "lb settings changed");
        Ok(ConfReport { changed: true, before, now, pinned_flows_lost, drifted })
    }

    /// Refuses a change that VPP would die of, or that concerns VIPs of others. Those are asked of VPP now: somebody may
    /// have made one since the last full read, and settings change rarely.
    async fn check_change(&self, before: &LbConf, conf: &LbConf) -> Result<(), Failed> {
        let (from, to) = (before.sticky_buckets_per_core, conf.sticky_buckets_per_core);
        self.syncer.memory().check_sticky(from, to).map_err(|rule| {
            let what = format!("a change from {from} to {to} sticky buckets");
            Failed::Refused(AgentError::NotAllowed { what, rule })
        })?;
        let dumps = self.syncer.plugin().dumps().await?;
        let is_ours = |key| self.syncer.owns(key);
        let keys = dumps.vips.iter().map(|row| &row.key).chain(dumps.strange.iter().map(|(key, _)| key));
        let foreign = keys.clone().find(|key| !is_ours(key)).map(ToString::to_string);
        self.syncer.policy().check_change_beside(foreign).map_err(Failed::Refused)
    }
}

fn words(conf: &LbConf) -> String {
    format!(
        "ip4-src-address {} ip6-src-address {} sticky-buckets-per-core {} flow-timeout {}s",
        conf.ip4_src_address, conf.ip6_src_address, conf.sticky_buckets_per_core, conf.flow_timeout
    )
}
