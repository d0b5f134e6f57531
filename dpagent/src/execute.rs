//! Validates the brain's calls, executes them on VPP one at a time, and reports whether the connection is
//! still usable.
//!
//! Opens no connection and keeps no queue: the agent's task drives it, as does the tests' simulation.

use std::future::Future;

use maglev_protocol::{
    AgentError, ConfReport, Demands, LbConf, LbConfSpec, LbState, Programmed, SyncReport, VipSpec,
};
use tracing::{info, warn};

use crate::apply::{Lost, Plugin};
use crate::conf;
use crate::policy::Policy;
use crate::reconcile::Wanted;
use crate::sync::{SyncError, Syncer};

/// Validates the VIP of a `sync_vip` before the call is queued.
///
/// # Errors
/// If it is invalid or outside the policy.
pub fn check_vip(wanted: &VipSpec, policy: &Policy) -> Result<(), AgentError> {
    let key = wanted.key;
    wanted.validate().map_err(|error| AgentError::Invalid { key, error })?;
    policy.check_vip(&key)
}

/// Validates the settings of an `lb_conf` before the call is queued.
///
/// # Errors
/// If they are invalid or outside the policy.
pub fn check_conf(wanted: &LbConfSpec, policy: &Policy) -> Result<(), AgentError> {
    conf::check(wanted)?;
    policy.check_settings(wanted)
}

/// Why a request to VPP failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Failed {
    /// Refused, by VPP or before it was asked.
    Refused(AgentError),
    /// The connection is no longer usable.
    Lost(#[from] Lost),
}

/// The lb plugin's global settings.
pub trait Settings: Plugin {
    /// Reads the settings.
    fn conf(&self) -> impl Future<Output = Result<LbConf, Failed>> + Send;
    /// Replaces all settings.
    fn set_conf(&self, conf: LbConf) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Outcome of a call.
#[derive(Debug)]
pub struct Executed<T> {
    /// The answer to the caller.
    pub answer: Result<T, AgentError>,
    /// Why the connection to VPP is no longer usable, if that is so.
    pub lost: Option<Lost>,
}

impl<T> From<Result<T, SyncError>> for Executed<T> {
    fn from(result: Result<T, SyncError>) -> Self {
        match result {
            Ok(value) => Self { answer: Ok(value), lost: None },
            Err(error) => Err(Failed::from(error)).into(),
        }
    }
}

impl From<SyncError> for Failed {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Lost(lost) => Self::Lost(lost),
            SyncError::TextTooLong { .. } | SyncError::Silent { .. } => {
                Self::Refused(AgentError::VppLost { reason: error.to_string() })
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

/// Executes calls on one connection to VPP.
#[derive(Debug)]
pub struct Executor<P> {
    syncer: Syncer<P>,
    /// The lb settings as last read.
    conf: Option<LbConf>,
}

impl<P: Settings> Executor<P> {
    /// An executor for the VPP of this syncer.
    pub fn new(syncer: Syncer<P>) -> Self {
        Self { syncer, conf: None }
    }

    /// The syncer, with its mirror of VPP.
    pub fn syncer(&self) -> &Syncer<P> {
        &self.syncer
    }

    /// The syncer, for reading more of VPP and recording the state of its heap.
    pub fn syncer_mut(&mut self) -> &mut Syncer<P> {
        &mut self.syncer
    }

    /// Brings one VIP to the desired state. The VIP must have been validated.
    pub async fn sync_vip(&mut self, wanted: &VipSpec, demands: &Demands) -> Executed<SyncReport> {
        self.syncer.sync_vip(wanted, demands).await.into()
    }

    /// Reads VPP and brings it to the desired state.
    pub async fn sync_all(&mut self, wanted: &Wanted) -> Executed<SyncReport> {
        self.syncer.sync_all(wanted).await.into()
    }

    /// Reads VPP's current state.
    pub async fn lb_state(&self) -> Executed<LbState> {
        match self.syncer.plugin().conf().await {
            Ok(conf) => self.syncer.state(conf).await.into(),
            Err(failed) => Err(failed).into(),
        }
    }

    /// Returns what VPP is known to have.
    pub async fn programmed(&mut self) -> Executed<Programmed> {
        self.syncer.programmed().await.into()
    }

    /// Applies the lb settings where they differ. They must have been validated.
    pub async fn lb_conf(&mut self, wanted: &LbConfSpec) -> Executed<ConfReport> {
        self.set_conf(wanted).await.into()
    }

    async fn set_conf(&mut self, wanted: &LbConfSpec) -> Result<ConfReport, Failed> {
        let before = self.syncer.plugin().conf().await?;
        let drifted = self.conf.replace(before).is_some_and(|known| known != before);
        if drifted {
            warn!(now = %words(&before), "drift: somebody else changed the lb settings");
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
        // Without VIPs there are no pinned flows to lose, nor while no thread has a table that tells the number.
        let pinned_flows_lost = from != to && from != 0 && !self.syncer.mirror().vips().is_empty();
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

    /// Refuses a change that would crash VPP or would affect VIPs outside the policy. Those are read from VPP
    /// now: somebody may have added one since the last full read, and settings change rarely.
    async fn check_change(&self, before: &LbConf, conf: &LbConf) -> Result<(), Failed> {
        let (from, to) = (before.sticky_buckets_per_core, conf.sticky_buckets_per_core);
        self.syncer.memory().check_sticky(from, to).map_err(|rule| {
            let what = format!("a change from {from} to {to} sticky buckets");
            Failed::Refused(AgentError::NotAllowed { what, rule })
        })?;
        let dumps = self.syncer.dumps().await?;
        let is_ours = |key| self.syncer.owns(key);
        let keys = dumps.vips.iter().map(|row| &row.key).chain(dumps.strange.iter().map(|(key, _)| key));
        let foreign = keys.clone().find(|key| !is_ours(key)).map(ToString::to_string);
        self.syncer.policy().check_change_beside(foreign).map_err(Failed::Refused)
    }
}

fn words(conf: &LbConf) -> String {
    let LbConf { ip4_src_address, ip6_src_address, sticky_buckets_per_core, flow_timeout } = conf;
    let sources = format!("ip4-src-address {ip4_src_address} ip6-src-address {ip6_src_address}");
    match (sticky_buckets_per_core, flow_timeout) {
        (0, 0) => format!("{sources}, the others unknown"),
        _ => {
            format!(
                "{sources} sticky-buckets-per-core {sticky_buckets_per_core} flow-timeout {flow_timeout}s"
            )
        }
    }
}
