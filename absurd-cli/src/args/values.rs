//! How single values are read, so that a mistake is told before anything is done.

use absurd_sdk::{BadPeriod, Period};
use jiff::Timestamp;
use serde::de::{DeserializeOwned, IntoDeserializer as _, value::Error as UnknownWord};
use serde_json::Value;
use uuid::Uuid;

pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON ({error}); quote text as '\"..\"'"))
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A name with JSON, or with text where that is none.
pub(super) fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) = header(text)?;
    if name.is_empty() {
        return Err("it has no name; write it as name=value".to_owned());
    }
    let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
    Ok((name, value))
}

/// A word of the SDK's; the refusal lists those that it knows.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let word = text.into_deserializer();
    T::deserialize(word).map_err(|error: UnknownWord| error.to_string())
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let advice = "write for example 2026-05-01T03:00:00Z or 2026-05-01T03:00:00-07:00";
    let parsed = text.parse();
    parsed.map_err(|_| format!("no time with its offset; {advice}"))
}

pub(super) fn period(text: &str) -> Result<Period, BadPeriod> {
    text.parse()
}

pub(super) fn letter(text: &str) -> Result<Uuid, String> {
    let advice = "`absurd dead-letter list` shows them";
    Uuid::parse_str(text).map_err(|_| format!("no id of a dead letter; {advice}"))
}

#[cfg(test)]
mod tests {
    use absurd_sdk::Overlap;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_is_json_or_text() {
        let read = |text| attribute(text).expect("an attribute").1;
        assert_eq!(read("a=2"), json!(2));
        assert_eq!(read("a=true"), json!(true));
        assert_eq!(read("a=\"2\""), json!("2"));
        assert_eq!(read("a=b=c"), json!("b=c"));
        assert_eq!(read("a="), json!(""));
        for nameless in ["a", "=a"] {
            let refused = attribute(nameless).expect_err("no name");
            assert!(refused.contains("name=value"), "{refused}");
        }
    }

    #[test]
    fn a_wrong_word_is_answered_by_the_right_ones() {
        assert_eq!(word("replace"), Ok(Overlap::Replace));
        let refused = word::<Overlap>("both").expect_err("no such word");
        assert!(refused.contains("`allow`, `skip`, `replace`"), "{refused}");
    }

    #[test]
    fn a_time_has_an_offset() {
        assert!(time("2026-05-01T03:00:00-07:00").is_ok());
        for vague in ["2026-05-01T03:00:00", "tomorrow"] {
            let refused = time(vague).expect_err("no time");
            assert!(refused.contains("for example"), "{refused}");
        }
    }
}
