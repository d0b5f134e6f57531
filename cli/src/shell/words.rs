//! Splits a line into words like a POSIX shell: quotes, backslashes, and `#` for comments.

/// A word and its position in the line, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word without quotes.
    pub(crate) text: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A split line, possibly incomplete.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) words: Vec<Word>,
    /// How the line ends.
    pub(crate) tail: Tail,
}

/// State at the end of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tail {
    /// In a space: the next character begins a word.
    #[default]
    Space,
    /// In the last word, which the next character continues.
    Word,
    /// In a quoted part of the last word, which is incomplete.
    Open(Mark),
    Comment,
}

/// A quoting character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Single,
    Double,
    Backslash,
    /// Inside double quotes, where it only escapes a double quote or a backslash.
    BackslashInDouble,
}

impl Mark {
    /// What is missing at the end of an incomplete line.
    pub(crate) fn lack(self) -> &'static str {
        match self {
            Self::Single => "the closing '",
            Self::Double | Self::BackslashInDouble => "the closing \"",
            Self::Backslash => "a character behind the \\",
        }
    }
}

pub(crate) fn split(line: &str) -> Line {
    let mut cut = Line::default();
    for (at, c) in line.char_indices() {
        cut.tail = cut.take(at, c);
    }
    if let (Tail::Word | Tail::Open(_), Some(word)) = (cut.tail, cut.words.last_mut()) {
        word.end = line.len();
    }
    cut
}

impl Line {
    fn take(&mut self, at: usize, c: char) -> Tail {
        match (self.tail, c) {
            (Tail::Comment, _) | (Tail::Space, '#') => Tail::Comment,
            (Tail::Space, c) if c.is_whitespace() => Tail::Space,
            (Tail::Space, c) => {
                self.words.push(Word { text: String::new(), start: at, end: at });
                self.take_plain(c)
            }
            (Tail::Word, c) if c.is_whitespace() => {
                if let Some(word) = self.words.last_mut() {
                    word.end = at;
                }
                Tail::Space
            }
            (Tail::Word, c) => self.take_plain(c),
            (Tail::Open(Mark::Single), '\'') | (Tail::Open(Mark::Double), '"') => Tail::Word,
            (Tail::Open(Mark::Double), '\\') => Tail::Open(Mark::BackslashInDouble),
            (Tail::Open(Mark::Backslash), c) => self.keep(c, Tail::Word),
            (Tail::Open(Mark::BackslashInDouble), c) => {
                if !matches!(c, '"' | '\\') {
                    self.keep('\\', Tail::Word);
                }
                self.keep(c, Tail::Open(Mark::Double))
            }
            (open, c) => self.keep(c, open),
        }
    }

    fn take_plain(&mut self, c: char) -> Tail {
        match c {
            '\'' => Tail::Open(Mark::Single),
            '"' => Tail::Open(Mark::Double),
            '\\' => Tail::Open(Mark::Backslash),
            c => self.keep(c, Tail::Word),
        }
    }

    fn keep(&mut self, c: char, then: Tail) -> Tail {
        if let Some(word) = self.words.last_mut() {
            word.text.push(c);
        }
        then
    }
}

#[cfg(test)]
mod tests;
