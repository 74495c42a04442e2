//! Trains the last layer alone, on balanced examples that were held out for it.

use super::{Change, Intervention, treated};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::two_block::How;

pub(super) const SPEC: Intervention = Intervention {
    name: "last_layer",
    summary: "last layer alone, on balanced held-out examples",
    source: "after arXiv:2204.02937",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    treated(config, How::LastLayer)
}
