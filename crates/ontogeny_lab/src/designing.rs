//! Design problems on the record: sealed with their one recipe before any of its runs, answered after the last.

use crate::draw::median;
use crate::sealing::Registered;
use crate::{Conductor, LabError, RunRecord};
use ontogeny_core::{DesignOutcome, DesignProblem, LedgerBody};

/// The runs of one problem, seed by seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    /// Under the recipe.
    pub recipe: &'a [RunRecord],
    /// Under a random recipe.
    pub random: &'a [RunRecord],
    /// Under the recipe one starts from.
    pub default: &'a [RunRecord],
}

/// Enters the problems that the ledger does not have yet. Nothing may have been run for them.
pub(crate) fn seal_designs(
    conductor: Conductor<'_>,
    before: &Registered,
    problems: &[DesignProblem],
) -> Result<(), LabError> {
    let new = problems.iter().filter(|p| !before.designs.contains(&p.id));
    let bodies: Vec<LedgerBody> = new.map(|p| LedgerBody::Design(Box::new(p.clone()))).collect();
    conductor.ledger.append_all(bodies, conductor.clock)?;
    Ok(())
}

/// What became of a problem, where `outcome` reads a run.
pub(crate) fn answer(
    problem: &DesignProblem,
    tried: Tried<'_>,
    outcome: impl Fn(&RunRecord) -> Option<f64>,
) -> DesignOutcome {
    let of = |runs: &[RunRecord]| runs.iter().map(&outcome).collect();
    let cost = |runs: &[RunRecord]| median(runs.iter().map(|r| r.manifest.step.0 as f64));
    DesignOutcome {
        problem: problem.id.clone(),
        recipe: of(tried.recipe),
        random: of(tried.random),
        default: of(tried.default),
        costs: (cost(tried.recipe), cost(tried.random), cost(tried.default)),
    }
}

/// Enters the outcomes that the ledger does not have yet.
pub(crate) fn settle_designs(
    conductor: Conductor<'_>,
    before: &Registered,
    outcomes: &[DesignOutcome],
) -> Result<(), LabError> {
    let new = outcomes.iter().filter(|o| !before.tried.contains(&o.problem));
    let bodies: Vec<LedgerBody> = new.map(|o| LedgerBody::DesignOutcome(o.clone())).collect();
    conductor.ledger.append_all(bodies, conductor.clock)?;
    Ok(())
}
