//! Stores on an object store: S3 and what speaks like it, Google Cloud Storage, Azure, a folder.
//!
//! A store is written on a file system, because an append log needs one, and *pushed*: [`Store::push`] copies what is
//! new, in an order in which every prefix of the copying is a store that can be read. [`Store::open_remote`] reads what
//! was pushed through a folder of copies ([`mirror`]), so that every reader works as it does on disk.
//!
//! The layout is that of the disk, see `docs/store-format.md`.

mod connect;
mod mirror;
mod objects;
mod push;
mod record;
#[cfg(test)]
mod tests;

pub use push::{Push, PushOptions, Pushed};

use crate::{Store, StoreError};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Requests that are under way at once.
const N_REQUESTS: usize = 32;
/// What is longer is sent in parts of half that.
const MULTIPART_BYTES: usize = 16 << 20;

/// A place on an object store that is, or will be, a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Without a slash at its end.
    url: String,
    /// The URL and what else tells this place from others, e.g. the endpoint.
    identity: String,
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    runtime: Runtime,
}

/// What a listing tells of a file.
#[derive(Debug, Clone)]
struct Seen {
    n_bytes: u64,
    etag: String,
}

/// A folder on the object store.
#[derive(Debug, Default)]
struct Folder {
    files: BTreeMap<String, Seen>,
    folders: Vec<String>,
}

/// What came of asking for a file.
#[derive(Debug)]
enum Got {
    /// There is none.
    Nothing,
    /// It is still that of the tag.
    Same,
    New(Vec<u8>, Option<String>),
}

impl Remote {
    /// Prepares to reach a place; nothing is sent yet.
    ///
    /// - `url`: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///folder`, and the other
    ///   forms that the crate `object_store` knows.
    /// - `options`: credentials, region, endpoint, under the names that the tools of the provider use for variables of
    ///   the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...), in any case. Others are passed over.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] if it is none, or an option does not fit.
    pub fn connect(url: &str, options: &BTreeMap<String, String>) -> Result<Self, StoreError> {
        connect::connect(url, options)
    }

    fn new(
        url: &str,
        identity: String,
        store: Arc<dyn ObjectStore>,
        prefix: Key,
    ) -> Result<Self, StoreError> {
        let url = url.trim_end_matches('/').to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| StoreError::Remote {
            action: "start the network",
            url: url.clone(),
            source: Box::new(e),
        })?;
        Ok(Self { inner: Arc::new(Inner { url, identity, store, prefix, runtime }) })
    }

    /// The URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The URL of a file.
    fn url_of(&self, rel: &str) -> String {
        if rel.is_empty() { self.url().to_owned() } else { format!("{}/{rel}", self.url()) }
    }

    fn key(&self, rel: &str) -> Key {
        Key::from(format!("{}/{rel}", self.inner.prefix))
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.inner.runtime.block_on(work)
    }

    fn error(&self, action: &'static str, rel: &str, source: Error) -> StoreError {
        let url = self.url_of(rel);
        let text = source.to_string();
        // Without any credentials the machine's own are asked for at this address, which only clouds have.
        let is_lost = text.contains("169.254.169.254");
        match source {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                StoreError::Credentials { action, url, source: Box::new(source) }
            }
            Error::NotFound { .. } => {
                StoreError::NoBucket { action, url, source: Box::new(source) }
            }
            _ if is_lost => StoreError::Credentials { action, url, source: Box::new(source) },
            _ => StoreError::Remote { action, url, source: Box::new(source) },
        }
    }

    /// A file, unless it is still that of the tag; of one longer than `limit` so much that it shows.
    async fn get(&self, rel: &str, tag: Option<&str>, limit: u64) -> Result<Got, StoreError> {
        let io = |e| self.error("read", rel, e);
        let options = GetOptions::new().with_if_none_match(tag);
        let found = match self.inner.store.get_opts(&self.key(rel), options).await {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(Got::Same),
            Err(e @ Error::NotFound { .. }) => {
                let text = e.to_string();
                let is_bucket = ["NoSuchBucket", "ContainerNotFound"];
                if is_bucket.iter().any(|code| text.contains(code)) {
                    return Err(io(e));
                }
                return Ok(Got::Nothing);
            }
            Err(e) => return Err(io(e)),
        };
        let etag = found.meta.e_tag.clone();
        let mut bytes = Vec::with_capacity(found.meta.size.min(limit) as usize);
        let mut parts = found.into_stream();
        while let Some(part) = parts.try_next().await.map_err(io)? {
            bytes.extend_from_slice(&part);
            if bytes.len() as u64 > limit {
                break;
            }
        }
        Ok(Got::New(bytes, etag))
    }

    /// A file, if it is there.
    async fn get_all(&self, rel: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(match self.get(rel, None, u64::MAX).await? {
            Got::New(bytes, _) => Some(bytes),
            Got::Nothing | Got::Same => None,
        })
    }

    /// Writes a file whole, replacing what is there; gives its tag.
    async fn put(&self, rel: &str, bytes: Vec<u8>) -> Result<String, StoreError> {
        let key = self.key(rel);
        let io = |e| self.error("write", rel, e);
        let bytes = Bytes::from(bytes);
        let put = if bytes.len() > MULTIPART_BYTES {
            let mut upload = self.inner.store.put_multipart(&key).await.map_err(io)?;
            let mut sent = Ok(());
            for at in (0..bytes.len()).step_by(MULTIPART_BYTES / 2) {
                let end = bytes.len().min(at + MULTIPART_BYTES / 2);
                sent = upload.put_part(bytes.slice(at..end).into()).await;
                if sent.is_err() {
                    break;
                }
            }
            match sent {
                Ok(()) => upload.complete().await,
                Err(e) => {
                    // The first failure is the one that is reported.
                    let _ = upload.abort().await;
                    Err(e)
                }
            }
        } else {
            self.inner.store.put(&key, PutPayload::from_bytes(bytes)).await
        };
        Ok(put.map_err(io)?.e_tag.unwrap_or_default())
    }

    /// Writes a file unless there is one; what is there stays.
    async fn create(&self, rel: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        if bytes.len() > MULTIPART_BYTES {
            return self.put(rel, bytes).await.map(drop);
        }
        let bytes = Bytes::from(bytes);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes.clone());
        match self.inner.store.put_opts(&self.key(rel), payload, options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            // Servers that do not know the condition: then the last one wins.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.put(rel, bytes.to_vec()).await.map(drop)
            }
            Err(e) => Err(self.error("write", rel, e)),
        }
    }

    async fn delete(&self, rel: &str) -> Result<(), StoreError> {
        match self.inner.store.delete(&self.key(rel)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.error("remove", rel, e)),
        }
    }

    /// All files below a folder, by their paths in it.
    async fn list(&self, rel: &str) -> Result<BTreeMap<String, Seen>, StoreError> {
        let folder = self.key(rel);
        let all = self.inner.store.list(Some(&folder));
        let all: Vec<_> = all.try_collect().await.map_err(|e| self.error("list", rel, e))?;
        let below = all.into_iter().filter_map(|meta| {
            let parts: Vec<String> =
                meta.location.prefix_match(&folder)?.map(|p| p.as_ref().to_owned()).collect();
            let seen = Seen { n_bytes: meta.size, etag: plain_tag(meta.e_tag.as_deref()) };
            Some((parts.join("/"), seen))
        });
        Ok(below.collect())
    }

    /// Files and folders in a folder.
    async fn list_folder(&self, rel: &str) -> Result<Folder, StoreError> {
        let found = self.inner.store.list_with_delimiter(Some(&self.key(rel))).await;
        let found = found.map_err(|e| self.error("list", rel, e))?;
        let name = |key: &Key| key.filename().map(str::to_owned);
        let files = found.objects.iter().filter_map(|meta| {
            let seen = Seen { n_bytes: meta.size, etag: plain_tag(meta.e_tag.as_deref()) };
            Some((name(&meta.location)?, seen))
        });
        let files = files.collect();
        let mut folders: Vec<String> = found.common_prefixes.iter().filter_map(name).collect();
        folders.sort_unstable();
        Ok(Folder { files, folders })
    }
}

impl Store {
    /// Opens a store that was pushed to an object store, for reading. Copies of what is read are kept in a folder below
    /// `cache`, one for each place: what cannot change is fetched once, of anything else the object store is asked each
    /// time whether it has changed.
    ///
    /// Writing to it, and what lists all objects, is [`StoreError::OnlyRead`].
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::NoBucket`], [`StoreError::Credentials`], [`StoreError::Remote`].
    pub fn open_remote(remote: &Remote, cache: &Path) -> Result<Self, StoreError> {
        let root = mirror::mount(remote, cache)?;
        let url = || remote.url().into();
        let mut store = Self::open(&root).map_err(|e| match e {
            StoreError::NoStore { .. } => StoreError::NoStore { path: url() },
            StoreError::NotAStore { .. } => StoreError::NotAStore { path: url() },
            other => other,
        })?;
        store.url = Some(remote.url().into());
        Ok(store)
    }
}

/// A tag as it can be compared: some providers put quotes around it in one answer and not in another.
fn plain_tag(tag: Option<&str>) -> String {
    tag.unwrap_or_default().trim_matches('"').to_owned()
}
