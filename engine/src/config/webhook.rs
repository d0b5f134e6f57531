//! `webhooks:`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::ca_file::CaFiles;
use super::complaint::Complaint;
use super::http_values::{absolute_path, ca_file, host_header, request_path};
use super::model::{Url, Webhook};
use super::report::Report;
use super::section::{Section, listed};
use super::show;
use super::values::{check_name, duration, kind, text};
use super::yaml::{Node, Place, Value};
use crate::kind::Kind;

/// Keys of a webhook.
pub(super) const WEBHOOK_KEYS: &[&str] = &["ca-file", "events", "secret-file", "timeout", "url"];

/// Maximum number of webhooks: each has a queue of its own.
pub(super) const MOST_WEBHOOKS: usize = 16;
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

const URL_HELP: &str =
    "write `https://`, a name or an address, perhaps a port, and a path: `https://hooks.example.org/maglev`";

/// A webhook as far as it could be read.
pub(super) struct WebhookDraft {
    /// `None` if a part was rejected.
    pub(super) webhook: Option<Webhook>,
    /// Position of its name.
    pub(super) place: Place,
}

/// Reads `webhooks:`.
pub(super) fn webhooks(
    maglev: &Section<'_>,
    files: &mut CaFiles<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<String, WebhookDraft> {
    let entries = maglev.named("webhooks", report);
    if let Some(beyond) = entries.get(MOST_WEBHOOKS) {
        let message = format!("there are {} webhooks", entries.len());
        report.invalid(beyond.key.place, message, format!("there may be at most {MOST_WEBHOOKS}"));
    }
    let mut webhooks = BTreeMap::new();
    for entry in entries {
        let (name, place) = (&entry.key.value, entry.key.place);
        if let Err(complaint) = check_name(name) {
            report.complaint(place, "the name of a webhook", complaint);
        }
        let title = format!("webhook {}", show(name));
        let section = Section::open(title, place, &entry.node, WEBHOOK_KEYS, report);
        webhooks.insert(name.clone(), WebhookDraft { webhook: webhook(&section, files, report), place });
    }
    webhooks
}

fn webhook(section: &Section<'_>, files: &mut CaFiles<'_>, report: &mut Report<'_>) -> Option<Webhook> {
    let url = section.require("url", "it is where events are sent", url, report);
    let help = "its text signs every delivery, so that the receiver can tell it from a forged one";
    let secret_file = section.require("secret-file", help, secret_file, report);
    let events = section.read_or("events", Kind::EVENTS.to_vec(), events, report);
    let timeout = section.read_or("timeout", DEFAULT_TIMEOUT, duration(TIMEOUT), report);
    let ca_file = section.read("ca-file", |node| files.read(&ca_file(node)?), report);
    if let Some(file) = &ca_file {
        let subject = section.subject("ca-file");
        if url.as_ref().is_some_and(|url| !url.value.is_https) {
            let message = format!("{subject} is set, but `url` does not begin with `https://`");
            report.warning(file.place, message, "leave it out, or deliver over https");
        }
        for (doubt, help) in &file.value.doubts {
            report.warning(file.place, format!("{subject} {doubt}"), *help);
        }
    }
    Some(Webhook {
        url: url?.value,
        secret_file: secret_file?.value.into(),
        events,
        ca_file: ca_file.map(|file| file.value.file),
        timeout,
    })
}

/// An absolute http or https URL. Messages do not repeat it, since some receivers have a password in its path.
fn url(node: &Node) -> Result<Url, Complaint> {
    let given = text(node)?;
    let bad = |found: &str| Complaint::invalid(found, URL_HELP);
    let (is_https, rest) = match given.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(bad("begins neither with `https://` nor with `http://`")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(bad("has a user name in it, which is not sent"));
    }
    let path = match path.strip_prefix('?') {
        _ if path.is_empty() => "/".to_owned(),
        Some(query) => format!("/?{query}"),
        None => path.to_owned(),
    };
    let authority = host_header(authority).ok_or_else(|| bad("has no valid host"))?;
    let path = request_path(&path).map_err(|problem| bad(&format!("has a path {problem}")))?;
    let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let (host, port) = match authority.rsplit_once(':').filter(|_| has_port) {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
        None => (authority, Some(if is_https { 443 } else { 80 })),
    };
    let port = port.ok_or_else(|| bad("has port 0"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Url { is_https, authority: authority.to_owned(), host, port, path: path.to_owned() })
}

fn secret_file(node: &Node) -> Result<String, Complaint> {
    absolute_path(node, "write the whole path of a file with the secret, beginning with `/`")
}

/// Kinds of events, at least one, each once.
fn events(node: &Node) -> Result<Vec<Kind>, Complaint> {
    let help = format!("write a list of some of {}", listed(&Kind::EVENTS.map(Kind::word)));
    let Value::List(items) = &node.value else {
        return Err(Complaint::malformed(format!("must be a list, not {}", kind(node)), help));
    };
    let mut events = Vec::new();
    for item in items {
        let word = text(item)?;
        let Some(event) = Kind::EVENTS.into_iter().find(|event| event.word() == word) else {
            return Err(Complaint::invalid(format!("has {}, which is no kind of event", show(&word)), help));
        };
        if events.contains(&event) {
            return Err(Complaint::invalid(format!("has {} twice", show(&word)), "keep one of the two"));
        }
        events.push(event);
    }
    if events.is_empty() {
        return Err(Complaint::invalid("is empty: nothing would ever be sent", help));
    }
    Ok(events)
}
