use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;

/// A reader whose file is whatever the sender says next.
fn reader() -> (Reader, std::sync::mpsc::Sender<Result<String, String>>) {
    let (here, there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let (sender, files): (_, Receiver<Result<String, String>>) = channel();
    thread::spawn(move || answer_requests(there, || files.recv().unwrap()));
    (Reader::new(here).unwrap(), sender)
}

#[tokio::test]
async fn each_request_reads_the_file_as_it_is_then() {
    let (mut reader, file) = reader();
    let long = "x".repeat(usize::try_from(MAX_LENGTH).unwrap());
    for text in ["vips: []", "", &long] {
        file.send(Ok(text.to_owned())).unwrap();
        assert_eq!(reader.read().await.unwrap(), text);
    }
    file.send(Err("it is a FIFO".to_owned())).unwrap();
    assert_eq!(reader.read().await.unwrap_err().to_string(), "it is a FIFO");
    file.send(Ok("again".to_owned())).unwrap();
    assert_eq!(reader.read().await.unwrap(), "again");
}

#[tokio::test(start_paused = true)]
async fn hung_file_is_given_up_and_its_late_answer_is_not_taken_for_the_next_one() {
    let (mut reader, file) = reader();
    assert!(matches!(reader.read().await, Err(ReaderError::Late)));
    file.send(Ok("late".to_owned())).unwrap();
    file.send(Ok("new".to_owned())).unwrap();
    tokio::time::resume();
    assert_eq!(reader.read().await.unwrap(), "new");
}

#[tokio::test]
async fn dead_reader_and_one_that_answers_nonsense_are_told() {
    let (mut reader, file) = reader();
    drop(file);
    assert!(matches!(reader.read().await, Err(ReaderError::Gone(_))));

    let (here, mut there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    there.write_all(&[1, TEXT, 255, 255, 255, 255]).unwrap();
    let gone = Reader::new(here).unwrap().read().await.unwrap_err();
    assert!(gone.to_string().contains("an answer of 4294967295 bytes"), "{gone}");
}
