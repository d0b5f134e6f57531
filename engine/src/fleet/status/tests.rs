use std::time::UNIX_EPOCH;

use super::*;
use crate::fleet::records::{Order, Plan, Problems, Refused, Routes, Running, Sha256, Stage};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn state(revision: Option<u64>) -> MemberState {
    let sha256 = Sha256::of(b"");
    MemberState {
        running: revision.map(|revision| Running { revision, sha256 }),
        refused: None,
        intents: 5,
        local: 0,
        not_programmed: None,
        vpp: true,
        problems: Problems::default(),
        announces: true,
        routes: Routes::Normal,
        clock_ms: 0,
    }
}

/// From 6 to 7; only lb1 may run 7.
fn rollout(stage: Stage) -> Rollout {
    let lb1: BTreeSet<_> = [name("lb1")].into();
    Rollout {
        revision: 7,
        back_to: Some(6),
        plan: Plan { canary: lb1.clone(), soak_ms: 0, order: Order::OneByOne },
        members: lb1.clone(),
        stage,
        may: lb1,
        since_ms: 0,
        begun_ms: 3,
        who: None,
        comment: String::new(),
    }
}

#[test]
fn a_member_is_ready_when_it_runs_what_it_is_to_run() {
    let refused = |begun_ms| MemberState {
        refused: Some(Refused { revision: 7, reason: "line 3".to_owned(), begun_ms }),
        ..state(Some(6))
    };
    let late = MemberState { not_programmed: Some("VPP is away".to_owned()), ..state(Some(7)) };
    for (state, condition, why) in [
        (state(Some(7)), Condition::Ready, None),
        (state(Some(6)), Condition::Behind, Some("runs revision 6, and not revision 7 yet")),
        (state(None), Condition::Behind, Some("runs its own file, and not revision 7 yet")),
        (late, Condition::Behind, Some("VPP is away")),
        (refused(3), Condition::Refused, Some("refused revision 7: line 3")),
        (refused(2), Condition::Behind, Some("runs revision 6, and not revision 7 yet")),
    ] {
        let view = member_view(&name("lb1"), None, Presence::Here(&state), Some(&rollout(Stage::Soaking)));
        assert_eq!(
            (view.condition, view.why.as_deref(), view.target),
            (condition, why, Some(7)),
            "{state:?}"
        );
    }
    let view = |presence| member_view(&name("lb2"), None, presence, Some(&rollout(Stage::Soaking)));
    let old = state(Some(6));
    assert_eq!(view(Presence::Here(&old)).condition, Condition::Ready);
    assert_eq!(view(Presence::Missing).condition, Condition::Missing);
    assert_eq!(view(Presence::Away).condition, Condition::Away);
    let alone = member_view(&name("lb1"), None, Presence::Here(&state(None)), None);
    assert_eq!((alone.condition, alone.target), (Condition::Ready, None));
}

#[test]
fn an_answer_names_those_who_have_not_programmed_it() {
    let [ready, late] = [state(Some(7)), MemberState { intents: 4, ..state(Some(7)) }];
    let refused = MemberState { not_programmed: Some("VPP is away".to_owned()), ..state(Some(7)) };
    let members = [
        (name("a"), Presence::Here(&ready)),
        (name("b"), Presence::Here(&late)),
        (name("c"), Presence::Here(&refused)),
        (name("d"), Presence::Missing),
        (name("e"), Presence::Away),
    ];
    let answers = acknowledged(5, &members.into());
    assert_eq!(programmed_words(&answers), "programmed on 1 of 5");
    let reasons: Vec<_> = answers.values().map(|answer| answer.clone().err().unwrap_or_default()).collect();
    let [not_reporting, away] =
        ["not reporting", "away"].map(|how| format!("{how}; it applies the intent at its return"));
    assert_eq!(reasons, ["", "not applied yet", "VPP is away", &not_reporting, &away]);
}

#[test]
fn every_problem_is_told() {
    let since = UNIX_EPOCH;
    let fine = Status {
        fleet: name("edge"),
        own: name("lb1"),
        store: Store::Connected { revision: 9, since },
        rollout: Some(rollout(Stage::Done)),
        members: [(
            name("lb1"),
            member_view(&name("lb1"), None, Presence::Here(&state(Some(7))), Some(&rollout(Stage::Done))),
        )]
        .into(),
        intents: BTreeMap::new(),
        unmatched: BTreeSet::new(),
        local: BTreeSet::new(),
        refused: BTreeMap::new(),
        differences: Vec::new(),
    };
    assert_eq!((fine.problems(), fine.revision()), (vec![], Some(7)));
    let stopped = rollout(Stage::Failed { reason: "lb1 went away".to_owned() });
    let key = || IntentKey::Backend("web1".to_owned());
    let vip = VipKey::port([192, 0, 2, 1].into(), 6, 80);
    let lasts = Duration::from_secs(70);
    let bad = Status {
        store: Store::Away { reason: "timeout".to_owned(), since },
        members: [(name("lb1"), member_view(&name("lb1"), None, Presence::Away, Some(&stopped)))].into(),
        rollout: Some(stopped),
        unmatched: [key()].into(),
        local: [key()].into(),
        refused: [("/maglev/edge/rollout".to_owned(), "it has no `format`".to_owned())].into(),
        differences: vec![Difference { vip, member: name("lb2"), lasts, reason: Reason::Vote }],
        ..fine
    };
    assert_eq!(bad.revision(), Some(6));
    assert_eq!(
        bad.problems(),
        [
            "the fleet's store is away, the last good copy is in use: timeout",
            "rollout of revision 7: failed: lb1 went away",
            "member lb1 is away: it has not been seen for a while",
            "backend web1 is set only on this member",
            "backend web1 is not in this member's configuration",
            "the value of /maglev/edge/rollout is refused: it has no `format`",
            "the table of 192.0.2.1 tcp/80 differs from that of lb2: different views of health",
        ]
    );
}
