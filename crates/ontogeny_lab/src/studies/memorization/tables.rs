//! Who said what about single strings and about their number, and how good it was.

use super::super::StudyContext;
use super::sizes::{ORIGINS, TARGET, observable, task};
use super::speakers::{PerExample, area, difference, notes, pooled};
use super::{Evidence, MAIN, ORACLE, PROXY, TO_BEAT, origin, outcome};
use crate::LabError;
use crate::sealing::Registered;
use crate::values::Found;
use crate::voices::{Standing, Voices};
use ontogeny_analysis::scores::{auprc, precision_and_recall, recall_at_precision};
use ontogeny_core::{Step, Table};
use std::collections::BTreeMap;

/// The precision at which recall is read.
const PRECISE: f64 = 0.9;

/// Everything that was said from one origin.
pub(super) struct Answers {
    pub share: f64,
    /// Scores by speaker, and outcomes, by run.
    said: BTreeMap<String, Vec<Vec<f64>>>,
    outcomes: Vec<Vec<bool>>,
    /// Notes whose readings did not come out the same.
    pub n_refused: usize,
    pub is_supported: bool,
    /// Floating-point operations up to the origin, of the run and of the smaller network to its end.
    pub flop: f64,
    pub flop_proxy: f64,
    pub counts: Voices,
}

impl Answers {
    fn runs(&self) -> Vec<&[bool]> {
        self.outcomes.iter().map(Vec::as_slice).collect()
    }

    pub(super) fn n_runs(&self) -> usize {
        self.outcomes.len()
    }

    /// Scores and outcomes of all canaries.
    pub(super) fn pooled(&self, name: &str) -> Option<Vec<(f64, bool)>> {
        pooled(self.said.get(name)?, &self.runs())
    }

    /// Area under the precision-recall curve, with its interval over runs.
    pub(super) fn area(&self, name: &str) -> Option<(f64, f64, f64)> {
        area(self.said.get(name)?, &self.runs())
    }

    /// The area alone.
    pub(super) fn plain_area(&self, name: &str) -> Option<f64> {
        auprc(&self.pooled(name)?)
    }

    /// The area of one less that of another, with its interval over runs.
    pub(super) fn gain(&self, name: &str, rival: &str) -> Option<(f64, f64, f64)> {
        difference(self.said.get(name)?, self.said.get(rival)?, &self.runs())
    }

    /// The best of what needs no learning.
    pub(super) fn best(&self) -> Option<&'static str> {
        let of = |name: &&'static str| Some((*name, self.plain_area(name)?));
        TO_BEAT.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1)).map(|b| b.0)
    }

    pub(super) fn recall(&self, name: &str) -> Option<f64> {
        recall_at_precision(&self.pooled(name)?, PRECISE)
    }
}

/// All origins in order.
pub(super) fn answers(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Vec<Answers>, LabError> {
    let entries = ctx.conductor.ledger.entries()?;
    let noted = notes(&entries, ctx.id.as_str());
    let index = Registered::of(entries);
    let end = e.sizes.n_steps;
    let found: Found =
        e.test.iter().filter_map(|r| Some((r.id().clone(), outcome(r, end)?))).collect();
    let flop = |d: usize, steps: u64| {
        let config = e.sizes.config(d);
        let each = config.model.flop_per_example(&config.task.shape());
        each * (e.sizes.batch as u64 * steps) as f64
    };
    let mut all = Vec::new();
    for ((share, speakers), question) in ORIGINS.into_iter().zip(e.speakers).zip(e.questions) {
        let name = origin(share);
        let mut made = Answers {
            share,
            said: BTreeMap::new(),
            outcomes: Vec::new(),
            n_refused: 0,
            is_supported: speakers.is_supported,
            flop: flop(e.sizes.d_model, speakers.step),
            flop_proxy: flop(e.sizes.d_proxy, end),
            counts: Voices::sealed(&index, ctx.id.as_str(), TARGET, &name, found.clone()),
        };
        for (record, history) in e.test.iter().zip(e.histories) {
            let is_it = |s: &&PerExample| &s.run == record.id() && s.origin == name;
            let Some(note) = noted.values().find(is_it) else { continue };
            let again = history.until(note.cutoff).hash();
            if again != note.prefix_hash || note.sealed_at >= note.horizon {
                made.n_refused += 1;
                continue;
            }
            let Some(yes) = history.extractable(note.horizon) else { continue };
            if let (Some(main), Ok(mut sums)) = (note.said.get(MAIN), speakers.sums.lock()) {
                sums.insert(note.run.clone(), main.iter().sum());
            }
            for (who, scores) in &note.said {
                made.said.entry(who.clone()).or_default().push(scores.clone());
            }
            made.outcomes.push(yes);
        }
        // Only those who spoke about every run are compared.
        let n = made.outcomes.len();
        made.said.retain(|_, runs| runs.len() == n);
        for record in e.test {
            let (prefix, own) = (
                record.prefix(Step(speakers.step)),
                record.config().map(|c| observable(&c)).unwrap_or_default(),
            );
            for (who, theory) in &question.theories {
                let would = theory.conjecture(&prefix, &own);
                made.counts.add(who, Standing::Withheld, record.id(), would);
            }
        }
        all.push(made);
    }
    Ok(all)
}

/// Strings: everybody from every origin.
pub(super) fn strings(all: &[Answers]) -> Table {
    let number = |v: Option<f64>| v.map_or("–".into(), |v| format!("{v:.2}"));
    let with = |(v, lo, hi): (f64, f64, f64)| format!("{v:.2} [{lo:.2}, {hi:.2}]");
    let mut rows = Vec::new();
    for a in all {
        for name in a.said.keys() {
            let Some(records) = a.pooled(name) else { continue };
            // A probability is cut at a half; what is said already, below the whole string.
            let cut = match name.as_str() {
                "persistence" => Some(0.999),
                n if n == MAIN || n == ORACLE || n == "logistic" => Some(0.5),
                _ => None,
            };
            let (precision, recall) =
                cut.map_or((None, None), |c| precision_and_recall(&records, c));
            let standing = match name.as_str() {
                ORACLE => "knows the plan",
                n if n == MAIN && !a.is_supported => "sealed, not supported by the fit runs",
                _ => "sealed",
            };
            let flop = if name == PROXY { a.flop_proxy } else { a.flop };
            rows.push(vec![
                origin(a.share),
                name.clone(),
                standing.to_owned(),
                a.area(name).map_or_else(|| number(a.plain_area(name)), with),
                number(precision),
                number(recall),
                number(a.recall(name)),
                format!("{:.2}", flop / 1e12),
            ]);
        }
    }
    let columns = [
        "origin",
        "forecaster",
        "standing",
        "AUPRC",
        "precision",
        "recall",
        "recall at precision .9",
        "TFLOP",
    ];
    let n = all.first().map_or(0, Answers::n_runs);
    Table {
        caption: format!(
            "Which canaries will be said by heart at the end: all canaries of {n} test runs, intervals over runs. Precision and \
             recall of \"yes\" at probability one half. The base rate has the area of a guess. TFLOP: what had been computed at \
             the origin (of the smaller network: to its end)."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}

/// Numbers: everybody from every origin.
pub(super) fn numbers(all: &[Answers]) -> Table {
    let mut rows = Vec::new();
    for a in all {
        for (name, said, standing) in a.counts.iter() {
            let Some(s) = a.counts.score(name) else { continue };
            let standing = match standing {
                Standing::Oracle => "oracle",
                Standing::Sealed => "sealed",
                Standing::Withheld => "withheld",
            };
            rows.push(vec![
                origin(a.share),
                name.to_owned(),
                standing.to_owned(),
                said.len().to_string(),
                format!("{:.2}", s.r2),
                format!("{:.2}", s.mae),
                format!("{:.2}", s.pinball),
                format!("{:.2} ({:.1})", s.cov90, s.width90),
            ]);
        }
    }
    let columns =
        ["origin", "forecaster", "standing", "runs", "R²", "MAE", "pinball", "90 % (width)"];
    Table {
        caption: "How many canaries will be said by heart at the end. \"Withheld\" said nothing under seal, because the fit \
                  runs did not support it; shown is what it would have said."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}

/// Canaries of a run.
pub(super) fn n_canaries(e: &Evidence<'_>) -> usize {
    let config = e.sizes.config(e.sizes.d_model);
    task(&config).map_or(0, |t| t.canaries().len())
}
