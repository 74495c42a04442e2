//! From a URL to an object store.

use super::Remote;
use crate::StoreError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// After so many attempts, or so long, a person is told.
const N_RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_mins(1);
/// One request may take that long: a part of 8 MiB over a slow line.
const REQUEST_FOR: &str = "300 seconds";
const CONNECT_FOR: &str = "10 seconds";

pub(super) fn connect(
    text: &str,
    options: &BTreeMap<String, String>,
) -> Result<Remote, StoreError> {
    let bad = |why: String| StoreError::BadUrl { url: text.to_owned(), why };
    let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|e| bad(e.to_string()))?;
    let retry = || RetryConfig {
        max_retries: N_RETRIES,
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    };
    let build = |e: object_store::Error| bad(e.to_string());
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let mut builder = AmazonS3Builder::new().with_url(text).with_retry(retry());
            for (key, value) in chosen::<AmazonS3ConfigKey>(options, AmazonS3ConfigKey::Client) {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.build().map_err(build)?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let mut builder = GoogleCloudStorageBuilder::new().with_url(text).with_retry(retry());
            for (key, value) in chosen::<GoogleConfigKey>(options, GoogleConfigKey::Client) {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.build().map_err(build)?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(text).with_retry(retry());
            for (key, value) in chosen::<AzureConfigKey>(options, AzureConfigKey::Client) {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.build().map_err(build)?)
        }
        ObjectStoreScheme::Local => Arc::new(LocalFileSystem::new()),
        _ => return Err(bad(format!("`{}://` is no object store that is known", url.scheme()))),
    };
    // Buckets of the same name may lie on different servers.
    let of_place = |key: &&String| {
        let key = key.to_ascii_lowercase();
        ["endpoint", "account_name", "emulator", "base_url"].iter().any(|part| key.contains(part))
    };
    let place = options.iter().filter(|(key, _)| of_place(key));
    let place: Vec<String> =
        place.map(|(k, v)| format!("{}={v}", k.to_ascii_lowercase())).collect();
    let identity = format!("{} {}", text.trim_end_matches('/'), place.join(" "));
    Remote::new(text, identity, store, prefix)
}

/// The options that a provider knows, with our patience where nobody says otherwise.
fn chosen<K: FromStr>(
    options: &BTreeMap<String, String>,
    of_client: impl Fn(ClientConfigKey) -> K,
) -> Vec<(K, String)> {
    let patience = [
        (of_client(ClientConfigKey::Timeout), REQUEST_FOR.to_owned()),
        (of_client(ClientConfigKey::ConnectTimeout), CONNECT_FOR.to_owned()),
    ];
    let known = options.iter().filter_map(|(key, value)| {
        let key = key.to_ascii_lowercase().parse().ok()?;
        Some((key, value.clone()))
    });
    patience.into_iter().chain(known).collect()
}
