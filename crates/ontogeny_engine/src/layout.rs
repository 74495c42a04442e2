//! Parameters are one flat vector with named slices.
//!
//! Optimizers, checkpoints, forks, probes and norms see a `&[f32]`; only a network's forward pass sees
//! tensors with shapes. The [`Layout`] is the dictionary between the two.

use std::ops::Range;

use ontogeny_core::random::Philox;
use serde::{Deserialize, Serialize};

/// How one parameter starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Independent normal numbers of mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
}

/// One named parameter tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Unique within its layout, e.g. `blocks.0.mlp.w1`.
    pub name: String,
    /// Row-major shape; a linear weight is `[n_in, n_out]`.
    pub shape: Vec<usize>,
    /// Whether weight decay applies to it.
    pub decay: bool,
    /// Its values at step 0.
    pub init: Init,
}

impl ParamSpec {
    /// A parameter that weight decay applies to.
    pub fn new(name: impl Into<String>, shape: &[usize], init: Init) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), decay: true, init }
    }

    /// The same parameter, free of weight decay.
    #[must_use]
    pub fn without_decay(mut self) -> Self {
        self.decay = false;
        self
    }

    /// Number of scalars.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if a side of the shape is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The order, names and offsets of a network's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    specs: Vec<ParamSpec>,
    offsets: Vec<usize>,
}

impl Layout {
    /// Lays the parameters out one after another.
    ///
    /// # Panics
    /// If two parameters share a name: a mistake in the network's code.
    pub fn new(specs: Vec<ParamSpec>) -> Self {
        let mut offsets = vec![0];
        for (i, spec) in specs.iter().enumerate() {
            assert!(
                specs[..i].iter().all(|s| s.name != spec.name),
                "two parameters are called {}; names are how slices are found",
                spec.name
            );
            offsets.push(offsets[i] + spec.len());
        }
        Self { specs, offsets }
    }

    /// Number of scalars over all parameters.
    pub fn len(&self) -> usize {
        self.offsets[self.specs.len()]
    }

    /// True if there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slice and the specification of the parameter called `name`.
    pub fn get(&self, name: &str) -> Option<(Range<usize>, &ParamSpec)> {
        let i = self.position(name)?;
        Some((self.range(i), &self.specs[i]))
    }

    /// The parameters in order.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// The parameters in order, each with its slice of the flat vector.
    pub fn iter(&self) -> impl Iterator<Item = (Range<usize>, &ParamSpec)> {
        self.specs.iter().enumerate().map(|(i, spec)| (self.range(i), spec))
    }

    /// The values at step 0, every normal number multiplied by `scale`.
    ///
    /// Determinism: scalar `i` of parameter `name` is the normal number at (`seed`, `name`, 0, `i`), so
    /// adding or reordering parameters leaves the others as they were.
    pub fn init(&self, seed: u64, scale: f32) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        for (range, spec) in self.iter() {
            let slice = &mut values[range];
            match spec.init {
                Init::Zeros => {}
                Init::Ones => slice.fill(1.0),
                Init::Normal { std } => {
                    let draws = Philox::new(seed, &spec.name).at(0);
                    let std = f64::from(std) * f64::from(scale);
                    for (i, v) in slice.iter_mut().enumerate() {
                        *v = (draws.normal(i as u64) * std) as f32;
                    }
                }
            }
        }
        values
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.specs.iter().position(|s| s.name == name)
    }

    pub(crate) fn range(&self, i: usize) -> Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_keeps_its_start_when_another_is_added_before_it() {
        let w = ParamSpec::new("w", &[4, 3], Init::Normal { std: 0.5 });
        let b = ParamSpec::new("b", &[3], Init::Ones).without_decay();
        let alone = Layout::new(vec![w.clone()]).init(7, 1.0);
        let layout = Layout::new(vec![b, w]);
        let both = layout.init(7, 1.0);
        let (range, spec) = layout.get("w").unwrap();
        assert_eq!((range.clone(), spec.decay), (3..15, true));
        assert_eq!(both[range], alone[..]);
        assert_eq!(both[..3], [1.0; 3]);
        assert!(layout.get("nothing").is_none());
    }

    #[test]
    fn the_scale_multiplies_normal_numbers_only() {
        let layout = Layout::new(vec![
            ParamSpec::new("w", &[64], Init::Normal { std: 0.5 }),
            ParamSpec::new("g", &[2], Init::Ones),
        ]);
        let (one, two) = (layout.init(1, 1.0), layout.init(1, 2.0));
        assert_eq!(one[64..], two[64..]);
        for (a, b) in one[..64].iter().zip(&two[..64]) {
            assert_eq!(a * 2.0, *b); // a power of two commutes with rounding
        }
    }

    #[test]
    #[should_panic(expected = "two parameters are called w")]
    fn refuses_two_parameters_of_one_name() {
        let w = ParamSpec::new("w", &[1], Init::Zeros);
        Layout::new(vec![w.clone(), w]);
    }
}
