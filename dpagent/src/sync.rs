//! Brings VPP to the desired state: reads what is needed, plans, applies, and retries once if VPP's state
//! turned out to differ from the mirror.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Demands, Dialect, FullRead, LbConf, LbState, Programmed, SyncReport, VipKey, VipSpec};
use tracing::{info, warn};

use crate::apply::{Applied, Lost, Plugin, apply};
use crate::cli_text::Text;
use crate::dialect::{self, in_out};
use crate::heap::{self, Memory};
use crate::liveness::SILENT;
use crate::mirror::Mirror;
use crate::policy::Policy;
use crate::read::{Dumps, Reading, text_is_safe};
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
        them; VPP 26.10 reclaims removed ones within two minutes, an older one when it is restarted"
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
        let wanted = dialect::desired(self.plugin.dialect(), wanted);
        let plan = |mirror: &Mirror, policy: &Policy| Plans {
            plans: vec![plan_one(&wanted, demands, mirror, policy)],
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
        let wanted = dialect::desired_of_all(self.plugin.dialect(), wanted);
        let report = self.sync(report, |mirror, policy| plan_all(&wanted, mirror, policy)).await?;
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
            let needed = |dumps: &Dumps| check_text(dumps.rows()).map(|()| true);
            let Looked { dumps, text, .. } = look(&self.plugin, Some(&self.mirror), needed).await?;
            let (state, reading) = dumps.state(conf, &text.unwrap_or_default());
            let set_aside = self.mirror.set_aside();
            if reading.torn.is_empty() || *reading.mirror.set_aside() == *set_aside || attempt == READS {
                return Ok(state);
            }
            attempt += 1;
        }
    }

    /// Reads the VIPs that VPP has now.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn dumps(&self) -> Result<Dumps, SyncError> {
        Ok(look(&self.plugin, Some(&self.mirror), |_| Ok(false)).await?.dumps)
    }

    /// What VPP is known to have, as sent to the brain, read again if it is known to be wrong.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    pub async fn programmed(&mut self) -> Result<Programmed, SyncError> {
        let dialect = self.plugin.dialect();
        Ok(Programmed { dialect, ..self.sure_mirror().await?.programmed() })
    }

    /// Whether the mirror is known to be wrong.
    pub fn must_read(&self) -> bool {
        self.stale
    }

    /// The mirror, read again if it is known to be wrong.
    ///
    /// # Errors
    /// When the connection breaks, or VPP cannot be read.
    async fn sure_mirror(&mut self) -> Result<&Mirror, SyncError> {
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
        let mut text = self.plugin.text().await?;
        if self.plugin.dialect() == Dialect::InOut {
            text = in_out::complete(text, Some(&self.mirror));
        }
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
        for plan in &mut plans {
            dialect::refine(self.plugin.dialect(), plan, &mut self.mirror);
        }
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

/// What VPP has.
struct Looked {
    dumps: Dumps,
    /// Absent if it was not needed.
    text: Option<Text>,
    /// Number of VIPs and servers, removed ones included.
    rows: (usize, usize),
}

/// Reads VPP, with the CLI text if it is `needed` or if the dialect has no dumps to read instead.
async fn look<P: Plugin>(
    plugin: &P,
    remembered: Option<&Mirror>,
    needed: impl Fn(&Dumps) -> Result<bool, SyncError>,
) -> Result<Looked, SyncError> {
    if plugin.dialect() == Dialect::InOut {
        let rows = plugin.size().await?;
        check_text(rows)?;
        let text = in_out::complete(plugin.text().await?, remembered);
        return Ok(Looked { dumps: in_out::dumps(&text), text: Some(text), rows });
    }
    let dumps = plugin.dumps().await?;
    let text = if needed(&dumps)? { Some(plugin.text().await?) } else { None };
    Ok(Looked { rows: dumps.rows(), dumps, text })
}

async fn read<P: Plugin>(
    plugin: &P,
    remembered: Option<&Mirror>,
) -> Result<(Mirror, (usize, usize)), SyncError> {
    let mut attempt = 1;
    loop {
        let needs = |dumps: &Dumps| remembered.is_none_or(|remembered| dumps.need_text(remembered));
        let needed = |dumps: &Dumps| {
            let unsafe_text = check_text(dumps.rows()).err().filter(|_| needs(dumps));
            if let Some(reason) = &unsafe_text {
                warn!(%reason, "sticky flags and indexes of VIPs stay unknown");
            }
            Ok(unsafe_text.is_none() && needs(dumps))
        };
        let Looked { dumps, text, rows } = look(plugin, remembered, needed).await?;
        let reading = match (&text, remembered) {
            (Some(text), _) => dumps.mirror(text),
            (None, Some(remembered)) if !needs(&dumps) => dumps.mirror_like(remembered),
            (None, remembered) => dumps.mirror_without_text(remembered),
        };
        let Reading { mirror, torn } = reading;
        // Something that was already set aside is not a change during this read.
        let known = remembered.is_some_and(|remembered| remembered.set_aside() == mirror.set_aside());
        if torn.is_empty() || known || attempt == READS {
            return Ok((mirror, rows));
        }
        let about = torn.first().map_or("", String::as_str);
        info!(about, attempt, "VPP's dumps and its text do not agree: reading again");
        attempt += 1;
    }
}

#[cfg(test)]
mod tests;
