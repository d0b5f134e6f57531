//! Messages about live activity: probes, writes to VPP, and weights.

use std::sync::Arc;
use std::time::SystemTime;

use maglev_engine::config::Frontend;
use maglev_engine::outcome::ProbeOutcome;
use maglev_engine::snapshot::{FrontendView, Snapshot};
use maglev_proto::event::What;
use maglev_proto::{Event, MemberWeight, ProbeEvent, ProbeResult, VppWriteEvent, WeightsEvent, probe_event};
use maglev_protocol::{Change, SyncReport, VipReport};

use super::vpp::{change_in_words, frontends_by_vip};
use super::{sync, unix_ms};

pub(in crate::grpc) fn probe_started(backend: &Arc<str>, check: Option<&str>, at: SystemTime) -> Event {
    probe(backend, check, probe_event::What::Started(true), at)
}

pub(in crate::grpc) fn probed(
    backend: &Arc<str>,
    check: Option<&str>,
    outcome: &ProbeOutcome,
    at: SystemTime,
) -> Event {
    let result = ProbeResult {
        passed: outcome.passed(),
        code: outcome.code.to_string(),
        detail: outcome.detail.to_string(),
        at_unix_ms: unix_ms(at),
        duration_ms: outcome.duration.as_secs_f64() * 1e3,
    };
    probe(backend, check, probe_event::What::Result(result), at)
}

/// `check` is its name, if the backend has several.
fn probe(backend: &Arc<str>, check: Option<&str>, what: probe_event::What, at: SystemTime) -> Event {
    let healthcheck = check.unwrap_or_default().to_owned();
    event(at, What::Probe(ProbeEvent { backend: backend.to_string(), what: Some(what), healthcheck }))
}

fn event(at: SystemTime, what: What) -> Event {
    Event { at_unix_ms: unix_ms(at), initial: false, what: Some(what) }
}

/// A frontend's weights and their progress.
pub(in crate::grpc) fn weights(
    snapshot: &Snapshot,
    name: &str,
    configured: &Frontend,
    view: &FrontendView,
    at: SystemTime,
) -> Event {
    let pools = configured.pools.iter().zip(&view.weights.pools);
    let weights = pools.flat_map(|(pool, weights)| {
        weights.iter().map(|(backend, weight)| MemberWeight {
            pool: pool.name.clone(),
            backend: backend.clone(),
            effective_weight: weight.effective.into(),
            programmed_weight: weight.programmed.into(),
        })
    });
    let (sync, sync_error) = sync(snapshot, &view.sync);
    let weights = weights.collect();
    event(
        at,
        What::Weights(WeightsEvent { frontend: name.to_owned(), weights, sync: sync.into(), sync_error }),
    )
}

/// Each write that VPP acknowledged or refused.
pub(in crate::grpc) fn writes(snapshot: &Snapshot, report: &SyncReport, at: SystemTime) -> Vec<Event> {
    let frontends = frontends_by_vip(snapshot);
    let of = |vip: &VipReport| {
        let write = VppWriteEvent {
            frontend: frontends.get(&vip.key).copied().unwrap_or_default().to_owned(),
            vip: vip.key.to_string(),
            ..VppWriteEvent::default()
        };
        let done = vip.changes.iter().map(|change| acknowledged(change, write.clone()));
        let refused = vip.errors.iter().map(|error| VppWriteEvent {
            text: error.step.clone(),
            error: error.meaning.clone(),
            ..write.clone()
        });
        done.chain(refused).collect::<Vec<_>>()
    };
    report.vips.iter().flat_map(of).map(|write| event(at, What::VppWrite(write))).collect()
}

fn acknowledged(change: &Change, mut write: VppWriteEvent) -> VppWriteEvent {
    write.text = change_in_words(change);
    let (server, from, to, flush) = match change {
        Change::VipAdded | Change::VipRemoved | Change::VipRecreated { .. } => return write,
        Change::VipFlushed => return VppWriteEvent { flush: true, ..write },
        Change::ServerAdded { server, weight } => (server, None, Some(*weight), false),
        Change::ServerRemoved { server, flushed } => (server, None, None, *flushed),
        Change::Reweighted { server, from, to, flushed } => (server, Some(*from), Some(*to), *flushed),
        Change::Flushed { server, weight } => (server, Some(*weight), Some(*weight), true),
    };
    VppWriteEvent {
        server: server.to_string(),
        from_weight: from.map(u32::from),
        to_weight: to.map(u32::from),
        flush,
        ..write
    }
}
