//! Key frequencies: which frequencies the circuit of a modular network uses, by three rules.
//!
//! By embedding and by output: the norm exceeds a quarter of the largest. By neurons: at least one neuron of
//! the last block has 85 % of its centred energy in the frequency's block. All three are causal: they read
//! this checkpoint and nothing later, so a forecaster may use them. (The published analysis takes the key set
//! from the final network; that hindsight set is another series and is not made here.)
//!
//! Cost: one pass over the activations of the grid. Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 4 and 5.

use crate::{
    Observation, Output, Probe, ProbeError, ProbeSpec, Readings,
    shared::{CLUSTER_SHARE, key_to_spectrum},
};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "key_frequencies",
    unit: "frequencies",
    source: "arXiv:2301.05217",
    summary: "Frequencies that the network uses, by embedding norm, by output norm and by clusters of neurons.",
    needs: "the modular grid, its tap *.mlp.post and the parameters embed.tokens, *.mlp.w_out, unembed.w",
    outputs: &[
        Output {
            name: "keys.by_<rule>.n",
            unit: "frequencies",
            summary: "size of the key set by embedding, output or neurons",
        },
        Output {
            name: "keys.by_embedding",
            unit: "1",
            summary: "1 where the norm of the embedding exceeds a quarter of the largest, else 0",
        },
        Output {
            name: "keys.by_output",
            unit: "1",
            summary: "the same for W_out W_U on the output axis",
        },
        Output {
            name: "keys.by_neurons",
            unit: "neurons",
            summary: "neurons in the cluster of every frequency",
        },
        Output {
            name: "neurons.clustered_share",
            unit: "1",
            summary: "share of neurons that belong to a cluster",
        },
        Output {
            name: "neurons.block_share",
            unit: "1",
            summary: "mean over neurons of the share of energy in their best block",
        },
        Output {
            name: "neurons.constant_share",
            unit: "1",
            summary: "share of neurons with one value on the whole grid, e.g. dead ones",
        },
    ],
};

/// Key sets by three rules.
#[derive(Debug, Default)]
pub struct KeyFrequencies;

impl Probe for KeyFrequencies {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let view = o.modular_view()?;
        for (name, norms) in [("embedding", &view.embedding), ("output", &view.output)] {
            match norms {
                Ok(norms) => {
                    let keys: Vec<f32> = key_to_spectrum(norms)
                        .into_iter()
                        .map(|k| f32::from(u8::from(k)))
                        .collect();
                    out.push(
                        format!("keys.by_{name}.n"),
                        "frequencies",
                        keys.iter().map(|&k| f64::from(k)).sum(),
                    );
                    out.push_vector(format!("keys.by_{name}"), "1", &keys);
                }
                Err(reason) => out.leave(reason),
            }
        }
        let blocks = view.neurons.as_ref().map_err(Clone::clone)?;
        if blocks.shares.iter().any(|s| s.is_nan()) {
            return Err(ProbeError::NonFinite { what: "activations of the grid".into() });
        }
        let clusters = view.clusters()?;
        out.push(
            "keys.by_neurons.n",
            "frequencies",
            clusters.iter().filter(|&&n| n > 0).count() as f64,
        );
        let counts: Vec<f32> = clusters.iter().map(|&n| n as f32).collect();
        out.push_vector("keys.by_neurons", "neurons", &counts);
        let n = blocks.shares.len() as f64;
        let share_of = |count: usize| count as f64 / n;
        out.push(
            "neurons.clustered_share",
            "1",
            share_of(blocks.shares.iter().filter(|&&s| s >= CLUSTER_SHARE).count()),
        );
        out.push(
            "neurons.block_share",
            "1",
            blocks.shares.iter().map(|&s| f64::from(s)).sum::<f64>() / n,
        );
        out.push(
            "neurons.constant_share",
            "1",
            share_of(blocks.frequencies.iter().filter(|&&k| k == 0).count()),
        );
        Ok(())
    }
}
