//! What a configuration would do on each member, before its rollout begins. One member proposes it, and each previews it for
//! itself, since VPP, namespaces and overrides differ. Nothing is decided by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::Blocking;
use maglev_engine::core::{Command, Now};
use maglev_engine::fleet::records::{self, Key, Name, Revision, clean, unix_ms};
use maglev_engine::overrides::LONGEST_WHO;
use maglev_engine::preview;
use maglev_engine::preview::summary::{Answer, Summary};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::publish::Own;
use super::store::{Condition, Entry, StoreRevision, Write};
use super::view::View;
use super::{Fleet, FleetError, members};
use crate::controller::Operator;
use crate::reload::{Reloader, first_mistake};

/// Time after which a proposal is gone if the one that made it dies, in seconds.
const PROPOSED: i64 = 15;
/// Time after which an answer is gone, in seconds.
const KEPT: i64 = 30;
/// Time limit for the members' answers.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Time limit for unpacking and previewing a configuration.
const PREVIEWED_WITHIN: Duration = Duration::from_secs(10);

/// A member's answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPreview {
    /// The member.
    pub name: Name,
    /// The effect, or why it is not known.
    pub summary: Result<Summary, String>,
}

impl Fleet {
    /// Asks all members for the effect of a configuration, this one included.
    ///
    /// # Errors
    /// If they cannot be asked.
    pub async fn preview(&self, text: &str, who: &str) -> Result<Vec<MemberPreview>, FleetError> {
        let view = self.connected()?;
        let number = members::rollout(&view).map_or(1, |(rollout, _)| rollout.revision.saturating_add(1));
        let (who, now) = (clean(who, LONGEST_WHO), unix_ms(SystemTime::now()));
        let value = records::encode(&Revision::new(number, text, Some(who), now, String::new())?)?;
        let key = Key::Proposal.path(&self.fleet);
        let lease = self.store.grant(PROPOSED).await?;
        let put = Write::Put(key.clone(), value, Some(lease));
        let proposed = self.store.transact(vec![Condition::Missing(key.clone())], vec![put]).await?;
        let proposal = proposed.ok_or(FleetError::Proposed)?;
        let mut views = self.view.clone();
        let is_complete = |view: &Arc<View>| {
            let mut here = members::states(view).into_keys();
            here.all(|name| answer(view, &name, proposal).is_some())
        };
        // Who is missing then is in the results.
        drop(timeout(ANSWERED_WITHIN, views.wait_for(is_complete)).await);
        let results = results(&self.view(), proposal);
        let delete = vec![Write::Delete(key.clone())];
        // Otherwise its lease ends it.
        drop(self.store.transact(vec![Condition::ChangedBy(key, proposal)], delete).await);
        Ok(results)
    }
}

fn answer(view: &View, name: &Name, proposal: StoreRevision) -> Option<Summary> {
    let entry = view.get(&format!("members/{name}/preview"))?;
    let answer: Answer = records::decode(&entry.value).ok()?;
    (StoreRevision::try_from(answer.proposal) == Ok(proposal)).then_some(answer.summary)
}

fn results(view: &View, proposal: StoreRevision) -> Vec<MemberPreview> {
    let states = members::states(view);
    let names: BTreeSet<_> = members::known(view).into_iter().chain(states.keys().cloned()).collect();
    let result = |name: Name| {
        let missing = || match states.contains_key(&name) {
            true => {
                let within = humantime::format_duration(ANSWERED_WITHIN);
                format!("did not answer within {within}")
            }
            false => "is away, and takes it at its return".to_owned(),
        };
        let summary = answer(view, &name, proposal).ok_or_else(missing);
        MemberPreview { name, summary }
    };
    names.into_iter().map(result).collect()
}

/// The task that answers.
#[derive(Debug)]
pub(super) struct Previewing {
    pub(super) own: Own,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) reloader: Reloader,
    pub(super) operator: Operator,
}

impl Previewing {
    /// Runs forever. May be aborted at any point: the member that proposed says who did not answer.
    pub(super) async fn run(mut self) {
        let blocking = Blocking::new("previewing the fleet's proposal", 1, PREVIEWED_WITHIN);
        let mut answered = 0;
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            let rival = members::rival(&view, &self.own.member);
            let is_member = rival.is_none_or(|rival| rival.instance != self.own.instance);
            let proposal = view.get("proposal").filter(|entry| entry.changed != answered);
            if let Some(entry) = proposal.filter(|_| view.is_connected() && is_member) {
                answered = entry.changed;
                let summary = self.summary(entry.clone(), &blocking).await;
                self.answer(answered, summary.unwrap_or_else(|reason| Summary::refused(&reason))).await;
            }
            if self.view.changed().await.is_err() {
                return;
            }
        }
    }

    /// The effect here, or why the configuration is refused.
    async fn summary(&self, proposal: Entry, blocking: &Blocking) -> Result<Summary, String> {
        let unpack = move || {
            let revision: Revision = records::decode(&proposal.value).map_err(|error| error.to_string())?;
            revision.text()
        };
        let text = blocking.run(unpack).await.map_err(|error| error.to_string())??;
        let loaded = self.reloader.validate("proposal".to_owned(), text.into_bytes().into()).await;
        let loaded = loaded.map_err(|error| first_mistake(&error.to_string()).to_owned())?;
        let core = self.operator.state().await.map_err(|error| error.to_string())?;
        let now = Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
        let preview = move || {
            let command = Command::Reload(Arc::new(loaded.config).into());
            let preview = preview::preview(&core, command, &|_, _| None, now);
            preview.map(|preview| Summary::of(&preview)).map_err(|error| error.to_string())
        };
        blocking.run(preview).await.map_err(|error| error.to_string())?
    }

    async fn answer(&self, proposal: StoreRevision, summary: Summary) {
        let Ok(proposal) = u64::try_from(proposal) else { return };
        let Some(value) = self.own.encoded(&Answer { proposal, summary }) else { return };
        let written = async {
            let lease = self.own.store.grant(KEPT).await?;
            let put = Write::Put(self.own.path(Key::Preview), value, Some(lease));
            self.own.store.transact(Vec::new(), vec![put]).await
        };
        if let Err(error) = written.await {
            warn!(%error, "the preview of a proposed configuration cannot be written");
        }
    }
}
