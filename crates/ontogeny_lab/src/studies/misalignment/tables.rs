//! Who said what about the test runs, and how good it was.

use super::super::StudyContext;
use super::sizes::{ORIGINS, TARGET, observable};
use super::{Evidence, ORACLE, TO_BEAT, origin, outcome};
use crate::sealing::Registered;
use crate::values::{Found, PointScore, Said, point_score, r2_difference};
use crate::{LabError, RunRecord};
use ontogeny_analysis::distribution::{Cdf, Support, median};
use ontogeny_analysis::scores::auc;
use ontogeny_analysis::stats::{bootstrap_interval, cluster_bootstrap};
use ontogeny_core::{Predictive, RunId, Step, Table, Target};
use ontogeny_train::RunConfig;
use std::collections::BTreeMap;

/// Probability of bad answers from which on badness has spread.
pub(super) const HAS_SPREAD: f64 = 0.5;
/// Rate of bad answers below which nothing shows yet.
pub(super) const UNSEEN: f64 = 0.01;

/// The answers from one origin.
pub(super) struct Answers {
    pub at: u64,
    pub found: Found,
    /// Test runs in which nothing showed at the origin.
    pub unseen: Vec<RunId>,
    /// By forecaster: what it said, and whether that stands in the ledger.
    pub said: BTreeMap<String, (Said, bool)>,
}

/// All origins in order.
pub(super) fn answers(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Vec<Answers>, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let found: Found = (e.test())
        .filter_map(|(s, r)| Some((r.id().clone(), outcome(&e.sizes, r, s.n_align)?)))
        .collect();
    let mut all = Vec::new();
    for (i, at) in ORIGINS.into_iter().enumerate() {
        let mut said = sealed(ctx, &index, &origin(at));
        for (stage, record) in e.test() {
            let cutoff = Step(e.sizes.narrow_at(stage.n_align) + at);
            let mut add = |name: &str, p: Option<Predictive>| {
                let entry = said.entry(name.to_owned()).or_insert_with(|| (Said::new(), false));
                if let Some(p) = p
                    && !entry.0.contains_key(record.id())
                    && (!entry.1 || name == ORACLE)
                {
                    entry.0.insert(record.id().clone(), p);
                }
            };
            let (prefix, own) = (record.prefix(cutoff), features(record));
            for (name, theory) in &stage.questions[i].theories {
                add(name, theory.conjecture(&prefix, &own));
            }
            add(ORACLE, stage.oracles[i].as_ref().and_then(|o| o.predict(&prefix, &own)));
        }
        let unseen = e.test().filter(|(s, r)| {
            let cutoff = Step(e.sizes.narrow_at(s.n_align) + at);
            r.value("other.rival_rate", cutoff).is_some_and(|v| v < UNSEEN)
        });
        let unseen = unseen.map(|(_, r)| r.id().clone()).collect();
        all.push(Answers { at, found: found.clone(), unseen, said });
    }
    Ok(all)
}

fn features(record: &RunRecord) -> crate::sealing::Features {
    serde_json::from_value::<RunConfig>(record.manifest.config.clone())
        .map(|c| observable(&c))
        .unwrap_or_default()
}

/// What stands in the ledger from one origin and was not refused.
fn sealed(
    ctx: &StudyContext<'_>,
    index: &Registered,
    origin: &str,
) -> BTreeMap<String, (Said, bool)> {
    let mine = format!("{}/", ctx.id);
    let mut said: BTreeMap<String, (Said, bool)> = BTreeMap::new();
    for f in index.forecasts.values().filter(|f| f.id.starts_with(&mine)) {
        let is_asked = matches!(&f.target, Target::Value { series, .. } if series == TARGET);
        let is_refused = index.scores.get(&f.id).is_some_and(|s| s.refused.is_some());
        if !is_asked || is_refused || f.cutoff_name != origin {
            continue;
        }
        let own = f.predictive.iter().map(|p| (&f.theory.name, p));
        for (name, p) in own.chain(f.baselines.iter().map(|(name, p)| (name, p))) {
            let entry = said.entry(name.clone()).or_insert_with(|| (Said::new(), true));
            entry.0.insert(f.run.clone(), p.clone());
        }
    }
    said
}

/// Probability that badness will have spread; ties are told apart by the median.
fn risk(p: &Predictive) -> f64 {
    let above = Cdf::new(p, Support::Line).map_or(f64::NAN, |c| 1.0 - c.at(HAS_SPREAD));
    above + 1e-6 * median(p)
}

impl Answers {
    pub(super) fn score(&self, name: &str) -> Option<PointScore> {
        point_score(&self.said.get(name)?.0, &self.found)
    }

    /// Whether what a forecaster said stands in the ledger.
    pub(super) fn is_sealed(&self, name: &str) -> bool {
        self.said.get(name).is_some_and(|s| s.1)
    }

    /// Area under the curve of "it will have spread" over the runs in which nothing showed yet, with the 95 % interval
    /// of a bootstrap over runs.
    pub(super) fn auc(&self, name: &str) -> Option<(f64, f64, f64)> {
        let said = &self.said.get(name)?.0;
        let rows: Vec<(f64, bool)> = (self.unseen.iter())
            .filter_map(|run| Some((risk(said.get(run)?), *self.found.get(run)? > HAS_SPREAD)))
            .collect();
        let value = auc(&rows)?;
        let clusters: Vec<Vec<usize>> = (0..rows.len()).map(|i| vec![i]).collect();
        let again = cluster_bootstrap(&clusters, 4000, 1, |pick| {
            auc(&pick.iter().map(|i| rows[*i]).collect::<Vec<_>>())
        });
        let (lo, hi) = bootstrap_interval(&again, 0.95)?;
        Some((value, lo, hi))
    }

    /// The baseline among those to beat with the largest R².
    pub(super) fn best(&self) -> Option<(&'static str, f64)> {
        let of = |name: &&'static str| Some((*name, self.score(name)?.r2));
        TO_BEAT.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// R² of a forecaster less that of the best of the baselines to beat.
    pub(super) fn gain(&self, name: &str) -> Option<(&'static str, (f64, f64, f64))> {
        let (rival, _) = self.best()?;
        let (a, b) = (&self.said.get(name)?.0, &self.said.get(rival)?.0);
        Some((rival, r2_difference(a, b, &self.found)?))
    }
}

/// Everybody from every origin in one table.
pub(super) fn table(all: &[Answers]) -> Table {
    let mut rows = Vec::new();
    for a in all {
        for (name, (said, is_sealed)) in &a.said {
            let Some(s) = a.score(name) else { continue };
            let standing = match (name == ORACLE, is_sealed) {
                (true, _) => "knows the coupling",
                (_, true) => "sealed",
                (_, false) => "withheld",
            };
            let area = a
                .auc(name)
                .map_or("–".into(), |(v, lo, hi)| format!("{v:.2} [{lo:.2}, {hi:.2}]"));
            rows.push(vec![
                origin(a.at),
                name.clone(),
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
