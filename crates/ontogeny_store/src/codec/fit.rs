//! Which way of storing a part takes least, by trial on a sample of its numbers.

use crate::codec::numbers::{Bf16, Coefs, F16, F32, F64, Float, Number};
use crate::codec::planes;
use crate::codec::residual::{self, Model, Scale};
use std::sync::LazyLock;

/// Numbers of a part that are tried.
const SAMPLE: usize = 512;
/// Neighbours in the sample; they lie together in memory.
const STRETCH: usize = 64;
/// Numbers from which coefficients of their own can pay.
const WORTH_FITTING: usize = 32;
/// Planes that would lose less than this many bits per byte stay as they are.
const WORTH_BITS: f64 = 0.15;

/// How the words of a part are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plan {
    /// Byte planes of the words themselves, or of their difference to the base; the planes in `mask` compress.
    Planes { is_difference: bool, mask: u8 },
    /// Distances from a prediction.
    Residual(Model),
}

/// Bits that tell the plan itself.
pub(crate) fn header_bits(plan: &Plan) -> f64 {
    match plan {
        Plan::Planes { .. } => 8.0,
        Plan::Residual(m) => 24.0 + 32.0 * f64::from(m.n_coefs),
    }
}

/// Chooses a plan. `previous` is that of the part before if it is of the same kind of number: it costs nothing to
/// say that it stays.
pub(crate) fn choose(
    number: Number,
    raw: &[u8],
    ancestors: &[&[u8]],
    previous: Option<Plan>,
) -> Plan {
    let n = raw.len() / number.width();
    let raw_sample = sample(raw, number.width());
    let samples: Vec<Vec<u8>> = ancestors.iter().map(|a| sample(a, number.width())).collect();
    let ancestors: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let mut trial = Trial { n, best: None };
    if let Some(plan) = previous {
        trial.offer(plan, bits_of(number, &raw_sample, &ancestors, &plan), 0.0);
    }
    trial.offer_planes(number, &raw_sample, &[]);
    if !ancestors.is_empty() {
        if number.is_float() {
            let models = match number {
                Number::F64 => models::<F64>(&raw_sample, &ancestors),
                Number::F32 => models::<F32>(&raw_sample, &ancestors),
                Number::F16 => models::<F16>(&raw_sample, &ancestors),
                _ => models::<Bf16>(&raw_sample, &ancestors),
            };
            for (model, bits) in models {
                let plan = Plan::Residual(model);
                trial.offer(plan, bits, header_bits(&plan));
            }
        } else {
            trial.offer_planes(number, &raw_sample, &ancestors);
        }
    }
    trial.best.map_or(Plan::Planes { is_difference: false, mask: 0xff }, |(_, plan)| plan)
}

struct Trial {
    n: usize,
    best: Option<(f64, Plan)>,
}

impl Trial {
    fn offer(&mut self, plan: Plan, bits_per_word: f64, header: f64) {
        let bits = bits_per_word * self.n as f64 + header;
        if self.best.is_none_or(|(b, _)| bits < b) {
            self.best = Some((bits, plan));
        }
    }

    fn offer_planes(&mut self, number: Number, sample: &[u8], ancestors: &[&[u8]]) {
        let is_difference = !ancestors.is_empty();
        let (mut mask, mut bits) = (0, 0.0);
        let counts = plane_counts(number, sample, ancestors.first().copied());
        for (place, counts) in counts.iter().enumerate().take(number.width()) {
            let h = entropy(counts);
            let compresses = h < 8.0 - WORTH_BITS;
            mask |= u8::from(compresses) << place;
            bits += if compresses { h } else { 8.0 };
        }
        let plan = Plan::Planes { is_difference, mask };
        self.offer(plan, bits, header_bits(&plan));
    }
}

/// How often each byte occurs in each plane of a sample.
fn plane_counts(number: Number, sample: &[u8], base: Option<&[u8]>) -> [[u32; 256]; 8] {
    let (width, n) = (number.width(), sample.len() / number.width());
    let mut bytes = [0; SAMPLE * 8];
    let mut planes: [&mut [u8]; 8] = Default::default();
    let places = planes.iter_mut().zip(bytes.chunks_exact_mut(SAMPLE));
    places.for_each(|(plane, place)| *plane = &mut place[..n]);
    planes::take_planes(sample, base, number.is_float(), &mut planes[..width]);
    let mut counts = [[0; 256]; 8];
    for (plane, counts) in planes.iter().zip(&mut counts).take(width) {
        plane.iter().for_each(|&b| counts[usize::from(b)] += 1);
    }
    counts
}

/// Stretches of whole words, spread evenly.
fn sample(raw: &[u8], width: usize) -> Vec<u8> {
    let n = raw.len() / width;
    if n <= SAMPLE {
        return raw[..n * width].to_vec();
    }
    let n_stretches = SAMPLE / STRETCH;
    let starts = (0..n_stretches).map(|i| i * (n - STRETCH) / (n_stretches - 1));
    let mut found = Vec::with_capacity(SAMPLE * width);
    starts.for_each(|from| found.extend_from_slice(&raw[from * width..][..STRETCH * width]));
    found
}

/// Order-0 entropy in bits per byte, with the correction of Miller and Madow for small samples.
fn entropy(counts: &[u32; 256]) -> f64 {
    let n = f64::from(counts.iter().sum::<u32>());
    let n_used = counts.iter().filter(|&&c| c > 0).count() as f64;
    let correction = (n_used - 1.0) / (2.0 * std::f64::consts::LN_2);
    ((bits_in_all(counts) + correction) / n.max(1.0)).clamp(0.0, 8.0)
}

/// Bits of all bytes together under the best code for them.
pub(crate) fn bits_in_all(counts: &[u32; 256]) -> f64 {
    /// `c log2(c)` of the counts that occur most.
    static TABLE: LazyLock<[f64; 1024]> =
        LazyLock::new(|| std::array::from_fn(|c| n_log_n(c as u32)));
    let table: &[f64; 1024] = &TABLE;
    let term = |c: u32| table.get(c as usize).copied().unwrap_or_else(|| n_log_n(c));
    term(counts.iter().sum()) - counts.iter().map(|&c| term(c)).sum::<f64>()
}

fn n_log_n(n: u32) -> f64 {
    f64::from(n) * f64::from(n.max(1)).log2()
}

/// Three chunks before, empty where there are fewer.
pub(crate) fn padded<'a>(ancestors: &[&'a [u8]]) -> [&'a [u8]; 3] {
    std::array::from_fn(|i| ancestors.get(i).copied().unwrap_or_default())
}

fn bits_of(number: Number, raw: &[u8], ancestors: &[&[u8]], plan: &Plan) -> f64 {
    match (plan, number) {
        (Plan::Planes { is_difference, mask }, _) => {
            if *is_difference && ancestors.is_empty() {
                return f64::INFINITY;
            }
            let base = ancestors.first().copied().filter(|_| *is_difference);
            let counts = plane_counts(number, raw, base);
            let planes = counts.iter().enumerate().take(number.width());
            planes.map(|(p, c)| if mask >> p & 1 == 1 { entropy(c) } else { 8.0 }).sum()
        }
        (Plan::Residual(m), _) if residual::n_before(m.n_coefs) > ancestors.len() => f64::INFINITY,
        (Plan::Residual(m), Number::F64) => model_bits::<F64>(raw, &padded(ancestors), m),
        (Plan::Residual(m), Number::F32) => model_bits::<F32>(raw, &padded(ancestors), m),
        (Plan::Residual(m), Number::F16) => model_bits::<F16>(raw, &padded(ancestors), m),
        (Plan::Residual(m), _) => model_bits::<Bf16>(raw, &padded(ancestors), m),
    }
}

/// Bits per number under a model.
fn model_bits<F: Float>(raw: &[u8], ancestors: &[&[u8]; 3], model: &Model) -> f64 {
    let taken = residual::measure::<F>(raw, ancestors, model);
    let n = F::words(raw).len().max(1) as f64;
    entropy(&taken.tokens) + taken.n_bits as f64 / n
}

/// Models worth a trial, with their bits per number: both scales for the number before itself, and the better
/// scale for a prediction from all that is known.
fn models<F: Float>(raw: &[u8], ancestors: &[&[u8]]) -> Vec<(Model, f64)> {
    let before = padded(ancestors);
    let tried = |n_coefs, coefs, scale| {
        let mut model = Model { scale, level: 0, n_coefs, coefs };
        model.level = level::<F>(raw, &before, &model);
        (model, model_bits::<F>(raw, &before, &model))
    };
    let relative = tried(0, [0.0; 3], Scale::Relative);
    let absolute = tried(0, [0.0; 3], Scale::Absolute);
    let scale = if relative.1 <= absolute.1 { Scale::Relative } else { Scale::Absolute };
    let mut found = vec![relative, absolute];
    let n_coefs = ancestors.len().min(3);
    if F::words(raw).len() >= WORTH_FITTING
        && let Some(coefs) = fitted::<F>(raw, &before, n_coefs)
    {
        found.push(tried(n_coefs as u8, coefs, scale));
    }
    found
}

/// The level at which a typical distance keeps five bits in its token.
fn level<F: Float>(raw: &[u8], ancestors: &[&[u8]; 3], model: &Model) -> i16 {
    (residual::mean_bits::<F>(raw, ancestors, model) - 5) as i16
}

/// Least squares of `x - x1` on `x1`, its last change and the change of that; `None` if they do not tell it.
fn fitted<F: Float>(raw: &[u8], ancestors: &[&[u8]; 3], n_coefs: usize) -> Option<Coefs> {
    let mut normal = residual::normal_equations::<F>(raw, ancestors, n_coefs);
    let mut coefs = [0.0; 3];
    for (c, solved) in coefs.iter_mut().zip(solve(&mut normal, n_coefs)?) {
        *c = solved as f32;
    }
    coefs.iter().all(|c| c.is_finite()).then_some(coefs)
}

/// Solves the leading `n` normal equations by elimination; they are positive definite or of no use.
fn solve(m: &mut [[f64; 4]; 3], n: usize) -> Option<[f64; 3]> {
    for k in 0..n {
        let pivot = m[k][k];
        if pivot <= 0.0 || !pivot.is_finite() {
            return None;
        }
        for i in k + 1..n {
            let factor = m[i][k] / pivot;
            let row = m[k];
            m[i].iter_mut().zip(row).skip(k).for_each(|(x, r)| *x -= factor * r);
        }
    }
    let mut x = [0.0; 3];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| m[k][j] * x[j]).sum();
        x[k] = (m[k][3] - known) / m[k][k];
    }
    Some(x)
}
