//! The fleet as the copy of the store has it: its rollout, its members, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maglev_engine::fleet::records::{self, Key, MemberState, Name, Record, Rival, Rollout};

use super::store::{Entry, StoreRevision};
use super::view::View;

/// The current rollout, and the revision of the store that it is of.
pub(super) fn rollout(view: &View) -> Option<(Rollout, StoreRevision)> {
    let entry = view.get("rollout")?;
    Some((records::decode(&entry.value).ok()?, entry.changed))
}

/// All members that the fleet has ever seen.
pub(super) fn known(view: &View) -> BTreeSet<Name> {
    let infos =
        view.below("members/").filter_map(|(key, _)| key.strip_prefix("members/")?.strip_suffix("/info"));
    infos.filter_map(|member| Name::new(member).ok()).collect()
}

/// The states of the members that are not away.
pub(super) fn states(view: &View) -> BTreeMap<Name, MemberState> {
    let state = |(key, entry): (&str, &Entry)| {
        let member = key.strip_prefix("members/")?.strip_suffix("/state")?;
        Some((Name::new(member).ok()?, records::decode(&entry.value).ok()?))
    };
    view.below("members/").filter_map(state).collect()
}

/// The other machine with a member's name, if there is one.
pub(super) fn rival(view: &View, member: &Name) -> Option<Rival> {
    records::decode(&view.get(&format!("members/{member}/rival"))?.value).ok()
}

/// Values of the other members, and the revisions of the store that they are of.
pub(super) type Decoded<R> = BTreeMap<Name, (StoreRevision, Arc<R>)>;

/// Decodes the other members' keys of one kind. Those that have not changed are not decoded again.
pub(super) fn decode_others<R: Record>(view: &View, own: &Name, of: &str, decoded: &mut Decoded<R>) {
    let mut before = std::mem::take(decoded);
    for (key, entry) in view.below("members/") {
        let name = key.strip_prefix("members/").and_then(|key| key.strip_suffix(of)?.strip_suffix('/'));
        let Some(name) = name.and_then(|name| Name::new(name).ok()).filter(|name| name != own) else {
            continue;
        };
        let kept = before.remove(&name).filter(|(changed, _)| *changed == entry.changed);
        let value = kept.or_else(|| Some((entry.changed, Arc::new(records::decode(&entry.value).ok()?))));
        decoded.extend(value.map(|value| (name, value)));
    }
}

/// A key below the fleet's prefix.
pub(super) fn relative(key: &Key, fleet: &Name) -> String {
    let path = key.path(fleet);
    path.strip_prefix(&records::prefix(fleet)).unwrap_or(&path).to_owned()
}
