//! Tests of every rule, with position and text of the error.

mod accepted;
pub(super) mod ca_files;
mod checks;
mod documentation;
mod frontends;
mod limits;
mod lints;
mod protocols;
mod rendering;
mod robustness;
mod rules;
mod shape;
mod values;
mod webhooks;

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// A valid configuration; each test changes one place.
const FINE: &str = "\
maglev:
  vpp:
    lb:
      ipv4-src-address: 192.0.2.1
      flow-timeout: 40s
  healthchecks:
    web:
      type: http
      interval: 2s
      params:
        path: /healthz
    shell:
      type: tcp
      port: 22
  backends:
    web1: { address: 10.0.0.1, healthcheck: web }
    web2: { address: 10.0.0.2, healthcheck: shell }
  frontends:
    www:
      address: 198.51.100.1
      protocol: tcp
      port: 80
      pools:
        - name: primary
          backends:
            web1: {}
            web2: { weight: 50 }
";

/// The date that certificates are checked against: 2030-01-01.
pub(super) fn today() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_893_456_000)
}

/// The valid configuration with one part replaced.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(FINE.matches(from).count(), 1, "{from:?} must stand once in the fine configuration");
    FINE.replace(from, to)
}

/// All diagnostics, each as `line:column severity: message (help)`, and the exit code.
fn findings(text: &str) -> (u8, Vec<String>) {
    match parse_with("maglev.yaml", text, &ca_files::contents, today()) {
        Ok(loaded) => (0, told(&loaded.warnings)),
        Err(errors) => (errors.exit_code(), told(&errors.diagnostics)),
    }
}

fn told(diagnostics: &[Diagnostic]) -> Vec<String> {
    let lines = diagnostics.iter().map(|found| {
        assert_eq!(found.file, "maglev.yaml");
        let help = found.help.as_deref().unwrap_or("no help");
        format!("{}:{} {}: {} ({help})", found.line, found.column, found.severity, found.message)
    });
    lines.collect()
}

/// Asserts that a text is not parseable, with exactly these diagnostics.
#[track_caller]
fn not_parseable(text: &str, expected: &[&str]) {
    assert_eq!(findings(text), (1, expected.iter().map(|line| (*line).to_owned()).collect()));
    // JSON has no spellings: in JSON Schema 2.2e1 and 0443 are whole numbers, and a quoted text is a plain
    // one.
    let spelled = ["2.2e1", "'yes'", "0443", "007"].iter().any(|value| text.contains(value));
    if !spelled && yaml::parse(text).is_ok() {
        assert!(!schema::tests::complaints(text).is_empty(), "the schema accepts {text}");
    }
}

/// Asserts that a text is not valid, with exactly these diagnostics.
#[track_caller]
fn not_valid(text: &str, expected: &[&str]) {
    assert_eq!(findings(text), (2, expected.iter().map(|line| (*line).to_owned()).collect()));
}

/// Asserts that a text is accepted, with exactly these warnings.
#[track_caller]
fn accepted(text: &str, warnings: &[&str]) -> Config {
    match parse_with("maglev.yaml", text, &ca_files::contents, today()) {
        Ok(loaded) => {
            assert_eq!(told(&loaded.warnings), warnings);
            // Larger texts add nothing to smaller ones.
            if text.len() < 100_000 {
                assert_eq!(
                    schema::tests::complaints(text),
                    Vec::<String>::new(),
                    "the schema refuses {text}"
                );
            }
            loaded.config
        }
        Err(errors) => panic!("refused:\n{errors}"),
    }
}
