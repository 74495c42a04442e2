//! What every subcommand is given: where the store is, and how to answer.

use crate::clock::SystemClock;
use crate::place::Place;
use ontogeny_core::RunId;
use ontogeny_lab::RunRecord;
use ontogeny_store::{Store, StoreError};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Where the store is if nobody says otherwise.
const DEFAULT_STORE: &str = "ontogeny-store";

/// The machine's clock, to be lent.
pub(crate) static CLOCK: SystemClock = SystemClock;

/// Where the store is, and how to answer.
#[derive(Debug)]
pub(crate) struct Face {
    /// Answer in JSON.
    pub(crate) json: bool,
    store: Place,
    cache: Option<PathBuf>,
}

impl Face {
    /// The store is the one given, or `ONTOGENY_STORE`, or `./ontogeny-store`.
    pub(crate) fn new(store: Option<PathBuf>, cache: Option<PathBuf>, json: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the command is who reads the environment")]
        let from_environment = || std::env::var_os("ONTOGENY_STORE").filter(|v| !v.is_empty());
        let store = store.or_else(|| from_environment().map(PathBuf::from));
        let store = store.unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
        Self { json, store: Place::new(store), cache }
    }

    /// The store, which must be there.
    pub(crate) fn store(&self) -> Result<Store, StoreError> {
        self.store.open(self.cache.as_deref())
    }

    /// The store, made if need be.
    pub(crate) fn store_or_new(&self) -> Result<Store, StoreError> {
        self.store.open_or_create()
    }
}

/// A run as the analyses see it, finished or not.
pub(crate) fn record(store: &Store, run: &RunId) -> Result<RunRecord, StoreError> {
    RunRecord::read(&store.run(run)?)
}

/// Writes an answer as indented JSON. JSON has no NaN and no infinity: both become null.
pub(crate) fn write_json(out: &mut dyn Write, answer: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    writeln!(out)
}
