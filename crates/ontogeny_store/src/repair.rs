//! Putting in order what can be proven to be out of order.
//!
//! Removed is only what a dead writer had not finished, cut only what was never acknowledged. Damaged files are moved
//! to `<run>/damaged/<n>/`, under the name that they had. What cannot be put in order is named and left.

use crate::checkpoint;
use crate::lock::{self, Lock};
use crate::{
    RunReader, Store, StoreError, TornTail, disk, events, indices, mounts, runs_index, segments,
    zoom,
};
use ontogeny_core::RunId;
use std::fs;
use std::path::{Path, PathBuf};

/// Something that is put in order.
#[derive(Debug)]
pub enum Repair {
    /// An unfinished file or folder whose writer is dead goes, or what is made anew or superseded.
    Remove {
        /// Where it is.
        path: PathBuf,
    },
    /// The end of a log or of the ledger, which was never acknowledged, is cut.
    Cut(TornTail),
    /// An index that is missing or damaged is made from its segment, which is whole.
    Index {
        /// Where it is.
        path: PathBuf,
    },
    /// A damaged file makes way.
    SetAside {
        /// Where it is.
        path: PathBuf,
        /// Where it goes.
        to: PathBuf,
        /// What is wrong with it.
        why: StoreError,
    },
}

/// Something that is left as it is.
#[derive(Debug)]
pub enum Left {
    /// A damage that only a copy of the file can mend.
    Damage(StoreError),
    /// Somebody is writing there.
    InUse(PathBuf),
    /// Unfinished, and nobody can tell whether its writer is alive.
    Unproven(PathBuf),
}

/// What a repair did, or would do.
#[derive(Debug, Default)]
pub struct Repairs {
    /// What is put in order.
    pub repairs: Vec<Repair>,
    /// What is left.
    pub left: Vec<Left>,
}

impl Store {
    /// Puts in order what can be proven to be out of order; unless `carry_out` is set, says only what it would do.
    /// Runs that are being written are left alone.
    ///
    /// # Errors
    /// Errors of the file system. What was put in order until then stays so.
    pub fn repair(&self, carry_out: bool) -> Result<Repairs, StoreError> {
        mounts::refuse(self.path(), "repair")?;
        let mut all = Repairs::default();
        let runs = self.path().join("runs");
        for name in disk::names(&runs)? {
            let dir = runs.join(&name);
            match RunId::new(name.as_str()) {
                Some(run) if dir.is_dir() => self.repair_run(&dir, &run, carry_out, &mut all)?,
                None if name.starts_with(".tmp-") => all.remove_draft(dir, carry_out)?,
                _ => {}
            }
        }
        for name in disk::names(self.path())?.into_iter().filter(|n| n.starts_with(".tmp-")) {
            all.remove_draft(self.path().join(name), carry_out)?;
        }
        for study in self.studies()? {
            // Studies have no lock.
            let study = self.study(&study);
            for dir in [study.path().to_path_buf(), study.path().join("figures")] {
                all.left.extend(unfinished(&dir)?.into_iter().map(Left::Unproven));
            }
        }
        self.repair_runs_index(carry_out, &mut all)?;
        self.repair_ledger(carry_out, &mut all)?;
        Ok(all)
    }

    /// The index of runs goes where it cannot be used: the next listing makes it anew.
    fn repair_runs_index(&self, carry_out: bool, all: &mut Repairs) -> Result<(), StoreError> {
        let dir = runs_index::folder(self.path());
        if !dir.is_dir() {
            return Ok(());
        }
        let _lock = lock::wait(&dir.join("lock"))?;
        all.remove_files(&dir, carry_out)?;
        if runs_index::is_broken(self.path()) {
            let path = runs_index::file(self.path());
            if carry_out {
                segments::remove_file(&path)?;
            }
            all.repairs.push(Repair::Remove { path });
        }
        Ok(())
    }

    fn repair_ledger(&self, carry_out: bool, all: &mut Repairs) -> Result<(), StoreError> {
        let dir = self.path().join("ledger");
        match self.ledger().torn_line(carry_out) {
            Ok(torn) => all.repairs.extend(torn.map(Repair::Cut)),
            Err(e) => all.left.push(Left::Damage(e)),
        }
        if !dir.is_dir() {
            return Ok(());
        }
        let _lock = lock::wait(&dir.join("lock"))?;
        all.remove_files(&dir, carry_out)
    }

    fn repair_run(
        &self,
        dir: &Path,
        run: &RunId,
        carry_out: bool,
        all: &mut Repairs,
    ) -> Result<(), StoreError> {
        let zooms = dir.join("zooms");
        for name in disk::names(&zooms)?.into_iter().filter(|n| n.starts_with(".tmp-")) {
            all.remove_draft(zooms.join(name), carry_out)?;
        }
        let Some(_lock) = lock::free(&dir.join("lock"))? else {
            all.left.push(Left::InUse(dir.to_path_buf()));
            return Ok(());
        };
        for path in segments::leftovers(&dir.join("metrics"))? {
            if carry_out {
                segments::remove_file(&path)?;
            }
            all.repairs.push(Repair::Remove { path });
        }
        for folder in ["", "checkpoints", "metrics", "tensors"] {
            let folder = if folder.is_empty() { dir.to_path_buf() } else { dir.join(folder) };
            all.remove_files(&folder, carry_out)?;
        }
        let mut aside = Aside { run: dir, folder: None, carry_out };
        for step in checkpoint::steps(dir)? {
            if let Err(e) = checkpoint::read_index(dir, step).map_err(|e| e.of_run(run)) {
                all.set_aside(&mut aside, &format!("checkpoints/{step}.json"), e)?;
            }
        }
        if let Err(e) = events::read(dir).map_err(|e| e.of_run(run)) {
            let has_sum = dir.join("events.b3").is_file();
            if all.set_aside(&mut aside, "events.parquet", e)? && has_sum {
                aside.take("events.b3")?;
            }
        }
        match self.run(run) {
            Err(e) => all.left.push(Left::Damage(e)),
            Ok(reader) => all.cut_tails(&reader, carry_out)?,
        }
        all.make_indices(&dir.join("metrics"), run, carry_out)?;
        for zoom in zoom::list(dir, run)?.zooms {
            all.make_indices(&zooms.join(zoom.id.as_str()).join("metrics"), run, carry_out)?;
        }
        let damaged = zoom::list(dir, run)?.damaged;
        all.left.extend(damaged.into_iter().map(|(_, e)| Left::Damage(e)));
        Ok(())
    }
}

/// Where damaged files of a run go.
struct Aside<'a> {
    run: &'a Path,
    /// `damaged/<n>`, once it is chosen.
    folder: Option<PathBuf>,
    carry_out: bool,
}

impl Aside<'_> {
    /// Moves a file of the run and says where to.
    fn take(&mut self, name: &str) -> Result<PathBuf, StoreError> {
        let folder = if let Some(folder) = &self.folder {
            folder.clone()
        } else {
            let mut folders = (1_u64..).map(|n| self.run.join("damaged").join(n.to_string()));
            let free = folders.find(|f| !f.exists());
            self.folder.insert(free.unwrap_or_else(|| self.run.join("damaged"))).clone()
        };
        let (from, to) = (self.run.join(name), folder.join(name));
        if self.carry_out {
            let parent = to.parent().unwrap_or(&folder);
            fs::create_dir_all(parent).map_err(|e| StoreError::io("create", parent, e))?;
            fs::rename(&from, &to).map_err(|e| StoreError::io("set aside", &from, e))?;
            // The new name first: should a crash come between, the file has both or either, never none.
            for dir in [parent, from.parent().unwrap_or(self.run), &folder, self.run] {
                disk::sync_dir(dir)?;
            }
        }
        Ok(to)
    }
}

/// Files in a folder that have no name yet.
fn unfinished(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let names = disk::names(dir)?.into_iter().filter(|n| n.starts_with(".tmp-"));
    Ok(names.map(|n| dir.join(n)).filter(|p| p.is_file()).collect())
}

impl Repairs {
    /// Removes unfinished files of a folder whose lock the caller holds.
    fn remove_files(&mut self, dir: &Path, carry_out: bool) -> Result<(), StoreError> {
        for path in unfinished(dir)? {
            if carry_out {
                fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            }
            self.repairs.push(Repair::Remove { path });
        }
        Ok(())
    }

    /// Removes an unfinished folder whose maker is dead: its lock is there and free.
    fn remove_draft(&mut self, path: PathBuf, carry_out: bool) -> Result<(), StoreError> {
        let lock = path.join("lock");
        let held: Option<Lock> = if lock.is_file() { lock::free(&lock)? } else { None };
        if held.is_some() {
            if carry_out {
                fs::remove_dir_all(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            }
            self.repairs.push(Repair::Remove { path });
        } else if lock.is_file() {
            self.left.push(Left::InUse(path));
        } else {
            self.left.push(Left::Unproven(path));
        }
        Ok(())
    }

    /// Moves a file away if it is damaged, and says whether it was; leaves it if something else is wrong.
    fn set_aside(
        &mut self,
        aside: &mut Aside<'_>,
        name: &str,
        why: StoreError,
    ) -> Result<bool, StoreError> {
        if !matches!(why, StoreError::Damaged { .. }) {
            self.left.push(Left::Damage(why));
            return Ok(false);
        }
        let path = aside.run.join(name);
        let to = aside.take(name)?;
        self.repairs.push(Repair::SetAside { path, to, why });
        Ok(true)
    }

    /// Makes indices anew, and names segments that are damaged themselves.
    fn make_indices(&mut self, dir: &Path, run: &RunId, carry_out: bool) -> Result<(), StoreError> {
        let (made, damaged) = indices::mend(dir, run, carry_out)?;
        self.repairs.extend(made.into_iter().map(|path| Repair::Index { path }));
        self.left.extend(damaged.into_iter().map(|e| Left::Damage(e.of_run(run))));
        Ok(())
    }

    fn cut_tails(&mut self, reader: &RunReader, carry_out: bool) -> Result<(), StoreError> {
        match reader.torn_tails() {
            Err(e) => self.left.push(Left::Damage(e)),
            Ok(tails) => {
                for tail in tails {
                    if carry_out {
                        disk::cut(&tail.path, tail.at_byte)?;
                    }
                    self.repairs.push(Repair::Cut(tail));
                }
            }
        }
        Ok(())
    }
}
