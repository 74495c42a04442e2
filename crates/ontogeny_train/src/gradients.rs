//! The gradients a trainer asks its engine for.

use crate::{CertifiedConfig, ObjectiveConfig, TrainError, Trainer, attack};
use ontogeny_core::Step;
use ontogeny_engine::{Batch, CertifiedLoss, EngineError, Gradient, Objective, Outputs};

impl Trainer {
    /// Leaves the gradient of the coming update in `self.gradient`. Returns the weights of the groups after the
    /// update where those change.
    pub(crate) fn make_gradient(&mut self, batch: &Batch) -> Result<Option<Vec<f64>>, TrainError> {
        let step = self.state.step;
        let adapts = self.task.adapts(step.0);
        let mut g = std::mem::take(&mut self.gradient);
        let seen = match &self.config.objective {
            ObjectiveConfig::Plain(_) if self.ahead_of.take() == Some(step) => {
                std::mem::swap(&mut g, &mut self.ahead);
                Ok(None)
            }
            ObjectiveConfig::Plain(objective) if adapts => {
                self.plain_gradient_and_outputs(batch, *objective, &[], &mut g).map(Some)
            }
            ObjectiveConfig::Plain(objective) => {
                self.plain_gradient(batch, *objective, &mut g).map(|()| None)
            }
            ObjectiveConfig::Certified(certified) => self
                .certified_gradient(certified, batch, &mut g)
                .and_then(|_| adapts.then(|| self.outputs(batch, &[])).transpose()),
        };
        self.gradient = g;
        let weights = &self.state.group_weights;
        Ok(seen?.map(|seen| self.task.adapted(step.0, weights, &seen)))
    }

    /// Makes the gradient of the coming update now, which the update will use, and hands out what its forward
    /// pass showed: logits and named activations of the batch. The update has the same bits as without. With a
    /// certified objective only the forward pass is made now.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn look_ahead(&mut self, taps: &[&str]) -> Result<Outputs, TrainError> {
        let step = self.state.step;
        let batch = self.batch()?;
        let ObjectiveConfig::Plain(objective) = self.config.objective else {
            return self.outputs(&batch, taps);
        };
        let mut g = std::mem::take(&mut self.ahead);
        let seen = self.plain_gradient_and_outputs(&batch, objective, taps, &mut g);
        self.ahead = g;
        self.ahead_of = seen.is_ok().then_some(step);
        seen
    }

    /// The gradient of the mean loss of `batch` at the current weights: of a certified objective, with the numbers
    /// of the coming update. Nothing of the run changes.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn gradient_of(&self, batch: &Batch) -> Result<Vec<f32>, TrainError> {
        let mut g = Gradient::default();
        match &self.config.objective {
            ObjectiveConfig::Plain(objective) => self.plain_gradient(batch, *objective, &mut g)?,
            ObjectiveConfig::Certified(c) => self.certified_gradient(c, batch, &mut g).map(drop)?,
        }
        Ok(g.grad)
    }

    /// The gradient of the natural loss of `batch` at the current weights: the plain objective, or the cross entropy at
    /// the inputs under a certified one. Nothing of the run changes.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn natural_gradient_of(&self, batch: &Batch) -> Result<Gradient, TrainError> {
        let objective = match self.config.objective {
            ObjectiveConfig::Plain(objective) => objective,
            ObjectiveConfig::Certified(_) => Objective::CrossEntropy,
        };
        let mut g = Gradient::default();
        self.plain_gradient(batch, objective, &mut g)?;
        Ok(g)
    }

    /// The gradient of the certified loss alone (`kappa` 0) of `batch`, and the parts of the loss, at the current
    /// weights and the `eps` of the coming update, or at `eps` if given; none under a plain objective. Its cosine with
    /// [`natural_gradient_of`](Self::natural_gradient_of) says how far the two goals conflict. Nothing of the run
    /// changes.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn certified_gradient_of(
        &self,
        batch: &Batch,
        eps: Option<f64>,
    ) -> Result<Option<(Gradient, CertifiedLoss)>, TrainError> {
        let ObjectiveConfig::Certified(config) = &self.config.objective else { return Ok(None) };
        let mut config = CertifiedConfig { kappa: 0.0.into(), ..(**config).clone() };
        if let Some(eps) = eps {
            config.eps = eps.into();
        }
        let mut g = Gradient::default();
        let loss = self.certified_gradient(&config, batch, &mut g)?;
        Ok(Some((g, loss)))
    }

    fn plain_gradient(
        &self,
        batch: &Batch,
        objective: Objective,
        out: &mut Gradient,
    ) -> Result<(), TrainError> {
        let (params, plan) = (&self.state.params, self.config.lanes);
        let made = self.engine.gradient_into(&*self.net, params, batch, plan, objective, out);
        made.map_err(|source| refused(self.state.step, source))
    }

    fn plain_gradient_and_outputs(
        &self,
        batch: &Batch,
        objective: Objective,
        taps: &[&str],
        out: &mut Gradient,
    ) -> Result<Outputs, TrainError> {
        let (params, plan) = (&self.state.params, self.config.lanes);
        (self.engine)
            .gradient_and_outputs(&*self.net, params, batch, plan, objective, taps, out)
            .map_err(|source| refused(self.state.step, source))
    }

    fn certified_gradient(
        &self,
        config: &CertifiedConfig,
        batch: &Batch,
        out: &mut Gradient,
    ) -> Result<CertifiedLoss, TrainError> {
        let (step, params, net) = (self.state.step, &self.state.params, &*self.net);
        let (engine, plan) = (&*self.engine, self.config.lanes);
        let now = config.at(step);
        let centers = if now.is_natural() || config.reach(step) == 0.0 {
            None
        } else {
            let seed = self.noise_seed;
            let found = attack::centers(engine, net, params, batch, plan, config, seed, step);
            Some(found.map_err(|source| refused(step, source))?)
        };
        engine
            .certified_gradient_into(net, params, batch, centers.as_deref(), plan, &now, out)
            .map_err(|source| refused(step, source))
    }
}

fn refused(step: Step, source: EngineError) -> TrainError {
    TrainError::Engine { step, source }
}
