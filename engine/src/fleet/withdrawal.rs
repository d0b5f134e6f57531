//! Withdrawal of the routes of a member that is cut off from the backends, see [`crate::votes`]: only while another member
//! announces its own.

use std::collections::BTreeMap;

use super::records::{MemberState, Name, Routes};

/// A member's decision on its routes because it is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// Nothing. Its state says [`Routes::Normal`].
    Stay,
    /// It says that it wants to withdraw them, and keeps them until it has read that in the store.
    Ask,
    /// It withdraws them.
    Withdraw,
}

/// Decides on the routes of a member; `None`: as before. `states` are those of all members as of one revision of the store,
/// without those whose newest value was refused: their last good ones may be out of date. `written` is what this member
/// wrote last of itself.
///
/// Two members that withdraw at the same time must not both take the other one for the last that announces. The store has
/// all writes in one order: a member withdraws only on a view that has its own announcement of that, and in which another
/// member announces its routes and does not want to withdraw them. Of two that ask, at most the first sees such a view. On a
/// view that is older than its own last write, it decides nothing.
pub fn withdrawal(
    is_cut_off: bool,
    own: &Name,
    written: Option<&MemberState>,
    states: &BTreeMap<Name, MemberState>,
) -> Option<Withdrawal> {
    if states.get(own) != written {
        return None;
    }
    let announces = |(name, state): (&Name, &MemberState)| {
        name != own && state.announces && state.routes == Routes::Normal
    };
    let has_asked = written.is_some_and(|state| state.routes == Routes::Withdrawing);
    Some(match (is_cut_off && states.iter().any(announces), has_asked) {
        (false, _) => Withdrawal::Stay,
        (true, false) => Withdrawal::Ask,
        (true, true) => Withdrawal::Withdraw,
    })
}

#[cfg(test)]
mod tests;
