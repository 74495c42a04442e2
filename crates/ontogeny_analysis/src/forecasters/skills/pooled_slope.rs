//! Pooled slope: slope and curvature of `ln T` over `ln P` from other runs, height from this one.
//!
//! `ln T_k = a_run + b z_k + c z_k²` with `z = ln P - ln P_max`. `b` and `c` are least squares over all
//! skill times of the fit runs with a free height per run (ridge .1 on `c`); the run's own height is the mean
//! residual of the skills it has learned so far.

use super::{Centre, Learned, SkillNames, fit_skill};
use crate::forecasters::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::math::linear::Ridge;
use crate::math::mean;

const SPEC: TheorySpec = TheorySpec {
    name: "skill-pooled-slope",
    version: 1,
    n_params: 4,
    scope: "times of later skills, in runs like those fitted on",
    source: "docs/protocol.md section 3B: slope and steepening are properties of the optimizer, height of the run",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(PooledSlope::default()) };

/// Slope and curvature from other runs.
#[derive(Debug, Clone, Default)]
pub struct PooledSlope {
    /// Names.
    pub names: SkillNames,
}

#[derive(Debug)]
struct Curve {
    slope: f64,
    bend: f64,
    /// The reference `ln P` from which `z` counts: the mean over fit runs of their largest.
    top: f64,
}

impl Curve {
    fn shape(&self, ln_p: f64) -> f64 {
        let z = ln_p - self.top;
        self.slope * z + self.bend * z * z
    }
}

impl Centre for Curve {
    fn centre(&self, learned: &[Learned], ln_p: f64) -> Option<f64> {
        let height = mean(&learned.iter().map(|(p, t)| t - self.shape(*p)).collect::<Vec<_>>())?;
        Some(height + self.shape(ln_p))
    }

    fn params(&self) -> Vec<f64> {
        vec![self.slope, self.bend, self.top]
    }
}

impl Theory for PooledSlope {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        if !self.names.is_skill(query) {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        }
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 1, found: runs.len() };
        let tops: Vec<f64> = runs
            .iter()
            .filter_map(|r| self.names.ln_p(&r.features).map(|p| p.1).reduce(f64::max))
            .collect();
        let top = mean(&tops).ok_or(few)?;
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for run in runs {
            let times: Vec<Learned> = self
                .names
                .times_of(run)
                .into_iter()
                .filter_map(|(p, t)| Some((p - top, t.mid()?)))
                .collect();
            let column = |f: fn(&Learned) -> f64| mean(&times.iter().map(f).collect::<Vec<_>>());
            let means = (column(|l| l.0), column(|l| l.0 * l.0), column(|l| l.1));
            let (Some(mz), Some(mzz), Some(mt)) = means else { continue };
            for (z, t) in times {
                x.push(vec![z - mz, z * z - mzz]);
                y.push(t - mt);
            }
        }
        let fit =
            Ridge::fit(&x, &y, &[1e-6, 0.1]).ok_or(NotFitted::NoSolution { theory: SPEC.name })?;
        let curve = Curve { slope: fit.coef[0], bend: fit.coef[1], top };
        fit_skill(SPEC, curve, &self.names, runs, query)
    }
}
