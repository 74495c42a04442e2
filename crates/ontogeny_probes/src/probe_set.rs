//! A choice of probes, with what they remember.

use crate::{Observation, Probe, ProbeError, Readings, probe, probes};
use std::collections::BTreeMap;

/// Probes that read the same observations.
///
/// # Examples
/// ```
/// use ontogeny_probes::{Observation, ProbeSet, Readings};
/// let mut set = ProbeSet::named(["set_loss", "weight_norms"])?;
/// let mut readings = Readings::new();
/// set.measure(&Observation::new(ontogeny_core::Step(0)), &mut readings);
/// // Nothing could be seen, so there are reasons and no numbers.
/// assert!(readings.scalars.is_empty() && !readings.reasons.is_empty());
/// # Ok::<(), ontogeny_probes::ProbeError>(())
/// ```
#[derive(Debug)]
pub struct ProbeSet {
    probes: Vec<Box<dyn Probe>>,
}

impl ProbeSet {
    /// Every probe there is.
    pub fn all() -> Self {
        Self { probes: probes().iter().map(|entry| (entry.make)()).collect() }
    }

    /// The probes with these names, in this order.
    ///
    /// # Errors
    /// [`ProbeError::UnknownProbe`] for the first name that nobody goes by, with the nearest name there is.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ProbeError> {
        let probes = names
            .into_iter()
            .map(|name| Ok((probe(name)?.make)()))
            .collect::<Result<_, ProbeError>>()?;
        Ok(Self { probes })
    }

    /// The names of its probes.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.probes.iter().map(|p| p.spec().name)
    }

    /// Whether one of its probes reads the gradients of named batches.
    pub fn reads_gradients(&self) -> bool {
        self.probes.iter().any(|p| p.reads_gradients())
    }

    /// Whether one of its probes reads examples with their surroundings.
    pub fn reads_neighbourhoods(&self) -> bool {
        self.probes.iter().any(|p| p.reads_neighbourhoods())
    }

    /// Whether one of its probes reads what attacks found.
    pub fn reads_attacks(&self) -> bool {
        self.probes.iter().any(|p| p.reads_attacks())
    }

    /// Lets every probe read `observation` and adds what they write to `out`. A failing probe leaves a reason.
    pub fn measure(&mut self, observation: &Observation<'_>, out: &mut Readings) {
        for probe in &mut self.probes {
            out.begin(probe.spec().name);
            if let Err(reason) = probe.measure(observation, out) {
                out.leave(&reason);
            }
        }
    }

    /// What its probes remember, by name; probes that remember nothing are left out. All numbers are finite.
    pub fn state(&self) -> BTreeMap<String, Vec<f64>> {
        self.probes
            .iter()
            .map(|p| (p.spec().name.to_owned(), p.state()))
            .filter(|(_, state)| !state.is_empty())
            .collect()
    }

    /// Goes on from what [`ProbeSet::state`] returned; probes without an entry start anew.
    ///
    /// # Errors
    /// [`ProbeError::State`] if a state does not fit its probe. States of probes that are not here are ignored:
    /// a fork may look at less than its parent.
    pub fn restore(&mut self, state: &BTreeMap<String, Vec<f64>>) -> Result<(), ProbeError> {
        for probe in &mut self.probes {
            let name = probe.spec().name;
            *probe = (crate::probe(name)?.make)();
            if let Some(saved) = state.get(name) {
                probe.restore(saved)?;
            }
        }
        Ok(())
    }
}
