//! Mirror accuracy: one early number that tells fast seeds from slow ones.
//!
//! In modular addition a share of held-out pairs (a, b) has its mirror (b, a) in training. Runs that
//! generalize early get those right thousands of steps before the rest. `ln T` on the log-odds of that
//! accuracy at the cutoff and on the hyper-parameters. Source: docs/protocol.md section 1, theory vii.

use super::signals::{Link, Signal, SignalsAft};
use super::{TheoryEntry, TheorySpec};
use crate::survival::AftOptions;

const SPEC: TheorySpec = TheorySpec {
    name: "mirror-accuracy",
    version: 1,
    n_params: 3,
    scope: "grokking times of commutative tasks split by ordered pairs",
    source: "docs/protocol.md section 1, theory vii",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(mirror_accuracy("test_mirror_in.accuracy")) };

/// The theory, reading the named series of accuracy on pairs whose mirror was trained on.
pub fn mirror_accuracy(series: &str) -> SignalsAft {
    SignalsAft {
        spec: SPEC,
        signals: vec![Signal::level(series, Link::Logit)],
        with_features: true,
        options: AftOptions { slope_sd: 0.5, cure_sd: 0.5, ..AftOptions::default() },
    }
}
