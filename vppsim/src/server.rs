//! The API socket: connections, frames, and the trace.
//!
//! A task accepts, and a task per connection reads requests, carries them out and writes the answers, until the
//! client leaves. All may be aborted: what a request changed is changed when it is carried out.

mod trace_file;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{Encoder, FramedRead};
use tracing::{debug, error, info, warn};
use vppapi::frame::{FrameCodec, FrameError};

use crate::api::ClientId;
use crate::host::Host;

pub use trace_file::TraceFile;

/// Longest request. VPP has no limit; the longest of its requests known here is a command line.
const MAX_REQUEST: usize = 1 << 20;

/// Answers that are put together before they are written. A client that sends a burst gets its answers in few writes,
/// and one that does not read is no longer read from: then its requests wait in the socket.
const WRITE_CHUNK: usize = 64 << 10;

/// How long a client may leave its answers unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// After an error of accept that may last, as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the API socket.
#[derive(Debug)]
pub struct Server {
    /// The simulator.
    pub host: Arc<Host>,
    /// Where messages are traced to.
    pub trace: Option<TraceFile>,
    /// Told when a real VPP would have died, and of what. One message is enough.
    pub deadly: mpsc::Sender<String>,
}

/// Why a connection ended otherwise than by the client's leaving.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    #[error("answers left unread for {} seconds", WRITE_TIMEOUT.as_secs())]
    Unread,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Read,
    Close,
}

impl Server {
    /// Accepts connections for ever.
    pub async fn serve(self, listener: UnixListener) {
        let server = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(Arc::clone(&server).serve_client(stream));
                }
                Err(error) => {
                    warn!(%error, "cannot accept an API client");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serve_client(self: Arc<Self>, stream: UnixStream) {
        let client = self.host.connect();
        let (reads, writes) = stream.into_split();
        let frames = FramedRead::new(reads, FrameCodec { max_body: MAX_REQUEST });
        let ended = self.converse(client, frames, writes).await;
        let name = self.host.client_name(client);
        match ended {
            Ok(()) => info!(client = client.index(), name, "client left"),
            Err(error) => info!(client = client.index(), name, %error, "connection closed"),
        }
        self.host.disconnect(client);
    }

    async fn converse(
        &self,
        client: ClientId,
        mut frames: FramedRead<OwnedReadHalf, FrameCodec>,
        mut writes: OwnedWriteHalf,
    ) -> Result<(), ConnectionError> {
        let mut answers = BytesMut::new();
        while let Some(request) = frames.next().await {
            let mut next = self.carry_out(client, &request?, &mut answers)?;
            while next == Next::Read && answers.len() < WRITE_CHUNK {
                let Some(Some(request)) = frames.next().now_or_never() else { break };
                next = self.carry_out(client, &request?, &mut answers)?;
            }
            timeout(WRITE_TIMEOUT, writes.write_all(&answers))
                .await
                .map_err(|_| ConnectionError::Unread)??;
            answers.clear();
            if next == Next::Close {
                break;
            }
        }
        Ok(())
    }

    /// Carries one request out and appends its answers.
    fn carry_out(
        &self,
        client: ClientId,
        request: &Bytes,
        answers: &mut BytesMut,
    ) -> Result<Next, ConnectionError> {
        let outcome = self.host.handle(client, request);
        if let Some(trace) = &self.trace {
            trace.write(client, &self.host.client_name(client), &outcome.trace);
        }
        for answer in outcome.answers {
            FrameCodec::default().encode(answer, answers)?;
        }
        if let Some(reason) = outcome.deadly {
            error!(client = client.index(), "{reason}");
            if self.deadly.try_send(reason).is_err() {
                debug!("the end is under way already");
            }
            return Ok(Next::Close);
        }
        Ok(if outcome.close { Next::Close } else { Next::Read })
    }
}
