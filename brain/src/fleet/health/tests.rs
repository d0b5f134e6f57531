use std::collections::BTreeSet;

use maglev_engine::fleet::records::{self, Routes};
use maglev_engine::votes::Backends;

use super::*;
use crate::fleet::store::{Entry, Read};
use crate::fleet::view::Link;

const PREFIX: &str = "/maglev/edge/";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn entry(key: &str, value: Vec<u8>, changed: StoreRevision) -> Entry {
    Entry { key: format!("{PREFIX}{key}").into(), value: value.into(), changed }
}

fn votes(down: &[&str]) -> Votes {
    let names: BTreeSet<_> = down.iter().map(|name| (*name).to_owned()).collect();
    let none = Backends::of(BTreeSet::new());
    Votes { subject: "0123456789abcdef".to_owned(), down: Backends::of(names), unknown: none }
}

fn seen(entries: Vec<Entry>) -> View {
    let check = |_: &str, value: &[u8]| match value {
        b"bad" => Err("is bad".to_owned()),
        _ => Ok(()),
    };
    let mut view = View::new([], 0);
    view.link = Link::Connected { since: std::time::UNIX_EPOCH };
    view.replace(Read { revision: 9, entries, left_out: 0 }, PREFIX, &check);
    view
}

#[test]
fn votes_are_as_old_as_their_last_write_and_not_as_their_last_read() {
    let start = Instant::now().into_std();
    let after = |seconds| start + Duration::from_secs(seconds);
    let of = |votes: &Votes, changed| {
        seen(vec![
            entry("members/lb1/votes", records::encode(votes).unwrap(), changed),
            entry("members/lb2/votes", records::encode(votes).unwrap(), changed),
        ])
    };
    let mut collected = Collected::default();
    let mut look = |view: &View, at| {
        let others = collected.votes(view, &name("lb1"), at);
        let found =
            others.into_iter().map(|(name, vote)| (name.to_string(), vote.at, vote.votes.down.contains("a")));
        found.collect::<Vec<_>>()
    };
    let lb2 = |at, down| vec![("lb2".to_owned(), at, down)];
    assert_eq!(look(&of(&votes(&[]), 3), start), lb2(start, false), "without this member's own");
    assert_eq!(look(&of(&votes(&[]), 3), after(5)), lb2(start, false), "read again");
    assert_eq!(look(&of(&votes(&[]), 4), after(6)), lb2(after(6), false), "renewed");
    assert_eq!(look(&of(&votes(&["a"]), 5), after(7)), lb2(after(7), true));
    assert_eq!(look(&seen(Vec::new()), after(8)), []);
    // The lease has ended, and the member has returned.
    assert_eq!(look(&of(&votes(&["a"]), 6), after(9)), lb2(after(9), true));
}

fn state(announces: bool, routes: Routes) -> MemberState {
    MemberState { announces, routes, ..crate::fleet::member::nothing() }
}

#[test]
fn a_refused_state_does_not_count_as_announcing() {
    let own = state(true, Routes::Withdrawing);
    let other = records::encode(&state(true, Routes::Normal)).unwrap();
    let lb1 = name("lb1");
    let of = |changed: StoreRevision, value: &[u8]| {
        vec![
            entry("members/lb1/state", records::encode(&own).unwrap(), 2),
            entry("members/lb2/state", value.to_vec(), changed),
        ]
    };
    let mut view = seen(of(3, &other));
    let decide = |is_cut_off, view: &View| decide(is_cut_off, &lb1, Some(&own), view);
    assert_eq!(decide(true, &view), Some(Withdrawal::Withdraw));
    assert_eq!(decide(false, &view), Some(Withdrawal::Stay));
    // Its last good value stays known, and says no more.
    let check = |_: &str, value: &[u8]| if value == b"bad" { Err("is bad".to_owned()) } else { Ok(()) };
    view.replace(Read { revision: 10, entries: of(4, b"bad"), left_out: 0 }, PREFIX, &check);
    assert_eq!(members::states(&view).len(), 2);
    assert_eq!(decide(true, &view), Some(Withdrawal::Stay));
    view.replace(Read { revision: 11, entries: of(5, &other), left_out: 0 }, PREFIX, &check);
    assert_eq!(decide(true, &view), Some(Withdrawal::Withdraw));
    // As before, until the votes are stale and it is no longer cut off.
    view.link = Link::Away { since: None, reason: "gone".into() };
    assert_eq!(decide(true, &view), None);
}
