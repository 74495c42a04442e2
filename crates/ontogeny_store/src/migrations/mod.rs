//! Bringing what earlier versions wrote to the form that this one writes.
//!
//! Nothing has to be migrated: every version is read. What is migrated is found faster. Each migration is a file of this
//! folder and a row of [`MIGRATIONS`]. It works on the tape of rows of one run or zoom, whose writer is kept out, and puts
//! what is new in place, read back and on disk, before what is old goes; a crash in between leaves either.

mod few_segments;
mod logs_to_v3;
mod rows_to_v3;

use crate::lock;
use crate::rows::RowBlock;
use crate::tape::Block;
use crate::{Left, Store, StoreError, disk, mounts, zoom};
use ontogeny_core::RunId;
use std::path::{Path, PathBuf};

/// A step from an earlier form to this one.
pub(crate) struct Migration {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it does to a file, in a few words.
    pub(crate) what: &'static str,
    /// The files of a run or zoom, whose folder is given, that it replaces; and replaces them, if so told.
    pub(crate) migrate: fn(&Path, &RunId, bool) -> Result<Vec<PathBuf>, StoreError>,
}

/// In the order in which they are done.
pub(crate) const MIGRATIONS: [Migration; 3] =
    [logs_to_v3::MIGRATION, rows_to_v3::MIGRATION, few_segments::MIGRATION];

/// A file that is brought to the present form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The name of the migration.
    pub migration: &'static str,
    /// What it does.
    pub what: &'static str,
    /// The file as it was.
    pub path: PathBuf,
}

/// What a migration did, or would do.
#[derive(Debug, Default)]
pub struct Migrations {
    /// Files that are brought to the present form, run by run.
    pub files: Vec<Migrated>,
    /// What is left: damaged, or being written.
    pub left: Vec<Left>,
}

impl Store {
    /// Brings rows of earlier versions to the form that this one writes, run by run; unless `carry_out` is set, says only
    /// what it would do. Readings stay the same, to the bit. Runs that are being written are left alone, damaged ones
    /// are named. `seen` hears how many of how many runs are done.
    ///
    /// Objects of checkpoints stay as they are, whichever codec they have.
    ///
    /// # Errors
    /// If the store cannot be listed. What goes wrong in a run is in the result; what was replaced until then stays so.
    pub fn migrate(
        &self,
        carry_out: bool,
        seen: &dyn Fn(usize, usize),
    ) -> Result<Migrations, StoreError> {
        mounts::refuse(self.path(), "migrate")?;
        let mut all = Migrations::default();
        let names = self.run_names()?;
        for (i, run) in names.iter().filter_map(|n| RunId::new(n.as_str())).enumerate() {
            let dir = self.run_dir(&run);
            match lock::free(&dir.join("lock")) {
                Ok(None) => all.left.push(Left::InUse(dir)),
                Ok(Some(_lock)) => {
                    if let Err(e) = all.run(&dir, &run, carry_out) {
                        all.left.push(Left::Damage(e.of_run(&run)));
                    }
                }
                Err(e) => all.left.push(Left::Damage(e)),
            }
            seen(i + 1, names.len());
        }
        Ok(all)
    }
}

impl Migrations {
    fn run(&mut self, dir: &Path, run: &RunId, carry_out: bool) -> Result<(), StoreError> {
        let mut dirs = vec![dir.to_path_buf()];
        let zooms = zoom::dir_of(dir);
        dirs.extend(zoom::list(dir, run)?.zooms.iter().map(|z| zooms.join(z.id.as_str())));
        for dir in dirs {
            if !disk::is_dir(&dir.join(RowBlock::KIND))? {
                continue;
            }
            for Migration { name, what, migrate } in &MIGRATIONS {
                let files = migrate(&dir, run, carry_out)?;
                let migrated = |path| Migrated { migration: name, what, path };
                self.files.extend(files.into_iter().map(migrated));
            }
        }
        Ok(())
    }
}
