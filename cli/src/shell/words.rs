//! A line cut into words, as a POSIX shell cuts it: quotes, backslashes, and `#` for a comment.

/// A word, and where it stands in the line, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Without quotes.
    pub(crate) text: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A line as far as it goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) words: Vec<Word>,
    /// What the line ends in.
    pub(crate) tail: Tail,
}

/// What the end of a line belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Space: what is typed next begins a word.
    #[default]
    Space,
    /// The last word, which goes on with what is typed next.
    Word,
    /// The last word, which lacks its end.
    Open(Mark),
    Comment,
}

/// Takes away the meaning of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Single,
    Double,
    Backslash,
    /// Between double quotes, where it only takes that of a double quote and a backslash.
    BackslashInDouble,
}

impl Mark {
    /// What is missing where a line ends behind this mark.
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
