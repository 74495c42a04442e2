//! Real text by path, identified by its hash.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most text that is read, in bytes.
const MOST: u64 = 256 << 20;
/// Most files of a folder.
const MOST_FILES: usize = 10_000;

/// What is read between the canaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Text {
    /// Text from a seeded grammar.
    Grammar,
    /// A text file, or a folder of them (`.txt`, `.txt.gz`), read in the order of their names.
    Files {
        /// The file or folder.
        path: String,
        /// BLAKE3 of the whole text, in hexadecimal: part of the run's identity.
        blake3: String,
    },
}

impl Text {
    /// The text at `path` as it is now.
    ///
    /// # Errors
    /// [`TrainError::Text`] naming the path, if it cannot be read.
    pub fn of_path(path: &str) -> Result<Self, TrainError> {
        let blake3 = blake3::hash(&read(path)?).to_hex().to_string();
        Ok(Self::Files { path: path.to_owned(), blake3 })
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let Self::Files { path, blake3 } = self else { return Ok(()) };
        let is_hash = blake3.len() == 64 && blake3.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hash {
            return Ok(());
        }
        let now = Self::of_path(path)?;
        let Self::Files { blake3: found, .. } = now else { return Ok(()) };
        Err(TrainError::Text {
            path: path.clone(),
            what: format!(
                "task.text.blake3 is {blake3:?}, not the 64 hexadecimal digits of a hash; the text there now has {found}"
            ),
            source: None,
        })
    }

    /// The bytes of a file or folder, if they are those of the configuration.
    pub(super) fn load(path: &str, expected: &str) -> Result<Vec<u8>, TrainError> {
        let bytes = read(path)?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found.eq_ignore_ascii_case(expected) {
            return Ok(bytes);
        }
        Err(TrainError::Text {
            path: path.to_owned(),
            what: format!(
                "its BLAKE3 is {found}, but the run is of a text with {expected}: restore that text, or start another run"
            ),
            source: None,
        })
    }
}

fn read(path: &str) -> Result<Vec<u8>, TrainError> {
    let failed = |at: &Path, source| {
        TrainError::Text {
        path: at.display().to_string(),
        what: "expected a text file or a folder of .txt and .txt.gz files; correct the path or fetch the text".into(),
        source: Some(source),
    }
    };
    let root = Path::new(path);
    let mut files: Vec<PathBuf> = Vec::new();
    if root.is_dir() {
        for entry in std::fs::read_dir(root).map_err(|e| failed(root, e))? {
            let at = entry.map_err(|e| failed(root, e))?.path();
            let name = at.to_string_lossy();
            if name.ends_with(".txt") || name.ends_with(".txt.gz") {
                files.push(at);
            }
        }
        files.sort();
    } else {
        files.push(root.to_owned());
    }
    let too_many = files.len() > MOST_FILES;
    if files.is_empty() || too_many {
        let n = files.len();
        return Err(TrainError::Text {
            path: path.to_owned(),
            what: format!("expected 1 to {MOST_FILES} files ending in .txt or .txt.gz, found {n}"),
            source: None,
        });
    }
    let mut text = Vec::new();
    for at in files {
        let file = File::open(&at).map_err(|e| failed(&at, e))?;
        // One byte more than allowed shows that there is more, however small the file looks.
        let left = MOST + 1 - text.len() as u64;
        let is_packed = at.extension().is_some_and(|e| e == "gz");
        let done = if is_packed {
            flate2::read::MultiGzDecoder::new(file).take(left).read_to_end(&mut text)
        } else {
            file.take(left).read_to_end(&mut text)
        };
        done.map_err(|e| failed(&at, e))?;
        if text.len() as u64 > MOST {
            let what = format!("more than {MOST} bytes of text; choose fewer files");
            return Err(TrainError::Text { path: path.to_owned(), what, source: None });
        }
    }
    Ok(text)
}
