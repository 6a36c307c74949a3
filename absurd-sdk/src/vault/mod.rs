//! Payloads on their way into the database and back: compressed, passed through a codec, put into
//! an object store. Whoever reads and writes them sees plain JSON.

mod objects;
mod sealed;
mod storage;

use std::sync::Arc;

use futures::future::try_join_all;
use serde::Deserialize as _;
use serde_json::Value;

use self::sealed::{Content, JSON, Sealed, ZSTD};
pub use self::storage::{CodecError, PayloadCodec, PayloadStorage};
use crate::payload::PayloadError;

/// Payloads on their way to or from an object store at once.
const AT_ONCE: usize = 16;

/// Seals and opens payloads as a client was told. A cheap clone.
#[derive(Clone)]
pub(crate) struct Vault(Arc<PayloadStorage>);

impl Default for Vault {
    fn default() -> Self {
        Self(Arc::new(PayloadStorage::plain()))
    }
}

/// Whether stored JSON has to be opened before it is read.
pub(crate) fn is_sealed(stored: &Value) -> bool {
    sealed::seal_of(stored).is_some()
}

impl Vault {
    /// Checks the options; the error says what is wrong.
    pub(crate) fn new(storage: PayloadStorage) -> Result<Self, String> {
        match storage.problem() {
            Some(problem) => Err(problem),
            None => Ok(Self(Arc::new(storage))),
        }
    }

    /// Whether payloads are kept from the eyes of those who can read the database.
    pub(crate) fn is_secret(&self) -> bool {
        self.0.codec.is_some()
    }

    /// What is to be stored of a payload.
    pub(crate) async fn seal(
        &self,
        what: impl Fn() -> String,
        plain: Value,
    ) -> Result<Value, PayloadError> {
        let storage = &*self.0;
        let reserved = sealed::is_reserved(&plain);
        let idle = storage.compress_above.is_none() && storage.offload.is_none();
        if idle && storage.codec.is_none() && !reserved {
            return Ok(plain);
        }
        let (encoding, bytes) = self.encode(&what, &plain)?;
        let content = match &storage.offload {
            Some(offload) if bytes.len() > storage.offload_above => {
                offload.put(&what, bytes).await?
            }
            _ if encoding.len() == 1 && !reserved => return Ok(plain),
            _ => Content::inline(&bytes),
        };
        Ok(Sealed { encoding, content }.into_json())
    }

    /// The same for many.
    pub(crate) async fn seal_all(
        &self,
        what: impl Fn() -> String,
        plain: Vec<Value>,
    ) -> Result<Vec<Value>, PayloadError> {
        let mut all = Vec::with_capacity(plain.len());
        let mut plain = plain.into_iter();
        loop {
            let some = plain.by_ref().take(AT_ONCE);
            let sealed = try_join_all(some.map(|plain| self.seal(&what, plain))).await?;
            if sealed.is_empty() {
                return Ok(all);
            }
            all.extend(sealed);
        }
    }

    /// The payload that was stored; JSON that is not sealed is the payload itself.
    pub(crate) async fn open(
        &self,
        what: impl Fn() -> String,
        stored: Value,
    ) -> Result<Value, PayloadError> {
        let Some(seal) = sealed::seal_of(&stored) else {
            return Ok(stored);
        };
        let sealed = Sealed::deserialize(seal)
            .map_err(|error| damaged(&what, format!("its `$absurd` can't be read: {error}")))?;
        // Before a large object is fetched in vain.
        self.check_known(&what, &sealed.encoding)?;
        let bytes = match &sealed.content {
            Content::Inline { data } => sealed::inline_bytes(data)
                .ok_or_else(|| damaged(&what, "its data is no base64".to_owned()))?,
            Content::Object { object, sha256, .. } => match &self.0.offload {
                Some(offload) => offload.get(&what, object, sha256).await?,
                None => {
                    return Err(PayloadError::ObjectStoreMissing {
                        what: what(),
                        object: object.clone(),
                    });
                }
            },
        };
        self.decode(&what, &sealed.encoding, bytes)
    }

    fn encode(
        &self,
        what: &impl Fn() -> String,
        plain: &Value,
    ) -> Result<(Vec<String>, Vec<u8>), PayloadError> {
        let json = serde_json::to_vec(plain);
        let mut bytes = json.map_err(|source| PayloadError::Encode {
            what: what(),
            type_name: "serde_json::Value",
            source,
        })?;
        let mut encoding = vec![JSON.to_owned()];
        if self
            .0
            .compress_above
            .is_some_and(|above| bytes.len() > above)
            && let Some(smaller) = sealed::compressed(&bytes)
        {
            bytes = smaller;
            encoding.push(ZSTD.to_owned());
        }
        if let Some(codec) = &self.0.codec {
            let encoded = codec.encode(bytes);
            bytes = encoded.map_err(|source| PayloadError::CodecEncode {
                what: what(),
                codec: codec.name().to_owned(),
                source,
            })?;
            encoding.push(codec.name().to_owned());
        }
        Ok((encoding, bytes))
    }

    fn check_known(
        &self,
        what: &impl Fn() -> String,
        encoding: &[String],
    ) -> Result<(), PayloadError> {
        let codec = self.0.codec.as_ref().map(|codec| codec.name());
        let known = |(place, name): &(usize, &String)| match *place {
            0 => *name == JSON,
            _ => *name == ZSTD || codec == Some(name.as_str()),
        };
        match encoding.iter().enumerate().find(|named| !known(named)) {
            None => Ok(()),
            Some((_, codec)) => Err(PayloadError::CodecMissing {
                what: what(),
                codec: codec.clone(),
            }),
        }
    }

    /// Undoes encodings that are known, the last one first.
    fn decode(
        &self,
        what: &impl Fn() -> String,
        encoding: &[String],
        mut bytes: Vec<u8>,
    ) -> Result<Value, PayloadError> {
        for name in encoding.iter().skip(1).rev() {
            bytes = match &self.0.codec {
                Some(codec) if name != ZSTD => {
                    let decoded = codec.decode(bytes);
                    decoded.map_err(|source| PayloadError::CodecDecode {
                        what: what(),
                        codec: name.clone(),
                        source,
                    })?
                }
                _ => zstd::stream::decode_all(&*bytes)
                    .map_err(|_| damaged(what, "its bytes are no zstd".to_owned()))?,
            };
        }
        // serde's reason could quote the payload.
        serde_json::from_slice(&bytes)
            .map_err(|_| damaged(what, "its bytes are no JSON".to_owned()))
    }
}

/// Has the code of the guide compiled.
#[cfg(all(doctest, feature = "object-store"))]
#[doc = include_str!("../../../docs/guide/large-payloads.md")]
struct Guide;

fn damaged(what: &impl Fn() -> String, problem: String) -> PayloadError {
    PayloadError::Damaged {
        what: what(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Mutex, PoisonError},
    };

    use futures::future::BoxFuture;
    use serde_json::json;

    use super::{
        objects::{Objects, Offload},
        *,
    };

    /// Objects in memory, which a test can look at and change.
    #[derive(Default)]
    struct Shelf(Mutex<HashMap<String, Vec<u8>>>);

    impl Objects for Shelf {
        fn put<'a>(
            &'a self,
            object: &'a str,
            bytes: Vec<u8>,
        ) -> BoxFuture<'a, Result<(), CodecError>> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(object.to_owned(), bytes);
            Box::pin(std::future::ready(Ok(())))
        }

        fn get<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<Vec<u8>, CodecError>> {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let found = all.get(object).cloned().ok_or_else(|| "not there".into());
            Box::pin(std::future::ready(found))
        }
    }

    /// Turns the bytes around and signs them with one byte.
    struct Turned(&'static str);

    impl PayloadCodec for Turned {
        fn encode(&self, mut plain: Vec<u8>) -> Result<Vec<u8>, CodecError> {
            plain.reverse();
            plain.push(7);
            Ok(plain)
        }

        fn decode(&self, mut stored: Vec<u8>) -> Result<Vec<u8>, CodecError> {
            if stored.pop() != Some(7) {
                return Err("not signed".into());
            }
            stored.reverse();
            Ok(stored)
        }

        fn name(&self) -> &str {
            self.0
        }
    }

    fn vault(storage: PayloadStorage) -> Vault {
        Vault::new(storage).expect("good options")
    }

    fn shelved(above: usize) -> (Arc<Shelf>, PayloadStorage) {
        let shelf = Arc::new(Shelf::default());
        let offload = Offload {
            objects: shelf.clone(),
            prefix: "payloads".into(),
        };
        let storage = PayloadStorage {
            offload: Some(offload),
            offload_above: above,
            ..PayloadStorage::new()
        };
        (shelf, storage)
    }

    async fn seal(vault: &Vault, plain: &Value) -> Value {
        let sealed = vault.seal(|| "it".into(), plain.clone()).await;
        sealed.expect("sealed")
    }

    async fn open(vault: &Vault, stored: &Value) -> Result<Value, String> {
        let opened = vault.open(|| "it".into(), stored.clone()).await;
        opened.map_err(|error| error.to_string())
    }

    fn encoding(stored: &Value) -> &Value {
        &stored["$absurd"]["encoding"]
    }

    #[tokio::test]
    async fn every_value_comes_back_whatever_the_storage() {
        let values = [
            Value::Null,
            json!("x"),
            json!({ "a": [1, 2.5, null] }),
            json!("long ".repeat(5000)),
            json!({ "$absurd": 1 }),
            json!({ "$absurd": { "encoding": ["json"], "data": "bm8=" } }),
            json!({ "$absurd": { "encoding": ["other"], "object": "x" } }),
            json!({ "$absurd": 1, "b": 2 }),
        ];
        let vaults = [
            Vault::default(),
            vault(PayloadStorage::new().compress_above(100)),
            vault(PayloadStorage::new().codec(Turned("turned"))),
            vault(shelved(20).1),
            vault(shelved(0).1.compress_above(0).codec(Turned("turned"))),
        ];
        for (number, vault) in vaults.iter().enumerate() {
            for value in &values {
                let stored = seal(vault, value).await;
                assert_eq!(open(vault, &stored).await, Ok(value.clone()), "{number}");
            }
            let all = vault.seal_all(|| "it".into(), vec![json!(1); 40]).await;
            assert_eq!(all.expect("all").len(), 40);
        }
    }

    #[tokio::test]
    async fn only_what_is_long_and_shrinks_is_compressed_and_everybody_reads_it() {
        let compressing = vault(PayloadStorage::new().compress_above(100));
        for short in [json!("x".repeat(98)), json!({ "b": 1, "$absurd": 1 })] {
            assert_eq!(seal(&compressing, &short).await, short);
        }
        let noise: String = (0..200_u32)
            .map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90))
            .collect();
        assert_eq!(seal(&compressing, &json!(noise)).await, json!(noise));
        let long = json!("x".repeat(99));
        let stored = seal(&compressing, &long).await;
        assert_eq!(encoding(&stored), &json!(["json", "zstd"]));
        assert_eq!(open(&Vault::default(), &stored).await, Ok(long.clone()));
        assert_eq!(seal(&Vault::default(), &long).await, long);
    }

    #[tokio::test]
    async fn a_codec_takes_everything_and_is_missed_by_name() {
        let turning = vault(
            PayloadStorage::new()
                .compress_above(50)
                .codec(Turned("turned")),
        );
        let stored = seal(&turning, &json!("a".repeat(100))).await;
        assert_eq!(encoding(&stored), &json!(["json", "zstd", "turned"]));
        let mut stored = seal(&turning, &json!("secret")).await;
        assert_eq!(encoding(&stored), &json!(["json", "turned"]));
        assert!(!stored.to_string().contains("secret"));
        let other = vault(PayloadStorage::new().codec(Turned("other")));
        for without in [Vault::default(), other] {
            let error = open(&without, &stored).await.expect_err("no such codec");
            assert!(error.contains("the codec `turned`"), "{error}");
        }
        stored["$absurd"]["data"] = json!("AAAA");
        let error = open(&turning, &stored).await.expect_err("not signed");
        assert_eq!(
            error,
            "the codec `turned` can't decode it; was its key changed?"
        );
        for reserved in ["", "json", "zstd"] {
            let named = PayloadStorage::new().codec(Turned(reserved));
            assert!(Vault::new(named).is_err(), "{reserved}");
        }
    }

    #[tokio::test]
    async fn an_object_is_named_by_its_hash_and_found_out_when_changed() {
        let (shelf, storage) = shelved(20);
        let shelving = vault(storage);
        let value = json!("far longer than twenty bytes");
        let stored = seal(&shelving, &value).await;
        assert_eq!(seal(&shelving, &value).await, stored, "the same object");
        let seal = &stored["$absurd"];
        assert_eq!(seal["encoding"], json!(["json"]));
        let object = seal["object"].as_str().expect("a name");
        assert_eq!(
            object,
            format!("payloads/{}", seal["sha256"].as_str().expect("a hash"))
        );
        let lone = open(&Vault::default(), &stored).await;
        assert!(lone.expect_err("no store").contains(object));
        {
            let mut all = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(all.len(), 1);
            all.values_mut().for_each(|bytes| bytes[3] = b'X');
        }
        let changed = open(&shelving, &stored).await.expect_err("changed");
        assert!(changed.contains("other bytes"), "{changed}");
    }

    #[tokio::test]
    async fn what_only_looks_sealed_is_refused_and_not_guessed() {
        let cases = [
            (json!({ "encoding": ["json"] }), "can't be read"),
            (json!({ "encoding": ["json"], "data": "?" }), "no base64"),
            (json!({ "encoding": ["json"], "data": "eA==" }), "no JSON"),
            (
                json!({ "encoding": ["json", "zstd"], "data": "eA==" }),
                "no zstd",
            ),
            (json!({ "encoding": ["cbor"], "data": "eA==" }), "`cbor`"),
        ];
        for (seal, problem) in cases {
            let stored = json!({ "$absurd": seal });
            let error = open(&Vault::default(), &stored).await.expect_err(problem);
            assert!(error.contains(problem), "{error}");
        }
        // Written by somebody who knows nothing of the key.
        let innocent = json!({ "$absurd": "yes" });
        assert_eq!(open(&Vault::default(), &innocent).await, Ok(innocent));
    }
}
