//! MNIST, or any set of 28 by 28 images of ten classes in the same files (Fashion-MNIST, KMNIST), by path.
//!
//! The folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
//! `t10k-labels-idx1-ubyte`, plain or with `.gz`. Their contents are part of a run's identity by their hash
//! ([`MnistConfig::files`]); nothing of them is copied.
//!
//! Of the training file, in an order that the data seed decides, the first `n_train` examples are trained on and the
//! last `n_probe` are the probe set; the audit set is the first `n_audit` of the test file, so that numbers compare with
//! published ones. An update draws its batch with replacement, addressed by (data seed, step).

use super::idx::{DataError, read_pair};
use super::images::{ClassDistances, Images};
use super::{EvalSet, InputShape, Task, TaskShape, Threat};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::Philox;
use ontogeny_engine::Batch;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

const SIZE: [usize; 2] = [28, 28];
const CLASSES: u8 = 10;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnistConfig {
    /// The folder of the four files.
    pub path: String,
    /// BLAKE3, in hexadecimal, over the pixels and classes of the training files, then those of the test files.
    pub files: String,
    /// Training examples.
    pub n_train: usize,
    /// Examples of an update, drawn with replacement.
    pub batch_examples: usize,
    /// Examples of the training file that probes read and nobody trains on.
    pub n_probe: usize,
    /// Examples of the test file that decide final outcomes, and nothing else.
    pub n_audit: usize,
    /// How far an adversary may go.
    pub threat: Threat,
}

/// What the files hold.
struct Files {
    train: Images,
    test: Images,
    hash: String,
}

impl Files {
    fn read(folder: &Path) -> Result<Self, TrainError> {
        let read = || {
            let (mut hash, kind) = (blake3::Hasher::new(), (SIZE, CLASSES));
            let train = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
            let test = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
            let train = read_pair(folder, train, kind, &mut hash)?;
            let test = read_pair(folder, test, kind, &mut hash)?;
            Ok(Self { train, test, hash: hash.finalize().to_hex().to_string() })
        };
        read().map_err(refused)
    }
}

fn refused(source: DataError) -> TrainError {
    TrainError::Data { task: "mnist", source: Box::new(source) }
}

impl MnistConfig {
    /// The files in `path` as they are now: 59,000 examples to train on, 1000 to probe, the test file to audit.
    ///
    /// # Errors
    /// [`TrainError::Data`] if they are not what they should be.
    pub fn of(path: &str, eps: f64) -> Result<Self, TrainError> {
        let files = Files::read(Path::new(path))?;
        let n_probe = 1000.min(files.train.len() / 2);
        Ok(Self {
            path: path.to_owned(),
            files: files.hash,
            n_train: files.train.len() - n_probe,
            batch_examples: 128,
            n_probe,
            n_audit: files.test.len(),
            threat: Threat::of(eps),
        })
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let is_hash = self.files.len() == 64 && self.files.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hash {
            let (value, allowed) =
                (format!("{:?}", self.files), "64 hexadecimal digits".to_owned());
            let why = "the files are part of what a run is";
            return Err(TrainError::OutOfRange { key: "task.files", value, allowed, why });
        }
        in_range("task.n_train", self.n_train as f64, 1.0, 1e6, "an update needs data")?;
        in_range("task.batch_examples", self.batch_examples as f64, 1.0, 1e6, "likewise")?;
        let least = "shares are measured on examples";
        in_range("task.n_probe", self.n_probe as f64, 1.0, 1e6, least)?;
        in_range("task.n_audit", self.n_audit as f64, 1.0, 1e6, least)?;
        self.threat.check(self.n_probe)
    }

    pub(super) fn shape() -> TaskShape {
        let input = InputShape::Image { shape: [1, SIZE[0], SIZE[1]] };
        TaskShape { input, n_classes: usize::from(CLASSES), every_position: false }
    }

    fn checked_files(&self) -> Result<Files, TrainError> {
        let folder = Path::new(&self.path);
        let files = Files::read(folder)?;
        if !files.hash.eq_ignore_ascii_case(&self.files) {
            let (expected, found) = (self.files.clone(), files.hash);
            return Err(refused(DataError::Changed { folder: folder.to_owned(), expected, found }));
        }
        let enough = |asked: usize, found, keys| {
            let folder = folder.to_owned();
            let few = || refused(DataError::TooFew { folder, asked, found, keys });
            if asked <= found { Ok(()) } else { Err(few()) }
        };
        let trained = self.n_train.saturating_add(self.n_probe);
        enough(trained, files.train.len(), "task.n_train or task.n_probe")?;
        enough(self.n_audit, files.test.len(), "task.n_audit")?;
        Ok(files)
    }

    /// Distances to the nearest other class among the first `n` examples of the training file.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the files are not what they should be.
    pub fn class_distances(&self, n: usize) -> Result<ClassDistances, TrainError> {
        Ok(ClassDistances::among(&self.checked_files()?.train, n))
    }

    pub(super) fn build(&self, data_seed: u64) -> Result<MnistTask, TrainError> {
        let Files { train, test, .. } = self.checked_files()?;
        let order = Philox::new(data_seed, "mnist.order").at(0).permutation(train.len());
        let (rows, rest) = order.split_at(self.n_train);
        let probe = rest[rest.len() - self.n_probe..].iter().map(|i| *i as usize);
        let eval = vec![train.eval_set("probe", probe), test.eval_set("audit", 0..self.n_audit)];
        let stream = Philox::new(data_seed, "mnist.batches");
        Ok(MnistTask { config: self.clone(), rows: rows.to_vec(), train, stream, eval })
    }
}

/// The generator.
#[derive(Debug)]
pub struct MnistTask {
    config: MnistConfig,
    train: Images,
    /// Which examples of the file are trained on.
    rows: Vec<u32>,
    stream: Philox,
    eval: Vec<EvalSet>,
}

impl Task for MnistTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let (draws, n) = (self.stream.at(step), self.rows.len() as u64);
        let row = |i| self.rows[draws.below(i, n) as usize] as usize;
        Arc::new(self.train.take((0..self.config.batch_examples as u64).map(row)))
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn threat(&self) -> Option<Threat> {
        Some(self.config.threat)
    }
}
