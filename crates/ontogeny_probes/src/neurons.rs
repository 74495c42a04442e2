//! Which neurons of a modular network read one frequency.
//!
//! A neuron's activations over all pairs (a, b) are centred and transformed in both arguments; the share of
//! their energy in the 3 by 3 block {1, cos k, sin k} x {1, cos k, sin k} says how well the single frequency k
//! describes it. The p^2 transform is not needed: products of cosines and sines at (k a, k b) span the same
//! four directions as cosines and sines of k (a + b) and k (a - b), so the energy of every block follows from
//! four sums over the grid (along rows, columns and both diagonals) and their transforms. That is one pass
//! over the activations in place of p^3 operations a neuron.
//!
//! Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 4.2 (84.6 % of neurons above 0.85).
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{FourierBasis, lanes::dispatch, matmul::matmul};

/// Neurons that go through the grid together: their sums stay in the first-level cache.
const BLOCK: usize = 32;

/// What the single-frequency description says of every neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronBlocks {
    /// The frequency whose block holds the largest share, from 1; 0 for a constant neuron.
    pub frequencies: Vec<usize>,
    /// That share, in [0, 1]; 0 for a constant neuron, NaN if an activation is not finite.
    pub shares: Vec<f32>,
}

impl NeuronBlocks {
    /// Describes the `n_neurons` columns of `activations: [p * p, n_neurons]`, pair (a, b) in row a * p + b.
    ///
    /// A neuron whose centred energy is below 1e-6 of its energy is constant to the accuracy of `f32` sums.
    ///
    /// # Panics
    /// If the activations do not have that size.
    pub fn of(basis: &FourierBasis, n_neurons: usize, activations: &[f32]) -> Self {
        let p = basis.p();
        assert_eq!(activations.len(), p * p * n_neurons, "one row of activations for every pair");
        // [p, 4, n]: for every residue the sums over a, b, a + b and a - b, made of whole blocks.
        let n = n_neurons.next_multiple_of(BLOCK);
        let mut sums = vec![0.0_f32; p * 4 * n];
        let mut energy = vec![0.0_f64; n];
        let mut padded = Vec::new();
        for from in (0..n_neurons).step_by(BLOCK) {
            let width = BLOCK.min(n_neurons - from);
            let (values, stride, at) = if width == BLOCK {
                (activations, n_neurons, from)
            } else {
                padded = pad(activations, n_neurons, from, width);
                (padded.as_slice(), BLOCK, 0)
            };
            let mut block = Block::new(p);
            dispatch(
                #[inline(always)]
                || {
                    for a in 0..p {
                        let row = block.add_row(a, &values[a * p * stride + at..], stride);
                        sums[a * 4 * n + from..][..BLOCK].copy_from_slice(&row.sum);
                        for l in 0..BLOCK {
                            energy[from + l] += f64::from(row.squares[l]);
                        }
                    }
                },
            );
            for (i, table) in [&block.columns, &block.plus, &block.minus].into_iter().enumerate() {
                for (x, sum) in table.iter().enumerate() {
                    sums[(x * 4 + 1 + i) * n + from..][..BLOCK].copy_from_slice(sum);
                }
            }
        }
        drop(padded);
        describe(basis, n_neurons, n, &sums, &energy)
    }

    /// How many neurons have at least `share` of their energy at each frequency, `[n_frequencies]`.
    pub fn clusters(&self, n_frequencies: usize, share: f32) -> Vec<usize> {
        let mut counts = vec![0; n_frequencies];
        for (&k, _) in
            self.frequencies.iter().zip(&self.shares).filter(|&(&k, &s)| k > 0 && s >= share)
        {
            counts[k - 1] += 1;
        }
        counts
    }
}

/// Sums over the grid for the neurons of one block.
#[derive(Debug)]
struct Block {
    /// By b, `[p]`.
    columns: Vec<[f32; BLOCK]>,
    /// By a + b.
    plus: Vec<[f32; BLOCK]>,
    /// By a - b.
    minus: Vec<[f32; BLOCK]>,
}

/// What one value of a adds up to.
#[derive(Debug)]
struct Row {
    sum: [f32; BLOCK],
    squares: [f32; BLOCK],
}

impl Block {
    fn new(p: usize) -> Self {
        let zeros = vec![[0.0; BLOCK]; p];
        Self { columns: zeros.clone(), plus: zeros.clone(), minus: zeros }
    }

    /// Adds the pairs (a, 0), (a, 1), ... whose activations stand `stride` apart.
    #[inline(always)]
    fn add_row(&mut self, a: usize, values: &[f32], stride: usize) -> Row {
        let p = self.columns.len();
        let mut row = Row { sum: [0.0; BLOCK], squares: [0.0; BLOCK] };
        // a + b runs up and wraps at b = p - a; a - b runs down and wraps at b = a + 1. Between wraps all three
        // tables are walked in order.
        let mut from = 0;
        for to in [(p - a).min(a + 1), (p - a).max(a + 1), p] {
            let plus = if from < p - a { a + from } else { a + from - p };
            // The last of the walk downwards.
            let minus = if from <= a { a + 1 - to } else { p + a + 1 - to };
            let values = values.get(from * stride..).unwrap_or_default().chunks(stride);
            let len = to - from;
            let tables = self.columns[from..to].iter_mut().zip(&mut self.plus[plus..plus + len]);
            let minus = self.minus[minus..minus + len].iter_mut().rev();
            for ((value, (column, plus)), minus) in values.zip(tables).zip(minus) {
                let Some(&x) = value.first_chunk::<BLOCK>() else { continue };
                row.sum = add(row.sum, x);
                row.squares = std::array::from_fn(|l| x[l].mul_add(x[l], row.squares[l]));
                *column = add(*column, x);
                *plus = add(*plus, x);
                *minus = add(*minus, x);
            }
            from = to;
        }
        row
    }
}

#[inline(always)]
fn add(x: [f32; BLOCK], y: [f32; BLOCK]) -> [f32; BLOCK] {
    std::array::from_fn(|l| x[l] + y[l])
}

/// The columns `from..from + width`, padded with zeros to a block.
fn pad(activations: &[f32], n_neurons: usize, from: usize, width: usize) -> Vec<f32> {
    let mut padded = vec![0.0; activations.len() / n_neurons * BLOCK];
    for (to, row) in padded.chunks_exact_mut(BLOCK).zip(activations.chunks_exact(n_neurons)) {
        to[..width].copy_from_slice(&row[from..from + width]);
    }
    padded
}

/// Transforms the four sums and picks the best block of every neuron.
fn describe(
    basis: &FourierBasis,
    n_neurons: usize,
    n: usize,
    sums: &[f32],
    energy: &[f64],
) -> NeuronBlocks {
    let p = basis.p();
    let half = p / 2;
    // Cosines are even and sines odd in the residue, so each needs only half of the transform, taken of
    // x + (-x) and x - (-x).
    let width = 4 * n;
    let (mut even, mut odd) = (sums[..width].to_vec(), Vec::with_capacity(half * width));
    for x in 1..=half {
        let pair = sums[x * width..][..width].iter().zip(&sums[(p - x) * width..][..width]);
        even.extend(pair.clone().map(|(x, y)| x + y));
        odd.extend(pair.map(|(x, y)| x - y));
    }
    let (mut cosines, mut sines) = (vec![0.0; (half + 1) * width], vec![0.0; half * width]);
    let (cosine_rows, sine_rows) = half_rows(basis);
    matmul([half + 1, half + 1, width], &cosine_rows, &even, &mut cosines);
    matmul([half, half, width], &sine_rows, &odd, &mut sines);
    let (mut best, mut frequencies) = (vec![0.0_f32; n], vec![0_u32; n]);
    dispatch(
        #[inline(always)]
        || {
            let blocks = cosines[width..].chunks_exact(width).zip(sines.chunks_exact(width));
            for (k, (cosines, sines)) in (1_u32..).zip(blocks) {
                for i in 0..n {
                    let mut block_energy = 0.0;
                    for part in 0..4 {
                        let (c, s) = (cosines[part * n + i], sines[part * n + i]);
                        block_energy = c.mul_add(c, s.mul_add(s, block_energy));
                    }
                    let (old, frequency) = (best[i], frequencies[i]);
                    best[i] = if block_energy > old { block_energy } else { old };
                    frequencies[i] = if block_energy > old { k } else { frequency };
                }
            }
        },
    );
    let n_pairs = (p * p) as f64;
    let (frequencies, shares) = (0..n_neurons)
        .map(|i| {
            // The constant row of the basis, 1/sqrt(p), turned the row sums into sum / sqrt(p).
            let sum = f64::from(cosines[i]) * (p as f64).sqrt();
            let centred = energy[i] - sum * sum / n_pairs;
            if centred <= 1e-6 * energy[i] {
                return (0, 0.0);
            }
            // A marginal is p times its mean over the other argument, whose direction has norm sqrt(p).
            let share = f64::from(best[i]) / p as f64 / centred;
            (frequencies[i] as usize, if share > 1.0 { 1.0 } else { share as f32 })
        })
        .unzip();
    NeuronBlocks { frequencies, shares }
}

/// The constant and the cosines at residues 0..=(p-1)/2, and the sines at 1..=(p-1)/2.
fn half_rows(basis: &FourierBasis) -> (Vec<f32>, Vec<f32>) {
    let (p, half) = (basis.p(), basis.p() / 2);
    let row = |r: usize| &basis.rows()[r * p..][..=half];
    let cosines = std::iter::once(0).chain((1..p).step_by(2)).flat_map(row).copied().collect();
    let sines = (2..p).step_by(2).flat_map(|r| &row(r)[1..]).copied().collect();
    (cosines, sines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    /// Activations of planted neurons, `[p * p, neurons]`.
    fn plant(p: usize, neurons: &[&dyn Fn(usize, usize) -> f64]) -> Vec<f32> {
        let pairs = (0..p * p).map(|i| (i / p, i % p));
        pairs.flat_map(|(a, b)| neurons.iter().map(move |f| f(a, b) as f32)).collect()
    }

    /// The share of a block by the two-dimensional transform itself.
    fn naive_share(basis: &FourierBasis, x: &[f64], k: usize) -> f64 {
        let p = basis.p();
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let row = |r: usize, i: usize| f64::from(basis.rows()[r * p + i]);
        let rows = [0, 2 * k - 1, 2 * k];
        let mut block = 0.0;
        for u in rows {
            for v in rows {
                let mut c = 0.0;
                for a in 0..p {
                    for b in 0..p {
                        c += row(u, a) * row(v, b) * (x[a * p + b] - mean);
                    }
                }
                block += c * c;
            }
        }
        block / x.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
    }

    #[test]
    fn planted_single_frequency_neurons_are_recovered() {
        let (p, w) = (31, std::f64::consts::TAU / 31.0);
        let noise = Philox::new(1, "neuron").at(0);
        let activations = plant(
            p,
            &[
                // The sort of neuron that networks learn.
                &|a, b| (0.3 + (3.0 * w * a as f64).cos() + (3.0 * w * b as f64).cos()).max(0.0),
                // A product, with nothing in the rows and columns alone.
                &|a, b| 5.0 + (7.0 * w * a as f64).sin() * (7.0 * w * b as f64).cos(),
                // Two frequencies share it.
                &|a, b| (2.0 * w * a as f64).cos() + (5.0 * w * b as f64).cos(),
                &|_, _| 4.0,
                &|_, _| 0.0,
                &|a, b| noise.normal((a * p + b) as u64),
            ],
        );
        let blocks = NeuronBlocks::of(&FourierBasis::new(p), 6, &activations);
        assert_eq!(blocks.frequencies[..2], [3, 7]);
        assert!(blocks.shares[0] > 0.85, "{blocks:?}");
        // Around a mean of 5 only 1 % of the energy is left, so the f32 sums are good to 1e-5 of that.
        assert!((blocks.shares[1] - 1.0).abs() < 1e-4, "{blocks:?}");
        assert!((blocks.shares[2] - 0.5).abs() < 1e-5);
        assert_eq!((blocks.frequencies[3], blocks.shares[3]), (0, 0.0));
        assert_eq!((blocks.frequencies[4], blocks.shares[4]), (0, 0.0));
        assert!(blocks.shares[5] < 0.1);
        let mut expected = vec![0; 15];
        (expected[2], expected[6]) = (1, 1);
        assert_eq!(blocks.clusters(15, 0.85), expected);
    }

    #[test]
    fn four_sums_give_the_shares_of_the_two_dimensional_transform() {
        let (p, n) = (11, 35);
        let draws = Philox::new(2, "neuron").at(0);
        let x: Vec<f32> =
            (0..(p * p * n) as u64).map(|i| draws.normal(i).max(0.0) as f32).collect();
        let basis = FourierBasis::new(p);
        let blocks = NeuronBlocks::of(&basis, n, &x);
        for i in 0..n {
            let neuron: Vec<f64> = x.iter().skip(i).step_by(n).map(|&x| f64::from(x)).collect();
            let naive: Vec<f64> = (1..=p / 2).map(|k| naive_share(&basis, &neuron, k)).collect();
            let best = naive.iter().copied().fold(0.0, f64::max);
            assert!((f64::from(blocks.shares[i]) - best).abs() < 1e-5);
            assert_eq!(naive[blocks.frequencies[i] - 1], best);
        }
    }

    #[test]
    fn a_neuron_that_is_not_finite_has_no_share() {
        let mut x = vec![1.0_f32; 25 * 2];
        x[7] = f32::NAN;
        let blocks = NeuronBlocks::of(&FourierBasis::new(5), 2, &x);
        assert!(blocks.shares[1].is_nan());
        assert_eq!(blocks.shares[0], 0.0);
        assert_eq!(blocks.clusters(2, 0.85), [0, 0]);
    }
}
