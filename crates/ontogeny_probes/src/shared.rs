//! What several probes need of one observation, computed by the first that asks.

use crate::{
    FourierBasis, NeuronBlocks, Observation, ProbeError, Scores,
    spectrum::{embedding_norms, output_norms},
};
use std::sync::OnceLock;

/// Share of a neuron's energy in one frequency's block from which on the neuron belongs to that frequency.
pub(crate) const CLUSTER_SHARE: f32 = 0.85;

/// A frequency is key to a spectrum if its norm exceeds this fraction of the largest.
const KEY_FRACTION: f64 = 0.25;

/// Filled on demand; the observation must not change after the first probe has looked at it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    scores: OnceLock<Vec<Result<Scores, ProbeError>>>,
    modular: OnceLock<Result<Modular, ProbeError>>,
}

/// Spectra and neuron clusters of a modular network.
#[derive(Debug)]
pub(crate) struct Modular {
    pub(crate) basis: FourierBasis,
    pub(crate) embedding: Result<Vec<f64>, ProbeError>,
    pub(crate) output: Result<Vec<f64>, ProbeError>,
    pub(crate) neurons: Result<NeuronBlocks, ProbeError>,
}

impl Modular {
    fn of(o: &Observation<'_>) -> Result<Self, ProbeError> {
        let (grid, set) = o.grid()?;
        let basis = FourierBasis::new(grid.p);
        let neurons =
            set.last_tap(".mlp.post").map(|tap| NeuronBlocks::of(&basis, tap.width, tap.values));
        let (embedding, output) = (embedding_norms(o, &basis), output_norms(o, &basis));
        Ok(Self { basis, embedding, output, neurons })
    }

    /// Neurons in each frequency's cluster, `[n_frequencies]`.
    pub(crate) fn clusters(&self) -> Result<Vec<usize>, ProbeError> {
        let blocks = self.neurons.as_ref().map_err(Clone::clone)?;
        Ok(blocks.clusters(self.basis.n_frequencies(), CLUSTER_SHARE))
    }

    /// The key set of this checkpoint: frequencies with a cluster, from 1.
    pub(crate) fn keys(&self) -> Result<Vec<usize>, ProbeError> {
        let clusters = self.clusters()?;
        Ok((1..).zip(clusters).filter(|&(_, n)| n > 0).map(|(k, _)| k).collect())
    }
}

/// Which frequencies of a spectrum are key to it.
pub(crate) fn key_to_spectrum(norms: &[f64]) -> Vec<bool> {
    let largest = norms.iter().copied().fold(0.0, f64::max);
    norms.iter().map(|&n| n > KEY_FRACTION * largest).collect()
}

impl Observation<'_> {
    /// What every example of every set scored, in the order of the sets.
    pub(crate) fn scores(&self) -> &[Result<Scores, ProbeError>] {
        self.shared.scores.get_or_init(|| self.sets.iter().map(Scores::of).collect())
    }

    /// Spectra and neuron clusters of the modular grid.
    pub(crate) fn modular_view(&self) -> Result<&Modular, ProbeError> {
        self.shared.modular.get_or_init(|| Modular::of(self)).as_ref().map_err(Clone::clone)
    }
}
