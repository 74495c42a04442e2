//! The list of probes: one file and one row each.

use crate::{ProbeEntry, ProbeError};

pub mod weight_norms;

/// Every probe, in the order in which [`crate::ProbeSet::all`] runs them.
pub fn probes() -> &'static [ProbeEntry] {
    const PROBES: &[ProbeEntry] =
        &[ProbeEntry { spec: weight_norms::SPEC, make: || Box::new(weight_norms::WeightNorms) }];
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
