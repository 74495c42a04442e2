//! Who said what about the test runs, and how good it was: everybody in one table, sealed or not, and marked so.

use super::super::StudyContext;
use super::sizes::{ORIGINS, observable};
use super::{ASKED, Asked, Evidence, MAIN, ORACLE, TO_BEAT, origin, outcome};
use crate::sealing::Registered;
use crate::values::{Found, PointScore, Said, point_score, r2, r2_difference};
use crate::{LabError, RunRecord};
use ontogeny_core::{Table, Target};
use ontogeny_train::RunConfig;
use std::collections::BTreeMap;

/// One property from one origin.
#[derive(Debug)]
pub(super) struct Answers {
    pub asked: &'static Asked,
    pub share: f64,
    pub found: Found,
    /// What each said, and how it came about.
    pub said: BTreeMap<String, (Said, Standing)>,
    /// R² of the same configuration with other seeds, and how many there are.
    pub ceiling: Option<(f64, usize)>,
}

/// How a forecast came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// In the ledger before the outcome existed.
    Sealed,
    /// The fit runs did not support it, so nothing was sealed: what it would have said.
    Withheld,
    /// It knows what nobody can know before.
    Oracle,
}

/// All questions in the order of properties and origins.
pub(super) fn answers(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Vec<Answers>, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let mut all = Vec::new();
    for (i, asked) in ASKED.iter().enumerate() {
        let found: Found = (e.test.iter())
            .filter_map(|r| Some((r.id().clone(), outcome(r, asked.audit, e.sizes.horizon)?)))
            .collect();
        let again = e.again.iter().filter_map(|other| {
            let first = e.test.iter().find(|r| r.manifest.cell == other.manifest.cell)?;
            let at = e.sizes.horizon;
            Some((outcome(other, asked.audit, at)?, outcome(first, asked.audit, at)?))
        });
        let again: Vec<(f64, f64)> = again.collect();
        let ceiling = if again.len() < 3 { None } else { r2(&again).map(|v| (v, again.len())) };
        for (j, share) in ORIGINS.into_iter().enumerate() {
            let at = i * ORIGINS.len() + j;
            let mut said = sealed(ctx, &index, asked, share);
            let (question, oracle) = (&e.questions[at], &e.oracles[at]);
            for (name, theory) in &question.theories {
                if said.get(name).is_none_or(|s| s.0.is_empty()) {
                    let of = |r: &RunRecord| {
                        let prefix = r.prefix(ontogeny_core::Step(e.sizes.at(share)));
                        Some((r.id().clone(), theory.conjecture(&prefix, &features(r))?))
                    };
                    let would: Said = e.test.iter().filter_map(of).collect();
                    said.insert(name.clone(), (would, Standing::Withheld));
                }
            }
            if let Some(oracle) = oracle {
                let of = |r: &RunRecord| {
                    let prefix = r.prefix(ontogeny_core::Step(e.sizes.at(share)));
                    Some((r.id().clone(), oracle.predict(&prefix, &features(r))?))
                };
                let knows = e.test.iter().filter_map(of).collect();
                said.insert(ORACLE.to_owned(), (knows, Standing::Oracle));
            }
            all.push(Answers { asked, share, found: found.clone(), said, ceiling });
        }
    }
    Ok(all)
}

fn features(record: &RunRecord) -> crate::sealing::Features {
    serde_json::from_value::<RunConfig>(record.manifest.config.clone())
        .map(|c| observable(&c, record.manifest.seeds.data_seed))
        .unwrap_or_default()
}

/// What stands in the ledger about one question and was not refused.
fn sealed(
    ctx: &StudyContext<'_>,
    index: &Registered,
    asked: &Asked,
    share: f64,
) -> BTreeMap<String, (Said, Standing)> {
    let mine = format!("{}/", ctx.id);
    let mut said: BTreeMap<String, (Said, Standing)> = BTreeMap::new();
    for f in index.forecasts.values().filter(|f| f.id.starts_with(&mine)) {
        let is_asked = matches!(&f.target, Target::Value { series, .. } if series == asked.audit);
        let is_refused = index.scores.get(&f.id).is_some_and(|s| s.refused.is_some());
        if !is_asked || is_refused || f.cutoff_name != origin(share) {
            continue;
        }
        let own = f.predictive.iter().map(|p| (&f.theory.name, p));
        let beside = f.baselines.iter().map(|(name, p)| (name, p));
        for (name, p) in own.chain(beside) {
            let entry = said.entry(name.clone()).or_insert_with(|| (Said::new(), Standing::Sealed));
            entry.0.insert(f.run.clone(), p.clone());
        }
    }
    said
}

/// The rows of the table, in its order.
const ROWS: [(&str, &str); 12] = [
    ("climatology", "B0 climatology"),
    ("persistence", "B1 persistence"),
    ("delta", "delta"),
    ("extrapolation", "B2 extrapolation"),
    ("config-forest", "B3 config-forest"),
    ("hparams-only", "B3 hparams-only"),
    ("nearest-run", "nearest-run"),
    ("proxy-run", "B5 proxy-run"),
    ("early-forest", "early-forest"),
    ("early-forest-config", "early-forest-config"),
    ("pooled-ridge", "pooled-ridge"),
    (ORACLE, "B4 oracle-config"),
];

impl Answers {
    pub(super) fn score(&self, name: &str) -> Option<PointScore> {
        point_score(&self.said.get(name)?.0, &self.found)
    }

    pub(super) fn standing(&self, name: &str) -> Option<Standing> {
        self.said.get(name).map(|s| s.1)
    }

    /// R² of a forecaster less that of the best baseline to beat, with its interval.
    pub(super) fn gain(&self, name: &str) -> Option<(&'static str, (f64, f64, f64))> {
        self.gain_over(name, &TO_BEAT)
    }

    /// R² of a forecaster less that of the one of `baselines` with the largest, with its interval.
    pub(super) fn gain_over(
        &self,
        name: &str,
        baselines: &[&'static str],
    ) -> Option<(&'static str, (f64, f64, f64))> {
        let of = |name: &&'static str| Some((*name, self.score(name)?.r2));
        let best = baselines.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1));
        let (best, _) = best?;
        let difference =
            r2_difference(&self.said.get(name)?.0, &self.said.get(best)?.0, &self.found)?;
        Some((best, difference))
    }
}

/// The answers about a property from an origin.
pub(super) fn find<'a>(all: &'a [Answers], short: &str, share: f64) -> Option<&'a Answers> {
    all.iter().find(|a| a.asked.short == short && a.share == share)
}

/// One table for a property.
pub(super) fn table(all: &[Answers], asked: &Asked) -> Table {
    let number = |v: f64| format!("{v:.3}");
    let mut rows = Vec::new();
    for a in all.iter().filter(|a| a.asked.short == asked.short) {
        for (name, label) in ROWS {
            let mut row = vec![origin(a.share), label.to_owned()];
            let Some(s) = a.score(name) else {
                row.extend(std::iter::repeat_n("–".to_owned(), 9));
                rows.push(row);
                continue;
            };
            match a.standing(name) {
                Some(Standing::Withheld) => row[1] += " (withheld: not predictable)",
                Some(Standing::Oracle) => row[1] += " (knows the generator)",
                _ => {}
            }
            row.extend([s.n.to_string(), number(s.r2), number(s.mae)]);
            row.push(s.spearman.map_or("–".to_owned(), number));
            row.extend([number(s.pinball), number(s.cov50), number(s.cov90), number(s.width90)]);
            let is_ours = name.starts_with(MAIN) || name == "pooled-ridge";
            row.push(match a.gain(name).filter(|_| is_ours) {
                Some((best, (d, lo, hi))) => format!("{d:+.2} [{lo:+.2}, {hi:+.2}] vs {best}"),
                None => "–".to_owned(),
            });
            rows.push(row);
        }
        if let Some((ceiling, n)) = a.ceiling {
            let mut row = vec![origin(a.share), "B7 other seed of the configuration".to_owned()];
            row.extend([n.to_string(), number(ceiling)]);
            row.extend(std::iter::repeat_n("–".to_owned(), 7));
            rows.push(row);
        }
    }
    let columns = [
        "origin",
        "who",
        "n",
        "R²",
        "MAE",
        "Spearman",
        "pinball",
        "cov50",
        "cov90",
        "width90",
        "R² less the best of B1, delta, B2, B3, B5 (95 %)",
    ];
    Table {
        caption: format!(
            "Final {} ({}) of the test configurations. R² is against the mean of the outcomes; coverage and width are of \
             central 50 and 90 % intervals; intervals of differences resample runs 10,000 times.",
            asked.property, asked.short
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}
