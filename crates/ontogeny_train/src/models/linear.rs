//! One matrix, without a constant: the model of which theories know everything.

use super::{mismatch, normal};
use crate::TrainError;
use crate::tasks::{InputShape, TaskShape};
use ontogeny_engine::{Chunk, Lane, Layout, Network, Stage, Taps, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// It has no sizes of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {}

impl LinearConfig {
    fn width(shape: &TaskShape) -> Option<usize> {
        match shape.input {
            InputShape::Features { width } if !shape.every_position => Some(width),
            _ => None,
        }
    }

    pub(super) fn check(shape: &TaskShape) -> Result<(), TrainError> {
        let why = "a linear model reads feature vectors";
        Self::width(shape).map(drop).ok_or_else(|| mismatch("linear", shape, why))
    }

    pub(super) fn multiplications(shape: &TaskShape) -> f64 {
        Self::width(shape).map_or(0.0, |w| (w * shape.n_classes) as f64)
    }

    pub(super) fn build(shape: &TaskShape) -> Linear {
        let width = Self::width(shape).unwrap_or(1);
        let specs = vec![normal("w", &[width, shape.n_classes], 1.0 / width as f64)];
        Linear { layout: Arc::new(Layout::new(specs)) }
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Linear {
    layout: Arc<Layout>,
}

impl Network for Linear {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
        lane.features(chunk).linear(&lane.param("w"), None)
    }

    fn stages(&self) -> Option<Vec<Stage>> {
        Some(vec![Stage::Dense { weight: "w".to_owned(), bias: None }])
    }
}
