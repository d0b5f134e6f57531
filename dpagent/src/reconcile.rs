//! Difference between the desired state and VPP's, as steps in an order that never takes a working VIP out of
//! service.
//!
//! There are three kinds of steps. *Clear* removes what is in the way. *Raise* adds VIPs and servers and
//! raises weights. *Lower* lowers weights and then removes servers; it may follow only once the raises have
//! succeeded, or a VIP could be left with nothing but zero weights.

mod admit;
mod fit;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maglev_protocol::{Demands, Encap, ServerSpec, StepError, TableLengthKept, VipKey, VipSpec};

use crate::burst::bursts;
use crate::mirror::{Mirror, MirrorVip};
use crate::policy::Policy;
use crate::step::{Anew, Step, Write};

use admit::{admit, check_room};
pub use fit::fit;
pub use set::{Plans, Wanted, check, plan_all};

/// The steps for one VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipPlan {
    /// The VIP.
    pub vip: VipKey,
    /// Removes the VIP, for good or to re-create it.
    pub clear: Vec<Step>,
    /// Adds and raises.
    pub raise: Vec<Step>,
    /// Lowers and removes.
    pub lower: Vec<Step>,
    /// Whether the desired state has a server that takes new flows.
    pub serves: bool,
    /// Set if the VIP exists with another table length than desired.
    pub table_length: Option<TableLengthKept>,
    /// What is refused, and why.
    pub errors: Vec<StepError>,
}

impl VipPlan {
    fn empty(vip: VipKey) -> Self {
        Self {
            vip,
            clear: Vec::new(),
            raise: Vec::new(),
            lower: Vec::new(),
            serves: false,
            table_length: None,
            errors: Vec::new(),
        }
    }

    fn refused(vip: VipKey, why: StepError) -> Self {
        Self { errors: vec![why], ..Self::empty(vip) }
    }

    /// The step of [`clear`](Self::clear) that must be acknowledged before any other is sent, if there is
    /// one, and the rest.
    pub fn proof_and_clear(&self) -> (&[Step], &[Step]) {
        self.clear.split_at(usize::from(self.clear.len() > 1))
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.clear.is_empty() && self.raise.is_empty() && self.lower.is_empty()
    }

    /// The lowering steps that may be sent after the raises, `now` being what VPP has, and errors for the
    /// others.
    ///
    /// A step is held back if it would leave only zero weights in a VIP that serves and is meant to go on
    /// serving. Only a refused raise can lead to that.
    pub fn safe_lowers(&self, now: Option<&MirrorVip>) -> (Vec<Step>, Vec<StepError>) {
        let mut weights = now.map_or_else(BTreeMap::new, |vip| vip.servers.clone());
        let mut positive = weights.values().filter(|weight| **weight > 0).count();
        let (mut safe, mut held_back) = (Vec::new(), Vec::new());
        for step in &self.lower {
            let (Some(server), (_, to)) = (step.server(), step.weights()) else {
                // A flush moves flows to where the table points, so the table needs a server.
                safe.extend((positive > 0).then_some(*step));
                continue;
            };
            let to = to.unwrap_or(0);
            let serves_now = weights.get(&server).is_some_and(|weight| *weight > 0);
            if self.serves && serves_now && to == 0 && positive == 1 {
                held_back.push(StepError {
                    step: step.to_string(),
                    code: None,
                    meaning: "not sent: the VIP would be left without a server that takes new flows"
                        .to_owned(),
                });
                continue;
            }
            if serves_now && to == 0 {
                positive -= 1;
            }
            weights.insert(server, to);
            safe.push(*step);
        }
        (safe, held_back)
    }
}

/// Plans one VIP and leaves all others alone.
pub fn plan_one(wanted: &VipSpec, demands: &Demands, actual: &Mirror, policy: &Policy) -> VipPlan {
    let standing = actual.get(&wanted.key);
    if let Some(why) = actual.set_aside().blocks(&wanted.key) {
        return VipPlan::refused(wanted.key, refused_beside(why));
    }
    if standing.is_none()
        && let Err(why) = check_room(actual, policy)
    {
        return VipPlan::refused(wanted.key, why);
    }
    plan(wanted, demands, actual, policy, actual.neighbours(&wanted.key))
}

/// A VIP that VPP, or a reader of its dumps, cannot tell from another one is not programmed.
fn refused_beside(meaning: String) -> StepError {
    StepError { step: "program the VIP".to_owned(), code: None, meaning }
}

/// Plans one VIP next to others of its prefix, which stay as they are.
fn plan<'a>(
    wanted: &VipSpec,
    demands: &Demands,
    mirror: &Mirror,
    policy: &Policy,
    staying: impl Iterator<Item = (&'a VipKey, &'a MirrorVip)>,
) -> VipPlan {
    let actual = mirror.get(&wanted.key);
    let anew = actual.and_then(|vip| must_be_made_anew(wanted, demands, vip));
    let standing = actual.filter(|_| anew.is_none());
    let (allowed, refused) = match admit(wanted, standing, policy) {
        Ok(admitted) => admitted,
        Err(why) => return VipPlan::refused(wanted.key, why),
    };
    let mut plan = diff(&allowed, demands, actual);
    // If a server is refused, those that it was meant to replace must stay in service.
    plan.serves = serves(wanted);
    plan.errors.extend(refused);
    block_if_hopeless(&mut plan, wanted.encap, staying);
    if matches!(anew, Some(Anew::Encap { .. }))
        && let Some(other) = mirror.set_aside().of_prefix(wanted.key.prefix)
    {
        block(&mut plan, wanted.encap, format!("VIP {other}, which was set aside, shares its prefix"));
    }
    plan
}

/// The steps from VPP's state of a VIP to the desired one.
pub fn diff(wanted: &VipSpec, demands: &Demands, actual: Option<&MirrorVip>) -> VipPlan {
    let mut plan = VipPlan::empty(wanted.key);
    plan.serves = serves(wanted);
    let standing = match actual {
        Some(vip) => match must_be_made_anew(wanted, demands, vip) {
            None => Some(vip),
            Some(anew) => {
                plan.clear = removal(vip, Some(anew));
                None
            }
        },
        None => None,
    };
    let Some(vip) = standing else {
        plan.raise.push(Step::AddVip {
            encap: wanted.encap,
            src_ip_sticky: wanted.src_ip_sticky,
            table_length: wanted.new_flows_table_length,
        });
        plan.raise.extend(wanted.servers.iter().map(|(&server, spec)| add(server, spec)));
        // Flows that arrived while servers were still missing move to where the complete table puts them.
        if actual.is_some() && plan.serves && is_split(&plan) {
            plan.lower.push(Step::FlushVip);
        }
        return plan;
    };
    if vip.table_length != wanted.new_flows_table_length {
        plan.table_length =
            Some(TableLengthKept { has: vip.table_length, wanted: wanted.new_flows_table_length });
    }
    // A flow that sends while no server takes new flows leaves an entry in VPP's table of pinned flows, which
    // keeps it unpinned for as long as it keeps sending. If no flow is pinned, dropping all entries loses
    // nothing.
    if plan.serves && !vip.serves() && vip.is_drained() {
        plan.lower.push(Step::FlushVip);
    }
    let mut flushes = Vec::new();
    for (&server, spec) in &wanted.servers {
        let to = spec.weight;
        let demanded = demands.flush.contains(&server);
        match vip.servers.get(&server).copied() {
            None => plan.raise.push(add(server, spec)),
            Some(from) if from < to => {
                plan.raise.push(Step::Reweight { server, from, to, flush: false });
                flushes.extend(demanded.then_some(Step::Flush { server, weight: to }));
            }
            Some(from) if from > to => {
                let flush = demanded || to == 0 && spec.flush;
                plan.lower.push(Step::Reweight { server, from, to, flush });
            }
            Some(weight) => {
                // A flush is still due for a server that was already at weight 0 when it went out of service.
                let owed = weight == 0 && spec.flush && !vip.drained.contains(&server);
                flushes.extend((demanded || owed).then_some(Step::Flush { server, weight }));
            }
        }
    }
    // Flushes come last, when the table already has the desired weights to move flows to.
    plan.lower.extend(flushes);
    let unwanted = vip.servers.iter().filter(|(server, _)| !wanted.servers.contains_key(server));
    plan.lower.extend(unwanted.map(|(&server, &weight)| Step::RemoveServer { server, weight }));
    plan.errors.extend(unknown(&demands.flush, wanted));
    plan
}

fn serves(wanted: &VipSpec) -> bool {
    wanted.servers.values().any(|server| server.weight > 0)
}

fn unknown(flush: &BTreeSet<IpAddr>, wanted: &VipSpec) -> impl Iterator<Item = StepError> {
    let strangers = flush.iter().filter(|server| !wanted.servers.contains_key(server));
    strangers.map(|server| StepError {
        step: format!("move the flows of server {server}"),
        code: None,
        meaning: "not tried: it is not a desired server of the VIP".to_owned(),
    })
}

fn must_be_made_anew(wanted: &VipSpec, demands: &Demands, vip: &MirrorVip) -> Option<Anew> {
    let (has, length) = (vip.table_length, wanted.new_flows_table_length);
    if vip.encap != wanted.encap {
        Some(Anew::Encap { has: vip.encap, wanted: wanted.encap })
    } else if vip.src_ip_sticky.is_some_and(|sticky| sticky != wanted.src_ip_sticky) {
        Some(Anew::SrcIpSticky { wanted: wanted.src_ip_sticky })
    } else {
        (demands.recreate && has != length).then_some(Anew::TableLength { has, wanted: length })
    }
}

/// Whether adding a VIP takes several bursts, between which packets arrive.
fn is_split(plan: &VipPlan) -> bool {
    let writes: Vec<_> = plan.raise.iter().map(|step| Write { vip: plan.vip, step: *step }).collect();
    bursts(&writes, &Mirror::default()).len() > 1
}

/// Adds a server. One that is added out of service must have no flows, not even from before it was once
/// removed.
fn add(server: IpAddr, spec: &ServerSpec) -> Step {
    Step::AddServer { server, weight: spec.weight, flush: spec.weight == 0 }
}

/// Removes a VIP with its servers. VPP removes them together at the cost of one; one at a time, each rebuilds
/// the table. The VIP's entries in VPP's table of pinned flows are flushed first, or VPP would keep the
/// servers for as long as the entries. The first step changes nothing and proves that VPP has the VIP, which
/// [`Step::FlushVip`] requires; `apply` waits for its answer. There is one flush, since each occupies one of
/// a flow's four slots in that table until the flow timeout.
fn removal(vip: &MirrorVip, anew: Option<Anew>) -> Vec<Step> {
    let proof = vip.servers.first_key_value();
    let proof = proof.map(|(&server, &to)| Step::Reweight { server, from: to, to, flush: false });
    proof
        .map(|proof| [proof, Step::FlushVip])
        .into_iter()
        .flatten()
        .chain([Step::RemoveVip { anew }])
        .collect()
}

/// Prevents re-creating a VIP if VPP would refuse to add it again because of another VIP of its prefix, which
/// stays: the VIP would be lost.
fn block_if_hopeless<'a>(
    plan: &mut VipPlan,
    wanted: Encap,
    mut staying: impl Iterator<Item = (&'a VipKey, &'a MirrorVip)>,
) {
    if plan.clear.is_empty() {
        return;
    }
    if let Some((other, vip)) = staying.find(|(_, vip)| vip.encap != wanted) {
        let why = format!(
            "VIP {other} has {}, and VPP requires one encapsulation for all VIPs of a prefix; changed \
            together, in a full \
             sync, they can change",
            vip.encap
        );
        block(plan, wanted, why);
    }
}

/// Leaves a VIP as it is instead of re-creating it with another encapsulation.
fn block(plan: &mut VipPlan, wanted: Encap, why: String) {
    plan.errors.push(StepError {
        step: format!("re-create the VIP with {wanted}"),
        code: None,
        meaning: format!("not tried: {why}"),
    });
    (plan.clear, plan.raise, plan.lower) = (Vec::new(), Vec::new(), Vec::new());
}

#[cfg(test)]
mod tests;
