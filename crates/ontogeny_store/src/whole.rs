//! All readings of a run in memory: series, clocks and vectors, and which of them a zoom made.

use crate::StoreError;
use crate::pyramid::keep_last;
use crate::rows::RowBlock;
use crate::series_tape::SeriesTape;
use crate::tape::{Block, Snapshot, TornTail};
use crate::tensors::{TensorBlock, TensorReading};
use ontogeny_core::{Clocks, Point, Series, Step, ZoomId};
use std::collections::{BTreeMap, BTreeSet};

/// Scalar readings.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub series: BTreeMap<String, Series>,
    pub clocks: BTreeMap<Step, Clocks>,
    pub zoomed: Zoomed,
}

/// Vector-valued readings.
#[derive(Debug, Clone)]
pub(crate) struct Tensors {
    pub readings: BTreeMap<String, Vec<TensorReading>>,
    pub torn: Option<TornTail>,
    pub zoomed: Zoomed,
}

/// Which readings, by name and step, a zoom made.
pub(crate) type Zoomed = BTreeMap<String, BTreeMap<Step, ZoomId>>;

impl Metrics {
    pub(crate) fn read(tape: &SeriesTape) -> Result<Self, StoreError> {
        let mut metrics =
            Self { series: BTreeMap::new(), clocks: BTreeMap::new(), zoomed: Zoomed::new() };
        tape.each_block(|block| metrics.add_block(block))?;
        for series in metrics.series.values_mut() {
            keep_last(&mut series.points, |p| p.step);
        }
        Ok(metrics)
    }

    fn add_block(&mut self, block: &RowBlock) {
        let mut columns: Vec<Vec<Point>> = vec![Vec::new(); block.names().len()];
        let mut last = None;
        for i in 0..block.len() {
            let step = block.steps[i];
            columns[block.numbers[i] as usize].push(Point { step, value: block.values[i] });
            if last != Some(step) {
                last = Some(step);
                self.clocks.insert(step, block.clocks[i]);
            }
        }
        for ((name, unit), points) in block.names().iter().zip(columns) {
            if !points.is_empty() {
                let new = || Series::new(name, unit);
                self.series.entry(name.clone()).or_insert_with(new).points.extend(points);
            }
        }
    }

    /// Adds what `zoom` has read where there is nothing yet.
    pub(crate) fn add(&mut self, own: Self, zoom: &ZoomId) {
        for (name, series) in own.series {
            let all = self.series.entry(name.clone());
            let all = all.or_insert_with(|| Series::new(&name, &series.unit));
            let new = add_new(&mut all.points, series.points, |p| p.step);
            note(&mut self.zoomed, &name, new, zoom);
        }
        for (step, clocks) in own.clocks {
            self.clocks.entry(step).or_insert(clocks);
        }
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
        Self { readings, torn: snapshot.torn, zoomed: Zoomed::new() }
    }
}

impl Tensors {
    /// Adds what `zoom` has read where there is nothing yet.
    pub(crate) fn add(&mut self, own: Self, zoom: &ZoomId) {
        for (name, readings) in own.readings {
            let all = self.readings.entry(name.clone()).or_default();
            let new = add_new(all, readings, |r| r.step);
            note(&mut self.zoomed, &name, new, zoom);
        }
    }
}

fn note(zoomed: &mut Zoomed, name: &str, steps: Vec<Step>, zoom: &ZoomId) {
    if !steps.is_empty() {
        let of_name = zoomed.entry(name.to_owned()).or_default();
        of_name.extend(steps.into_iter().map(|s| (s, zoom.clone())));
    }
}

/// Adds the items whose step is not there yet, and returns their steps. Both lists are in step order.
fn add_new<T>(all: &mut Vec<T>, new: Vec<T>, step: impl Fn(&T) -> Step) -> Vec<Step> {
    let known: BTreeSet<Step> = all.iter().map(&step).collect();
    let new: Vec<T> = new.into_iter().filter(|i| !known.contains(&step(i))).collect();
    let steps = new.iter().map(&step).collect();
    all.extend(new);
    all.sort_by_key(|i| step(i));
    steps
}
