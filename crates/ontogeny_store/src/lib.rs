//! Keeps runs: metric tables, tensors, checkpoints, lineage, ledger; survives crashes; interprets nothing.
//!
//! A [`Store`] is a folder. [`Store::create_run`] and [`Store::resume_run`] give the one [`RunWriter`] of a run,
//! [`Store::run`] any number of [`RunReader`]s, [`Store::ledger`] the record of claims, [`Store::study`] the
//! folder of a study. Every file is described in `docs/store-format.md`.
//!
//! # When is something on disk?
//!
//! | call | after it, the data survives |
//! |---|---|
//! | [`RunWriter::append`], [`RunWriter::append_tensor`] | nothing yet: rows gather in memory (up to 64 KiB) |
//! | [`RunWriter::flush`], dropping the writer | the death of the process; readers see it |
//! | [`RunWriter::sync`] | power loss: *acknowledged* |
//! | [`RunWriter::checkpoint`] | power loss, and so does every row appended before it |
//! | [`RunWriter::checkpoint_later`], [`RunWriter::set_manifest_later`] | nothing yet; [`RunWriter::sync`] or dropping the writer waits until it is there, all or the first part of it |
//! | [`RunWriter::set_manifest`], [`RunWriter::write_events`], [`RunWriter::seal`] | power loss |
//! | [`Ledger::append`], everything of [`StudyFolder`] | power loss |
//!
//! What is acknowledged is read back or reported as damaged, never silently missing. A failed fsync leaves the
//! state of the disk unknown, so the writer then refuses to go on until the run is resumed.
//!
//! # Going back
//!
//! A run that resumes from a checkpoint calls [`RunWriter::truncate_after`] with its step and records the rows
//! after it again. Rows in the live log are dropped. Sealed segments are never changed: what is void in them is
//! noted, and [`RunReader`] leaves it out; another tool sees both and takes the row of the later file. Segments
//! are sealed at checkpoints whenever possible, so a resume from the last one meets no sealed rows.
//!
//! # Looking closer
//!
//! [`Store::begin_zoom`] keeps readings of a stretch that was executed again, beside the run and without
//! touching it. [`RunReader::series`] shows both together, [`RunReader::recorded`] what was recorded alone.
//!
//! # Examples
//! ```
//! # use ontogeny_core::*;
//! # use ontogeny_store::{OwnedTensor, Store, StoreError};
//! # let dir = tempfile::tempdir().expect("a temporary folder");
//! # let run = RunId::new("wd1-s0").expect("a valid name");
//! # let manifest = RunManifest {
//! #     format_version: RunManifest::FORMAT_VERSION, run: run.clone(), study: None, role: "fit".into(),
//! #     cell: String::new(), config: serde_json::json!({}), seeds: Seeds::all(0), fork: None, rules: vec![],
//! #     versions: Versions { ontogeny: String::new(), engine: String::new() }, created_unix_secs: 0.0,
//! #     step: Step(0), clocks: Clocks::default(), status: RunStatus::Open, unread: Default::default(),
//! # };
//! let store = Store::open_or_create(dir.path())?;
//! let mut writer = store.create_run(&manifest)?;
//! writer.append(Step(0), Clocks::default(), &[("train.loss", "nats", 4.73)])?;
//! let weights = OwnedTensor::from_f32("embed", &[2, 2], &[0.1, 0.2, 0.3, 0.4]);
//! writer.checkpoint(Step(0), &[weights.view()], serde_json::json!({ "cursor": 0 }))?;
//!
//! let reader = store.run(&run)?;
//! assert_eq!(reader.series("train.loss")?.and_then(|s| s.last()).map(|p| p.value), Some(4.73));
//! assert_eq!(reader.checkpoint(Step(0))?.tensors, [weights]);
//! # Ok::<(), StoreError>(())
//! ```

mod background;
mod chain;
mod checkpoint;
mod chunks;
mod codec;
mod disk;
mod error;
mod events;
mod faults;
mod frame;
mod gate;
mod gc;
mod index;
mod indices;
mod inventory;
mod ledger;
mod lock;
mod mounts;
mod needs;
mod pyramid;
mod reader;
#[cfg(feature = "object-store")]
mod remote;
mod repair;
mod rows;
mod series_tape;
mod single;
mod staging;
mod store;
mod study;
mod table;
mod tape;
mod tensors;
mod tolerant;
mod usage;
mod verify;
mod whole;
mod wire;
mod writer;
mod zoom;

pub use checkpoint::{Checkpoint, CheckpointInfo, OwnedTensor, TensorView};
pub use error::{Damage, StoreError};
pub use gc::Collection;
pub use inventory::{CheckpointSummary, TensorInfo, state_hash};
pub use ledger::Ledger;
pub use needs::Obstacle;
pub use ontogeny_core::Dtype;
pub use pyramid::{Bin, Overview};
pub use reader::RunReader;
#[cfg(feature = "object-store")]
pub use remote::{Push, PushOptions, Pushed, Remote};
pub use repair::{Left, Repair, Repairs};
pub use series_tape::Reading;
pub use single::SeriesSummary;
pub use staging::Staging;
pub use store::{FORMAT_VERSION, Listing, Store};
pub use study::StudyFolder;
pub use tape::TornTail;
pub use tensors::{TensorReading, TensorValues};
pub use usage::{RunUsage, Usage};
pub use verify::Verification;
pub use writer::RunWriter;
pub use zoom::{ZoomListing, ZoomWriter};
