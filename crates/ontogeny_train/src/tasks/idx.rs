//! Images and classes in IDX files, as MNIST and its kin are distributed; plain or compressed with gzip.
//!
//! An IDX file is two zero bytes, a byte for the type of the numbers (8: unsigned bytes), the number of axes, the
//! length of each axis as a big-endian u32, and the numbers. Lengths are checked before anything is allocated.

use super::images::Images;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Examples of a file, at most.
const MOST_EXAMPLES: u32 = 1_000_000;

/// Files of a task are not what they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum DataError {
    /// A file is not there.
    #[error(
        "find {name} or {name}.gz in {}: put the four files of MNIST (or of a set in its format) there, or give another task.path",
        folder.display()
    )]
    Missing { name: &'static str, folder: PathBuf },
    /// The system cannot read a file, or its compression is broken.
    #[error("read {}: if it was copied or downloaded, do so again", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file of another kind.
    #[error("read {}: it begins with {found}, not with {expected}: it holds no {what} in IDX format", path.display())]
    Magic { path: PathBuf, what: &'static str, expected: String, found: String },
    /// Images of another size.
    #[error(
        "read {}: its images have {} by {} pixels, this task takes {} by {}: scale them, or use another task",
        path.display(), found[0], found[1], expected[0], expected[1]
    )]
    ImageSize { path: PathBuf, expected: [usize; 2], found: [usize; 2] },
    /// A header that nobody would write.
    #[error("read {}: it says that it holds {found} examples; between 1 and {most} are read", path.display())]
    Count { path: PathBuf, found: u32, most: u32 },
    /// The file ends early or late.
    #[error("read {}: {expected} bytes should follow its header, {found} do: copy or download it again", path.display())]
    Length { path: PathBuf, expected: u64, found: String },
    /// Images without classes or the other way round.
    #[error("read {}: it has {classes} classes for {images} images: the files do not belong together", path.display())]
    Unpaired { path: PathBuf, images: usize, classes: usize },
    /// A class that there is not.
    #[error("read {}: the class of example {example} is {found}; they are numbered from 0 to {last}", path.display())]
    Class { path: PathBuf, example: usize, found: u8, last: u8 },
    /// The files are others than those of the configuration.
    #[error(
        "use the files in {}: their hash is {found}, the configuration asks for {expected}; give the folder that it was made from as task.path, or set task.files to the hash of these for a run of its own",
        folder.display()
    )]
    Changed { folder: PathBuf, expected: String, found: String },
    /// More is asked for than there is.
    #[error("take {asked} examples from {}: it holds {found}; lower {keys}", folder.display())]
    TooFew { folder: PathBuf, asked: usize, found: usize, keys: &'static str },
}

/// Reads `<stem>-images-idx3-ubyte` and `<stem>-labels-idx1-ubyte` in `folder` and adds their bytes to `hash`.
pub(super) fn read_pair(
    folder: &Path,
    [images, labels]: [&'static str; 2],
    (size, n_classes): ([usize; 2], u8),
    hash: &mut blake3::Hasher,
) -> Result<Images, DataError> {
    let path = find(folder, images)?;
    let (axes, pixels) = read(&path, "images", 3, |axes| {
        let found = [axes[1] as usize, axes[2] as usize];
        if found == size {
            return Ok(());
        }
        Err(DataError::ImageSize { path: path.clone(), expected: size, found })
    })?;
    let n = axes[0] as usize;
    hash.update(&pixels);
    let path = find(folder, labels)?;
    let (axes, classes) = read(&path, "classes", 1, |_| Ok(()))?;
    if axes[0] as usize != n {
        return Err(DataError::Unpaired { path, images: n, classes: axes[0] as usize });
    }
    if let Some(example) = classes.iter().position(|c| *c >= n_classes) {
        let found = classes[example];
        return Err(DataError::Class { path, example, found, last: n_classes - 1 });
    }
    hash.update(&classes);
    Ok(Images { size, pixels, classes })
}

fn find(folder: &Path, name: &'static str) -> Result<PathBuf, DataError> {
    // Some copies are called train-images.idx3-ubyte.
    let dotted = name.replacen("-idx", ".idx", 1);
    [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .into_iter()
        .map(|n| folder.join(n))
        .find(|p| p.is_file())
        .ok_or_else(|| DataError::Missing { name, folder: folder.to_owned() })
}

/// Lengths of the axes and the bytes after them; `fits` sees the lengths before the bytes are read.
fn read(
    path: &Path,
    what: &'static str,
    n_axes: u8,
    fits: impl FnOnce(&[u32]) -> Result<(), DataError>,
) -> Result<(Vec<u32>, Vec<u8>), DataError> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let file = BufReader::new(File::open(path).map_err(io)?);
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut header = Vec::new();
    let n_header = 4 + 4 * u64::from(n_axes);
    reader.by_ref().take(n_header).read_to_end(&mut header).map_err(io)?;
    let (magic, expected) = (header.get(..4), [0, 0, 8, n_axes]);
    if magic != Some(&expected[..]) {
        let say = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let found =
            if header.is_empty() { "nothing".to_owned() } else { say(magic.unwrap_or(&header)) };
        return Err(DataError::Magic {
            path: path.to_owned(),
            what,
            expected: say(&expected),
            found,
        });
    }
    let length = |expected, found| DataError::Length { path: path.to_owned(), expected, found };
    let (axes, rest) = header[4..].as_chunks::<4>();
    let axes: Vec<u32> = axes.iter().map(|b| u32::from_be_bytes(*b)).collect();
    if axes.len() < usize::from(n_axes) || !rest.is_empty() {
        return Err(length(n_header - 4, (header.len() - 4).to_string()));
    }
    if axes[0] == 0 || axes[0] > MOST_EXAMPLES {
        return Err(DataError::Count {
            path: path.to_owned(),
            found: axes[0],
            most: MOST_EXAMPLES,
        });
    }
    fits(&axes)?;
    let n: u64 = axes.iter().map(|a| u64::from(*a)).product();
    let mut bytes = Vec::new();
    // One more than there should be shows that there are too many.
    reader.take(n + 1).read_to_end(&mut bytes).map_err(io)?;
    match bytes.len() as u64 {
        found if found < n => Err(length(n, found.to_string())),
        found if found > n => Err(length(n, "more".to_owned())),
        _ => Ok((axes, bytes)),
    }
}
