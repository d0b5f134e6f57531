//! `watch events`: shows each event as it arrives.

use std::future::Future;

use maglev_proto::Event;
use maglev_proto::event::What;

use crate::args::EventFilter;
use crate::client::Client;
use crate::error::Error;

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The requested number of events arrived.
    Complete,
    /// The user interrupted it.
    Interrupted,
}

/// Follows events until the requested number arrived, until `interrupt`, or until `show` reports that its
/// output is closed. `count` is the number of events so far, over all connections. The marker after the initial state is shown but not counted.
///
/// An `Err` of `show` is returned as it is; any end by the server results in exit code 3, since only the
/// watcher ends a watch regularly.
pub(crate) async fn follow(
    filter: &EventFilter,
    client: &Client,
    count: &mut u64,
    interrupt: impl Future<Output = ()>,
    mut show: impl AsyncFnMut(&Event) -> Result<Reader, Error>,
) -> Result<Ending, Error> {
    let mut interrupt = std::pin::pin!(interrupt);
    let mut events = tokio::select! {
        () = &mut interrupt => return Ok(Ending::Interrupted),
        events = client.watch_events(filter.wanted.clone()) => events?,
    };
    loop {
        let next = tokio::select! {
            biased;
            () = &mut interrupt => return Ok(Ending::Interrupted),
            next = events.message() => next,
        };
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) => return Err(Error::ended(client.server(), "the stream ended without a reason")),
            Err(status) => return Err(Error::ended_with(client.server(), &status)),
        };
        let shown = tokio::select! {
            biased;
            () = &mut interrupt => return Ok(Ending::Interrupted),
            shown = show(&event) => shown?,
        };
        if shown == Reader::Gone {
            return Ok(Ending::Complete);
        }
        if !matches!(event.what, Some(What::InitialStateEnd(_))) {
            *count += 1;
        }
        if filter.num > 0 && *count >= filter.num {
            return Ok(Ending::Complete);
        }
    }
}

/// Whether the output is still being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}
