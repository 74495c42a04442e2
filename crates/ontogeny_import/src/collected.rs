//! A sink that keeps everything in memory, for analyses that need no store.

use crate::sink::{Reading, RunKey, RunMeta, SeriesKey, Sink, SinkError};
use ontogeny_core::{Point, Series, Step};
use serde_json::{Map, Value};

/// One run with its series.
#[derive(Debug, Clone, Default)]
pub struct CollectedRun {
    /// Name and configuration.
    pub meta: RunMeta,
    /// Series in the order in which they first appeared.
    pub series: Vec<Series>,
}

impl CollectedRun {
    /// The series of this name.
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|s| s.name == name)
    }
}

/// Everything that was read.
///
/// Points are in the order in which they were written until [`Collected::settle`] brings them into step order.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Runs in the order in which they appeared.
    pub runs: Vec<CollectedRun>,
    /// Where each series is: run and place in it.
    places: Vec<(usize, usize)>,
}

impl Collected {
    /// Sorts every series by step and keeps, of several readings at a step, the last that was written.
    pub fn settle(&mut self) {
        for series in self.runs.iter_mut().flat_map(|r| &mut r.series) {
            let points = &mut series.points;
            if points.windows(2).any(|w| w[0].step >= w[1].step) {
                points.reverse();
                points.sort_by_key(|p| std::cmp::Reverse(p.step));
                points.dedup_by_key(|p| p.step);
                points.reverse();
            }
        }
    }

    /// The run of this name.
    pub fn run_named(&self, name: &str) -> Option<&CollectedRun> {
        self.runs.iter().find(|r| r.meta.name == name)
    }

    /// Readings in all series.
    pub fn n_points(&self) -> usize {
        self.runs.iter().flat_map(|r| &r.series).map(|s| s.points.len()).sum()
    }
}

impl Sink for Collected {
    fn run(&mut self, _: RunKey, meta: &RunMeta) -> Result<(), SinkError> {
        self.runs.push(CollectedRun { meta: meta.clone(), series: Vec::new() });
        Ok(())
    }

    fn config(&mut self, run: RunKey, config: &Map<String, Value>) -> Result<(), SinkError> {
        self.runs[run.0 as usize].meta.config.extend(config.clone());
        Ok(())
    }

    fn series(
        &mut self,
        _: SeriesKey,
        run: RunKey,
        name: &str,
        unit: &str,
    ) -> Result<(), SinkError> {
        let all = &mut self.runs[run.0 as usize].series;
        self.places.push((run.0 as usize, all.len()));
        all.push(Series::new(name, unit));
        Ok(())
    }

    fn reading(&mut self, series: SeriesKey, reading: Reading) -> Result<(), SinkError> {
        let (run, place) = self.places[series.0 as usize];
        let point = Point { step: Step(reading.step), value: reading.value };
        self.runs[run].series[place].points.push(point);
        Ok(())
    }
}
