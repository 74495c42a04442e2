//! Finding what there is to import: paths become units, each in the format that its content shows.

use crate::formats::{Format, Grouping, Head, recognise};
use crate::{ImportError, Input, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Levels of folders below the one that was named.
const MAX_DEPTH: usize = 64;

/// What is imported together: one file, or the files of one run or table.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Name, made of the folder that was given and the path below it: `fixtures/tfevents/ogbg_jax`.
    pub name: String,
    /// The format of all its files.
    pub format: &'static dyn Format,
    /// The files, sorted by path.
    pub files: Vec<Input>,
}

/// What was found at the paths.
#[derive(Debug, Default)]
pub struct Found {
    /// What can be imported, sorted by path.
    pub units: Vec<Unit>,
    /// Files in folders whose content no format recognises, sorted.
    pub unrecognised: Vec<PathBuf>,
}

/// Looks at files, and into folders, in sorted order. A file that is named must be recognised; one that is only
/// found in a folder need not be.
///
/// # Errors
/// [`ImportError::Missing`], [`ImportError::Unrecognised`], [`ImportError::NothingThere`],
/// [`ImportError::LinkOutside`] for a link that leaves the folder that was named.
pub fn find(paths: &[PathBuf], options: &Options) -> Result<Found, ImportError> {
    let mut found = Found::default();
    for path in paths {
        let real = path.canonicalize().map_err(|e| ImportError::io("find", path, e))?;
        if real.is_dir() {
            let files = list_all(path, &real)?;
            let before = found.units.len();
            group(path, &real, files, options, &mut found)?;
            if found.units.len() == before {
                return Err(ImportError::NothingThere { path: path.clone() });
            }
        } else {
            found.units.push(unit_of(Input::from_path(path), options)?);
        }
    }
    Ok(found)
}

/// The unit that one file is by itself.
///
/// # Errors
/// [`ImportError::Unrecognised`], and whatever keeps the file from being read.
pub fn unit_of(input: Input, options: &Options) -> Result<Unit, ImportError> {
    let head = Head::of(&input)?;
    let format = recognise(&head, options);
    let path = input.path().to_path_buf();
    let format = format.ok_or_else(|| ImportError::Unrecognised { path: path.clone() })?;
    // What is a run by its folder is named after it, also if only its one file was given.
    let name = match format.grouping() {
        Grouping::File => stem(&path),
        Grouping::Folder | Grouping::All => {
            let real = path.canonicalize().unwrap_or(path.clone());
            let folder = real.parent().and_then(Path::file_name);
            folder.map_or_else(|| stem(&path), |n| n.to_string_lossy().into_owned())
        }
    };
    Ok(Unit { name, format, files: vec![input] })
}

/// All files below a folder that are not hidden, sorted.
pub(crate) fn list_all(path: &Path, real: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut files = Vec::new();
    list(path, real, MAX_DEPTH, &mut BTreeSet::new(), &mut files)?;
    Ok(files)
}

/// Files below a folder, sorted. Links are followed as long as they stay below `root`.
fn list(
    dir: &Path,
    root: &Path,
    depth: usize,
    visited: &mut BTreeSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), ImportError> {
    let io = |e| ImportError::io("list", dir, e);
    let real = dir.canonicalize().map_err(io)?;
    // A link to a folder above would never end.
    if depth == 0 || !visited.insert(real) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        entries.push(entry.map_err(io)?.path());
    }
    entries.sort_unstable();
    for path in entries {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        let io = |e| ImportError::io("look at", &path, e);
        let meta = std::fs::symlink_metadata(&path).map_err(io)?;
        if meta.is_symlink() {
            let target = path.canonicalize().map_err(io)?;
            if !target.starts_with(root) {
                return Err(ImportError::LinkOutside { path, target });
            }
        }
        let meta = std::fs::metadata(&path).map_err(io)?;
        if meta.is_dir() {
            list(&path, root, depth - 1, visited, files)?;
        } else if meta.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Puts files together that belong together.
fn group(
    path: &Path,
    real: &Path,
    files: Vec<PathBuf>,
    options: &Options,
    found: &mut Found,
) -> Result<(), ImportError> {
    let top = real.file_name().map_or_else(|| "root".into(), |n| n.to_string_lossy());
    // Sorted by name, then format, so that units come in the same order everywhere.
    let mut units: BTreeMap<(String, &'static str), Unit> = BTreeMap::new();
    for file in files {
        let input = Input::from_path(&file);
        let Some(format) = recognise(&Head::of(&input)?, options) else {
            found.unrecognised.push(file);
            continue;
        };
        let below = file.strip_prefix(path).unwrap_or(&file);
        let folder = below.parent().unwrap_or(Path::new(""));
        let part = match format.grouping() {
            Grouping::File => folder.join(stem(below)),
            Grouping::Folder => folder.to_path_buf(),
            Grouping::All => PathBuf::new(),
        };
        let name = part.iter().fold(top.to_string(), |n, p| format!("{n}/{}", p.to_string_lossy()));
        // Two files that differ in their extension only are two units.
        let name = match format.grouping() {
            Grouping::File if units.contains_key(&(name.clone(), format.name())) => {
                format!("{name}.{}", below.extension().unwrap_or_default().to_string_lossy())
            }
            _ => name,
        };
        let unit = units.entry((name.clone(), format.name())).or_insert_with(|| Unit {
            name,
            format,
            files: Vec::new(),
        });
        unit.files.push(input);
    }
    found.units.extend(units.into_values());
    Ok(())
}

/// A file's name without `.gz` and its extension.
fn stem(path: &Path) -> String {
    let name = Input::from_path(path).file_name();
    let stem = Path::new(&name).file_stem().map(|s| s.to_string_lossy().into_owned());
    stem.unwrap_or(name)
}
