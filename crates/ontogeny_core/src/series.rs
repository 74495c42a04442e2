//! A series: one named, unit-carrying column over steps.

use crate::Step;
use serde::{Deserialize, Serialize};

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub step: Step,
    /// What; NaN and infinities are kept as they were read.
    pub value: f64,
}

/// One named column over steps, in step order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    /// Dotted name, e.g. `test.accuracy` or `embedding.gini`.
    pub name: String,
    /// Unit, e.g. `nats`, `1`, `steps`; never empty.
    pub unit: String,
    /// Readings, steps not decreasing.
    pub points: Vec<Point>,
}

impl Series {
    /// An empty series.
    pub fn new(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { name: name.into(), unit: unit.into(), points: Vec::new() }
    }

    /// Builds a series from (step, value) pairs.
    pub fn from_pairs(
        name: impl Into<String>,
        unit: impl Into<String>,
        pairs: impl IntoIterator<Item = (u64, f64)>,
    ) -> Self {
        let points =
            pairs.into_iter().map(|(step, value)| Point { step: Step(step), value }).collect();
        Self { points, ..Self::new(name, unit) }
    }

    /// The last reading.
    pub fn last(&self) -> Option<Point> {
        self.points.last().copied()
    }

    /// The reading at `step`, or the last one before it.
    pub fn at_or_before(&self, step: Step) -> Option<Point> {
        let n = self.points.partition_point(|p| p.step <= step);
        n.checked_sub(1).map(|i| self.points[i])
    }

    /// The readings no later than `cutoff`.
    pub fn up_to(&self, cutoff: Step) -> &[Point] {
        &self.points[..self.points.partition_point(|p| p.step <= cutoff)]
    }
}
