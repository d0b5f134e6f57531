use super::*;

const PLACES: Places = Places { admins: 8, readers: 16, strangers: 4 };

fn shares() -> Shares {
    Shares::new("connections", PLACES)
}

fn reader(who: Who) -> Caller {
    Caller::new(who, Rights::ReadOnly("no".to_owned()))
}

fn user(uid: u32) -> Who {
    Who::Process { uid, user: None, pid: None }
}

fn loopback(last: u8, port: u16) -> Who {
    Who::Loopback(([127, 0, 0, last], port).into())
}

fn certificate(name: &str, address: &str) -> Who {
    Who::Certificate { name: name.to_owned(), address: (address.parse::<IpAddr>().unwrap(), 4711).into() }
}

/// The places that a caller gets, and why no more.
fn all(shares: &Shares, who: impl Fn(u16) -> Caller) -> (Vec<Place>, String) {
    let mut places = Vec::new();
    for number in 0.. {
        match shares.take(&who(number)) {
            Ok(place) => places.push(place),
            Err(full) => return (places, full.to_string()),
        }
    }
    unreachable!()
}

#[test]
fn a_party_has_a_quarter_at_most_and_the_others_get_in() {
    let shares = shares();
    let parties: [(&dyn Fn(u16) -> Caller, &str); 3] = [
        (&|_| reader(user(1000)), "uid 1000"),
        // All of 127.0.0.0/8 is one machine, so the address does not matter.
        (&|number| reader(loopback(u8::try_from(number).unwrap() + 1, number)), "loopback TCP"),
        (&|_| reader(certificate("eve", "192.0.2.1")), "cert eve"),
    ];
    let mut held = Vec::new();
    for (who, name) in parties {
        let (places, why) = all(&shares, who);
        assert_eq!(places.len(), 4, "{name}");
        assert_eq!(why, format!("{name} already has its maximum of 4 connections"));
        held.push(places);
    }
    let honest = shares.take(&reader(certificate("alice", "192.0.2.1"))).unwrap();
    let admin = shares.take(&Caller::new(user(1000), Rights::Admin)).unwrap();
    drop((honest, admin));
    // Released places can be taken again.
    held.clear();
    assert_eq!(all(&shares, |_| reader(user(1000))).0.len(), 4);
    assert!(shares.readers.taken().by.is_empty(), "nobody is remembered");
}

#[test]
fn an_address_has_half_at_most_whatever_names_it_shows() {
    for (one, same, other) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"),
    ] {
        let shares = shares();
        let named = |number: u16, address| reader(certificate(&number.to_string(), address));
        let (_held, why) = all(&shares, |number| named(number, if number % 2 == 0 { one } else { same }));
        let network = if one.contains(':') { "2001:db8:1:2::/64" } else { one };
        assert_eq!(why, format!("{network} already has its maximum of 8 connections"));
        assert!(shares.take(&named(99, other)).is_ok());
    }
}

#[test]
fn groups_have_places_of_their_own() {
    let shares = shares();
    let nobody = |uid: u16| Caller::new(user(uid.into()), Rights::Nothing("no".to_owned()));
    let (strangers, why) = all(&shares, nobody);
    assert_eq!(strangers.len(), 4);
    assert_eq!(why, "all 4 connections of clients without rights are taken");
    let (readers, why) = all(&shares, |uid| reader(user(uid.into())));
    assert_eq!((readers.len(), why.as_str()), (16, "all 16 connections of readers are taken"));
    let (admins, why) = all(&shares, |uid| Caller::new(user(uid.into()), Rights::Admin));
    assert_eq!((admins.len(), why.as_str()), (8, "all 8 connections of admins are taken"));
}
