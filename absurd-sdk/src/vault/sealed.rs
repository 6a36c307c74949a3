//! The stored form of a payload that is more than its JSON:
//! `{"$absurd": {"encoding": ["json", "zstd"], "data": "<base64>"}}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The one key of the stored form.
const KEY: &str = "$absurd";
/// The encodings that every client knows.
pub(super) const JSON: &str = "json";
pub(super) const ZSTD: &str = "zstd";
/// zstd's own default: a good ratio at the speed of writing JSON.
const ZSTD_LEVEL: i32 = 3;

/// What stands under the key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// What was done to the value, first things first.
    pub(super) encoding: Vec<String>,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// Where the bytes are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Inline {
        data: String,
    },
    Object {
        object: String,
        bytes: usize,
        sha256: String,
    },
}

impl Content {
    pub(super) fn inline(bytes: &[u8]) -> Self {
        Self::Inline {
            data: STANDARD.encode(bytes),
        }
    }
}

impl Sealed {
    pub(super) fn into_json(self) -> Value {
        json!({ KEY: self })
    }
}

/// The bytes of an inline payload; `None` when they are no base64.
pub(super) fn inline_bytes(data: &str) -> Option<Vec<u8>> {
    STANDARD.decode(data).ok()
}

fn under_key(json: &Value) -> Option<&Value> {
    let fields: &Map<String, Value> = json.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(KEY)
}

/// Whether plain JSON could be taken for the stored form, now or in a later version.
pub(super) fn is_reserved(json: &Value) -> bool {
    under_key(json).is_some()
}

/// What stands under the key of the stored form; `None` for plain JSON.
pub(super) fn seal_of(json: &Value) -> Option<&Value> {
    under_key(json).filter(|seal| seal.get("encoding").is_some_and(Value::is_array))
}

/// Compressed bytes, if they take less room than the plain ones even as base64.
pub(super) fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    let compressed = zstd::bulk::compress(plain, ZSTD_LEVEL).ok()?;
    (compressed.len().div_ceil(3) * 4 < plain.len()).then_some(compressed)
}
