//! News of the fleet: the controller passes them on like its own events, to the log, watchers, the history and webhooks.

use std::collections::BTreeSet;
use std::sync::Arc;

use maglev_engine::core::Notice;
use maglev_engine::fleet::digest;
use maglev_engine::fleet::records::{Name, Rollout, Stage};
use maglev_engine::history::Kind;
use maglev_engine::overrides::Remark;

use super::members;
use super::view::View;
use crate::controller::Operator;

/// Maximum number of tables of one comparison that are named.
const NAMED: usize = 10;

/// A sentence, and who caused it.
pub(super) type Told = (Notice, Remark);

fn notice(what: String, is_problem: bool) -> Notice {
    Notice { kind: Kind::Fleet, what, is_problem }
}

/// Passes them on, in order.
pub(super) async fn tell(operator: &Operator, news: impl IntoIterator<Item = Told>) {
    for (notice, remark) in news {
        operator.announce(notice, remark).await;
    }
}

/// The latest news of the rollout and the members' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it began, and its stage.
    rollout: Option<(u64, Stage)>,
    /// True if a rollout would have been seen.
    is_known: bool,
    /// Names that more than one machine has.
    rivals: BTreeSet<Name>,
}

impl Seen {
    /// Takes over a copy, which is no news.
    pub(super) fn of(view: &View) -> Self {
        let rollout = members::rollout(view).map(|(rollout, _)| rollout);
        let rollout = rollout.map(|rollout| (rollout.begun_ms, rollout.stage));
        let rivals = members::known(view).into_iter().filter(|name| members::rival(view, name).is_some());
        Self { is_known: rollout.is_some() || view.is_connected(), rollout, rivals: rivals.collect() }
    }

    /// The changes since.
    pub(super) fn see(&mut self, view: &View) -> Vec<Told> {
        let now = Self::of(view);
        if now == *self {
            return Vec::new();
        }
        let before = std::mem::replace(self, now);
        let mut news = Vec::new();
        if self.rollout != before.rollout
            && before.is_known
            && let Some((rollout, _)) = members::rollout(view)
        {
            let is_new = before.rollout.is_none_or(|(begun_ms, _)| begun_ms != rollout.begun_ms);
            news.push(of_rollout(&rollout, is_new));
        }
        for name in self.rivals.difference(&before.rivals) {
            let what = format!("more than one machine has the member name {name}: rename all but one");
            news.push((notice(what, true), Remark::default()));
        }
        for name in before.rivals.difference(&self.rivals) {
            news.push((
                notice(format!("only one machine has the member name {name} now"), false),
                Remark::default(),
            ));
        }
        news
    }
}

fn of_rollout(rollout: &Rollout, is_new: bool) -> Told {
    let why = if rollout.comment.is_empty() { String::new() } else { format!(" ({})", rollout.comment) };
    let what = format!("rollout of revision {}{why}: {}", rollout.revision, rollout.stage);
    // Members take it further by themselves, and the reason of one that was stopped names who did that.
    let who = rollout.who.as_deref().filter(|_| is_new).map(Arc::from);
    (notice(what, rollout.stage.reason().is_some()), Remark { who, ..Remark::default() })
}

/// Tables that have differed for too long, or no longer do; `is_here` tells which members are not away.
pub(super) fn of_tables(news: &[digest::News], is_here: impl Fn(&Name) -> bool) -> Vec<Told> {
    let told = news.iter().take(NAMED).map(|digest::News { vip, member, reason }| match reason {
        Some(reason) => notice(format!("the table of {vip} differs from that of {member}: {reason}"), true),
        None if is_here(member) => notice(format!("the table of {vip} is that of {member} again"), false),
        None => {
            notice(format!("the table of {vip} is not compared with that of {member}: it is away"), false)
        }
    });
    let more = news.len().saturating_sub(NAMED);
    let is_problem = news.iter().skip(NAMED).any(|news| news.reason.is_some());
    let more = (more > 0)
        .then(|| notice(format!("{more} more tables; `maglevc fleet tables` shows all"), is_problem));
    told.chain(more).map(|notice| (notice, Remark::default())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use maglev_engine::fleet::digest::Reason;
    use maglev_engine::fleet::records::{self, MemberInfo, Plan, Rival};
    use maglev_protocol::VipKey;

    use super::*;
    use crate::fleet::store::Entry;
    use crate::fleet::view::Link;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn rollout(begun_ms: u64, stage: Stage) -> Rollout {
        Rollout {
            revision: 7,
            back_to: None,
            plan: Plan::default(),
            members: BTreeSet::new(),
            stage,
            may: BTreeSet::new(),
            since_ms: 0,
            begun_ms,
            who: Some("anna".to_owned()),
            comment: "less".to_owned(),
        }
    }

    fn view(rollout: Option<&Rollout>, has_rival: bool) -> View {
        let entry = |key: &str, value: Vec<u8>| Entry { key: key.into(), value: value.into(), changed: 1 };
        let info = MemberInfo { name: name("lb1"), version: "0.2.0".to_owned(), first_seen_ms: 0 };
        let mut entries = vec![entry("members/lb1/info", records::encode(&info).unwrap())];
        entries.extend(rollout.map(|rollout| entry("rollout", records::encode(rollout).unwrap())));
        let rival = records::encode(&Rival { instance: 1, since_ms: 1 }).unwrap();
        entries.extend(has_rival.then(|| entry("members/lb1/rival", rival)));
        let mut view = View::new(entries, 1);
        view.link = Link::Connected { since: SystemTime::UNIX_EPOCH };
        view
    }

    fn words(news: Vec<Told>) -> Vec<(String, bool, Option<String>)> {
        let of =
            |(notice, remark): Told| (notice.what, notice.is_problem, remark.who.map(|who| who.to_string()));
        news.into_iter().map(of).collect()
    }

    #[test]
    fn each_stage_is_told_once_and_who_began_it() {
        let mut seen = Seen::of(&View::new([], 0));
        // A member that has just joined does not tell of what happened before.
        let done = rollout(5, Stage::Done);
        assert!(seen.see(&view(Some(&done), false)).is_empty());
        let begun = rollout(6, Stage::Rest);
        let told = words(seen.see(&view(Some(&begun), false)));
        let what = "rollout of revision 7 (less): rest".to_owned();
        assert_eq!(told, [(what, false, Some("anna".to_owned()))]);
        assert!(seen.see(&view(Some(&begun), false)).is_empty());
        let failed = rollout(6, Stage::Failed { reason: "lb2 went away".to_owned() });
        let what = "rollout of revision 7 (less): failed: lb2 went away".to_owned();
        assert_eq!(words(seen.see(&view(Some(&failed), false))), [(what, true, None)]);
        // A fleet's first rollout.
        let mut seen = Seen::of(&view(None, false));
        assert_eq!(seen.see(&view(Some(&begun), false)).len(), 1);
    }

    #[test]
    fn names_of_two_machines_are_told_at_both_ends() {
        let mut seen = Seen::of(&view(None, false));
        let told = words(seen.see(&view(None, true)));
        let begin = "more than one machine has the member name lb1: rename all but one".to_owned();
        assert_eq!(told, [(begin, true, None)]);
        let end = "only one machine has the member name lb1 now".to_owned();
        assert_eq!(words(seen.see(&view(None, false))), [(end, false, None)]);
    }

    #[test]
    fn the_first_tables_are_named_and_the_others_counted() {
        let news = |last: u8, reason| digest::News {
            vip: VipKey::port([192, 0, 2, last].into(), 6, 80),
            member: name("lb2"),
            reason,
        };
        let all: Vec<_> = (0..12).map(|last| news(last, Some(Reason::Intent))).collect();
        let told = words(of_tables(&all, |_| true));
        assert_eq!(told.len(), NAMED + 1);
        assert_eq!(
            told[0].0,
            "the table of 192.0.2.0 tcp/80 differs from that of lb2: different intents or overrides"
        );
        assert_eq!(told[NAMED], ("2 more tables; `maglevc fleet tables` shows all".to_owned(), true, None));
        let ended = [news(1, None)];
        assert_eq!(
            words(of_tables(&ended, |_| true))[0].0,
            "the table of 192.0.2.1 tcp/80 is that of lb2 again"
        );
        assert!(words(of_tables(&ended, |_| false))[0].0.contains("it is away"));
    }
}
