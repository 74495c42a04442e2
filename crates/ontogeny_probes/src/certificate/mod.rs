//! Certificates: proofs that no image near an example gets another answer, which rounding cannot break.
//!
//! A [`Certifier`] bounds from below, over all images of a box around an example, the least *margin*: the logit of the
//! right class less that of any other. A positive bound is a proof. Two bounds are given ([`Margins`]): that of
//! intervals (Gowal et al. 2018, arXiv:1810.12715), with the last layer's differences taken before its bounds, and that
//! of linear relaxation backwards through the whole network (CROWN, Zhang et al. 2018, arXiv:1811.00866, with interval
//! bounds of the layers between as in arXiv:1906.06316): upper slope u/(u - l), lower slope 1 if u > -l, else 0.
//!
//! They speak of one of two networks ([`Arithmetic`]): the function of real numbers that the stored `f32` weights
//! describe, or what a machine computes with them in `f32`, whatever order it adds in. Bounds that are computed in
//! floating point without care prove nothing about either (Jia and Rinard 2020, arXiv:2003.03021).
//!
//! # Why the bounds hold
//!
//! Everything is computed in `f64`, unit roundoff u = 2⁻⁵³, and every rounding is paid for. Write g(n) = n u/(1 - n u);
//! a computed sum of n products differs from the exact one by at most g(n) times the sum of their absolute values, in any
//! order, fused or not (Higham 2002, section 3.1). Sums here have n < 2²¹ terms, or the network is refused; so a computed
//! sum of absolute values is within a factor 1 ± 2⁻³¹ of the exact one, and a factor of 1 + 2⁻³⁰ makes it an upper bound.
//!
//! *Intervals.* A box with centre c and radius r goes through y = W x + b into the box with centre `W c + b` and radius
//! `|W| r + e`, `e = g(n + 4) S (1 + 2⁻³⁰) + 2⁻¹⁰⁰⁰`, `S = |W| (|c| + r) + |b|`: g(n + 1) pays for the two products, three
//! more units for adding e and taking the ends, and 2⁻¹⁰⁰⁰ for underflow. ReLU rounds nothing.
//!
//! *The machine's `f32`.* One output of a layer, n products and a constant, differs from the exact one by at most
//! `e32 = g32(n + 1) S + n 2⁻¹⁴⁹` with u32 = 2⁻²⁴ ([`Arithmetic::F32`]). It is added to the radius of *every* layer before
//! ReLU: rounding early decides which units are on later. A layer in which S reaches 2¹²⁷ might overflow, so nothing is
//! certified there. The logits are rounded, too: a difference of two of them pays for both.
//!
//! *Backwards.* A linear bound `margin ≥ Λ z + k` is carried from the logits to the image. Every step replaces the exact
//! coefficients by computed ones and pays the difference, so that the computed coefficients are the exact ones of the
//! next step:
//! - through `z = W a + b + d`, |d| ≤ e32 (or 0): `Λ W` is computed as A, and `(Λ W - A) a ≥ -g(m) |Λ| |W| |a|` where m is
//!   the number of terms of a column. Since |W| |a| ≤ S, known from the intervals, the price of all columns is the inner
//!   product of |Λ| with `P = g(m) S (1 + 2⁻³⁰) + e32`: no second matrix product is needed;
//! - through `a = max(z, 0)`, l ≤ z ≤ u: a unit with A ≥ 0 gets slope 0 or 1 below, which rounds nothing. A unit with
//!   A < 0 gets a line s z + t above. *Any* s in [0, 1] will do if t is at least `max(-s l, u - s u)`, because ReLU is
//!   convex: a line above it at both ends is above it between. So s may be rounded as it likes and t is rounded up.
//!   Rounding A s costs at most 2⁻⁵³ |A| max(|l|, |u|), which is put into t;
//! - the constant k is a sum of products over all layers. Their absolute values are summed beside them, and g(their
//!   number) times that is taken off in the end, with 2⁻⁵⁰⁰ for every underflow there could be: values between layers are
//!   below 2³⁰⁰, or nothing is certified.
//!
//! What is not finite certifies nothing: a bound is then -∞ ([`Margins::REFUSED`]).
//!
//! # What is assumed
//!
//! IEEE 754 with rounding to nearest and gradual underflow, in `f64` here and in `f32` where the network runs. Sums of
//! products in any order, fused or not; no flushing to zero, no reduced-precision products (TF32, bf16), no algorithm
//! that forms other sums (Winograd, Strassen, FFT).

mod backward;
mod forward;
mod layers;
mod rounding;

use crate::ParamView;
use backward::Rows;
use forward::Boxes;
use layers::Step;
use ontogeny_engine::Stage;

/// Examples that are bounded together: their rows of coefficients stay in the cache.
const CHUNK: usize = 16;

/// Which network a certificate speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// The function of real numbers that the stored weights describe.
    Real,
    /// What inference in `f32` computes, in any order of summation.
    F32,
}

/// Lower bounds of the least margin over a box: positive is a proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margins {
    /// From intervals.
    pub ibp: f64,
    /// From linear relaxation; neither bound is always the better one.
    pub crown: f64,
}

impl Margins {
    /// Nothing could be bounded.
    pub const REFUSED: Self = Self { ibp: f64::NEG_INFINITY, crown: f64::NEG_INFINITY };

    /// The better of the two: both hold.
    pub fn best(self) -> f64 {
        self.ibp.max(self.crown)
    }
}

/// What intervals say of one layer, averaged over units and examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerBounds {
    /// Mean radius of what comes out of the affine map, in radii of the image (which is their mean, too).
    pub relative_radius: f64,
    /// If a ReLU follows: shares of its units that are always off, and always on; the others are unstable.
    pub relu: Option<[f64; 2]>,
}

/// Bounds of a set of examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificates {
    /// Of each example.
    pub margins: Vec<Margins>,
    /// Of each affine layer, over the examples that could be bounded; empty if there is none.
    pub layers: Vec<LayerBounds>,
}

/// A network cannot be certified, or the examples are none of its.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum CertificateError {
    /// A layer that cannot be followed.
    #[error(
        "certify the network: stage {stage}, {what}, is not supported; dense layers, convolutions and relu are"
    )]
    Unsupported { stage: usize, what: String },
    /// A chain without logits.
    #[error("certify the network: its stages do not end with a dense layer")]
    NoLogits,
    /// A parameter that is not there.
    #[error("certify the network: it has no parameter {name}")]
    Missing { name: String },
    /// A parameter that does not fit.
    #[error("certify the network: {name} has the shape {found:?}, but should have {expected}")]
    Shape { name: String, found: Vec<usize>, expected: String },
    /// A parameter that is no number.
    #[error("certify the network: {name} is not finite")]
    NonFinite { name: String },
    /// Sums too long for their rounding to be bounded.
    #[error("certify the network: a sum of {terms} terms is too long, {most} is the most")]
    TooLong { terms: usize, most: usize },
    /// A radius that is none.
    #[error("certify at eps {eps}: it must lie in [0, 1]")]
    Eps { eps: f64 },
    /// Examples that do not fit the network.
    #[error("certify examples: {what}: expected {expected}, found {found}")]
    Examples { what: &'static str, expected: usize, found: usize },
    /// A pixel out of range.
    #[error("certify example {example}: its value {index} is {value}, which is not in [0, 1]")]
    Pixel { example: usize, index: usize, value: f32 },
}

/// Bounds margins of one network.
///
/// # Examples
/// ```
/// use ontogeny_engine::Stage;
/// use ontogeny_probes::{ParamView, certificate::{Arithmetic, Certifier}};
/// // Logits (x, 1/4 - x): class 0 above x = 1/8.
/// let w = ParamView { name: "w", shape: &[1, 2], values: &[1.0, -1.0] };
/// let b = ParamView { name: "b", shape: &[2], values: &[0.0, 0.25] };
/// let stages = [Stage::Dense { weight: "w".into(), bias: Some("b".into()) }];
/// let certifier = Certifier::new([1, 1, 1], &stages, &[w, b])?;
/// let least = |eps| certifier.certify(&[0.5], &[0], eps, Arithmetic::F32).map(|c| c.margins[0].best());
/// // The margin is 2 x - 1/4, least at x = 1/2 - eps.
/// assert!((least(0.25)? - 0.25).abs() < 1e-6);
/// assert!(least(0.38)? < 0.0);
/// # Ok::<(), ontogeny_probes::certificate::CertificateError>(())
/// ```
#[derive(Debug)]
pub struct Certifier {
    steps: Vec<Step>,
    n_inputs: usize,
    n_classes: usize,
}

impl Certifier {
    /// The network of these stages, reading images of shape `input`, `[channels, height, width]`.
    ///
    /// # Errors
    /// [`CertificateError`] if a stage is of another kind than dense, convolution and ReLU, or a parameter is missing,
    /// of a wrong shape or not finite.
    pub fn new(
        input: [usize; 3],
        stages: &[Stage],
        params: &[ParamView<'_>],
    ) -> Result<Self, CertificateError> {
        let steps = layers::read(input, stages, params)?;
        let n_classes = match steps.last() {
            Some(Step::Affine(a)) if !a.is_conv() => a.n_out,
            _ => return Err(CertificateError::NoLogits),
        };
        Ok(Self { steps, n_inputs: input.iter().product(), n_classes })
    }

    /// Numbers of an input.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Lower bounds of the margins of examples over all images within `eps` of them in every pixel, pixels staying in
    /// [0, 1] (the box is [`ontogeny_engine::pixel_range`], which attacks use, too).
    ///
    /// `inputs` is `[n, numbers of an input]`, `targets` is `[n]`. One thread; the result has the same bits on every
    /// machine.
    ///
    /// # Errors
    /// [`CertificateError`] if eps, a pixel or a target is out of range or the numbers do not fit.
    pub fn certify(
        &self,
        inputs: &[f32],
        targets: &[u32],
        eps: f64,
        arithmetic: Arithmetic,
    ) -> Result<Certificates, CertificateError> {
        self.check(inputs, targets, eps)?;
        let mut out = Certificates { margins: Vec::with_capacity(targets.len()), layers: vec![] };
        let mut tally = forward::Tally::default();
        let chunks = inputs.chunks(CHUNK * self.n_inputs).zip(targets.chunks(CHUNK));
        for (inputs, targets) in chunks {
            let boxes = Boxes::of(&self.steps, inputs, targets.len(), eps, arithmetic);
            tally.add(&self.steps, &boxes);
            let bounds = self.lower(&boxes, targets);
            for (i, margins) in bounds.into_iter().enumerate() {
                out.margins.push(if boxes.is_refused[i] { Margins::REFUSED } else { margins });
            }
        }
        out.layers = tally.layers();
        Ok(out)
    }

    /// What intervals say of each affine layer over the same boxes, without bounds of margins; empty if no example
    /// could be bounded.
    ///
    /// # Errors
    /// As [`certify`](Self::certify).
    pub fn layers(
        &self,
        inputs: &[f32],
        targets: &[u32],
        eps: f64,
        arithmetic: Arithmetic,
    ) -> Result<Vec<LayerBounds>, CertificateError> {
        self.check(inputs, targets, eps)?;
        let mut tally = forward::Tally::default();
        let chunks = inputs.chunks(CHUNK * self.n_inputs).zip(targets.chunks(CHUNK));
        for (inputs, targets) in chunks {
            let boxes = Boxes::of(&self.steps, inputs, targets.len(), eps, arithmetic);
            tally.add(&self.steps, &boxes);
        }
        Ok(tally.layers())
    }

    fn lower(&self, boxes: &Boxes, targets: &[u32]) -> Vec<Margins> {
        let mut rows = Rows::margins(targets, self.n_classes);
        let last = self.steps.len() - 1;
        for (i, step) in self.steps.iter().enumerate().rev() {
            rows.back(step, boxes, i);
            if i == last {
                rows.keep(boxes, i);
            }
        }
        rows.margins_at(boxes)
    }

    fn check(&self, inputs: &[f32], targets: &[u32], eps: f64) -> Result<(), CertificateError> {
        if !(0.0..=1.0).contains(&eps) {
            return Err(CertificateError::Eps { eps });
        }
        let (expected, found) = (targets.len() * self.n_inputs, inputs.len());
        if expected != found {
            return Err(CertificateError::Examples {
                what: "numbers of the inputs",
                expected,
                found,
            });
        }
        if let Some(bad) = targets.iter().find(|t| **t as usize >= self.n_classes) {
            let (expected, found) = (self.n_classes - 1, *bad as usize);
            return Err(CertificateError::Examples { what: "largest class", expected, found });
        }
        match inputs.iter().position(|x| !(0.0..=1.0).contains(x)) {
            Some(at) => Err(CertificateError::Pixel {
                example: at / self.n_inputs,
                index: at % self.n_inputs,
                value: inputs[at],
            }),
            None => Ok(()),
        }
    }
}
