//! Settings of one member of a fleet, from the file that `--fleet` names: which fleet, which member, and how etcd is
//! reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use maglev_engine::fleet::records::Name;
use maglev_probe::files;
use serde::Deserialize;
use tonic::transport::Uri;

/// Maximum size of the file, in bytes.
const LARGEST: u64 = 64 << 10;
/// Maximum number of etcd's endpoints.
const MOST_ENDPOINTS: usize = 16;
/// Shortest and longest time for an answer of etcd.
const TIMEOUT_WITHIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
/// Time for an answer of etcd, if none is configured.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the fleet.
    pub name: Name,
    /// Name of this member, unique in the fleet.
    pub member: Name,
    /// How etcd is reached.
    pub etcd: EtcdSettings,
}

/// How etcd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Addresses, tried in this order: `https://host:port`.
    pub endpoints: Vec<String>,
    /// Certificate authorities of etcd's servers, PEM; without one, the system's are not used either.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of this client, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User of etcd, and the file with its password.
    pub user: Option<(String, PathBuf)>,
    /// Time limit for each call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the fleet's settings {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not YAML, or a key is missing or unknown.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The mistake and its place.
        reason: String,
    },
    /// A value is not valid.
    #[error("{}: fleet.{key}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key below `fleet`.
        key: &'static str,
        /// The value found, and what is expected.
        reason: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fleet: FleetSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetSection {
    name: String,
    member: String,
    etcd: EtcdSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EtcdSection {
    endpoints: Vec<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    timeout: Option<String>,
}

/// A key and why its value is not valid.
type Invalid = (&'static str, String);

/// Reads and validates the file. Blocks on the disk.
///
/// # Errors
/// If it cannot be read, or anything in it is not valid.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let bytes = files::read_regular(path, LARGEST).map_err(unreadable)?;
    parse(path, &bytes)
}

/// Validates the text of the file.
fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, SettingsError> {
    let malformed = |reason: String| SettingsError::Malformed { path: path.to_owned(), reason };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("must be UTF-8".to_owned()))?;
    let File { fleet } =
        serde_saphyr::from_str(text).map_err(|error| malformed(first_line(&error.to_string())))?;
    validate(fleet).map_err(|(key, reason)| SettingsError::Value { path: path.to_owned(), key, reason })
}

/// The library shows an excerpt of the file below its first line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn validate(section: FleetSection) -> Result<Settings, Invalid> {
    let FleetSection { name, member, etcd } = section;
    let EtcdSection { endpoints, ca_file, cert_file, key_file, user, password_file, timeout } = etcd;
    let name = Name::new(&name).map_err(|error| ("name", error.to_string()))?;
    let member = Name::new(&member).map_err(|error| ("member", error.to_string()))?;
    let is_encrypted = check_endpoints(&endpoints)?;
    if !is_encrypted && (ca_file.is_some() || cert_file.is_some()) {
        let reason = "certificates need endpoints that begin with https://".to_owned();
        return Err(("etcd.endpoints", reason));
    }
    if is_encrypted && ca_file.is_none() {
        let reason = "is missing: endpoints with https:// need the authority of etcd's certificates";
        return Err(("etcd.ca-file", reason.to_owned()));
    }
    let identity = both("etcd.cert-file", cert_file, "etcd.key-file", key_file)?;
    let user = both("etcd.user", user, "etcd.password-file", password_file)?;
    let timeout = timeout.map_or(Ok(TIMEOUT), |text| time_limit(&text))?;
    Ok(Settings { name, member, etcd: EtcdSettings { endpoints, ca_file, identity, user, timeout } })
}

/// Whether connections are encrypted: of all endpoints or of none.
fn check_endpoints(endpoints: &[String]) -> Result<bool, Invalid> {
    let key = "etcd.endpoints";
    if endpoints.is_empty() || endpoints.len() > MOST_ENDPOINTS {
        return Err((key, format!("{} addresses: must be 1 to {MOST_ENDPOINTS}", endpoints.len())));
    }
    let mut encrypted = endpoints.iter().map(|endpoint| {
        let uri: Option<Uri> = endpoint.parse().ok();
        let uri = uri.filter(|uri| uri.port().is_some() && matches!(uri.path(), "" | "/"));
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        match scheme {
            Some("https") => Ok(true),
            Some("http") => Ok(false),
            _ => Err((key, format!("{endpoint:?}: must be an address such as https://10.0.0.1:2379"))),
        }
    });
    let first = encrypted.next().unwrap_or(Ok(false))?;
    for other in encrypted {
        if other? != first {
            return Err((key, "must be all https:// or all http://".to_owned()));
        }
    }
    Ok(first)
}

fn both<A, B>(
    key: &'static str,
    value: Option<A>,
    other_key: &'static str,
    other: Option<B>,
) -> Result<Option<(A, B)>, Invalid> {
    match (value, other) {
        (Some(value), Some(other)) => Ok(Some((value, other))),
        (None, None) => Ok(None),
        (Some(_), None) => Err((other_key, format!("is missing: {key} needs it"))),
        (None, Some(_)) => Err((key, format!("is missing: {other_key} needs it"))),
    }
}

fn time_limit(text: &str) -> Result<Duration, Invalid> {
    let [shortest, longest] = TIMEOUT_WITHIN;
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| (shortest..=longest).contains(time));
    time.ok_or_else(|| ("etcd.timeout", format!("{text:?}: must be a time from 100ms to 30s, such as 3s")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
fleet:
  name: edge
  member: lb1
  etcd:
    endpoints: [https://10.0.0.1:2379, 'https://[2001:db8::1]:2379']
    ca-file: /etc/maglev/etcd-ca.pem
    cert-file: /etc/maglev/lb1.pem
    key-file: /etc/maglev/lb1.key
    user: lb1
    password-file: /etc/maglev/etcd-password
    timeout: 500ms
";

    fn refused(text: &str) -> String {
        parse(Path::new("fleet.yaml"), text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn all_keys_are_read_and_most_may_be_left_out() {
        let settings = parse(Path::new("fleet.yaml"), GOOD.as_bytes()).unwrap();
        assert_eq!((settings.name.as_str(), settings.member.as_str()), ("edge", "lb1"));
        assert_eq!(settings.etcd.endpoints.len(), 2);
        assert_eq!(settings.etcd.timeout, Duration::from_millis(500));
        assert!(settings.etcd.identity.is_some() && settings.etcd.user.is_some());
        let short = "fleet: { name: edge, member: lb1, etcd: { endpoints: ['http://127.0.0.1:2379'] } }";
        let settings = parse(Path::new("fleet.yaml"), short.as_bytes()).unwrap();
        assert_eq!((settings.etcd.timeout, settings.etcd.user), (TIMEOUT, None));
    }

    #[test]
    fn mistakes_are_named_with_what_is_expected() {
        let cases = [
            (GOOD.replace("lb1\n  etcd", "LB_1\n  etcd"), "fleet.member: \"LB_1\" is not a name"),
            (GOOD.replace("edge", "''"), "fleet.name: \"\" is not a name"),
            (
                GOOD.replace("https://10.0.0.1:2379", "10.0.0.1:2379"),
                "fleet.etcd.endpoints: \"10.0.0.1:2379\"",
            ),
            (GOOD.replace("https://10.0.0.1:2379", "http://10.0.0.1:2379"), "all https:// or all http://"),
            (GOOD.replace("    ca-file: /etc/maglev/etcd-ca.pem\n", ""), "fleet.etcd.ca-file: is missing"),
            (GOOD.replace("    key-file: /etc/maglev/lb1.key\n", ""), "fleet.etcd.key-file: is missing"),
            (GOOD.replace("    user: lb1\n", ""), "fleet.etcd.user: is missing"),
            (GOOD.replace("500ms", "1h"), "fleet.etcd.timeout: \"1h\": must be a time from 100ms to 30s"),
            (GOOD.replace("user:", "usr:"), "line 9 column 5: unknown field `usr`"),
            ("[".to_owned(), "fleet.yaml: "),
        ];
        for (text, expected) in cases {
            let said = refused(&text);
            assert!(said.contains(expected), "{said}\nshould have {expected:?}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
