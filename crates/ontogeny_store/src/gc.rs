//! Collecting garbage: objects that no checkpoint needs.

use crate::codec::RawId;
use crate::needs::{Bases, Inventory, Needs, Obstacle};
use crate::{Store, StoreError, gate, lock, mounts};
use ontogeny_core::RunId;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a collection of garbage found, and perhaps removed.
#[derive(Debug, Default)]
pub struct Collection {
    /// Objects that are needed.
    pub n_needed: usize,
    /// Objects that nobody needs.
    pub n_objects: usize,
    /// Bytes of these.
    pub object_bytes: u64,
    /// Objects that were never finished.
    pub n_unfinished: usize,
    /// Bytes of these.
    pub unfinished_bytes: u64,
    /// What could not be read. While there is any, nothing is removed.
    pub obstacles: Vec<Obstacle>,
    /// What could not be read in runs that were to be ignored.
    pub ignored: Vec<Obstacle>,
    /// Whether the garbage was removed.
    pub is_removed: bool,
}

impl Store {
    /// Finds objects that no list of a checkpoint needs, in any run, zoom or unfinished folder, directly or because a
    /// needed one is stored against it; with `remove`, removes them, and objects that dead writers have left
    /// unfinished. If any list or needed object cannot be read nothing is removed, unless only runs in `ignored`
    /// need it.
    ///
    /// Writers may be at work. Those that store a checkpoint wait while garbage is removed; without `remove` nobody
    /// waits, and what is about to be needed may be counted.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] for a run to ignore that is not there; errors of the file system.
    pub fn collect_garbage(
        &self,
        ignored: &[RunId],
        remove: bool,
    ) -> Result<Collection, StoreError> {
        self.collect_garbage_with(ignored, remove, 1, &|_, _| {})
    }

    /// As [`Store::collect_garbage`], by so many threads. `seen` hears how many of how many objects are read, of which
    /// some may not have to be.
    ///
    /// # Errors
    /// As [`Store::collect_garbage`].
    pub fn collect_garbage_with(
        &self,
        ignored: &[RunId],
        remove: bool,
        n_threads: usize,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Collection, StoreError> {
        mounts::refuse(self.path(), "collect garbage")?;
        for run in ignored {
            self.existing(run)?;
        }
        let objects = self.objects_dir();
        if !objects.is_dir() {
            return Ok(Collection { is_removed: remove, ..Collection::default() });
        }
        // Of two collections one waits: what this one has learned about objects must stay true.
        let _only = remove.then(|| lock::wait(&objects.join("gc.lock"))).transpose()?;
        let mut bases = Bases::default();
        // The long look is taken while writers go on.
        let reading = Reading { n_threads, seen };
        let (found, _) = self.look(ignored, &mut bases, &reading)?;
        let is_clean = found.n_objects + found.n_unfinished == 0;
        if !remove || !found.obstacles.is_empty() || is_clean {
            let is_removed = remove && found.obstacles.is_empty();
            return Ok(Collection { is_removed, ..found });
        }
        let closed = gate::close(&objects)?;
        bases.forget_broken();
        let (found, garbage) = self.look(ignored, &mut bases, &reading)?;
        if !found.obstacles.is_empty() {
            return Ok(found);
        }
        gate::next_generation(&objects, &closed)?;
        garbage.iter().try_for_each(|path| remove_file(path))?;
        Ok(Collection { is_removed: true, ..found })
    }

    fn look(
        &self,
        ignored: &[RunId],
        bases: &mut Bases,
        reading: &Reading<'_>,
    ) -> Result<(Collection, Vec<PathBuf>), StoreError> {
        let objects = self.objects_dir();
        // Objects first: what comes after that is not among them.
        let inventory = Inventory::read(&objects)?;
        let needs = Needs::read(self)?;
        let n_objects = inventory.objects.len();
        bases.learn(&needs, &objects, reading.n_threads, &|n| (reading.seen)(n, n_objects));
        let mut needed: BTreeSet<RawId> = BTreeSet::new();
        let mut found = Collection::default();
        for name in needs.owners.keys() {
            let (ids, obstacles) = needs.of(name, &objects, bases);
            needed.extend(ids);
            let is_ignored = ignored.iter().any(|run| run.as_str() == name);
            let list = if is_ignored { &mut found.ignored } else { &mut found.obstacles };
            list.extend(obstacles);
        }
        let mut garbage = Vec::new();
        for object in inventory.objects {
            if needed.contains(&object.id) {
                found.n_needed += 1;
            } else {
                found.n_objects += 1;
                found.object_bytes += object.n_bytes;
                garbage.push(object.path);
            }
        }
        found.n_unfinished = inventory.unfinished.len();
        for (path, n_bytes) in inventory.unfinished {
            found.unfinished_bytes += n_bytes;
            garbage.push(path);
        }
        Ok((found, garbage))
    }
}

/// How objects are read.
struct Reading<'a> {
    n_threads: usize,
    /// Hears how many of how many are done.
    seen: &'a (dyn Fn(usize, usize) + Sync),
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        // A writer that failed has tidied up after itself.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|e| StoreError::io("remove", path, e)),
    }
}
