//! What is read of each canary, and what is known of it at an origin.

use crate::LabError;
use ontogeny_core::Step;
use ontogeny_probes::VectorReading;
use ontogeny_store::RunReader;
use ontogeny_train::tasks::canaries::{CanariesConfig, Placement, SECRET};

/// The vector-valued readings that per-example forecasts rest on.
const READ: [&str; 5] = [
    "canaries.losses",
    "canaries.matched",
    "canaries.right",
    "canaries.least_ln_prob",
    "controls.losses",
];

/// Readings of every canary and control over a run, `[reading][example]`.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub steps: Vec<u64>,
    /// One table for each of [`READ`].
    tables: [Vec<Vec<f64>>; READ.len()],
}

impl History {
    /// What a run recorded up to a step.
    pub(super) fn of(reader: &RunReader, until: Step) -> Result<Self, LabError> {
        let mut made = Self::default();
        for (name, table) in READ.iter().zip(&mut made.tables) {
            let readings = reader.recorded_tensor(name)?.iter().filter(|r| r.step <= until);
            let rows = readings.map(|r| (r.step.0, r.values.to_f64()));
            let (steps, values): (Vec<u64>, Vec<Vec<f64>>) = rows.unzip();
            // A probe that failed once leaves a gap in one table: only what all have is used.
            if made.steps.is_empty() {
                made.steps = steps;
            } else if made.steps != steps {
                made.steps
                    .truncate(made.steps.iter().zip(&steps).take_while(|(a, b)| a == b).count());
            }
            *table = values;
        }
        let n = made.steps.len();
        made.tables.iter_mut().for_each(|t| t.truncate(n));
        Ok(made)
    }

    /// Adds the readings of a live run; nothing if one is missing.
    pub(super) fn push(&mut self, step: Step, vectors: &[VectorReading]) {
        if self.steps.last().is_some_and(|s| *s >= step.0) {
            return;
        }
        let found: Vec<Vec<f64>> = (READ.iter())
            .filter_map(|name| vectors.iter().find(|v| v.name == *name))
            .map(|v| v.values.iter().copied().map(f64::from).collect())
            .collect();
        if found.len() == READ.len() {
            self.steps.push(step.0);
            self.tables.iter_mut().zip(found).for_each(|(t, v)| t.push(v));
        }
    }

    /// The first readings, up to a step.
    pub(super) fn until(&self, step: u64) -> Self {
        let n = self.steps.partition_point(|s| *s <= step);
        let mut cut = self.clone();
        cut.steps.truncate(n);
        cut.tables.iter_mut().for_each(|t| t.truncate(n));
        cut
    }

    /// BLAKE3 over names, steps and the bits of all values.
    pub(super) fn hash(&self) -> String {
        let mut h = blake3::Hasher::new();
        for (name, table) in READ.iter().zip(&self.tables) {
            h.update(name.as_bytes());
            for (step, row) in self.steps.iter().zip(table) {
                h.update(&step.to_le_bytes());
                h.update(&(row.len() as u64).to_le_bytes());
                for v in row {
                    h.update(&v.to_bits().to_le_bytes());
                }
            }
        }
        h.finalize().to_hex().to_string()
    }

    pub(super) fn losses(&self) -> &[Vec<f64>] {
        &self.tables[0]
    }

    pub(super) fn controls(&self) -> &[Vec<f64>] {
        &self.tables[4]
    }

    /// The mean loss of the never-inserted at each reading; `which`: of the first half, the second, or all.
    pub(super) fn control_means(&self, which: impl Fn(usize, usize) -> bool) -> Vec<f64> {
        let mean = |row: &Vec<f64>| {
            let n = row.len();
            let of: Vec<f64> = (0..n).filter(|i| which(*i, n)).map(|i| row[i]).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        self.controls().iter().map(mean).collect()
    }

    /// The loss of one canary at each reading.
    pub(super) fn canary(&self, i: usize) -> Vec<f64> {
        self.losses().iter().map(|row| row[i]).collect()
    }

    /// Which canaries are said by heart at a step; `None` if it was not read.
    pub(super) fn extractable(&self, step: u64) -> Option<Vec<bool>> {
        let at = self.steps.binary_search(&step).ok()?;
        Some(self.tables[1][at].iter().map(|m| *m == SECRET as f64).collect())
    }

    /// Which canaries were said by heart at some reading.
    pub(super) fn ever(&self) -> Vec<bool> {
        let n = self.tables[1].first().map_or(0, Vec::len);
        (0..n).map(|i| self.tables[1].iter().any(|r| r[i] == SECRET as f64)).collect()
    }

    /// Share of the digits before the first error, of every canary at the last reading.
    pub(super) fn scores(&self) -> Vec<f64> {
        self.tables[1]
            .last()
            .map_or_else(Vec::new, |r| r.iter().map(|m| m / SECRET as f64).collect())
    }

    /// Signals of every canary at the last reading, columns as in [`row`]; empty without readings.
    ///
    /// [`row`]: Self::rows
    pub(super) fn rows(&self, insertions: &[Vec<u64>], n_steps: u64) -> Vec<Vec<f64>> {
        let Some(&now) = self.steps.last() else { return Vec::new() };
        let last = self.steps.len() - 1;
        let half = self.steps.partition_point(|s| *s <= now / 2).max(1) - 1;
        let controls = self.control_means(|_, _| true);
        let row = |(i, steps): (usize, &Vec<u64>)| {
            let advantage = |at: usize| controls[at] - self.losses()[at][i];
            let most = (0..=last).map(advantage).fold(f64::NEG_INFINITY, f64::max);
            let so_far = steps.partition_point(|s| *s < now);
            let before = steps.partition_point(|s| *s < now * 3 / 4);
            let since = so_far.checked_sub(1).map_or(n_steps, |last| now - steps[last]);
            vec![
                advantage(last),
                advantage(last) - advantage(half),
                most,
                self.tables[1][last][i],
                self.tables[2][last][i],
                self.tables[3][last][i],
                (1.0 + so_far as f64).ln(),
                (1.0 + (so_far - before) as f64).ln(),
                since as f64 / n_steps as f64,
            ]
        };
        insertions.iter().enumerate().map(row).collect()
    }

    /// What needs no learning: insertions so far, the share said by heart now, and the loss against that of controls.
    pub(super) fn plain(&self, insertions: &[Vec<u64>]) -> [Vec<f64>; 3] {
        let (Some(&now), Some(losses)) = (self.steps.last(), self.losses().last()) else {
            return [const { Vec::new() }; 3];
        };
        let mean = self.control_means(|_, _| true).last().copied().unwrap_or(f64::NAN);
        let so_far = |s: &Vec<u64>| s.partition_point(|s| *s < now) as f64;
        [
            insertions.iter().map(so_far).collect(),
            self.scores(),
            losses.iter().map(|l| -l / mean).collect(),
        ]
    }
}

/// What only an oracle knows of every canary: how often it will have been inserted, and where.
pub(super) fn planned(task: &CanariesConfig) -> Vec<Vec<f64>> {
    let of = |c: &ontogeny_train::tasks::canaries::Canary| {
        let place = |p: Placement| f64::from(u8::from(c.placement == p));
        let mut row = vec![f64::from(c.count).ln()];
        row.extend(Placement::ALL.map(place));
        row.extend(Placement::ALL.map(|p| place(p) * f64::from(c.count).ln()));
        row
    };
    task.canaries().iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two canaries and two controls, read at steps 0, 10 and 20.
    fn history() -> History {
        let mut h = History::default();
        for (step, losses, matched) in [
            (0, [30.0, 30.0], [0.0, 0.0]),
            (10, [20.0, 28.0], [4.0, 0.0]),
            (20, [2.0, 27.0], [12.0, 1.0]),
        ] {
            let vector = |name: &str, values: &[f32]| VectorReading {
                name: name.into(),
                unit: "1".into(),
                values: values.to_vec(),
            };
            let vectors = [
                vector("canaries.losses", &losses),
                vector("canaries.matched", &matched),
                vector("canaries.right", &matched),
                vector("canaries.least_ln_prob", &[-1.0, -2.0]),
                vector("controls.losses", &[29.0, 27.0]),
            ];
            h.push(Step(step), &vectors);
            // The same step again, as after a pause, changes nothing; nor does a reading that lacks something.
            h.push(Step(step), &vectors);
            h.push(Step(step + 1), &vectors[..3]);
        }
        h
    }

    #[test]
    fn rows_hold_what_was_known_and_nothing_after() {
        let h = history();
        assert_eq!(h.steps, [0, 10, 20]);
        let insertions = vec![vec![3, 8, 12], vec![15]];
        let seen = h.until(10);
        let rows = seen.rows(&insertions, 40);
        // Advantage 28 - 20, its change, its most; digits; the second canary has not been inserted.
        assert_eq!(rows[0][..6], [8.0, 10.0, 8.0, 4.0, 4.0, -1.0]);
        assert_eq!((rows[0][6], rows[0][8]), (3.0_f64.ln(), 0.05));
        assert_eq!((rows[1][6], rows[1][8]), (0.0, 1.0));
        assert_eq!(seen.plain(&insertions)[0], [2.0, 0.0]);
        assert_eq!(h.extractable(20), Some(vec![true, false]));
        assert_eq!((h.extractable(15), h.ever()), (None, vec![true, false]));
        assert_eq!(h.control_means(|i, n| i < n / 2), [29.0; 3]);
        // The hash is of what was seen alone.
        assert_eq!(seen.hash(), h.until(19).hash());
        assert_ne!(seen.hash(), h.hash());
    }
}
