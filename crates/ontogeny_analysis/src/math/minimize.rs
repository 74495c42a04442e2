//! Smooth minimization by BFGS with a backtracking line search.

use super::linear::dot;

/// Where a minimization ended.
#[derive(Debug, Clone)]
pub(crate) struct Minimum {
    pub(crate) x: Vec<f64>,
    pub(crate) value: f64,
}

/// Minimizes `f`, which returns value and gradient, from `start`.
///
/// Stops when the gradient's largest entry is below 1e-7 or three steps together lower the value by less than 1e-12 of it; `None` only if the
/// value at the start is not finite. Deterministic.
pub(crate) fn bfgs(start: &[f64], f: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Option<Minimum> {
    let n = start.len();
    let identity = || -> Vec<Vec<f64>> {
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect()
    };
    let mut x = start.to_vec();
    let (mut value, mut grad) = f(&x);
    if !value.is_finite() {
        return None;
    }
    let mut inv = identity();
    let (mut fresh, mut stalled) = (true, 0);
    for _ in 0..300 {
        if grad.iter().all(|g| g.abs() < 1e-7) || stalled == 3 {
            break;
        }
        let mut dir: Vec<f64> = inv.iter().map(|row| -dot(row, &grad)).collect();
        if dot(&dir, &grad) >= 0.0 {
            inv = identity();
            dir = grad.iter().map(|g| -g).collect();
        }
        // No coordinate moves by more than 2 in one step: all our parameters are logarithms or log-odds.
        let longest = dir.iter().fold(0.0_f64, |a, d| a.max(d.abs()));
        let mut step = if longest > 2.0 { 2.0 / longest } else { 1.0 };
        let slope = dot(&dir, &grad);
        let mut next = None;
        for _ in 0..40 {
            let trial: Vec<f64> = x.iter().zip(&dir).map(|(x, d)| x + step * d).collect();
            let (v, g) = f(&trial);
            if v.is_finite() && v <= value + 1e-4 * step * slope {
                next = Some((trial, v, g));
                break;
            }
            step *= 0.5;
        }
        let Some((trial, v, g)) = next else {
            if fresh {
                break;
            }
            inv = identity();
            fresh = true;
            continue;
        };
        let s: Vec<f64> = trial.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = g.iter().zip(&grad).map(|(a, b)| a - b).collect();
        let sy = dot(&s, &y);
        if sy > 1e-14 {
            let iy: Vec<f64> = inv.iter().map(|row| dot(row, &y)).collect();
            let yiy = dot(&y, &iy);
            for i in 0..n {
                for j in 0..n {
                    inv[i][j] +=
                        (1.0 + yiy / sy) * s[i] * s[j] / sy - (iy[i] * s[j] + s[i] * iy[j]) / sy;
                }
            }
        }
        fresh = false;
        stalled = if value - v <= 4e-13 * value.abs().max(1.0) { stalled + 1 } else { 0 };
        (x, value, grad) = (trial, v, g);
    }
    Some(Minimum { x, value })
}

#[cfg(test)]
/// Gradient of `f` by central differences, for checks.
pub(crate) fn numeric_gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    (0..x.len())
        .map(|i| {
            let h = 1e-5 * x[i].abs().max(1.0);
            let mut at = x.to_vec();
            at[i] = x[i] + h;
            let up = f(&at);
            at[i] = x[i] - h;
            (up - f(&at)) / (2.0 * h)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_rosenbrocks_valley() {
        let f = |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
        let m = bfgs(&[-1.2, 1.0], |x| (f(x), numeric_gradient(x, f))).unwrap();
        assert!((m.x[0] - 1.0).abs() < 1e-5 && m.value < 1e-10, "{m:?}");
    }
}
