//! The API socket: connections, frames, and the trace.
//!
//! One task accepts, and a task per connection reads requests, carries them out and writes the answers, until
//! the client disconnects, VPP is restarted, or the accepting task ends. All may be aborted, since a request
//! is carried out at once. While VPP hangs, all of them are paused.

mod trace_file;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Encoder, FramedRead};
use tracing::{debug, error, info, warn};
use vppapi::frame::{FrameCodec, FrameError};

use crate::api::{ClientId, Outcome};
use crate::host::{Host, Reception};

pub use trace_file::TraceFile;

/// Maximum length of a request, in bytes. VPP has no limit; the longest request known here is a CLI command.
const MAX_REQUEST: usize = 1 << 20;

/// Answers are collected up to this size before they are written, in bytes. A burst gets its answers in few
/// writes, and a client that does not read its answers is not read from either.
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
    /// Receives the reason when a real VPP would have died. The first message is enough.
    pub deadly: mpsc::Sender<String>,
}

/// Why a connection ended, other than by the client.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    #[error("answers left unread for {} seconds", WRITE_TIMEOUT.as_secs())]
    Unread,
    #[error("VPP was restarted")]
    Restarted,
}

/// How a connection goes on after a request.
#[derive(Debug)]
enum Next {
    Read,
    Close,
    /// These answers are due later, and then it goes on.
    Late(Duration, Vec<Bytes>, Box<Next>),
    /// VPP hangs. The request is to be received again afterwards.
    Hung,
    /// VPP hangs. The request is to be carried out afterwards.
    Held,
}

impl Server {
    /// Accepts connections for ever.
    pub async fn serve(self, listener: UnixListener) {
        let server = Arc::new(self);
        let host = Arc::clone(&server.host);
        let accept = async {
            let mut clients = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = clients.join_next() => continue,
                };
                match accepted {
                    Ok((stream, _)) => {
                        clients.spawn(Arc::clone(&server).serve_client(stream));
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept an API client");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        host.while_not_hung(accept).await;
    }

    /// Serves one client, by a socket or by any other stream, until it leaves or VPP is restarted.
    pub async fn serve_client<S: AsyncRead + AsyncWrite + Send>(self: Arc<Self>, stream: S) {
        let life = self.host.life();
        if self.host.is_gone() {
            return debug!("sent a client away: VPP is restarting");
        }
        let client = self.host.connect();
        let (reads, writes) = tokio::io::split(stream);
        let frames = FramedRead::new(reads, FrameCodec { max_body: MAX_REQUEST });
        let ended = tokio::select! {
            biased;
            _ = self.host.life_after(life) => Err(ConnectionError::Restarted),
            ended = self.host.while_not_hung(self.converse(client, frames, writes)) => ended,
        };
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
        mut frames: FramedRead<impl AsyncRead + Unpin, FrameCodec>,
        mut writes: impl AsyncWrite + Unpin,
    ) -> Result<(), ConnectionError> {
        let mut answers = BytesMut::new();
        while let Some(request) = frames.next().await {
            let mut request = request?;
            let mut next = self.receive(client, &request, &mut answers)?;
            loop {
                match next {
                    Next::Read if answers.len() < WRITE_CHUNK => {
                        let Some(Some(more)) = frames.next().now_or_never() else { break };
                        request = more?;
                        next = self.receive(client, &request, &mut answers)?;
                    }
                    Next::Read => break,
                    Next::Close => return write(&mut writes, &mut answers).await,
                    Next::Late(delay, late, then) => {
                        write(&mut writes, &mut answers).await?;
                        sleep(delay).await;
                        append(late, &mut answers)?;
                        next = *then;
                    }
                    Next::Hung => {
                        write(&mut writes, &mut answers).await?;
                        self.host.resumed().await;
                        next = self.receive(client, &request, &mut answers)?;
                    }
                    Next::Held => {
                        write(&mut writes, &mut answers).await?;
                        self.host.resumed().await;
                        let outcome = self.host.handle(client, &request);
                        next = self.note(client, outcome, Duration::ZERO, &mut answers)?;
                    }
                }
            }
            write(&mut writes, &mut answers).await?;
        }
        Ok(())
    }

    /// Receives one request and appends its answers, if they are due.
    fn receive(
        &self,
        client: ClientId,
        request: &Bytes,
        answers: &mut BytesMut,
    ) -> Result<Next, ConnectionError> {
        match self.host.receive(client, request) {
            Reception::Done(outcome, delay) => self.note(client, outcome, delay, answers),
            Reception::Hung => Ok(Next::Hung),
            Reception::Held => Ok(Next::Held),
        }
    }

    fn note(
        &self,
        client: ClientId,
        outcome: Outcome,
        delay: Duration,
        answers: &mut BytesMut,
    ) -> Result<Next, ConnectionError> {
        if let Some(trace) = &self.trace {
            trace.write(client, &self.host.client_name(client), &outcome.trace);
        }
        let next = match outcome.deadly {
            Some(reason) => {
                error!(client = client.index(), "{reason}");
                if self.deadly.try_send(reason).is_err() {
                    debug!("the end is under way already");
                }
                Next::Close
            }
            None if outcome.close => Next::Close,
            None => Next::Read,
        };
        if delay.is_zero() {
            append(outcome.answers, answers)?;
            return Ok(next);
        }
        Ok(Next::Late(delay, outcome.answers, Box::new(next)))
    }
}

fn append(bodies: Vec<Bytes>, answers: &mut BytesMut) -> Result<(), ConnectionError> {
    for body in bodies {
        FrameCodec::default().encode(body, answers)?;
    }
    Ok(())
}

async fn write(
    writes: &mut (impl AsyncWrite + Unpin),
    answers: &mut BytesMut,
) -> Result<(), ConnectionError> {
    if !answers.is_empty() {
        timeout(WRITE_TIMEOUT, writes.write_all(answers)).await.map_err(|_| ConnectionError::Unread)??;
        answers.clear();
    }
    Ok(())
}
