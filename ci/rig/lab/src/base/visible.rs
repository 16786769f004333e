//! Text from anywhere, such as a guest whose memory a driver has ruined, made fit for a terminal.

use std::borrow::Cow;

/// The text with its control characters written as escapes, which then say what was there instead of doing it. What
/// stays: ends of lines, tabs, and the rig's own sequences, which choose colours.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut made = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kept = kept(rest);
        if kept.is_empty() {
            made.extend(first.escape_default());
        } else {
            made.push_str(if kept == "\r\n" { "\n" } else { kept });
        }
        rest = &rest[kept.len().max(first.len_utf8())..];
    }
    Cow::Owned(made)
}

/// What stays of the beginning of a text; nothing where it begins with a control character.
fn kept(text: &str) -> &str {
    if let Some(parameters) = text.strip_prefix("\x1b[") {
        let len = parameters.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        return if parameters[len..].starts_with('m') { &text[..len + 3] } else { "" };
    }
    match text.chars().next() {
        Some('\r') if text.starts_with("\r\n") => &text[..2],
        Some(c) if !c.is_control() || matches!(c, '\n' | '\t') => &text[..c.len_utf8()],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fit_for_a_terminal_stays_as_it_is() {
        for text in ["", "ok\n", "a\tb", "§ 5.1, “ü”", "\x1b[32mok  \x1b[0m\n", "\x1b[1;31mFAILED\x1b[0m"]
        {
            assert_eq!(visible(text), text);
        }
        assert!(matches!(visible("no control characters\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_control_character_is_shown_and_does_nothing() {
        for (text, shown) in [
            ("PageFault in \0\0 EvtCancel", r"PageFault in \u{0}\u{0} EvtCancel"),
            ("\x1b[2J\x1b[01;01Hgone", r"\u{1b}[2J\u{1b}[01;01Hgone"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("ends in \x1b", r"ends in \u{1b}"),
            ("ends in \x1b[3", r"ends in \u{1b}[3"),
            ("over\rwritten", r"over\rwritten"),
            ("firmware's\r\n", "firmware's\n"),
            ("C1: \u{9b}2J, \u{7f}", r"C1: \u{9b}2J, \u{7f}"),
            ("ü\0ü", "ü\\u{0}ü"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
