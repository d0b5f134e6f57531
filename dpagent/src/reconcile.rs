//! The difference between what is wanted and what VPP has, as steps in an order that never takes a working VIP
//! out of service.
//!
//! Steps come in three kinds. *Clear* takes away what must go before something else can stand. *Raise* makes VIPs,
//! adds servers and raises weights. *Lower* lowers weights and then removes servers; it may only follow when the
//! raises are known to have worked, or a VIP could be left with nothing but zero weights.

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

/// What is to be done to one VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipPlan {
    /// The VIP.
    pub vip: VipKey,
    /// Takes the VIP away, to be gone or made anew.
    pub clear: Vec<Step>,
    /// Makes, adds, raises.
    pub raise: Vec<Step>,
    /// Lowers, removes.
    pub lower: Vec<Step>,
    /// Whether the wanted state has a server that takes new flows.
    pub serves: bool,
    /// Set if the VIP stands with another table length than wanted.
    pub table_length: Option<TableLengthKept>,
    /// What is not done, and why.
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

    /// The step of [`clear`](Self::clear) that must be acknowledged before any other is sent, if there is one, and the
    /// others.
    pub fn proof_and_clear(&self) -> (&[Step], &[Step]) {
        self.clear.split_at(usize::from(self.clear.len() > 1))
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.clear.is_empty() && self.raise.is_empty() && self.lower.is_empty()
    }

    /// The lowering steps that may be sent now that the raises are done, `now` being what VPP has, and what to say
    /// about the others.
    ///
    /// A step is held back if it would leave a VIP that serves, and shall serve, with nothing but zero weights.
    /// Only a refused raise can bring that about.
    pub fn safe_lowers(&self, now: Option<&MirrorVip>) -> (Vec<Step>, Vec<StepError>) {
        let mut weights = now.map_or_else(BTreeMap::new, |vip| vip.servers.clone());
        let mut positive = weights.values().filter(|weight| **weight > 0).count();
        let (mut safe, mut held_back) = (Vec::new(), Vec::new());
        for step in &self.lower {
            let (Some(server), (_, to)) = (step.server(), step.weights()) else {
                // Flows move to where the table says, so it must say something.
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

/// Plans one VIP, and lets all others be.
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

/// A VIP that VPP, or who reads it, cannot tell from another one, is not programmed.
fn refused_beside(meaning: String) -> StepError {
    StepError { step: "program the VIP".to_owned(), code: None, meaning }
}

/// Plans one VIP beside others of its prefix that stay as they are.
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
    // What is refused must not take the servers out that were to be replaced by it.
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

/// The steps from what VPP has of a VIP to what is wanted.
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
        // Flows that came while servers were still missing go to where the whole table has them.
        if actual.is_some() && plan.serves && is_split(&plan) {
            plan.lower.push(Step::FlushVip);
        }
        return plan;
    };
    if vip.table_length != wanted.new_flows_table_length {
        plan.table_length =
            Some(TableLengthKept { has: vip.table_length, wanted: wanted.new_flows_table_length });
    }
    // A flow that sends while no server takes new flows leaves an entry in VPP's table of pinned flows, which keeps it
    // from being pinned for as long as it goes on sending. Where no flow is pinned, dropping all entries loses nothing.
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
                // Owed by a server that went out of service when it had no weight to lose.
                let owed = weight == 0 && spec.flush && !vip.drained.contains(&server);
                flushes.extend((demanded || owed).then_some(Step::Flush { server, weight }));
            }
        }
    }
    // Flows move to where the table says: not before it says what is wanted.
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
        meaning: "not tried: it is not among the servers that the VIP shall have".to_owned(),
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

/// Whether a new VIP is made in several bursts, between which packets come.
fn is_split(plan: &VipPlan) -> bool {
    let writes: Vec<_> = plan.raise.iter().map(|step| Write { vip: plan.vip, step: *step }).collect();
    bursts(&writes, &Mirror::default()).len() > 1
}

/// A server that is added out of service has no flows, not even those of a time before somebody removed it.
fn add(server: IpAddr, spec: &ServerSpec) -> Step {
    Step::AddServer { server, weight: spec.weight, flush: spec.weight == 0 }
}

/// The VIP with its servers, which VPP removes together at the cost of one: taken away one by one, each rebuilds the
/// table. Before, its entries in VPP's table of pinned flows are dropped, or VPP would keep the servers for as long as
/// the entries. The first step changes nothing and proves that VPP has the VIP, as [`Step::FlushVip`] needs; `apply`
/// waits for its answer. Each flush of a flow takes one of its four slots there until the flow-timeout, so there is one.
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

/// Keeps a VIP from being removed to be made anew where VPP would refuse to make it, because another VIP of its
/// prefix stays as it is: the VIP would be gone.
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
            "VIP {other} has {}, and VPP wants one encapsulation for all VIPs of a prefix; changed together, in a full \
             sync, they can change",
            vip.encap
        );
        block(plan, wanted, why);
    }
}

/// Leaves a VIP as it is that was to be made anew with another encapsulation.
fn block(plan: &mut VipPlan, wanted: Encap, why: String) {
    plan.errors.push(StepError {
        step: format!("make the VIP anew with {wanted}"),
        code: None,
        meaning: format!("not tried: {why}"),
    });
    (plan.clear, plan.raise, plan.lower) = (Vec::new(), Vec::new(), Vec::new());
}

#[cfg(test)]
mod tests;
