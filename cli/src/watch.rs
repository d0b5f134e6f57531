//! `watch events`: passes each event on as it comes.

use std::future::Future;

use maglev_proto::Event;
use maglev_proto::event::What;

use crate::args::EventFilter;
use crate::client::Client;
use crate::error::Error;

/// Why a watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// So many events came as were asked for.
    Complete,
    /// Whoever watches has seen enough.
    Interrupted,
}

/// Follows the events until as many came as are asked for, until `interrupt`, or until `show` says that nobody
/// reads them any more. The mark behind the state at the beginning is shown and not counted.
///
/// An `Err` of `show` ends it with that; one of the server's with code 3, whatever its reason: a watch ends by the
/// watcher's word only.
pub(crate) async fn follow(
    filter: &EventFilter,
    client: &Client,
    interrupt: impl Future<Output = ()>,
    mut show: impl FnMut(&Event) -> Result<Reader, Error>,
) -> Result<Ending, Error> {
    let mut interrupt = std::pin::pin!(interrupt);
    let mut events = tokio::select! {
        () = &mut interrupt => return Ok(Ending::Interrupted),
        events = client.watch_events(filter.wanted.clone()) => events?,
    };
    let mut count = 0_u64;
    loop {
        let next = tokio::select! {
            biased;
            () = &mut interrupt => return Ok(Ending::Interrupted),
            next = events.message() => next,
        };
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) => return Err(Error::ended(client.server(), "it says no more")),
            Err(status) => return Err(Error::ended_with(client.server(), &status)),
        };
        if show(&event)? == Reader::Gone {
            return Ok(Ending::Complete);
        }
        if !matches!(event.what, Some(What::InitialStateEnd(_))) {
            count += 1;
        }
        if filter.num > 0 && count >= filter.num {
            return Ok(Ending::Complete);
        }
    }
}

/// Whether somebody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}
