//! What the certificates of the audit split say, and whether anything contradicts them.

use super::{CERTIFIED, CLEAN, Evidence, PGD, outcome};
use crate::RunRecord;
use ontogeny_core::Table;

/// Shares of examples that must be 0: certified and broken all the same, right under attack and wrong without.
const BROKEN: &str = "audit.certified.broken";
const UNCLEAN: &str = "audit.attacked.unclean";

/// Contradictions over all audited runs.
pub(super) struct Tally {
    /// Runs that were attacked, and examples in them.
    pub n_runs: usize,
    pub n_examples: usize,
    /// Examples that are certified and were broken; that are right under attack and wrong without.
    pub broken: usize,
    pub unclean: usize,
    /// Runs with fewer certified examples in real numbers than for f32, which promises more.
    pub disordered: usize,
    /// Runs whose attack was blind on some example: they have no accuracy under attack.
    pub blind: usize,
}

/// All runs that were attacked on the audit split.
pub(super) fn attacked<'a>(e: &'a Evidence<'_>) -> impl Iterator<Item = &'a RunRecord> {
    let forks = e.forks.forked.iter().map(|f| &f.record);
    let fronts = e.fronts.iter().flat_map(|f| &f.points).flat_map(|p| &p.1);
    let fresh = e.search.finalists.iter().flat_map(|f| &f.runs);
    // The parents are among the points of the front.
    forks.chain(fronts).chain(fresh)
}

pub(super) fn tally(e: &Evidence<'_>) -> Tally {
    let (n_audit, at) = (e.sizes.n_audit, e.sizes.horizon);
    let mut t = Tally { n_runs: 0, n_examples: 0, broken: 0, unclean: 0, disordered: 0, blind: 0 };
    for r in attacked(e) {
        let share = |series: &str| outcome(r, series, at);
        let count = |series: &str| (share(series).unwrap_or(0.0) * n_audit as f64).round() as usize;
        let Some(_) = share(BROKEN) else { continue };
        t.n_runs += 1;
        t.n_examples += n_audit;
        t.broken += count(BROKEN);
        t.unclean += count(UNCLEAN);
        t.blind += usize::from(share("audit.attacked.blind").is_some_and(|b| b > 0.0));
        let (real, f32) = (share("audit.certified.real"), share(CERTIFIED.audit));
        t.disordered += usize::from(real.zip(f32).is_some_and(|(a, b)| a < b));
    }
    t
}

/// Means over the runs of a group.
fn row(e: &Evidence<'_>, name: String, runs: &[&RunRecord]) -> Vec<String> {
    let at = e.sizes.horizon;
    let mean = |series: &str| {
        let all: Vec<f64> = runs.iter().filter_map(|r| outcome(r, series, at)).collect();
        if all.is_empty() { f64::NAN } else { all.iter().sum::<f64>() / all.len() as f64 }
    };
    let number = |v: f64| if v.is_finite() { format!("{v:.3}") } else { "–".to_owned() };
    let last = (0..8).rev().map(|l| format!("audit.radius.{l}")).find(|s| mean(s).is_finite());
    let unstable = (0..8).map(|l| format!("audit.relu.unstable.{l}"));
    let unstable: Vec<String> =
        unstable.map(|s| mean(&s)).filter(|v| v.is_finite()).map(|v| format!("{v:.2}")).collect();
    // Where an attack was blind there is no accuracy under attack, and no gap.
    let gaps: Vec<f64> = (runs.iter())
        .filter_map(|r| Some(outcome(r, PGD, at)? - outcome(r, CERTIFIED.audit, at)?))
        .collect();
    let gap = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let mut row = vec![name, runs.len().to_string()];
    row.extend(
        [
            mean(CERTIFIED.audit),
            mean("audit.certified.real"),
            mean("audit.certified.ibp.full"),
            mean("audit.certified.crown.full"),
            mean(PGD),
            gap,
            mean(CLEAN.audit),
        ]
        .map(number),
    );
    row.insert(6, gaps.len().to_string());
    row.push(last.map_or("–".into(), |s| format!("{:.2}", mean(&s))));
    row.push(if unstable.is_empty() { "–".into() } else { unstable.join(", ") });
    row
}

/// Certificates, attack and clean accuracy of every group of audited runs.
pub(super) fn table(e: &Evidence<'_>) -> Table {
    let mut rows = Vec::new();
    for front in e.fronts {
        for (kappa, runs) in &front.points {
            let name = format!("reference, eps {}, kappa {kappa}", front.eps);
            rows.push(row(e, name, &runs.iter().collect::<Vec<_>>()));
        }
    }
    for f in &e.search.finalists {
        let name = format!("{}: {}", f.trial.who, f.trial.curriculum.name());
        rows.push(row(e, name, &f.runs.iter().collect::<Vec<_>>()));
    }
    let columns = [
        "runs of",
        "n",
        "certified, f32 in any order",
        "certified, real numbers",
        "by intervals",
        "by relaxation",
        "not blind",
        "under attack",
        "gap",
        "clean",
        "radius of the logits",
        "unstable ReLUs by layer",
    ];
    Table {
        caption: format!(
            "Audit: means over runs, {} examples each, at the radius of the run. Certified by either bound; not blind: runs \
             whose attack could aim at every example, the only ones with an accuracy under attack; gap: that less certified; \
             radius: mean growth of boxes from the image to the logits.",
            e.sizes.n_audit
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}
