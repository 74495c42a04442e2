//! Weight norms: how large the network is, how far it moves, and how many directions its tables use.
//!
//! The squared norm of the weights is what weight decay wears down between memorization and grokking; the
//! cosine of successive updates tells steady motion from oscillation; the effective rank of the embedding and
//! unembedding tables falls when a low-dimensional circuit takes over.
//!
//! Cost: one pass over parameters, gradient and updates, and the singular values of two tables.
//! Sources: Liu et al. 2022 (Omnigrok, arXiv:2210.01117); Garrido et al. 2022 (RankMe, arXiv:2210.02885).

use crate::{
    Observation, Output, Probe, ProbeError, ProbeSpec, Readings, effective_rank,
    fourier::defined,
    lanes::dot,
    observation::{Matrix, fits},
    singular_values,
};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "weight_norms",
    unit: "1",
    source: "arXiv:2210.01117, arXiv:2210.02885",
    summary: "Squared weight norms, gradient and update norms, update cosine, effective rank of the embedding tables.",
    needs: "parameters; where given, the gradient and the last two updates",
    outputs: &[
        Output { name: "weights.sq_norm", unit: "1", summary: "V = sum of all squared parameters" },
        Output { name: "weights.sq_norm.<tensor>", unit: "1", summary: "the part of one tensor" },
        Output { name: "grad_norm", unit: "nats", summary: "Euclidean norm of the gradient" },
        Output { name: "update_norm", unit: "1", summary: "Euclidean norm of the last update" },
        Output {
            name: "update_cosine",
            unit: "1",
            summary: "cosine between the last update and the one before it",
        },
        Output {
            name: "embedding.effective_rank",
            unit: "1",
            summary: "exp of the entropy of the singular values of embed.tokens, not centred",
        },
        Output { name: "unembedding.effective_rank", unit: "1", summary: "the same of unembed.w" },
    ],
};

/// Norms of weights, gradient and updates; effective ranks.
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
        let n_params = o.params.iter().map(|p| p.values.len()).sum();
        for motion in [gradient, update] {
            if let Err(reason) = motion(o, n_params, out) {
                out.leave(&reason);
            }
        }
        for (series, tensor) in [("embedding", "embed.tokens"), ("unembedding", "unembed.w")] {
            // A network without these tables has no such reading, and that is no failure.
            if o.params.iter().any(|p| p.name == tensor) {
                let rank = o.matrix(tensor).and_then(|m| rank(&residues_of(&m, o), series));
                match rank {
                    Ok(rank) => out.push(format!("{series}.effective_rank"), "1", rank),
                    Err(reason) => out.leave(&reason),
                }
            }
        }
        Ok(())
    }
}

fn gradient(o: &Observation<'_>, n_params: usize, out: &mut Readings) -> Result<(), ProbeError> {
    if let Some(grads) = o.grads {
        fits("the gradient", n_params, grads.len())?;
        out.push("grad_norm", "nats", dot(grads, grads).sqrt());
    }
    Ok(())
}

fn update(o: &Observation<'_>, n_params: usize, out: &mut Readings) -> Result<(), ProbeError> {
    let Some(update) = o.update else { return Ok(()) };
    fits("the update", n_params, update.len())?;
    let norm = dot(update, update).sqrt();
    out.push("update_norm", "1", norm);
    if let Some(previous) = o.previous_update {
        fits("the previous update", n_params, previous.len())?;
        let scale = norm * dot(previous, previous).sqrt();
        let cosine = (scale > 0.0).then(|| dot(update, previous) / scale);
        out.push("update_cosine", "1", defined(cosine, "update_cosine")?);
    }
    Ok(())
}

fn rank(matrix: &Matrix<'_>, series: &str) -> Result<f64, ProbeError> {
    let what = || format!("{series}.effective_rank");
    let values = singular_values(matrix).ok_or_else(|| ProbeError::NonFinite { what: what() })?;
    defined(effective_rank(&values), &what())
}

/// In a modular study, the embedding without the rows of tokens that are no residues.
fn residues_of<'a>(matrix: &Matrix<'a>, o: &Observation<'_>) -> Matrix<'a> {
    match o.modular {
        Some(grid) if matrix.name == "embed.tokens" && (1..matrix.n_rows).contains(&grid.p) => {
            let values = &matrix.values[..grid.p * matrix.n_columns];
            Matrix { n_rows: grid.p, values, ..*matrix }
        }
        _ => *matrix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModularGrid, ParamView, ProbeSet};
    use ontogeny_core::Step;

    fn measure(o: &Observation<'_>) -> Readings {
        let mut readings = Readings::new();
        ProbeSet::named(["weight_norms"]).unwrap().measure(o, &mut readings);
        readings
    }

    #[test]
    fn norms_and_the_update_cosine_are_those_of_the_textbook() {
        let mut o = Observation::new(Step(1));
        o.params = vec![
            ParamView { name: "w", shape: &[2, 1], values: &[3.0, 4.0] },
            ParamView { name: "b", shape: &[1], values: &[2.0] },
        ];
        o.grads = Some(&[2.0, 3.0, 6.0]);
        o.update = Some(&[1.0, 0.0, 0.0]);
        o.previous_update = Some(&[1.0, 0.0, -1.0]);
        let r = measure(&o);
        assert_eq!(r.scalar("weights.sq_norm"), Some(29.0));
        assert_eq!(r.scalar("weights.sq_norm.w"), Some(25.0));
        assert_eq!(r.scalar("grad_norm"), Some(7.0));
        assert_eq!(r.scalar("update_norm"), Some(1.0));
        assert!((r.scalar("update_cosine").unwrap() - 0.5_f64.sqrt()).abs() < 1e-15);
        assert!(r.reasons.is_empty() && r.scalar("embedding.effective_rank").is_none());
    }

    #[test]
    fn a_cosine_with_no_motion_is_undefined_and_a_wrong_size_is_a_reason() {
        let mut o = Observation::new(Step(1));
        o.params = vec![ParamView { name: "w", shape: &[1], values: &[3.0] }];
        o.grads = Some(&[1.0, 2.0]);
        o.update = Some(&[0.0]);
        o.previous_update = Some(&[1.0]);
        let reasons: Vec<String> = measure(&o).reasons.into_iter().map(|r| r.reason).collect();
        assert_eq!(
            reasons,
            [
                "fit the gradient: expected 1 values, found 2",
                "measure update_cosine: it is undefined here"
            ]
        );
    }

    #[test]
    fn the_effective_rank_of_the_embedding_leaves_out_the_token_that_is_no_residue() {
        let mut table = vec![0.0_f32; 4 * 3];
        for i in 0..3 {
            table[i * 3 + i] = 2.0;
        }
        table[9] = 100.0;
        let mut o = Observation::new(Step(0));
        o.params = vec![ParamView { name: "embed.tokens", shape: &[4, 3], values: &table }];
        o.modular = Some(ModularGrid { p: 3, is_train: &[true; 9] });
        assert!((measure(&o).scalar("embedding.effective_rank").unwrap() - 3.0).abs() < 1e-5);
    }
}
