//! What a probe is.

use crate::{Observation, ProbeError, Readings};

/// One series that a probe writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Its name; `<...>` stands for a set, group, matrix or index.
    pub name: &'static str,
    /// Its unit; `1` for a pure number.
    pub unit: &'static str,
    /// What it is.
    pub summary: &'static str,
}

/// The manual page of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSpec {
    /// The configuration key and the argument of the command; stable once released.
    pub name: &'static str,
    /// The unit of its main reading; `1` for a pure number.
    pub unit: &'static str,
    /// Who thought of it.
    pub source: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What an observation must hold for it.
    pub needs: &'static str,
    /// What it writes.
    pub outputs: &'static [Output],
}

/// A measurement of a network at a step.
///
/// It may keep state between readings, e.g. a running median; then [`Probe::state`] and [`Probe::restore`]
/// carry it over a pause, so that resuming equals never having stopped.
pub trait Probe: Send + std::fmt::Debug {
    /// Its manual page.
    fn spec(&self) -> ProbeSpec;

    /// Reads `observation` and writes to `out`. What was written before an error stays.
    ///
    /// # Errors
    /// The reason why nothing more could be read; the run goes on.
    fn measure(
        &mut self,
        observation: &Observation<'_>,
        out: &mut Readings,
    ) -> Result<(), ProbeError>;

    /// Whether it reads [`Observation::named_grads`], which cost a backward pass each and are made for nobody else.
    fn reads_gradients(&self) -> bool {
        false
    }

    /// Whether it reads [`Observation::neighbourhoods`], which may cost an attack each and are made for nobody else.
    fn reads_neighbourhoods(&self) -> bool {
        false
    }

    /// Whether it reads what an attack on them found.
    fn reads_attacks(&self) -> bool {
        false
    }

    /// What it remembers, as finite numbers; empty for a probe that remembers nothing.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Goes on from what [`Probe::state`] returned.
    ///
    /// # Errors
    /// [`ProbeError::State`] if the numbers cannot be this probe's; the probe is unchanged then.
    fn restore(&mut self, state: &[f64]) -> Result<(), ProbeError> {
        if state.is_empty() {
            Ok(())
        } else {
            Err(ProbeError::State { probe: self.spec().name, found: state.len() })
        }
    }
}

/// A row of the list of probes.
#[derive(Debug, Clone, Copy)]
pub struct ProbeEntry {
    /// The manual page.
    pub spec: ProbeSpec,
    /// Makes one that remembers nothing.
    pub make: fn() -> Box<dyn Probe>,
}
