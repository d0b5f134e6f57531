//! BIRD's control socket.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use maglev_engine::config::Bird;
use maglev_engine::routes::bird::{Protocols, Reader, Reply, ReplyError, Step, list_command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Connect, Router, RouterError};

/// Timeout of connecting, and of each command. BIRD answers within a millisecond, unless it is busy with its tables.
const ANSWERS: Duration = Duration::from_secs(5);

/// Connects to BIRD.
#[derive(Debug)]
pub(crate) struct BirdSocket;

/// A connection to BIRD.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
    reader: Reader,
    version: String,
}

impl Connect for BirdSocket {
    type Router = Session;

    async fn connect(&self, bird: &Bird) -> Result<Session, RouterError> {
        let connected = in_time(async { Ok(UnixStream::connect(&bird.socket).await) }).await?;
        let stream = connected
            .map_err(|error| RouterError::Connect { socket: bird.socket.display().to_string(), error })?;
        let mut session = Session { stream, reader: Reader::default(), version: String::new() };
        session.version = in_time(session.reply()).await?.greeting()?;
        Ok(session)
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

impl Router for Session {
    fn version(&self) -> &str {
        &self.version
    }

    async fn read(&mut self, prefix: &str) -> Result<Protocols, RouterError> {
        Ok(self.call(&list_command(prefix)).await?.protocols()?)
    }

    async fn apply(&mut self, step: &Step) -> Result<(), RouterError> {
        Ok(self.call(&step.command()).await?.confirms(step)?)
    }

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
