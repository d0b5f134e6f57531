use super::{CLOCK_START, SLOTS, Slot, StickyTable};
use crate::lb::Counter;
use maglev_table::buckets::NO_SERVER;

/// Time, event, result, and the slots of the only bucket afterwards.
///
/// `f A` is a packet of flow f while the VIP's own table gives server A, `f 0` while it gives none; `f/2` is that flow's
/// hash to VIP 2 instead of 1. `f=A@40` is a slot that pins f to A until second 40, `f=0@40` one that pins it to no
/// server, `x@40` one that was flushed, `-` one that was never taken.
type Row = (u32, &'static str, &'static str, &'static str);

struct Case {
    name: &'static str,
    rows: &'static [Row],
}

const CASES: &[Case] = &[
    Case {
        name: "packets renew a slot, and silence ends it to the second",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (39, "f B", "existing A", "f=A@79 - - -"),
            (78, "f B", "existing A", "f=A@118 - - -"),
            (118, "f B", "first B", "f=B@158 - - -"),
        ],
    },
    Case {
        name: "a full bucket leaves a flow untracked, which follows the table until a slot expires",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (1, "g A", "first A", "f=A@40 g=A@41 - -"),
            (2, "h A", "first A", "f=A@40 g=A@41 h=A@42 -"),
            (3, "i A", "first A", "f=A@40 g=A@41 h=A@42 i=A@43"),
            (4, "j A", "untracked A", "f=A@40 g=A@41 h=A@42 i=A@43"),
            (5, "j B", "untracked B", "f=A@40 g=A@41 h=A@42 i=A@43"),
            (6, "j 0", "untracked 0", "f=A@40 g=A@41 h=A@42 i=A@43"),
            (40, "j B", "first B", "j=B@80 g=A@41 h=A@42 i=A@43"),
            (41, "f C", "first C", "j=B@80 f=C@81 h=A@42 i=A@43"),
        ],
    },
    Case {
        name: "a flow that began without a server stays unpinned while it sends, and is pinned after its silence",
        rows: &[
            (0, "f 0", "none", "f=0@40 - - -"),
            (1, "f A", "first A", "f=0@41 f=A@41 - -"),
            (2, "f B", "first B", "f=0@42 f=A@41 f=B@42 -"),
            (3, "f B", "first B", "f=0@43 f=A@41 f=B@42 f=B@43"),
            (4, "f C", "untracked C", "f=0@44 f=A@41 f=B@42 f=B@43"),
            (41, "f C", "first C", "f=0@81 f=C@81 f=B@42 f=B@43"),
            (80, "f D", "first D", "f=0@120 f=C@81 f=D@120 f=B@43"),
            (120, "f D", "first D", "f=D@160 f=C@81 f=D@120 f=B@43"),
            (121, "f E", "existing D", "f=D@161 f=C@81 f=D@120 f=B@43"),
        ],
    },
    Case {
        name: "without a server, each packet takes a slot until there is none, and then counts as untracked",
        rows: &[
            (0, "f 0", "none", "f=0@40 - - -"),
            (0, "f 0", "none", "f=0@40 f=0@40 - -"),
            (0, "f 0", "none", "f=0@40 f=0@40 f=0@40 -"),
            (0, "f 0", "none", "f=0@40 f=0@40 f=0@40 f=0@40"),
            (1, "f 0", "untracked 0", "f=0@41 f=0@40 f=0@40 f=0@40"),
            (1, "g A", "untracked A", "f=0@41 f=0@40 f=0@40 f=0@40"),
        ],
    },
    Case {
        name: "a flush of the VIP lets a flow without a server be pinned at once",
        rows: &[
            (0, "f 0", "none", "f=0@40 - - -"),
            (1, "flush", "", "x@40 - - -"),
            (2, "f A", "first A", "x@40 f=A@42 - -"),
            (3, "f B", "existing A", "x@40 f=A@43 - -"),
        ],
    },
    Case {
        name: "a flush of one server leaves those without one alone",
        rows: &[
            (0, "f 0", "none", "f=0@40 - - -"),
            (0, "f A", "first A", "f=0@40 f=A@40 - -"),
            (0, "g B", "first B", "f=0@40 f=A@40 g=B@40 -"),
            (1, "flush A", "", "f=0@40 x@40 g=B@40 -"),
            (1, "f C", "first C", "f=0@41 x@40 g=B@40 f=C@41"),
        ],
    },
    Case {
        name: "a flow that was running when its last server was flushed is untracked until its old slot expires",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (1, "flush A", "", "x@40 - - -"),
            (1, "f 0", "none", "x@40 f=0@41 - -"),
            (2, "f 0", "none", "x@40 f=0@42 f=0@42 -"),
            (3, "f 0", "none", "x@40 f=0@43 f=0@42 f=0@43"),
            (4, "f A", "untracked A", "x@40 f=0@44 f=0@42 f=0@43"),
            (39, "f A", "untracked A", "x@40 f=0@79 f=0@42 f=0@43"),
            (40, "f A", "first A", "f=A@80 f=0@80 f=0@42 f=0@43"),
            (41, "f B", "existing A", "f=A@81 f=0@80 f=0@42 f=0@43"),
        ],
    },
    Case {
        name: "flushed slots are not free before their time, so that many flushes fill a bucket",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (1, "flush A", "", "x@40 - - -"),
            (1, "f B", "first B", "x@40 f=B@41 - -"),
            (2, "flush B", "", "x@40 x@41 - -"),
            (2, "f A", "first A", "x@40 x@41 f=A@42 -"),
            (3, "flush A", "", "x@40 x@41 x@42 -"),
            (3, "f B", "first B", "x@40 x@41 x@42 f=B@43"),
            (4, "flush", "", "x@40 x@41 x@42 x@43"),
            (4, "f A", "untracked A", "x@40 x@41 x@42 x@43"),
            (5, "f B", "untracked B", "x@40 x@41 x@42 x@43"),
            (40, "f B", "first B", "f=B@80 x@41 x@42 x@43"),
        ],
    },
    Case {
        name: "VIPs do not see each other's slots, but share the bucket",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (0, "f/2 B", "first B", "f=A@40 f/2=B@40 - -"),
            (1, "f B", "existing A", "f=A@41 f/2=B@40 - -"),
            (1, "f/2 A", "existing B", "f=A@41 f/2=B@41 - -"),
            (2, "flush", "", "x@41 f/2=B@41 - -"),
            (2, "f/2 A", "existing B", "x@41 f/2=B@42 - -"),
        ],
    },
    Case {
        name: "an expired slot matches nothing, and keeps its server until it is taken or flushed",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (0, "g B", "first B", "f=A@40 g=B@40 - -"),
            (99, "g C", "first C", "g=C@139 g=B@40 - -"),
            (100, "flush B", "", "g=C@139 x@40 - -"),
        ],
    },
    Case {
        name: "another timeout holds from a flow's next packet on",
        rows: &[
            (0, "f A", "first A", "f=A@40 - - -"),
            (1, "timeout 5", "", "f=A@40 - - -"),
            (39, "f B", "existing A", "f=A@44 - - -"),
            (44, "f B", "first B", "f=B@49 - - -"),
        ],
    },
];

/// The timeout unless a row sets another.
const TIMEOUT: u32 = 40;

fn server(name: &str) -> u32 {
    name.bytes().next().filter(|byte| *byte != b'0').map_or(NO_SERVER, u32::from)
}

fn name(index: u32) -> char {
    char::from_u32(index).filter(|_| index != NO_SERVER).unwrap_or('0')
}

/// Hash and VIP of a flow.
fn flow(text: &str) -> (u32, u32) {
    let (hash, vip) = text.split_once('/').unwrap_or((text, "1"));
    (u32::from(hash.as_bytes()[0]), vip.parse().unwrap())
}

/// Applies a row's event; returns its result.
fn happen(table: &mut StickyTable, at: u32, event: &str) -> String {
    match event.split(' ').collect::<Vec<_>>()[..] {
        ["flush"] => table.flush(1, None),
        ["flush", of] => table.flush(1, Some(server(of))),
        ["timeout", seconds] => table.set_timeout(seconds.parse().unwrap()),
        [of, by_table] => {
            let (hash, vip) = flow(of);
            let (to, counter) = table.route(hash, vip, server(by_table), CLOCK_START + at);
            return match counter {
                Counter::ExistingSession => format!("existing {}", name(to)),
                Counter::FirstSession => format!("first {}", name(to)),
                Counter::Untracked => format!("untracked {}", name(to)),
                Counter::NoServer => "none".to_owned(),
            };
        }
        _ => panic!("{event:?} is no event"),
    }
    String::new()
}

fn show(slot: Slot) -> String {
    let Slot { hash, expires, vip, server } = slot;
    let until = expires.wrapping_sub(CLOCK_START);
    let flow = char::from_u32(hash).unwrap();
    match vip {
        _ if slot == Slot::default() => "-".to_owned(),
        super::NO_VIP => format!("x@{until}"),
        1 => format!("{flow}={}@{until}", name(server)),
        _ => format!("{flow}/{vip}={}@{until}", name(server)),
    }
}

fn slots(table: &StickyTable) -> Vec<Slot> {
    table.used.values().flatten().copied().collect()
}

fn table(buckets: u32) -> StickyTable {
    let mut table = StickyTable::new(buckets);
    table.set_timeout(TIMEOUT);
    table
}

#[test]
fn a_bucket_does_what_vpp_does() {
    for Case { name, rows } in CASES {
        let mut table = table(1);
        for (at, event, outcome, expected) in *rows {
            let told = happen(&mut table, *at, event);
            let shown: Vec<_> = slots(&table).into_iter().map(show).collect();
            assert_eq!(
                (told.as_str(), shown.join(" ").as_str()),
                (*outcome, *expected),
                "{name}: {at} {event}"
            );
            for letter in 'A'..='E' {
                let server = u32::from(letter);
                let holding = slots(&table).iter().filter(|slot| slot.server == server).count();
                assert_eq!(table.references(server), holding as u64, "{name}: {at} {event}: {letter}");
            }
        }
    }
}

#[test]
fn a_hash_looks_into_its_own_bucket_alone() {
    let mut table = table(4);
    for hash in 0..16 {
        assert_eq!(table.route(hash, 1, 7, CLOCK_START), (7, Counter::FirstSession), "{hash}");
    }
    for hash in 16..20 {
        assert_eq!(table.route(hash, 1, 7, CLOCK_START), (7, Counter::Untracked), "{hash}");
    }
    assert_eq!((table.references(7), slots(&table).len()), (16, 4 * SLOTS as usize));
}

#[test]
fn slots_are_counted_as_live_until_they_expire_flushed_or_not() {
    let mut table = table(8);
    for hash in 0..3 {
        table.route(hash, 1, 7, CLOCK_START);
    }
    table.route(4, 1, NO_SERVER, CLOCK_START + 1);
    table.flush(1, Some(7));
    let live = [0, 39, 40, 41].map(|at| table.live_slots(CLOCK_START + at));
    assert_eq!(live, [4, 4, 1, 0]);
    assert_eq!(table.references(7), 0);
}

/// VPP compares the times of slots as signed numbers.
#[test]
fn a_timeout_of_half_the_clock_pins_nothing() {
    let mut table = table(1);
    table.set_timeout(i32::MAX.cast_unsigned());
    for _ in 0..3 {
        assert_eq!(table.route(5, 1, 7, CLOCK_START), (7, Counter::FirstSession));
    }
    assert_eq!(table.references(7), 1);
}
