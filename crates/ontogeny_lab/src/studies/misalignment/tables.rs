//! Who said what about the test runs, and how good it was.

use super::super::StudyContext;
use super::sizes::{ORIGINS, TARGET, observable};
use super::{Evidence, ORACLE, TO_BEAT, origin, outcome};
use crate::sealing::Registered;
use crate::values::Found;
use crate::voices::{Standing, Voices};
use crate::{LabError, RunRecord};
use ontogeny_analysis::distribution::{Cdf, Support, median};
use ontogeny_analysis::scores::auc;
use ontogeny_analysis::stats::{bootstrap_interval, cluster_bootstrap};
use ontogeny_core::{Predictive, RunId, Step, Table};

/// Probability of bad answers from which on badness has spread.
pub(super) const HAS_SPREAD: f64 = 0.5;
/// Rate of bad answers below which nothing shows yet.
pub(super) const UNSEEN: f64 = 0.01;

/// The answers from one origin.
pub(super) struct Answers {
    pub at: u64,
    /// Test runs in which nothing showed at the origin.
    pub unseen: Vec<RunId>,
    pub voices: Voices,
}

/// All origins in order.
pub(super) fn answers(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Vec<Answers>, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let found: Found = (e.test())
        .filter_map(|(s, r)| Some((r.id().clone(), outcome(&e.sizes, r, s.n_align)?)))
        .collect();
    let mut all = Vec::new();
    for (i, at) in ORIGINS.into_iter().enumerate() {
        let id = ctx.id.as_str();
        let mut voices = Voices::sealed(&index, id, TARGET, &origin(at), found.clone());
        for (stage, record) in e.test() {
            let cutoff = Step(e.sizes.narrow_at(stage.n_align) + at);
            let (prefix, own) = (record.prefix(cutoff), features(record));
            for (name, theory) in &stage.questions[i].theories {
                let would = theory.conjecture(&prefix, &own);
                voices.add(name, Standing::Withheld, record.id(), would);
            }
            let known = stage.oracles[i].as_ref().and_then(|o| o.predict(&prefix, &own));
            voices.add(ORACLE, Standing::Oracle, record.id(), known);
        }
        let unseen = e.test().filter(|(s, r)| {
            let cutoff = Step(e.sizes.narrow_at(s.n_align) + at);
            r.value("other.rival_rate", cutoff).is_some_and(|v| v < UNSEEN)
        });
        let unseen = unseen.map(|(_, r)| r.id().clone()).collect();
        all.push(Answers { at, unseen, voices });
    }
    Ok(all)
}

fn features(record: &RunRecord) -> crate::sealing::Features {
    record.config().map(|c| observable(&c)).unwrap_or_default()
}

/// Probability that badness will have spread; ties are told apart by the median.
fn risk(p: &Predictive) -> f64 {
    let above = Cdf::new(p, Support::Line).map_or(f64::NAN, |c| 1.0 - c.at(HAS_SPREAD));
    above + 1e-6 * median(p)
}

impl Answers {
    /// Whether what a forecaster said stands in the ledger.
    pub(super) fn is_sealed(&self, name: &str) -> bool {
        self.voices.standing(name) == Some(Standing::Sealed)
    }

    /// Area under the curve of "it will have spread" over the runs in which nothing showed yet, with the 95 % interval
    /// of a bootstrap over runs.
    pub(super) fn auc(&self, name: &str) -> Option<(f64, f64, f64)> {
        let (said, found) = (self.voices.said(name)?, &self.voices.found);
        let rows: Vec<(f64, bool)> = (self.unseen.iter())
            .filter_map(|run| Some((risk(said.get(run)?), *found.get(run)? > HAS_SPREAD)))
            .collect();
        let value = auc(&rows)?;
        let clusters: Vec<Vec<usize>> = (0..rows.len()).map(|i| vec![i]).collect();
        let again = cluster_bootstrap(&clusters, 4000, 1, |pick| {
            auc(&pick.iter().map(|i| rows[*i]).collect::<Vec<_>>())
        });
        let (lo, hi) = bootstrap_interval(&again, 0.95)?;
        Some((value, lo, hi))
    }

    /// R² of a forecaster less that of the best of the baselines to beat.
    pub(super) fn gain(&self, name: &str) -> Option<(&'static str, (f64, f64, f64))> {
        self.voices.gain_over(name, &TO_BEAT)
    }
}

/// Everybody from every origin in one table.
pub(super) fn table(all: &[Answers]) -> Table {
    let mut rows = Vec::new();
    for a in all {
        for (name, said, standing) in a.voices.iter() {
            let Some(s) = a.voices.score(name) else { continue };
            let standing = match standing {
                Standing::Oracle => "knows the coupling",
                Standing::Sealed => "sealed",
                Standing::Withheld => "withheld",
            };
            let area = a
                .auc(name)
                .map_or("–".into(), |(v, lo, hi)| format!("{v:.2} [{lo:.2}, {hi:.2}]"));
            rows.push(vec![
                origin(a.at),
                name.to_owned(),
                standing.to_owned(),
                said.len().to_string(),
                format!("{:.2}", s.r2),
                format!("{:.3}", s.mae),
                format!("{:.3}", s.pinball),
                format!("{:.2} ({:.2})", s.cov90, s.width90),
                area,
            ]);
        }
    }
    let columns = [
        "origin",
        "forecaster",
        "standing",
        "runs",
        "R²",
        "MAE",
        "pinball",
        "90 % (width)",
        "AUC, unseen",
    ];
    Table {
        caption: format!(
            "Forecasts of the probability of bad answers in other domains at the end. AUC: whether it will exceed \
             {HAS_SPREAD}, over runs in which less than {UNSEEN} of the answers were bad at the origin. \
             \"Withheld\" said nothing under seal, because the fit runs did not support it; shown is what it would have said."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}
