//! Sanitizes a peer's text for logs, terminals and answers.

/// Maximum length of a product version that is shown, in characters.
pub const VERSION_LENGTH: usize = 64;

/// Returns a peer's text as visible characters on one line: at most `most`, with an ellipsis if truncated.
///
/// Control characters, line breaks, characters that change the direction of text and other invisible ones are
/// escaped as `
/// ` or `\u{202e}`, and a backslash as two, so that no text can imitate another one or start a line of its
/// own. Short text without any of these is returned unchanged.
pub fn printable(text: &str, most: usize) -> String {
    shortened(text, most, visible)
}

/// The same for text that its sender should have sanitized already: backslashes stay, so that short printable
/// text is returned unchanged.
pub fn printable_again(text: &str, most: usize) -> String {
    shortened(text, most, |character| match character {
        '\\' => character.to_string(),
        _ => visible(character),
    })
}

fn shortened(text: &str, most: usize, visible: impl Fn(char) -> String) -> String {
    let mut shown = String::new();
    let mut room = most;
    for character in text.chars() {
        let visible = visible(character);
        let Some(left) = room.checked_sub(visible.chars().count()) else {
            shown.push('…');
            break;
        };
        shown.push_str(&visible);
        room = left;
    }
    shown
}

fn visible(character: char) -> String {
    match character {
        '\'' | '"' => character.to_string(),
        // Unicode classifies these as letters or symbols, but they are blank.
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => {
            character.escape_unicode().to_string()
        }
        _ => character.escape_debug().to_string(),
    }
}

/// Formats a number of bytes in KiB or MiB, with at most one decimal.
pub fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    let (unit, name) = if bytes < MIB { (1 << 10, "KiB") } else { (MIB, "MiB") };
    match bytes.saturating_mul(10) / unit {
        tenths if tenths % 10 == 0 => format!("{} {name}", tenths / 10),
        tenths => format!("{}.{} {name}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests;
