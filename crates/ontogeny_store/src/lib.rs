//! Keeps runs: metric tables, tensors, checkpoints, lineage, ledger; survives crashes; interprets nothing.

mod checkpoint;
mod chunks;
mod codec;
mod disk;
mod error;
mod events;
mod frame;
mod ledger;
mod reader;
mod rows;
mod store;
mod study;
mod table;
mod tape;
mod tensors;
mod tolerant;
mod verify;
mod wire;
mod writer;

pub use checkpoint::{Checkpoint, CheckpointInfo, Dtype, OwnedTensor, TensorView};
pub use error::{Damage, StoreError};
pub use ledger::Ledger;
pub use reader::RunReader;
pub use store::{FORMAT_VERSION, Listing, Store};
pub use study::StudyFolder;
pub use tape::TornTail;
pub use tensors::{TensorReading, TensorValues};
pub use verify::Verification;
pub use writer::RunWriter;
