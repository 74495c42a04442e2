//! A mixture of two teachers whose linear student obeys a closed equation (Jain et al. 2024, arXiv:2405.18296).
//!
//! An example belongs to cluster s = +1 with probability `share_plus`, to s = -1 otherwise. It is
//! `f = s v/d + sqrt(D_s/d) xi` with xi standard normal in d dimensions, and its label is `y = sign(W_s . f)`; v and the
//! teachers W_+, W_- have length sqrt(d), and W_+ . W_- = d `overlap`. This anchors the study of bias: group preference,
//! its overshoot and its reversal can be computed, and a simulation must agree with what is computed.
//!
//! # The equation
//! The student is a linear model with two outputs trained on squared error to the one-hot answer, one fresh example an
//! update. Gradients of the mean over two outputs are `(z_c - [y = c]) f`, so the contrast w = w_1 - w_0 is a student
//! with one output `z = w . f` that is trained on `(z - y)²/2`: `w <- w - eta (z - y) f`.
//!
//! Let `R_s = w . W_s/d`, `M = w . v/d`, `Q = w . w/d`, `m_s = W_s . v/d` and tau = updates/d. With `u = w . xi/sqrt(d)`
//! and likewise u_s for the teachers and u_v for v, all of them are jointly normal: var u = Q, cov(u, u_s) = R_s,
//! cov(u, u_v) = M, cov(u_r, u_s) = c_rs, cov(u_v, u_s) = m_s. Then `z = s M + sqrt(D_s) u`, the teacher's field is
//! `a = s m_s + sqrt(D_s) u_s`, and |f|² = D_s up to terms of order 1/d. For a normal g that is centred, Stein's lemma
//! gives `E[g sign(a)] = 2 cov(g, a) density of a at 0`. With `x_s = s m_s/sqrt(D_s)`, the normal density phi and
//! `e_s = E[y | s] = 2 Phi(x_s) - 1`:
//!
//! ```text
//! dR_r/dtau = -eta sum_s p_s [ s m_r (s M - e_s) + D_s R_r - 2 sqrt(D_s) c_rs phi(x_s) ]
//! dM/dtau   = -eta sum_s p_s [ s     (s M - e_s) + D_s M   - 2 sqrt(D_s) m_s  phi(x_s) ]
//! dQ/dtau   =      sum_s p_s [ -2 eta (A_s - B_s) + eta² D_s (A_s - 2 B_s + 1) ]
//! A_s = E[z² | s] = M² + D_s Q,   B_s = E[z y | s] = s M e_s + 2 sqrt(D_s) R_s phi(x_s)
//! ```
//!
//! and the loss of group s is `(A_s - 2 B_s + 1)/2`.

use super::{EvalSet, InputShape, Task, TaskShape};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::{Draws, Philox};
use ontogeny_engine::{Batch, Inputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Examples of each group in the evaluation set.
const EVAL: usize = 512;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherMixtureConfig {
    /// Numbers of an input.
    pub d: usize,
    /// P(s = +1).
    pub share_plus: f64,
    /// D_+ and D_-.
    pub variances: [f64; 2],
    /// Cosine between the teachers.
    pub overlap: f64,
    /// Examples of an update; the equation is about 1.
    pub batch_examples: usize,
}

impl TeacherMixtureConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range("task.d", self.d as f64, 2.0, 1e6, "teachers need a plane")?;
        in_range("task.share_plus", self.share_plus, 0.0, 1.0, "it is a probability")?;
        for v in self.variances {
            in_range("task.variances", v, 1e-6, 1e3, "a variance")?;
        }
        in_range("task.overlap", self.overlap, -1.0, 1.0, "it is a cosine")?;
        let batch = self.batch_examples as f64;
        in_range("task.batch_examples", batch, 1.0, 1e6, "an update needs data")
    }

    pub(super) fn shape(&self) -> TaskShape {
        let input = InputShape::Features { width: self.d };
        TaskShape { input, n_classes: 2, every_position: false }
    }

    /// The generator for a seed.
    pub fn build(&self, data_seed: u64) -> TeacherMixtureTask {
        let d = self.d;
        let stream = Philox::new(data_seed, "teachers.vectors");
        let raw = |i: u64| {
            let draws = stream.at(i);
            (0..d as u64).map(|j| draws.normal(j)).collect::<Vec<f64>>()
        };
        let length = |x: &[f64]| dot(x, x).sqrt();
        let scaled = |x: Vec<f64>| {
            let by = (d as f64).sqrt() / length(&x);
            x.into_iter().map(|v| v * by).collect::<Vec<f64>>()
        };
        let (centre, plus, mut other) = (scaled(raw(0)), scaled(raw(1)), raw(2));
        // What is left of the third vector is at right angles to the first teacher.
        let along = dot(&other, &plus) / d as f64;
        other.iter_mut().zip(&plus).for_each(|(o, p)| *o -= along * p);
        let other = scaled(other);
        let (c, s) = (self.overlap, (1.0 - self.overlap * self.overlap).sqrt());
        let minus = plus.iter().zip(&other).map(|(p, o)| c * p + s * o).collect();
        let mut task = TeacherMixtureTask {
            config: self.clone(),
            centre,
            teachers: [plus, minus],
            stream: Philox::new(data_seed, "teachers.batches"),
            eval: Vec::new(),
        };
        let draws = Philox::new(data_seed, "teachers.eval").at(0);
        let batch = task.make(2 * EVAL, draws, |i| usize::from(i >= EVAL));
        let half = |from: usize| (from as u32..(from + EVAL) as u32).collect();
        let groups = vec![("plus".to_owned(), half(0)), ("minus".to_owned(), half(EVAL))];
        task.eval = vec![EvalSet { name: "clusters", batch: Arc::new(batch), groups }];
        task
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The generator.
#[derive(Debug)]
pub struct TeacherMixtureTask {
    config: TeacherMixtureConfig,
    centre: Vec<f64>,
    /// W_+ and W_-.
    teachers: [Vec<f64>; 2],
    stream: Philox,
    eval: Vec<EvalSet>,
}

/// The numbers that the student's state comes down to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// `w . W_+ / d` and `w . W_- / d`.
    pub r: [f64; 2],
    /// `w . v / d`.
    pub m: f64,
    /// `w . w / d`.
    pub q: f64,
}

impl Order {
    /// As one array: R_+, R_-, M, Q.
    pub fn to_array(self) -> [f64; 4] {
        [self.r[0], self.r[1], self.m, self.q]
    }

    fn from_array([a, b, m, q]: [f64; 4]) -> Self {
        Self { r: [a, b], m, q }
    }
}

impl TeacherMixtureTask {
    /// `n` examples. Example i uses the numbers from (d + 1) i on: its cluster, then its noise.
    fn make(&self, n: usize, draws: Draws, cluster_of: impl Fn(usize) -> usize) -> Batch {
        let d = self.config.d;
        let mut values = Vec::with_capacity(n * d);
        let mut targets = Vec::with_capacity(n);
        for i in 0..n {
            let s = cluster_of(i);
            let sign = if s == 0 { 1.0 } else { -1.0 };
            let spread = (self.config.variances[s] / d as f64).sqrt();
            let first = (i * (d + 1) + 1) as u64;
            let mut field = 0.0;
            for j in 0..d {
                let x = sign * self.centre[j] / d as f64 + spread * draws.normal(first + j as u64);
                field += self.teachers[s][j] * x;
                values.push(x as f32);
            }
            targets.push(u32::from(field > 0.0));
        }
        Batch { inputs: Inputs::Features { values, width: d }, targets }
    }

    /// The order parameters of a student with parameters `w` of shape `[d, 2]`.
    ///
    /// # Panics
    /// If `w` is not `2 d` numbers.
    pub fn order(&self, w: &[f32]) -> Order {
        let d = self.config.d;
        assert_eq!(w.len(), 2 * d, "a student of {d} inputs and two outputs");
        let contrast: Vec<f64> =
            w.chunks_exact(2).map(|c| f64::from(c[1]) - f64::from(c[0])).collect();
        let with = |x: &[f64]| dot(&contrast, x) / d as f64;
        Order {
            r: [with(&self.teachers[0]), with(&self.teachers[1])],
            m: with(&self.centre),
            q: with(&contrast),
        }
    }

    /// The losses of the two groups, `E[(z - y)²]/2`, at given order parameters.
    pub fn group_losses(&self, at: Order) -> [f64; 2] {
        self.moments(at).map(|g| 0.5 * (g.square - 2.0 * g.product + 1.0))
    }

    /// Solves the equation from `start`: the order parameters at each of `taus` (increasing, from 0), for learning
    /// rate `eta`. Runge and Kutta's fourth-order rule with steps of at most `.002`.
    pub fn theory(&self, start: Order, eta: f64, taus: &[f64]) -> Vec<Order> {
        let (mut now, mut state) = (0.0, start.to_array());
        let add = |a: [f64; 4], b: [f64; 4], h: f64| std::array::from_fn(|i| a[i] + h * b[i]);
        let mut out = Vec::new();
        for &tau in taus {
            let n = ((tau - now) / 0.002).ceil().max(1.0);
            let h = (tau - now) / n;
            for _ in 0..n as u64 {
                let slope = |s| self.slope(Order::from_array(s), eta);
                let k1 = slope(state);
                let k2 = slope(add(state, k1, 0.5 * h));
                let k3 = slope(add(state, k2, 0.5 * h));
                let k4 = slope(add(state, k3, h));
                let sum: [f64; 4] = std::array::from_fn(|i| k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]);
                state = add(state, sum, h / 6.0);
            }
            now = tau;
            out.push(Order::from_array(state));
        }
        out
    }

    /// What the equation needs of each group.
    fn moments(&self, at: Order) -> [Moments; 2] {
        let d = self.config.d as f64;
        std::array::from_fn(|s| {
            let sign = if s == 0 { 1.0 } else { -1.0 };
            let variance = self.config.variances[s];
            let m_s = dot(&self.teachers[s], &self.centre) / d;
            let x = sign * m_s / variance.sqrt();
            let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            let mean = libm::erf(x / std::f64::consts::SQRT_2);
            Moments {
                sign,
                variance,
                share: if s == 0 { self.config.share_plus } else { 1.0 - self.config.share_plus },
                m: m_s,
                mean,
                kick: 2.0 * variance.sqrt() * density,
                square: at.m * at.m + variance * at.q,
                product: sign * at.m * mean + 2.0 * variance.sqrt() * at.r[s] * density,
            }
        })
    }

    fn slope(&self, at: Order, eta: f64) -> [f64; 4] {
        let d = self.config.d as f64;
        let groups = self.moments(at);
        let mut out = [0.0; 4];
        for (s, g) in groups.iter().enumerate() {
            let error = g.sign * at.m - g.mean;
            for r in 0..2 {
                let c = dot(&self.teachers[r], &self.teachers[s]) / d;
                let pull = g.sign * groups[r].m * error + g.variance * at.r[r] - g.kick * c;
                out[r] -= eta * g.share * pull;
            }
            out[2] -= eta * g.share * (g.sign * error + g.variance * at.m - g.kick * g.m);
            let noise = g.variance * (g.square - 2.0 * g.product + 1.0);
            out[3] += g.share * (-2.0 * eta * (g.square - g.product) + eta * eta * noise);
        }
        out
    }
}

/// Of one group: its sign, D_s, p_s, m_s, E[y], `2 sqrt(D_s) phi(x_s)`, E[z²] and E[zy].
#[derive(Debug, Clone, Copy)]
struct Moments {
    sign: f64,
    variance: f64,
    share: f64,
    m: f64,
    mean: f64,
    kick: f64,
    square: f64,
    product: f64,
}

impl Task for TeacherMixtureTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let draws = self.stream.at(step);
        let per = (self.config.d + 1) as u64;
        let cluster =
            |i: usize| usize::from(draws.uniform(i as u64 * per) >= self.config.share_plus);
        Arc::new(self.make(self.config.batch_examples, draws, cluster))
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }
}
