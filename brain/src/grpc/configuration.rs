//! Checks of the configuration file, on demand.

use std::path::Path;

use maglev_engine::config::{Class, Config, Diagnostic, LoadError, Severity, changes};
use maglev_proto::{CheckConfigResponse, ConfigVerdict};

use crate::{netns, reload};

/// Reads and checks the file, as a reload would, and returns what would be taken. Blocks for the time that reading takes.
pub(super) fn check(file: &Path, in_force: &Config) -> (CheckConfigResponse, Option<Config>) {
    let mut answer =
        CheckConfigResponse { file: file.display().to_string(), ..CheckConfigResponse::default() };
    match reload::load(file) {
        Ok(loaded) => {
            let namespace = loaded.config.healthchecker.netns.as_deref().map(netns::check);
            answer.findings = texts(&loaded.warnings);
            answer.warnings = number(loaded.warnings.len());
            if let Some(Err(error)) = namespace {
                answer.set_verdict(ConfigVerdict::NotValid);
                answer.findings.push(error.to_string());
                answer.errors = 1;
            } else {
                answer.set_verdict(ConfigVerdict::Fine);
                answer.changes = changes(in_force, &loaded.config).to_string();
                return (answer, Some(loaded.config));
            }
        }
        Err(LoadError::Refused(errors)) => {
            answer.set_verdict(match errors.class {
                Class::NotParseable => ConfigVerdict::NotParseable,
                Class::NotValid => ConfigVerdict::NotValid,
            });
            answer.errors = number(errors.count(Severity::Error));
            answer.warnings = number(errors.count(Severity::Warning));
            answer.findings = texts(&errors.diagnostics);
        }
        Err(error @ LoadError::Unreadable { .. }) => {
            answer.set_verdict(ConfigVerdict::NotParseable);
            answer.findings.push(error.to_string());
            answer.errors = 1;
        }
    }
    (answer, None)
}

pub(super) fn texts(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
