//! Who stores checkpoints keeps collections of garbage out, and the other way round.
//!
//! A writer is *inside* from before it puts the first chunk of a checkpoint, or finds one that is there, until the list
//! that names them has its name. Inside it has `objects/lock` together with other writers. A collection has it alone,
//! so that it sees every list of what it finds. Writers pass `objects/door` on their way in, and a collection closes it
//! first: many writers that come and go cannot keep it waiting for ever. The operating system frees the locks of the
//! dead.
//!
//! Between two checkpoints a writer remembers chunks that were there. `objects/generation` counts collections; where
//! it has changed, the writer forgets them.

use crate::lock::{self, Lock};
use crate::{StoreError, disk};
use std::path::Path;

/// The two locks of a collection. Nobody is inside.
#[derive(Debug)]
pub(crate) struct Closed {
    _inside: Lock,
    _door: Lock,
}

/// Goes inside.
pub(crate) fn enter(objects: &Path) -> Result<Lock, StoreError> {
    let _door = lock::share(&objects.join("door"))?;
    lock::share(&objects.join("lock"))
}

/// Waits until nobody is inside, and keeps it so.
pub(crate) fn close(objects: &Path) -> Result<Closed, StoreError> {
    let door = lock::wait(&objects.join("door"))?;
    Ok(Closed { _inside: lock::wait(&objects.join("lock"))?, _door: door })
}

/// Collections so far.
pub(crate) fn generation(objects: &Path) -> Result<u64, StoreError> {
    Ok(disk::read_json(&objects.join("generation"))?.unwrap_or(0))
}

/// Counts one more, before anything is removed.
pub(crate) fn next_generation(objects: &Path, _closed: &Closed) -> Result<(), StoreError> {
    let path = objects.join("generation");
    // What cannot be read is like none: any other number than before will do.
    let now = generation(objects).unwrap_or(0) + 1;
    disk::replace_json(&path, &now)
}
