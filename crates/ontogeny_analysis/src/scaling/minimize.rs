//! Minimization of the small, nearly non-smooth objectives of scaling laws.
//!
//! A sum of Huber losses with a threshold far below the residuals is a sum of absolute values with rounded
//! corners. BFGS with a weak Wolfe bisection is at home there (Lewis & Overton 2013, "Nonsmooth optimization
//! via quasi-Newton methods"); a backtracking search alone stalls at the corners. Everything is on the stack.

use super::law::{MAX_THETA, Theta};

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// Relative decrease below which a step counts as none.
    pub(super) relative: f64,
    /// Steps without decrease before the end.
    pub(super) stalls: u32,
    /// Steps at most.
    pub(super) steps: u32,
}

impl Stop {
    /// For one of many starts: good to a part in a million.
    pub(super) const COARSE: Self = Self { relative: 1e-7, stalls: 3, steps: 200 };
    /// A first look at a start.
    pub(super) const GLANCE: Self = Self { relative: 1e-7, stalls: 3, steps: 15 };
    /// For the answer.
    pub(super) const FINE: Self = Self { relative: 1e-13, stalls: 6, steps: 2000 };
}

/// Where a minimization ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minimum {
    pub(super) theta: Theta,
    pub(super) value: f64,
    /// The inverse Hessian as the search knew it at its end: a search nearby can begin with it.
    pub(super) inverse: Inverse,
}

fn dot(n: usize, a: &Theta, b: &Theta) -> f64 {
    (0..n).map(|i| a[i] * b[i]).sum()
}

/// Minimizes `f` over the first `n` coordinates from `start`; `f` writes the gradient and returns the value.
///
/// `None` if the value at the start is not finite. Deterministic.
pub(super) fn minimize(
    n: usize,
    start: &Theta,
    stop: Stop,
    f: impl FnMut(&Theta, &mut Theta) -> f64,
) -> Option<Minimum> {
    minimize_knowing(n, start, None, stop, f)
}

/// [`minimize`] that begins with the inverse Hessian of a similar problem.
pub(super) fn minimize_knowing(
    n: usize,
    start: &Theta,
    known: Option<&Inverse>,
    stop: Stop,
    mut f: impl FnMut(&Theta, &mut Theta) -> f64,
) -> Option<Minimum> {
    let mut theta = *start;
    let mut grad = [0.0; MAX_THETA];
    let mut value = f(&theta, &mut grad);
    if !value.is_finite() {
        return None;
    }
    let mut inverse = known.copied().unwrap_or_else(|| Inverse::identity(n, first_scale(n, &grad)));
    let mut stalled = 0;
    let mut is_fresh = known.is_none();
    for _ in 0..stop.steps {
        let size = dot(n, &grad, &grad).sqrt();
        if stalled >= stop.stalls || size <= 1e-13 * value.abs().max(1e-300) {
            break;
        }
        let mut direction = inverse.descent(&grad);
        let mut slope = dot(n, &direction, &grad);
        if slope >= 0.0 || !slope.is_finite() {
            inverse = Inverse::identity(n, first_scale(n, &grad));
            direction = inverse.descent(&grad);
            slope = dot(n, &direction, &grad);
            is_fresh = true;
        }
        // No coordinate moves by more than 2 at once: all of them are logarithms or exponents.
        let longest = (0..n).fold(0.0_f64, |m, i| m.max(direction[i].abs()));
        if longest > 2.0 {
            (0..n).for_each(|i| direction[i] *= 2.0 / longest);
            slope *= 2.0 / longest;
        }
        let Some((next, next_grad, next_value)) =
            weak_wolfe(n, &theta, value, &direction, slope, &mut f)
        else {
            if is_fresh {
                break;
            }
            inverse = Inverse::identity(n, first_scale(n, &grad));
            is_fresh = true;
            continue;
        };
        inverse.update(&theta, &next, &grad, &next_grad, is_fresh);
        is_fresh = false;
        let is_stalled = value - next_value <= stop.relative * next_value.abs();
        stalled = if is_stalled { stalled + 1 } else { 0 };
        (theta, grad, value) = (next, next_grad, next_value);
    }
    Some(Minimum { theta, value, inverse })
}

/// The first step is a tenth long.
fn first_scale(n: usize, grad: &Theta) -> f64 {
    0.1 / dot(n, grad, grad).sqrt().max(1e-300)
}

/// A point with enough decrease and a slope that has flattened, by bisection.
fn weak_wolfe(
    n: usize,
    theta: &Theta,
    value: f64,
    direction: &Theta,
    slope: f64,
    f: &mut impl FnMut(&Theta, &mut Theta) -> f64,
) -> Option<(Theta, Theta, f64)> {
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
    let mut best = None;
    for _ in 0..40 {
        let mut trial = *theta;
        (0..n).for_each(|i| trial[i] += step * direction[i]);
        let mut grad = [0.0; MAX_THETA];
        let reached = f(&trial, &mut grad);
        if !(reached.is_finite() && reached <= value + 1e-4 * step * slope) {
            high = step;
        } else if dot(n, &grad, direction) < 0.9 * slope {
            best = Some((trial, grad, reached));
            low = step;
        } else {
            return Some((trial, grad, reached));
        }
        step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
        if step > 1e3 {
            break;
        }
    }
    best
}

/// The inverse Hessian as BFGS knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inverse {
    n: usize,
    h: [Theta; MAX_THETA],
}

impl Inverse {
    fn identity(n: usize, scale: f64) -> Self {
        let mut h = [[0.0; MAX_THETA]; MAX_THETA];
        (0..n).for_each(|i| h[i][i] = scale);
        Self { n, h }
    }

    /// A known inverse times a factor.
    pub(super) fn from_columns(columns: &[Vec<f64>], factor: f64) -> Self {
        let mut h = [[0.0; MAX_THETA]; MAX_THETA];
        for (i, column) in columns.iter().enumerate() {
            for (j, value) in column.iter().enumerate() {
                h[j][i] = value * factor;
            }
        }
        Self { n: columns.len(), h }
    }

    fn descent(&self, grad: &Theta) -> Theta {
        let mut d = [0.0; MAX_THETA];
        (0..self.n).for_each(|i| d[i] = -dot(self.n, &self.h[i], grad));
        d
    }

    fn update(&mut self, from: &Theta, to: &Theta, g0: &Theta, g1: &Theta, is_fresh: bool) {
        let n = self.n;
        let (mut s, mut y) = ([0.0; MAX_THETA], [0.0; MAX_THETA]);
        for i in 0..n {
            s[i] = to[i] - from[i];
            y[i] = g1[i] - g0[i];
        }
        let (sy, yy) = (dot(n, &s, &y), dot(n, &y, &y));
        if !(sy > 1e-300 && yy > 0.0) {
            return;
        }
        if is_fresh {
            // The first difference of gradients tells the scale (Nocedal & Wright 2006, eq. 6.20).
            *self = Self::identity(n, sy / yy);
        }
        let hy = self.descent(&y).map(|v| -v);
        let factor = (1.0 + dot(n, &y, &hy) / sy) / sy;
        for i in 0..n {
            for j in 0..n {
                self.h[i][j] += factor * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / sy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_a_curved_valley() {
        let mut start = [0.0; MAX_THETA];
        (start[0], start[1]) = (-1.2, 1.0);
        let m = minimize(2, &start, Stop::FINE, |x, g| {
            let (u, v) = (x[1] - x[0] * x[0], 1.0 - x[0]);
            (g[0], g[1]) = (-400.0 * u * x[0] - 2.0 * v, 200.0 * u);
            100.0 * u * u + v * v
        })
        .unwrap();
        assert!((m.theta[0] - 1.0).abs() < 1e-6 && m.value < 1e-12, "{m:?}");
    }

    #[test]
    fn walks_down_to_a_corner() {
        // |x| + 2|y|: the gradient never vanishes on the way.
        let mut start = [0.0; MAX_THETA];
        (start[0], start[1]) = (3.0, -2.0);
        let m = minimize(2, &start, Stop::FINE, |x, g| {
            (g[0], g[1]) = (x[0].signum(), 2.0 * x[1].signum());
            x[0].abs() + 2.0 * x[1].abs()
        })
        .unwrap();
        assert!(m.value < 1e-6, "{m:?}");
    }

    #[test]
    fn an_infinite_start_is_none() {
        assert!(minimize(1, &[0.0; MAX_THETA], Stop::COARSE, |_, _| f64::NAN).is_none());
    }
}
