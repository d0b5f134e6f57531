//! The same query to several servers, and the differences between their answers.

mod difference;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::args::{Options, Show};
use crate::client::Client;
use crate::commands;
use crate::error::Error;
use crate::style::printable_json;
use maglev_proto::client::ServerAddress;

pub(crate) use crate::servers::difference::{FieldPath, differences, steady};

/// Answer of one server.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) server: ServerAddress,
    pub(crate) answer: Result<Answer, Error>,
}

/// Queries all servers concurrently; answers in the order given.
pub(crate) async fn ask(servers: Vec<ServerAddress>, show: &Show, options: &Options) -> Vec<Reply> {
    let ask = |server: ServerAddress| async move {
        let client = Client::connect(&server, &options.tls, options.timeout).await;
        let answer = match client {
            Ok(client) => commands::show_it(show, &client).await,
            Err(error) => Err(error),
        };
        Reply { server, answer }
    };
    join_all(servers.into_iter().map(ask)).await
}

/// An array with an object for each: its `server`, and its `answer` or `error`.
pub(crate) fn json(replies: &[Reply]) -> Result<String, Error> {
    let documents: Result<Vec<Value>, Error> = replies
        .iter()
        .map(|reply| {
            let server = reply.server.to_string();
            Ok(match &reply.answer {
                Ok(answer) => {
                    json!({ "server": server, "answer": serde_json::to_value(answer).map_err(Error::Json)? })
                }
                Err(error) => json!({ "server": server, "error": error.to_string() }),
            })
        })
        .collect();
    let mut text = printable_json(&serde_json::to_string_pretty(&documents?).map_err(Error::Json)?);
    text.push('\n');
    Ok(text)
}

/// 5 if only some answered; if none did, the highest of their codes.
pub(crate) fn exit_code(replies: &[Reply]) -> u8 {
    let errors: Vec<_> =
        replies.iter().filter_map(|reply| reply.answer.as_ref().err()).map(Error::exit_code).collect();
    if errors.len() < replies.len() && !errors.is_empty() { 5 } else { errors.into_iter().max().unwrap_or(0) }
}

#[cfg(test)]
mod tests;
