//! Payloads that lie in an object store, under the hash of their bytes: writing one twice does no
//! harm, and one that was changed is found out.

use std::{error::Error, sync::Arc};

use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::sealed::Content;
use crate::payload::PayloadError;

type StoreError = Box<dyn Error + Send + Sync>;

/// The two things asked of an object store, so that all but them is free of the feature.
pub(super) trait Objects: Send + Sync {
    fn put<'a>(&'a self, object: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>>;

    fn get<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>>;
}

/// An object store and the place of payloads in it.
#[derive(Clone)]
pub(super) struct Offload {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) prefix: String,
}

impl Offload {
    pub(super) async fn put(
        &self,
        what: &impl Fn() -> String,
        bytes: Vec<u8>,
    ) -> Result<Content, PayloadError> {
        let sha256 = hash(&bytes);
        let object = match self.prefix.as_str() {
            "" => sha256.clone(),
            prefix => format!("{prefix}/{sha256}"),
        };
        let length = bytes.len();
        let put = self.objects.put(&object, bytes).await;
        put.map_err(|source| failed(what, &object, source))?;
        Ok(Content::Object {
            object,
            bytes: length,
            sha256,
        })
    }

    pub(super) async fn get(
        &self,
        what: &impl Fn() -> String,
        object: &str,
        sha256: &str,
    ) -> Result<Vec<u8>, PayloadError> {
        let got = self.objects.get(object).await;
        let bytes = got.map_err(|source| failed(what, object, source))?;
        if hash(&bytes) != sha256 {
            return Err(PayloadError::Damaged {
                what: what(),
                problem: format!("the object `{object}` has other bytes than were stored"),
            });
        }
        Ok(bytes)
    }
}

fn failed(what: &impl Fn() -> String, object: &str, source: StoreError) -> PayloadError {
    PayloadError::ObjectStore {
        what: what(),
        object: object.to_owned(),
        source,
    }
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(feature = "object-store")]
mod store {
    use object_store::{GetOptions, ObjectStore, PutOptions, path::Path};

    use super::{Arc, BoxFuture, Objects, Offload, StoreError};

    impl Offload {
        pub(in crate::vault) fn to(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
            Self {
                objects: Arc::new(store),
                prefix: Path::from(prefix).to_string(),
            }
        }
    }

    impl Objects for Arc<dyn ObjectStore> {
        fn put<'a>(
            &'a self,
            object: &'a str,
            bytes: Vec<u8>,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async move {
                let path = Path::parse(object)?;
                self.put_opts(&path, bytes.into(), PutOptions::default())
                    .await?;
                Ok(())
            })
        }

        fn get<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
            Box::pin(async move {
                let path = Path::parse(object)?;
                let found = self.get_opts(&path, GetOptions::default()).await?;
                Ok(found.bytes().await?.into())
            })
        }
    }
}
