use proptest::prelude::*;

use super::*;

const PREFIX: &str = "maglev_";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// All replies in a text, which must end with one.
fn replies(text: &str) -> Vec<Reply> {
    let (mut reader, mut bytes, mut found) = (Reader::default(), text.as_bytes(), Vec::new());
    while !bytes.is_empty() {
        let (reply, taken) = reader.take(bytes).unwrap();
        found.extend(reply);
        bytes = &bytes[taken..];
    }
    found
}

/// As BIRD 2.0.12 sends it.
const TABLE: &str = "2002-Name       Proto      Table      State  Since         Info
1002-maglev_192_0_2_1 Static     maglev4    down   17:52:04.506  \n maglev_192_0_2_1_gshut Static     maglev4    up     17:52:04.721  \n maglev_2001_db8__1 Static     maglev6    up     17:52:02.000  \n0000 \n";

fn has() -> Protocols {
    replies(TABLE)[0].protocols().unwrap()
}

#[test]
fn names_are_distinct_and_valid() {
    assert_eq!(protocol(PREFIX, address("192.0.2.1")), "maglev_192_0_2_1");
    assert_eq!(protocol(PREFIX, address("2001:db8::1")), "maglev_2001_db8__1");
    assert_eq!(gshut_protocol(PREFIX, address("::")), "maglev____gshut");
    for text in ["192.0.2.1", "2001:db8::1", "::"] {
        let vip = address(text);
        let names = [protocol(PREFIX, vip), gshut_protocol(PREFIX, vip)];
        assert_eq!(names.map(|name| super::address(PREFIX, &name)), [Some(vip); 2]);
    }
    for other in ["maglev_bgp", "maglev_192_0_2", "bgp_192_0_2_1", "maglev_"] {
        assert_eq!(super::address(PREFIX, other), None, "{other}");
    }
    let longest = address("2001:db81:db81:db81:db81:db81:db81:db81");
    assert!(gshut_protocol(&"x".repeat(16), longest).len() <= 64);
}

#[test]
fn replies_are_read_whatever_their_pieces_are() {
    let text = format!("0001 BIRD 2.0.12 ready.\n{TABLE}8003 No protocols match\n");
    let [greeting, table, none] = &replies(&text)[..] else { panic!() };
    assert_eq!(greeting.greeting().unwrap(), "BIRD 2.0.12");
    let expected = [
        ("maglev_192_0_2_1".to_owned(), false),
        ("maglev_192_0_2_1_gshut".to_owned(), true),
        ("maglev_2001_db8__1".to_owned(), true),
    ];
    assert_eq!(table.protocols().unwrap(), expected.into());
    assert_eq!(none.protocols().unwrap(), Protocols::new());
    let mut reader = Reader::default();
    let single = text.bytes().filter_map(|byte| reader.take(&[byte]).unwrap().0).collect::<Vec<_>>();
    assert_eq!(single, replies(&text));
}

#[test]
fn steps_are_confirmed_by_their_own_name_only() {
    let step = Step { protocol: "maglev_192_0_2_1".into(), enable: true };
    assert_eq!(step.command(), "enable \"maglev_192_0_2_1\"");
    let confirms = |text: &str| replies(text)[0].confirms(&step);
    assert_eq!(confirms("0011-maglev_192_0_2_1: enabled\n0000 \n"), Ok(()));
    assert_eq!(confirms("0010-maglev_192_0_2_1: already enabled\n0000 \n"), Ok(()));
    for other in
        ["0011-maglev_192_0_2_11: enabled\n0000 \n", "0009-maglev_192_0_2_1: disabled\n0000 \n", "0000 \n"]
    {
        assert_eq!(confirms(other), Err(ReplyError::NotConfirmed(step.command())), "{other}");
    }
    let refused = confirms("8007 Access denied\n").unwrap_err();
    assert_eq!(refused.to_string(), "BIRD refused: Access denied (code 8007)");
}

#[test]
fn what_is_not_birds_is_refused() {
    for text in [
        "HTTP/1.1 200 OK\n",
        "\n",
        "12\n",
        " first\n",
        "+1234 x\n0001+x\n",
        "0001\n",
        "00\u{e9}1 x\n",
        "+001 x\n1 23 x\n",
    ] {
        let error = Reader::default().take(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ReplyError::Malformed(_)), "{text:?}: {error}");
    }
    assert_eq!(Reader::default().take(&[b'x'; 5000]), Err(ReplyError::TooLong));
    let mut endless = Reader::default();
    let line = b"1002-name Static table up x\n".repeat(1000);
    let ended = (0..200).find_map(|_| endless.take(&line).err());
    assert_eq!(ended, Some(ReplyError::TooLong));
    assert!(replies("1002-one two\n0000 \n")[0].protocols().is_err());
    assert!(replies("8007 Access denied\n")[0].greeting().is_err());
    assert!(replies("0001-BIRD\n0001 BIRD\n")[0].greeting().is_err());
}

#[test]
fn only_differences_become_steps_and_a_route_is_replaced_before_it_goes() {
    let wanted = |announcement| BTreeMap::from([(address("192.0.2.1"), announcement)]);
    let steps = |announcement| {
        let plan = plan(&wanted(announcement), PREFIX, &has(), false);
        assert!(plan.missing.is_empty());
        plan.steps.iter().map(Step::command).collect::<Vec<_>>()
    };
    let (plain, gshut) = ("\"maglev_192_0_2_1\"", "\"maglev_192_0_2_1_gshut\"");
    assert!(steps(None).is_empty());
    assert!(steps(Some(Announcement::Deprioritised)).is_empty());
    assert_eq!(steps(Some(Announcement::Announced)), [format!("enable {plain}"), format!("disable {gshut}")]);
    assert_eq!(steps(Some(Announcement::Withdrawn)), [format!("disable {gshut}")]);
    let others = plan(&wanted(None), PREFIX, &has(), true);
    assert_eq!(others.steps, [Step { protocol: "maglev_2001_db8__1".into(), enable: false }]);
}

#[test]
fn protocols_that_bird_lacks_are_named() {
    let two = [address("192.0.2.9"), address("2001:db8::1")];
    let wanted = two.map(|address| (address, Some(Announcement::Deprioritised))).into();
    let plan = plan(&wanted, PREFIX, &has(), false);
    assert_eq!(plan.missing, ["maglev_192_0_2_9", "maglev_192_0_2_9_gshut", "maglev_2001_db8__1_gshut"]);
    // Without the other protocol, the route stays as it is.
    assert_eq!(plan.steps, []);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (mut reader, mut rest) = (Reader::default(), &bytes[..]);
        while let Ok((reply, taken)) = reader.take(rest) {
            if let Some(reply) = reply {
                drop((reply.greeting(), reply.protocols()));
                drop(reply.confirms(&Step { protocol: "x".into(), enable: true }));
            }
            rest = &rest[taken..];
            if rest.is_empty() { break }
        }
    }

    #[test]
    fn a_plan_reaches_what_is_wanted(
        on in proptest::collection::vec(any::<(bool, bool)>(), 1..8),
        wanted in proptest::collection::vec(proptest::sample::select(Announcement::ALL.to_vec()), 8),
    ) {
        let addresses: Vec<_> = (0u8..).take(on.len()).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let mut has: Protocols = addresses.iter().zip(&on).flat_map(|(address, (plain, gshut))| {
            [(protocol(PREFIX, *address), *plain), (gshut_protocol(PREFIX, *address), *gshut)]
        }).collect();
        let wanted: BTreeMap<_, _> =
            addresses.iter().copied().zip(wanted.into_iter().map(Some)).collect();
        let plan = super::plan(&wanted, PREFIX, &has, true);
        for step in &plan.steps {
            has.insert(step.protocol.clone(), step.enable);
        }
        for (address, wanted) in &wanted {
            prop_assert_eq!(Some(announcement(PREFIX, *address, &has)), *wanted);
        }
        prop_assert_eq!(super::plan(&wanted, PREFIX, &has, true).steps, []);
    }
}
