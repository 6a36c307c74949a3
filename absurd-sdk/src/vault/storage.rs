//! How payloads are stored, as a client is told.

use std::{error::Error, sync::Arc};

use super::{objects::Offload, sealed};

/// Payloads longer than this are compressed where nothing else is set.
const COMPRESS_ABOVE_DEFAULT: usize = 64 * 1024;
/// Payloads that are still longer than this go to the object store where nothing else is set.
const OFFLOAD_ABOVE_DEFAULT: usize = 1024 * 1024;

/// What a codec can fail with. Its text is shown and stored: keep secrets out of it.
pub type CodecError = Box<dyn Error + Send + Sync>;

/// Turns payloads into other bytes and back, for example to encrypt them.
///
/// `encode` need not give the same bytes each time, so a fresh nonce for each payload is fine.
/// To change keys, put a key's id before the bytes and let `decode` know the old keys too.
pub trait PayloadCodec: Send + Sync {
    /// The bytes to store.
    fn encode(&self, plain: Vec<u8>) -> Result<Vec<u8>, CodecError>;

    /// The bytes that were given to `encode`. Refuse bytes that were tampered with.
    fn decode(&self, stored: Vec<u8>) -> Result<Vec<u8>, CodecError>;

    /// Its name, which is stored with each payload. One name stands for one format for ever.
    fn name(&self) -> &str;
}

/// How a client stores payloads: the params and results of tasks, the results of steps, and what
/// events carry. Whatever is set, reading gives back what was written.
///
/// ```
/// # use absurd_sdk::{Client, Error, PayloadStorage};
/// # async fn connect() -> Result<(), Error> {
/// let client = Client::builder()
///     .payloads(PayloadStorage::new().compress_above(16 * 1024))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct PayloadStorage {
    pub(super) compress_above: Option<usize>,
    pub(super) codec: Option<Arc<dyn PayloadCodec>>,
    pub(super) offload: Option<Offload>,
    pub(super) offload_above: usize,
}

impl PayloadStorage {
    /// Compresses payloads of more than 64 KiB.
    pub fn new() -> Self {
        Self {
            compress_above: Some(COMPRESS_ABOVE_DEFAULT),
            ..Self::plain()
        }
    }

    /// What clients do that were told nothing: they store JSON as it is.
    pub(super) fn plain() -> Self {
        Self {
            compress_above: None,
            codec: None,
            offload: None,
            offload_above: OFFLOAD_ABOVE_DEFAULT,
        }
    }

    /// Compresses payloads whose JSON is longer than this, in bytes, if that makes them smaller.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = Some(bytes);
        self
    }

    /// Passes every payload through a codec, small ones too, after compression. Workers and
    /// clients that share queues need the same one.
    pub fn codec(mut self, codec: impl PayloadCodec + 'static) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Puts large payloads into an object store, under `<prefix>/<SHA-256 of the bytes>`. The
    /// database keeps the name and the hash. Objects are never deleted by the SDK.
    #[cfg(feature = "object-store")]
    pub fn object_store(
        mut self,
        store: Arc<dyn object_store::ObjectStore>,
        prefix: impl AsRef<str>,
    ) -> Self {
        self.offload = Some(Offload::to(store, prefix.as_ref()));
        self
    }

    /// Which payloads are large: those whose bytes, compressed and encoded, are more than this.
    /// One MiB where it is not set.
    #[cfg(feature = "object-store")]
    pub fn offload_above(mut self, bytes: usize) -> Self {
        self.offload_above = bytes;
        self
    }

    /// What is wrong with these options, if something is.
    pub(super) fn problem(&self) -> Option<String> {
        let name = self.codec.as_ref()?.name();
        if name.is_empty() || name == sealed::JSON || name == sealed::ZSTD {
            return Some(format!(
                "a codec can't be named `{name}`; give it another name"
            ));
        }
        name.contains('\0')
            .then(|| "the codec's name holds a zero character; leave it out".to_owned())
    }
}

impl Default for PayloadStorage {
    fn default() -> Self {
        Self::new()
    }
}
