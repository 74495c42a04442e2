//! Two gradients of one network, compared.

use crate::{Observation, ProbeError};

/// Gradients shorter than this are rounding.
const LEAST: f64 = 1e-6;

/// How two gradients lie to one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    /// Inner product.
    pub(crate) dot: f64,
    /// Length of the first and of the second.
    pub(crate) lengths: [f64; 2],
}

impl Compared {
    /// Compares the gradients of two named batches.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] without one of them, [`ProbeError::NonFinite`] if one is not finite.
    pub(crate) fn of(o: &Observation<'_>, names: [&str; 2]) -> Result<Self, ProbeError> {
        let find = |name: &str| {
            let found = o.named_grads.iter().find(|(n, _)| *n == name).map(|(_, g)| *g);
            found.ok_or_else(|| ProbeError::Missing { what: format!("gradient of batch {name}") })
        };
        let (a, b) = (find(names[0])?, find(names[1])?);
        if a.len() != b.len() {
            let what = format!("gradients of {} and {}", names[0], names[1]);
            return Err(ProbeError::Shape { what, expected: a.len(), found: b.len() });
        }
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let lengths = [dot(a, a).sqrt(), dot(b, b).sqrt()];
        if lengths.iter().any(|l| !l.is_finite()) {
            let what = format!("gradient of {} or {}", names[0], names[1]);
            return Err(ProbeError::NonFinite { what });
        }
        Ok(Self { dot: dot(a, b), lengths })
    }

    /// The shorter of the two lengths.
    pub(crate) fn shortest(&self) -> f64 {
        self.lengths[0].min(self.lengths[1])
    }

    /// Whether one of them is too short to have a direction.
    pub(crate) fn underflows(&self) -> bool {
        self.shortest() < LEAST
    }

    pub(crate) fn cosine(&self) -> f64 {
        self.dot / (self.lengths[0] * self.lengths[1])
    }
}
