//! Sends planned steps to VPP in order, pipelined, and applies each acknowledged write to the mirror.
//!
//! Three bursts, each sent only when the one before has been answered: the steps that prove that VPP has the
//! VIPs to remove; everything that clears and raises; everything that lowers and removes. Each acknowledged
//! write is one log line.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use maglev_protocol::{Dialect, Prefix, StepError, VipKey, VipReport};
use tokio::time::Instant;
use tracing::field::{debug, display};
use tracing::{error, info, warn};

use crate::burst::{Burst, MOST_CHEAP, bursts};
use crate::cli_text::Text;
use crate::mirror::Mirror;
use crate::read::Dumps;
use crate::reconcile::VipPlan;
use crate::step::{Step, Write};

/// The connection to VPP can no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Lost {
    /// What ended it, for the log and the caller.
    pub reason: String,
}

/// VPP's answer to one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The write was carried out.
    Accepted,
    /// Nothing was sent: VPP has what the write would do.
    Unneeded,
    /// The write was refused and changed nothing.
    Refused {
        /// VPP's return value, negative.
        code: i32,
        /// Meaning of the code.
        meaning: String,
        /// Whether the code is about what VPP has (the VIP is missing, say) rather than about a malformed
        /// request.
        about_state: bool,
    },
    /// No answer: the write may or may not have been carried out.
    Lost(Lost),
}

/// The operations of VPP's lb plugin that reconciling needs.
pub trait Plugin {
    /// How it is programmed.
    fn dialect(&self) -> Dialect;
    /// Sends the writes in this order, pipelined; returns one answer for each.
    fn write(&self, writes: &[Write]) -> impl Future<Output = Vec<Answer>> + Send;
    /// Makes VPP answer a trivial request; returns how long that took.
    fn prove_alive(&self) -> impl Future<Output = Result<Duration, Lost>> + Send;
    /// Reads how many VIPs and servers there are, removed ones included; for [`Dialect::InOut`] only.
    fn size(&self) -> impl Future<Output = Result<(usize, usize), Lost>> + Send;
    /// Reads all VIPs and servers; for [`Dialect::Weighted`] only.
    fn dumps(&self) -> impl Future<Output = Result<Dumps, Lost>> + Send;
    /// Reads the details that no dump contains; for [`Dialect::InOut`] everything.
    fn text(&self) -> impl Future<Output = Result<Text, Lost>> + Send;
    /// Looks up the indexes of the prefixes' routes; one answer for each, `None` for a prefix without a
    /// route.
    fn routes(&self, prefixes: &[Prefix]) -> impl Future<Output = Result<Vec<Option<u32>>, Lost>> + Send;
}

/// Outcome of carrying out plans.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// What changed and what failed, by VIP.
    pub reports: BTreeMap<VipKey, VipReport>,
    /// Whether VPP refused a write that it would have accepted if the mirror were right.
    pub contradicted: bool,
}

/// Carries out plans, which must be in the order of their keys.
///
/// # Errors
/// When the connection broke. The mirror then contains everything that was acknowledged before.
pub async fn apply<P: Plugin>(plugin: &P, mirror: &mut Mirror, plans: &[VipPlan]) -> Result<Applied, Lost> {
    let mut applied = Applied::default();
    for plan in plans.iter().filter(|plan| !plan.errors.is_empty() || plan.table_length.is_some()) {
        let report = applied.report(plan.vip);
        report.table_length = plan.table_length;
        report.errors.extend(plan.errors.iter().cloned());
    }
    let proofs = plans.iter().flat_map(|plan| writes(plan, plan.proof_and_clear().0));
    let refused = applied.send(plugin, mirror, proofs.collect()).await?;
    let mut burst = Vec::new();
    for prefix in plans.chunk_by(|one, other| one.vip.prefix == other.vip.prefix) {
        let proven = || prefix.iter().filter(|plan| !refused.contains(&plan.vip));
        burst.extend(proven().flat_map(|plan| writes(plan, plan.proof_and_clear().1)));
        burst.extend(proven().flat_map(|plan| writes(plan, &plan.raise)));
    }
    applied.send(plugin, mirror, burst).await?;
    let mut burst = Vec::new();
    for plan in plans.iter().filter(|plan| !plan.lower.is_empty() && !refused.contains(&plan.vip)) {
        let (safe, held_back) = plan.safe_lowers(mirror.get(&plan.vip));
        burst.extend(writes(plan, &safe));
        if !held_back.is_empty() {
            applied.report(plan.vip).errors.extend(held_back);
        }
    }
    applied.send(plugin, mirror, burst).await?;
    Ok(applied)
}

fn writes(plan: &VipPlan, steps: &[Step]) -> impl Iterator<Item = Write> {
    let vip = plan.vip;
    steps.iter().map(move |step| Write { vip, step: *step })
}

impl Applied {
    /// Merges the outcome of a second attempt. Its errors replace those of the first attempt, which it
    /// retried.
    pub fn follow_up(&mut self, second: Self) {
        for report in self.reports.values_mut() {
            report.errors.clear();
            report.table_length = None;
        }
        for (vip, later) in second.reports {
            let report = self.report(vip);
            report.changes.extend(later.changes);
            report.errors = later.errors;
            report.table_length = later.table_length;
        }
        self.contradicted = second.contradicted;
    }

    /// The reports that are not empty, in the order of their keys.
    pub fn into_reports(self) -> Vec<VipReport> {
        let says_something = |report: &VipReport| {
            !report.changes.is_empty() || !report.errors.is_empty() || report.table_length.is_some()
        };
        self.reports.into_values().filter(says_something).collect()
    }

    fn report(&mut self, vip: VipKey) -> &mut VipReport {
        self.reports.entry(vip).or_insert_with(|| VipReport {
            key: vip,
            changes: Vec::new(),
            table_length: None,
            errors: Vec::new(),
        })
    }

    /// Sends writes in order; returns the VIPs for which VPP refused one.
    async fn send<P: Plugin>(
        &mut self,
        plugin: &P,
        mirror: &mut Mirror,
        writes: Vec<Write>,
    ) -> Result<BTreeSet<VipKey>, Lost> {
        let mut refused = BTreeSet::new();
        let mut bursts = bursts(&writes, mirror).into_iter().peekable();
        let mut under_way = FuturesOrdered::new();
        let mut alone = false;
        let mut lost = None;
        loop {
            while let Some(next) = bursts.next_if(|next| {
                let room = !alone && next.is_cheap && under_way.len() < MOST_CHEAP;
                lost.is_none() && (room || under_way.is_empty())
            }) {
                alone = !next.is_cheap;
                under_way.push_back(carry_out(plugin, next));
            }
            let Some((burst, answers, took)) = under_way.next().await else { break };
            for (write, answer) in burst.iter().zip(answers) {
                log(write, &answer, took);
                match answer {
                    Answer::Unneeded => mirror.acknowledge(write),
                    Answer::Accepted => {
                        mirror.acknowledge(write);
                        self.report(write.vip).changes.push(write.step.change());
                    }
                    Answer::Refused { code, meaning, about_state } => {
                        refused.insert(write.vip);
                        let expected = about_state && !mirror.would_take(write);
                        self.contradicted |= about_state && !expected;
                        let errors = &mut self.report(write.vip).errors;
                        // The servers of a VIP that could not be added all fail too: one error is enough.
                        if errors.is_empty() || !expected {
                            let step = write.step.to_string();
                            errors.push(StepError { step, code: Some(code), meaning });
                        }
                    }
                    // Later writes may still have been answered.
                    Answer::Lost(how) => lost = lost.or(Some(how)),
                }
            }
        }
        lost.map_or(Ok(refused), Err)
    }
}

async fn carry_out<'a, P: Plugin>(plugin: &P, burst: Burst<'a>) -> (&'a [Write], Vec<Answer>, Duration) {
    let sent = Instant::now();
    let answers = plugin.write(burst.writes).await;
    (burst.writes, answers, sent.elapsed())
}

/// Logs one write. `took` is the time from sending its burst to the last answer.
fn log(write: &Write, answer: &Answer, took: Duration) {
    let took = debug(took);
    let (step, vip) = (write.step.name(), write.vip.to_string());
    let vip = vip.as_str();
    let server = write.step.server().map(display);
    let (from, to) = write.step.weights();
    let flush = write.step.flushes();
    match answer {
        Answer::Unneeded => {}
        Answer::Accepted => match write.step {
            Step::AddVip { encap, src_ip_sticky, table_length } => {
                info!(step, vip, %encap, src_ip_sticky, table_length, answer = "ok", took, "VPP changed");
            }
            Step::RemoveVip { anew: Some(anew) } => {
                let reason = anew.to_string();
                warn!(
                    step,
                    vip,
                    reason,
                    answer = "ok",
                    took,
                    "VIP re-created: its pinned flows are forgotten"
                );
            }
            Step::RemoveVip { anew: None } => info!(step, vip, answer = "ok", took, "VPP changed"),
            _ => info!(step, vip, server, from, to, flush, answer = "ok", took, "VPP changed"),
        },
        Answer::Refused { code, meaning, .. } => {
            warn!(step, vip, server, from, to, flush, answer = code, meaning, took, "VPP refused");
        }
        Answer::Lost(Lost { reason }) => {
            error!(
                step,
                vip, server, from, to, flush, reason, took, "VPP did not answer: it may have changed"
            );
        }
    }
}
