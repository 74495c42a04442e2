//! The loss that remains when a frequency is taken out of the logits, for all frequencies at once.
//!
//! Without frequency k a logit is `l_c - D_k[s, c]`, so the sum in the softmax is `sum_c e^{l_c} e^{-D_k}`:
//! a product of one exponential for each logit, made once, and a table `e^{-D_k}` that depends on the pair only
//! through s. For every s this is a product of two small matrices, and no exponential is taken for each pair,
//! class and frequency. A relative error of 1e-8 in a factor is one of 1e-8 nats in the loss. Both factors are kept below 1; a sum that underflows all the same (logits hundreds of
//! nats apart) is taken again the long way.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{
    EvalSet, ProbeError,
    lanes::{LANES, Tail, dispatch, exp_in_place},
    scores::write_below,
    trig_logits::{TrigLogits, class_of},
};

/// Smallest sum that is believed; terms lost to underflow are below 1e-307.
const TRUSTED: f64 = 1e-290;

/// Mean excluded losses over the chosen pairs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExcludedLosses {
    /// Without frequency 1, 2, ...
    pub(crate) by_frequency: Vec<f64>,
    /// Without every key frequency.
    pub(crate) keys: f64,
}

/// Takes every frequency out in turn, and all of `key_component` (`[s, class]`) together.
///
/// `Ok(None)` if no pair is chosen.
///
/// # Errors
/// [`ProbeError::Index`] if a target is not a residue.
pub(crate) fn excluded_losses(
    trig: &TrigLogits<'_>,
    key_component: &[f64],
    set: &EvalSet<'_>,
    of: impl Fn(usize) -> bool,
) -> Result<Option<ExcludedLosses>, ProbeError> {
    let (p, n_columns) = (trig.basis().p(), trig.n_columns);
    let n_frequencies = trig.basis().n_frequencies();
    let mut removed = Removed::new(p, n_columns);
    let mut sum = LogSums::new(n_columns);
    let (width, tail) = (p.next_multiple_of(LANES), Tail::of(p));
    let mut exponentials = vec![0.0; p * width];
    let (mut rows, mut n) = (Vec::with_capacity(p), 0_usize);
    for s in 0..p {
        rows.clear();
        for pair in trig.pairs(s).filter(|&pair| of(pair)) {
            rows.push((pair * set.n_classes, class_of(set, p, pair)?, 0.0));
        }
        n += rows.len();
        dispatch(
            #[inline(always)]
            || {
                removed.prepare(trig, &key_component[s * p..][..p], s);
                for ((from, _, top), to) in
                    rows.iter_mut().zip(exponentials.chunks_exact_mut(width))
                {
                    *top = below_maximum(set.logits, *from, p, &tail, to);
                }
                exp_in_place::<7>(&mut exponentials[..rows.len() * width]);
                for (&(from, target, top), e) in rows.iter().zip(exponentials.chunks_exact(width)) {
                    sum.add(&removed, &e[..p], top, &set.logits[from..from + p], target);
                }
            },
        );
    }
    if n == 0 {
        return Ok(None);
    }
    let mut losses = sum.finish();
    for loss in &mut losses {
        *loss /= n as f64;
    }
    let keys = losses[n_frequencies];
    losses.truncate(n_frequencies);
    Ok(Some(ExcludedLosses { by_frequency: losses, keys }))
}

/// Writes `l - max` of the `n` logits from `from` on, and returns the maximum.
#[inline(always)]
fn below_maximum(logits: &[f32], from: usize, n: usize, tail: &Tail, to: &mut [f64]) -> f64 {
    let chunks = logits[from..from + n].as_chunks::<LANES>().0;
    let tail = tail.load(logits, from + n);
    let max = |x: f32, y: f32| if x > y { x } else { y };
    let mut tops = tail;
    for &chunk in chunks {
        tops = std::array::from_fn(|l| max(chunk[l], tops[l]));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            tops[l] = max(tops[l], tops[l + half]);
        }
        half /= 2;
    }
    let top = f64::from(tops[0]);
    write_below(chunks, tail, top, to);
    top
}

/// What is taken out of the logits of one s: a column for every frequency and one for the key set.
#[derive(Debug)]
struct Removed {
    /// `D[c, column]`.
    values: Vec<f64>,
    /// `exp(-(D - min_c D))`.
    factors: Vec<f64>,
    /// `min_c D`, by column.
    least: Vec<f64>,
    waves: [Vec<f64>; 2],
}

impl Removed {
    fn new(p: usize, n_columns: usize) -> Self {
        Self {
            values: vec![0.0; p * n_columns],
            factors: vec![0.0; p * n_columns],
            least: vec![0.0; n_columns],
            waves: [vec![0.0; n_columns], vec![0.0; n_columns]],
        }
    }

    #[inline(always)]
    fn prepare(&mut self, trig: &TrigLogits<'_>, key_component: &[f64], s: usize) {
        let n_columns = self.least.len();
        let spare = trig.basis().n_frequencies();
        let [cos, sin] = &mut self.waves;
        for k in 1..=spare {
            cos[k - 1] = trig.basis().cos(k, s);
            sin[k - 1] = trig.basis().sin(k, s);
        }
        self.least.fill(f64::INFINITY);
        let tables = trig.cosines.chunks_exact(n_columns).zip(trig.sines.chunks_exact(n_columns));
        let rows = self.values.chunks_exact_mut(n_columns);
        let least = self.least.as_chunks_mut::<LANES>().0;
        for ((values, (cosines, sines)), &keys) in rows.zip(tables).zip(key_component) {
            let waves = cos.as_chunks::<LANES>().0.iter().zip(sin.as_chunks::<LANES>().0);
            let parts = cosines.as_chunks::<LANES>().0.iter().zip(sines.as_chunks::<LANES>().0);
            let to = values.as_chunks_mut::<LANES>().0.iter_mut();
            for ((to, (cos, sin)), (c, s)) in to.zip(waves).zip(parts) {
                *to = std::array::from_fn(|l| cos[l].mul_add(c[l], sin[l] * s[l]));
            }
            values[spare] = keys;
            for (least, values) in least.iter_mut().zip(values.as_chunks::<LANES>().0) {
                let old = *least;
                *least =
                    std::array::from_fn(|l| if values[l] < old[l] { values[l] } else { old[l] });
            }
        }
        for (factors, values) in
            self.factors.chunks_exact_mut(n_columns).zip(self.values.chunks_exact(n_columns))
        {
            let to = factors.as_chunks_mut::<LANES>().0.iter_mut();
            for ((to, values), least) in to.zip(values.as_chunks::<LANES>().0).zip(&*least) {
                *to = std::array::from_fn(|l| least[l] - values[l]);
            }
        }
        exp_in_place::<7>(&mut self.factors);
    }
}

/// Sums of losses by column. A sum of logarithms is kept as the product it is the logarithm of, mantissas and
/// exponents apart, which spares a logarithm for every pair and column.
#[derive(Debug)]
struct LogSums {
    linear: Vec<f64>,
    mantissas: Vec<f64>,
    exponents: Vec<u64>,
    /// Products in `mantissas` since they were last brought back to [1, 2).
    n_pending: usize,
    /// Factors in all.
    n: u64,
    sums: Vec<f64>,
}

impl LogSums {
    const EXPONENT: u64 = 0x7ff << 52;
    const ONE: u64 = 1023 << 52;
    /// Mantissas are below 2, so this many multiply up to at most 2^1000.
    const PENDING: usize = 1000;

    fn new(n_columns: usize) -> Self {
        Self {
            linear: vec![0.0; n_columns],
            mantissas: vec![1.0; n_columns],
            exponents: vec![0; n_columns],
            n_pending: 0,
            n: 0,
            sums: vec![0.0; n_columns],
        }
    }

    /// Adds the losses of one pair.
    #[inline(always)]
    fn add(&mut self, removed: &Removed, row: &[f64], top: f64, logits: &[f32], target: usize) {
        let n_columns = self.sums.len();
        product(row, &removed.factors, &mut self.sums);
        let mut is_trusted = true;
        for &sum in &self.sums {
            is_trusted &= sum >= TRUSTED;
        }
        let logit = f64::from(logits[target]);
        let at_target = &removed.values[target * n_columns..][..n_columns];
        if !is_trusted {
            for j in 0..n_columns {
                if self.sums[j] < TRUSTED {
                    // The long way: the whole loss goes to the linear part and a factor of 1 to the product.
                    let rest = |c: usize| f64::from(logits[c]) - removed.values[c * n_columns + j];
                    let max = (0..row.len()).map(rest).fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = (0..row.len()).map(|c| (rest(c) - max).exp()).sum();
                    self.linear[j] += sum.ln() + max - top + removed.least[j];
                    self.sums[j] = 1.0;
                }
            }
        }
        let linear = self.linear.iter_mut().zip(at_target).zip(&removed.least);
        for ((linear, at_target), least) in linear {
            *linear += (top - logit) + (at_target - least);
        }
        let products = self.exponents.iter_mut().zip(&mut self.mantissas).zip(&self.sums);
        for ((exponent, mantissa), sum) in products {
            let bits = sum.to_bits();
            *exponent += (bits & Self::EXPONENT) >> 52;
            *mantissa *= f64::from_bits(bits & !Self::EXPONENT | Self::ONE);
        }
        self.n += 1;
        self.n_pending += 1;
        if self.n_pending == Self::PENDING {
            self.settle();
        }
    }

    /// Moves the exponents of the products to where exponents are counted.
    fn settle(&mut self) {
        for (mantissa, exponent) in self.mantissas.iter_mut().zip(&mut self.exponents) {
            let bits = mantissa.to_bits();
            *exponent += ((bits & Self::EXPONENT) >> 52) - 1023;
            *mantissa = f64::from_bits(bits & !Self::EXPONENT | Self::ONE);
        }
        self.n_pending = 0;
    }

    fn finish(mut self) -> Vec<f64> {
        self.settle();
        let bias = (1023 * self.n) as f64;
        let parts = self.linear.iter().zip(&self.mantissas).zip(&self.exponents);
        parts
            .map(|((linear, mantissa), &exponent)| {
                linear + mantissa.ln() + (exponent as f64 - bias) * std::f64::consts::LN_2
            })
            .collect()
    }
}

/// `sums = row factors` for `row: [p]`, `factors: [p, n_columns]`.
#[inline(always)]
fn product(row: &[f64], factors: &[f64], sums: &mut [f64]) {
    const WIDE: usize = 4 * LANES;
    let n_columns = sums.len();
    let (wide, narrow) = sums.as_chunks_mut::<WIDE>();
    for (i, sums) in wide.iter_mut().enumerate() {
        *sums = strip::<WIDE>(row, factors, n_columns, i * WIDE);
    }
    let from = n_columns - narrow.len();
    for (i, sums) in narrow.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        *sums = strip::<LANES>(row, factors, n_columns, from + i * LANES);
    }
}

#[inline(always)]
fn strip<const N: usize>(row: &[f64], factors: &[f64], n_columns: usize, from: usize) -> [f64; N] {
    let mut sums = [0.0; N];
    for (&e, factors) in row.iter().zip(factors.chunks_exact(n_columns)) {
        let Some(factors) = factors[from..].first_chunk::<N>() else { continue };
        for l in 0..N {
            sums[l] = e.mul_add(factors[l], sums[l]);
        }
    }
    sums
}
