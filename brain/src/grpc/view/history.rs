//! Records of the history.

use maglev_engine::history::Record;
use maglev_proto::{BackendState, HistoryRecord};

use super::proto_state;

pub(in crate::grpc) fn record(record: Record) -> HistoryRecord {
    let Record { number, at_ms, kind, backend, frontend, from, to, what, who, reason, failed, .. } = record;
    let [from, to] = [from, to].map(|state| state.map_or(BackendState::Unspecified, proto_state).into());
    HistoryRecord {
        number,
        at_unix_ms: at_ms,
        kind: kind.word().to_owned(),
        backend,
        frontend,
        from,
        to,
        what,
        who,
        reason,
        failed,
    }
}
