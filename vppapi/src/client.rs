//! Async client of VPP's binary API.
//!
//! A [`Client`] is a handle to one task, which owns the socket and reads while it writes. The task ends with
//! the connection or with the last handle. It keeps no state of VPP, so it may be aborted at any time. A
//! request that was sent may have taken effect, whether answered or not.

mod connection;
mod error;
mod handshake;
mod in_flight;
mod prepared;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::frame::DEFAULT_MAX_BODY;
use crate::messages::{
    ControlPing, ControlPingReply, Dump, Message, Reply, Request, RequestHead, decode_reply,
};
use crate::retval::Retval;
use crate::table::{Lookup, MessageTable};
use crate::wire::Writer;

use connection::Connection;
pub use error::{ClientError, DisconnectReason};
use in_flight::{Answer, Expected, Outgoing, Sink};
pub use prepared::PreparedRequest;

/// Parameters of a connection.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The client's name, which VPP shows to its operators; at most 63 bytes.
    pub name: String,
    /// Time limit for connecting, including handshake and first ping.
    pub connect_timeout: Duration,
    /// Maximum silence while a request waits. VPP answers in order, so each answer to an earlier request, and
    /// each details message of the request itself, restarts the timer: a long burst may take longer than this
    /// in total.
    pub request_timeout: Duration,
    /// Maximum length of a message body, in bytes.
    pub max_body: usize,
    /// Maximum number of requests in flight; further ones wait.
    pub max_in_flight: usize,
    /// Maximum number of details in a dump. VPP with 40,000 application servers returns as many.
    pub max_details: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            name: "vppapi".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            max_body: DEFAULT_MAX_BODY,
            max_in_flight: 1024,
            max_details: 1_000_000,
        }
    }
}

/// Batches of requests between the handles and the connection's task. When full, senders wait, which slows
/// down a caller that is faster than VPP.
const COMMAND_QUEUE: usize = 16;

/// A connection to VPP. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Vec<Outgoing>>,
    closed: watch::Receiver<Option<DisconnectReason>>,
    shared: Arc<Shared>,
    pid: u32,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    table: MessageTable,
    client_index: u32,
    next_context: AtomicU32,
}

impl Client {
    /// Connects to VPP's API socket, usually `/run/vpp/api.sock`.
    ///
    /// # Errors
    /// When nobody listens there, the listener is not a VPP, or connecting takes longer than
    /// `connect_timeout`.
    pub async fn connect(path: impl AsRef<Path>, options: ConnectOptions) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let connect = async {
            let stream = UnixStream::connect(path).await;
            let stream =
                stream.map_err(|error| ClientError::Connect { path: path.into(), source: error.into() })?;
            let (reader, writer) = stream.into_split();
            Self::start(reader, writer, path, &options).await
        };
        let after = options.connect_timeout;
        timeout(after, connect)
            .await
            .unwrap_or_else(|_| Err(ClientError::ConnectTimeout { path: path.into(), after }))
    }

    /// Uses a stream that is already connected. `path` only names it in errors.
    ///
    /// # Errors
    /// Like [`Client::connect`].
    pub async fn over<S>(
        stream: S,
        path: impl AsRef<Path>,
        options: ConnectOptions,
    ) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (path, after) = (path.as_ref(), options.connect_timeout);
        let (reader, writer) = tokio::io::split(stream);
        timeout(after, Self::start(reader, writer, path, &options))
            .await
            .unwrap_or_else(|_| Err(ClientError::ConnectTimeout { path: path.into(), after }))
    }

    async fn start<R, W>(
        reader: R,
        writer: W,
        path: &Path,
        options: &ConnectOptions,
    ) -> Result<Self, ClientError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let greeted = handshake::handshake(reader, writer, path, options).await?;
        let (commands, batches) = mpsc::channel(COMMAND_QUEUE);
        let (closing, closed) = watch::channel(None);
        let shared = Shared {
            path: path.into(),
            table: greeted.table,
            client_index: greeted.client_index,
            next_context: AtomicU32::new(1),
        };
        tokio::spawn(Connection::new(greeted.reader, greeted.writer, options).run(batches, closing));
        let mut client = Self { commands, closed, shared: Arc::new(shared), pid: 0 };
        client.pid = client.ping().await?.vpe_pid;
        Ok(client)
    }

    /// The messages that this VPP has.
    #[must_use]
    pub fn table(&self) -> &MessageTable {
        &self.shared.table
    }

    /// VPP's process id at the time of connecting.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Sends a control ping.
    ///
    /// # Errors
    /// Like [`Client::call`].
    pub async fn ping(&self) -> Result<ControlPingReply, ClientError> {
        self.call(ControlPing {}).await
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the return value is not 0; another error when the request could not be
    /// sent, or got no usable reply.
    pub async fn call<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        accepted::<R>(self.call_raw(request).await?)
    }

    /// Sends a request and waits for its reply, whatever its return value.
    ///
    /// # Errors
    /// When the request could not be sent, or got no usable reply.
    pub async fn call_raw<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        let prepared = PreparedRequest::new(&request);
        let answer = self.exchange([prepared]).await.pop();
        answer.unwrap_or_else(|| Err(self.disconnected())).and_then(|answer| decode_one::<R>(&answer))
    }

    /// Sends requests of one kind in one burst and waits for all replies, returned in the order of the
    /// requests. A refused request does not stop the later ones.
    pub async fn call_all<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Reply, ClientError>> {
        let answers = self.exchange(requests.iter().map(PreparedRequest::new)).await;
        answers.into_iter().map(|answer| accepted::<R>(decode_one::<R>(&answer?)?)).collect()
    }

    /// Sends requests of any kinds in one burst, in order, and waits for all replies, returned in the same
    /// order: [`ClientError::Refused`] where the return value is not 0. A refused request, or one that this
    /// VPP does not have, does not stop the later ones.
    ///
    /// Requests of other handles never come in between.
    pub async fn pipeline(&self, requests: Vec<PreparedRequest>) -> Vec<Result<(), ClientError>> {
        let checks: Vec<_> = requests.iter().map(|request| (request.name, request.retval)).collect();
        let answers = self.exchange(requests).await;
        let check = |(answer, (message, retval)): (Result<Answer, ClientError>, (_, prepared::RetvalOf))| {
            let retval = Retval(retval(&answer?.reply)?);
            if retval.is_ok() { Ok(()) } else { Err(ClientError::Refused { message, retval }) }
        };
        answers.into_iter().zip(checks).map(check).collect()
    }

    /// Sends a dump followed by a ping, and returns all details that arrive before the ping's reply.
    ///
    /// # Errors
    /// When the dump could not be sent, its end did not come, there were more than `max_details`, or one of
    /// them could not be decoded.
    pub async fn dump<D: Dump>(&self, dump: D) -> Result<Vec<D::Details>, ClientError>
    where
        D::Details: Send + 'static,
    {
        self.dump_map(dump, |details| details).await
    }

    /// Like [`Client::dump`], but converts each message on arrival, so that only the results are kept in
    /// memory.
    ///
    /// # Errors
    /// Like [`Client::dump`].
    pub async fn dump_map<D: Dump, T: Send + 'static>(
        &self,
        dump: D,
        mut convert: impl FnMut(D::Details) -> T + Send + 'static,
    ) -> Result<Vec<T>, ClientError> {
        let (id, details_id) = self.ids(D::NAME_CRC, D::Details::NAME_CRC)?;
        let (ping_id, end_id) = self.ids(ControlPing::NAME_CRC, ControlPingReply::NAME_CRC)?;
        let mut writer = Writer::new();
        dump.encode(&mut writer);
        let (answer, answered) = oneshot::channel();
        let converted = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let converted = Arc::clone(&converted);
            Sink(Box::new(move |body| {
                let details = decode_reply::<D::Details>(body)?.1;
                converted.lock().unwrap_or_else(PoisonError::into_inner).push(convert(details));
                Ok(())
            }))
        };
        let outgoing = Outgoing {
            message: D::NAME,
            head: self.head(id),
            fields: writer.finish(),
            expected: Expected::Details { details_id, ping_id, end_id },
            retval: None,
            sink: Some(sink),
            answer,
        };
        self.send(vec![outgoing]).await?;
        answered.await.unwrap_or_else(|_| Err(self.disconnected()))?;
        let mut converted = converted.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *converted))
    }

    /// Waits until the connection has ended, and returns why. Returns at once if it already has.
    pub async fn closed(&self) -> DisconnectReason {
        let mut closed = self.closed.clone();
        let reason = closed.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or(DisconnectReason::Abandoned)
    }

    /// Sends the sendable requests as one batch, and waits for all answers.
    async fn exchange(
        &self,
        requests: impl IntoIterator<Item = PreparedRequest>,
    ) -> Vec<Result<Answer, ClientError>> {
        let mut batch = Vec::new();
        let enqueue = |request: PreparedRequest| {
            let (answer, answered) = oneshot::channel();
            batch.push(self.outgoing(request, answer)?);
            Ok(answered)
        };
        let waiting: Vec<Result<_, ClientError>> = requests.into_iter().map(enqueue).collect();
        if let Err(error) = self.send(batch).await {
            return waiting.into_iter().map(|answered| answered.and(Err(error.clone()))).collect();
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            answers.push(match answered {
                Ok(answered) => answered.await.unwrap_or_else(|_| Err(self.disconnected())),
                Err(error) => Err(error),
            });
        }
        answers
    }

    fn outgoing(
        &self,
        request: PreparedRequest,
        answer: oneshot::Sender<Result<Answer, ClientError>>,
    ) -> Result<Outgoing, ClientError> {
        let (id, reply_id) = self.ids(request.name_crc, request.reply_name_crc)?;
        Ok(Outgoing {
            message: request.name,
            head: self.head(id),
            fields: request.fields,
            expected: Expected::Reply { id: reply_id },
            retval: Some(request.retval),
            sink: None,
            answer,
        })
    }

    async fn send(&self, batch: Vec<Outgoing>) -> Result<(), ClientError> {
        self.commands.send(batch).await.map_err(|_| self.disconnected())
    }

    fn ids(&self, name_crc: &'static str, answer_crc: &'static str) -> Result<(u16, u16), ClientError> {
        let id = |name_crc| match self.shared.table.find(name_crc) {
            Lookup::Found(id) => Ok(id),
            Lookup::OtherCrc(found) => {
                Err(ClientError::Unsupported { name_crc, found: Some(found.to_owned()) })
            }
            Lookup::Absent => Err(ClientError::Unsupported { name_crc, found: None }),
        };
        Ok((id(name_crc)?, id(answer_crc)?))
    }

    /// The head of a new request. Contexts wrap around after 2^32 requests, long after the previous use has
    /// been answered or has timed out.
    fn head(&self, id: u16) -> RequestHead {
        let context = self.shared.next_context.fetch_add(1, Ordering::Relaxed);
        RequestHead { id, client_index: self.shared.client_index, context }
    }

    fn disconnected(&self) -> ClientError {
        let reason = self.closed.borrow().clone().unwrap_or(DisconnectReason::Abandoned);
        ClientError::Disconnected { path: self.shared.path.clone(), reason }
    }
}

fn decode_one<R: Request>(answer: &Answer) -> Result<R::Reply, ClientError> {
    Ok(decode_reply::<R::Reply>(&answer.reply)?.1)
}

fn accepted<R: Request>(reply: R::Reply) -> Result<R::Reply, ClientError> {
    match Retval(reply.retval()) {
        Retval::OK => Ok(reply),
        retval => Err(ClientError::Refused { message: R::NAME, retval }),
    }
}
