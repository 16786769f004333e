//! The terminal that people read the output on: its colours and its width.
//!
//! Where nobody looks, in a file or a pipe, lines stay whole and plain.

use lab::base::console;
use lab::report::table::Style;
use rustix::termios::tcgetwinsize;
use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsFd;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Width of tables where there is no terminal.
const WITHOUT_TERMINAL: usize = 100;
/// Narrower than this, lines are not wrapped: there would be more margin than text.
const NARROWEST: usize = 40;

/// Where the lines of a run go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Colours and lines, or plain text.
    pub style: Style,
    /// Characters in a line; `None` if it is no terminal.
    columns: Option<usize>,
}

impl Terminal {
    /// The one to which `println!` goes.
    pub(crate) fn of_stdout() -> Self {
        let columns = if console::is_on_errors() { columns(&stderr()) } else { columns(&stdout()) };
        Self { style: Style::of_stdout(), columns }
    }

    /// Characters that a table's lines may have.
    pub(crate) fn table_width(self) -> usize {
        self.columns.unwrap_or(WITHOUT_TERMINAL)
    }

    /// Prints lines. A line that is too long for the terminal goes on below, `indent` characters from the left.
    pub(crate) fn print(self, text: &str, indent: usize) {
        for line in text.lines() {
            match self.columns {
                Some(columns) => println!("{}", wrap(line, columns, indent)),
                None => println!("{line}"),
            }
        }
    }
}

/// The width that the user has set in COLUMNS, else the terminal's own.
fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let set = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    set.or_else(|| Some(tcgetwinsize(stream).ok()?.ws_col.into())).filter(|columns| *columns >= NARROWEST)
}

/// Breaks a line between words; colours take no room.
fn wrap(line: &str, columns: usize, indent: usize) -> String {
    let indent = " ".repeat(indent);
    let options = Options::new(columns)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
        .break_words(false);
    textwrap::fill(line, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_under_its_last_column() {
        let line = "   0.485 s  \x1b[32mok  \x1b[0m  send 200 frames                      numbers 1 to 200, and a note";
        let wrapped = wrap(line, 80, 20);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines[1..], ["                    note"]);
        assert!(lines[0].ends_with("numbers 1 to 200, and a"), "{wrapped:?}");
    }

    #[test]
    fn a_line_that_fits_and_a_word_that_is_too_long_stay_as_they_are() {
        assert_eq!(wrap("page: /a/b", 40, 2), "page: /a/b");
        let path = format!("page: /{}", "x".repeat(60));
        assert_eq!(wrap(&path, 40, 2).replace("\n  ", " "), path);
    }
}
