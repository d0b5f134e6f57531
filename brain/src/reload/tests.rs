use super::*;

/// Thirty backends with five different weights.
fn loaded(frontend: &str) -> Loaded {
    let names: Vec<String> = (0..30).map(|number| format!("b{number}")).collect();
    let backends: String = names
        .iter()
        .zip(1..)
        .map(|(name, last)| format!("    {name}: {{ address: 10.0.0.{last} }}\n"))
        .collect();
    let members: Vec<String> = names
        .iter()
        .zip(0..)
        .map(|(name, number)| format!("{name}: {{ weight: {} }}", 20 * (1 + number % 5)))
        .collect();
    let text = format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}
  frontends:
    www:
      address: 203.0.113.1
      {frontend}
      pools: [ {{ name: only, backends: {{ {} }} }} ]
  backends:
{backends}",
        members.join(", ")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(file.path()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn weights_that_their_table_cannot_express_are_told_with_a_table_that_can() {
    let chosen = loaded("description: the table is chosen by the weights");
    assert!(chosen.warnings.is_empty(), "{:?}", chosen.warnings);
    let loaded = loaded("new-flows-table-length: 256");
    let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
    assert_eq!(warning.line, 4);
    let text = warning.to_string();
    assert!(text.contains("www") && text.contains("256 buckets"), "{text}");
    let better = text.split("with `new-flows-table-length: ").nth(1).unwrap();
    let better: u32 = better.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!(better > 256 && better.is_power_of_two(), "{text}");
}
