//! The connection between the agent's reconciler and VPP: every request waits here until the scheduler has it
//! carried out and answered.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use maglev_dpagent::apply::{Answer, Lost, Plugin};
use maglev_dpagent::cli_text::Text;
use maglev_dpagent::execute::{Failed, Settings};
use maglev_dpagent::read::{Dumps, VipRow};
use maglev_dpagent::step::Write;
use maglev_protocol::{Dialect, LbConf, Prefix};

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Write(Vec<Write>),
    /// Two messages, with what the first has told.
    Dumps(Option<Vec<VipRow>>),
    Size,
    Text,
    Ping,
    Conf,
    SetConf(LbConf),
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Written(Vec<Answer>),
    Dumps(Dumps),
    Size((usize, usize)),
    Text(Text),
    Pong,
    Conf(LbConf),
    ConfSet,
    Lost(Lost),
}

#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) request: Request,
    /// Of writes, what those have led to that are carried out.
    pub(crate) answers: Vec<Answer>,
    /// VPP's answer on its way to the agent.
    pub(crate) reply: Option<Reply>,
    /// The answer once received.
    delivered: Option<Reply>,
    waker: Option<Waker>,
}

impl Op {
    pub(crate) fn is_carried_out(&self) -> bool {
        self.reply.is_some() || self.delivered.is_some()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) ops: BTreeMap<u64, Op>,
    /// Time of the last event.
    pub(crate) now: Duration,
    last: u64,
    dialect: Dialect,
}

impl Pipe {
    /// Delivers VPP's answer to the agent.
    pub(crate) fn deliver(&mut self, op: u64) {
        if let Some(op) = self.ops.get_mut(&op)
            && let Some(reply) = op.reply.take()
        {
            op.give(reply);
        }
    }

    /// Closes the connection. `received` says how many answers of each burst of writes arrived before.
    pub(crate) fn close(&mut self, lost: &Lost, mut received: impl FnMut(usize) -> usize) {
        for op in self.ops.values_mut().filter(|op| op.delivered.is_none()) {
            let reply = match &op.request {
                Request::Write(writes) => {
                    let mut answers = std::mem::take(&mut op.answers);
                    if let Some(Reply::Written(all)) = op.reply.take() {
                        answers = all;
                    }
                    answers.truncate(received(answers.len()));
                    answers.resize(writes.len(), Answer::Lost(lost.clone()));
                    Reply::Written(answers)
                }
                _ => Reply::Lost(lost.clone()),
            };
            op.give(reply);
        }
    }
}

impl Op {
    fn give(&mut self, reply: Reply) {
        self.delivered = Some(reply);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The agent's side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Pipe>>);

impl Wire {
    pub(crate) fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to a VPP of this kind.
    pub(crate) fn to(dialect: Dialect) -> Self {
        let wire = Self::default();
        wire.pipe().dialect = dialect;
        wire
    }

    fn ask(&self, request: Request) -> Exchange {
        Exchange { wire: self.clone(), request: Some(request), op: 0 }
    }
}

fn lost(reply: Reply) -> Lost {
    match reply {
        Reply::Lost(lost) => lost,
        other => Lost { reason: format!("{other:?} does not answer the request") },
    }
}

struct Exchange {
    wire: Wire,
    request: Option<Request>,
    op: u64,
}

impl Future for Exchange {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let request = self.request.take();
        let wire = self.wire.clone();
        let mut pipe = wire.pipe();
        if let Some(request) = request {
            pipe.last += 1;
            self.op = pipe.last;
            let waker = Some(cx.waker().clone());
            let op = Op { request, answers: Vec::new(), reply: None, delivered: None, waker };
            pipe.ops.insert(self.op, op);
            return Poll::Pending;
        }
        let Some(op) = pipe.ops.get_mut(&self.op) else { return Poll::Pending };
        match op.delivered.take() {
            Some(reply) => {
                pipe.ops.remove(&self.op);
                Poll::Ready(reply)
            }
            None => {
                op.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Settings for Wire {
    async fn conf(&self) -> Result<LbConf, Failed> {
        match self.ask(Request::Conf).await {
            Reply::Conf(conf) => Ok(conf),
            other => Err(lost(other).into()),
        }
    }

    async fn set_conf(&self, conf: LbConf) -> Result<(), Failed> {
        match self.ask(Request::SetConf(conf)).await {
            Reply::ConfSet => Ok(()),
            other => Err(lost(other).into()),
        }
    }
}

impl Plugin for Wire {
    fn dialect(&self) -> Dialect {
        self.pipe().dialect
    }

    async fn size(&self) -> Result<(usize, usize), Lost> {
        match self.ask(Request::Size).await {
            Reply::Size(size) => Ok(size),
            other => Err(lost(other)),
        }
    }

    async fn write(&self, writes: &[Write]) -> Vec<Answer> {
        match self.ask(Request::Write(writes.to_vec())).await {
            Reply::Written(answers) => answers,
            other => vec![Answer::Lost(lost(other)); writes.len()],
        }
    }

    async fn prove_alive(&self) -> Result<Duration, Lost> {
        let asked = self.pipe().now;
        match self.ask(Request::Ping).await {
            Reply::Pong => Ok(self.pipe().now - asked),
            other => Err(lost(other)),
        }
    }

    async fn dumps(&self) -> Result<Dumps, Lost> {
        match self.ask(Request::Dumps(None)).await {
            Reply::Dumps(dumps) => Ok(dumps),
            other => Err(lost(other)),
        }
    }

    async fn text(&self) -> Result<Text, Lost> {
        match self.ask(Request::Text).await {
            Reply::Text(text) => Ok(text),
            other => Err(lost(other)),
        }
    }

    async fn routes(&self, prefixes: &[Prefix]) -> Result<Vec<Option<u32>>, Lost> {
        Ok(vec![None; prefixes.len()])
    }
}
