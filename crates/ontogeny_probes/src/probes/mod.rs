//! The list of probes: one file and one row each.

use crate::{ProbeEntry, ProbeError};

pub mod attacked;
pub mod bias_amplification;
pub mod certified;
pub mod counterfactual_flip;
pub mod counterfactual_shift;
pub mod embedding_spectrum;
pub mod goal_conflict;
pub mod gradient_transfer;
pub mod group_gap;
pub mod group_gradients;
pub mod interval_bounds;
pub mod key_frequencies;
pub mod linear_readout;
pub mod progress_measures;
pub mod rival_answers;
pub mod set_loss;
pub mod skill_losses;
pub mod slingshots;
pub mod weight_norms;
pub mod zhao_bias;

/// Every probe, in the order in which [`crate::ProbeSet::all`] runs them.
const PROBES: &[ProbeEntry] = &[
    ProbeEntry { spec: set_loss::SPEC, make: || Box::<set_loss::SetLoss>::default() },
    ProbeEntry { spec: skill_losses::SPEC, make: || Box::<skill_losses::SkillLosses>::default() },
    ProbeEntry { spec: weight_norms::SPEC, make: || Box::<weight_norms::WeightNorms>::default() },
    ProbeEntry {
        spec: embedding_spectrum::SPEC,
        make: || Box::<embedding_spectrum::EmbeddingSpectrum>::default(),
    },
    ProbeEntry {
        spec: key_frequencies::SPEC,
        make: || Box::<key_frequencies::KeyFrequencies>::default(),
    },
    ProbeEntry {
        spec: progress_measures::SPEC,
        make: || Box::<progress_measures::ProgressMeasures>::default(),
    },
    ProbeEntry { spec: slingshots::SPEC, make: || Box::<slingshots::Slingshots>::default() },
    ProbeEntry {
        spec: bias_amplification::SPEC,
        make: || Box::<bias_amplification::BiasAmplification>::default(),
    },
    ProbeEntry { spec: zhao_bias::SPEC, make: || Box::<zhao_bias::ZhaoBias>::default() },
    ProbeEntry {
        spec: counterfactual_flip::SPEC,
        make: || Box::<counterfactual_flip::CounterfactualFlip>::default(),
    },
    ProbeEntry {
        spec: counterfactual_shift::SPEC,
        make: || Box::<counterfactual_shift::CounterfactualShift>::default(),
    },
    ProbeEntry { spec: group_gap::SPEC, make: || Box::<group_gap::GroupGap>::default() },
    ProbeEntry {
        spec: group_gradients::SPEC,
        make: || Box::<group_gradients::GroupGradients>::default(),
    },
    ProbeEntry {
        spec: linear_readout::SPEC,
        make: || Box::<linear_readout::LinearReadout>::default(),
    },
    ProbeEntry {
        spec: rival_answers::SPEC,
        make: || Box::<rival_answers::RivalAnswers>::default(),
    },
    ProbeEntry {
        spec: gradient_transfer::SPEC,
        make: || Box::<gradient_transfer::GradientTransfer>::default(),
    },
    ProbeEntry { spec: certified::SPEC, make: || Box::<certified::Certified>::default() },
    ProbeEntry { spec: attacked::SPEC, make: || Box::<attacked::Attacked>::default() },
    ProbeEntry {
        spec: interval_bounds::SPEC,
        make: || Box::<interval_bounds::IntervalBounds>::default(),
    },
    ProbeEntry {
        spec: goal_conflict::SPEC,
        make: || Box::<goal_conflict::GoalConflict>::default(),
    },
];

/// Every probe, in the order in which [`crate::ProbeSet::all`] runs them.
pub fn probes() -> &'static [ProbeEntry] {
    PROBES
}

/// The probe called `name`.
///
/// # Errors
/// [`ProbeError::UnknownProbe`] with the nearest name there is.
pub fn probe(name: &str) -> Result<&'static ProbeEntry, ProbeError> {
    probes().iter().find(|entry| entry.spec.name == name).ok_or_else(|| ProbeError::UnknownProbe {
        name: name.to_owned(),
        nearest: ontogeny_core::nearest(name, probes().iter().map(|entry| entry.spec.name)),
    })
}
