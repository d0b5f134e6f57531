//! The policy file: YAML that only root, or the agent's own user, can have written.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_saphyr::Spanned;

use super::routes::RouteTables;
use super::settings::Settings;
use super::trusted::{OpenError, open_file};
use super::yaml::{Mistake, Section, Value};
use super::{Limits, Policy};

/// A policy to start from.
pub const EXAMPLE: &str = "\
vips: [198.51.100.0/24, \"2001:db8:1::/64\"]   # prefixes that may be VIPs
servers: [10.0.0.0/8]                        # prefixes that may be application servers
ping: [10.0.0.0/8]                           # prefixes that may be sent ICMP echo requests
tunnel-probes: []                            # prefixes that probes through the tunnel are sent from
limits:                                      # each may be left out
  vips: 4096
  servers-per-vip: 1024
  requests-per-second: 20000
  echo-requests-per-second: 10000
  reads-per-second: 2
lb-settings:                                 # each may be left out
  sticky-buckets: 4194304                    # most, of each VPP thread
  tunnel-sources: [0.0.0.0/0, \"::/0\"]      # prefixes that may be the source of tunnels
  flow-timeout: [1, 120]                     # shortest and longest, in seconds
  beside-foreign-vips: false                 # whether they may change while VPP has VIPs outside `vips`
# routes:                                    # without it, the kernel's routes are not touched
#   table: 10                                # where routes of VIPs are, for a router to learn
#   gshut-table: 11                          # the same, for a graceful shutdown
#   protocol: 200
";

/// Maximum size of the file, in bytes: some 20,000 prefixes.
pub(super) const MAX_LENGTH: u64 = 1 << 20;
/// Maximum value of a limit. Answers to a larger installation would not fit into a frame.
const MAX_LIMIT: u32 = 1_000_000;

/// Why a policy could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// There is no such file.
    #[error("there is no policy at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the policy {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Another user could have written it.
    #[error("the policy {} cannot be trusted: {reason}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who, and how to fix it.
        reason: String,
    },
    /// It is not YAML.
    #[error("the policy {source_name} cannot be parsed: {reason}")]
    NotYaml {
        /// The file.
        source_name: String,
        /// The first syntax error, with its position.
        reason: String,
    },
    /// It is YAML, but not a policy.
    #[error("the policy {source_name} is wrong:\n{}", mistakes.join("\n"))]
    Wrong {
        /// The file.
        source_name: String,
        /// Each mistake, with its position.
        mistakes: Vec<String>,
    },
}

const KEYS: [&str; 7] = ["vips", "servers", "ping", "limits", "lb-settings", "routes", "tunnel-probes"];
const LIMITS: [&str; 5] =
    ["vips", "servers-per-vip", "requests-per-second", "echo-requests-per-second", "reads-per-second"];

/// Loads a policy file.
///
/// # Errors
/// Like [`read`] and [`parse`].
pub fn load(path: &Path, own: u32) -> Result<Policy, PolicyError> {
    parse(&read(path, own)?, &path.display().to_string())
}

/// Reads a file that nobody but root and the user `own` can have written.
///
/// # Errors
/// When it is missing, unreadable, or writable by others.
pub fn read(path: &Path, own: u32) -> Result<String, PolicyError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => PolicyError::Missing { path: path.to_owned() },
        _ => PolicyError::Unreadable { path: path.to_owned(), error },
    };
    let untrusted = |reason| PolicyError::Untrusted { path: path.to_owned(), reason };
    let mut file = open_file(path, own).map_err(|error| match error {
        OpenError::Io(source) => unreadable(source),
        OpenError::Untrusted(reason) => untrusted(reason),
    })?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.len() > MAX_LENGTH {
        return Err(untrusted(format!("it has {} bytes, at most {MAX_LENGTH} are read", metadata.len())));
    }
    let mut text = String::new();
    file.by_ref().take(MAX_LENGTH).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Parses a policy; `source` is the name of its file.
///
/// # Errors
/// [`PolicyError::Wrong`], with every mistake, or [`PolicyError::NotYaml`].
pub fn parse(text: &str, source: &str) -> Result<Policy, PolicyError> {
    let tree: Spanned<Value> = serde_saphyr::from_str(text).map_err(|error| PolicyError::NotYaml {
        source_name: source.to_owned(),
        reason: error.without_snippet().to_string(),
    })?;
    let mut mistakes = Vec::new();
    let start = Spanned::new((), tree.referenced, tree.defined);
    let mut file = Section::of(tree, "the policy", &KEYS, &mut mistakes);
    let required = |key: &str, file: &mut Section, mistakes: &mut Vec<Mistake>| {
        if !file.has(key) {
            mistakes
                .push(Mistake::at(&start, format!("`{key}` is missing; to allow none, write `{key}: []`")));
        }
        file.prefixes(key, mistakes).unwrap_or_default()
    };
    let vips = required("vips", &mut file, &mut mistakes);
    let servers = required("servers", &mut file, &mut mistakes);
    let ping = file.prefixes("ping", &mut mistakes).unwrap_or_default();
    let tunnel_probes = file.prefixes("tunnel-probes", &mut mistakes).unwrap_or_default();
    let mut given = file.section("limits", &LIMITS, &mut mistakes);
    let default = Limits::default();
    let mut limit = |key, default| match given.number(key, &mut mistakes) {
        Some(given) if !(1..=MAX_LIMIT).contains(&given.value) => {
            let found = given.value;
            mistakes.push(Mistake::at(&given, format!("`{key}` is {found}: must be 1 to {MAX_LIMIT}")));
            default
        }
        Some(given) => given.value,
        None => default,
    };
    let limits = Limits {
        vips: limit("vips", default.vips),
        servers_per_vip: limit("servers-per-vip", default.servers_per_vip),
        requests_per_second: limit("requests-per-second", default.requests_per_second),
        echo_requests_per_second: limit("echo-requests-per-second", default.echo_requests_per_second),
        reads_per_second: limit("reads-per-second", default.reads_per_second),
    };
    let settings = Settings::read(file.section("lb-settings", &Settings::KEYS, &mut mistakes), &mut mistakes);
    let unnamed = Mistake::at(&start, "`routes` has no `table`: write the number of a table of its own");
    let routes = file.has("routes").then(|| file.section("routes", &RouteTables::KEYS, &mut mistakes));
    let routes = routes.and_then(|file| RouteTables::read(file, unnamed, &mut mistakes));
    if mistakes.is_empty() {
        return Ok(Policy {
            source: source.to_owned(),
            vips,
            servers,
            ping,
            tunnel_probes,
            limits,
            settings,
            routes,
        });
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    let mistakes = mistakes.iter().map(|mistake| mistake.render(source, text)).collect();
    Err(PolicyError::Wrong { source_name: source.to_owned(), mistakes })
}
