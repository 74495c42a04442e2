//! Two regularizers of the warm-up of certified training, from the bounds of a layer before its ReLU.
//!
//! Means and sums are over the neurons and examples of one chunk. Source: Shi et al. 2021, arXiv:2103.17268, section 3.

use std::rc::Rc;

use super::bounds::Blocks;
#[cfg(feature = "composite")]
use crate::var::Repr;
use crate::{
    Var,
    host::{Buffer, Real, Slot},
    var::dispatch,
};

impl Var<2> {
    /// `max(tau - r_0 / mean(r), 0) / tau`: how far boxes have outgrown those of the inputs, whose mean radius is `r_0`.
    pub(crate) fn looseness(&self, r_0: f64, tau: f64, blocks: Blocks) -> Var<1> {
        let d = self.dims[1];
        self.of_bounds(blocks, move |_, r, dc, dr| {
            dc.fill(0.0);
            let mean = r.iter().sum::<f64>() / (blocks.n * d) as f64;
            let short = tau - r_0 / mean;
            let is_loose = mean > 0.0 && short > 0.0;
            dr.fill(if is_loose { r_0 / (mean * mean * tau * r.len() as f64) } else { 0.0 });
            if is_loose { short / tau } else { 0.0 }
        })
    }

    /// `(max(tau - a, 0) + max(tau - v, 0)) / tau`, where `a` is the smaller of `A / I` and `I / A` for the summed
    /// centres of the neurons that are on and, negated, of those that are off over the whole box, and `v` likewise for
    /// their summed squared distances from the mean centre. 0 where no neuron is on, or none is off.
    pub(crate) fn imbalance(&self, tau: f64, blocks: Blocks) -> Var<1> {
        self.of_bounds(blocks, move |c, r, dc, dr| {
            dr.fill(0.0);
            imbalance(c, r, dc, tau)
        })
    }

    /// A number made of centres and radii by `f(c, r, dc, dr)`, which writes its gradient, too.
    fn of_bounds(
        &self,
        blocks: Blocks,
        f: impl Fn(&[f64], &[f64], &mut [f64], &mut [f64]) -> f64,
    ) -> Var<1> {
        let block = blocks.n * self.dims[1];
        let values = self.to_vec();
        let (mut dc, mut dr) = (vec![0.0; block], vec![0.0; block]);
        let value = f(&values[block..2 * block], &values[2 * block..], &mut dc, &mut dr);
        let gradient: Vec<f64> = std::iter::repeat_n(0.0, block).chain(dc).chain(dr).collect();
        dispatch!(self,
        x => Var::host(with_gradient(x, value, &gradient), [1]),
        x => {
            // The value, and a product that is 0 and has the gradient.
            let of = |v: Vec<f64>| {
                let data = burn::tensor::TensorData::new(v, self.dims);
                let dtype = burn::tensor::FloatDType::from(x.dtype());
                burn::tensor::Tensor::<2>::from_data(data, &crate::var::device(x)).cast(dtype)
            };
            let fixed = Self { repr: Repr::Burn(of(values)), dims: self.dims };
            let moved = x.clone() - fixed.tensor();
            Var::of((moved * of(gradient)).sum().add_scalar(value))
        })
    }
}

fn with_gradient<S: Real>(x: &Rc<Slot<S>>, value: f64, gradient: &[f64]) -> Rc<Slot<S>> {
    let mut dx = Buffer::stale(x.len());
    for (dx, g) in dx.iter_mut().zip(gradient) {
        *dx = S::of(*g);
    }
    let out = Slot::result(Buffer::copy(&[S::of(value)]), [x], move |[x], _, dy| {
        let mut dx = dx;
        dx.iter_mut().for_each(|d| *d *= dy[0]);
        x.give(dx);
    });
    out.with_exact(value)
}

fn imbalance(c: &[f64], r: &[f64], dc: &mut [f64], tau: f64) -> f64 {
    dc.fill(0.0);
    let n = c.len() as f64;
    let mean = c.iter().sum::<f64>() / n;
    let side = |c: f64, r: f64| if c - r > 0.0 { 1 } else { -i8::from(c + r < 0.0) };
    let sum = |of: i8, f: &dyn Fn(f64) -> f64| -> f64 {
        c.iter().zip(r).filter(|(c, r)| side(**c, **r) == of).map(|(c, _)| f(*c)).sum()
    };
    let (on, off) = (sum(1, &|c| c), -sum(-1, &|c| c));
    let square = |c: f64| (c - mean) * (c - mean);
    let (spread_on, spread_off) = (sum(1, &square), sum(-1, &square));
    if !(on > 0.0 && off > 0.0 && spread_on > 0.0 && spread_off > 0.0) {
        return 0.0;
    }
    // The smaller ratio q of a and b, and its derivatives.
    let ratio = |a: f64, b: f64| {
        if a < b { (a / b, 1.0 / b, -a / (b * b)) } else { (b / a, -b / (a * a), 1.0 / a) }
    };
    let mut total = 0.0;
    let (q, to_on, to_off) = ratio(on, off);
    if q < tau {
        total += (tau - q) / tau;
        for ((dc, c), r) in dc.iter_mut().zip(c).zip(r) {
            *dc += match side(*c, *r) {
                1 => -to_on / tau,
                -1 => to_off / tau,
                _ => 0.0,
            };
        }
    }
    let (q, to_on, to_off) = ratio(spread_on, spread_off);
    if q < tau {
        total += (tau - q) / tau;
        // Every centre moves the mean.
        let distance = |c: f64| c - mean;
        let through_mean = -2.0 / n * (to_on * sum(1, &distance) + to_off * sum(-1, &distance));
        for ((dc, c), r) in dc.iter_mut().zip(c).zip(r) {
            let own = match side(*c, *r) {
                1 => 2.0 * (c - mean) * to_on,
                -1 => 2.0 * (c - mean) * to_off,
                _ => 0.0,
            };
            *dc += -(own + through_mean) / tau;
        }
    }
    total
}
