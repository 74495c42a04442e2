//! What probes write: numbers with a name and a unit, and reasons where there is no number.

use crate::ProbeError;
use serde::{Deserialize, Serialize};

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Dotted name of the series, e.g. `test.loss`.
    pub name: String,
    /// Unit, e.g. `nats`, or `1` for a pure number.
    pub unit: String,
    /// The value.
    pub value: f64,
}

/// One vector, e.g. a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorReading {
    /// Dotted name of the series, e.g. `embedding.spectrum`.
    pub name: String,
    /// Unit of every element.
    pub unit: String,
    /// The values.
    pub values: Vec<f32>,
}

/// Why something was not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Who was to measure it.
    pub probe: String,
    /// Why it was not; reads well after "failed to".
    pub reason: String,
}

/// Everything the probes wrote at one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Readings {
    /// Numbers, in the order in which they were taken.
    pub scalars: Vec<Reading>,
    /// Vectors.
    pub vectors: Vec<VectorReading>,
    /// What was not measured, or came out as something that is not a number, and why.
    pub reasons: Vec<Reason>,
    probe: String,
}

impl Readings {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a number. One that is not finite is kept as it is, with a reason beside it.
    pub fn push(&mut self, name: impl Into<String>, unit: &str, value: f64) {
        let name = name.into();
        if !value.is_finite() {
            self.leave(&ProbeError::NonFinite { what: name.clone() });
        }
        self.scalars.push(Reading { name, unit: unit.to_owned(), value });
    }

    /// Writes a vector. One with elements that are not finite is kept as it is, with a reason beside it.
    pub fn push_vector(&mut self, name: impl Into<String>, unit: &str, values: &[f32]) {
        let name = name.into();
        if values.iter().any(|v| !v.is_finite()) {
            self.leave(&ProbeError::NonFinite { what: name.clone() });
        }
        let values = values.to_vec();
        self.vectors.push(VectorReading { name, unit: unit.to_owned(), values });
    }

    /// Leaves a reason in place of a reading.
    pub fn leave(&mut self, reason: &ProbeError) {
        self.reasons.push(Reason { probe: self.probe.clone(), reason: reason.to_string() });
    }

    /// The number called `name`.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.scalars.iter().find(|r| r.name == name).map(|r| r.value)
    }

    /// The vector called `name`.
    pub fn vector(&self, name: &str) -> Option<&[f32]> {
        self.vectors.iter().find(|r| r.name == name).map(|r| r.values.as_slice())
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.scalars.clear();
        self.vectors.clear();
        self.reasons.clear();
    }

    /// Reasons left from now on are this probe's.
    pub(crate) fn begin(&mut self, probe: &str) {
        probe.clone_into(&mut self.probe);
    }
}
