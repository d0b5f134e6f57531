//! Text that is safe on a terminal.

/// Control characters written out. Details of a check may hold what a backend sent, which must neither drive
/// the operator's terminal, nor break a line of a table, nor turn its words around.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A JSON document whose strings are safe on a terminal. JSON itself leaves some of these characters as they are; what a
/// program reads stays the same.
pub fn printable_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        if is_hostile(c) && c != '\n' {
            // All of them have a single UTF-16 unit.
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, line and paragraph separators, and the explicit directional characters of Unicode's bidirectional
/// algorithm (UAX 9, table 4).
fn is_hostile(c: char) -> bool {
    let turns_words_around =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_words_around || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The same as [`printable`] for a text of several lines, whose breaks stay.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
