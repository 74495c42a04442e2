//! A file that has its name only once it is whole.

use crate::ImportError;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file being written beside its place; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    tmp: PathBuf,
    is_placed: bool,
}

impl Draft {
    /// Begins a file.
    pub(crate) fn new(path: PathBuf) -> Result<(Self, BufWriter<File>), ImportError> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let tmp = path.with_file_name(format!(".tmp-{}-{name}", std::process::id()));
        let file = File::create(&tmp).map_err(|e| ImportError::io("write", &path, e))?;
        Ok((Self { path, tmp, is_placed: false }, BufWriter::with_capacity(1 << 17, file)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error of writing it.
    pub(crate) fn failed(&self, e: std::io::Error) -> ImportError {
        ImportError::Io { action: "write", path: self.path.clone(), source: e }
    }

    /// Gives the file its name.
    pub(crate) fn place(mut self, mut file: BufWriter<File>) -> Result<PathBuf, ImportError> {
        let written = file
            .flush()
            .and_then(|()| file.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.tmp, &self.path));
        written.map_err(|e| self.failed(e))?;
        self.is_placed = true;
        Ok(self.path.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // The first failure is the one that is reported.
            let _ = std::fs::remove_file(&self.tmp);
        }
    }
}
