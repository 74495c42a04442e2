//! Ridge regression with a constant, by Cholesky.

/// Weights `[width + 1]`, the constant last, that minimize the mean squared error on each goal plus the penalty; the
/// constant is not penalized. `penalty` counts in units of the mean variance of a column.
///
/// `rows` is `[n, width]`. `None` without rows, or if no number comes out.
pub(crate) fn solve<const G: usize>(
    rows: &[f32],
    width: usize,
    goals: &[Vec<f64>; G],
    penalty: f64,
) -> Option<[Vec<f64>; G]> {
    let n = rows.len() / width.max(1);
    if n == 0 || goals.iter().any(|g| g.len() != n) {
        return None;
    }
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / n as f64);
    }
    // Only the lower triangle is filled and read.
    let mut gram = vec![0.0; width * width];
    let mut centred = vec![0.0; width];
    let mut right: [Vec<f64>; G] = std::array::from_fn(|_| vec![0.0; width]);
    for (i, row) in rows.chunks_exact(width).enumerate() {
        for ((c, x), m) in centred.iter_mut().zip(row).zip(&mean) {
            *c = f64::from(*x) - m;
        }
        for (j, line) in gram.chunks_exact_mut(width).enumerate() {
            let x = centred[j];
            line[..=j].iter_mut().zip(&centred).for_each(|(g, c)| *g += x * c);
        }
        for (r, goal) in right.iter_mut().zip(goals) {
            r.iter_mut().zip(&centred).for_each(|(r, c)| *r += goal[i] * c);
        }
    }
    let trace: f64 = (0..width).map(|j| gram[j * width + j]).sum();
    let added = penalty * trace / width as f64 + f64::MIN_POSITIVE;
    for j in 0..width {
        gram[j * width + j] += added;
    }
    cholesky(&mut gram, width)?;
    let mut out = right;
    for (w, goal) in out.iter_mut().zip(goals) {
        substitute(&gram, width, w);
        let centre = goal.iter().sum::<f64>() / n as f64;
        let constant = centre - w.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
        w.push(constant);
        if w.iter().any(|v| !v.is_finite()) {
            return None;
        }
    }
    Some(out)
}

/// The lower triangle becomes its own factor; `None` if it is not positive definite.
fn cholesky(a: &mut [f64], n: usize) -> Option<()> {
    for j in 0..n {
        let (above, from_j) = a.split_at_mut(j * n);
        let row_j = &mut from_j[..=j];
        for k in 0..j {
            let row_k = &above[k * n..=k * n + k];
            let dot: f64 = row_j[..k].iter().zip(row_k).map(|(x, y)| x * y).sum();
            row_j[k] = (row_j[k] - dot) / row_k[k];
        }
        let dot: f64 = row_j[..j].iter().map(|x| x * x).sum();
        let rest = row_j[j] - dot;
        if rest.is_nan() || rest <= 0.0 {
            return None;
        }
        row_j[j] = rest.sqrt();
    }
    Some(())
}

/// Solves `L L' x = b` in place.
fn substitute(l: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let dot: f64 = l[i * n..i * n + i].iter().zip(b.iter()).map(|(x, y)| x * y).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn a_plane_is_found_again() {
        let draws = Philox::new(3, "ridge").at(0);
        let rows: Vec<f32> = (0..400).map(|i| draws.normal(i) as f32).collect();
        let plane: Vec<f64> =
            rows.chunks(4).map(|r| 2.0 * f64::from(r[0]) - f64::from(r[2]) + 0.5).collect();
        let [w] = solve(&rows, 4, &[plane], 1e-12).unwrap();
        for (found, expected) in w.iter().zip([2.0, 0.0, -1.0, 0.0, 0.5]) {
            assert!((found - expected).abs() < 1e-9, "{w:?}");
        }
        assert_eq!(solve(&[], 4, &[vec![]], 1.0), None);
    }
}
