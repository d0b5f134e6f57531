//! A preview in short, for the other members of a fleet: the same change may do something else on each.

use serde::{Deserialize, Serialize};

use super::{BackendPreview, FrontendPreview, Preview, Severity, VipChange};
use crate::fleet::records::{LONGEST_REASON, Record, clean};

/// Maximum number of frontends; of more, those with the highest severity.
pub const MOST_FRONTENDS: usize = 200;
/// Maximum number of sentences of a frontend, and of those about VPP as a whole.
pub const MOST_SENTENCES: usize = 4;

/// The effect of a proposed configuration on a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The reason for the member's refusal; all else is empty then.
    pub refused: Option<String>,
    /// The highest severity.
    pub severity: Severity,
    /// Effects on VPP as a whole.
    pub sentences: Vec<String>,
    /// The affected frontends, by name.
    pub frontends: Vec<FrontendSummary>,
    /// Number of affected frontends beyond those.
    pub left_out: u64,
}

/// A frontend that the change affects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendSummary {
    /// Its name.
    pub frontend: String,
    /// The change of its VIP.
    pub change: VipChange,
    /// Number of servers that get more or fewer buckets.
    pub servers: u32,
    /// Number of buckets that get another server.
    pub buckets: u32,
    /// The highest severity of the sentences.
    pub severity: Severity,
    /// Description, most severe first.
    pub sentences: Vec<String>,
}

/// A summary in the store: what a member says of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The store's revision in which the configuration was proposed.
    pub proposal: u64,
    /// The effect.
    pub summary: Summary,
}

fn cleaned(sentences: &[String]) -> Vec<String> {
    sentences.iter().take(MOST_SENTENCES).map(|sentence| clean(sentence, LONGEST_REASON)).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Summary {
    /// That of a configuration that is refused.
    pub fn refused(reason: &str) -> Self {
        Self { refused: Some(clean(reason, LONGEST_REASON)), ..Self::default() }
    }

    /// That of a preview. It should be one without numbers of flows, which differ between members that are equal otherwise.
    pub fn of(preview: &Preview) -> Self {
        let affected = preview.frontends.iter().filter(|frontend| !frontend.sentences.is_empty());
        let mut frontends: Vec<_> = affected.map(FrontendSummary::of).collect();
        let left_out = frontends.len().saturating_sub(MOST_FRONTENDS);
        // Stable: by name within a severity.
        frontends.sort_by_key(|frontend| std::cmp::Reverse(frontend.severity));
        frontends.truncate(MOST_FRONTENDS);
        frontends.sort_by(|one, other| one.frontend.cmp(&other.frontend));
        Self {
            refused: None,
            severity: preview.severity,
            sentences: cleaned(&preview.sentences),
            frontends,
            left_out: u64::from(count(left_out)),
        }
    }
}

impl FrontendSummary {
    fn of(preview: &FrontendPreview) -> Self {
        let buckets = |row: &BackendPreview| {
            [row.before, row.after].map(|share| share.map_or(0, |share| share.buckets))
        };
        let mut rows: Vec<_> = preview.backends.iter().map(|row| (row.server, buckets(row))).collect();
        // A server in several pools has its buckets only once.
        rows.sort_unstable();
        rows.dedup_by_key(|(server, _)| *server);
        let changed = rows.iter().filter(|(_, [before, after])| before != after);
        let gained: u32 = rows.iter().map(|(_, [before, after])| after.saturating_sub(*before)).sum();
        let lost: u32 = rows.iter().map(|(_, [before, after])| before.saturating_sub(*after)).sum();
        Self {
            frontend: preview.frontend.clone(),
            change: preview.change,
            servers: count(changed.count()),
            buckets: gained.max(lost).max(preview.moved_buckets),
            severity: preview.severity,
            sentences: cleaned(&preview.sentences),
        }
    }
}

impl Record for Answer {
    fn check(&self) -> Result<(), String> {
        let Summary { refused, sentences, frontends, .. } = &self.summary;
        if frontends.len() > MOST_FRONTENDS {
            return Err(format!("it has {} frontends, more than {MOST_FRONTENDS}", frontends.len()));
        }
        let of_frontends = frontends.iter().map(|frontend| &frontend.sentences);
        let mut all = std::iter::once(sentences).chain(of_frontends);
        if let Some(many) = all.clone().find(|sentences| sentences.len() > MOST_SENTENCES) {
            return Err(format!("it has {} sentences, more than {MOST_SENTENCES}", many.len()));
        }
        let is_clean = |text: &String| clean(text, LONGEST_REASON) == *text;
        let names = frontends.iter().map(|frontend| &frontend.frontend);
        match all.all(|sentences| sentences.iter().all(is_clean)) && refused.iter().chain(names).all(is_clean)
        {
            true => Ok(()),
            false => Err("a text is too long, or has characters that cannot be printed".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use maglev_protocol::VipKey;

    use super::super::{Fate, Share};
    use super::*;
    use crate::fleet::records::{decode, encode};

    fn row(last: u8, before: Option<u32>, after: Option<u32>) -> BackendPreview {
        let share = |buckets| Share { effective: 100, programmed: 1, buckets };
        BackendPreview {
            pool: "primary".to_owned(),
            backend: format!("web{last}"),
            server: IpAddr::from([10, 0, 0, last]),
            before: before.map(share),
            after: after.map(share),
            fate: Fate::Stay,
            flows: None,
        }
    }

    fn frontend(name: &str, severity: Severity, backends: Vec<BackendPreview>) -> FrontendPreview {
        FrontendPreview {
            frontend: name.to_owned(),
            vip: VipKey::port([192, 0, 2, 1].into(), 6, 80),
            change: VipChange::Kept,
            held_back: false,
            before: None,
            after: None,
            backends,
            moved_buckets: 2,
            severity,
            sentences: vec![format!("{name} changes"); 6],
        }
    }

    #[test]
    fn a_summary_counts_and_is_bounded() {
        let rows = vec![
            row(1, Some(100), Some(40)),
            row(2, Some(28), Some(28)),
            row(3, None, Some(60)),
            row(3, None, Some(60)),
        ];
        let mut frontends = vec![frontend("shop", Severity::Notice, rows)];
        frontends
            .push(FrontendPreview { sentences: Vec::new(), ..frontend("calm", Severity::None, Vec::new()) });
        frontends.extend(
            (0..MOST_FRONTENDS).map(|number| frontend(&format!("z{number:03}"), Severity::None, Vec::new())),
        );
        frontends.push(frontend("zz", Severity::Danger, Vec::new()));
        let preview =
            Preview { events: 7, severity: Severity::Danger, sentences: vec!["all".to_owned()], frontends };
        let summary = Summary::of(&preview);
        assert_eq!((summary.frontends.len(), summary.left_out), (MOST_FRONTENDS, 2));
        let shop = &summary.frontends[0];
        assert_eq!((shop.frontend.as_str(), shop.servers, shop.buckets), ("shop", 2, 60));
        assert_eq!(shop.sentences.len(), MOST_SENTENCES);
        assert_eq!(
            summary.frontends[MOST_FRONTENDS - 1].frontend,
            "zz",
            "the most severe are never left out"
        );
        let answer = Answer { proposal: 9, summary };
        assert_eq!(decode::<Answer>(&encode(&answer).unwrap()).unwrap(), answer);
    }

    #[test]
    fn hostile_answers_are_refused() {
        let good = Answer { proposal: 1, summary: Summary::refused("no such\nnamespace") };
        assert_eq!(good.summary.refused.as_deref(), Some("no such namespace"));
        assert!(encode(&good).is_ok());
        let with = |change: &dyn Fn(&mut Summary)| {
            let mut answer = good.clone();
            change(&mut answer.summary);
            encode(&answer).is_err()
        };
        assert!(with(&|summary| summary.refused = Some("a\u{1b}[2J".to_owned())));
        assert!(with(&|summary| summary.sentences = vec![String::new(); MOST_SENTENCES + 1]));
        assert!(with(&|summary| summary.sentences = vec!["x".repeat(LONGEST_REASON + 1)]));
        let one = FrontendSummary::of(&frontend("shop", Severity::Notice, Vec::new()));
        assert!(with(&|summary| summary.frontends = vec![one.clone(); MOST_FRONTENDS + 1]));
        assert!(with(&|summary| summary.frontends =
            vec![FrontendSummary { frontend: "a\nb".to_owned(), ..one.clone() }]));
    }
}
