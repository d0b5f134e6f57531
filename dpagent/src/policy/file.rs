//! The policy's file: YAML that only root, or the agent's own user, can have written.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use maglev_protocol::Prefix;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::settings::SettingsFile;
use super::trusted::{OpenError, open_file};
use super::{Limits, Policy};

/// A policy to begin with, for whoever has none yet.
pub const EXAMPLE: &str = "\
vips: [198.51.100.0/24, \"2001:db8:1::/64\"]   # prefixes that may be VIPs
servers: [10.0.0.0/8]                        # prefixes that may be application servers
ping: [10.0.0.0/8]                           # prefixes that may be sent ICMP echo requests
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
";

/// Longest file taken, in bytes: some 20,000 prefixes.
const MAX_LENGTH: u64 = 1 << 20;
/// Highest value of a limit. An agent with more would run into the bounds of its frames.
const MAX_LIMIT: u32 = 1_000_000;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// There is no such file.
    #[error("there is no policy at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the policy {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("the policy {} cannot be trusted: {reason}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who, and how to mend it.
        reason: String,
    },
    /// It is not what a policy is.
    #[error("the policy {source_name} is wrong:\n{}", mistakes.join("\n"))]
    Wrong {
        /// The file.
        source_name: String,
        /// Each mistake with its place.
        mistakes: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PolicyFile {
    vips: Vec<Spanned<String>>,
    servers: Vec<Spanned<String>>,
    #[serde(default)]
    ping: Vec<Spanned<String>>,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    lb_settings: SettingsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsFile {
    vips: Option<Spanned<u32>>,
    servers_per_vip: Option<Spanned<u32>>,
    requests_per_second: Option<Spanned<u32>>,
    echo_requests_per_second: Option<Spanned<u32>>,
    reads_per_second: Option<Spanned<u32>>,
}

/// Reads the policy of a file that nobody but root and the user `own` can have written.
///
/// # Errors
/// When it is not there, cannot be read, could have been written by others, or is not a policy.
pub fn load(path: &Path, own: u32) -> Result<Policy, PolicyError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PolicyError::Missing { path: path.to_owned() },
        _ => PolicyError::Unreadable { path: path.to_owned(), source },
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
    parse(&text, &path.display().to_string())
}

/// Reads a policy's text, which stands in `source`.
///
/// # Errors
/// [`PolicyError::Wrong`], with every wrong prefix and limit, or the first place where it is no policy at all.
pub fn parse(text: &str, source: &str) -> Result<Policy, PolicyError> {
    let wrong = |mistakes| PolicyError::Wrong { source_name: source.to_owned(), mistakes };
    let file: PolicyFile = serde_saphyr::from_str(text).map_err(|error| wrong(vec![error.to_string()]))?;
    let mut mistakes = Vec::new();
    let mut prefixes = |list: &[Spanned<String>]| -> Vec<Prefix> {
        let parsed = list.iter().map(prefix);
        parsed.filter_map(|prefix| prefix.map_err(|mistake| mistakes.push(mistake)).ok()).collect()
    };
    let (vips, servers, ping) = (prefixes(&file.vips), prefixes(&file.servers), prefixes(&file.ping));
    let default = Limits::default();
    let mut limit = |given: &Option<Spanned<u32>>, default| match given {
        Some(given) if !(1..=MAX_LIMIT).contains(&given.value) => {
            let found = given.value;
            mistakes.push(format!("{}: {found} is no limit: 1 to {MAX_LIMIT}", place(given)));
            default
        }
        Some(given) => given.value,
        None => default,
    };
    let limits = Limits {
        vips: limit(&file.limits.vips, default.vips),
        servers_per_vip: limit(&file.limits.servers_per_vip, default.servers_per_vip),
        requests_per_second: limit(&file.limits.requests_per_second, default.requests_per_second),
        echo_requests_per_second: limit(
            &file.limits.echo_requests_per_second,
            default.echo_requests_per_second,
        ),
        reads_per_second: limit(&file.limits.reads_per_second, default.reads_per_second),
    };
    let settings = file.lb_settings.read(&mut mistakes);
    if !mistakes.is_empty() {
        return Err(wrong(mistakes));
    }
    Ok(Policy { source: source.to_owned(), vips, servers, ping, limits, settings })
}

pub(super) fn prefix(text: &Spanned<String>) -> Result<Prefix, String> {
    let found = &text.value;
    let parsed = match found.split_once('/') {
        Some((address, length)) => address.parse().ok().zip(length.parse().ok()),
        None => None,
    };
    let right = "a prefix such as 192.0.2.0/24 or 2001:db8::/32";
    let Some((address, length)) = parsed else {
        return Err(format!("{}: `{found}` is no prefix: write {right}", place(text)));
    };
    let prefix = Prefix { address, length };
    if !prefix.is_valid() {
        return Err(format!(
            "{}: `{found}` has bits set behind its length, or a length beyond its family's: write {right}",
            place(text)
        ));
    }
    Ok(prefix)
}

pub(super) fn place<T>(value: &Spanned<T>) -> String {
    format!("line {}, column {}", value.defined.line(), value.defined.column())
}
