//! Training with certificates: losses over boxes of inputs.
//!
//! `kappa CE(z) + (1 - kappa) CE(-m, m_y = 0)`, where `m_j` is a lower bound of `z_y - z_j` over the box
//! `|x' - x| <= eps`, cut to the range of inputs (Gowal et al. 2018, arXiv:1810.12715). Bounds are computed in the
//! precision of training and rounded to nearest: they are signals, and no proofs.

use crate::{
    Batch, Engine, EngineError, Gradient, LanePlan, Network, Objective, Table,
    boxes::Boxes,
    gradient::{Report, Tally},
    lane::Home,
    ops::Blocks,
    outputs::{Wants, joined},
};

/// The numbers of a certified objective at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certified {
    /// Half the side of the box around an input, in units of inputs. 0 is natural training.
    pub eps: f64,
    /// Weight of the natural loss, in [0, 1]; 1 is natural training.
    pub kappa: f64,
    /// The least and the largest value that an input can take; boxes are cut to it.
    pub range: Option<[f64; 2]>,
    /// Share of linear bounds (CROWN, with interval bounds before each ReLU; arXiv:1906.06316) in the margins, in
    /// [0, 1]; the rest are interval bounds.
    pub crown: f64,
    /// Weight of the mean over layers of `max(tau - mean(r_0) / mean(r), 0) / tau`: how far boxes outgrow those of the
    /// inputs (arXiv:2103.17268). Means over the neurons and examples of a chunk, so [`LanePlan::chunk_examples`]
    /// matters.
    pub tightness: f64,
    /// Weight of the mean over ReLU layers of the imbalance of neurons that are on and off over whole boxes (same
    /// source); sums over a chunk, too.
    pub balance: f64,
    /// The ratio at which these two regularizers end, in (0, 1].
    pub tau: f64,
}

impl Default for Certified {
    /// Natural training; interval bounds and no regularizer where `eps` and `kappa` are set.
    fn default() -> Self {
        let (eps, kappa, crown) = (0.0, 0.0, 0.0);
        Self { eps, kappa, range: None, crown, tightness: 0.0, balance: 0.0, tau: 0.5 }
    }
}

/// The parts of a certified loss, means over the readouts that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CertifiedLoss {
    /// Cross entropy of the logits, nats.
    pub natural: f64,
    /// Cross entropy of the bounds of the margins, nats; the natural one where no bound was computed.
    pub certified: f64,
    /// The weighted regularizers; `loss` of the gradient is `kappa natural + (1 - kappa) certified` plus these.
    pub regularizer: f64,
    /// Share of readouts whose margins all have a positive lower bound; none where no bound was computed.
    pub certified_ratio: Option<f64>,
}

impl Certified {
    /// Whether no bound is needed: the loss is the natural one.
    pub fn is_natural(&self) -> bool {
        self.eps == 0.0 || self.kappa >= 1.0 && !self.is_regularized()
    }

    pub(crate) fn is_regularized(&self) -> bool {
        self.tightness > 0.0 || self.balance > 0.0
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let out = |name, value, allowed| Err(EngineError::OutOfRange { name, value, allowed });
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return out("eps", self.eps, "[0, ∞)");
        }
        for (name, value) in [("kappa", self.kappa), ("crown", self.crown)] {
            if !(0.0..=1.0).contains(&value) {
                return out(name, value, "[0, 1]");
            }
        }
        for (name, value) in [("tightness", self.tightness), ("balance", self.balance)] {
            if !(value.is_finite() && value >= 0.0) {
                return out(name, value, "[0, ∞)");
            }
        }
        if !(self.tau > 0.0 && self.tau <= 1.0) {
            return out("tau", self.tau, "(0, 1]");
        }
        match self.range {
            Some([low, high]) if !(low.is_finite() && high.is_finite() && low < high) => {
                out("range", high - low, "two finite numbers, the first below the second")
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// The certified loss over a batch and its gradient with respect to the parameters.
    ///
    /// `centers`, as many numbers as the inputs, are the middles of the boxes if those are not the inputs
    /// themselves. Where [`Certified::is_natural`], this is
    /// [`gradient_into`](Self::gradient_into) of [`Objective::CrossEntropy`], bit for bit.
    ///
    /// `out.n_correct` counts natural logits.
    ///
    /// Determinism: a function of its arguments; the number of threads does not matter.
    ///
    /// # Errors
    /// [`EngineError::NoBounds`] for a network without [`stages`](Network::stages),
    /// [`EngineError::OutOfRange`] for numbers of the objective, [`EngineError::InputOutside`] for an input that lies
    /// outside the range, [`EngineError::OneTargetEach`], and whatever `gradient_into` refuses.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of `gradient_into`, and the middles of the boxes"
    )]
    pub fn certified_gradient_into(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        centers: Option<&[f32]>,
        plan: LanePlan,
        certified: &Certified,
        out: &mut Gradient,
    ) -> Result<CertifiedLoss, EngineError> {
        let boxes = Boxes::checked(net, batch, centers, certified)?;
        if certified.is_natural() {
            self.gradient_into(net, params, batch, plan, Objective::CrossEntropy, out)?;
            return Ok(CertifiedLoss::natural(out.loss));
        }
        let Report { tally, .. } =
            self.checked_gradient(net, params, batch, plan, &boxes, Home::F32, None, out)?;
        Ok(CertifiedLoss::of(tally, out.n_readouts))
    }

    /// [`certified_gradient_into`](Self::certified_gradient_into) with every operation in `f64`.
    ///
    /// # Errors
    /// As there.
    pub fn certified_gradient_f64(
        &self,
        net: &dyn Network,
        params: &[f64],
        batch: &Batch,
        centers: Option<&[f32]>,
        plan: LanePlan,
        certified: &Certified,
    ) -> Result<(Gradient<f64>, CertifiedLoss), EngineError> {
        let boxes = Boxes::checked(net, batch, centers, certified)?;
        if certified.is_natural() {
            let g = self.gradient_f64(net, params, batch, plan, Objective::CrossEntropy)?;
            let loss = CertifiedLoss::natural(g.loss);
            return Ok((g, loss));
        }
        let mut out = Gradient::default();
        let Report { tally, .. } =
            self.checked_gradient(net, params, batch, plan, &boxes, Home::F64, None, &mut out)?;
        let loss = CertifiedLoss::of(tally, out.n_readouts);
        Ok((out, loss))
    }
}

impl Engine {
    /// Lower bounds `m_j` of the margins `z_y - z_j` over every example's box, `[n_examples, n_classes]`, 0 at
    /// `j = y`. An example is certified, up to rounding in `f32`, where all others are positive.
    /// [`Certified::kappa`] does not matter.
    ///
    /// # Errors
    /// As [`certified_gradient_into`](Self::certified_gradient_into).
    pub fn bounded_margins(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        certified: &Certified,
    ) -> Result<Table, EngineError> {
        let boxes = Boxes::checked(net, batch, None, certified)?;
        let tables = self.chunks(net, params, batch, plan, Wants::Bounds, |lane, chunk| {
            let n = chunk.n_examples();
            let blocks = Blocks { n, natural_is_tracked: false };
            let mut table = boxes.pass(lane, chunk, blocks).bounds.to_table();
            // 0 - 0 is 0, and not -0.
            table.values.iter_mut().for_each(|v| *v = 0.0 - *v);
            table
        })?;
        Ok(joined(tables))
    }
}

impl CertifiedLoss {
    fn natural(loss: f64) -> Self {
        Self { natural: loss, certified: loss, ..Self::default() }
    }

    fn of(tally: Tally, n_readouts: usize) -> Self {
        let n = n_readouts as f64;
        Self {
            natural: tally.natural / n,
            certified: tally.certified / n,
            regularizer: tally.regularizer / n,
            certified_ratio: Some(tally.n_certified as f64 / n),
        }
    }
}
