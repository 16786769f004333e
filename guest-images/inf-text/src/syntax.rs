//! The syntax of an INF file: sections, `key = value, value`, quotes, comments, continuation lines, `%strings%`.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

/// One entry of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What stands before `=`; for a line without one, its first field.
    pub key: String,
    /// The fields after it, separated by commas, quotes removed, strings expanded.
    pub values: Vec<String>,
}

/// Key, if there is a `=`, and fields, before strings are expanded.
type RawLine = (Option<String>, Vec<String>);

/// A parsed file. Section names and string tokens are matched without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inf {
    sections: BTreeMap<String, Vec<Line>>,
}

/// An entry, or another text, before the first section: Windows refuses such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0}: an entry outside every section")]
pub struct Outside(
    /// Number of the line, from 1 on.
    pub usize,
);

impl Inf {
    /// Splits a text into sections and entries, and puts the strings of `[Strings]` in their places. A token that
    /// `[Strings]` does not define stays as it is, as directory ids such as `%13%` do.
    ///
    /// # Errors
    /// [`Outside`].
    pub fn parse(text: &str) -> Result<Self, Outside> {
        let mut raw: BTreeMap<String, Vec<RawLine>> = BTreeMap::new();
        let mut section: Option<String> = None;
        let mut pending = String::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let line = without_comment(line).trim();
            match line.strip_suffix('\\').filter(|_| !line.starts_with('[')) {
                // goes on in the next line, if there is one
                Some(part) => {
                    pending.push_str(part);
                    if lines.peek().is_some() {
                        continue;
                    }
                }
                None => pending.push_str(line),
            }
            let line = core::mem::take(&mut pending);
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let name = name.trim().to_ascii_lowercase();
                raw.entry(name.clone()).or_default();
                section = Some(name);
            } else if !line.is_empty() {
                let section = section.as_ref().ok_or(Outside(index + 1))?;
                let (key, rest) = key_and_rest(&line);
                raw.entry(section.clone()).or_default().push((key, fields(rest)));
            }
        }
        let strings: BTreeMap<String, String> = raw
            .get("strings")
            .into_iter()
            .flatten()
            .filter_map(|(key, values)| Some((key.as_ref()?.to_ascii_lowercase(), values.first()?.clone())))
            .collect();
        let expanded = |text: &String| expand(text, &strings);
        let sections = raw
            .into_iter()
            .map(|(name, lines)| {
                let lines = lines.into_iter().filter_map(|(key, values)| {
                    let mut values: Vec<String> = values.iter().map(expanded).collect();
                    let key = match key {
                        Some(key) => expand(&key, &strings),
                        None if values.is_empty() => return None,
                        None => values.remove(0),
                    };
                    Some(Line { key, values })
                });
                (name, lines.collect())
            })
            .collect();
        Ok(Self { sections })
    }

    /// Whether there is such a section, empty or not.
    #[must_use]
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(&section.to_ascii_lowercase())
    }

    /// The section's lines; none if there is no such section.
    pub fn lines(&self, section: &str) -> impl Iterator<Item = &Line> {
        self.sections.get(&section.to_ascii_lowercase()).into_iter().flatten()
    }

    /// First value of the section's first line with that key.
    #[must_use]
    pub fn value(&self, section: &str, key: &str) -> Option<String> {
        self.lines(section).find(|line| line.key.eq_ignore_ascii_case(key))?.values.first().cloned()
    }
}

/// The position of the first `wanted` outside quotes.
fn outside_quotes(line: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    line.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

fn without_comment(line: &str) -> &str {
    outside_quotes(line, ';').map_or(line, |at| &line[..at])
}

fn key_and_rest(line: &str) -> (Option<String>, &str) {
    match outside_quotes(line, '=') {
        Some(at) => (Some(unquoted(&line[..at])), &line[at + 1..]),
        None => (None, line),
    }
}

fn fields(mut text: &str) -> Vec<String> {
    let mut fields = Vec::new();
    while let Some(at) = outside_quotes(text, ',') {
        fields.push(unquoted(&text[..at]));
        text = &text[at + 1..];
    }
    fields.push(unquoted(text));
    fields
}

/// The field without its surrounding quotes; a doubled quote inside stands for one.
fn unquoted(field: &str) -> String {
    let field = field.trim();
    match field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.to_string(),
    }
}

/// Replaces each `%token%` by its string; an unknown token stays (directory ids such as `%13%` do).
fn expand(text: &str, strings: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let Some((token, tail)) = after.split_once('%') else {
            out.push('%');
            out.push_str(after);
            return out;
        };
        match strings.get(&token.to_ascii_lowercase()) {
            Some(value) => out.push_str(value),
            None if token.is_empty() => out.push('%'),
            None => {
                out.push('%');
                out.push_str(token);
                out.push('%');
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
