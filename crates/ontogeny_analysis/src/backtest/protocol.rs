//! What a backtest asks: which units, what may be seen, what is forecast, how it is scored. A file a person writes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A backtest, as read from TOML. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Short name, e.g. `algoperf-final`.
    pub name: String,
    /// What is asked, in a sentence.
    pub title: String,
    /// What is forecast; each pattern may match many series.
    #[serde(rename = "target")]
    pub targets: Vec<TargetSpec>,
    /// How the suite is read, if it is one table instead of a tidy folder or logs.
    #[serde(default)]
    pub table: Option<TableSpec>,
    /// Attributes of runs: only runs that agree on all of them inform one another. Series are separate unless
    /// they are pooled.
    #[serde(default)]
    pub group: Vec<String>,
    /// Attributes of runs: while a run is forecast, those that agree with it on any of them are out of sight.
    /// None: each run alone is left out.
    #[serde(default)]
    pub hide: Vec<String>,
    /// Parts into which what is hidden together is dealt, each out of sight at once; each by itself if absent. Fewer
    /// parts take less time and leave less to learn from.
    #[serde(default)]
    pub folds: Option<usize>,
    /// Attributes that are numbers and known before training, as hyper-parameters; `x.*` takes every number
    /// inside attribute `x`, which is JSON; any other `*` stands for anything in the names of attributes.
    #[serde(default)]
    pub features: Vec<String>,
    /// Series whose last reading is known of every run, as a feature (of models that are measured in many ways).
    #[serde(default)]
    pub known: Vec<String>,
    /// Series that are decided before training, such as the learning rate: known to their ends.
    #[serde(default)]
    pub planned: Vec<String>,
    /// Other series of the same run that may be read, with `*` for anything; all if absent.
    #[serde(default)]
    pub signals: Option<Vec<String>>,
    /// Whether all series that match a target are one group, in which each (run, series) is forecast from the
    /// others; the series' name is then the attribute `series`.
    #[serde(default)]
    pub pool_series: bool,
    /// What may be seen.
    pub visible: Visible,
    /// Forecasters by name; all if absent.
    #[serde(default)]
    pub forecasters: Vec<String>,
    /// Runs that a group needs.
    #[serde(default = "least_runs")]
    pub least_runs: usize,
    /// Unit in which errors are given.
    #[serde(default)]
    pub scale: ScaleUnit,
}

impl Protocol {
    /// The cuts; one, called 0, where runs are told apart by nothing else than their attributes.
    pub fn cuts(&self) -> Vec<f64> {
        if self.visible.cuts.is_empty() { vec![0.0] } else { self.visible.cuts.clone() }
    }
}

fn least_runs() -> usize {
    8
}

/// Columns of a table, read as `ontogeny_import` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableSpec {
    /// The file in the suite's folder.
    pub file: String,
    /// Columns whose cells name the run; none: every row is one.
    pub run: Vec<String>,
    /// The column of the step; none: every reading is at step 0.
    pub step: Option<String>,
    /// Long form: columns that name the series.
    pub metric: Vec<String>,
    /// Long form: the column of the reading.
    pub value: Option<String>,
    /// Wide form: columns that are series, with `*` for anything.
    pub series: Vec<String>,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// Runs it is asked of: attribute to allowed values; all if absent.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
    /// Name of the series, with `*` for anything.
    pub series: String,
    /// Whether errors are on the natural logarithm of the value.
    #[serde(default)]
    pub log: bool,
    /// Values outside are set to the nearest end, wherever they are read.
    #[serde(default)]
    pub range: Option<(f64, f64)>,
    /// Which values are better, for choices between runs.
    #[serde(default)]
    pub better: Option<Better>,
    /// If given, the step at which this happens is forecast instead of the value.
    #[serde(default)]
    pub event: Option<EventSpec>,
}

/// A level that is reached and held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// Which way the series must cross.
    pub direction: ontogeny_core::Direction,
    /// The level.
    pub level: f64,
    /// Readings at which it must hold.
    #[serde(default = "persistence")]
    pub persistence: usize,
}

fn persistence() -> usize {
    3
}

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Losses, error rates.
    Lower,
    /// Accuracies.
    Higher,
}

/// What may be seen of the run that is forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visible {
    /// How cuts are counted.
    pub axis: Axis,
    /// The cuts; may be left out on the axis `runs`.
    #[serde(default)]
    pub cuts: Vec<f64>,
    /// The step that is forecast (axis `step`); the run's last reading if absent.
    #[serde(default)]
    pub end: Option<u64>,
    /// Axis `runs`: what is compared with the cuts, the product of these attributes: runs up to the cut are seen.
    #[serde(default)]
    pub by: Vec<String>,
    /// Axis `runs`: only runs from here on are forecast; those beyond the cut if absent.
    #[serde(default)]
    pub from: Option<f64>,
    /// Axis `runs`: only runs with these attributes are seen.
    #[serde(default)]
    pub seen: BTreeMap<String, Vec<String>>,
    /// Axis `runs`: only runs with these attributes are forecast.
    #[serde(default)]
    pub asked: BTreeMap<String, Vec<String>>,
}

/// How cuts are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Fractions of the run's own length, which is taken to be known.
    Fraction,
    /// Steps.
    Step,
    /// Whole runs: some are seen to their ends, of the others nothing but what was known before.
    Runs,
}

/// Unit in which errors are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleUnit {
    /// The distance between the quartiles of the outcomes of the group.
    #[default]
    GroupIqr,
    /// The unit of the series.
    One,
}

/// Whether `name` matches `pattern`, in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(i, _)| i)
                .chain([tail.len()])
                .any(|i| matches(rest, &tail[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("*/acc", "arc_easy/acc") && matches("loss", "loss"));
        assert!(!matches("*/acc", "arc_easy/acc_norm") && !matches("loss", "val_loss"));
        assert!(matches("a*c*", "abcd") && matches("*", "") && !matches("a*c", "ab"));
    }
}
