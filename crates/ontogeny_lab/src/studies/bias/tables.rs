//! Who said what about the test runs, and how good it was: everybody in one table, sealed or not, and marked so.

use super::super::StudyContext;
use super::sizes::{ORIGINS, observable};
use super::{ASKED, Asked, Evidence, MAIN, ORACLE, TO_BEAT, origin, outcome};
use crate::audited::{value_rows, value_table};
use crate::sealing::Registered;
use crate::values::{Found, r2};
use crate::voices::{Standing, Voices};
use crate::{LabError, RunRecord};
use ontogeny_analysis::forecasters::Fitted;
use ontogeny_core::{Step, Table};

/// One property from one origin.
#[derive(Debug)]
pub(super) struct Answers {
    pub asked: &'static Asked,
    pub share: f64,
    pub voices: Voices,
    /// R² of the same configuration with other seeds, and how many there are.
    pub ceiling: Option<(f64, usize)>,
}

/// All questions about the test runs, in the order of properties and origins; and the same about images.
pub(super) fn answers(
    ctx: &StudyContext<'_>,
    e: &Evidence<'_>,
) -> Result<[Vec<Answers>; 2], LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    // Of images the oracle knows nothing, and none was run again.
    let known: Vec<Option<&dyn Fitted>> = e.oracles.iter().map(Option::as_deref).collect();
    let nothing = vec![None; known.len()];
    let kinds = [(e.test, e.again, known), (e.images, &[][..], nothing)];
    Ok(kinds.map(|(runs, again, oracles)| about(ctx, e, &index, (runs, again), &oracles)))
}

fn about(
    ctx: &StudyContext<'_>,
    e: &Evidence<'_>,
    index: &Registered,
    (runs, again): (&[RunRecord], &[RunRecord]),
    oracles: &[Option<&dyn Fitted>],
) -> Vec<Answers> {
    let mut all = Vec::new();
    for (i, asked) in ASKED.iter().enumerate() {
        let found: Found = (runs.iter())
            .filter_map(|r| Some((r.id().clone(), outcome(r, asked.audit, e.sizes.horizon)?)))
            .collect();
        let again = again.iter().filter_map(|other| {
            let first = runs.iter().find(|r| r.manifest.cell == other.manifest.cell)?;
            let at = e.sizes.horizon;
            Some((outcome(other, asked.audit, at)?, outcome(first, asked.audit, at)?))
        });
        let again: Vec<(f64, f64)> = again.collect();
        let ceiling = if again.len() < 3 { None } else { r2(&again).map(|v| (v, again.len())) };
        for (j, share) in ORIGINS.into_iter().enumerate() {
            let at = i * ORIGINS.len() + j;
            let (question, oracle) = (&e.questions[at], oracles[at]);
            let from = origin(share);
            let mut voices =
                Voices::sealed(index, ctx.id.as_str(), asked.audit, &from, found.clone());
            for r in runs {
                let (prefix, own) = (r.prefix(Step(e.sizes.at(share))), features(r));
                for (name, theory) in &question.theories {
                    let would = theory.conjecture(&prefix, &own);
                    voices.add(name, Standing::Withheld, r.id(), would);
                }
                if let Some(oracle) = oracle {
                    voices.add(ORACLE, Standing::Oracle, r.id(), oracle.predict(&prefix, &own));
                }
            }
            all.push(Answers { asked, share, voices, ceiling });
        }
    }
    all
}

fn features(record: &RunRecord) -> crate::sealing::Features {
    let seed = record.manifest.seeds.data_seed;
    record.config().map(|c| observable(&c, seed)).unwrap_or_default()
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

/// Those whose gain is shown.
const OURS: [&str; 3] = [MAIN, "early-forest-config", "pooled-ridge"];

impl Answers {
    /// R² of a forecaster less that of the best baseline to beat, with its interval.
    pub(super) fn gain(&self, name: &str) -> Option<(&'static str, (f64, f64, f64))> {
        self.voices.gain_over(name, &TO_BEAT)
    }
}

/// The answers about a property from an origin.
pub(super) fn find<'a>(all: &'a [Answers], short: &str, share: f64) -> Option<&'a Answers> {
    all.iter().find(|a| a.asked.short == short && a.share == share)
}

/// One table for a property.
pub(super) fn table(all: &[Answers], asked: &Asked, whose: &str) -> Table {
    let mut rows = Vec::new();
    for a in all.iter().filter(|a| a.asked.short == asked.short) {
        rows.extend(value_rows(a.share, &a.voices, &ROWS, (&OURS, &TO_BEAT)));
        if let Some((ceiling, n)) = a.ceiling {
            let mut row = vec![origin(a.share), "B7 other seed of the configuration".to_owned()];
            row.extend([n.to_string(), format!("{ceiling:.3}")]);
            row.extend(std::iter::repeat_n("–".to_owned(), 7));
            rows.push(row);
        }
    }
    let whose = format!("{} ({}) of the {whose}", asked.property, asked.short);
    value_table(&whose, "B1, delta, B2, B3, B5", rows)
}
