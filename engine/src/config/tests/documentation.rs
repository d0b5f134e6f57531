//! The documents agree with the code.

use super::*;

/// A file of the project's `docs` folder.
fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages that explain the configuration.
fn guide() -> String {
    document("configuration.md") + &document("healthchecks.md")
}

#[test]
fn the_example_is_fine() {
    let config = accepted(&document("example.yaml"), &[]);
    assert!(config.frontends.len() >= 3 && config.backends.len() >= 4);
}

/// Examples in the guide that begin with the top key are whole configurations.
#[test]
fn whole_examples_in_the_guide_are_fine() {
    let guide = guide();
    let examples: Vec<&str> = guide
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.starts_with("maglev:"))
        .collect();
    assert!(examples.len() >= 3, "{}", examples.len());
    for example in examples {
        accepted(example, &[]);
    }
}

#[test]
fn every_key_is_in_the_guide() {
    let guide = guide();
    let sections = [
        MAGLEV_KEYS,
        settings::HEALTHCHECKER_KEYS,
        settings::VPP_KEYS,
        settings::LB_KEYS,
        stability::DAMPING_KEYS,
        stability::GUARD_KEYS,
        healthcheck::CHECK_KEYS,
        healthcheck::PARAM_KEYS,
        backend::BACKEND_KEYS,
        frontend::FRONTEND_KEYS,
        frontend::POOL_KEYS,
        frontend::MEMBER_KEYS,
        webhook::WEBHOOK_KEYS,
        fleet::FLEET_KEYS,
    ];
    for key in sections.into_iter().flatten() {
        assert!(guide.contains(&format!("`{key}`")), "`{key}` is not in the guide");
    }
}

/// The guide shows what `--check` prints: the text between its markers is what this file gives.
#[test]
fn the_findings_shown_in_the_guide_are_real() {
    let guide = document("configuration.md");
    let (_, rest) = guide.split_once("```text\nmaglev.yaml:").expect("findings in the guide");
    let shown = format!("maglev.yaml:{}", rest.split("\n```").next().unwrap());
    let bad = changed("interval: 2s", "intervall: 2s").replace("10.0.0.2", "10.0.0.1");
    assert_eq!(parse("maglev.yaml", &bad).unwrap_err().to_string(), shown);
}
