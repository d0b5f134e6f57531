use std::collections::BTreeSet;

use maglev_engine::outcome::ProbeCode;
use proptest::prelude::*;

use super::*;
use crate::stats::exchange;

fn table(length: u32) -> Table {
    let server = |last: u8, weight| (format!("web{last}"), IpAddr::from([192, 0, 2, last]), weight);
    Table::new(
        "198.51.100.1:80".parse().unwrap(),
        false,
        false,
        length,
        &[server(1, 2), server(2, 1), server(3, 0)],
    )
    .unwrap()
}

/// Every port leads to its bucket by the hash and the table of `maglev-table`, which are VPP's.
fn check_ports(table: &Table, source: IpAddr) -> usize {
    let length = u32::try_from(table.owners.len()).unwrap();
    let ports = table.ports(source).unwrap();
    let mut used = BTreeSet::new();
    for (index, ports) in ports.iter().enumerate() {
        for port in ports {
            let hash = Flow::new(SocketAddr::new(source, *port), table.vip).unwrap().hash(false);
            assert_eq!(bucket(hash, length) as usize, index);
            assert!(used.insert(*port), "{port} twice");
        }
    }
    ports.iter().filter(|ports| ports.is_empty()).count()
}

#[test]
fn every_bucket_has_ports_of_its_own() {
    for length in [1, 16, 1024, 16384] {
        assert_eq!(check_ports(&table(length), [203, 0, 113, 9].into()), 0, "{length}");
    }
    let missed = check_ports(&table(65536), [203, 0, 113, 9].into());
    assert!(missed <= 1024, "{missed} buckets have no port; those below 1024 are not used");
}

proptest! {
    // Each case hashes 64,512 flows.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_source_reaches_every_bucket_of_a_usual_table(source in any::<u32>()) {
        prop_assert_eq!(check_ports(&table(1024), std::net::Ipv4Addr::from(source).into()), 0);
    }
}

#[test]
fn tables_that_vpp_does_not_have_are_refused() {
    for length in [0, 3, 1 << 30] {
        assert_eq!(
            Table::new("198.51.100.1:80".parse().unwrap(), false, false, length, &[]),
            None,
            "{length}"
        );
    }
    let empty = Table::new("198.51.100.1:80".parse().unwrap(), false, false, 16, &[]).unwrap();
    assert!(empty.shares().is_empty());
    assert!(empty.ports("2001:db8::1".parse().unwrap()).is_err());
}

#[test]
fn bad_bucket_is_named_with_its_server_and_port() {
    let table = table(16);
    let mut results: Vec<_> = (0..16)
        .map(|bucket| {
            let server = table.owner(bucket).unwrap().to_owned();
            (bucket, Some((10_000, exchange(ProbeCode::L7Ok, "HTTP 200", &server))))
        })
        .collect();
    let whole = table.judge(results.clone());
    assert_eq!(
        (whole.buckets, whole.probed, whole.failed, whole.elsewhere, whole.unreached),
        (16, 16, 0, 0, 0)
    );
    assert_eq!(whole.servers.len(), 2);
    assert!(whole.servers.values().all(|row| row.buckets == row.answered));
    results[3].1 = Some((10_003, exchange(ProbeCode::L4Tout, "no answer", "")));
    results[4].1 = None;
    results[5].1 = Some((10_005, exchange(ProbeCode::L7Ok, "HTTP 200", "web3")));
    let swept = table.judge(results);
    assert_eq!((swept.probed, swept.failed, swept.elsewhere, swept.unreached), (15, 1, 1, 1));
    let owner = table.owner(3).unwrap();
    assert_eq!(swept.failures, [format!("bucket 3 of {owner}, port 10003: L4TOUT: no answer")]);
    assert_eq!(swept.servers[owner].failed, 1);
}
