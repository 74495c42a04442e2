//! What interval bounds look like inside a network.

use crate::{
    Batch, Certified, Engine, EngineError, LanePlan, Network, Stage, boxes::Boxes, ops::Blocks,
    outputs::Wants,
};

/// Interval bounds of one affine layer, over its neurons and the examples of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LayerBounds {
    /// The name of its weight in the layout.
    pub weight: String,
    /// Mean radius of the boxes behind it, before a ReLU.
    pub radius: f64,
    /// `radius` relative to the mean radius of the input's boxes: how far boxes have grown. NaN for boxes of no size.
    pub growth: f64,
    /// The ReLUs behind it; none if it has none.
    pub relu: Option<ReluShares>,
}

/// Shares of (neuron, example) pairs; they sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReluShares {
    /// Off over the whole box: no gradient.
    pub dead: f64,
    /// On over the whole box: linear.
    pub active: f64,
    /// Switching inside the box.
    pub unstable: f64,
}

/// Sums over (neuron, example) pairs of a layer.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    radius: f64,
    n: usize,
    n_dead: usize,
    n_active: usize,
}

impl Engine {
    /// Interval bounds of every affine layer of a network, first to last, over the boxes of a batch.
    /// Only [`Certified::eps`] and [`Certified::range`] matter.
    ///
    /// Determinism: sums are added chunk after chunk; the number of threads does not matter.
    ///
    /// # Errors
    /// As [`certified_gradient_into`](Self::certified_gradient_into).
    pub fn bound_statistics(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        certified: &Certified,
    ) -> Result<Vec<LayerBounds>, EngineError> {
        let boxes = Boxes::checked(net, batch, None, certified)?;
        let chunks = self.chunks(net, params, batch, plan, Wants::Bounds, |lane, chunk| {
            let blocks = Blocks { n: chunk.n_examples(), natural_is_tracked: false };
            let layers = boxes.affine_outputs(lane, chunk, blocks);
            layers.iter().map(|v| Sums::of(&v.to_vec())).collect::<Vec<_>>()
        })?;
        let n_layers = chunks.first().map_or(0, Vec::len);
        let mut sums = vec![Sums::default(); n_layers];
        for (sum, more) in chunks.iter().flat_map(|c| c.iter().enumerate()) {
            sums[sum].add(*more);
        }
        let Some((input, layers)) = sums.split_first() else { return Ok(Vec::new()) };
        Ok(boxes.affine_layers().zip(layers).map(|(l, sums)| sums.layer(l, input.mean())).collect())
    }
}

impl Sums {
    /// Of `[x; c; r]`.
    fn of(rows: &[f64]) -> Self {
        let (c, r) = rows[rows.len() / 3..].split_at(rows.len() / 3);
        let both = || c.iter().zip(r);
        Self {
            radius: r.iter().sum(),
            n: r.len(),
            n_dead: both().filter(|(c, r)| *c + *r <= 0.0).count(),
            n_active: both().filter(|(c, r)| *c - *r >= 0.0 && *c + *r > 0.0).count(),
        }
    }

    fn add(&mut self, more: Self) {
        self.radius += more.radius;
        self.n += more.n;
        self.n_dead += more.n_dead;
        self.n_active += more.n_active;
    }

    fn mean(&self) -> f64 {
        self.radius / self.n as f64
    }

    fn layer(&self, (weight, has_relu): (&str, bool), input: f64) -> LayerBounds {
        let share = |n: usize| n as f64 / self.n as f64;
        let relu = ReluShares {
            dead: share(self.n_dead),
            active: share(self.n_active),
            unstable: share(self.n - self.n_dead - self.n_active),
        };
        LayerBounds {
            weight: weight.to_owned(),
            radius: self.mean(),
            growth: self.mean() / input,
            relu: has_relu.then_some(relu),
        }
    }
}

impl Boxes<'_> {
    /// The weight of every affine layer, and whether a ReLU comes behind it.
    fn affine_layers(&self) -> impl Iterator<Item = (&str, bool)> {
        let next = self.stages().iter().skip(1).map(Some).chain([None]);
        self.stages().iter().zip(next).filter_map(|(stage, next)| match stage {
            Stage::Dense { weight, .. } | Stage::Conv { weight, .. } => {
                Some((weight.as_str(), next == Some(&Stage::Relu)))
            }
            Stage::Relu => None,
        })
    }
}
