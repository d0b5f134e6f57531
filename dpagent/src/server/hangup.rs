//! A transport on which the peer's end is an error.
//!
//! tarpc keeps a connection whose peer is gone until all its requests are answered. A wait for a change would so
//! hold a dead brain's place for a minute or more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Sink, Stream};

#[derive(Debug)]
pub(super) struct HangUp<T>(pub(super) T);

impl<T, Item> Stream for HangUp<T>
where
    T: Stream<Item = io::Result<Item>> + Unpin,
{
    type Item = io::Result<Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Item>>> {
        Pin::new(&mut self.0).poll_next(cx).map(|next| {
            next.or_else(|| Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the peer"))))
        })
    }
}

impl<T, Item> Sink<Item> for HangUp<T>
where
    T: Sink<Item, Error = io::Error> + Unpin,
{
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Item) -> io::Result<()> {
        Pin::new(&mut self.0).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
