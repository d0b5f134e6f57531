//! Aligned tables and lists of properties. Widths are columns of a terminal, where some characters take two
//! and others none; colours do not count.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::style::{Palette, Tone, printable};

/// Spaces between columns.
const GAP: usize = 2;

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: printable(text.as_ref()), tone }
    }

    /// A dash for an empty text, so that columns can be counted.
    pub(crate) fn or_dash(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if text.is_empty() { Self::toned("-", Tone::Faint) } else { Self::new(text) }
    }

    pub(crate) fn number(number: impl Into<u64>) -> Self {
        Self::new(number.into().to_string())
    }

    /// The coloured text.
    pub(crate) fn paint(&self, palette: Palette) -> String {
        palette.paint(self.tone, &self.text).into_owned()
    }

    pub(crate) fn in_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(crate) fn tone(&self) -> Tone {
        self.tone
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

/// A column: heading, alignment, and how it shrinks on a narrow page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    short: &'static str,
    is_right: bool,
    /// Columns of the highest rank are dropped first; 0 for never.
    rank: u8,
    may_be_cut: bool,
}

impl Column {
    pub(crate) const fn left(heading: &'static str) -> Self {
        Self { heading, short: heading, is_right: false, rank: 0, may_be_cut: false }
    }

    pub(crate) const fn right(heading: &'static str) -> Self {
        Self { is_right: true, ..Self::left(heading) }
    }

    /// May be dropped on a narrow page, the highest rank first.
    pub(crate) const fn optional(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// A shorter heading, used when no further column can be dropped.
    pub(crate) const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    /// Its cells may be truncated as a last resort: for prose, never for names or numbers.
    pub(crate) const fn prose(self) -> Self {
        Self { may_be_cut: true, ..self }
    }
}

/// A heading with rows.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
    indent: usize,
}

/// An additional column next to a table, with a cell for each row.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) column: Column,
    pub(crate) cells: Vec<Cell>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new(), indent: 0 }
    }

    /// Indents each line by so many spaces.
    pub(crate) fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    pub(crate) fn with_rows(mut self, rows: impl IntoIterator<Item = [Cell; N]>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Lines without trailing spaces.
    pub(crate) fn render(&self, palette: Palette) -> String {
        let rows = self.rows.iter().map(|row| row.iter().collect()).collect();
        render(&self.columns, rows, self.indent, palette)
    }

    /// The same with a column after.
    pub(crate) fn render_beside(&self, behind: &Beside, palette: Palette) -> String {
        let columns: Vec<_> = self.columns.into_iter().chain([behind.column]).collect();
        let rows = self.rows.iter().zip(&behind.cells);
        let rows = rows.map(|(row, last)| row.iter().chain(std::iter::once(last)).collect());
        render(&columns, rows.collect(), self.indent, palette)
    }

    /// The same with a column before and one after.
    pub(crate) fn render_between(&self, before: &Beside, behind: &Beside, palette: Palette) -> String {
        let columns: Vec<_> =
            [before.column].into_iter().chain(self.columns).chain([behind.column]).collect();
        let sides = before.cells.iter().zip(&behind.cells);
        let rows = self.rows.iter().zip(sides);
        let rows = rows.map(|(row, (first, last))| {
            std::iter::once(first).chain(row).chain(std::iter::once(last)).collect()
        });
        render(&columns, rows.collect(), self.indent, palette)
    }
}

/// Minimum width of a truncated column.
const LEAST_PROSE: usize = 12;

fn render(columns: &[Column], mut rows: Vec<Vec<&Cell>>, indent: usize, palette: Palette) -> String {
    let mut columns: Vec<Column> = columns.to_vec();
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|index| rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width()).max().unwrap_or(0))
        .collect();
    let excess = |columns: &[Column], widths: &[usize]| {
        let cells =
            columns.iter().zip(widths).map(|(column, width)| column.heading.width().max(*width) + GAP);
        let line = (cells.sum::<usize>() + indent).saturating_sub(GAP);
        palette.width().map_or(0, |page| line.saturating_sub(page))
    };
    while excess(&columns, &widths) > 0 {
        let optional = columns.iter().enumerate().filter(|(_, column)| column.rank > 0);
        let Some((index, _)) = optional.max_by_key(|(_, column)| column.rank) else { break };
        columns.remove(index);
        widths.remove(index);
        for row in &mut rows {
            row.remove(index);
        }
    }
    if excess(&columns, &widths) > 0 {
        columns.iter_mut().for_each(|column| column.heading = column.short);
    }
    let headings: Vec<_> = columns.iter().map(|column| Cell::toned(column.heading, Tone::Heading)).collect();
    let mut excess = excess(&columns, &widths);
    for ((width, heading), column) in widths.iter_mut().zip(&headings).zip(&columns) {
        let least = if column.may_be_cut { LEAST_PROSE } else { *width };
        let cut = width.saturating_sub(least).min(excess);
        excess -= cut;
        *width = (*width - cut).max(heading.width());
    }
    let mut text = String::new();
    for row in std::iter::once(headings.iter().collect()).chain(rows) {
        let mut line = Line::new(&mut text, indent);
        for ((cell, width), column) in row.into_iter().zip(&widths).zip(&columns) {
            line.put(cell, *width, column.is_right, palette);
        }
        text.push('\n');
    }
    text
}

/// Wraps text to this width, as far as its words allow.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width.is_none_or(|width| line.width() + 1 + word.width() <= width) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Labels with one value each.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    rows: Vec<(&'static str, Cell)>,
}

impl Properties {
    pub(crate) fn put(&mut self, label: &'static str, value: Cell) -> &mut Self {
        self.rows.push((label, value));
        self
    }

    /// Lines without trailing spaces.
    pub(crate) fn render(&self, palette: Palette) -> String {
        let labels = self.rows.iter().map(|(label, _)| label.width());
        let width = labels.max().unwrap_or(0);
        let mut text = String::new();
        let room = palette.width().map(|page| page.saturating_sub(width + GAP));
        for (label, value) in &self.rows {
            for (index, part) in wrapped(&value.text, room).into_iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                let mut line = Line::new(&mut text, 0);
                line.put(&Cell::toned(label, Tone::Heading), width, false, palette);
                line.put(&Cell { text: part, tone: value.tone }, 0, false, palette);
                text.push('\n');
            }
        }
        text
    }
}

/// A line being built; spaces are written only when text follows.
struct Line<'a> {
    text: &'a mut String,
    blanks: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a mut String, indent: usize) -> Self {
        Self { text, blanks: indent }
    }

    fn put(&mut self, cell: &Cell, width: usize, is_right: bool, palette: Palette) {
        let text = if width > 0 { cut(&cell.text, width) } else { Cow::Borrowed(cell.text.as_str()) };
        let padding = width.saturating_sub(text.width());
        let (before, after) = if is_right { (padding, 0) } else { (0, padding) };
        self.blanks += before;
        if !text.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', self.blanks));
            self.text.push_str(&palette.paint(cell.tone, &text));
            self.blanks = 0;
        }
        self.blanks += after + GAP;
    }
}

/// Truncates a text that is too wide, with a mark.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut short = String::new();
    for c in text.chars() {
        if short.width() + c.width().unwrap_or(0) + 3 > width {
            break;
        }
        short.push(c);
    }
    Cow::Owned(short.trim_end().to_owned() + "...")
}

#[cfg(test)]
mod tests;
