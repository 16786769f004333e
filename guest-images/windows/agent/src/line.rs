//! Bytes from a serial port, cut into lines. What arrives is not trusted: it may be cut, garbage, or without end.

use agent_protocol::MAX_LINE;

/// A line that has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the newline and a carriage return before it.
    Text(Vec<u8>),
    /// It was longer than [`MAX_LINE`]; what it said is gone.
    Overlong,
}

/// The line that is coming.
#[derive(Debug, Default)]
pub struct Lines {
    text: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Takes `bytes` in; gives the lines that they end, empty ones left out.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut ended = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = match part {
                [part @ .., b'\n'] => (part, true),
                part => (part, false),
            };
            // the newline counts
            if self.text.len() + part.len() < MAX_LINE {
                self.text.extend_from_slice(part);
            } else {
                self.overlong = true;
                self.text.clear();
            }
            if ends {
                let mut text = std::mem::take(&mut self.text);
                if text.last() == Some(&b'\r') {
                    text.pop();
                }
                if std::mem::take(&mut self.overlong) {
                    ended.push(Line::Overlong);
                } else if !text.trim_ascii().is_empty() {
                    ended.push(Line::Text(text));
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Line {
        Line::Text(line.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let said = b"{\"id\":1}\n{\"id\":2}\r\n";
        for cut in 0..said.len() {
            let mut lines = Lines::default();
            let mut ended = lines.take(&said[..cut]);
            ended.extend(lines.take(&said[cut..]));
            assert_eq!(ended, [text("{\"id\":1}"), text("{\"id\":2}")], "cut at {cut}");
        }
    }

    #[test]
    fn an_empty_line_ends_what_was_half_said() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"{\"id\":"), []);
        assert_eq!(lines.take(b"\n{\"id\":2}\n\r\n\n"), [text("{\"id\":"), text("{\"id\":2}")]);
    }

    #[test]
    fn the_longest_line_is_taken_and_one_byte_more_is_not() {
        let mut lines = Lines::default();
        let longest = "x".repeat(MAX_LINE - 1);
        assert_eq!(lines.take(format!("{longest}\n").as_bytes()), [text(&longest)]);
        assert_eq!(lines.take(format!("{longest}y\n").as_bytes()), [Line::Overlong]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_is_read() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert_eq!(lines.take(&[b'z'; 65_536]), []);
            assert!(lines.text.len() < MAX_LINE);
        }
        assert_eq!(lines.take(b"\nnext\n"), [Line::Overlong, text("next")]);
    }
}
