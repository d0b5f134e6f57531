//! What happened, also before the start.

use std::time::{Duration, UNIX_EPOCH};

use maglev_engine::history::{Filter, parse};
use maglev_proto::{GetHistoryRequest, GetHistoryResponse};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::{Answer, Service, view};
use crate::paced::Cause;

/// Records in an answer, if no number is given.
const USUAL: u32 = 1000;
/// The same at most.
const MOST: u32 = 10_000;

impl Service {
    pub(super) async fn history(&self, request: Request<GetHistoryRequest>) -> Answer<GetHistoryResponse> {
        let caller = Caller::of(request.extensions());
        let GetHistoryRequest { backend, frontend, since_unix_ms, most } = request.into_inner();
        let since = (since_unix_ms > 0).then(|| UNIX_EPOCH.checked_add(Duration::from_millis(since_unix_ms)));
        let most = if most == 0 { USUAL } else { most.min(MOST) };
        let filter = Filter { backend, frontend, since: since.flatten(), most: most as usize };
        // The files are held in memory meanwhile, as the configuration is by its checks.
        let _place = self.place(Cause::Check, &self.checks.places, &caller)?;
        let _turn = self.checks.turn(&caller).await;
        let history = self.operator.history();
        let files = history.read().await.map_err(Status::unavailable)?;
        let select = move || {
            let contents = parse(&files);
            (contents.damaged, filter.select(contents.records))
        };
        let selected = self.checks.blocking.run(select).await;
        let (damaged_lines, (records, left_out)) =
            selected.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(GetHistoryResponse {
            records: records.into_iter().map(view::history::record).collect(),
            left_out: left_out as u64,
            damaged_lines,
            not_written: history.unwritten().unwrap_or_default(),
        }))
    }
}
