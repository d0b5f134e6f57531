//! Invisible and misleading characters.

use super::complaint::Complaint;
use super::show;

/// Whether a character is invisible or changes how others around it are shown: Unicode's category Cf,
/// `Default_Ignorable_Code_Point`, line and paragraph separators, and the blank Braille pattern.
pub(super) fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a character looks like a space or like nothing, but is not a space.
pub(crate) fn is_deceptive(char: char) -> bool {
    is_invisible(char) || char.is_control() || (char.is_whitespace() && char != ' ')
}

/// Names a character in a message: as itself, or by its code point.
pub(super) fn named(char: char) -> String {
    if is_deceptive(char) { format!("U+{:04X}", u32::from(char)) } else { show(&char.to_string()) }
}

/// Rejects a text because of the first such character in it.
pub(super) fn refuse(text: &str, is_wrong: impl Fn(char) -> bool, help: &str) -> Result<(), Complaint> {
    let Some((before, wrong)) = text.chars().enumerate().find(|(_, char)| is_wrong(*char)) else {
        return Ok(());
    };
    let what = match wrong {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "which changes the direction of writing"
        }
        _ if wrong.is_whitespace() => "which looks like a space",
        _ => "which is invisible",
    };
    let found = format!("is {}, whose character {} is {}, {what}", show(text), before + 1, named(wrong));
    Err(Complaint::invalid(found, help))
}

#[cfg(test)]
mod tests;
