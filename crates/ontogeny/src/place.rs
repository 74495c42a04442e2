//! Where the store is: a folder, or the URL of an object store.

use ontogeny_store::{Store, StoreError};
use std::path::{Path, PathBuf};

/// Where the store is.
#[derive(Debug)]
pub(crate) enum Place {
    /// A folder on disk.
    Folder(PathBuf),
    /// On an object store, where it is only read.
    Url(String),
}

impl Place {
    pub(crate) fn new(store: PathBuf) -> Self {
        match store.to_str() {
            Some(text) if text.contains("://") => Self::Url(text.to_owned()),
            _ => Self::Folder(store),
        }
    }

    /// Opens the store there. Of one on an object store, copies of what is read are kept below `cache`.
    pub(crate) fn open(&self, cache: Option<&Path>) -> Result<Store, StoreError> {
        match self {
            Self::Folder(path) => Store::open(path),
            Self::Url(url) => open_url(url, cache),
        }
    }

    /// Opens the store there for writing, and makes it if need be.
    pub(crate) fn open_or_create(&self) -> Result<Store, StoreError> {
        match self {
            Self::Folder(path) => Store::open_or_create(path),
            Self::Url(url) => Err(StoreError::OnlyRead { action: "write", url: url.clone() }),
        }
    }
}

#[cfg(not(feature = "object-store"))]
fn open_url(url: &str, _cache: Option<&Path>) -> Result<Store, StoreError> {
    Err(StoreError::NoObjectStores { url: url.to_owned() })
}

#[cfg(feature = "object-store")]
fn open_url(url: &str, cache: Option<&Path>) -> Result<Store, StoreError> {
    let cache = cache.map_or_else(from_environment::cache, Path::to_path_buf);
    Store::open_remote(&remote(url)?, &cache)
}

/// A place on an object store, with what the environment says about how to reach it.
#[cfg(feature = "object-store")]
pub(crate) fn remote(url: &str) -> Result<ontogeny_store::Remote, StoreError> {
    ontogeny_store::Remote::connect(url, &from_environment::options())
}

#[cfg(feature = "object-store")]
mod from_environment {
    #![expect(clippy::disallowed_methods, reason = "the command is who reads the environment")]

    use std::collections::BTreeMap;
    use std::path::PathBuf;

    /// Credentials, region, endpoint: the variables that the tools of the providers read.
    pub(super) fn options() -> BTreeMap<String, String> {
        let of_provider =
            |key: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|p| key.starts_with(p));
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).filter(|(key, _)| of_provider(key)).collect()
    }

    /// The folder for copies where nobody names one: that of the system, or else one in the working folder.
    pub(super) fn cache() -> PathBuf {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let of_system = || {
            if cfg!(windows) {
                return Some(variable("LOCALAPPDATA")?.join("ontogeny").join("cache"));
            }
            let home = |below: &str| Some(variable("HOME")?.join(below).join("ontogeny"));
            if cfg!(target_os = "macos") {
                return home("Library/Caches");
            }
            variable("XDG_CACHE_HOME").map(|c| c.join("ontogeny")).or_else(|| home(".cache"))
        };
        let chosen = variable("ONTOGENY_CACHE").or_else(of_system);
        chosen.unwrap_or_else(|| PathBuf::from("ontogeny-cache"))
    }
}
