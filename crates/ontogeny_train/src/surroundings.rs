//! What a trainer's network does around examples.

use crate::{TrainError, Trainer};
use ontogeny_engine::{Attack, Attacked, Batch, Stage};

impl Trainer {
    /// The network as a chain of affine maps and ReLUs, if it is one: what a certificate follows.
    pub fn stages(&self) -> Option<Vec<Stage>> {
        self.net.stages()
    }

    /// Attacks every example of `batch` at the current weights ([`ontogeny_engine::Engine::attack`]). Nothing of the run
    /// changes.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn attack(&self, batch: &Batch, attack: Attack) -> Result<Attacked, TrainError> {
        let (params, plan) = (&self.state.params, self.config.lanes);
        (self.engine)
            .attack(&*self.net, params, batch, plan, attack)
            .map_err(|source| TrainError::Engine { step: self.state.step, source })
    }
}
