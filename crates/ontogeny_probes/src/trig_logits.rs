//! The part of a modular network's logits that depends on a + b alone, frequency by frequency.
//!
//! Let `L` be the table of logits, one row for every pair. Its projection on the unit directions
//! `cos(w_k (a+b))` and `sin(w_k (a+b))` over pairs is a function of `s = a + b mod p` and the class only, and
//! follows from the sums of rows with equal s. So after one pass over the logits everything costs p^2 or p^3,
//! not p^4. For subtraction s is a - b; which of the two it is, is seen from the targets.
//!
//! Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 5.1.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{
    EvalSet, FourierBasis, ProbeError,
    lanes::{LANES, dispatch, exp_in_place, total},
};

/// Components of the logits of one grid.
#[derive(Debug)]
pub(crate) struct TrigLogits<'a> {
    basis: &'a FourierBasis,
    is_difference: bool,
    /// Columns of the tables below: frequency k in column k - 1, one spare column, then padding to whole lanes.
    pub(crate) n_columns: usize,
    /// `2/p^2 sum_s cos(w_k s) M[s, c]`, `[p, n_columns]` with one row for every class.
    pub(crate) cosines: Vec<f64>,
    /// The same with sines.
    pub(crate) sines: Vec<f64>,
    /// Mean logit of every class, `[p]`.
    means: Vec<f64>,
    /// Sums of rows along s - c, `[p]`.
    diagonals: Vec<f64>,
    /// Sum of squared deviations of all logits from their common mean.
    sq_deviation: f64,
}

impl<'a> TrigLogits<'a> {
    /// Sums up the logits of a grid that was checked by [`crate::Observation::grid`].
    ///
    /// # Errors
    /// [`ProbeError::NonFinite`] if a logit is not finite.
    pub(crate) fn of(basis: &'a FourierBasis, set: &EvalSet<'_>) -> Result<Self, ProbeError> {
        let (p, c) = (basis.p(), set.n_classes);
        let is_difference =
            (0..p * p).all(|i| set.targets[i] as usize == residue(i / p + p - i % p, p));
        let mut sums = vec![0.0_f64; p * p];
        let mut squares = 0.0;
        dispatch(
            #[inline(always)]
            || {
                let mut square = [0.0; LANES];
                for (i, row) in set.logits.chunks_exact(c).enumerate() {
                    let s = Self::sum_of(is_difference, p, i / p, i % p);
                    let sums = &mut sums[s * p..][..p];
                    let (to, to_rest) = sums.as_chunks_mut::<LANES>();
                    let (from, from_rest) = row[..p].as_chunks::<LANES>();
                    for (to, from) in to.iter_mut().zip(from) {
                        let (old, x) = (*to, from.map(f64::from));
                        *to = std::array::from_fn(|l| old[l] + x[l]);
                        square = std::array::from_fn(|l| x[l].mul_add(x[l], square[l]));
                    }
                    for (l, (to, &from)) in to_rest.iter_mut().zip(from_rest).enumerate() {
                        let x = f64::from(from);
                        *to += x;
                        square[l] = x.mul_add(x, square[l]);
                    }
                }
                squares = total(square);
            },
        );
        if !squares.is_finite() {
            return Err(ProbeError::NonFinite { what: "logits of grid".into() });
        }
        let n_frequencies = basis.n_frequencies();
        let n_columns = (n_frequencies + 1).next_multiple_of(LANES);
        let (cosines, sines) = components(basis, n_columns, &sums);
        let n_pairs = (p * p) as f64;
        let mut means = vec![0.0; p];
        let mut diagonals = vec![0.0; p];
        for (s, row) in sums.chunks_exact(p).enumerate() {
            for (c, &x) in row.iter().enumerate() {
                means[c] += x / n_pairs;
                diagonals[residue(s + p - c, p)] += x;
            }
        }
        let n_logits = n_pairs * p as f64;
        let sum: f64 = diagonals.iter().sum();
        let sq_deviation = squares - sum * sum / n_logits;
        Ok(Self { basis, is_difference, n_columns, cosines, sines, means, diagonals, sq_deviation })
    }

    fn sum_of(is_difference: bool, p: usize, a: usize, b: usize) -> usize {
        residue(if is_difference { a + p - b } else { a + b }, p)
    }

    /// The pairs (as rows of the grid) whose sum, or difference, is `s`.
    pub(crate) fn pairs(&self, s: usize) -> impl Iterator<Item = usize> {
        let (p, is_difference) = (self.basis.p(), self.is_difference);
        (0..p).map(move |a| {
            let b = if is_difference { residue(a + p - s, p) } else { residue(s + p - a, p) };
            a * p + b
        })
    }

    /// `sum_k P_k L` over the frequencies `keys`, `[p, p]`: row s, column class.
    pub(crate) fn key_component(&self, keys: &[usize]) -> Vec<f64> {
        let p = self.basis.p();
        let mut table = vec![0.0; p * p];
        for (s, row) in table.chunks_exact_mut(p).enumerate() {
            for &k in keys {
                let (cos, sin) = (self.basis.cos(k, s), self.basis.sin(k, s));
                for (c, x) in row.iter_mut().enumerate() {
                    let at = c * self.n_columns + k - 1;
                    *x += cos * self.cosines[at] + sin * self.sines[at];
                }
            }
        }
        table
    }

    /// Loss of `mean logit + key_component` for every s and class, `[p, p]`.
    pub(crate) fn restricted_losses(&self, key_component: &[f64]) -> Vec<f64> {
        let p = self.basis.p();
        let mut losses = vec![0.0; p * p];
        let mut exponentials = vec![0.0; p];
        for (row, from) in losses.chunks_exact_mut(p).zip(key_component.chunks_exact(p)) {
            for ((x, from), mean) in row.iter_mut().zip(from).zip(&self.means) {
                *x = from + mean;
            }
            let (mut top, mut at) = (f64::NEG_INFINITY, 0);
            for (c, &x) in row.iter().enumerate() {
                if x > top {
                    (top, at) = (x, c);
                }
            }
            for (e, x) in exponentials.iter_mut().zip(&*row) {
                *e = x - top;
            }
            dispatch(
                #[inline(always)]
                || exp_in_place::<12>(&mut exponentials),
            );
            // The largest is counted by ln_1p.
            exponentials[at] = 0.0;
            let others: f64 = exponentials.iter().sum();
            let ln = others.ln_1p();
            for x in row {
                *x = (top - *x) + ln;
            }
        }
        losses
    }

    /// Least-squares amplitude of `cos(w_k (s - c))` in the logits for k = 1, 2, ..., and the share of the logits'
    /// variance about their common mean that it explains. The cosines are orthogonal, so shares add up.
    pub(crate) fn amplitudes(&self) -> Vec<(f64, f64)> {
        let p = self.basis.p();
        // The squared norm of a cosine over (a, b, c).
        let sq_norm = (p as f64).powi(3) / 2.0;
        (1..=self.basis.n_frequencies())
            .map(|k| {
                let inner: f64 =
                    self.diagonals.iter().enumerate().map(|(d, x)| x * self.basis.cos(k, d)).sum();
                let amplitude = inner / sq_norm;
                (amplitude, amplitude * amplitude * sq_norm / self.sq_deviation)
            })
            .collect()
    }

    /// The basis the components refer to.
    pub(crate) fn basis(&self) -> &FourierBasis {
        self.basis
    }

    /// Mean of a table `[s, class]` over the pairs for which `of` holds, each read at its own target.
    pub(crate) fn mean_at_targets(
        &self,
        table: &[f64],
        set: &EvalSet<'_>,
        of: impl Fn(usize) -> bool,
    ) -> Result<Option<f64>, ProbeError> {
        let p = self.basis.p();
        let (mut sum, mut n) = (0.0, 0_usize);
        for s in 0..p {
            for pair in self.pairs(s).filter(|&pair| of(pair)) {
                sum += table[s * p + class_of(set, p, pair)?];
                n += 1;
            }
        }
        Ok((n > 0).then(|| sum / n as f64))
    }
}

/// The target of a pair, which must be a residue.
pub(crate) fn class_of(set: &EvalSet<'_>, p: usize, pair: usize) -> Result<usize, ProbeError> {
    let class = set.targets[pair] as usize;
    if class < p {
        Ok(class)
    } else {
        Err(ProbeError::Index { what: "targets of grid".into(), index: class, len: p })
    }
}

/// `x mod p` for x below 2 p.
#[inline(always)]
fn residue(x: usize, p: usize) -> usize {
    if x >= p { x - p } else { x }
}

/// Cosine and sine components of the sums `[s, c]`, class by class with the frequencies beside each other.
fn components(basis: &FourierBasis, n_columns: usize, sums: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let p = basis.p();
    let scale = 2.0 / (p * p) as f64;
    let (mut cosines, mut sines) = (vec![0.0; p * n_columns], vec![0.0; p * n_columns]);
    let (mut cos, mut sin) = (vec![0.0; n_columns], vec![0.0; n_columns]);
    dispatch(
        #[inline(always)]
        || {
            for (s, row) in sums.chunks_exact(p).enumerate() {
                for k in 1..=basis.n_frequencies() {
                    cos[k - 1] = scale * basis.cos(k, s);
                    sin[k - 1] = scale * basis.sin(k, s);
                }
                let to = cosines.chunks_exact_mut(n_columns).zip(sines.chunks_exact_mut(n_columns));
                for (&x, (cosines, sines)) in row.iter().zip(to) {
                    add_scaled(cosines, x, &cos);
                    add_scaled(sines, x, &sin);
                }
            }
        },
    );
    (cosines, sines)
}

/// `to += x wave`.
#[inline(always)]
fn add_scaled(to: &mut [f64], x: f64, wave: &[f64]) {
    for (to, wave) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(wave.as_chunks::<LANES>().0) {
        let old = *to;
        *to = std::array::from_fn(|l| x.mul_add(wave[l], old[l]));
    }
}
