use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance};

use super::super::super::caller::{Rights, Who};
use super::*;

fn connection(places: &Arc<Semaphore>) -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(64);
    let caller = Caller::new(Who::Nobody, Rights::Admin);
    (Connection::new(ours, caller, Arc::clone(places).try_acquire_owned().unwrap()), theirs)
}

#[tokio::test(start_paused = true)]
async fn client_that_says_too_little_is_given_up() {
    let places = Arc::new(Semaphore::new(1));
    let (mut connection, mut client) = connection(&places);
    client.write_all(&[b'P'; PREFACE - 1]).await.unwrap();
    let (mut bytes, start) = ([0; PREFACE], Instant::now());
    let error = connection.read_exact(&mut bytes).await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TimedOut, PREFACE_WITHIN));
    assert_eq!(places.available_permits(), 0);
    drop(connection);
    assert_eq!(places.available_permits(), 1, "its place is free");
}

#[tokio::test(start_paused = true)]
async fn client_that_has_said_enough_may_be_silent() {
    let (mut connection, mut client) = connection(&Arc::new(Semaphore::new(1)));
    client.write_all(&[b'P'; PREFACE]).await.unwrap();
    connection.read_exact(&mut [0; PREFACE]).await.unwrap();
    advance(PREFACE_WITHIN * 10).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'x');
    connection.write_all(b"y").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'y');
}
