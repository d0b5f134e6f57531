use super::*;

fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn expected(buckets: &[(&str, u32)]) -> Option<Expected> {
    let portion = |(name, buckets): &(&str, u32)| {
        let address = format!("192.0.2.{}", name.trim_start_matches("web"));
        ((*name).to_owned(), Portion { address, buckets: *buckets })
    };
    Some(buckets.iter().map(portion).collect())
}

fn row<'r>(rows: &'r [ServerShare], name: &str) -> &'r ServerShare {
    rows.iter().find(|row| row.server == name).unwrap()
}

#[test]
fn recent_share_forgets_and_the_run_does_not() {
    let (start, mut servers) = (start(), Servers::default());
    for second in 0..10 {
        let name = if second < 5 { "web1" } else { "web2" };
        servers.add(name, start + Duration::from_secs(second));
    }
    let rows = servers.shares(start + Duration::from_secs(9));
    assert_eq!((row(&rows, "web1").recent, row(&rows, "web2").recent), (0.0, 1.0));
    assert_eq!((row(&rows, "web1").run, row(&rows, "web2").run), (0.5, 0.5));
    assert!(rows.iter().all(|row| row.expected.is_none() && row.compared.is_none()));
    let rows = servers.shares(start + Duration::from_secs(60));
    assert_eq!(row(&rows, "web2").recent, 0.0);
}

#[test]
fn shares_stand_beside_the_buckets_and_addresses_are_names_too() {
    let (start, mut servers) = (start(), Servers::default());
    servers.expect(expected(&[("web1", 512), ("web2", 256), ("web3", 256), ("web4", 0)]), start);
    for index in 0..100 {
        servers.add(["web1", "192.0.2.2", "web1", "web3"][index % 4], start);
    }
    let rows = servers.shares(start);
    assert_eq!(
        (row(&rows, "192.0.2.2").expected, row(&rows, "192.0.2.2").compared),
        (Some(0.25), Some(0.25))
    );
    assert_eq!(rows.len(), 3, "a server without buckets and answers is not shown");
    assert!(servers.chance().unwrap() > 0.99);
    assert_eq!(servers.worst_difference(start), Some(0.0));
}

#[test]
fn server_without_buckets_that_answers_is_named() {
    let (start, mut servers) = (start(), Servers::default());
    servers.expect(expected(&[("web1", 512), ("web2", 512)]), start);
    servers.add("web2", start);
    servers.expect(expected(&[("web1", 1024), ("web2", 0)]), start);
    servers.add("web2", start + Duration::from_secs(1));
    assert!(!row(&servers.shares(start), "web2").unexpected, "its answer may have been under way");
    servers.add("web2", start + Duration::from_secs(3));
    let rows = servers.shares(start + Duration::from_secs(3));
    assert!(row(&rows, "web2").unexpected && !row(&rows, "web1").unexpected);
    assert_eq!(row(&rows, "web1").answers, 0, "one that should answer and does not is shown");
    assert_eq!(servers.worst_difference(start), Some(1.0));
}

#[test]
fn names_of_no_backend_cannot_be_compared() {
    let (start, mut servers) = (start(), Servers::default());
    servers.expect(expected(&[("web1", 512), ("web2", 512)]), start);
    (0..100).for_each(|_| servers.add("<!doctype html>", start));
    assert_eq!(servers.chance(), None);
    servers.expect(None, start);
    assert_eq!(servers.worst_difference(start), None);
}

#[test]
fn strangers_names_are_bounded_and_harmless() {
    let (start, mut servers) = (start(), Servers::default());
    for index in 0..10_000 {
        servers.add(&format!("\x1b[31m{index}{}", "x".repeat(500)), start);
    }
    assert!(servers.run().len() <= MOST_NAMES + 1);
    assert!(
        servers.run().keys().all(|name| name.chars().count() <= LONGEST_NAME + 1 && !name.contains('\x1b'))
    );
    assert_eq!(servers.run().values().sum::<u64>(), 10_000);
}
