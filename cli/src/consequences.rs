//! What a change will do to traffic, told before it is made.
//!
//! `traffic` decides from the frontends as maglev-brain tells them; this file asks for them, and puts it into words.

mod traffic;

use futures::{StreamExt, TryStreamExt, stream};
use maglev_proto::{Backend, Frontend};

use crate::args::{Action, Clear, ClearOverride, Command, Set};
use crate::client::Client;
use crate::consequences::traffic::{Changed, FlowsOf, Serving, after, serving};
use crate::error::Error;
use crate::style::printable;

/// Questions under way at once: a backend may stand in thousands of frontends.
const AT_ONCE: usize = 8;

/// What changes for new flows of one frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consequence {
    pub(crate) frontend: String,
    before: Serving,
    after: Serving,
    /// What becomes of the backend's flows, if anything does.
    flows: Option<FlowsOf>,
}

impl Consequence {
    /// Nothing if new flows go to the same pool as before.
    fn of(frontend: &Frontend, change: &Changed<'_>) -> Option<Self> {
        let (before, then) = (serving(frontend), serving(&after(frontend, change)));
        // What nobody serves cannot be taken away.
        if before == then || before == Serving::Nobody {
            return None;
        }
        let flows = change.takes_out(frontend).then(|| change.flows(frontend));
        Some(Self { frontend: frontend.name.clone(), before, after: then, flows })
    }

    /// Whether the last backend that serves is taken away.
    pub(crate) fn is_grave(&self) -> bool {
        match &self.after {
            Serving::Nobody => true,
            Serving::Panic(_) => !matches!(self.before, Serving::Panic(_)),
            Serving::Pool(_) => false,
        }
    }

    /// One line, ended.
    pub(crate) fn text(&self) -> String {
        let frontend = printable(&self.frontend);
        let what = match (&self.before, &self.after) {
            (_, Serving::Nobody) => "no backend left; new flows will be dropped".to_owned(),
            (_, Serving::Panic(pool)) => format!(
                "too few backends of pool {} are up; in a panic, all of it takes new flows, up or not",
                printable(pool),
            ),
            (Serving::Pool(from) | Serving::Panic(from), Serving::Pool(to)) if from != to => {
                format!("pool {} takes over from pool {}", printable(to), printable(from))
            }
            (_, Serving::Pool(pool)) => format!("pool {} is no longer in a panic", printable(pool)),
        };
        let fate = self.flows.as_ref().map(|flows| flows.fate(self.after == Serving::Nobody));
        let fate = fate.map(|fate| format!("; {fate}")).unwrap_or_default();
        format!("frontend {frontend}: {what}{fate}\n")
    }
}

/// What a command will do to the traffic of each frontend that it concerns, by name. Nothing for a command that
/// takes nothing away; of a `recreate`, its word `force` is the consent.
///
/// The state may change between this and the command itself: it is told as of now.
pub(crate) async fn consequences(command: &Command, client: &Client) -> Result<Vec<Consequence>, Error> {
    let (frontends, change) = match command {
        Command::Set(Set::Backend { name, action }) => {
            let change = match action {
                Action::Pause => Changed::Paused(name),
                Action::Disable => Changed::Disabled(name),
                Action::Resume | Action::Enable => return Ok(Vec::new()),
            };
            (backend(name, client).await?.unwrap_or_default().frontends, change)
        }
        Command::Set(Set::Frontend { member, weight, flush, .. }) => {
            let change = Changed::Weight {
                pool: &member.pool,
                backend: &member.backend,
                weight: Some((*weight).into()),
                flush: flush.is_some(),
            };
            (vec![member.frontend.clone()], change)
        }
        Command::Clear(Clear::Override(ClearOverride::Backend { name })) => {
            match backend(name, client).await? {
                Some(backend) if !backend.enabled => (backend.frontends, Changed::Disabled(name)),
                _ => return Ok(Vec::new()),
            }
        }
        Command::Clear(Clear::Override(ClearOverride::Frontend(member))) => {
            let change =
                Changed::Weight { pool: &member.pool, backend: &member.backend, weight: None, flush: false };
            (vec![member.frontend.clone()], change)
        }
        Command::Show(_)
        | Command::Config(_)
        | Command::Recreate(_)
        | Command::Sync(_)
        | Command::Watch(_) => {
            return Ok(Vec::new());
        }
    };
    let answers = stream::iter(frontends).map(|name| async move {
        match client.frontend(&name).await {
            // Lost by a reload meanwhile, or only known to an override; the change itself says what is to say of it.
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    });
    let frontends: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(frontends.iter().flatten().filter_map(|frontend| Consequence::of(frontend, &change)).collect())
}

/// Of a name that is not known, the change itself says what is to say.
async fn backend(name: &str, client: &Client) -> Result<Option<Backend>, Error> {
    match client.backend(name).await {
        Err(error) if error.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

/// Whether it must be asked for, or needs `--yes`.
pub(crate) fn need_consent(consequences: &[Consequence]) -> bool {
    consequences.iter().any(Consequence::is_grave)
}

/// A line each.
pub(crate) fn text(consequences: &[Consequence]) -> String {
    consequences.iter().map(Consequence::text).collect()
}

#[cfg(test)]
mod tests;
