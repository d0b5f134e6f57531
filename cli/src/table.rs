//! Tables, and lists of labels with values, that line up. Widths are those of a terminal, which shows some
//! characters two columns wide and others none; colours do not count.

use unicode_width::UnicodeWidthStr;

use crate::style::{Palette, Tone, printable};

/// Blanks between columns.
const GAP: usize = 2;

/// Text in one place of a table.
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

    /// A dash for what is empty, so that columns can be counted.
    pub(crate) fn or_dash(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if text.is_empty() { Self::toned("-", Tone::Faint) } else { Self::new(text) }
    }

    pub(crate) fn number(number: impl Into<u64>) -> Self {
        Self::new(number.into().to_string())
    }

    /// The text alone.
    pub(crate) fn paint(&self, palette: Palette) -> String {
        palette.paint(self.tone, &self.text).into_owned()
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

/// A column's heading and side.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// A heading and rows below it.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
    indent: usize,
}

/// A column beside a table, with a cell for each of its rows.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) column: Column,
    pub(crate) cells: Vec<Cell>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new(), indent: 0 }
    }

    /// Blanks before each line.
    pub(crate) fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    pub(crate) fn with_rows(mut self, rows: impl IntoIterator<Item = [Cell; N]>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Lines, none of which ends in blanks.
    pub(crate) fn render(&self, palette: Palette) -> String {
        let rows = self.rows.iter().map(|row| row.iter().collect()).collect();
        render(&self.columns, rows, self.indent, palette)
    }

    /// The same with a column before it and one behind.
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

fn render(columns: &[Column], rows: Vec<Vec<&Cell>>, indent: usize, palette: Palette) -> String {
    let headings: Vec<_> =
        columns.iter().map(|column| Cell::toned(column.heading(), Tone::Heading)).collect();
    let mut widths: Vec<_> = headings.iter().map(Cell::width).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in std::iter::once(headings.iter().collect()).chain(rows) {
        let mut line = Line::new(&mut text, indent);
        for ((cell, width), column) in row.into_iter().zip(&widths).zip(columns) {
            line.put(cell, *width, *column, palette);
        }
        text.push('\n');
    }
    text
}

/// Labels with a value each.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    rows: Vec<(&'static str, Cell)>,
}

impl Properties {
    pub(crate) fn put(&mut self, label: &'static str, value: Cell) -> &mut Self {
        self.rows.push((label, value));
        self
    }

    /// Lines, none of which ends in blanks.
    pub(crate) fn render(&self, palette: Palette) -> String {
        let labels = self.rows.iter().map(|(label, _)| label.width());
        let width = labels.max().unwrap_or(0);
        let mut text = String::new();
        for (label, value) in &self.rows {
            let mut line = Line::new(&mut text, 0);
            line.put(&Cell::toned(label, Tone::Heading), width, Column::Left(label), palette);
            line.put(value, value.width(), Column::Left(label), palette);
            text.push('\n');
        }
        text
    }
}

/// A line under way; blanks are written only once something follows them.
struct Line<'a> {
    text: &'a mut String,
    blanks: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a mut String, indent: usize) -> Self {
        Self { text, blanks: indent }
    }

    fn put(&mut self, cell: &Cell, width: usize, column: Column, palette: Palette) {
        let padding = width.saturating_sub(cell.width());
        let (before, after) = match column {
            Column::Left(_) => (0, padding),
            Column::Right(_) => (padding, 0),
        };
        self.blanks += before;
        if !cell.text.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', self.blanks));
            self.text.push_str(&palette.paint(cell.tone, &cell.text));
            self.blanks = 0;
        }
        self.blanks += after + GAP;
    }
}

#[cfg(test)]
mod tests;
