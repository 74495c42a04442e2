//! Reading one run.

use crate::checkpoint::{self, Checkpoint, OwnedTensor};
use crate::chunks::{ChunkId, Chunks};
use crate::pyramid::Overview;
use crate::rows::RowBlock;
use crate::series_tape::{Reading, SeriesTape};
use crate::single::{OneSeries, SeriesSummary};
use crate::tape::{self, Block, Snapshot, TornTail};
use crate::tensors::{TensorBlock, TensorReading};
use crate::whole::{Metrics, Tensors};
use crate::{StoreError, events, indices, zoom};
use ontogeny_core::{Clocks, Event, RunManifest, Series, Step, ZoomId, ZoomManifest};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// Reads one run. What it gives of rows is a snapshot: of the moment when something of them was first asked for.
/// A reader beside a writer sees a prefix of what was appended. Vector-valued readings likewise.
///
/// One series ([`RunReader::series`], [`RunReader::overview`], [`RunReader::readings`]) and names and summaries of all
/// are read alone, from the indices of the sealed segments: what else the run holds does not matter, but for what is
/// not sealed yet, a million rows at most. What is asked of all series, and the clocks, is read as a whole and stays
/// in memory.
///
/// Where somebody has zoomed into the run, the readings of its zooms stand among the recorded ones. At a step
/// that was recorded the recorded reading counts, at others that of the zoom that was made first.
/// [`RunReader::recorded`] leaves the zooms out: forecasts, detectors and everything that is sealed or scored
/// reads that, so that nothing of it changes when somebody looks closer later.
#[derive(Debug)]
pub struct RunReader {
    dir: PathBuf,
    manifest: RunManifest,
    chunks: Chunks,
    /// What the run consisted of when something of it was first asked for.
    tape: OnceLock<SeriesTape>,
    metrics: OnceLock<Metrics>,
    tensors: OnceLock<Tensors>,
    zooms: OnceLock<Vec<ZoomManifest>>,
    /// Those of the zooms, in their order.
    zoom_tapes: OnceLock<Vec<SeriesTape>>,
    /// With the readings of the zooms; only made where there are any.
    merged_metrics: OnceLock<Metrics>,
    merged_tensors: OnceLock<Tensors>,
}

impl RunReader {
    pub(crate) fn new(store: &Path, dir: PathBuf, manifest: RunManifest) -> Self {
        let chunks = Chunks::new(store);
        Self {
            dir,
            manifest,
            chunks,
            tape: OnceLock::new(),
            metrics: OnceLock::new(),
            tensors: OnceLock::new(),
            zooms: OnceLock::new(),
            zoom_tapes: OnceLock::new(),
            merged_metrics: OnceLock::new(),
            merged_tensors: OnceLock::new(),
        }
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
    /// [`StoreError::Damaged`] if the log, or what is read of a segment, is not as it was written. Only
    /// [`crate::Store::verify`] reads everything.
    pub fn series_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = BTreeSet::new();
        for tape in self.tapes()? {
            names.extend(tape.names().map_err(|e| e.of_run(&self.manifest.run))?);
        }
        Ok(names.into_iter().collect())
    }

    /// A series in step order, with the readings of zooms; the last reading counts where a step has several.
    /// `None` if nothing of that name was ever read.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn series(&self, name: &str) -> Result<Option<Series>, StoreError> {
        let found = OneSeries::find(name, self.tapes()?).and_then(|s| s.all());
        found.map_err(|e| e.of_run(&self.manifest.run))
    }

    /// A series as the run recorded it: without the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_series(&self, name: &str) -> Result<Option<Series>, StoreError> {
        let found = OneSeries::find(name, [self.tape()?]).and_then(|s| s.all());
        found.map_err(|e| e.of_run(&self.manifest.run))
    }

    /// A series at the resolution of a screen, with the readings of zooms: the bins of 2^k steps that touch `steps`, at
    /// the least k at which they are no more than `max_bins`. Exact: each bin is what all readings in it give. `None`
    /// if nothing of that name was ever read.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    ///
    /// # Examples
    /// ```no_run
    /// # fn f(reader: &ontogeny_store::RunReader) -> Result<(), ontogeny_store::StoreError> {
    /// use ontogeny_core::Step;
    /// // 1000 columns, at least one bin in each.
    /// let all = Step(0)..=Step(u64::MAX);
    /// if let Some(overview) = reader.overview("train.loss", all, 2000)? {
    ///     let highest = overview.bins.iter().filter_map(|b| b.max).map(|p| p.value);
    ///     assert!(highest.fold(f64::MIN, f64::max) > 0.0);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn overview(
        &self,
        name: &str,
        steps: RangeInclusive<Step>,
        max_bins: u64,
    ) -> Result<Option<Overview>, StoreError> {
        let found = OneSeries::find(name, self.tapes()?).and_then(|s| s.overview(&steps, max_bins));
        found.map_err(|e| e.of_run(&self.manifest.run))
    }

    /// As [`RunReader::overview`], without the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_overview(
        &self,
        name: &str,
        steps: RangeInclusive<Step>,
        max_bins: u64,
    ) -> Result<Option<Overview>, StoreError> {
        let found =
            OneSeries::find(name, [self.tape()?]).and_then(|s| s.overview(&steps, max_bins));
        found.map_err(|e| e.of_run(&self.manifest.run))
    }

    /// Number, ends and extremes of each series, sorted by name; with the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn summaries(&self) -> Result<Vec<SeriesSummary>, StoreError> {
        self.summaries_of(self.tapes()?)
    }

    /// As [`RunReader::summaries`], without the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_summaries(&self) -> Result<Vec<SeriesSummary>, StoreError> {
        self.summaries_of(vec![self.tape()?])
    }

    fn summaries_of(&self, tapes: Vec<&SeriesTape>) -> Result<Vec<SeriesSummary>, StoreError> {
        let all = OneSeries::each(tapes).and_then(|all| {
            all.iter().filter_map(|s| s.summary().transpose()).collect::<Result<_, _>>()
        });
        all.map_err(|e| e.of_run(&self.manifest.run))
    }

    /// Every reading of a series that the run recorded, in the order in which they arrived, with where each comes from:
    /// also those that were replaced, and those that are void because the run went back.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn readings(&self, name: &str) -> Result<Vec<Reading>, StoreError> {
        self.tape()?.readings(name).map_err(|e| e.of_run(&self.manifest.run))
    }

    /// All series, by name, with the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn all_series(&self) -> Result<&BTreeMap<String, Series>, StoreError> {
        Ok(&self.merged_metrics()?.series)
    }

    /// The clocks at every step that has a reading. At a step that only a zoom has read the wall clock is NaN:
    /// nobody looked at it when the run was there.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn clocks(&self) -> Result<&BTreeMap<Step, Clocks>, StoreError> {
        Ok(&self.merged_metrics()?.clocks)
    }

    /// Names of the vector-valued readings, sorted.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn tensor_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.merged_tensors()?.readings.keys().cloned().collect())
    }

    /// Vector-valued readings of one name in step order; empty if there are none.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn tensor(&self, name: &str) -> Result<&[TensorReading], StoreError> {
        Ok(self.merged_tensors()?.readings.get(name).map_or(&[], Vec::as_slice))
    }

    /// All series, by name, as the run recorded them: without the readings of zooms.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded(&self) -> Result<&BTreeMap<String, Series>, StoreError> {
        Ok(&self.metrics()?.series)
    }

    /// The clocks at every step at which the run recorded something.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_clocks(&self) -> Result<&BTreeMap<Step, Clocks>, StoreError> {
        Ok(&self.metrics()?.clocks)
    }

    /// Names of the vector-valued readings that the run recorded, sorted.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_tensor_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.tensors()?.readings.keys().cloned().collect())
    }

    /// Vector-valued readings of one name as the run recorded them.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn recorded_tensor(&self, name: &str) -> Result<&[TensorReading], StoreError> {
        Ok(self.tensors()?.readings.get(name).map_or(&[], Vec::as_slice))
    }

    /// The zooms into the run, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the manifest of one cannot be read; removing that zoom mends it.
    pub fn zooms(&self) -> Result<&[ZoomManifest], StoreError> {
        if self.zooms.get().is_none() {
            let mut listing = zoom::list(&self.dir, &self.manifest.run)?;
            if !listing.damaged.is_empty() {
                return Err(listing.damaged.swap_remove(0).1);
            }
            let _ = self.zooms.set(listing.zooms);
        }
        Ok(self.zooms.wait())
    }

    /// Where the readings of a series, scalar or vector-valued, come from that the run did not record: the zoom
    /// by step.
    ///
    /// # Errors
    /// As [`RunReader::series_names`].
    pub fn zoomed(&self, name: &str) -> Result<BTreeMap<Step, ZoomId>, StoreError> {
        if self.zooms()?.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (scalars, vectors) = (&self.merged_metrics()?.zoomed, &self.merged_tensors()?.zoomed);
        Ok(scalars.get(name).or_else(|| vectors.get(name)).cloned().unwrap_or_default())
    }

    /// Steps at which a zoom has kept the state, in order, whether or not the run has a checkpoint there.
    ///
    /// # Errors
    /// As [`RunReader::zooms`].
    pub fn zoomed_checkpoints(&self) -> Result<Vec<Step>, StoreError> {
        let mut steps = BTreeSet::new();
        for z in self.zooms()? {
            steps.extend(checkpoint::steps(&self.zoom_dir(&z.id))?);
        }
        Ok(steps.into_iter().collect())
    }

    fn zoom_dir(&self, id: &ZoomId) -> PathBuf {
        zoom::dir_of(&self.dir).join(id.as_str())
    }

    /// Steps that have a checkpoint, in order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn checkpoints(&self) -> Result<Vec<Step>, StoreError> {
        checkpoint::steps(&self.dir)
    }

    /// The state at a step, from the run's own checkpoints or else from those of its zooms.
    ///
    /// # Errors
    /// [`StoreError::NoCheckpoint`] names the nearest steps that have one; [`StoreError::Damaged`] if the list
    /// or a chunk is missing or not as it was written.
    pub fn checkpoint(&self, step: Step) -> Result<Checkpoint, StoreError> {
        let read = |dir: &Path| {
            let found = checkpoint::read(dir, &self.chunks, step);
            found.map_err(|e| e.of_run(&self.manifest.run))
        };
        if let Some(found) = read(&self.dir)? {
            return Ok(found);
        }
        for z in self.zooms()? {
            if let Some(found) = read(&self.zoom_dir(&z.id))? {
                return Ok(found);
            }
        }
        Err(self.no_checkpoint(step))
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
        let (metrics, tensors) = (self.tape()?.torn(), &self.tensors()?.torn);
        Ok(metrics.into_iter().chain(tensors).cloned().collect())
    }

    /// Everything that is wrong with the run.
    pub(crate) fn problems(&self, checked: &Mutex<BTreeSet<ChunkId>>) -> Vec<StoreError> {
        let mut problems = self.row_problems(&self.dir);
        problems.extend(self.events().err());
        problems.extend(self.zoom_problems(checked));
        problems.extend(self.checkpoint_problems(&self.dir, checked));
        problems
    }

    /// What is wrong with the tapes of the run or of a zoom.
    fn row_problems(&self, dir: &Path) -> Vec<StoreError> {
        let run = &self.manifest.run;
        let rows = indices::problems::<RowBlock>(&dir.join(RowBlock::KIND), run);
        let vectors = indices::problems::<TensorBlock>(&dir.join(TensorBlock::KIND), run);
        rows.into_iter().chain(vectors).map(|e| e.of_run(run)).collect()
    }

    /// What is wrong with the checkpoints of the run or of a zoom.
    fn checkpoint_problems(
        &self,
        dir: &Path,
        checked: &Mutex<BTreeSet<ChunkId>>,
    ) -> Vec<StoreError> {
        let steps = match checkpoint::steps(dir) {
            Ok(steps) => steps,
            Err(e) => return vec![e],
        };
        let found = steps
            .into_iter()
            .filter_map(|step| checkpoint::check(dir, &self.chunks, step, checked).err());
        found.map(|e| e.of_run(&self.manifest.run)).collect()
    }

    fn zoom_problems(&self, checked: &Mutex<BTreeSet<ChunkId>>) -> Vec<StoreError> {
        let run = &self.manifest.run;
        let listing = match zoom::list(&self.dir, run) {
            Ok(listing) => listing,
            Err(e) => return vec![e],
        };
        let mut problems: Vec<StoreError> = listing.damaged.into_iter().map(|(_, e)| e).collect();
        for z in &listing.zooms {
            let dir = self.zoom_dir(&z.id);
            problems.extend(self.row_problems(&dir));
            problems.extend(self.checkpoint_problems(&dir, checked));
        }
        problems
    }

    /// What was recorded and what zooms have read, as one.
    fn merged_metrics(&self) -> Result<&Metrics, StoreError> {
        let recorded = self.metrics()?;
        let zooms = self.zooms()?;
        if zooms.is_empty() {
            return Ok(recorded);
        }
        if self.merged_metrics.get().is_none() {
            let mut merged = recorded.clone();
            for (z, tape) in zooms.iter().zip(self.zoom_tapes()?) {
                merged.add(self.whole(tape)?, &z.id);
            }
            let _ = self.merged_metrics.set(merged);
        }
        Ok(self.merged_metrics.wait())
    }

    fn merged_tensors(&self) -> Result<&Tensors, StoreError> {
        let recorded = self.tensors()?;
        let zooms = self.zooms()?;
        if zooms.is_empty() {
            return Ok(recorded);
        }
        if self.merged_tensors.get().is_none() {
            let mut merged = recorded.clone();
            for z in zooms {
                let dir = self.zoom_dir(&z.id);
                let own: Tensors = zoom::read::<TensorBlock>(&dir, &self.manifest.run)?.into();
                merged.add(own, &z.id);
            }
            let _ = self.merged_tensors.set(merged);
        }
        Ok(self.merged_tensors.wait())
    }

    fn read<B: Block>(&self) -> Result<Snapshot<B>, StoreError> {
        let run = &self.manifest.run;
        tape::read(&self.dir.join(B::KIND), run).map_err(|e| e.of_run(run))
    }

    fn tape(&self) -> Result<&SeriesTape, StoreError> {
        if self.tape.get().is_none() {
            let _ = self.tape.set(self.open_tape(&self.dir)?);
        }
        Ok(self.tape.wait())
    }

    fn open_tape(&self, dir: &Path) -> Result<SeriesTape, StoreError> {
        let run = &self.manifest.run;
        SeriesTape::open(dir.join(RowBlock::KIND), run).map_err(|e| e.of_run(run))
    }

    fn zoom_tapes(&self) -> Result<&[SeriesTape], StoreError> {
        if self.zoom_tapes.get().is_none() {
            let tapes = self.zooms()?.iter().map(|z| self.open_tape(&self.zoom_dir(&z.id)));
            let _ = self.zoom_tapes.set(tapes.collect::<Result<_, _>>()?);
        }
        Ok(self.zoom_tapes.wait())
    }

    /// Tapes of the run and its zooms; where several have a reading, that of the last of them counts.
    fn tapes(&self) -> Result<Vec<&SeriesTape>, StoreError> {
        let recorded = self.tape()?;
        Ok(self.zoom_tapes()?.iter().rev().chain([recorded]).collect())
    }

    fn whole(&self, tape: &SeriesTape) -> Result<Metrics, StoreError> {
        Metrics::read(tape).map_err(|e| e.of_run(&self.manifest.run))
    }

    fn metrics(&self) -> Result<&Metrics, StoreError> {
        if self.metrics.get().is_none() {
            // If two threads come here at once, the first to finish counts.
            let _ = self.metrics.set(self.whole(self.tape()?)?);
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
