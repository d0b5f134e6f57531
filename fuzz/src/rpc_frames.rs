//! Target: a frame on the socket between brain and agent, decoded as a call by the agent, and as an answer by
//! the brain.

use std::collections::BTreeSet;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use maglev_dpagent::mirror::{Mirror, MirrorVip};
use maglev_dpagent::policy::Policy;
use maglev_dpagent::reconcile::{VipPlan, check as check_wanted, diff, plan_all};
use maglev_protocol::codec::{ClientCodec, ServerCodec};
use maglev_protocol::{
    ALL_PORTS_PROTOCOL, AgentRequest, AgentResponse, Demands, MAX_DEADLINE, VipKey, VipSpec,
};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::{ClientMessage, Response};

type Brain = ClientCodec<AgentRequest, AgentResponse>;
type Agent = ServerCodec<AgentRequest, AgentResponse>;

/// Bytes of a request's frame before its trace context: its kind, and its deadline, which time changes.
const BEFORE_TRACE: usize = 16;

/// The whole is the frame, without its length.
pub fn check(data: &[u8]) {
    let frame = BytesMut::from(data);
    if let Ok(message) = decode_call(&frame) {
        let again = BytesMut::from(&encode_call(&message)[..]);
        assert!(again.len() <= frame.len(), "{} bytes became {}", frame.len(), again.len());
        let back = decode_call(&again).expect("what was encoded is decoded");
        let (one, other) = (encode_call(&message), encode_call(&back));
        assert_eq!(one.get(BEFORE_TRACE..), other.get(BEFORE_TRACE..));
        if let ClientMessage::Request(request) = message {
            let left = request.context.deadline.saturating_duration_since(now());
            assert!(left <= MAX_DEADLINE, "{left:?} are left");
            check_request(request.message);
        }
    }
    if let Ok(response) = decode_answer(&frame) {
        let again = BytesMut::from(&encode_answer(&response)[..]);
        assert_eq!(again.len(), frame.len());
        let back = decode_answer(&again).expect("what was encoded is decoded");
        assert_eq!(encode_answer(&back), again);
        check_answer(&response);
    }
}

fn check_request(request: AgentRequest) {
    match request {
        AgentRequest::SyncVip { wanted, demands } => {
            check_demands(&wanted, &demands);
            check_set(vec![wanted], Vec::new());
        }
        AgentRequest::SyncAll { wanted, keep } => check_set(wanted, keep),
        AgentRequest::IcmpEcho { request } => {
            assert!(
                Policy::default().check_ping(request.target).is_err(),
                "without a policy, nothing is allowed"
            );
        }
        other => drop(format!("{other:?}")),
    }
}

/// Demands change nothing for a VIP that does not exist yet, and are refused one by one if invalid.
fn check_demands(wanted: &VipSpec, demands: &Demands) {
    let strangers = demands.flush.iter().filter(|server| !wanted.servers.contains_key(server)).count();
    let nothing = Demands { flush: BTreeSet::new(), recreate: demands.recreate };
    let (plan, plain) = (diff(wanted, demands, None), diff(wanted, &nothing, None));
    assert_eq!((&plan.clear, &plan.raise, &plan.lower), (&plain.clear, &plain.raise, &plain.lower));
    let standing = MirrorVip {
        index: None,
        encap: wanted.encap,
        src_ip_sticky: Some(wanted.src_ip_sticky),
        table_length: wanted.new_flows_table_length,
        servers: wanted.servers.iter().map(|(server, spec)| (*server, spec.weight)).collect(),
        drained: wanted
            .servers
            .iter()
            .filter(|(_, spec)| spec.weight == 0)
            .map(|(server, _)| *server)
            .collect(),
    };
    let plan = diff(wanted, demands, Some(&standing));
    assert!(plan.clear.is_empty() && plan.raise.is_empty());
    assert_eq!(plan.lower.len() + strangers, demands.flush.len());
    assert_eq!(plan.errors.len(), strangers);
}

/// Any set that the agent accepts must be possible in VPP.
fn check_set(specs: Vec<VipSpec>, keep: Vec<VipKey>) {
    let count = specs.len();
    let valid = specs.iter().all(|spec| spec.validate().is_ok());
    let wanted = match check_wanted(specs, keep.clone()) {
        Ok(wanted) => wanted,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(valid && wanted.vips.len() == count);
    assert!(keep.iter().all(|key| !wanted.vips.contains_key(key)));
    for (key, spec) in &wanted.vips {
        assert!(*key == spec.key && key.prefix.is_valid());
        assert_eq!(key.is_all_ports(), key.protocol == ALL_PORTS_PROTOCOL);
        assert!((1..=65_536).contains(&spec.new_flows_table_length));
        assert!(spec.new_flows_table_length.is_power_of_two());
        assert!(spec.servers.values().all(|server| server.weight <= 100));
    }
    let planned = plan_all(&wanted, &Mirror::default(), &Policy::default());
    assert!(planned.plans.iter().all(VipPlan::is_empty), "without a policy, nothing is allowed");
}

/// Any answer is counted, logged and shown.
fn check_answer(response: &Response<AgentResponse>) {
    match &response.message {
        Ok(AgentResponse::SyncVip(Ok(report)) | AgentResponse::SyncAll(Ok(report))) => {
            let told = report.vips.iter().map(|vip| vip.changes.len() + vip.errors.len()).sum::<usize>();
            assert_eq!(report.changes() + report.errors().count(), told);
        }
        Ok(AgentResponse::SyncVip(Err(error)) | AgentResponse::SyncAll(Err(error))) => {
            drop(error.to_string())
        }
        Ok(other) => drop(format!("{other:?}")),
        Err(error) => drop(error.to_string()),
    }
}

fn decode_call(frame: &BytesMut) -> std::io::Result<ClientMessage<AgentRequest>> {
    Pin::new(&mut Agent::default()).deserialize(frame)
}

fn encode_call(message: &ClientMessage<AgentRequest>) -> Bytes {
    Pin::new(&mut Brain::default()).serialize(message).expect("what was decoded is encoded")
}

fn decode_answer(frame: &BytesMut) -> std::io::Result<Response<AgentResponse>> {
    Pin::new(&mut Brain::default()).deserialize(frame)
}

fn encode_answer(response: &Response<AgentResponse>) -> Bytes {
    Pin::new(&mut Agent::default()).serialize(response).expect("what was decoded is encoded")
}

#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    // tarpc's deadlines use the real clock.
    std::time::Instant::now()
}
