//! BIRD, over its control socket.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use maglev_engine::config;
use maglev_engine::core::WantedRoutes;
use maglev_engine::routes::bird::{
    Plan, Protocols, Reader, Reply, ReplyError, Step, address, announcement, list_command, plan,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Router, RouterError, Synced};

/// Timeout of connecting, and of each command. BIRD answers within a millisecond, unless it is busy with its tables.
const ANSWERS: Duration = Duration::from_secs(5);

/// The calls of BIRD that a sync needs.
pub(super) trait Control: Send {
    /// Its version.
    fn version(&self) -> &str;
    /// All protocols with this prefix.
    fn read(&mut self, prefix: &str) -> impl Future<Output = Result<Protocols, RouterError>> + Send;
    /// Carries out a step, which may have been carried out before.
    fn apply(&mut self, step: &Step) -> impl Future<Output = Result<(), RouterError>> + Send;
}

/// Brings the protocols with this prefix to the desired routes. One protocol's refusal does not keep the others from their
/// state.
pub(super) async fn sync(
    bird: &mut impl Control,
    prefix: &str,
    wanted: &WantedRoutes,
) -> Result<Synced, RouterError> {
    let mut has = bird.read(prefix).await?;
    let Plan { steps, missing } = plan(&wanted.routes, prefix, &has, wanted.others);
    let (mut refused, mut changed) = (None, Vec::new());
    for step in &steps {
        match bird.apply(step).await {
            Ok(()) => changed.extend(address(prefix, &step.protocol)),
            Err(error) if error.is_refusal() => drop(refused.get_or_insert(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    if !steps.is_empty() {
        has = bird.read(prefix).await?;
    }
    changed.dedup();
    let addresses = wanted.routes.keys();
    let routes = addresses.map(|address| (*address, announcement(prefix, *address, &has))).collect();
    Ok(Synced { version: bird.version().to_owned(), routes, missing, refused, changed })
}

/// BIRD, with the prefix of its protocols.
#[derive(Debug)]
pub(crate) struct Bird {
    session: Session,
    prefix: String,
}

impl Router for Bird {
    async fn sync(&mut self, wanted: &WantedRoutes) -> Result<Synced, RouterError> {
        sync(&mut self.session, &self.prefix, wanted).await
    }

    async fn closed(&mut self) -> RouterError {
        self.session.closed().await
    }
}

/// Connects to BIRD.
#[derive(Debug)]
pub(crate) struct BirdSocket;

/// A connection to BIRD.
#[derive(Debug)]
struct Session {
    stream: UnixStream,
    reader: Reader,
    version: String,
}

impl BirdSocket {
    pub(super) async fn connect(&self, bird: &config::Bird) -> Result<Bird, RouterError> {
        let connected = in_time(async { Ok(UnixStream::connect(&bird.socket).await) }).await?;
        let stream = connected
            .map_err(|error| RouterError::Connect { socket: bird.socket.display().to_string(), error })?;
        let mut session = Session { stream, reader: Reader::default(), version: String::new() };
        session.version = in_time(session.reply()).await?.greeting()?;
        Ok(Bird { session, prefix: bird.prefix.clone() })
    }
}

impl Session {
    async fn call(&mut self, command: &str) -> Result<Reply, RouterError> {
        in_time(async {
            self.stream.write_all(format!("{command}\n").as_bytes()).await?;
            self.reply().await
        })
        .await
    }

    async fn reply(&mut self) -> Result<Reply, RouterError> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut bytes).await?;
            let bytes = bytes.get(..count).filter(|bytes| !bytes.is_empty()).ok_or_else(gone)?;
            match self.reader.take(bytes)? {
                (None, _) => {}
                (Some(reply), taken) if taken == bytes.len() => return Ok(reply),
                // Each command has one reply.
                _ => return Err(ReplyError::Malformed("more than one reply".to_owned()).into()),
            }
        }
    }
}

impl Control for Session {
    fn version(&self) -> &str {
        &self.version
    }

    async fn read(&mut self, prefix: &str) -> Result<Protocols, RouterError> {
        Ok(self.call(&list_command(prefix)).await?.protocols()?)
    }

    async fn apply(&mut self, step: &Step) -> Result<(), RouterError> {
        Ok(self.call(&step.command()).await?.confirms(step)?)
    }
}

impl Session {
    async fn closed(&mut self) -> RouterError {
        loop {
            if let Err(error) = self.stream.readable().await {
                return error.into();
            }
            match self.stream.try_read(&mut [0; 64]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return error.into(),
                Ok(0) => return gone().into(),
                Ok(_) => return ReplyError::Malformed("an answer to no command".to_owned()).into(),
            }
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "BIRD has closed it")
}

async fn in_time<T>(answer: impl Future<Output = Result<T, RouterError>>) -> Result<T, RouterError> {
    timeout(ANSWERS, answer).await.unwrap_or(Err(RouterError::Timeout(ANSWERS.as_secs())))
}
