//! Sentences that describe a change to the operator.

use maglev_protocol::LbConfSpec;

use super::{BackendPreview, Fate, FrontendPreview, Severity, VipChange};
use crate::weights::Capacity;

/// A sentence and its severity.
pub(super) type Sentence = (Severity, String);

/// Changes of the lb plugin's settings, which affect every VIP.
pub(super) fn settings(before: &LbConfSpec, after: &LbConfSpec) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    let (from, to) = (before.sticky_buckets_per_core, after.sticky_buckets_per_core);
    if from != to {
        let sentence = format!(
            "sticky-buckets-per-core changes from {from} to {to}: VPP forgets the pinned flows of all VIPs"
        );
        sentences.push((Severity::Danger, sentence));
    }
    let sources = |conf: &LbConfSpec| (conf.ip4_src_address, conf.ip6_src_address);
    if sources(before) != sources(after) {
        let sentence = "the tunnels' source address changes: backends must accept the new one".to_owned();
        sentences.push((Severity::Notice, sentence));
    }
    if before.flow_timeout != after.flow_timeout {
        let (from, to) = (before.flow_timeout, after.flow_timeout);
        let sentence = format!("flow-timeout changes from {from} s to {to} s");
        sentences.push((Severity::Notice, sentence));
    }
    sentences
}

/// Changes of one frontend. `served` and `serves` say whether VPP has a server with a weight before and
/// after.
pub(super) fn frontend(preview: &FrontendPreview, served: bool, serves: bool) -> Vec<Sentence> {
    let mut sentences = vip(preview, serves);
    if preview.change == VipChange::Removed {
        return sentences;
    }
    sentences.extend(pools(preview, served, serves));
    let mut told = Vec::new();
    for row in &preview.backends {
        // A server in several pools has its flows only once.
        if !told.contains(&row.server) {
            told.push(row.server);
            sentences.extend(flows(row));
        }
    }
    if preview.moved_buckets > 0 && preview.change == VipChange::Kept {
        let length = preview.after.as_ref().map_or(0, |after| after.table_length);
        let sentence = format!(
            "{} of {length} buckets move between backends that go on serving; only unpinned flows are affected",
            preview.moved_buckets
        );
        sentences.push((Severity::Notice, sentence));
    }
    if preview.held_back {
        let sentence =
            "the warm-up holds the frontend back: VPP is programmed when it is released".to_owned();
        sentences.push((Severity::Notice, sentence));
    }
    sentences
}

fn vip(preview: &FrontendPreview, serves: bool) -> Vec<Sentence> {
    let vip = preview.vip;
    match preview.change {
        VipChange::Kept => Vec::new(),
        VipChange::Added => vec![(Severity::Notice, format!("VIP {vip} is added"))],
        VipChange::Removed => {
            vec![(Severity::Danger, format!("VIP {vip} is removed: its traffic is no longer load-balanced"))]
        }
        VipChange::Recreated => {
            let then =
                if serves { "flows may move to other backends" } else { "no other backend takes them over" };
            vec![(Severity::Danger, format!("VIP {vip} is re-created: VPP forgets its pinned flows, {then}"))]
        }
    }
}

fn pools(preview: &FrontendPreview, served: bool, serves: bool) -> Vec<Sentence> {
    let side = |side: &Option<super::Side>| side.clone().map(|side| (side.active_pool, side.panic));
    let (before, after) = (side(&preview.before), side(&preview.after).unwrap_or_default());
    let mut sentences = Vec::new();
    if !serves {
        if served {
            sentences.push((Severity::Danger, "no backend left: new flows are dropped".to_owned()));
        }
        return sentences;
    }
    let Some(before) = before else { return sentences };
    match (before.1, after.1) {
        (was, Some(pool)) if was.as_ref() != Some(&pool) => sentences.push((
            Severity::Danger,
            format!("too few backends of pool {pool} are up: all of them take new flows, healthy or not"),
        )),
        (Some(pool), None) => {
            sentences.push((Severity::Notice, format!("pool {pool} is no longer in a panic")));
        }
        _ => {}
    }
    match (before.0, after.0) {
        (Some(from), Some(to)) if from != to => {
            sentences.push((Severity::Notice, format!("pool {to} takes over from pool {from}")));
        }
        (None, Some(to)) => sentences.push((Severity::Notice, format!("pool {to} takes new flows again"))),
        _ => {}
    }
    sentences
}

/// A pool that the change takes below its `min-up`, or further below.
pub(super) struct Shortage<'v> {
    pub(super) pool: &'v str,
    /// Whether it is below already.
    pub(super) further: bool,
    pub(super) after: Capacity,
}

/// A pool that goes below its `min-up`.
pub(super) fn min_up(shortage: &Shortage<'_>) -> Sentence {
    let Shortage { pool, further, after } = shortage;
    let further = if *further { "further " } else { "" };
    (Severity::Danger, format!("pool {pool} goes {further}below its min-up: {after}"))
}

/// What happens to a server's flows.
fn flows(row: &BackendPreview) -> Option<Sentence> {
    let flows = match row.flows {
        Some(0) => return None,
        Some(1) => "1 flow".to_owned(),
        Some(count) => format!("{} flows", grouped(count)),
        None => "flows".to_owned(),
    };
    let backend = &row.backend;
    let verb = if row.flows == Some(1) { "is" } else { "are" };
    Some(match row.fate {
        Fate::Stay | Fate::Rehash => return None,
        Fate::Finish => (Severity::Notice, format!("{flows} of {backend} {verb} left to finish")),
        Fate::Move => {
            (Severity::Notice, format!("{flows} of {backend} {verb} moved to other backends at once"))
        }
        Fate::Cut => (Severity::Danger, format!("{flows} of {backend} {verb} cut at once")),
    })
}

/// Formats a number as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
