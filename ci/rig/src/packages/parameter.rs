//! A driver's parameter on the command line.

use std::str::FromStr;

/// A driver's parameter, over that of its INF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub name: String,
    pub value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_word(name) && is_word(value) {
            Ok(Self { name: name.into(), value: value.into() })
        } else {
            Err("name and value are words of printable ASCII".into())
        }
    }
}
