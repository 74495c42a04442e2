//! Reading one run.

use crate::checkpoint::{self, Checkpoint, OwnedTensor};
use crate::chunks::{ChunkId, Chunks};
use crate::rows::RowBlock;
use crate::tape::{self, Block, Snapshot, TornTail};
use crate::tensors::{TensorBlock, TensorReading};
use crate::{StoreError, events};
use ontogeny_core::{Clocks, Event, Point, RunManifest, Series, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Reads one run. Metrics and vector-valued readings are loaded when first asked for and then stay as they
/// were: a snapshot. A reader beside a writer sees a prefix of what was appended.
#[derive(Debug)]
pub struct RunReader {
    dir: PathBuf,
    manifest: RunManifest,
    chunks: Chunks,
    metrics: OnceLock<Metrics>,
    tensors: OnceLock<Tensors>,
}

#[derive(Debug)]
struct Metrics {
    series: BTreeMap<String, Series>,
    clocks: BTreeMap<Step, Clocks>,
    torn: Option<TornTail>,
}

#[derive(Debug)]
struct Tensors {
    readings: BTreeMap<String, Vec<TensorReading>>,
    torn: Option<TornTail>,
}

impl RunReader {
    pub(crate) fn new(store: &Path, dir: PathBuf, manifest: RunManifest) -> Self {
        let chunks = Chunks::new(store);
        Self { dir, manifest, chunks, metrics: OnceLock::new(), tensors: OnceLock::new() }
    }

    /// The manifest as it was when the reader was made.
    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// The folder of the run.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// Names of the series, sorted.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a segment or the log is not as it was written.
    pub fn series_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.metrics()?.series.keys().cloned().collect())
    }

    /// A series in step order; the last reading counts where a step has several. `None` if nothing of that
    /// name was ever recorded.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn series(&self, name: &str) -> Result<Option<Series>, StoreError> {
        Ok(self.metrics()?.series.get(name).cloned())
    }

    /// All series, by name.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn all_series(&self) -> Result<&BTreeMap<String, Series>, StoreError> {
        Ok(&self.metrics()?.series)
    }

    /// The clocks at every step that has a reading.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn clocks(&self) -> Result<&BTreeMap<Step, Clocks>, StoreError> {
        Ok(&self.metrics()?.clocks)
    }

    /// Names of the vector-valued readings, sorted.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn tensor_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.tensors()?.readings.keys().cloned().collect())
    }

    /// Vector-valued readings of one name in step order; empty if there are none.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn tensor(&self, name: &str) -> Result<&[TensorReading], StoreError> {
        Ok(self.tensors()?.readings.get(name).map_or(&[], Vec::as_slice))
    }

    /// Steps that have a checkpoint, in order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn checkpoints(&self) -> Result<Vec<Step>, StoreError> {
        checkpoint::steps(&self.dir)
    }

    /// The state at a step.
    ///
    /// # Errors
    /// [`StoreError::NoCheckpoint`] names the nearest steps that have one; [`StoreError::Damaged`] if the list
    /// or a chunk is missing or not as it was written.
    pub fn checkpoint(&self, step: Step) -> Result<Checkpoint, StoreError> {
        checkpoint::read(&self.dir, &self.chunks, step)
            .map_err(|e| e.of_run(&self.manifest.run))?
            .map_or_else(|| Err(self.no_checkpoint(step)), Ok)
    }

    /// One tensor of the state at a step; `None` if the state has none of this name. Only the chunks that hold it
    /// are read, with those against which they are stored.
    ///
    /// # Errors
    /// As [`RunReader::checkpoint`].
    pub fn checkpoint_tensor(
        &self,
        step: Step,
        name: &str,
    ) -> Result<Option<OwnedTensor>, StoreError> {
        let found = checkpoint::read_one(&self.dir, &self.chunks, step, name)
            .map_err(|e| e.of_run(&self.manifest.run))?;
        if found.is_none() && !self.checkpoints()?.contains(&step) {
            return Err(self.no_checkpoint(step));
        }
        Ok(found)
    }

    /// The hash of the state at a step ([`Checkpoint::state_hash`]), without reading the state.
    ///
    /// # Errors
    /// As [`RunReader::checkpoint`].
    pub fn state_hash(&self, step: Step) -> Result<String, StoreError> {
        checkpoint::read_state_hash(&self.dir, step)
            .map_err(|e| e.of_run(&self.manifest.run))?
            .map_or_else(|| Err(self.no_checkpoint(step)), Ok)
    }

    pub(crate) fn no_checkpoint(&self, step: Step) -> StoreError {
        let steps = self.checkpoints().unwrap_or_default();
        let after = steps.partition_point(|&s| s <= step);
        StoreError::NoCheckpoint {
            run: self.manifest.run.clone(),
            step,
            before: after.checked_sub(1).map(|i| steps[i]),
            after: steps.get(after).copied(),
        }
    }

    /// The detected events as they were last written; none if they never were.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the table is not as it was written.
    pub fn events(&self) -> Result<Vec<Event>, StoreError> {
        events::read(&self.dir).map_err(|e| e.of_run(&self.manifest.run))
    }

    /// What a crash, or a writer at this moment, has left unfinished at the end of the logs.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn torn_tails(&self) -> Result<Vec<TornTail>, StoreError> {
        let (metrics, tensors) = (&self.metrics()?.torn, &self.tensors()?.torn);
        Ok(metrics.iter().chain(tensors).cloned().collect())
    }

    /// Everything that is wrong with the run.
    pub(crate) fn problems(&self, checked: &mut BTreeSet<ChunkId>) -> Vec<StoreError> {
        let run = &self.manifest.run;
        let mut problems = Vec::new();
        problems.extend(self.metrics().err());
        problems.extend(self.tensors().err());
        problems.extend(self.events().err());
        match self.checkpoints() {
            Err(e) => problems.push(e),
            Ok(steps) => problems.extend(steps.into_iter().filter_map(|step| {
                let found = checkpoint::check(&self.dir, &self.chunks, step, checked);
                found.err().map(|e| e.of_run(run))
            })),
        }
        problems
    }

    fn read<B: Block>(&self) -> Result<Snapshot<B>, StoreError> {
        let run = &self.manifest.run;
        tape::read(&self.dir.join(B::KIND), run).map_err(|e| e.of_run(run))
    }

    fn metrics(&self) -> Result<&Metrics, StoreError> {
        if self.metrics.get().is_none() {
            // If two threads come here at once, the first to finish counts.
            let _ = self.metrics.set(Metrics::from(self.read()?));
        }
        Ok(self.metrics.wait())
    }

    fn tensors(&self) -> Result<&Tensors, StoreError> {
        if self.tensors.get().is_none() {
            let _ = self.tensors.set(Tensors::from(self.read()?));
        }
        Ok(self.tensors.wait())
    }
}

impl From<Snapshot<RowBlock>> for Metrics {
    fn from(snapshot: Snapshot<RowBlock>) -> Self {
        let mut metrics =
            Self { series: BTreeMap::new(), clocks: BTreeMap::new(), torn: snapshot.torn };
        for block in snapshot.blocks {
            let mut columns: Vec<Vec<Point>> = vec![Vec::new(); block.names().len()];
            let mut last = None;
            for i in 0..block.len() {
                let step = block.steps[i];
                columns[block.numbers[i] as usize].push(Point { step, value: block.values[i] });
                if last != Some(step) {
                    last = Some(step);
                    metrics.clocks.insert(step, block.clocks[i]);
                }
            }
            for ((name, unit), points) in block.names().iter().zip(columns) {
                if !points.is_empty() {
                    let new = || Series::new(name, unit);
                    metrics.series.entry(name.clone()).or_insert_with(new).points.extend(points);
                }
            }
        }
        for series in metrics.series.values_mut() {
            keep_last(&mut series.points, |p| p.step);
        }
        metrics
    }
}

impl From<Snapshot<TensorBlock>> for Tensors {
    fn from(snapshot: Snapshot<TensorBlock>) -> Self {
        let mut readings: BTreeMap<String, Vec<TensorReading>> = BTreeMap::new();
        for mut block in snapshot.blocks {
            let rows = std::mem::take(&mut block.rows);
            for row in rows {
                let (name, unit) = &block.names()[row.number as usize];
                readings.entry(name.clone()).or_default().push(TensorReading {
                    step: row.step,
                    unit: unit.clone(),
                    shape: row.shape,
                    values: row.values,
                });
            }
        }
        for readings in readings.values_mut() {
            keep_last(readings, |r| r.step);
        }
        Self { readings, torn: snapshot.torn }
    }
}

/// Sorts by step and keeps, of equal steps, the one that was appended last.
fn keep_last<T>(items: &mut Vec<T>, step: impl Fn(&T) -> Step) {
    if items.windows(2).all(|w| step(&w[0]) < step(&w[1])) {
        return;
    }
    items.reverse();
    items.sort_by_key(|i| std::cmp::Reverse(step(i)));
    items.dedup_by_key(|i| step(i));
    items.reverse();
}
