//! How far an adversary may go, and how hard a run looks for one.

use crate::TrainError;
use crate::config::in_range;
use serde::{Deserialize, Serialize};

/// Images that differ from an example by at most `eps` in every pixel, pixels staying in [0, 1]; and what is spent on
/// them at a reading. None of it changes training, which has an epsilon of its own.
///
/// At the last step of a run the whole audit set is certified and attacked, with [`Threat::AUDIT_STEPS`] and
/// [`Threat::AUDIT_RESTARTS`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threat {
    /// The largest change of a pixel, in units of the range [0, 1].
    pub eps: f64,
    /// Probe examples, from the first, that are certified and attacked at a reading.
    pub n_watched: usize,
    /// Steps of the attack at a reading, each of `eps / 4`.
    pub n_steps: u64,
    /// Random starts of the attack at a reading.
    pub n_restarts: u64,
}

impl Threat {
    /// Steps of the attack on the audit set.
    pub const AUDIT_STEPS: u64 = 40;
    /// Random starts of the attack on the audit set.
    pub const AUDIT_RESTARTS: u64 = 10;

    /// 128 examples at a reading, ten steps of attack from one start.
    pub fn of(eps: f64) -> Self {
        Self { eps, n_watched: 128, n_steps: 10, n_restarts: 1 }
    }

    pub(super) fn check(&self, n_probe: usize) -> Result<(), TrainError> {
        let half = "beyond one half every image may become the same grey";
        in_range("task.threat.eps", self.eps, 0.0, 0.5, half)?;
        let some = "they are among the probe examples";
        in_range("task.threat.n_watched", self.n_watched as f64, 1.0, n_probe as f64, some)?;
        in_range("task.threat.n_steps", self.n_steps as f64, 1.0, 1e4, "an attack moves")?;
        in_range("task.threat.n_restarts", self.n_restarts as f64, 1.0, 1e3, "it starts once")
    }
}
