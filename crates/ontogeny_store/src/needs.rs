//! Which objects are needed, and by whom.
//!
//! Needed is what a list of a checkpoint names, and what such an object is stored against, and so on. Lists are
//! looked for everywhere below the store, in runs, zooms, unfinished folders and what was set aside: a list that is
//! found without reason costs space, one that is missed costs a checkpoint.

use crate::chain;
use crate::checkpoint;
use crate::chunks::ChunkId;
use crate::codec::RawId;
use crate::{Damage, Store, StoreError, disk};
use ontogeny_core::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Folders in one another, at most; what is deeper is not ours and would be a circle.
const MAX_DEPTH: usize = 16;

/// A list or an object that cannot be read, so that nobody knows what it needs.
#[derive(Debug, Clone)]
pub struct Obstacle {
    /// The run that needs it; for what lies outside of `runs/` the name of its folder in the store.
    pub owner: String,
    /// What is wrong.
    pub error: Arc<StoreError>,
}

/// What the lists below one run name.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    named: BTreeSet<RawId>,
    pub(crate) n_lists: usize,
    problems: Vec<Arc<StoreError>>,
}

/// What objects are stored against. Objects do not change while the store has them, so this stays true until one is
/// removed.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    known: BTreeMap<RawId, Vec<RawId>>,
    broken: BTreeMap<RawId, Arc<StoreError>>,
}

/// The lists of a store at a moment.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) owners: BTreeMap<String, Owner>,
}

impl Needs {
    /// Reads all lists.
    pub(crate) fn read(store: &Store) -> Result<Self, StoreError> {
        let mut needs = Self::default();
        for name in disk::names(store.path())? {
            // Neither has lists, and a name there is no run's.
            if name == "objects" || name == "ledger" {
                continue;
            }
            let dir = store.path().join(&name);
            if name == "runs" {
                for run in disk::names(&dir)? {
                    needs.look_into(&dir.join(&run), &run, 1)?;
                }
            } else {
                needs.look_into(&dir, &name, 1)?;
            }
        }
        Ok(needs)
    }

    fn look_into(&mut self, dir: &Path, owner: &str, depth: usize) -> Result<(), StoreError> {
        if !dir.is_dir() {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            let source = std::io::ErrorKind::InvalidInput.into();
            return Err(StoreError::io("follow folders down to", dir, source));
        }
        for name in disk::names(dir)? {
            if name == "checkpoints" {
                self.take_lists(dir, owner)?;
            }
            self.look_into(&dir.join(name), owner, depth + 1)?;
        }
        Ok(())
    }

    fn take_lists(&mut self, dir: &Path, owner: &str) -> Result<(), StoreError> {
        let lists = dir.join("checkpoints");
        for name in disk::names(&lists)? {
            let Some(stem) = name.strip_suffix(".json").filter(|s| !s.starts_with('.')) else {
                continue;
            };
            let path = lists.join(&name);
            let named = stem.parse().map_err(|_ignored| {
                let found = "no step".to_owned();
                StoreError::damaged(&path, Damage::Misplaced { found })
            });
            let named = named.and_then(|step| checkpoint::chunks_named(dir, Step(step)));
            let owner = self.owners.entry(owner.to_owned()).or_default();
            owner.n_lists += 1;
            match named {
                Err(e) => owner.problems.push(Arc::new(e)),
                Ok(ids) => {
                    for id in ids {
                        if let Some(raw) = id.to_raw() {
                            owner.named.insert(raw);
                        } else {
                            let chunk = id.as_str().to_owned();
                            let e = StoreError::damaged(&path, Damage::Chunk { chunk });
                            owner.problems.push(Arc::new(e));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything that an owner needs, and what stands in the way of knowing that.
    pub(crate) fn of(
        &self,
        name: &str,
        objects: &Path,
        bases: &mut Bases,
    ) -> (BTreeSet<RawId>, Vec<Obstacle>) {
        let (mut needed, mut obstacles) = (BTreeSet::new(), Vec::new());
        let Some(owner) = self.owners.get(name) else { return (needed, obstacles) };
        let mut block = |error| obstacles.push(Obstacle { owner: name.to_owned(), error });
        owner.problems.iter().cloned().for_each(&mut block);
        let mut waiting: Vec<RawId> = owner.named.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            if !needed.insert(id) {
                continue;
            }
            match bases.of(objects, id) {
                Ok(more) => waiting.extend_from_slice(more),
                Err(e) => block(e),
            }
        }
        (needed, obstacles)
    }
}

impl Bases {
    /// Reads everything that any owner needs, by so many threads. `seen` hears how many objects are known.
    pub(crate) fn learn(
        &mut self,
        needs: &Needs,
        objects: &Path,
        n_threads: usize,
        seen: &(dyn Fn(usize) + Sync),
    ) {
        let named = needs.owners.values().flat_map(|o| o.named.iter().copied());
        let mut wave: BTreeSet<RawId> = named.collect();
        loop {
            wave.retain(|id| !self.known.contains_key(id) && !self.broken.contains_key(id));
            if wave.is_empty() {
                return;
            }
            let ids: Vec<RawId> = std::mem::take(&mut wave).into_iter().collect();
            let n_before = self.known.len();
            let next = AtomicUsize::new(0);
            let work = || {
                let mut found = Vec::new();
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(id) = ids.get(i) else { return found };
                    found.push((*id, chain::bases(objects, &ChunkId::from_raw(id))));
                    seen(n_before + i + 1);
                }
            };
            let found = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (1..n_threads.min(ids.len())).map(|_| scope.spawn(work)).collect();
                let mut found = work();
                for thread in threads {
                    match thread.join() {
                        Ok(more) => found.extend(more),
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
                found
            });
            for (id, bases) in found {
                if let Ok(bases) = &bases {
                    wave.extend(bases.iter().filter_map(ChunkId::to_raw));
                }
                self.insert(id, bases);
            }
        }
    }

    fn insert(&mut self, id: RawId, found: Result<Vec<ChunkId>, StoreError>) {
        match found {
            Ok(found) => {
                let found = found.iter().filter_map(ChunkId::to_raw).collect();
                self.known.insert(id, found);
            }
            Err(e) => drop(self.broken.insert(id, Arc::new(e))),
        }
    }

    fn of(&mut self, objects: &Path, id: RawId) -> Result<&[RawId], Arc<StoreError>> {
        if !self.known.contains_key(&id) && !self.broken.contains_key(&id) {
            self.insert(id, chain::bases(objects, &ChunkId::from_raw(&id)));
        }
        match self.broken.get(&id) {
            Some(e) => Err(Arc::clone(e)),
            None => Ok(self.known.get(&id).map_or(&[], Vec::as_slice)),
        }
    }

    /// Looks again at what could not be read.
    pub(crate) fn forget_broken(&mut self) {
        self.broken.clear();
    }
}

/// An object on disk.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: RawId,
    pub(crate) path: PathBuf,
    pub(crate) n_bytes: u64,
}

/// What lies in `objects/`.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) objects: Vec<Stored>,
    /// Files that have no name yet, with their sizes.
    pub(crate) unfinished: Vec<(PathBuf, u64)>,
}

impl Inventory {
    /// Lists objects; what is neither an object nor unfinished is not ours, and left alone.
    pub(crate) fn read(objects: &Path) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for folder in disk::names(objects)?.into_iter().filter(|n| n.len() == 2) {
            let dir = objects.join(&folder);
            if !dir.is_dir() {
                continue;
            }
            for name in disk::names(&dir)? {
                let path = dir.join(&name);
                // Somebody else may have removed or named it meanwhile.
                let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
                if !meta.is_file() {
                    continue;
                }
                if name.starts_with(".tmp-") {
                    found.unfinished.push((path, meta.len()));
                } else if let Some(id) =
                    ChunkId::from_name(&name).filter(|_| name.starts_with(&folder))
                {
                    found.objects.push(Stored { id, path, n_bytes: meta.len() });
                }
            }
        }
        Ok(found)
    }
}
