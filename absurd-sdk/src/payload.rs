//! Values on their way into and out of the database's JSON.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A value that JSON can't carry, or JSON that is not the value asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value has no JSON form, for example a map with keys that are no text.
    #[error("{what} of type `{type_name}` can't be written as JSON")]
    Encode {
        /// What was to be written: `the params of task x`, `the result of step y`.
        what: String,
        /// The Rust type.
        type_name: &'static str,
        /// serde's reason.
        source: serde_json::Error,
    },
    /// The value holds a character that PostgreSQL's JSON can't keep.
    #[error("{what} holds a zero character (U+0000), which PostgreSQL can't keep; encode it")]
    ZeroCharacter {
        /// What was to be written.
        what: String,
    },
    /// The JSON does not fit the type that reads it.
    #[error("{what} doesn't fit type `{type_name}`; the JSON is {json}")]
    Decode {
        /// What was to be read.
        what: String,
        /// The Rust type.
        type_name: &'static str,
        /// The offending JSON, shortened.
        json: String,
        /// serde's reason, with the path inside the value.
        source: serde_json::Error,
    },
}

/// How much of a refused JSON an error message shows, in characters.
const SHOWN_MAX: usize = 200;

pub(crate) fn encode<T: Serialize + ?Sized>(
    what: impl Fn() -> String,
    value: &T,
) -> Result<Value, PayloadError> {
    let json = serde_json::to_value(value).map_err(|source| PayloadError::Encode {
        what: what(),
        type_name: std::any::type_name::<T>(),
        source,
    })?;
    if holds_zero(&json) {
        return Err(PayloadError::ZeroCharacter { what: what() });
    }
    Ok(json)
}

fn holds_zero(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_zero),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_zero(value)),
        _ => false,
    }
}

pub(crate) fn decode<T: DeserializeOwned>(
    what: impl Fn() -> String,
    json: &Value,
) -> Result<T, PayloadError> {
    T::deserialize(json).map_err(|source| PayloadError::Decode {
        what: what(),
        type_name: std::any::type_name::<T>(),
        json: shortened(json),
        source,
    })
}

fn shortened(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decode_names_what_and_type() {
        let refused = decode::<u8>(|| "the params of task `add`".into(), &json!("x"));
        let error = refused.expect_err("text is no number");
        assert_eq!(
            error.to_string(),
            "the params of task `add` doesn't fit type `u8`; the JSON is \"x\"",
        );
    }
}
