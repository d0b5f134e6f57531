use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, advance};

use super::super::super::caller::{Rights, Who};
use super::super::super::shares::{Places, Shares};
use super::*;

fn shares() -> Shares {
    Shares::new("connections", Places { admins: 1, readers: 1, strangers: 1 })
}

fn caller() -> Caller {
    Caller::new(Who::Nobody, Rights::Admin)
}

fn connection(shares: &Shares) -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(64);
    (Connection::new(ours, caller(), shares.take(&caller()).unwrap()), theirs)
}

#[tokio::test(start_paused = true)]
async fn client_that_says_too_little_is_given_up() {
    let shares = shares();
    let (mut connection, mut client) = connection(&shares);
    client.write_all(&[b'P'; PREFACE - 1]).await.unwrap();
    let (mut bytes, start) = ([0; PREFACE], Instant::now());
    let error = connection.read_exact(&mut bytes).await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TimedOut, PREFACE_WITHIN));
    assert!(shares.take(&caller()).is_err());
    drop(connection);
    assert!(shares.take(&caller()).is_ok(), "its place is free");
}

#[tokio::test(start_paused = true)]
async fn client_that_has_said_enough_may_be_silent() {
    let (mut connection, mut client) = connection(&shares());
    client.write_all(&[b'P'; PREFACE]).await.unwrap();
    connection.read_exact(&mut [0; PREFACE]).await.unwrap();
    advance(PREFACE_WITHIN * 10).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'x');
    connection.write_all(b"y").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'y');
}
