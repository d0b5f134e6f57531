//! Sections of PEM files (RFC 7468). Nothing that looks like a section is ignored silently.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A section of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Section {
    /// A certificate.
    Certificate(CertificateDer<'static>),
    /// Ignored. Why, as the rest of a sentence.
    Other(String),
    /// Damaged: the file is not what it was meant to be. How, as the rest of a sentence.
    Broken(String),
}

/// All sections of a file, with the number of the line that each begins in.
///
/// Like OpenSSL, this accepts the old label `X509 CERTIFICATE`, and a byte order mark.
pub fn sections(bytes: &[u8]) -> Vec<(usize, Section)> {
    let text = String::from_utf8_lossy(bytes);
    let mut sections = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start_matches('\u{feff}').trim_end();
        let begins = is_mark(line, "BEGIN ");
        if begins
            && let Some(open) = open.take()
            && !is_mark(line, "END ")
        {
            sections.push((open.line, Section::Broken(NO_END.to_owned())));
        }
        match (label(line, "BEGIN "), &mut open) {
            (Some(label), _) => open = Some(Open { line: number, label, body: String::new() }),
            (None, _) if begins => sections.push((number, misplaced(line))),
            (None, Some(begun)) if is_mark(line, "END ") => {
                let section = match label(line, "END ") == Some(begun.label) {
                    true => begun.section(),
                    false => Section::Broken(format!("has no `-----END {}-----`", begun.label)),
                };
                sections.push((begun.line, section));
                open = None;
            }
            (None, Some(begun)) => {
                begun.body.push_str(line.trim_start());
                begun.body.push('\n');
            }
            (None, None) => {}
        }
    }
    sections.extend(open.map(|open| (open.line, Section::Broken(NO_END.to_owned()))));
    sections
}

const NO_END: &str = "has no `-----END` line";

struct Open<'t> {
    line: usize,
    label: &'t str,
    body: String,
}

impl Open<'_> {
    fn section(&self) -> Section {
        if !["CERTIFICATE", "X509 CERTIFICATE"].contains(&self.label) {
            let label: String = self.label.chars().take(40).flat_map(char::escape_debug).collect();
            return Section::Other(match self.label {
                "TRUSTED CERTIFICATE" => {
                    format!("is a `{label}`, which is not plain: `openssl x509 -in FILE` makes it so")
                }
                _ => format!("is a `{label}`, which is not a certificate"),
            });
        }
        let plain = format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", self.body);
        match CertificateDer::from_pem_slice(plain.as_bytes()) {
            Ok(der) => Section::Certificate(der),
            // The library's own messages show lines of the file, which may be a key.
            Err(_) => Section::Broken("is not base64".to_owned()),
        }
    }
}

/// The label of a line that begins or ends a section.
fn label<'t>(line: &'t str, word: &str) -> Option<&'t str> {
    let label = line.strip_prefix("-----")?.strip_prefix(word)?.strip_suffix("-----")?;
    (!label.contains("--")).then_some(label)
}

/// Whether a line was meant to begin or end a section, whatever dashes it has.
fn is_mark(line: &str, word: &str) -> bool {
    line.trim_start().starts_with(['-', '\u{2013}', '\u{2014}', '\u{2212}']) && line.contains(word)
}

fn misplaced(line: &str) -> Section {
    if line.contains("END ") {
        let joined = "follows the end of the previous section on the same line: insert a line break";
        Section::Broken(joined.to_owned())
    } else if line.starts_with(char::is_whitespace) {
        Section::Other("is indented, which is not valid PEM: remove the leading spaces".to_owned())
    } else {
        Section::Other(
            "begins with something like `-----BEGIN CERTIFICATE-----`, which is not exactly that".to_owned(),
        )
    }
}

/// Whether bytes look like a certificate or a key in DER: an ASN.1 SEQUENCE with one or two bytes of length.
pub fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81 | 0x82, ..])
        || matches!(bytes, [0x30, length, rest @ ..] if usize::from(*length) == rest.len())
}
