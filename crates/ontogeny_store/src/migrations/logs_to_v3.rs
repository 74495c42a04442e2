//! Logs of versions 1 and 2 become logs of version 3, with which segments may be merged.

use super::Migration;
use crate::StoreError;
use crate::rows::RowBlock;
use crate::tape::{self, Block, Tape};
use ontogeny_core::RunId;
use std::path::{Path, PathBuf};

pub(crate) const MIGRATION: Migration =
    Migration { name: "logs_to_v3", what: "written anew as version 3", migrate };

fn migrate(dir: &Path, run: &RunId, carry_out: bool) -> Result<Vec<PathBuf>, StoreError> {
    let Some((path, version)) = tape::log_version::<RowBlock>(&dir.join(RowBlock::KIND), run)?
    else {
        return Ok(Vec::new());
    };
    if version >= RowBlock::VERSION {
        return Ok(Vec::new());
    }
    if carry_out {
        // Opening a tape for writing does it, and what else the next writer would do.
        Tape::<RowBlock>::open(dir, run)?;
    }
    Ok(vec![path])
}
