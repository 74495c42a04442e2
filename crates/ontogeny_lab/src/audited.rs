//! Questions about the end of a run that the audit split decides, while forecasters read the probe split.

use crate::RunRecord;
use crate::sealing::{Features, training_run};
use crate::voices::{Standing, Voices};
use ontogeny_analysis::forecasters::{Cutoff, CutoffRule, Query, TrainingRun};
use ontogeny_core::{Point, Step, Table, Target};

/// What is asked of the end of a run.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The property, and its short name in tables.
    pub property: &'static str,
    pub short: &'static str,
    /// The series that decides, and the one that may be read.
    pub audit: &'static str,
    pub probe: &'static str,
    /// Where it can lie.
    pub range: (f64, f64),
}

impl Asked {
    /// The name under which a proxy's end is known.
    pub(crate) fn proxy_key(&self, share: f64) -> String {
        format!("{} {}", self.short, origin(share))
    }
}

/// The name of an origin at a share of the run.
pub(crate) fn origin(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The value of a series at the very step `at`; `None` if the run did not come to it or has none there.
pub(crate) fn outcome(record: &RunRecord, series: &str, at: u64) -> Option<f64> {
    let p = record.series.get(series)?.at_or_before(Step(at))?;
    (p.step == Step(at) && p.value.is_finite()).then_some(p.value)
}

/// What is asked about `series` at the end, from step `at`, a share of the run.
pub(crate) fn query(series: &str, horizon: u64, (share, at): (f64, u64)) -> Query {
    Query {
        target: Target::Value { series: series.into(), at: Step(horizon), log: false },
        cutoff: Cutoff { name: origin(share), rule: CutoffRule::Fixed { step: Step(at) } },
        rule: None,
        plans: Vec::new(),
    }
}

/// A finished run as forecasters are fitted to it: what was read of it on the probe split, but for the answers, which
/// are those of the audit split.
pub(crate) fn audited(
    record: &RunRecord,
    asked: &[Asked],
    features: Features,
    horizon: u64,
) -> TrainingRun {
    let mut run = training_run(record, features);
    for asked in asked {
        let answer = outcome(record, asked.audit, horizon);
        if let Some(series) = run.series.iter_mut().find(|s| s.name == asked.probe) {
            series.points.retain(|p| p.step < Step(horizon));
            series.points.extend(answer.map(|value| Point { step: Step(horizon), value }));
        }
    }
    run
}

/// Rows about one origin: everybody in `who` (name and label) in its order, silent or not; of those in `ours` also
/// what they gain over the best of `rivals`.
pub(crate) fn value_rows(
    share: f64,
    voices: &Voices,
    who: &[(&str, &str)],
    (ours, rivals): (&[&str], &[&str]),
) -> Vec<Vec<String>> {
    let number = |v: f64| format!("{v:.3}");
    let of = |(name, label): &(&str, &str)| {
        let mut row = vec![origin(share), (*label).to_owned()];
        let Some(s) = voices.score(name) else {
            row.extend(std::iter::repeat_n("–".to_owned(), 9));
            return row;
        };
        match voices.standing(name) {
            Some(Standing::Withheld) => row[1] += " (withheld: not predictable)",
            Some(Standing::Oracle) => row[1] += " (knows the generator)",
            _ => {}
        }
        row.extend([s.n.to_string(), number(s.r2), number(s.mae)]);
        row.push(s.spearman.map_or("–".to_owned(), number));
        row.extend([number(s.pinball), number(s.cov50), number(s.cov90), number(s.width90)]);
        let gain = if ours.contains(name) { voices.gain_over(name, rivals) } else { None };
        row.push(match gain {
            Some((best, (d, lo, hi))) => format!("{d:+.2} [{lo:+.2}, {hi:+.2}] vs {best}"),
            None => "–".to_owned(),
        });
        row
    };
    who.iter().map(of).collect()
}

/// The table of [`value_rows`]; `whose` says what of whom, `rivals` whom the last column compares with.
pub(crate) fn value_table(whose: &str, rivals: &str, rows: Vec<Vec<String>>) -> Table {
    let last = format!("R² less the best of {rivals} (95 %)");
    let columns = [
        "origin", "who", "n", "R²", "MAE", "Spearman", "pinball", "cov50", "cov90", "width90",
        &last,
    ];
    Table {
        caption: format!(
            "Final {whose}. R² is against the mean of the outcomes; coverage and width are of central 50 and 90 % \
             intervals; intervals of differences resample runs 10,000 times."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}
