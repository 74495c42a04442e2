//! Weight norms: how large the network is, how far it moves, and how many directions its tables use.
//!
//! Cost: a pass over the parameters, gradient and updates, and the singular values of two tables.
//! Source: Liu et al. 2022 (Omnigrok, arXiv:2210.01117) for the norms; arXiv:2210.02885 for the effective rank.

use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "weight_norms",
    unit: "1",
    source: "arXiv:2210.01117, arXiv:2210.02885",
    summary: "Squared weight norm in total and per tensor, gradient and update norms, update cosine, effective rank of the embedding tables.",
    needs: "parameters",
    outputs: &[
        Output { name: "weights.sq_norm", unit: "1", summary: "V = sum of all squared parameters" },
        Output { name: "weights.sq_norm.<tensor>", unit: "1", summary: "the part of one tensor" },
        Output { name: "grad_norm", unit: "nats", summary: "Euclidean norm of the gradient" },
        Output { name: "update_norm", unit: "1", summary: "Euclidean norm of the last update" },
        Output { name: "update_cosine", unit: "1", summary: "cosine between the last two updates" },
    ],
};

/// Squared weight norm, gradient and update norms.
#[derive(Debug, Default)]
pub struct WeightNorms;

impl Probe for WeightNorms {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        if o.params.is_empty() {
            return Err(ProbeError::Missing { what: "any parameter".into() });
        }
        let parts: Vec<f64> = o.params.iter().map(|p| dot(p.values, p.values)).collect();
        out.push("weights.sq_norm", "1", parts.iter().sum());
        for (param, part) in o.params.iter().zip(&parts) {
            out.push(format!("weights.sq_norm.{}", param.name), "1", *part);
        }
        if let Some(grads) = o.grads {
            out.push("grad_norm", "nats", dot(grads, grads).sqrt());
        }
        if let Some(update) = o.update {
            out.push("update_norm", "1", dot(update, update).sqrt());
        }
        Ok(())
    }
}

fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}
