//! The simulated subset of VPP's CLI commands.

use crate::lb::{Lb, Uptime};

/// Maximum length of an unknown input that VPP repeats, in bytes.
const REPEATED_INPUT: usize = 30;

/// What running a line printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// 0, or -1 for an input that is not a command.
    pub retval: i32,
    /// The text, with its newlines.
    pub text: String,
}

/// Runs an input as VPP does: one command after the other until the input ends or is not a command.
///
/// Words must be written in full; VPP accepts any beginning that is unique among its 1,000 commands.
pub fn run(lb: &Lb, version: &str, input: &str, now: Uptime) -> Output {
    let (mut rest, mut text) = (input, String::new());
    loop {
        match run_one(lb, version, rest.trim_start(), now) {
            Ok((printed, left)) => {
                text.push_str(&printed);
                rest = left.trim_start();
                if rest.is_empty() {
                    return Output { retval: 0, text };
                }
            }
            Err(unknown) => {
                text.push_str(&unknown);
                return Output { retval: -1, text };
            }
        }
    }
}

/// What the first command printed, and the input behind it; or the complaint.
fn run_one<'a>(lb: &Lb, version: &str, input: &'a str, now: Uptime) -> Result<(String, &'a str), String> {
    let Some(after_show) = word(input, "show") else {
        return Err(format!("unknown input `{}'\n", repeated(input)));
    };
    if let Some(rest) = word(after_show, "version") {
        return Ok((format!("{version}\n"), rest));
    }
    let Some(after_lb) = word(after_show, "lb") else {
        return Err(format!("show: unknown input `{}'\n", repeated(after_show)));
    };
    let Some(after_vips) = word(after_lb, "vips") else {
        return Ok((super::lb(lb, now), after_lb));
    };
    // This command takes the rest of its line, whatever it is.
    let (line, rest) = after_vips.split_once('\n').unwrap_or((after_vips, ""));
    let text = match word(line, "verbose") {
        Some(_) => super::vips_verbose(lb),
        // Until the release with weights, VPP needed something on the line (measured on VPP 26.06).
        None if !lb.has_weights() && line.is_empty() => String::new(),
        None => super::vips(lb),
    };
    Ok((text, rest))
}

/// The input behind a word and the blanks after it, if it begins with that word.
fn word<'a>(input: &'a str, word: &str) -> Option<&'a str> {
    let rest = input.strip_prefix(word)?;
    let next = rest.trim_start_matches([' ', '\t', '\r']);
    (rest.is_empty() || next.len() < rest.len() || next.starts_with('\n')).then_some(next)
}

fn repeated(input: &str) -> String {
    let shown = match input.char_indices().find(|(at, c)| at + c.len_utf8() > REPEATED_INPUT) {
        Some((at, _)) => input.split_at(at).0,
        None => input.trim_end(),
    };
    shown.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t")
}
