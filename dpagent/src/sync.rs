//! Brings VPP to the desired state: reads what is needed, plans, applies, and retries once if VPP's state
//! turned out to differ from the mirror.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Demands, FullRead, LbConf, LbState, SyncReport, VipKey, VipSpec};
use tracing::{info, warn};

use crate::apply::{Applied, Lost, Plugin, apply};
use crate::cli_text::Text;
use crate::heap::{self, Memory};
use crate::liveness::SILENT;
use crate::mirror::Mirror;
use crate::policy::Policy;
use crate::read::{Reading, text_is_safe};
use crate::reconcile::{Plans, Wanted, fit, plan_all, plan_one};
use crate::set_aside::SetAside;
use crate::step::Step;

/// Maximum number of reads if VPP is being changed meanwhile. What is still inconsistent after them is set
/// aside.
const READS: usize = 3;

/// A plugin and its known state.
#[derive(Debug)]
pub struct Syncer<P> {
    plugin: P,
    policy: Arc<Policy>,
    mirror: Mirror,
    /// Upper bound on the VIPs and servers in VPP, removed ones included: the last read and all writes since.
    rows: (usize, usize),
    /// The room in VPP's heap.
    memory: Memory,
    /// Whether the mirror is known to be wrong, so that the next sync must read.
    stale: bool,
    /// VIPs outside the policy, as last logged.
    foreign: Vec<VipKey>,
    /// Number of syncs that changed VPP or found drift.
    changes: u64,
}

/// Why a read or a sync failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The connection can no longer be used.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// VPP was silent just before something was to be lowered, flushed or removed: its silence may be why the
    /// checks failed.
    #[error("VPP answered only after {:.1} s, so nothing was written", after.as_secs_f64())]
    Silent {
        /// How long VPP took to answer.
        after: Duration,
    },
    /// VPP would die of the answer.
    #[error(
        "VPP has {servers} application servers, removed ones included, and would run out of memory listing \
        them; it reclaims removed ones within two minutes"
    )]
    TextTooLong {
        /// How many.
        servers: usize,
    },
}

impl<P: Plugin> Syncer<P> {
    /// Reads everything.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn start(plugin: P, policy: Arc<Policy>) -> Result<Self, SyncError> {
        let (mirror, rows) = read(&plugin, None).await?;
        let memory = Memory::new(heap::bytes_of_all(&mirror));
        mirror.set_aside().log_changes(&SetAside::default());
        Ok(Self { plugin, policy, mirror, rows, memory, stale: false, foreign: Vec::new(), changes: 0 })
    }

    /// The plugin.
    pub fn plugin(&self) -> &P {
        &self.plugin
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Judges by another policy from here on. The mirror has the VIPs of every policy.
    pub fn adopt(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// The room in VPP's heap.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// For recording the state of VPP's heap.
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Whether a VIP dumped by VPP is inside the policy and identified.
    pub fn owns(&self, vip: &VipKey) -> bool {
        self.policy.allows_vip(&vip.prefix) && self.mirror.set_aside().blocks(vip).is_none()
    }

    /// Raised by each sync that changed something in VPP, or found it changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What VPP is known to have.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Brings one VIP to its desired state and fulfils the explicit requests. Reads nothing unless an answer
    /// contradicts the mirror.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn sync_vip(&mut self, wanted: &VipSpec, demands: &Demands) -> Result<SyncReport, SyncError> {
        let mut report = SyncReport::default();
        if self.stale {
            self.reread(&mut report).await?;
        }
        let plan = |mirror: &Mirror, policy: &Policy| Plans {
            plans: vec![plan_one(wanted, demands, mirror, policy)],
            foreign: Vec::new(),
        };
        self.sync(report, plan).await
    }

    /// Reads VPP and brings it to the desired state.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn sync_all(&mut self, wanted: &Wanted) -> Result<SyncReport, SyncError> {
        let mut report = SyncReport::default();
        self.reread(&mut report).await?;
        let report = self.sync(report, |mirror, policy| plan_all(wanted, mirror, policy)).await?;
        if self.foreign != report.foreign {
            let vips: Vec<_> = report.foreign.iter().map(VipKey::to_string).collect();
            info!(vips = vips.join(", "), policy = self.policy.source, "VIPs outside the policy: left alone");
            self.foreign.clone_from(&report.foreign);
        }
        Ok(report)
    }

    /// Reads the state to show to an operator.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn state(&self, conf: LbConf) -> Result<LbState, SyncError> {
        let mut attempt = 1;
        loop {
            let dumps = self.plugin.dumps().await?;
            check_text(dumps.rows())?;
            let (state, reading) = dumps.state(conf, &self.plugin.text().await?);
            let set_aside = self.mirror.set_aside();
            if reading.torn.is_empty() || *reading.mirror.set_aside() == *set_aside || attempt == READS {
                return Ok(state);
            }
            attempt += 1;
        }
    }

    /// Whether the mirror is known to be wrong.
    pub fn must_read(&self) -> bool {
        self.stale
    }

    /// The mirror, read again if it is known to be wrong.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn sure_mirror(&mut self) -> Result<&Mirror, SyncError> {
        if self.stale {
            self.reread(&mut SyncReport::default()).await?;
        }
        Ok(&self.mirror)
    }

    /// Whether a VIP's index is unknown and reading the CLI text would help and is safe.
    pub fn must_learn(&self) -> bool {
        !self.stale
            && check_text(self.rows).is_ok()
            && self.mirror.vips().values().any(|vip| vip.index.is_none())
    }

    /// Reads the CLI text and records unknown indexes. If it lists other VIPs than the mirror, the next sync
    /// reads everything.
    ///
    /// # Errors
    /// When the connection breaks, or the text would be too long.
    pub async fn learn(&mut self) -> Result<Text, SyncError> {
        check_text(self.rows)?;
        let text = self.plugin.text().await?;
        let used = text.vips.iter().filter(|vip| !vip.removed);
        self.stale |= !self.mirror.learn(used.map(|vip| (vip.key, vip.index)).collect());
        Ok(text)
    }

    async fn sync(
        &mut self,
        mut report: SyncReport,
        plan: impl Fn(&Mirror, &Policy) -> Plans,
    ) -> Result<SyncReport, SyncError> {
        let (mut applied, mut foreign) = self.attempt(&plan).await?;
        if applied.contradicted {
            warn!("drift: reading VPP again and retrying");
            self.reread(&mut report).await?;
            let second;
            (second, foreign) = self.attempt(&plan).await?;
            applied.follow_up(second);
            self.stale = applied.contradicted;
        }
        report.vips = applied.into_reports();
        report.foreign = foreign;
        self.changes += u64::from(report.changes() > 0 || !report.drift.is_empty());
        Ok(report)
    }

    async fn attempt(
        &mut self,
        plan: impl Fn(&Mirror, &Policy) -> Plans,
    ) -> Result<(Applied, Vec<VipKey>), SyncError> {
        let Plans { mut plans, foreign } = plan(&self.mirror, &self.policy);
        fit(&mut plans, &mut self.memory);
        for step in plans.iter().flat_map(|plan| &plan.raise) {
            self.rows.0 += usize::from(matches!(step, Step::AddVip { .. }));
            self.rows.1 += usize::from(matches!(step, Step::AddServer { .. }));
        }
        if plans.iter().any(|plan| !plan.clear.is_empty() || !plan.lower.is_empty()) {
            let after = self.plugin.prove_alive().await?;
            if after >= SILENT {
                return Err(SyncError::Silent { after });
            }
        }
        Ok((apply(&self.plugin, &mut self.mirror, &plans).await?, foreign))
    }

    /// Replaces the mirror by what VPP has, and reports the drift.
    async fn reread(&mut self, report: &mut SyncReport) -> Result<(), SyncError> {
        self.stale = true;
        let (found, rows) = read(&self.plugin, Some(&self.mirror)).await?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        report.read =
            Some(FullRead { vips: count(found.vips().len()), servers: count(found.server_count()) });
        // Nearly always equal: the old mirror is kept and the new one freed, which avoids fragmenting memory.
        if self.mirror != found {
            let drift = self.mirror.drift(&found, |vip| self.policy.allows_vip(&vip.prefix));
            for difference in &drift {
                warn!(%difference, "drift: VPP differs from what was programmed");
            }
            report.drift.extend(drift);
            found.set_aside().log_changes(self.mirror.set_aside());
            self.mirror = found;
        }
        (self.rows, self.stale) = (rows, false);
        Ok(())
    }
}

fn check_text((vips, servers): (usize, usize)) -> Result<(), SyncError> {
    text_is_safe(vips, servers).then_some(()).ok_or(SyncError::TextTooLong { servers })
}

async fn read<P: Plugin>(
    plugin: &P,
    remembered: Option<&Mirror>,
) -> Result<(Mirror, (usize, usize)), SyncError> {
    let mut attempt = 1;
    loop {
        let dumps = plugin.dumps().await?;
        let reading = match remembered {
            Some(remembered) if !dumps.need_text(remembered) => dumps.mirror_like(remembered),
            _ => match check_text(dumps.rows()) {
                Ok(()) => dumps.mirror(&plugin.text().await?),
                Err(reason) => {
                    warn!(%reason, "sticky flags and indexes of VIPs stay unknown");
                    dumps.mirror_without_text(remembered)
                }
            },
        };
        let Reading { mirror, torn } = reading;
        // Something that was already set aside is not a change during this read.
        let known = remembered.is_some_and(|remembered| remembered.set_aside() == mirror.set_aside());
        if torn.is_empty() || known || attempt == READS {
            return Ok((mirror, dumps.rows()));
        }
        let about = torn.first().map_or("", String::as_str);
        info!(about, attempt, "VPP's dumps and its text do not agree: reading again");
        attempt += 1;
    }
}

#[cfg(test)]
mod tests;
