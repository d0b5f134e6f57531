use tokio::io::{AsyncWriteExt, duplex};

use super::*;

#[tokio::test]
async fn first_words_end_with_the_preface_or_where_it_is_none() {
    for (said, words) in [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxyz".as_slice(), PREFACE),
        (b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n"),
    ] {
        let (mut ours, mut theirs) = duplex(64);
        theirs.write_all(said).await.unwrap();
        assert_eq!(first_words(&mut ours).await.unwrap(), words);
    }
}

#[tokio::test]
async fn client_that_hangs_up_within_the_preface_is_no_error_of_its_own() {
    let (mut ours, mut theirs) = duplex(64);
    theirs.write_all(&PREFACE[..20]).await.unwrap();
    drop(theirs);
    assert!(matches!(first_words(&mut ours).await, Err(Failed::HungUp)));
}
