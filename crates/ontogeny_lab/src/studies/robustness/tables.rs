//! Who said what about the test runs, and how good it was: everybody in one table, sealed or not, and marked so.

use super::super::StudyContext;
use super::sizes::ORIGINS;
use super::{ASKED, Asked, COLLAPSED, Evidence, FREE, MAIN, PROXY, SIGNALS_ONLY, origin, outcome};
use crate::LabError;
use crate::audited::{value_rows, value_table};
use crate::sealing::Registered;
use crate::values::Found;
use crate::voices::{Standing, Voices};
use ontogeny_analysis::distribution::{Cdf, Support, median};
use ontogeny_analysis::scores::auc;
use ontogeny_core::{Predictive, RunId, Step, Table};

/// One property from one origin.
#[derive(Debug)]
pub(super) struct Answers {
    pub asked: &'static Asked,
    pub share: f64,
    pub voices: Voices,
}

/// All questions in the order of properties and origins.
pub(super) fn answers(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Vec<Answers>, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let mut all = Vec::new();
    for (i, asked) in ASKED.iter().enumerate() {
        let found: Found = (e.test.iter())
            .filter_map(|r| Some((r.id().clone(), outcome(r, asked.audit, e.sizes.horizon)?)))
            .collect();
        for (j, share) in ORIGINS.into_iter().enumerate() {
            let question = &e.questions[i * ORIGINS.len() + j];
            let (study, from) = (ctx.id.as_str(), origin(share));
            let mut voices = Voices::sealed(&index, study, asked.audit, &from, found.clone());
            for r in e.test {
                let prefix = r.prefix(Step(e.sizes.at(share)));
                let own = e.features.get(r.id()).cloned().unwrap_or_default();
                for (name, theory) in &question.theories {
                    let would = theory.conjecture(&prefix, &own);
                    voices.add(name, Standing::Withheld, r.id(), would);
                }
            }
            all.push(Answers { asked, share, voices });
        }
    }
    Ok(all)
}

/// The rows of the table, in its order.
const ROWS: [(&str, &str); 11] = [
    ("climatology", "B0 climatology"),
    ("persistence", "B1 persistence"),
    ("delta", "delta"),
    ("extrapolation", "B2 extrapolation"),
    ("config-forest", "B3 config-forest"),
    ("hparams-only", "B3 hparams-only"),
    ("nearest-run", "nearest-run"),
    (PROXY, "B5 proxy-run"),
    (MAIN, MAIN),
    (SIGNALS_ONLY, SIGNALS_ONLY),
    ("pooled-ridge", "pooled-ridge"),
];

/// Those whose gain is shown.
const OURS: [&str; 3] = [MAIN, SIGNALS_ONLY, "pooled-ridge"];

impl Answers {
    /// R² of a forecaster less that of the best of the free baselines, with its interval.
    pub(super) fn gain(&self, name: &str) -> Option<(&'static str, (f64, f64, f64))> {
        self.voices.gain_over(name, &FREE)
    }

    pub(super) fn is_sealed(&self, name: &str) -> bool {
        self.voices.standing(name) == Some(Standing::Sealed)
    }

    /// Area under the curve of "training will have collapsed" by what somebody says about clean accuracy; with the
    /// number of runs in which it did, and of all. No area where all or none did.
    pub(super) fn collapse(&self, name: &str) -> Option<(Option<f64>, usize, usize)> {
        let risk = |p: &Predictive| {
            let below = Cdf::new(p, Support::Line).map_or(f64::NAN, |c| c.at(COLLAPSED));
            below - 1e-6 * median(p)
        };
        let said = self.voices.said(name)?;
        let of = |(run, y): (&RunId, &f64)| Some((risk(said.get(run)?), *y <= COLLAPSED));
        let rows: Vec<(f64, bool)> = self.voices.found.iter().filter_map(of).collect();
        Some((auc(&rows), rows.iter().filter(|r| r.1).count(), rows.len()))
    }
}

/// The answers about a property from an origin.
pub(super) fn find<'a>(all: &'a [Answers], short: &str, share: f64) -> Option<&'a Answers> {
    all.iter().find(|a| a.asked.short == short && a.share == share)
}

/// One table for a property.
pub(super) fn table(all: &[Answers], asked: &Asked) -> Table {
    let mine = all.iter().filter(|a| a.asked.short == asked.short);
    let rows = mine.flat_map(|a| value_rows(a.share, &a.voices, &ROWS, (&OURS, &FREE)));
    value_table(&format!("{} of the test arms", asked.property), "B0 to B3", rows.collect())
}
