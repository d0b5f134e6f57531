use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::super::super::caller::{Rights, Who};
use super::super::super::shares::{Places, Shares};
use super::*;

#[tokio::test]
async fn what_was_said_before_comes_first_and_the_place_is_held_until_the_end() {
    let shares = Shares::new("connections", Places { admins: 1, readers: 1, strangers: 1 });
    let caller = Caller::new(Who::Nobody, Rights::Admin);
    let (ours, mut client) = duplex(64);
    client.write_all(b"cdef").await.unwrap();
    let place = shares.take(&caller).unwrap();
    let mut connection = Connection::new(Box::new(ours), b"ab".to_vec(), caller.clone(), place);
    let mut bytes = [0; 6];
    connection.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"abcdef");
    connection.write_all(b"y").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'y');
    assert!(shares.take(&caller).is_err());
    drop(connection);
    assert!(shares.take(&caller).is_ok(), "its place is free");
}
