//! Shapes of learning curves: `y = a φ(x; θ) + c`, with or without the floor `c`.
//!
//! `x` is the step over the last step of the prefix, so that boxes and priors know no unit of time. Amplitude
//! and floor are linear and solved inside every fit (variable projection); only `θ` is searched, on coordinates
//! (mostly logarithms) on which a uniform draw from the box is the prior. Names that stand for the same set of
//! curves share a row: a second copy would only cost time and count double in a stack.
//!
//! To add a family: its item in one of the files here (or a new one) and its row in [`FAMILIES`].

mod broken;
mod exponential;
mod logarithm;
mod power;
mod sigmoid;

use ontogeny_core::random::Philox;

/// Coordinates that a family may have beside amplitude and floor.
pub const MAX_THETA: usize = 7;

/// A searched coordinate: its name and its box, which is also its uniform prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coordinate {
    /// Name; `ln_` where the coordinate is a logarithm.
    pub name: &'static str,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// How it moves when the unit of time shrinks by a factor e: 1 for `ln` of a time, -1 for `ln` of a rate.
    pub moves: f64,
}

impl Coordinate {
    pub(crate) const fn new(name: &'static str, lo: f64, hi: f64) -> Self {
        Self { name, lo, hi, moves: 0.0 }
    }

    pub(crate) const fn moving(name: &'static str, lo: f64, hi: f64, moves: f64) -> Self {
        Self { name, lo, hi, moves }
    }

    /// Standard deviation of the prior.
    pub(crate) fn prior_sd(&self) -> f64 {
        (self.hi - self.lo) / 12.0_f64.sqrt()
    }
}

/// Shape at many `x > 0` (given with their logarithms): writes `φ` and, where `d` is not empty, `∂φ/∂θ_k`.
pub(crate) type Shape =
    fn(x: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]);

/// A family of curves.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Stable name.
    pub name: &'static str,
    /// Other names in the literature for the same set of curves.
    pub also: &'static [&'static str],
    /// The formula as it is usually written.
    pub formula: &'static str,
    /// Whether there is a floor `c`.
    pub has_floor: bool,
    /// The searched coordinates.
    pub theta: &'static [Coordinate],
    /// Where it comes from.
    pub source: &'static str,
    pub(crate) shape: Shape,
}

/// The families, simplest first.
pub const FAMILIES: &[Family] = &[
    logarithm::LOG2,
    power::POW2,
    power::POW3,
    exponential::EXP3,
    logarithm::ILOG2,
    logarithm::HOCKEY,
    sigmoid::HILL3,
    sigmoid::LOGPOW3,
    exponential::VAP,
    power::POW4,
    exponential::EXP4,
    sigmoid::MMF4,
    broken::BNSL1,
    broken::BNSL2,
];

/// The family called `name`, also by one of its other names.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name || f.also.contains(&name))
}

impl Family {
    /// Parameters in all: amplitude, floor if there is one, coordinates.
    pub fn n_params(&self) -> usize {
        self.n_linear() + self.theta.len()
    }

    /// Linear parameters: 1, or 2 with a floor.
    pub fn n_linear(&self) -> usize {
        1 + usize::from(self.has_floor)
    }

    /// The curve at `x > 0` for parameters `[a, (c,) θ...]`.
    ///
    /// # Panics
    /// If `params` is shorter than [`Family::n_params`].
    pub fn value(&self, x: f64, params: &[f64]) -> f64 {
        let phi = self.phi(x, &params[self.n_linear()..self.n_params()]);
        params[0] * phi + if self.has_floor { params[1] } else { 0.0 }
    }

    /// The gradient of [`Family::value`] by the parameters, in their order.
    ///
    /// # Panics
    /// If `params` is shorter than [`Family::n_params`].
    pub fn gradient(&self, x: f64, params: &[f64]) -> Vec<f64> {
        let mut d = vec![vec![0.0]; self.theta.len()];
        let mut phi = [0.0];
        let theta = &params[self.n_linear()..self.n_params()];
        (self.shape)(&[x], &[x.ln()], theta, &mut phi, &mut d);
        let mut g = vec![phi[0]];
        if self.has_floor {
            g.push(1.0);
        }
        g.extend(d.iter().map(|d| params[0] * d[0]));
        g
    }

    /// `φ` at one `x`.
    pub(crate) fn phi(&self, x: f64, theta: &[f64]) -> f64 {
        let mut phi = [0.0];
        (self.shape)(&[x], &[x.ln()], &theta[..self.theta.len()], &mut phi, &mut []);
        phi[0]
    }

    /// The `i`-th random start: coordinates drawn from the prior, a function of family and index alone.
    pub fn start(&self, i: u64) -> [f64; MAX_THETA] {
        let draws = Philox::new(0, self.name).at(i);
        let mut theta = [0.0; MAX_THETA];
        for (k, c) in self.theta.iter().enumerate() {
            theta[k] = c.lo + (c.hi - c.lo) * draws.uniform(k as u64);
        }
        theta
    }

    /// Moves coordinates into their box.
    pub(crate) fn clamp(&self, theta: &mut [f64; MAX_THETA]) {
        for (t, c) in theta.iter_mut().zip(self.theta) {
            *t = t.clamp(c.lo, c.hi);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::minimize::numeric_gradient;

    #[test]
    fn every_gradient_equals_its_finite_differences() {
        for f in FAMILIES {
            for i in 0..40 {
                let theta = f.start(i);
                let mut p = vec![1.3];
                if f.has_floor {
                    p.push(0.4);
                }
                p.extend(&theta[..f.theta.len()]);
                for x in [0.05, 0.3, 0.9, 1.0, 3.0] {
                    // The hockey stick has a corner, over which no difference reaches.
                    if f.name == "hockey" && (theta[0] - f64::ln(x)).abs() < 1e-3 {
                        continue;
                    }
                    let exact = f.gradient(x, &p);
                    let near = numeric_gradient(&p, |p| f.value(x, p));
                    let size = exact.iter().fold(f.value(x, &p).abs(), |m, g| m.max(g.abs()));
                    for (e, n) in exact.iter().zip(&near) {
                        assert!(
                            (e - n).abs() <= 1e-6 * size.max(1e-3),
                            "{} {x} {exact:?} {near:?}",
                            f.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn other_names_are_the_same_curves() {
        let at = |name: &str, p: &[f64], x: f64| family(name).unwrap().value(x, p);
        for x in [0.1_f64, 0.7, 2.0] {
            // Janoschek and WBL4 with asymptote c, start b; exp4's amplitude may be negative.
            let (b, c, a, d) = (0.3_f64, 0.9_f64, 2.0_f64, 0.7_f64);
            let janoschek = c - (c - b) * (-a * x.powf(d)).exp();
            assert!(
                (at("janoschek", &[b - c, c, -a.ln() / d, d.ln()], x) - janoschek).abs() < 1e-12
            );
            assert!(
                (at("wbl4", &[-b, c, -a.ln() / d, d.ln()], x) - (c - b * (-a * x.powf(d)).exp()))
                    .abs()
                    < 1e-12
            );
            assert!(
                (at("expd3", &[a - c, c, b.ln()], x) - (c - (c - a) * (-b * x).exp())).abs()
                    < 1e-12
            );
            // The sigmoid in ln x is MMF4 with x0 = b^(1/d).
            let mmf = (a * b + c * x.powf(d)) / (b + x.powf(d));
            assert!((at("sigmoid", &[a - c, c, b.ln() / d, d.ln()], x) - mmf).abs() < 1e-12);
        }
    }

    #[test]
    fn names_are_unique_and_sources_filled_in() {
        let mut names: Vec<&str> =
            FAMILIES.iter().flat_map(|f| f.also.iter().copied().chain([f.name])).collect();
        assert!(FAMILIES.iter().all(|f| !f.source.is_empty() && !f.formula.is_empty()));
        assert!(FAMILIES.iter().all(|f| f.theta.len() <= MAX_THETA));
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
    }
}
