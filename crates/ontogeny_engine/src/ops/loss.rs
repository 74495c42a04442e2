//! Losses, summed over readouts.
//!
//! Softmax and cross entropy are computed in `f64` whatever the precision of the logits: in `f32` the
//! log-softmax of a memorised example rounds to 0, gradients stall near 1e-7 and grokking is replaced by
//! artefact slingshots (Nanda et al. 2023). Graphics processors have no `f64`; there it is `f32`.

use burn::tensor::{FloatDType, Tensor, activation::log_softmax};

use crate::Var;

impl Var<2> {
    /// `-sum_i log softmax(x_i)[targets_i]` for logits `x [n, n_classes]`: the SUM over readouts.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is no class.
    #[must_use]
    pub fn cross_entropy(&self, targets: &[u32]) -> Var<1> {
        self.check_targets(targets);
        let logits = self.in_f64();
        let at_target = self.ints(targets).reshape([targets.len(), 1]);
        Var::of(log_softmax(logits, 1).gather(1, at_target).sum().neg())
    }

    /// `sum_i mean_c (x_ic - [c = targets_i])²`: the SUM over readouts of the squared error to one-hot
    /// answers.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is no class.
    #[must_use]
    pub fn mse_one_hot(&self, targets: &[u32]) -> Var<1> {
        self.check_targets(targets);
        let [n, classes] = self.dims();
        let mut one_hot = vec![0.0; n * classes];
        for (i, &t) in targets.iter().enumerate() {
            one_hot[i * classes + t as usize] = 1.0;
        }
        self.mse(&Var::of(self.constant(one_hot, [n, classes])))
    }

    /// `sum_i mean_c (x_ic - y_ic)²`: the SUM over rows of the mean over columns.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn mse(&self, y: &Self) -> Var<1> {
        let error = Var::of(self.sub(y).in_f64());
        error.mul(&error).sum().mul_scalar(1.0 / self.dims()[1] as f64)
    }

    fn in_f64(&self) -> Tensor<2> {
        self.tensor.clone().cast(FloatDType::F64)
    }

    fn check_targets(&self, targets: &[u32]) {
        let [n, classes] = self.dims();
        assert_eq!(n, targets.len(), "one target per row of logits");
        if let Some(t) = targets.iter().find(|&&t| t as usize >= classes) {
            panic!("target {t} is no class of {classes}");
        }
    }
}
