//! Text that a peer chose, made fit for a log, a terminal and an answer.

/// Longest version of a product that is shown, in characters.
pub const VERSION_LENGTH: usize = 64;

/// Returns a peer's text as visible characters on one line: at most `most`, and an ellipsis for what was cut off.
///
/// Control characters, line breaks, characters that change the direction of text, and others that nobody sees are
/// written as `\n` or `\u{202e}`, and a backslash as two, so that no text can pass for another one or for a line of
/// its own. Text that has none of these and is short enough stays as it is.
pub fn printable(text: &str, most: usize) -> String {
    shortened(text, most, visible)
}

/// The same for text that its sender should have made printable already: backslashes stay as they are, so that text which
/// is printable and short enough is not changed.
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
        // Unicode counts them as letters or symbols, and they look like nothing.
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => {
            character.escape_unicode().to_string()
        }
        _ => character.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests;
