//! Embedding spectrum: how the weights of a modular network concentrate on few frequencies.
//!
//! The norm of the embedding and of the neuron-logit map at every frequency of the residues, their Gini
//! coefficients and the share of power in the five strongest. The Gini coefficient of the embedding rises
//! smoothly, thousands of steps ahead of test accuracy. Cost: three products of small matrices.
//! Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 4.1, 4.3 and 5.

use crate::{
    Observation, Output, Probe, ProbeError, ProbeSpec, Readings, fourier::defined, gini,
    top_power_share,
};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "embedding_spectrum",
    unit: "1",
    source: "arXiv:2301.05217",
    summary: "Norm of the embedding and of the neuron-logit map at every frequency, and how concentrated they are.",
    needs: "the modular grid and the parameters embed.tokens, *.mlp.w_out, unembed.w",
    outputs: &[
        Output {
            name: "embedding.gini",
            unit: "1",
            summary: "Gini coefficient of the embedding's norms over frequencies",
        },
        Output {
            name: "embedding.top5_share",
            unit: "1",
            summary: "share of squared norm in the five strongest frequencies",
        },
        Output {
            name: "embedding.spectrum",
            unit: "1",
            summary: "norm at frequency 1, 2, ..., (p-1)/2",
        },
        Output {
            name: "output.gini",
            unit: "1",
            summary: "the same for W_out W_U on the output axis",
        },
        Output { name: "output.top5_share", unit: "1", summary: "the same" },
        Output { name: "output.spectrum", unit: "1", summary: "the same" },
    ],
};

/// Norms over frequencies, and their concentration.
#[derive(Debug, Default)]
pub struct EmbeddingSpectrum;

impl Probe for EmbeddingSpectrum {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let view = o.modular_view()?;
        for (name, norms) in [("embedding", &view.embedding), ("output", &view.output)] {
            let written = norms.as_ref().map_err(Clone::clone).and_then(|n| write(name, n, out));
            if let Err(reason) = written {
                out.leave(&reason);
            }
        }
        Ok(())
    }
}

fn write(name: &str, norms: &[f64], out: &mut Readings) -> Result<(), ProbeError> {
    let spectrum: Vec<f32> = norms.iter().map(|&n| n as f32).collect();
    out.push_vector(format!("{name}.spectrum"), "1", &spectrum);
    let gini = defined(gini(norms), &format!("{name}.gini"))?;
    out.push(format!("{name}.gini"), "1", gini);
    let share = defined(top_power_share(norms, 5), &format!("{name}.top5_share"))?;
    out.push(format!("{name}.top5_share"), "1", share);
    Ok(())
}
