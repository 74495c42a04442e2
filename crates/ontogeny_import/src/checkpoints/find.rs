//! Finding checkpoints: paths become files, files become steps.

use super::flaw::{Fault, Flaw};
use super::shards::{self, Index, MAX_INDEX};
use super::steps::{Counts, Place, StepFinder};
use super::{CheckpointFormat, Glimpse, recognise};
use crate::options::StepRule;
use crate::{ImportError, Input, walk};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Ends of names that say the format and nothing else.
const EXTENSIONS: [&str; 9] =
    [".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".npy", ".tar", ".model"];

/// One file, or the shards of one.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is among the files of its step, e.g. `optimizer`; empty if there is one file at every step.
    pub label: String,
    /// The format of its files.
    pub format: &'static dyn CheckpointFormat,
    /// The files: one, or the shards in order.
    pub files: Vec<Input>,
    /// Which tensor lies in which shard, with the file that says so.
    pub(crate) index: Option<(Input, Index)>,
}

/// The files of one checkpoint.
#[derive(Debug, Clone)]
pub struct StepFiles {
    /// The number that the names tell.
    pub step: u64,
    /// The files, sorted by their labels.
    pub parts: Vec<Part>,
}

/// The checkpoints at the paths.
#[derive(Debug)]
pub struct FoundCheckpoints {
    /// In the order of their steps.
    pub steps: Vec<StepFiles>,
    /// What their numbers count.
    pub counts: Counts,
    /// Files that are checkpoints and tell no step: left out.
    pub without_step: Vec<PathBuf>,
    /// Files in folders that are no checkpoints.
    pub unrecognised: Vec<PathBuf>,
}

/// A part with its place, before it is put to its step.
#[derive(Debug)]
struct Loose {
    part: Part,
    /// Its first file.
    path: PathBuf,
    place: Place,
    /// The folder that holds all files of the step.
    home: PathBuf,
    label: String,
}

/// Looks at files, and into folders, in sorted order, and puts the files of each step together.
///
/// # Errors
/// [`ImportError::Missing`], [`ImportError::LinkOutside`], [`ImportError::NoCheckpoint`] if nothing is found or nothing
/// tells its step, [`ImportError::MixedCounts`] if some names tell steps and others epochs,
/// [`ImportError::SameStep`] if files of different origin tell one step, [`ImportError::Checkpoint`] for a damaged index.
pub fn find_checkpoints(
    paths: &[PathBuf],
    rule: Option<StepRule>,
) -> Result<FoundCheckpoints, ImportError> {
    let finder = StepFinder::new(rule);
    let (mut loose, mut without_step, mut unrecognised) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let real = path.canonicalize().map_err(|e| ImportError::io("find", path, e))?;
        let is_dir = real.is_dir();
        let files = if is_dir { walk::list_all(path, &real)? } else { vec![path.clone()] };
        let top = if is_dir { real.file_name() } else { real.parent().and_then(Path::file_name) };
        let top = top.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let base = if is_dir { path.as_path() } else { path.parent().unwrap_or(Path::new("")) };
        let before = unrecognised.len();
        for part in parts(files, &mut unrecognised)? {
            let Some(first) = part.files.first() else { continue };
            let path = first.path().to_path_buf();
            let below = path.strip_prefix(base).unwrap_or(&path);
            let mut folders = vec![top.clone()];
            let inner = below.parent().into_iter().flat_map(Path::iter);
            folders.extend(inner.map(|f| f.to_string_lossy().into_owned()));
            let stem = stem(&part.name_of(&path));
            let Some(place) = finder.find(&folders, &stem) else {
                without_step.push(path);
                continue;
            };
            let home: PathBuf = std::iter::once(base.to_path_buf())
                .chain(folders[1..place.n_home.max(1)].iter().map(PathBuf::from))
                .collect();
            let mut label: Vec<String> = folders[place.n_home.max(1)..].to_vec();
            label.push(if place.is_in_file { finder.label(&stem) } else { stem });
            let label = label.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("/");
            loose.push(Loose { part, path, place, home, label });
        }
        if !is_dir && unrecognised.len() > before {
            return Err(ImportError::NoCheckpoint { path: path.clone() });
        }
    }
    let first = paths.first().cloned().unwrap_or_default();
    if loose.is_empty() {
        return Err(match without_step.first() {
            Some(path) => ImportError::NoStepInName { path: path.clone() },
            None => ImportError::NoCheckpoint { path: first },
        });
    }
    let (steps, counts) = by_step(loose)?;
    Ok(FoundCheckpoints { steps, counts, without_step, unrecognised })
}

impl Part {
    /// The name that is looked at: that of the index, of the shards without their numbers, or of the file.
    fn name_of(&self, path: &Path) -> String {
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
        if let Some((index, _)) = &self.index {
            return name(index.path()).unwrap_or_default();
        }
        let name = name(path).unwrap_or_default();
        match shards::numbered(&stem(&name)) {
            Some((before, _, _)) => before.to_owned(),
            None => name,
        }
    }
}

/// A name without what says the format.
fn stem(name: &str) -> String {
    let mut stem = name.strip_suffix(".index.json").unwrap_or(name);
    while let Some(shorter) = EXTENSIONS.iter().find_map(|e| stem.strip_suffix(e)) {
        stem = shorter;
    }
    stem.to_owned()
}

/// Puts shards together, and finds the format of each file.
fn parts(files: Vec<PathBuf>, unrecognised: &mut Vec<PathBuf>) -> Result<Vec<Part>, ImportError> {
    let mut parts = Vec::new();
    // Shards belong to their index; other numbered files to one another.
    let mut taken = BTreeSet::new();
    for path in files.iter().filter(|p| p.to_string_lossy().ends_with(".index.json")) {
        let input = Input::from_path(path);
        let part = indexed(&input)?;
        taken.extend(part.files.iter().map(|f| f.path().to_path_buf()));
        taken.insert(path.clone());
        parts.push(part);
    }
    let mut numbered: BTreeMap<(PathBuf, String, u64), BTreeMap<u64, PathBuf>> = BTreeMap::new();
    for path in files.into_iter().filter(|p| !taken.contains(p)) {
        let input = Input::from_path(&path);
        let Some(format) = recognise(&Glimpse::of(&input)?) else {
            unrecognised.push(path);
            continue;
        };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((before, number, of)) = shards::numbered(&stem(&name)) {
            let key = (path.with_file_name(""), before.to_owned(), of);
            numbered.entry(key).or_default().insert(number, path);
            continue;
        }
        let label = String::new();
        parts.push(Part { label, format, files: vec![input], index: None });
    }
    for ((_, before, of), files) in numbered {
        let files: Vec<(u64, PathBuf)> = files.into_iter().collect();
        let Some((_, first)) = files.first() else { continue };
        let first = Input::from_path(first);
        let Some(format) = recognise(&Glimpse::of(&first)?) else { continue };
        let missing = (1..=of).zip(files.iter().map(|f| Some(f.0)).chain(std::iter::repeat(None)));
        if let Some((i, _)) = missing.into_iter().find(|&(i, n)| n != Some(i)) {
            let shard = format!("{before}-{i:05}-of-{of:05}");
            let fault = Fault::new("the checkpoint", Flaw::MissingShard { shard });
            return Err(fault.of(format.name(), first.path()));
        }
        let files = files.into_iter().map(|(_, path)| Input::from_path(path)).collect();
        parts.push(Part { label: String::new(), format, files, index: None });
    }
    parts.sort_by(|a, b| {
        let path = |p: &Part| p.files.first().map(|f| f.path().to_path_buf());
        path(a).cmp(&path(b))
    });
    Ok(parts)
}

/// The part that an index speaks of.
fn indexed(input: &Input) -> Result<Part, ImportError> {
    let path = input.path();
    let fail = |fault: Fault| fault.of("index", path);
    let claimed = input.n_bytes()?;
    if claimed > MAX_INDEX {
        return Err(fail(Fault::new("the index", Flaw::Length { claimed, limit: MAX_INDEX })));
    }
    let bytes = std::fs::read(path).map_err(|e| ImportError::io("read", path, e))?;
    let index = Index::parse(&bytes).map_err(fail)?;
    let mut files = Vec::new();
    let mut format = None;
    for shard in index.shards() {
        let file = Input::from_path(path.with_file_name(shard));
        if !file.path().is_file() {
            let shard = shard.to_owned();
            return Err(fail(Fault::new("the checkpoint", Flaw::MissingShard { shard })));
        }
        let found = recognise(&Glimpse::of(&file)?)
            .ok_or_else(|| ImportError::NoCheckpoint { path: file.path().to_path_buf() })?;
        format = format.or(Some(found));
        files.push(file);
    }
    let format = format.ok_or_else(|| {
        fail(Fault::new("the index", Flaw::Expected { what: "shards in `weight_map`" }))
    })?;
    Ok(Part { label: String::new(), format, files, index: Some((input.clone(), index)) })
}

/// Puts parts to their steps and names them.
fn by_step(loose: Vec<Loose>) -> Result<(Vec<StepFiles>, Counts), ImportError> {
    let counts = loose[0].place.counts;
    if let Some(other) = loose.iter().find(|l| l.place.counts != counts) {
        return Err(ImportError::MixedCounts {
            path: loose[0].path.clone(),
            counts: counts.name(),
            other: other.path.clone(),
            other_counts: other.place.counts.name(),
        });
    }
    let mut steps: BTreeMap<u64, Vec<Loose>> = BTreeMap::new();
    for l in loose {
        steps.entry(l.place.step).or_default().push(l);
    }
    // Names are the same at every step, so either all have labels or none has.
    let is_labelled = steps.values().any(|parts| parts.len() > 1);
    let mut out = Vec::new();
    for (step, parts) in steps {
        let mut labels: BTreeMap<String, Part> = BTreeMap::new();
        let (first, home) = (parts[0].path.clone(), parts[0].home.clone());
        for l in parts {
            let label = match (is_labelled, l.label) {
                (false, _) => String::new(),
                (true, label) if label.is_empty() => "model".to_owned(),
                (true, label) => label,
            };
            let is_other = l.home != home || labels.contains_key(&label);
            if is_other {
                let (path, other) = (first, l.path);
                return Err(ImportError::SameStep { step, path, other });
            }
            labels.insert(label.clone(), Part { label, ..l.part });
        }
        out.push(StepFiles { step, parts: labels.into_values().collect() });
    }
    Ok((out, counts))
}
