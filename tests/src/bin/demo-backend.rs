//! A toy web server that answers every request with its name.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A toy web server: answers every request, /health included, with its name.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen, as ADDRESS:PORT
    #[arg(long, env = "MAGLEV_BACKEND_LISTEN", value_name = "ADDR")]
    listen: SocketAddr,

    /// What to answer
    #[arg(long, env = "MAGLEV_BACKEND_NAME", value_name = "NAME")]
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { listen, name } = Arguments::parse();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let answer = Bytes::from(format!("{name}\n"));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = terminate.recv() => return Ok(()),
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let response = Response::new(Full::new(answer.clone()));
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that breaks off is its own business.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(30))
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}
