//! Values with a range or a spelling of their own: what cannot be right is refused where it is read, and the same limits
//! are in the document.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use cancelnic_registers::QueueId;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Number<LEAST, MOST> {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    fn outside() -> NotAllowed {
        NotAllowed(format!("must be a whole number from {LEAST} to {MOST}"))
    }
}

/// A value that is not allowed; its text says which are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAllowed(String);

impl<const LEAST: u64, const MOST: u64> TryFrom<u64> for Number<LEAST, MOST> {
    type Error = NotAllowed;

    fn try_from(number: u64) -> Result<Self, NotAllowed> {
        if (LEAST..=MOST).contains(&number) { Ok(Number(number)) } else { Err(Self::outside()) }
    }
}

impl<const LEAST: u64, const MOST: u64> Serialize for Number<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Anything else than a number from 0 to 2^64 - 1 is outside of every range.
        let number = serde_json::Value::deserialize(deserializer)?.as_u64();
        number.ok_or_else(Self::outside).and_then(Self::try_from).map_err(de::Error::custom)
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Number<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Number{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// A text of at most `MOST` bytes (UTF-8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text<const MOST: usize>(String);

impl<const MOST: usize> Text<MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> TryFrom<String> for Text<MOST> {
    type Error = NotAllowed;

    fn try_from(text: String) -> Result<Self, NotAllowed> {
        if text.len() <= MOST {
            Ok(Text(text))
        } else {
            Err(NotAllowed(format!("must be at most {MOST} bytes long")))
        }
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

impl<const MOST: usize> JsonSchema for Text<MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MOST })
    }
}

/// Bytes; in JSON as hexadecimal digits without anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl FromStr for Bytes {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Bytes, NotAllowed> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let bytes = digits.as_deref().and_then(|digits| {
            let (pairs, rest) = digits.as_chunks::<2>();
            rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
        });
        bytes.map(Bytes).ok_or_else(|| NotAllowed("must be bytes in hexadecimal".into()))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An Ethernet address; in JSON as 12 hexadecimal digits without anything between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Mac, NotAllowed> {
        let bytes = text.parse().ok().and_then(|Bytes(bytes)| bytes.try_into().ok());
        bytes
            .map(Mac)
            .ok_or_else(|| NotAllowed("must be an Ethernet address: six bytes in hexadecimal".into()))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is a string in JSON, as it is displayed and parsed.
macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

/// The name of a queue, where it may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueName(pub QueueId);

impl FromStr for QueueName {
    type Err = <QueueId as FromStr>::Err;

    fn from_str(text: &str) -> Result<QueueName, Self::Err> {
        text.parse().map(QueueName)
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

as_text!(QueueName, "QueueName", "^(tx|rx)[0-7]$");
as_text!(Bytes, "Bytes", "^([0-9a-fA-F]{2})*$");
as_text!(Mac, "Mac", "^[0-9a-fA-F]{12}$");

/// How a [`QueueId`](cancelnic_registers::QueueId) is written: by its name. For `serde(with)` and `schemars(schema_with)`.
pub(crate) mod queue_name {
    use cancelnic_registers::QueueId;
    use schemars::{Schema, SchemaGenerator, json_schema};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(queue: &QueueId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(queue.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QueueId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }

    pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(tx|rx)[0-7]$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn a_number_outside_of_its_range_is_refused_with_the_range() {
        type Small = Number<2, 5>;
        assert_eq!(from_value::<Small>(json!(2)).unwrap().get(), 2);
        for wrong in [json!(1), json!(6), json!(-1), json!(2.5), json!("3"), json!(null)] {
            let error = from_value::<Small>(wrong.clone()).unwrap_err().to_string();
            assert_eq!(error, "must be a whole number from 2 to 5", "{wrong}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        assert_eq!(from_value::<Text<3>>(json!("abc")).unwrap().as_str(), "abc");
        assert!(from_value::<Text<3>>(json!("é12")).is_err());
    }

    #[test]
    fn hex_is_whole_bytes_or_nothing() {
        assert_eq!("00fFa5".parse(), Ok(Bytes(vec![0, 255, 0xa5])));
        assert_eq!("".parse(), Ok(Bytes(vec![])));
        for wrong in ["abc", "0g", "é0"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
        assert_eq!(to_value(Bytes(vec![1, 0xab])).unwrap(), json!("01ab"));
    }

    #[test]
    fn an_address_is_six_bytes() {
        let mac = Mac([2, 0, 0, 0, 0, 0xfe]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert!("0a0b".parse::<Mac>().is_err());
    }
}
