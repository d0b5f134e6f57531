use super::*;
use crate::policy::parse;

fn read(routes: &str) -> Result<Option<RouteTables>, String> {
    let text = format!("vips: []\nservers: []\n{routes}\n");
    parse(&text, "policy.yaml").map(|policy| policy.routes).map_err(|error| error.to_string())
}

#[test]
fn tables_and_protocol_are_read() {
    assert_eq!(read(""), Ok(None));
    let only = RouteTables { table: 10, gshut_table: None, protocol: 200 };
    assert_eq!(read("routes: { table: 10 }"), Ok(Some(only)));
    let all = RouteTables { table: 4_000_000_000, gshut_table: Some(11), protocol: 201 };
    assert_eq!(read("routes: { table: 4000000000, gshut-table: 11, protocol: 201 }"), Ok(Some(all)));
}

#[test]
fn tables_of_the_kernel_and_protocols_of_routers_are_refused() {
    for (routes, words) in [
        ("routes: {}", "`routes` has no `table`"),
        ("routes: [10]", "must be a mapping of `table`, `gshut-table`, `protocol`"),
        ("routes: { table: 0 }", "`table` is 0: must be a table of its own"),
        ("routes: { table: 254 }", "`table` is 254: must be a table of its own"),
        ("routes: { table: main }", "must be a whole number"),
        ("routes: { table: 10, gshut-table: 10 }", "must be another table than `table`"),
        ("routes: { table: 10, gshut-table: 255 }", "`gshut-table` is 255"),
        ("routes: { table: 10, protocol: 12 }", "`protocol` is 12: must be 200 to 255"),
        ("routes: { table: 10, protocol: 256 }", "`protocol` is 256: must be 200 to 255"),
        ("routes: { tables: 10 }", "unknown key `tables`"),
    ] {
        let error = read(routes).unwrap_err();
        assert!(error.contains(words), "{routes}: {error}");
    }
}
