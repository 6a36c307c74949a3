//! Values on their way into and out of the database's JSON.

use std::error::Error;

use serde::{
    Serialize,
    de::{self, DeserializeOwned},
};
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
    /// The value was stored by a codec that this client was not given.
    #[error(
        "{what} was written by the codec `{codec}`, which this client doesn't have; \
         give it to `PayloadStorage::codec`"
    )]
    CodecMissing {
        /// What was to be read.
        what: String,
        /// The codec's name.
        codec: String,
    },
    /// The codec has refused a value on its way into the database.
    #[error("the codec `{codec}` can't encode {what}")]
    CodecEncode {
        /// What was to be written.
        what: String,
        /// The codec's name.
        codec: String,
        /// The codec's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The codec has refused what is stored.
    #[error("the codec `{codec}` can't decode {what}; was its key changed?")]
    CodecDecode {
        /// What was to be read.
        what: String,
        /// The codec's name.
        codec: String,
        /// The codec's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The value lies in an object store that this client was not given.
    #[error(
        "{what} lies in the object `{object}`, and this client has no object store; \
         give it to `PayloadStorage::object_store`"
    )]
    ObjectStoreMissing {
        /// What was to be read.
        what: String,
        /// The object's name.
        object: String,
    },
    /// The object store has failed. It may work later.
    #[error("the object store has failed at the object `{object}` of {what}")]
    ObjectStore {
        /// What was to be read or written.
        what: String,
        /// The object's name.
        object: String,
        /// The store's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What is stored is not what was written.
    #[error("{what} was changed after it was stored: {problem}; restore it from a backup")]
    Damaged {
        /// What was to be read.
        what: String,
        /// What is wrong.
        problem: String,
    },
}

impl PayloadError {
    /// Whether another attempt can't mend it: what is stored doesn't change between attempts, but
    /// a service behind a codec or an object store may come back.
    pub(crate) fn is_permanent(&self) -> bool {
        !matches!(self, Self::CodecEncode { .. } | Self::ObjectStore { .. })
    }

    /// The same without the value it is about, for a place where that would be stored plainly.
    pub(crate) fn without_value(&self) -> Option<Self> {
        let Self::Decode {
            what, type_name, ..
        } = self
        else {
            return None;
        };
        Some(Self::Decode {
            what: what.clone(),
            type_name,
            json: "kept secret".to_owned(),
            source: de::Error::custom("the reason is kept secret as well"),
        })
    }
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
