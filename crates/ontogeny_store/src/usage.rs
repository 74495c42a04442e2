//! What takes how much space.

use crate::needs::{Bases, Inventory, Needs, Obstacle};
use crate::{Store, StoreError, disk, mounts, runs_index};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes that the files of a run take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUsage {
    /// Name of its folder.
    pub run: String,
    /// Rows: logs and segments.
    pub metrics: u64,
    /// Vector-valued readings.
    pub tensors: u64,
    /// Lists of checkpoints.
    pub lists: u64,
    /// Zooms, without their objects.
    pub zooms: u64,
    /// Manifest, events, what was set aside, and anything else.
    pub other: u64,
    /// Objects that no other run needs: what would become garbage with the run.
    pub objects_alone: u64,
    /// Objects that others need too.
    pub objects_shared: u64,
    /// Checkpoints, those of zooms included.
    pub n_checkpoints: usize,
}

/// Bytes that the files of a store take.
#[derive(Debug, Default)]
pub struct Usage {
    /// The runs by their names.
    pub runs: Vec<RunUsage>,
    /// Studies.
    pub studies: u64,
    /// The ledger.
    pub ledger: u64,
    /// Copies of manifests, for listings.
    pub index: u64,
    /// Objects that some run needs, each counted once.
    pub objects: u64,
    /// Objects that nobody needs, and unfinished ones. While somebody writes, what is about to be needed is among
    /// them.
    pub garbage: u64,
    /// Unfinished folders of imports.
    pub unfinished: u64,
    /// What could not be read, and may need some of the garbage.
    pub obstacles: Vec<Obstacle>,
}

impl Usage {
    /// Bytes of all files.
    pub fn total(&self) -> u64 {
        let files = |r: &RunUsage| r.metrics + r.tensors + r.lists + r.zooms + r.other;
        let runs: u64 = self.runs.iter().map(files).sum();
        runs + self.studies
            + self.ledger
            + self.index
            + self.objects
            + self.garbage
            + self.unfinished
    }
}

impl Store {
    /// Adds up files. Reads every object that is in use, to know what it is stored against.
    ///
    /// # Errors
    /// If a folder cannot be listed; what cannot be read is an obstacle in the result.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        self.usage_with(1, &|_, _| {})
    }

    /// As [`Store::usage`], by so many threads. `seen` hears how many of how many objects are read, of which some may
    /// not have to be.
    ///
    /// # Errors
    /// As [`Store::usage`].
    pub fn usage_with(
        &self,
        n_threads: usize,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Usage, StoreError> {
        mounts::refuse(self.path(), "add up what takes space")?;
        let mut usage = Usage {
            studies: size_below(&self.path().join("studies"))?,
            ledger: size_below(&self.path().join("ledger"))?,
            index: size_below(&runs_index::folder(self.path()))?,
            ..Usage::default()
        };
        for name in disk::names(self.path())?.into_iter().filter(|n| n.starts_with(".tmp-")) {
            usage.unfinished += size_below(&self.path().join(name))?;
        }
        let objects = self.objects_dir();
        let inventory = Inventory::read(&objects)?;
        let needs = Needs::read(self)?;
        let mut bases = Bases::default();
        let n_objects = inventory.objects.len();
        bases.learn(&needs, &objects, n_threads, &|n| seen(n, n_objects));
        let mut needed = BTreeMap::new();
        let mut n_owners: BTreeMap<_, usize> = BTreeMap::new();
        for name in needs.owners.keys() {
            let (ids, obstacles) = needs.of(name, &objects, &mut bases);
            for id in &ids {
                *n_owners.entry(*id).or_default() += 1;
            }
            usage.obstacles.extend(obstacles);
            needed.insert(name.as_str(), ids);
        }
        let sizes: BTreeMap<_, u64> = inventory.objects.iter().map(|o| (o.id, o.n_bytes)).collect();
        for (id, n_bytes) in &sizes {
            if n_owners.contains_key(id) {
                usage.objects += n_bytes;
            } else {
                usage.garbage += n_bytes;
            }
        }
        usage.garbage += inventory.unfinished.iter().map(|(_, n)| n).sum::<u64>();
        let runs = self.path().join("runs");
        for name in disk::names(&runs)?.into_iter().filter(|n| runs.join(n).is_dir()) {
            let mut of_run = files_of(&runs.join(&name), &name)?;
            of_run.n_checkpoints = needs.owners.get(&name).map_or(0, |o| o.n_lists);
            for id in needed.get(name.as_str()).into_iter().flatten() {
                let n_bytes = sizes.get(id).copied().unwrap_or(0);
                if n_owners[id] > 1 {
                    of_run.objects_shared += n_bytes;
                } else {
                    of_run.objects_alone += n_bytes;
                }
            }
            usage.runs.push(of_run);
        }
        Ok(usage)
    }
}

fn files_of(dir: &Path, run: &str) -> Result<RunUsage, StoreError> {
    let mut usage = RunUsage { run: run.to_owned(), ..RunUsage::default() };
    for name in disk::names(dir)? {
        let n_bytes = size_below(&dir.join(&name))?;
        let kind = match name.as_str() {
            "metrics" => &mut usage.metrics,
            "tensors" => &mut usage.tensors,
            "checkpoints" => &mut usage.lists,
            "zooms" => &mut usage.zooms,
            _ => &mut usage.other,
        };
        *kind += n_bytes;
    }
    Ok(usage)
}

/// Bytes of a file or of all files below a folder; what goes away meanwhile counts nothing.
fn size_below(path: &Path) -> Result<u64, StoreError> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(0) };
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    disk::names(path)?.iter().map(|n| size_below(&path.join(n))).sum()
}
